//! [`Emit`]: where a transform puts what it makes.

use serde::Serialize;

use super::by_type::{ByType, OfTypes};
use crate::{Batch, Kind, Name, Record, Reject};

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
    /// The part of `counts` of which the stage says the types, in this call.
    said: OfTypes,
    /// What counted stages did, by type.
    by_type: Option<Box<ByType>>,
    stage: Name,
}

impl<T> Default for Emit<T> {
    fn default() -> Emit<T> {
        Emit {
            batch: Batch::new(),
            rejects: Vec::new(),
            counts: Counts::default(),
            said: Vec::new(),
            by_type: None,
            stage: Name::from(""),
        }
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

    /// Counts records of one type: what a stage that does several things in one call, or changes types, has to say of
    /// each type. Rejects are not among them: they carry their type.
    pub fn count(&mut self, kind: Option<Kind>, counts: Counts) {
        let counts = Counts { dead: 0, ..counts };
        self.counts.add(counts);
        self.said.push((kind, counts));
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

    /// What the stage said of types in this call; the rejects of the stages so far; and where what it did is kept by type.
    pub(super) fn parts(&mut self) -> (OfTypes, &[(Name, Reject)], &mut ByType) {
        let by_type = self.by_type.get_or_insert_default();
        (std::mem::take(&mut self.said), &self.rejects, by_type)
    }

    /// How many rejects there are.
    pub(super) fn rejected(&self) -> usize {
        self.rejects.len()
    }

    /// What counted stages did, by type; reset.
    pub(crate) fn take_by_type(&mut self) -> Option<Box<ByType>> {
        self.by_type.take()
    }

    /// Names the stage whose rejects come next.
    pub(crate) fn set_stage(&mut self, stage: &Name) {
        // Without a count by type nobody asks for it.
        self.said.clear();
        if self.stage != *stage {
            self.stage = stage.clone();
        }
    }

    /// Moves rejects and counts, not records, to `other`.
    pub(crate) fn pass_on<U>(&mut self, other: &mut Emit<U>) {
        other.rejects.append(&mut self.rejects);
        other.counts.add(self.take_counts());
        if let Some(by_type) = self.by_type.take() {
            match &mut other.by_type {
                Some(others) => others.add(&by_type),
                none => *none = Some(by_type),
            }
        }
    }
}
