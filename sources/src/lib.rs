//! Source stages: where records come from.
//!
//! | module | what it reads |
//! |---|---|
//! | [`healthkit`] | a HealthKit store, by observer queries and anchors |
//! | `export` | an Apple Health export |
//! | `file` | files of NDJSON or CSV |
//! | `webhook` | what is posted to an HTTP listener |

#[cfg(feature = "export")]
pub mod export;
#[cfg(feature = "file")]
pub mod file;
pub mod healthkit;
#[cfg(feature = "webhook")]
pub mod webhook;
