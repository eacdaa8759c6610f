//! [`Emit`]: where a transform puts what it makes.

use serde::Serialize;

use crate::{Batch, Name, Record, Reject};

/// What a transform did with its input, for the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Dropped on purpose.
    pub filtered: u64,
    /// Absorbed into a result, or dropped as a repeat.
    pub superseded: u64,
    /// Made anew.
    pub derived: u64,
    /// Rejected.
    pub dead: u64,
    /// Change of what is held in state: positive when records went in, negative when they came out.
    pub held: i64,
}

impl Counts {
    /// Adds `other` to this.
    pub fn add(&mut self, other: Counts) {
        self.filtered += other.filtered;
        self.superseded += other.superseded;
        self.derived += other.derived;
        self.dead += other.dead;
        self.held += other.held;
    }
}

/// The output of a transform: records, rejects and counts.
///
/// The engine checks after each call that `input + derived = output + filtered + superseded + dead + held`.
#[derive(Debug)]
pub struct Emit<T> {
    /// The records that go on.
    pub batch: Batch<T>,
    rejects: Vec<(Name, Reject)>,
    counts: Counts,
    stage: Name,
}

impl<T> Default for Emit<T> {
    fn default() -> Emit<T> {
        Emit { batch: Batch::new(), rejects: Vec::new(), counts: Counts::default(), stage: Name::from("") }
    }
}

impl<T> Emit<T> {
    /// An empty output.
    pub fn new() -> Emit<T> {
        Emit::default()
    }

    /// Sends one record on.
    pub fn push(&mut self, record: T) {
        self.batch.push(record);
    }

    /// Sends the whole input on, by swapping buffers: for transforms that work in place.
    pub fn take(&mut self, input: &mut Batch<T>) {
        self.batch.take_from(input);
    }

    /// Rejects an item.
    pub fn reject(&mut self, reject: Reject) {
        self.counts.dead += 1;
        self.rejects.push((self.stage.clone(), reject));
    }

    /// Rejects a record, for `reason`.
    pub fn reject_record(&mut self, record: &Record, reason: impl Into<String>) {
        self.reject(Reject::record(record, reason));
    }

    /// Rejects anything that serialises, for `reason`.
    pub fn reject_item(&mut self, item: &impl Serialize, reason: impl Into<String>) {
        let bytes = rmp_serde::to_vec_named(item).unwrap_or_default();
        self.reject(Reject::raw(&bytes, reason, ""));
    }

    /// Counts records dropped on purpose.
    pub fn filtered(&mut self, records: usize) {
        self.counts.filtered += records as u64;
    }

    /// Counts records absorbed into a result or dropped as repeats.
    pub fn superseded(&mut self, records: usize) {
        self.counts.superseded += records as u64;
    }

    /// Counts records made anew.
    pub fn derived(&mut self, records: usize) {
        self.counts.derived += records as u64;
    }

    /// Counts records taken into state (positive) or given out of it (negative).
    pub fn held(&mut self, records: i64) {
        self.counts.held += records;
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The rejects so far, each with the stage that rejected it; emptied.
    pub fn take_rejects(&mut self) -> Vec<(Name, Reject)> {
        std::mem::take(&mut self.rejects)
    }

    /// The counts so far; reset.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// Names the stage whose rejects come next.
    pub(crate) fn set_stage(&mut self, stage: &Name) {
        if self.stage != *stage {
            self.stage = stage.clone();
        }
    }

    /// Moves rejects and counts, not records, to `other`.
    pub(crate) fn pass_on<U>(&mut self, other: &mut Emit<U>) {
        other.rejects.append(&mut self.rejects);
        other.counts.add(self.take_counts());
    }
}
