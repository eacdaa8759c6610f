//! [`Blocks`]: in which ids are kept when their bodies are gone.

use std::{collections::VecDeque, path::Path, sync::Arc};

use afferent_core::{
    Error, Result, Timestamp,
    disk::Disk,
    random::Random,
    segment_log::{Appended, Damage, Entries, LogId, LogLimits, LogPosition, SegmentLog},
};
use serde::{Deserialize, Serialize};

use super::{
    frame::BodyId,
    ids::{Due, Seen},
};

/// Rows of a block: some 60 KiB.
const BLOCK_ROWS: usize = 1024;
/// What a row takes on disk at most, with its share of a block of its own.
const ROW_BYTES: u64 = 200;
/// What the log of blocks takes besides: segments that can't be trimmed yet.
const SPARE_BYTES: u64 = 16 << 20;
/// Version of a block's form.
const VERSION: u16 = 1;

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
        for entries in due.entries().chunks(BLOCK_ROWS) {
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
