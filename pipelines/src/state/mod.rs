//! Checkpoints and dead letters on disk.
