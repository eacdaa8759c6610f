//! The campaign: every fault that the guarantees speak of, each with books of its own (records in, lost, duplicated, how long
//! recovery took), as often as one likes.
//!
//! A fault is a function from a seed to a [`Case`]. Two users drive them: tests, with CI's counts (`tests/tests/campaign`), and
//! `scripts/campaign`, for hours, which writes `docs/campaign.md`. A seed that failed goes to a [file](seeds) that CI plays
//! first.
//!
//! | fault | module | by |
//! |---|---|---|
//! | power loss: torn, reordered and lost writes | [`power_loss`] | [`simulation`] |
//! | the n-th operation fails: full disk, I/O error, failed sync | [`sweep`] | [`simulation`] |
//! | bits flip in the state directory | [`bit_flips`] | [`simulation`] |
//! | clocks jump, the machine sleeps | [`clock_jumps`] | [`simulation`] |
//! | the receiver is away | [`outage`] | [`simulation`] |
//! | `kill -9` at random moments | [`kills`] | the real command |
//! | an abort at every crash point | [`aborts`] | the real command |
//! | a large state to recover | [`recovery`] | the real command |
//! | forged, stale, moved and truncated signatures | [`signatures`] | the webhook's own check |
//! | slow and idle connections | [`slow_clients`] | the real command |
//! | input that is too large, too deep, or a bomb | [`bombs`] | the real command |
//!
//! Simulated faults are played in one thread, on a disk and a clock that the seed decides; [`is_deterministic`] comes before
//! all else. The others are done to the real command, whose moments no seed decides; their seeds decide the plan.

#[cfg(unix)]
pub mod aborts;
pub mod bit_flips;
#[cfg(unix)]
pub mod bombs;
mod books;
pub mod clock_jumps;
mod drive;
#[cfg(unix)]
pub mod kills;
#[cfg(unix)]
mod machine;
pub mod outage;
pub mod panics;
pub mod power_loss;
#[cfg(unix)]
pub mod recovery;
pub mod report;
pub mod seeds;
#[cfg(unix)]
pub mod signatures;
pub mod simulation;
#[cfg(unix)]
pub mod slow_clients;
pub mod sweep;

pub use self::{
    books::{Books, Case},
    drive::{Extent, cores, drive, is_deterministic},
};

/// Plays a seed of a fault.
pub type Play = fn(u64) -> Case;

/// The simulated faults, by the names that the file of seeds knows them by.
pub const SIMULATED: &[(&str, Play)] = &[
    ("power loss", power_loss::play),
    ("sweep", sweep::play),
    ("bit flip", bit_flips::play),
    ("clock", clock_jumps::play),
    ("outage", outage::play),
];
