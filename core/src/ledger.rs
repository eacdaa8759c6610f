//! The ledger: the accounts that prove completeness.
//!
//! There is one [`Account`] per (pipeline, sink), cumulative since the sink's first epoch and saved in every
//! checkpoint. It balances when
//! `read + derived = delivered + filtered + superseded + dead + pending`.
//!
//! No number is computed from the others: `delivered` is what a sink took less what it reported superseded,
//! dead or pending, so a record lost on the way unbalances the account.
//!
//! # By type
//!
//! Where the types of items are known, as they are of records, each of these accounts has rows: one [`Account`] per type,
//! counted where things happen, beside the account and not from it. It balances when each row does and the rows make up the
//! account. A row is known by the type's full name; two more are written in brackets, which no type is:
//!
//! | row | what is in it |
//! |---|---|
//! | [`NO_TYPE`] | what has none: a line that could not be read, a deletion of a feed that gives none; and all of which an older version did not count the types |
//! | [`OTHERS`] | the types that came after [`MAX_TYPES`] rows were there |
//!
//! What becomes of a record is in the row that it was read into. A letter that was dead without a type and is put in again as a record
//! of one moves to that row. A sink that does not say of what types its pending records are has no rows.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Census, DeadLetter, Epoch, Kind, Name, reject::RejectedBy};

/// The row of what has no type.
pub const NO_TYPE: &str = "(no type)";
/// The row of types that came when there were [`MAX_TYPES`].
pub const OTHERS: &str = "(others)";
/// Rows by type that an account may have: more than HealthKit has types, twice over; a feed with more puts something else
/// where the type belongs, and each row is in every checkpoint.
pub const MAX_TYPES: usize = 512;

/// One sink's account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Records that the sources gave, rejects included.
    pub read: u64,
    /// Records that transforms made.
    pub derived: u64,
    /// Records that are visible in the sink.
    pub delivered: u64,
    /// Records that a transform or the sink's `when` dropped on purpose.
    pub filtered: u64,
    /// Records that a window absorbed, `dedupe` dropped, or a newer revision or tombstone beat.
    pub superseded: u64,
    /// Records in the dead letters.
    pub dead: u64,
    /// Records held in transform state or not yet acknowledged by the sink's receiver.
    pub pending: u64,
}

impl Account {
    /// Whether everything that came in is accounted for.
    pub fn is_balanced(&self) -> bool {
        // Wide enough for whatever a sink that reports nonsense makes of it.
        let sum = |numbers: &[u64]| numbers.iter().map(|number| u128::from(*number)).sum::<u128>();
        sum(&[self.read, self.derived])
            == sum(&[self.delivered, self.filtered, self.superseded, self.dead, self.pending])
    }

    /// So many records leave this row for those of the types which they have turned out to have.
    pub(crate) fn leave(&mut self, records: u64) {
        // What a transform derived was not read.
        let read = records.min(self.read);
        self.read -= read;
        self.derived = self.derived.wrapping_sub(records - read);
    }

    fn numbers(&self) -> [u64; 7] {
        [self.read, self.derived, self.delivered, self.filtered, self.superseded, self.dead, self.pending]
    }
}

/// The accounts of a pipeline, by sink. What is dead may leave the dead again: withdrawn it is superseded, put in again it
/// is what it then becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// One account per sink name.
    pub accounts: BTreeMap<Name, Account>,
    /// Records that each transform holds in its state, by its name.
    pub held: BTreeMap<Name, u64>,
    /// Dead letters of the pipeline since epoch 0, each counted once however many sinks it concerns.
    pub dead_letters: u64,
    /// The epoch in which each account was opened; 0 where nothing is said.
    #[serde(default)]
    pub opened: BTreeMap<Name, Epoch>,
    /// The rows of accounts by type, by sink; none where types are not counted.
    #[serde(default)]
    pub types: BTreeMap<Name, Arc<Rows>>,
    /// What each transform holds, by type.
    #[serde(default)]
    pub held_types: BTreeMap<Name, Census>,
}

impl Ledger {
    /// Whether every account balances, also by type.
    pub fn is_balanced(&self) -> bool {
        self.accounts.iter().all(|(sink, account)| {
            account.is_balanced() && self.types.get(sink).is_none_or(|rows| rows.make_up(account))
        })
    }

    /// Whether `letter` is in the account of `sink`: it concerns that sink, and the account was open.
    pub fn counts(&self, letter: &DeadLetter, sink: &Name) -> bool {
        let concerns = match letter.by {
            Some(RejectedBy::Source | RejectedBy::Transform) => true,
            Some(RejectedBy::Sink | RejectedBy::Receiver) => letter.stage == *sink,
            // Of a version that did not know: a name that no sink has is that of an earlier stage.
            None => letter.stage == *sink || !self.accounts.contains_key(&letter.stage),
        };
        concerns && self.opened.get(sink).is_none_or(|opened| letter.epoch >= *opened)
    }

    /// Records that all transforms hold in their state.
    pub fn held_total(&self) -> u64 {
        self.held.values().sum()
    }

    /// The same by type.
    pub(crate) fn held_census(&self) -> Census {
        let mut census = Census::new();
        self.held_types.values().for_each(|held| census.add(held));
        census
    }
}

/// One account by type: a row for each, by its full name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rows(pub BTreeMap<Name, Account>);

impl Rows {
    /// Those of an account that was not kept by type until now, of which the transforms hold `held`.
    pub fn opening(account: Account, held: &Census) -> Rows {
        let mut rows = Rows([(Name::from(NO_TYPE), account)].into());
        for (kind, records) in held.iter() {
            let untyped = rows.of(None);
            untyped.pending = untyped.pending.saturating_sub(records);
            untyped.leave(records);
            let row = rows.of(kind);
            row.read += records;
            row.pending += records;
        }
        rows
    }

    /// Whether each row balances and together they are `account`.
    pub fn make_up(&self, account: &Account) -> bool {
        let mut sums = [0_u128; 7];
        for row in self.0.values() {
            sums.iter_mut().zip(row.numbers()).for_each(|(sum, number)| *sum += u128::from(number));
        }
        self.0.values().all(Account::is_balanced) && sums == account.numbers().map(u128::from)
    }

    /// The row of `kind`.
    pub(crate) fn of(&mut self, kind: Option<Kind>) -> &mut Account {
        let mut name = kind.map_or(NO_TYPE, Kind::name);
        if !self.0.contains_key(name) && kind.is_some() && self.0.len() >= MAX_TYPES {
            name = OTHERS;
        }
        // Looked up twice so that a row that is there costs no name.
        if !self.0.contains_key(name) {
            self.0.insert(Name::from(name), Account::default());
        }
        self.0.get_mut(name).expect("the row was just put there")
    }

    /// The row that a dead letter of `kind` is dead in: its own, or that of what had no type when it died. None if there is
    /// nothing dead.
    pub(crate) fn dead(&mut self, kind: Option<Kind>) -> Option<&mut Account> {
        let is_dead = |name: &&str| self.0.get(*name).is_some_and(|row| row.dead > 0);
        let own = [kind.map_or(NO_TYPE, Kind::name), NO_TYPE, OTHERS].into_iter().find(is_dead);
        let name = match own {
            Some(name) => Name::from(name),
            None => self.0.iter().find(|(_, row)| row.dead > 0)?.0.clone(),
        };
        self.0.get_mut(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: accounts that balance, one that does not, and one that a sink's nonsense has wrapped. Guarantees: only what
    /// is whole balances.
    #[test]
    fn nonsense_does_not_balance() {
        let whole = Account { read: 3, delivered: 2, dead: 1, ..Account::default() };
        assert!(whole.is_balanced());
        assert!(!Account { delivered: 1, ..whole }.is_balanced());
        let wrapped = Account { delivered: 2_u64.wrapping_sub(3), superseded: 3, ..whole };
        assert!(!wrapped.is_balanced());
    }

    /// Scenario: rows that make up their account, a record in the wrong row, and a row that is missing. Guarantees: each row is
    /// looked at, and so is their sum.
    #[test]
    fn rows_make_up_their_account() {
        let heart = Kind::parse("HeartRate").ok();
        let dead = Account { read: 1, dead: 1, ..Account::default() };
        let mut rows = Rows::opening(dead, &Census::new());
        *rows.of(heart) = Account { read: 2, delivered: 2, ..Account::default() };
        let account = Account { read: 3, delivered: 2, dead: 1, ..Account::default() };
        assert!(rows.make_up(&account));
        assert!(!rows.make_up(&Account { read: 4, delivered: 3, ..account }));
        rows.of(heart).read -= 1;
        rows.of(None).read += 1;
        assert!(!rows.make_up(&account));
        let mut ledger = Ledger::default();
        ledger.accounts.insert(Name::from("sink"), account);
        assert!(ledger.is_balanced());
        ledger.types.insert(Name::from("sink"), Arc::new(rows));
        assert!(!ledger.is_balanced());
    }

    /// Scenario: more types than an account may have rows. Guarantees: G7; those that came last share one.
    #[test]
    fn rows_are_bounded() {
        let mut rows = Rows::default();
        for number in 0..MAX_TYPES + 10 {
            let kind = Kind::from_data(&format!("com.example.bounded.{number}")).ok();
            for _ in 0..2 {
                rows.of(kind).read += 1;
            }
        }
        rows.of(None).read += 1;
        assert_eq!(rows.0.len(), MAX_TYPES + 2);
        assert_eq!((rows.0[OTHERS].read, rows.0[NO_TYPE].read), (20, 1));
    }
}
