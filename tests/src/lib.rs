//! Integration tests that need several crates: the command line, recovery from kills, bad input, examples.
//!
//! The path of another crate's binary is not known to a test, so this crate builds one of its own over
//! [`afferent_cli::main`], and what the tests share lives here.
