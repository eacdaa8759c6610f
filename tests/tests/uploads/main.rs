//! Uploads over real HTTP, to a receiver that honours keys and is hostile otherwise: each record arrives once, in its
//! order, and the ledger balances.

#[cfg(unix)]
mod aborts;
mod clock;
mod kills;
mod scripts;
mod sender;
