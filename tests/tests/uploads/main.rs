//! Uploads over real HTTP, to a receiver that honours keys and is hostile otherwise: each record arrives once, in its
//! order, and the ledger balances.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests, though most of them not in the functions that are"
)]

#[cfg(unix)]
mod aborts;
mod clock;
mod discretion;
mod kills;
mod scripts;
mod sender;
