//! Afferent: async stream-processing pipelines for health data, declarative, checkpointed, exactly once.
//!
//! This is the facade: it puts the engine of [`afferent_core`] together with the sources, transforms and sinks
//! of this workspace.
//!
//! | module | what it is about |
//! |---|---|
//! | [`definition`] | pipeline files: TOML, checked, with every error at once |
//! | [`registry`] | which component a `type` stands for; a host adds its own |
//! | [`cel`] | the expressions of `filter`, `set` and `when` |
//! | [`transforms`] | what is done with records: select, set, window, statistics, … |
//! | [`spec`] | what is needed to run a pipeline |
//! | [`runtime`] | starts, supervises and stops pipelines |
//! | [`state`] | checkpoints and dead letters on disk |

mod builder;
pub mod cel;
pub mod definition;
mod expect;
pub mod registry;
pub mod runtime;
pub mod spec;
pub mod state;
pub mod transforms;

pub use afferent_core;
pub use afferent_formats as formats;
pub use afferent_sinks as sinks;
pub use afferent_sources as sources;

pub use self::{
    builder::Builder,
    definition::Definition,
    registry::Registry,
    spec::{DefinitionSource, LettersFactory, PipelineSpec, StageFactory},
};

/// The page's code compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/how-to/embed-on-a-phone.md")]
struct EmbedOnAPhone;
