//! Uploads over real HTTP, to a receiver that honours keys and is hostile otherwise: each record arrives once, in its
//! order, and the ledger balances.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests, though most of them not in the functions that are"
)]

mod clock;
mod discretion;
mod kills;
mod scripts;

const BINARY: &str = env!("CARGO_BIN_EXE_afferent-under-test");
