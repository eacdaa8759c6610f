//! What an open epoch has counted so far.

use std::sync::Arc;

use crate::{
    Census, DeadLetter, Kind, LetterId, RecordKey,
    ledger::{Account, Ledger, Rows},
    stage::{ByType, Counts},
};

/// The counts of one epoch; thrown away with it when it is undone.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Records and rejects that the sources gave.
    pub(super) read: u64,
    /// What the transforms did.
    pub(super) transforms: Counts,
    /// Rejects of sources.
    pub(super) source_dead: u64,
    /// The same by type; only made when there is something to count by type.
    by_type: Option<Box<TypeTally>>,
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

/// What sources and transforms did, by type.
#[derive(Debug, Default)]
pub(super) struct TypeTally {
    pub(super) read: Census,
    pub(super) source_dead: Census,
    pub(super) transforms: ByType,
    /// By sink, in the order of the stages.
    pub(super) sinks: Vec<SinkTypes>,
}

/// What went into one sink. What the sink itself reports is by type in any case, and nothing where types are not counted.
#[derive(Clone, Debug, Default)]
pub(super) struct SinkTally {
    /// Dropped by its `when`.
    pub(super) filtered: u64,
    /// Given to `write`.
    pub(super) written: u64,
    /// Of these, beaten by a newer revision or a tombstone.
    pub(super) superseded: Census,
    /// Of these, not storable.
    pub(super) dead: Census,
    /// Of earlier epochs, refused by its receiver since; their dead letters are saved already.
    pub(super) refused: Census,
    /// Of what is dead, superseded since.
    pub(super) withdrawn: Census,
    /// Of earlier epochs, not to be sent any more.
    pub(super) withheld: Census,
    /// Of what was dead, put in again.
    pub(super) retried: u64,
    /// Dead letters of before its account was opened, put in again.
    pub(super) joined: u64,
    /// Not yet acknowledged by its receiver, in all.
    pub(super) pending: u64,
}

/// What went into one sink, by type.
#[derive(Clone, Debug, Default)]
pub(super) struct SinkTypes {
    pub(super) filtered: Census,
    pub(super) written: Census,
    /// Of what type each was when it died, and is now.
    pub(super) retried: Vec<(Option<Kind>, Option<Kind>)>,
    pub(super) joined: Census,
    /// `None` if the sink does not say it.
    pub(super) pending: Option<Census>,
}

impl Tally {
    pub(super) fn new(sinks: usize) -> Tally {
        Tally { sinks: vec![SinkTally::default(); sinks], ..Tally::default() }
    }

    /// What is counted by type.
    pub(super) fn types(&mut self) -> &mut TypeTally {
        let sinks = self.sinks.len();
        self.by_type.get_or_insert_with(|| {
            Box::new(TypeTally { sinks: vec![SinkTypes::default(); sinks], ..TypeTally::default() })
        })
    }

    /// Adds this epoch to `ledger`, whose `held` is already that of the epoch's end. `names` are the sinks' in the
    /// order of the stages.
    pub(super) fn add_to<'a>(
        &self,
        ledger: &mut Ledger,
        held_before: (u64, Census),
        names: impl Iterator<Item = &'a crate::Name>,
    ) {
        let (held_before, held_types_before) = held_before;
        let (held, held_types) = (ledger.held_total(), ledger.held_census());
        for (index, (name, sink)) in names.zip(&self.sinks).enumerate() {
            self.add_types(ledger, (name, index), &held_types_before, &held_types);
            let account = ledger.accounts.entry(name.clone()).or_default();
            let pending_before = account.pending.saturating_sub(held_before);
            // A fallback may have given back an account to which some of them are not dead: to it they are new.
            let retried = sink.retried.min(account.dead);
            account.dead -= retried;
            account.read += self.read + sink.joined + (sink.retried - retried);
            account.derived += self.transforms.derived;
            account.filtered += self.transforms.filtered + sink.filtered + sink.withheld.total();
            account.superseded += self.transforms.superseded + sink.superseded.total();
            account.dead +=
                self.source_dead + self.transforms.dead + sink.dead.total() + sink.refused.total();
            let withdrawn = sink.withdrawn.total().min(account.dead);
            account.dead -= withdrawn;
            account.superseded += withdrawn;
            let lost = sink.superseded.total()
                + sink.dead.total()
                + sink.refused.total()
                + sink.withheld.total()
                + sink.pending;
            // Wrapping, so that a sink that reports nonsense unbalances the account instead of panicking.
            account.delivered =
                account.delivered.wrapping_add(pending_before).wrapping_add(sink.written).wrapping_sub(lost);
            account.pending = held + sink.pending;
        }
        let refused: u64 = self.sinks.iter().map(|sink| sink.refused.total()).sum();
        ledger.dead_letters += self.dead_letters.len() as u64 + refused;
    }

    /// Adds this epoch to the rows of a sink's account, or gives them up where types are not known.
    fn add_types(
        &self,
        ledger: &mut Ledger,
        (name, index): (&crate::Name, usize),
        held_before: &Census,
        held: &Census,
    ) {
        let sink = &self.sinks[index];
        let types = self.by_type.as_ref().map(|all| (all, &all.sinks[index]));
        let Some((all, types)) = types.filter(|(_, types)| types.pending.is_some() || sink.pending == 0)
        else {
            ledger.types.remove(name);
            return;
        };
        let before = ledger.accounts.get(name).copied().unwrap_or_default();
        let rows = ledger.types.entry(name.clone());
        let rows = Arc::make_mut(rows.or_insert_with(|| Arc::new(Rows::opening(before, held_before))));
        // What was pending is delivered, less what is still pending.
        for row in rows.0.values_mut() {
            row.delivered = row.delivered.wrapping_add(std::mem::take(&mut row.pending));
        }
        take(rows, held_before);
        for (died, is) in &types.retried {
            match rows.dead(*died) {
                Some(row) => {
                    row.dead -= 1;
                    row.leave(1);
                    rows.of(*is).read += 1;
                }
                None => rows.of(*is).read += 1,
            }
        }
        for (kind, records) in all.transforms.known.iter() {
            rows.of(None).leave(records);
            rows.of(kind).read += records;
        }
        let mut add = |census: &Census, to: fn(&mut Account) -> &mut u64| {
            census.iter().for_each(|(kind, records)| *to(rows.of(kind)) += records);
        };
        add(&all.read, |row| &mut row.read);
        add(&types.joined, |row| &mut row.read);
        add(&all.transforms.derived, |row| &mut row.derived);
        add(&all.transforms.filtered, |row| &mut row.filtered);
        add(&types.filtered, |row| &mut row.filtered);
        add(&sink.withheld, |row| &mut row.filtered);
        add(&all.transforms.superseded, |row| &mut row.superseded);
        add(&sink.superseded, |row| &mut row.superseded);
        for dead in [&all.source_dead, &all.transforms.dead, &sink.dead, &sink.refused] {
            add(dead, |row| &mut row.dead);
        }
        let pending = types.pending.clone().unwrap_or_default();
        for still in [&pending, held] {
            add(still, |row| &mut row.pending);
        }
        for (kind, records) in types.written.iter() {
            let row = rows.of(kind);
            row.delivered = row.delivered.wrapping_add(records);
        }
        for lost in [&sink.superseded, &sink.dead, &sink.refused, &sink.withheld, &pending] {
            take(rows, lost);
        }
        for (kind, records) in sink.withdrawn.iter() {
            for _ in 0..records {
                let Some(row) = rows.dead(kind) else { break };
                row.dead -= 1;
                row.superseded += 1;
            }
        }
        rows.0.retain(|_, row| *row != Account::default());
    }
}

/// Takes what is not delivered from what was taken to be.
fn take(rows: &mut Rows, census: &Census) {
    for (kind, records) in census.iter() {
        let row = rows.of(kind);
        row.delivered = row.delivered.wrapping_sub(records);
    }
}
