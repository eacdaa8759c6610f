//! Sink stages: where records go.
//!
//! | module | what it writes | after a crash |
//! |---|---|---|
//! | [`mod@file`] | NDJSON or CSV, in one file, in rolled ones or in one per type | exactly once, by its token |
//! | [`sqlite`] | rows of a SQLite database (feature `sqlite`) | exactly once, by identity |
//! | [`http`] | bodies over HTTP (feature `http`) | exactly once, by idempotency keys |
//! | [`fhir`] | Observations on a FHIR server (feature `http`) | exactly once, by conditions on identifiers |
//! | [`mod@queue`] | a queue on disk, for other pipelines | exactly once, by its token |
//! | [`stdout`] | a table for people, or NDJSON | at least once |
//! | [`blackhole`] | nothing; it counts | – |
//!
//! A store is a folder here with its own `Config`. Sinks that upload share [`upload`]: outbox and driver (feature
//! `upload`).

pub mod blackhole;
#[cfg(feature = "http")]
pub mod fhir;
pub mod file;
#[cfg(feature = "http")]
pub mod http;
mod jobs;
pub mod queue;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod stdout;
#[cfg(feature = "upload")]
pub mod upload;

#[cfg(feature = "sqlite")]
pub use self::sqlite::Sqlite;
pub use self::{blackhole::Blackhole, file::FileSink, queue::QueueSink, stdout::Stdout};
