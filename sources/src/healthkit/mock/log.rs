//! The log: everything that was ever saved and deleted, in order, made on demand.
//!
//! The log of a type is a row of *blocks*, one for each hour and person: hour by hour, and in an hour person by
//! person. A block is what one phone saves at once: what phone and watch measured (of several hours, after a
//! watch was away or a phone was locked), back-dated samples, and what amends samples of some hours before. Any
//! block can be made from its number alone, so an anchor is a block and a place in it, nothing is held in memory,
//! and reading on from an anchor costs what reading there did.
//!
//! A block's deletions come last, and a page ends with them: so the sequence of records is the same whatever the
//! limit of a page.

use afferent_core::{Record, RecordId, Value, kind::KindClass};

use super::{
    key::Key,
    person::{Device, HOUR, Person},
    plan::Plan,
    samples::{Studio, by},
};
use crate::healthkit::{Anchor, Page};

/// Hours after the last day in which late bursts and amendments still arrive.
const TAIL_HOURS: i64 = 72;
/// How many hours after a sample it may be amended.
const AMENDED_AFTER: [i64; 3] = [2, 5, 26];
/// Blocks that one page looks at before it comes back empty-handed: about a millisecond, so that a rare type in
/// a long log does not hold a worker.
const MAX_BLOCKS: u64 = 4096;
/// Records of a page where each has thousands of numbers: about 1 MiB.
const HEAVY_PAGE: usize = 8;
/// Version of an anchor's bytes.
const ANCHOR_VERSION: u8 = 1;

/// A place in the log of a type: before item `offset` of `block`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cursor {
    pub(super) block: u64,
    pub(super) offset: u64,
}

impl Cursor {
    pub(super) fn at(block: u64) -> Cursor {
        Cursor { block, offset: 0 }
    }

    pub(super) fn anchor(self, store: Key) -> Anchor {
        let mut bytes = vec![ANCHOR_VERSION];
        for part in [store.bits(), self.block, self.offset] {
            bytes.extend(part.to_be_bytes());
        }
        Anchor::new(bytes)
    }

    /// The place an anchor of `store` stands for; `None` for any other.
    pub(super) fn of(anchor: &Anchor, store: Key) -> Option<Cursor> {
        let (&ANCHOR_VERSION, rest) = anchor.as_bytes().split_first()? else { return None };
        let ([id, block, offset], []) = rest.as_chunks::<8>() else { return None };
        (u64::from_be_bytes(*id) == store.bits())
            .then(|| Cursor { block: u64::from_be_bytes(*block), offset: u64::from_be_bytes(*offset) })
    }
}

/// How often samples are amended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shares {
    pub(super) back_dated: f64,
    pub(super) edits: f64,
    pub(super) deletions: f64,
    pub(super) replacements: f64,
}

/// What happens to a sample after it was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Edited,
    Deleted,
    Replaced,
}

/// The amendment of one sample of a block.
#[derive(Clone, Copy, Debug)]
struct Amendment {
    fate: Fate,
    /// Picks the sample.
    pick: Key,
    /// Hours until it happens.
    after: i64,
}

#[derive(Debug)]
pub(super) struct Log {
    pub(super) studio: Studio,
    /// The identity of the store, which is in every anchor.
    pub(super) store: Key,
    shares: Shares,
}

impl Log {
    pub(super) fn new(studio: Studio, shares: Shares, store: Key) -> Log {
        Log { studio, store, shares }
    }

    fn users(&self) -> u64 {
        self.studio.world.people.len() as u64
    }

    /// How many blocks each type has.
    pub(super) fn blocks(&self) -> u64 {
        (self.studio.world.days * 24 + TAIL_HOURS) as u64 * self.users()
    }

    /// The hour of a block, counted from the first day.
    pub(super) fn slot(&self, block: u64) -> i64 {
        (block / self.users()) as i64
    }

    /// The first block of `slot`.
    pub(super) fn first_of(&self, slot: i64) -> u64 {
        slot.max(0) as u64 * self.users()
    }

    /// When a block is saved, in seconds since 1970: people come one after the other in the hour after the one
    /// that was measured.
    pub(super) fn saved_at(&self, block: u64) -> i64 {
        let share = (block % self.users() * HOUR as u64).div_ceil(self.users());
        self.studio.world.start() + (self.slot(block) + 1) * HOUR + share as i64
    }

    /// The first block that is not yet saved at `time`.
    pub(super) fn end_at(&self, time: i64) -> u64 {
        let passed = time - self.studio.world.start() - HOUR;
        if passed < 0 {
            return 0;
        }
        let users = self.users() as i64;
        let user = ((passed % HOUR) * users) / HOUR;
        ((passed / HOUR * users + user + 1) as u64).min(self.blocks())
    }

    /// Reads `plan` from `cursor` on: up to `limit` records, not beyond the block `end`, without what was purged
    /// before the time `purged`.
    pub(super) fn page(
        &self,
        plan: &Plan,
        mut cursor: Cursor,
        limit: usize,
        end: u64,
        purged: i64,
    ) -> (Page, Cursor) {
        let limit = if plan.is_heavy() { limit.min(HEAVY_PAGE) } else { limit };
        let (mut added, mut deleted) = (Vec::new(), Vec::new());
        let mut scratch = Vec::new();
        let last = end.min(cursor.block.saturating_add(MAX_BLOCKS));
        while cursor.block < last && added.len() < limit {
            let from = added.len();
            let rest = limit - from;
            let mut block = Block { deletions: Vec::new(), gone: None };
            self.block(plan, cursor.block, purged, &mut added, &mut scratch, &mut block);
            let adds = added.len() - from;
            let total = adds + block.deletions.len();
            let first = (cursor.offset as usize).min(total);
            let until = (first + rest).min(total);
            // The places in a block are counted with what was purged, so that purging moves no anchor.
            let gone = block.gone.filter(|gone| (first..until).contains(gone));
            added.truncate(from + until.min(adds));
            if let Some(gone) = gone {
                added.remove(from + gone);
            }
            added.drain(from..from + first.min(adds));
            let deletions = first.max(adds) - adds..until.max(adds) - adds;
            if !deletions.is_empty() && self.saved_at(cursor.block) > purged {
                deleted.extend(block.deletions.drain(deletions));
            }
            cursor = if until == total {
                Cursor::at(cursor.block + 1)
            } else {
                Cursor { block: cursor.block, offset: until as u64 }
            };
            if !deleted.is_empty() {
                break;
            }
        }
        let page = Page { added, deleted, anchor: cursor.anchor(self.store), more: cursor.block < end };
        (page, cursor)
    }

    /// Whether a block has anything.
    pub(super) fn changes(&self, plan: &Plan, block: u64) -> bool {
        !self.page(plan, Cursor::at(block), 1, block + 1, i64::MIN).0.is_empty()
    }

    /// Makes a block: appends what it adds to `added`.
    fn block(
        &self,
        plan: &Plan,
        number: u64,
        purged: i64,
        added: &mut Vec<Record>,
        scratch: &mut Vec<Record>,
        block: &mut Block,
    ) {
        let slot = self.slot(number);
        let user = number % self.users();
        let person = &self.studio.world.people[user as usize];
        let from = added.len();
        self.originals(plan, person, slot, added);
        if !plan.is_amended() || self.studio.world.is_locked(slot) {
            return;
        }
        if added.len() > from
            && let Some(amendment) = self.amendment(plan, person, slot)
        {
            let index = from + amendment.pick.below((added.len() - from) as u64) as usize;
            if amendment.fate == Fate::Replaced {
                let text = identifier(added[index].id);
                added[index] = by(
                    added[index].clone(),
                    &self.studio.origins.import,
                    Some(&self.studio.origins.sync(&text, 1.0)),
                );
            }
            let deleted_at = self.saved_at(self.first_of(slot + amendment.after) + user);
            block.gone = (deleted_at <= purged).then_some(index - from);
        }
        for after in AMENDED_AFTER {
            if slot < after {
                continue;
            }
            let Some(amendment) =
                self.amendment(plan, person, slot - after).filter(|found| found.after == after)
            else {
                continue;
            };
            scratch.clear();
            self.originals(plan, person, slot - after, scratch);
            if scratch.is_empty() {
                continue;
            }
            let old = scratch.swap_remove(amendment.pick.below(scratch.len() as u64) as usize);
            self.amend(plan, amendment, old, added, block);
        }
    }

    fn amend(
        &self,
        plan: &Plan,
        amendment: Amendment,
        old: Record,
        added: &mut Vec<Record>,
        block: &mut Block,
    ) {
        let origins = &self.studio.origins;
        let mut deletion = Record { subject: old.subject.clone(), ..Record::deleted(old.id, old.kind) };
        let mut new = Record { id: amendment.pick.with(1).id(), ..old };
        if let Value::Quantity(value, unit) = new.value {
            new.value = Value::Quantity(plan.round(value * amendment.pick.with(2).range(0.9, 1.1)), unit);
        }
        match amendment.fate {
            Fate::Deleted => {}
            Fate::Edited => added.push(by(new, &origins.hand, Some(&origins.entered))),
            Fate::Replaced => {
                // What HealthKit tells of a deleted object besides its uuid.
                let text = identifier(deletion.id);
                deletion.metadata = Some(origins.sync(&text, 1.0));
                added.push(by(new, &origins.import, Some(&origins.sync(&text, 2.0))));
            }
        }
        block.deletions.push(deletion);
    }

    /// What is saved with `slot` for the first time.
    fn originals(&self, plan: &Plan, person: &Person, slot: i64, out: &mut Vec<Record>) {
        let studio = &self.studio;
        for device in [Device::Phone, Device::Watch].into_iter().filter(|device| plan.is_by(*device)) {
            studio.world.measured(person, slot, device, |measured| {
                studio.measure(plan, person, measured, device, out)
            });
        }
        if plan.class == KindClass::Quantity && plan.is_amended() && !studio.world.is_locked(slot) {
            let key = plan.key.with(11).with(person.key.bits()).with(slot as u64);
            if slot < studio.world.days * 24 && key.chance(self.shares.back_dated / 24.0) {
                self.back_dated(plan, person, slot, key, out);
            }
        }
    }

    /// One sample of the last week but the last day: a person remembers, an app imports.
    fn back_dated(&self, plan: &Plan, person: &Person, slot: i64, key: Key, out: &mut Vec<Record>) {
        let from = out.len();
        // An hour may have nothing to import; a day has.
        let earliest = slot - 48 - key.with(1).below(96) as i64;
        for measured in earliest..earliest + 24 {
            self.studio.measure(plan, person, measured, Device::Import, out);
            if out.len() > from {
                out.truncate(from + 1);
                // Another import of the same sample is another object.
                out[from].id = key.with(2).id();
                return;
            }
        }
    }

    /// What becomes of one of the samples that were saved with `slot`, if anything.
    fn amendment(&self, plan: &Plan, person: &Person, slot: i64) -> Option<Amendment> {
        let pick = plan.key.with(person.key.bits()).with(12).with(slot as u64);
        let draw = pick.unit();
        let Shares { edits, deletions, replacements, .. } = self.shares;
        let fate = if draw < edits {
            Fate::Edited
        } else if draw < edits + deletions {
            Fate::Deleted
        } else if draw < edits + deletions + replacements {
            Fate::Replaced
        } else {
            return None;
        };
        let after = AMENDED_AFTER[pick.with(3).below(AMENDED_AFTER.len() as u64) as usize];
        // Nothing is saved while the phone is locked: what would have been amended then is left alone.
        let happens = !self.studio.world.is_locked(slot) && !self.studio.world.is_locked(slot + after);
        happens.then_some(Amendment { fate, pick: pick.with(4), after })
    }
}

/// What a block has besides additions.
struct Block {
    deletions: Vec<Record>,
    /// The place of an addition that was purged together with its deletion.
    gone: Option<usize>,
}

/// The sync identifier an app gave a sample.
fn identifier(id: RecordId) -> String {
    let mut text = id.to_string();
    text.truncate(13);
    text
}
