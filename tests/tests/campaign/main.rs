//! The campaign with CI's counts: each fault that the guarantees speak of, so often that a defect would show, in minutes.
//! `scripts/campaign` does the same for hours. Seeds that failed there are played first.
//!
//! Guarantees of all: G1, G2, G3, G4, G5: nothing is lost, nothing shows twice, nothing panics, and nobody has to help.

#![allow(clippy::print_stdout, reason = "tests say what they found, and their seeds")]

mod fuzzed;
#[cfg(unix)]
mod real;
mod seeds;
mod simulated;
