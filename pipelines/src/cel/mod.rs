//! The expressions of `filter`, `set` and `when`.
