//! [`Ids`], which are known, and [`Blocks`], in which they are kept when their bodies are gone.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    path::Path,
    sync::Arc,
};

use afferent_core::{
    Error, Result, Timestamp,
    disk::Disk,
    random::Random,
    segment_log::{Appended, Damage, Entries, LogId, LogLimits, LogPosition, SegmentLog},
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{
    KEPT, REPLAY_WINDOW,
    answer::Refusal,
    frame::{BodyId, Head},
};

/// Rows of a block: some 60 KiB.
const BLOCK_ROWS: usize = 1024;
/// What a row takes on disk at most, with its share of a block of its own.
const ROW_BYTES: u64 = 200;
/// What the log of blocks takes besides: segments that can't be trimmed yet.
const SPARE_BYTES: u64 = 16 << 20;
/// Version of a block's form.
const VERSION: u16 = 1;
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
    row: Option<(BodyId, Seen)>,
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
pub(super) struct Due(Vec<(LogPosition, Option<(BodyId, Seen)>)>);

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

    /// The first entry that no block is about.
    pub(super) fn next(&self) -> u64 {
        self.next
    }
}

impl Due {
    /// Whether it says anything that opening could not find out by itself.
    pub(super) fn has_ids(&self) -> bool {
        self.0.iter().any(|(_, row)| row.is_some())
    }
}

/// A block, as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Block {
    version: u16,
    /// The log of bodies.
    log: LogId,
    /// The last entry that this block and those before are about.
    last: LogPosition,
    rows: Vec<((u64, u64), Seen)>,
}

/// The log of blocks. In jobs only.
#[derive(Debug)]
pub(super) struct Blocks {
    log: SegmentLog,
    /// For each block when its newest id was received, and where it is.
    blocks: VecDeque<(Timestamp, LogPosition)>,
    /// The log of bodies.
    of: Option<LogId>,
    /// The last entry of it that a block is about.
    last: Option<LogPosition>,
}

/// What opening them found.
#[derive(Debug)]
pub(super) struct OpenedBlocks {
    pub(super) blocks: Blocks,
    /// All ids, oldest first, with the log that their numbers belong to.
    pub(super) ids: Vec<(LogId, BodyId, Seen)>,
    pub(super) alarms: Vec<String>,
}

impl Blocks {
    /// Opens them, and reads all.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        max_ids: u64,
        random: &mut Random,
    ) -> Result<OpenedBlocks> {
        let limits = LogLimits::new(SPARE_BYTES + max_ids * ROW_BYTES);
        let (log, recovery) = SegmentLog::open(disk, directory, limits, None, random)?;
        let lost = |damage: &Damage| {
            format!(
                "ids of the webhook are lost: {damage}; a request that its sender repeats may be stored twice"
            )
        };
        let mut alarms: Vec<String> = recovery.damage.iter().map(lost).collect();
        let mut blocks = Blocks { log, blocks: VecDeque::new(), of: None, last: None };
        let mut ids = Vec::new();
        let mut reader = blocks.log.reader(blocks.log.first());
        let mut entries = Entries::new();
        loop {
            reader.read(LogPosition::MAX, &mut entries)?;
            if let Some(damage) = entries.damage() {
                alarms.push(lost(damage));
            } else if entries.is_empty() {
                break;
            }
            for entry in entries.iter() {
                let block: Block = rmp_serde::from_slice(entry.payload).map_err(|error| {
                    Error::state("a block of the webhook's ids can't be read; it was written by a newer version of Afferent")
                        .with_source(error)
                })?;
                blocks.of = Some(block.log);
                blocks.last = Some(block.last);
                blocks.blocks.push_back((newest(block.rows.iter().map(|(_, seen)| seen)), entry.position));
                ids.extend(block.rows.into_iter().map(|((high, low), seen)| {
                    (block.log, BodyId(u128::from(high) << 64 | u128::from(low)), seen)
                }));
            }
        }
        Ok(OpenedBlocks { blocks, ids, alarms })
    }

    /// The last entry that a block is about: of any log, and of `log`.
    pub(super) fn last(&self, log: Option<LogId>) -> Option<LogPosition> {
        self.last.filter(|_| log.is_none() || log == self.of)
    }

    /// Writes blocks about `due`, durably. Of several the first may be all that survives a crash: each says how far it goes.
    pub(super) fn write(&mut self, log: LogId, due: &Due) -> Result<()> {
        for entries in due.0.chunks(BLOCK_ROWS) {
            let (last, _) = entries[entries.len() - 1];
            let ids = || entries.iter().filter_map(|(_, row)| row.as_ref());
            let rows = ids().map(|(id, seen)| (((id.0 >> 64) as u64, id.0 as u64), *seen)).collect();
            let bytes = rmp_serde::to_vec(&Block { version: VERSION, log, last, rows })
                .map_err(|error| Error::bug(format!("a block of ids: {error}")))?;
            match self.log.append(&bytes)? {
                Appended::At(position) => {
                    self.blocks.push_back((newest(ids().map(|(_, seen)| seen)), position));
                }
                Appended::Full => return Err(Error::transient("the log of the webhook's ids is full")),
            }
            (self.of, self.last) = (Some(log), Some(last));
        }
        self.log.sync()?;
        Ok(())
    }

    /// Drops blocks whose ids were all received before `oldest`. The last one stays: it says how far they go.
    pub(super) fn trim(&mut self, oldest: Option<Timestamp>) -> Result<()> {
        let is_old = |newest: Timestamp| oldest.is_none_or(|oldest| newest < oldest);
        while self.blocks.len() > 1 && self.blocks.front().is_some_and(|(newest, _)| is_old(*newest)) {
            self.blocks.pop_front();
        }
        match self.blocks.front() {
            Some((_, position)) => self.log.trim(*position),
            None => Ok(()),
        }
    }
}

/// When the newest of `ids` was received; long ago if there are none.
fn newest<'s>(ids: impl Iterator<Item = &'s Seen>) -> Timestamp {
    ids.map(|seen| seen.received).max().unwrap_or(Timestamp::from_micros_clamped(i64::MIN))
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

impl Ids {
    /// Entries before `end` that are not there were damaged: blocks need not wait for them.
    fn fill_gaps(&mut self, end: LogPosition) {
        let known: Vec<u64> = self.fresh.keys().copied().chain([end.number()]).collect();
        let mut expected = self.next;
        for number in known {
            for missing in expected..number {
                self.fresh.insert(missing, Fresh { position: None, bytes: 0, row: None });
            }
            expected = number + 1;
        }
    }
}
