//! Starts, supervises and stops pipelines.
