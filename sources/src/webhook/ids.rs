//! [`Ids`]: which bodies are known.

use std::collections::{BTreeMap, HashMap, VecDeque};

use afferent_core::{
    Result, Timestamp,
    segment_log::{Entries, LogPosition, SegmentLog},
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{
    KEPT, REPLAY_WINDOW,
    answer::Refusal,
    blocks::OpenedBlocks,
    frame::{BodyId, Head},
};

/// When a block is due: what opening has to read of the log is bounded by it.
const DUE_ENTRIES: usize = 4096;
const DUE_BYTES: u64 = 4 << 20;

/// What became of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is durable, as the entry with this number.
    Stored(u64),
    /// The log has no room.
    Full,
    /// That is open.
    Failed,
}

/// Says what became of a body, once.
pub(super) type Outcomes = watch::Receiver<Option<Outcome>>;

/// What is known of a stored id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) received: Timestamp,
    pub(super) hash: u64,
    pub(super) records: u32,
    /// The number of its entry.
    pub(super) number: u64,
}

/// A body that is under way.
#[derive(Debug)]
struct InFlight {
    hash: u64,
    outcomes: Outcomes,
}

/// What is known of an id that comes.
#[derive(Debug)]
pub(super) enum Found {
    /// It is new, and under way from now on.
    New,
    /// It is under way.
    InFlight(Outcomes),
    /// It is stored.
    Stored(Seen),
}

/// An entry that no block is about yet: where it is, unless it is damaged, how long, and its id.
#[derive(Clone, Copy, Debug)]
struct Fresh {
    position: Option<LogPosition>,
    bytes: u64,
    row: Option<Row>,
}

/// The ids that are known.
#[derive(Debug)]
pub(super) struct Ids {
    max: usize,
    in_flight: HashMap<BodyId, InFlight>,
    stored: HashMap<BodyId, Seen>,
    /// The stored ones, oldest first.
    order: VecDeque<BodyId>,
    /// Entries after those that blocks are about, by number.
    fresh: BTreeMap<u64, Fresh>,
    fresh_bytes: u64,
    /// The next entry that a block will be about.
    next: u64,
    /// Ids that were forgotten early since that was last asked for.
    forgotten: u64,
}

/// What the next blocks are about: entries in order, and the ids of those that have one.
#[derive(Debug, Default)]
pub(super) struct Due(Vec<(LogPosition, Option<Row>)>);

/// An id, and what is known of it.
pub(super) type Row = (BodyId, Seen);

impl Ids {
    pub(super) fn new(max: u64) -> Ids {
        Ids {
            max: usize::try_from(max).unwrap_or(usize::MAX),
            in_flight: HashMap::new(),
            stored: HashMap::new(),
            order: VecDeque::new(),
            fresh: BTreeMap::new(),
            fresh_bytes: 0,
            next: 0,
            forgotten: 0,
        }
    }

    /// What is known of `id`, which names a body with this `hash`; a new one is under way from now on.
    ///
    /// # Errors
    /// `IdReused` for another body, `Full` when there is no room for a new one.
    pub(super) fn begin(
        &mut self,
        id: BodyId,
        hash: u64,
        now: Timestamp,
        outcomes: &Outcomes,
    ) -> Result<Found, Refusal> {
        self.expire(now);
        let (known, found) = if let Some(seen) = self.stored.get(&id) {
            (seen.hash, Found::Stored(*seen))
        } else if let Some(under_way) = self.in_flight.get(&id) {
            (under_way.hash, Found::InFlight(under_way.outcomes.clone()))
        } else {
            self.make_room(now)?;
            self.in_flight.insert(id, InFlight { hash, outcomes: outcomes.clone() });
            return Ok(Found::New);
        };
        if known == hash { Ok(found) } else { Err(Refusal::IdReused) }
    }

    /// `id` is no longer under way, and was not stored as far as is known.
    pub(super) fn abandon(&mut self, id: BodyId) {
        self.in_flight.remove(&id);
    }

    /// An entry is durable.
    pub(super) fn stored(&mut self, position: LogPosition, bytes: u64, head: &Head) {
        let number = position.number();
        let row = head
            .id
            .map(|id| (id, Seen { received: head.received, hash: head.hash, records: head.records, number }));
        if let Some((id, seen)) = row {
            self.in_flight.remove(&id);
            self.insert(id, seen);
        }
        if self.fresh.insert(number, Fresh { position: Some(position), bytes, row }).is_none() {
            self.fresh_bytes += bytes;
        }
    }

    fn insert(&mut self, id: BodyId, seen: Seen) {
        if self.stored.insert(id, seen).is_none() {
            self.order.push_back(id);
        }
    }

    /// Forgets what is older than ids are kept.
    fn expire(&mut self, now: Timestamp) {
        let kept = i64::try_from(KEPT.as_micros()).unwrap_or(i64::MAX);
        while self.oldest().is_some_and(|oldest| oldest.plus_micros(kept) < now) {
            self.forget();
        }
    }

    /// When the oldest was received.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.order.front().and_then(|id| self.stored.get(id)).map(|seen| seen.received)
    }

    fn forget(&mut self) {
        if let Some(id) = self.order.pop_front() {
            self.stored.remove(&id);
        }
    }

    fn make_room(&mut self, now: Timestamp) -> Result<(), Refusal> {
        if self.stored.len() + self.in_flight.len() < self.max {
            return Ok(());
        }
        let window = i64::try_from(REPLAY_WINDOW.as_micros()).unwrap_or(i64::MAX);
        if self.oldest().is_none_or(|oldest| oldest.plus_micros(window) >= now) {
            return Err(Refusal::Full);
        }
        self.forget();
        self.forgotten += 1;
        Ok(())
    }

    /// How many were forgotten early since the last time.
    pub(super) fn take_forgotten(&mut self) -> u64 {
        std::mem::take(&mut self.forgotten)
    }

    /// Whether a block should be written.
    pub(super) fn is_due(&self) -> bool {
        self.fresh.len() >= DUE_ENTRIES || self.fresh_bytes >= DUE_BYTES
    }

    /// Takes the entries that blocks can be about now: all of which those before are known, too.
    pub(super) fn take_due(&mut self) -> Due {
        let mut due = Due::default();
        while let Some(first) = self.fresh.first_entry()
            && *first.key() == self.next
        {
            let Fresh { position, bytes, row } = first.remove();
            self.fresh_bytes -= bytes;
            self.next += 1;
            due.0.extend(position.map(|position| (position, row)));
        }
        due
    }

    /// Entries before `end` that are not there were damaged: blocks need not wait for them.
    pub(super) fn fill_gaps(&mut self, end: LogPosition) {
        let known: Vec<u64> = self.fresh.keys().copied().chain([end.number()]).collect();
        let mut expected = self.next;
        for number in known {
            for missing in expected..number {
                self.fresh.insert(missing, Fresh { position: None, bytes: 0, row: None });
            }
            expected = number + 1;
        }
    }

    /// The first entry that no block is about.
    pub(super) fn next(&self) -> u64 {
        self.next
    }
}

impl Due {
    /// Where each entry is, and its id.
    pub(super) fn entries(&self) -> &[(LogPosition, Option<Row>)] {
        &self.0
    }

    /// Whether it says anything that opening could not find out by itself.
    pub(super) fn has_ids(&self) -> bool {
        self.0.iter().any(|(_, row)| row.is_some())
    }
}

/// The ids of blocks and of the entries of `log` that came after them.
pub(super) fn recover(opened: &OpenedBlocks, max_ids: u64, log: &SegmentLog, now: Timestamp) -> Result<Ids> {
    let mut ids = Ids::new(max_ids);
    for (of, id, seen) in &opened.ids {
        // What was in another log is committed, or lost: nobody waits for it.
        let number = if *of == log.id() { seen.number } else { 0 };
        ids.insert(*id, Seen { number, ..*seen });
    }
    let last = opened.blocks.last(Some(log.id()));
    let first = log.first();
    let from = last.map_or(first, |last| last.max(first));
    ids.next = last.map_or(0, |last| last.number() + 1).max(first.number());
    let mut reader = log.reader(from);
    let mut entries = Entries::new();
    let next = ids.next;
    loop {
        reader.read(LogPosition::MAX, &mut entries)?;
        if entries.is_empty() && entries.damage().is_none() {
            break;
        }
        // Damage is reported by the reader of the source.
        for entry in entries.iter().filter(|entry| entry.position.number() >= next) {
            let (head, _) = Head::split(entry.payload)?;
            ids.stored(entry.position, entry.payload.len() as u64, &head);
        }
    }
    ids.fill_gaps(log.end());
    ids.expire(now);
    while ids.stored.len() > ids.max {
        ids.forget();
    }
    Ok(ids)
}
