//! [`ByType`]: what transforms did, by type of record.
//!
//! A transform says how many records it filtered, superseded, derived or holds, but seldom of which types. The input and the
//! output of a transform that is *counted* are counted by type, and the difference belongs to what it said:
//!
//! | it said, besides rejects | the difference of a type |
//! |---|---|
//! | filtered, or superseded, alone | is that |
//! | derived alone | is that, with the other sign |
//! | held, or nothing | is what went into its state or came out of it |
//! | several of them | is nobody's: it has to say of which types, by [`Emit::count`] |
//!
//! Rejects carry their type. A record whose type changes is another one: it is superseded, and one is derived in its place.
//! Where none of this holds the transform is at fault, as it is where its counts don't add up.

use std::collections::BTreeMap;

use crate::{Census, Kind, Reject, Tap, stage::Counts};

/// What transforms did, by type.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByType {
    pub(crate) filtered: Census,
    pub(crate) superseded: Census,
    pub(crate) derived: Census,
    pub(crate) dead: Census,
    /// Held by a version that did not count by type; of which type they are was seen when they were given out.
    pub(crate) known: Census,
}

impl ByType {
    pub(crate) fn add(&mut self, other: &ByType) {
        self.filtered.add(&other.filtered);
        self.superseded.add(&other.superseded);
        self.derived.add(&other.derived);
        self.dead.add(&other.dead);
        self.known.add(&other.known);
    }
}

/// How a transform is counted, and what it holds.
pub(super) struct Counted<I, O> {
    pub(super) input: Tap<I>,
    pub(super) output: Tap<O>,
    pub(super) held: Census,
}

/// What a transform said of types in a call.
pub(super) type OfTypes = Vec<(Option<Kind>, Counts)>;

/// What a transform said in a call.
pub(super) struct Said<'a> {
    pub(super) counts: Counts,
    /// The part of `counts` of which it said the types.
    pub(super) of_types: OfTypes,
    pub(super) rejects: &'a mut dyn Iterator<Item = &'a Reject>,
}

impl<I, O> Counted<I, O> {
    /// Adds to `by` what the transform did in a call that was given `input` and made `output`.
    ///
    /// # Errors
    /// What doesn't add up.
    pub(super) fn settle(
        &mut self,
        input: &Census,
        output: &Census,
        said: Said<'_>,
        by: &mut ByType,
    ) -> Result<(), String> {
        let mut gone = BTreeMap::<Option<Kind>, i64>::new();
        input.iter().for_each(|(kind, records)| *gone.entry(kind).or_default() += signed(records));
        output.iter().for_each(|(kind, records)| *gone.entry(kind).or_default() -= signed(records));
        for reject in said.rejects {
            *gone.entry(reject.kind).or_default() -= 1;
            by.dead.count(reject.kind, 1);
        }
        let mut rest = said.counts;
        for (kind, Counts { filtered, superseded, derived, held, .. }) in said.of_types {
            by.filtered.count(kind, filtered);
            by.superseded.count(kind, superseded);
            by.derived.count(kind, derived);
            self.hold(kind, held, by)?;
            *gone.entry(kind).or_default() -= signed(filtered + superseded) - signed(derived) + held;
            rest.filtered -= filtered;
            rest.superseded -= superseded;
            rest.derived -= derived;
            rest.held -= held;
        }
        let rests = [rest.filtered > 0, rest.superseded > 0, rest.derived > 0, rest.held != 0];
        if rests.into_iter().filter(|said| *said).count() > 1 {
            return Err(
                "it did several things in one call and did not say of which types (`Emit::count`)".to_owned()
            );
        }
        for (kind, gone) in gone.into_iter().filter(|(_, gone)| *gone != 0) {
            let records = gone.unsigned_abs();
            match rests {
                [true, ..] if gone > 0 => by.filtered.count(kind, records),
                [_, true, ..] if gone > 0 => by.superseded.count(kind, records),
                [_, _, true, _] if gone < 0 => by.derived.count(kind, records),
                [false, false, false, _] => self.hold(kind, gone, by)?,
                _ => return Err(became_another()),
            }
        }
        Ok(())
    }

    /// Takes `change` records into what is held, or out of it.
    fn hold(&mut self, kind: Option<Kind>, change: i64, by: &mut ByType) -> Result<(), String> {
        let held = self.held.of(kind).saturating_add_signed(change);
        let known = change.min(0).unsigned_abs().saturating_sub(self.held.of(kind));
        self.held.set(kind, held);
        if known == 0 {
            return Ok(());
        }
        let untyped = self.held.of(None).checked_sub(known).ok_or_else(became_another)?;
        self.held.set(None, untyped);
        by.known.count(kind, known);
        Ok(())
    }
}

fn became_another() -> String {
    "a record came out with another type and was not counted as superseded, and the new one as derived"
        .to_owned()
}

fn signed(records: u64) -> i64 {
    i64::try_from(records).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str) -> Option<Kind> {
        Kind::parse(name).ok()
    }

    type Rows<'a> = &'a [(&'a str, u64)];

    fn census(rows: Rows<'_>) -> Census {
        rows.iter().map(|(name, records)| (kind(name), *records)).collect()
    }

    fn counted() -> Counted<u8, u8> {
        Counted { input: |_, _| {}, output: |_, _| {}, held: Census::new() }
    }

    fn settle(
        counted: &mut Counted<u8, u8>,
        (input, output): (Rows<'_>, Rows<'_>),
        counts: Counts,
        of_types: OfTypes,
    ) -> Result<ByType, String> {
        let mut by = ByType::default();
        let said = Said { counts, of_types, rejects: &mut std::iter::empty() };
        counted.settle(&census(input), &census(output), said, &mut by)?;
        Ok(by)
    }

    /// Scenario: transforms that do one thing in a call. Guarantees: the difference of each type belongs to that.
    #[test]
    fn a_difference_belongs_to_the_one_thing_that_was_done() {
        let flows = (&[("HeartRate", 5), ("StepCount", 2)][..], &[("HeartRate", 3), ("StepCount", 1)][..]);
        let (lost, made) = (census(&[("HeartRate", 2), ("StepCount", 1)]), Counts::default());
        let mut stage = counted();
        let by = settle(&mut stage, flows, Counts { filtered: 3, ..made }, Vec::new()).unwrap();
        assert_eq!((by.filtered, by.superseded), (lost.clone(), Census::new()));
        let by = settle(&mut stage, flows, Counts { superseded: 3, ..made }, Vec::new()).unwrap();
        assert_eq!(by.superseded, lost);
        let by = settle(&mut stage, (flows.1, flows.0), Counts { derived: 3, ..made }, Vec::new()).unwrap();
        assert_eq!(by.derived, lost);
        settle(&mut stage, flows, Counts { held: 3, ..made }, Vec::new()).unwrap();
        assert_eq!(stage.held, lost);
        // One of a type goes in, one of another comes out.
        let swap = (&[("StepCount", 1)][..], &[("HeartRate", 1)][..]);
        settle(&mut stage, swap, made, Vec::new()).unwrap();
        assert_eq!(stage.held, census(&[("HeartRate", 1), ("StepCount", 2)]));
    }

    /// Scenario: a transform that does two things in a call, with and without a word on types; and one that changes a type.
    /// Guarantees: what nobody can tell is an error and no guess.
    #[test]
    fn what_nobody_can_tell_is_no_guess() {
        let flows = (&[("HeartRate", 5), ("StepCount", 2)][..], &[("HeartRate", 4)][..]);
        let counts = Counts { filtered: 2, superseded: 1, ..Counts::default() };
        let error = settle(&mut counted(), flows, counts, Vec::new()).unwrap_err();
        assert!(error.contains("Emit::count"), "{error}");
        let of_types = vec![(kind("HeartRate"), Counts { superseded: 1, ..Counts::default() })];
        let by = settle(&mut counted(), flows, counts, of_types).unwrap();
        assert_eq!(by.filtered, census(&[("StepCount", 2)]));
        let changed = (&[("HeartRate", 1)][..], &[("StepCount", 1)][..]);
        assert!(settle(&mut counted(), changed, Counts::default(), Vec::new()).is_err());
    }

    /// Scenario: records that an older version held, given out. Guarantees: their type is known from then on.
    #[test]
    fn what_was_held_without_a_type_becomes_known() {
        let mut stage = counted();
        stage.held.count(None, 2);
        let counts = Counts { held: -1, ..Counts::default() };
        let by = settle(&mut stage, (&[], &[("HeartRate", 1)]), counts, Vec::new()).unwrap();
        assert_eq!((by.known, stage.held.of(None)), (census(&[("HeartRate", 1)]), 1));
    }
}
