//! What an open epoch has counted so far.

use crate::{DeadLetter, LetterId, RecordKey, ledger::Ledger, stage::Counts};

/// The counts of one epoch; thrown away with it when it is undone.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Records and rejects that the sources gave.
    pub(super) read: u64,
    /// What the transforms did.
    pub(super) transforms: Counts,
    /// Rejects of sources.
    pub(super) source_dead: u64,
    /// By sink, in the order of the stages.
    pub(super) sinks: Vec<SinkTally>,
    /// Dead letters, saved with the checkpoint.
    pub(super) dead_letters: Vec<DeadLetter>,
    /// Memory that the dead letters take.
    pub(super) letters_bytes: u64,
    /// Earlier dead letters that were put in again.
    pub(super) retried: Vec<LetterId>,
    /// What they counted for in limits.
    pub(super) retried_bytes: u64,
    /// What came out of the transforms that may withdraw dead letters.
    pub(super) passed: Vec<RecordKey>,
    /// Bytes of input and of dead letters.
    pub(super) bytes: u64,
    /// Whether records came or a position moved.
    pub(super) changed: bool,
}

/// What went into one sink.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SinkTally {
    /// Dropped by its `when`.
    pub(super) filtered: u64,
    /// Given to `write`.
    pub(super) written: u64,
    /// Of these, beaten by a newer revision or a tombstone.
    pub(super) superseded: u64,
    /// Of these, not storable.
    pub(super) dead: u64,
    /// Of earlier epochs, refused by its receiver since; their dead letters are saved already.
    pub(super) refused: u64,
    /// Of what is dead, superseded since.
    pub(super) withdrawn: u64,
    /// Of what was dead, put in again.
    pub(super) retried: u64,
    /// Dead letters of before its account was opened, put in again.
    pub(super) joined: u64,
    /// Not yet acknowledged by its receiver, in all.
    pub(super) pending: u64,
}

impl Tally {
    pub(super) fn new(sinks: usize) -> Tally {
        Tally { sinks: vec![SinkTally::default(); sinks], ..Tally::default() }
    }

    /// Adds this epoch to `ledger`, whose `held` is already that of the epoch's end. `names` are the sinks' in the
    /// order of the stages.
    pub(super) fn add_to<'a>(
        &self,
        ledger: &mut Ledger,
        held_before: u64,
        names: impl Iterator<Item = &'a crate::Name>,
    ) {
        let held = ledger.held_total();
        for (name, sink) in names.zip(&self.sinks) {
            let account = ledger.accounts.entry(name.clone()).or_default();
            let pending_before = account.pending.saturating_sub(held_before);
            // A fallback may have given back an account to which some of them are not dead: to it they are new.
            let retried = sink.retried.min(account.dead);
            account.dead -= retried;
            account.read += self.read + sink.joined + (sink.retried - retried);
            account.derived += self.transforms.derived;
            account.filtered += self.transforms.filtered + sink.filtered;
            account.superseded += self.transforms.superseded + sink.superseded;
            account.dead += self.source_dead + self.transforms.dead + sink.dead + sink.refused;
            let withdrawn = sink.withdrawn.min(account.dead);
            account.dead -= withdrawn;
            account.superseded += withdrawn;
            // Wrapping, so that a sink that reports nonsense unbalances the account instead of panicking.
            account.delivered = account
                .delivered
                .wrapping_add(pending_before)
                .wrapping_add(sink.written)
                .wrapping_sub(sink.superseded + sink.dead + sink.refused + sink.pending);
            account.pending = held + sink.pending;
        }
        let refused: u64 = self.sinks.iter().map(|sink| sink.refused).sum();
        ledger.dead_letters += self.dead_letters.len() as u64 + refused;
    }
}
