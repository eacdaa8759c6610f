//! The ledger: the accounts that prove completeness.
//!
//! There is one [`Account`] per (pipeline, sink), cumulative since the sink's first epoch and saved in every
//! checkpoint. It balances when
//! `read + derived = delivered + filtered + superseded + dead + pending`.
//!
//! No number is computed from the others: `delivered` is what a sink took less what it reported superseded,
//! dead or pending, so a record lost on the way unbalances the account.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{DeadLetter, Epoch, Name, reject::RejectedBy};

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
        self.read + self.derived
            == self.delivered + self.filtered + self.superseded + self.dead + self.pending
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
}

impl Ledger {
    /// Whether every account balances.
    pub fn is_balanced(&self) -> bool {
        self.accounts.values().all(Account::is_balanced)
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
}
