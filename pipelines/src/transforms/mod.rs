//! The transforms that pipeline files name. Each has its `Config` in its module, and takes and gives records.
//!
//! What they have in common:
//! - What one gives is a function of its records and of the state that it saves: never of the wall clock, of
//!   randomness, or of where batches begin and end. A replay gives the same.
//! - Those that derive nothing work in place: a batch passes through without moving a record.
//! - Deletions pass untouched, except that [`select`] drops those of other types, [`dedupe`] those that it has
//!   seen, and [`set`](mod@set), [`redact`], [`keep`] and `pseudonymise` may write their `subject`. Those that derive results take them as what they are: a record less.
//! - `new` fails with all that is wrong, and `Config::check` gives the same.
//!
//! | transform | what it drops | counted as |
//! |---|---|---|
//! | [`select`] | other types | filtered |
//! | [`filter`] | what does not meet a condition | filtered |
//! | [`set`](mod@set) | what could not be stored | dead |
//! | [`units`] | what does not convert | dead |
//! | [`validate`] | what can't be true, where the file says so | dead |
//! | [`dedupe`] | repeats | superseded |
//! | [`sample`] | all but a fraction | filtered |
//! | [`throttle`] | all but the first in a span of time | filtered |
//! | [`consent`] | what nobody consented to | filtered, or dead |
//! | [`enrich`] | if wanted, what the table has no row for | dead, or filtered |
//! | [`sort`](mod@sort) | nothing; it holds records to put them in order | |
//! | [`tag`](mod@tag) [`redact`] [`keep`] [`coarsen`] `pseudonymise` | nothing | |
//!
//! | transform | what it derives |
//! |---|---|
//! | [`window`](mod@window) | results over spans of event time |
//! | [`statistics`](mod@statistics) | results over buckets of a calendar |
//! | [`merge_sources`](mod@merge_sources) | pieces of samples, so that each moment counts once |
//! | [`split`](mod@split) | the parts of correlations and workouts |
//! | [`join`](mod@join) | workouts that say what is inside them |
//! | [`rate`](mod@rate) | from the readings of a counter, how fast it runs |
//! | [`latest`](mod@latest) | of each key the newest record, as one that changes |
//!
//! These have state by key, which is told at the head of `keyed`. What [`consent`] and [`enrich`] look up stands in tables that
//! change, which is told at the head of [`lookup`].

mod by;
pub mod coarsen;
pub mod consent;
pub mod dedupe;
pub mod enrich;
pub mod filter;
pub mod join;
pub mod keep;
mod keyed;
pub mod latest;
pub mod lookup;
pub mod merge_sources;
#[cfg(test)]
mod proofs;
#[cfg(feature = "pseudonymise")]
pub mod pseudonymise;
pub mod rate;
mod recent;
pub mod redact;
pub mod sample;
pub mod select;
pub mod set;
pub mod sort;
pub mod split;
pub mod statistics;
mod sum;
pub mod tag;
#[cfg(test)]
mod testing;
pub mod throttle;
pub mod units;
pub mod validate;
pub mod window;

use afferent_core::Problem;

#[cfg(feature = "pseudonymise")]
pub use self::pseudonymise::Pseudonymise;
pub use self::{
    coarsen::Coarsen, consent::Consent, dedupe::Dedupe, enrich::Enrich, filter::Filter, join::Join,
    keep::Keep, latest::Latest, merge_sources::MergeSources, rate::Rate, redact::Redact, sample::Sample,
    select::Select, set::Set, sort::Sort, split::Split, statistics::Statistics, tag::Tag, throttle::Throttle,
    units::Units, validate::Validate, window::Window,
};

/// `problem` of the value at `keys`.
fn at<'k>(keys: impl IntoIterator<Item = &'k str>, mut problem: Problem) -> Problem {
    problem.key_path = keys.into_iter().map(str::to_owned).collect();
    problem
}
