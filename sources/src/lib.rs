//! Source stages: where records come from.
//!
//! | module | what it reads |
//! |---|---|
//! | [`healthkit`] | a HealthKit store, by observer queries and anchors |
//! | `export` | an Apple Health export |
//! | `file` | files of NDJSON or CSV |
//! | [`queue`] | a queue on disk, which other pipelines fill |
//! | `webhook` | what is posted to an HTTP listener |

#[cfg(feature = "export")]
pub mod export;
#[cfg(feature = "file")]
pub mod file;
pub mod healthkit;
pub mod queue;
#[cfg(feature = "webhook")]
pub mod webhook;
