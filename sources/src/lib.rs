//! Placeholder.

#[cfg(feature = "export")]
pub mod export;
