//! The engine of Afferent: records, stages, epochs, checkpoints and queues.
//!
//! A pipeline is one task. It owns its sources, transforms and sinks; a batch moves through it by `&mut`;
//! what enters or leaves the task does so through bounded queues. Between two checkpoints lies an *epoch*,
//! which happens wholly or not at all.
//!
//! | module | what it is about |
//! |---|---|
//! | [`record`], [`kind`], [`mod@unit`] | health facts and their vocabulary |
//! | [`stage`] | the traits of sources, transforms and sinks, static and boxed |
//! | [`checkpoint`], [`ledger`], [`reject`] | what is saved, and what proves that nothing is missing |
//! | [`engine`] | the epoch protocol |
//! | [`mailbox`], [`event`], [`queue`] | the only ways in and out of a pipeline's task |
//! | [`segment_log`], [`guard`] | what queues on disk are made of, and who may write to them |
//! | [`clock`], [`disk`], [`random`], [`blocking`] | the world, injected |
//! | [`config`], [`secret`] | what stages are told, and what is never printed |
//!
//! It knows no TOML, HTTP, XML or JSON.

mod batch;
pub mod blocking;
mod census;
pub mod checkpoint;
pub mod clock;
pub mod config;
pub mod disk;
pub mod driver;
pub mod engine;
mod error;
pub mod event;
pub mod guard;
mod id;
pub mod kind;
pub mod ledger;
pub mod mailbox;
pub mod metrics;
mod name;
pub mod queue;
pub mod random;
pub mod record;
pub mod reject;
pub mod secret;
pub mod segment_log;
mod snapshot;
pub mod stage;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod time;
pub mod unit;

pub use self::{
    batch::Batch,
    census::{Census, Tap},
    checkpoint::{
        Checkpoint, CheckpointStore, Epoch, Generation, Incarnation, MemoryStore, Position, StateRows,
        StoreId, Token,
    },
    config::Problem,
    error::{Error, ErrorKind, Result, io_error},
    id::RecordId,
    kind::Kind,
    name::{Name, NameCache},
    record::{Change, MetaValue, Metadata, Origin, Record, RecordKey, Value},
    reject::{DeadLetter, LetterId, Reject, Rejects},
    snapshot::{Delta, Snapshot, State},
    stage::{
        BoxSink, BoxSource, BoxTransform, Committed, Emit, Fence, Limits, Opened, Prepared, Pulled, Sink,
        SinkCx, Source, SourceCx, Transform, TransformCx, from_stream, ops,
    },
    time::Timestamp,
    unit::Unit,
};
