//! Placeholder.

#[cfg(feature = "export")]
pub mod export;
pub mod healthkit;
