//! The transforms that pipeline files name. Each has its `Config` in its module, and takes and gives records.
//!
//! What they have in common:
//! - What one gives is a function of its records and of the state that it saves: never of the wall clock, of
//!   randomness, or of where batches begin and end. A replay gives the same.
//! - They work in place: a batch passes through without moving a record.
//! - Deletions pass untouched, except that [`select`] drops those of other types, [`dedupe`] those that it has
//!   seen, and [`set`](mod@set) may write their `subject`.
//! - `new` fails with all that is wrong, and `Config::check` gives the same.
//!
//! | transform | what it drops | counted as |
//! |---|---|---|
//! | [`select`] | other types | filtered |
//! | [`filter`] | what does not meet a condition | filtered |
//! | [`set`](mod@set) | what could not be stored | dead |
//! | [`units`] | what does not convert | dead |
//! | [`dedupe`] | repeats | superseded |
//! | [`sample`] | all but a fraction | filtered |
//! | [`throttle`] | all but the first in a span of time | filtered |

mod by;
pub mod dedupe;
pub mod filter;
mod keyed;
mod recent;
pub mod sample;
pub mod select;
pub mod set;
#[cfg(test)]
mod testing;
pub mod throttle;
pub mod units;
pub mod window;

use afferent_core::Problem;

pub use self::{
    dedupe::Dedupe, filter::Filter, sample::Sample, select::Select, set::Set, throttle::Throttle,
    units::Units, window::Window,
};

/// `problem` of the value at `keys`.
fn at<'k>(keys: impl IntoIterator<Item = &'k str>, mut problem: Problem) -> Problem {
    problem.key_path = keys.into_iter().map(str::to_owned).collect();
    problem
}
