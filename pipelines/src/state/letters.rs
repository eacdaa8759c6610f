//! Dead letters in the database: reading them, adding them, and what becomes of them.
//!
//! A letter that was put in again stays in its table, hidden, until the epoch that took it is the oldest that is kept: a
//! fallback gives it back. `letters_by_record` finds the letters of a record without reading all.

use afferent_core::{
    DeadLetter, Epoch, Error, Generation, LetterId, Name, RecordKey, Result,
    checkpoint::Trim,
    reject::{Fate, LetterKeeper},
};
use redb::{ReadableTable, StorageError};

use super::{
    rows::{self, Failure, Head, LetterKey, RecordLetterKey, unpack},
    seal::seal,
    tables::Tables,
};

/// The first `limit` letters of the pipeline after `after`, without those that were put in again. A damaged one is reported
/// in the log and passed over: it must not hide the others.
pub(super) fn letters(
    table: &impl ReadableTable<LetterKey, &'static [u8]>,
    pipeline: &str,
    after: Option<LetterId>,
    limit: usize,
) -> Result<Vec<(LetterId, DeadLetter)>, StorageError> {
    let mut letters = Vec::new();
    let (epoch, number) = after.map_or((0, 0), |after| (after.epoch.0, after.number));
    for row in table.range((pipeline, epoch, number)..=(pipeline, u64::MAX, u64::MAX))? {
        let (key, value) = row?;
        let (_, epoch, number) = key.value();
        let id = LetterId { epoch: Epoch(epoch), number };
        if Some(id) == after {
            continue;
        }
        if letters.len() == limit {
            break;
        }
        match letter(pipeline, id, value.value()) {
            Some(DeadLetter { fate: Fate::Retried(_), .. }) => {}
            Some(letter) => letters.push((id, letter)),
            None => tracing::error!(pipeline, epoch, number, "a dead letter is damaged and can't be shown"),
        }
    }
    Ok(letters)
}

/// The first letter that is dead.
pub(super) fn oldest_dead(
    table: &impl ReadableTable<LetterKey, &'static [u8]>,
    pipeline: &str,
) -> Result<Option<DeadLetter>, StorageError> {
    for row in table.range((pipeline, 0, 0)..=(pipeline, u64::MAX, u64::MAX))? {
        let (key, value) = row?;
        let (_, epoch, number) = key.value();
        let letter = letter(pipeline, LetterId { epoch: Epoch(epoch), number }, value.value());
        if let Some(letter) = letter.filter(|letter| letter.fate == Fate::Dead) {
            return Ok(Some(letter));
        }
    }
    Ok(None)
}

/// How many letters of the pipeline there are, without those that were put in again.
pub(super) fn count_letters(
    table: &impl ReadableTable<LetterKey, &'static [u8]>,
    pipeline: &str,
) -> Result<u64, StorageError> {
    let mut count = 0;
    for row in table.range((pipeline, 0, 0)..=(pipeline, u64::MAX, u64::MAX))? {
        let (key, value) = row?;
        let (_, epoch, number) = key.value();
        let letter = letter(pipeline, LetterId { epoch: Epoch(epoch), number }, value.value());
        count += u64::from(!letter.is_some_and(|letter| matches!(letter.fate, Fate::Retried(_))));
    }
    Ok(count)
}

/// The letters that `keeper` decides on and one of `passed`, which are sorted, withdraws.
pub(super) fn withdrawable(
    letters: &impl ReadableTable<LetterKey, &'static [u8]>,
    by_record: &impl ReadableTable<RecordLetterKey, ()>,
    pipeline: &str,
    passed: &[RecordKey],
    keeper: &LetterKeeper,
) -> Result<Vec<(LetterId, DeadLetter)>, StorageError> {
    let mut found = Vec::new();
    for same in passed.chunk_by(|one, other| one.id == other.id) {
        let id = same.first().map_or(0, |key| key.id.as_u128());
        for row in by_record.range((pipeline, id, 0, 0)..=(pipeline, id, u64::MAX, u64::MAX))? {
            let (_, _, epoch, number) = row?.0.value();
            let Some(row) = letters.get((pipeline, epoch, number))? else { continue };
            let id = LetterId { epoch: Epoch(epoch), number };
            let letter = letter(pipeline, id, row.value());
            found.extend(
                letter.filter(|letter| letter.is_withdrawn_by(same, keeper)).map(|letter| (id, letter)),
            );
        }
    }
    Ok(found)
}

/// Reads a dead letter; `None` when it is damaged.
pub(super) fn letter(pipeline: &str, id: LetterId, sealed: &[u8]) -> Option<DeadLetter> {
    unpack(&letter_key(pipeline, &id.epoch.0.to_be_bytes(), &id.number.to_be_bytes()), sealed)
}

/// The row of a dead letter whose own bytes are `packed`.
pub(super) fn seal_letter(pipeline: &str, id: LetterId, packed: &[u8]) -> Vec<u8> {
    seal(&letter_key(pipeline, &id.epoch.0.to_be_bytes(), &id.number.to_be_bytes()), packed)
}

/// The key of a dead letter, for its seal.
fn letter_key<'a>(pipeline: &'a str, epoch: &'a [u8; 8], number: &'a [u8; 8]) -> [&'a [u8]; 3] {
    [pipeline.as_bytes(), epoch, number]
}

/// A letter's row with another fate, and what it counted for in limits.
pub(super) struct Settled {
    id: LetterId,
    fate: Fate,
    bytes: u64,
    row: Vec<u8>,
}

impl Tables<'_> {
    /// Adds letters.
    pub(super) fn put_dead_letters(
        &mut self,
        pipeline: &Name,
        letters: &[DeadLetter],
        packed: &[Vec<u8>],
        head: &mut Head,
    ) -> Result<(), StorageError> {
        for (letter, packed) in letters.iter().zip(packed) {
            let epoch = letter.epoch.0;
            let of_epoch = (pipeline.as_str(), epoch, 0)..=(pipeline.as_str(), epoch, u64::MAX);
            let last = self.dead_letters.range(of_epoch)?.next_back().transpose()?;
            let number = last.map_or(0, |(key, _)| key.value().2 + 1);
            let id = LetterId { epoch: letter.epoch, number };
            let row = seal_letter(pipeline, id, packed);
            self.dead_letters.insert((pipeline.as_str(), epoch, number), row.as_slice())?;
            if let Some(key) = letter.record_key() {
                self.letters_by_record.insert((pipeline.as_str(), key.id.as_u128(), epoch, number), ())?;
            }
        }
        head.dead_letters += letters.iter().filter(|letter| letter.fate == Fate::Dead).count() as u64;
        head.letter_bytes += letters.iter().map(DeadLetter::bytes).sum::<u64>();
        Ok(())
    }

    /// The rows of letters with other fates, which are dead.
    pub(super) fn settled(
        &self,
        pipeline: &Name,
        fates: impl Iterator<Item = (LetterId, Fate)>,
    ) -> Result<Vec<Settled>, Failure> {
        let mut settled = Vec::new();
        for (id, fate) in fates {
            let row = self.dead_letters.get((pipeline.as_str(), id.epoch.0, id.number))?;
            let letter = row.and_then(|row| letter(pipeline, id, row.value()));
            let Some(letter) = letter.filter(|letter| letter.fate == Fate::Dead) else {
                return Err(Error::transient(format!("dead letter {id} is no longer dead")).into());
            };
            let bytes = letter.bytes();
            let packed = rows::pack(&DeadLetter { fate, ..letter })?;
            settled.push(Settled { id, fate, bytes, row: seal_letter(pipeline, id, &packed) });
        }
        Ok(settled)
    }

    /// Puts rows in the place of letters that were dead.
    pub(super) fn settle(
        &mut self,
        pipeline: &Name,
        settled: Vec<Settled>,
        head: &mut Head,
    ) -> Result<(), StorageError> {
        head.dead_letters = head.dead_letters.saturating_sub(settled.len() as u64);
        for Settled { id, fate, bytes, row } in settled {
            let (epoch, number) = (id.epoch.0, id.number);
            self.dead_letters.insert((pipeline.as_str(), epoch, number), row.as_slice())?;
            if let Fate::Retried(by) = fate {
                head.letter_bytes = head.letter_bytes.saturating_sub(bytes);
                self.retried.insert((pipeline.as_str(), by.0, epoch, number), ())?;
            }
        }
        Ok(())
    }

    /// Drops letters, as [`trim_letters`](afferent_core::CheckpointStore::trim_letters) says.
    pub(super) fn trim_letters(
        &mut self,
        pipeline: &Name,
        generation: Generation,
        trim: &Trim,
    ) -> Result<u64, Failure> {
        let Some(mut head) = rows::head(&self.pipelines, pipeline)? else { return Ok(0) };
        rows::fence(&head, generation)?;
        let mut dropped = 0;
        for id in self.letter_ids(pipeline)? {
            // In order of epochs, which is about that of times: what comes later is not older.
            if head.letter_bytes <= trim.max_bytes && trim.before.is_none() {
                break;
            }
            let row = self.dead_letters.get((pipeline.as_str(), id.epoch.0, id.number))?;
            let Some(letter) = row.and_then(|row| letter(pipeline, id, row.value())) else { continue };
            if trim.drops(&letter, head.letter_bytes) {
                self.remove_letter(pipeline, id, Some(&letter))?;
                head.letter_bytes = head.letter_bytes.saturating_sub(letter.bytes());
                dropped += u64::from(letter.fate == Fate::Dead);
            }
        }
        head.dead_letters = head.dead_letters.saturating_sub(dropped);
        self.put_head(pipeline, &head)?;
        Ok(dropped)
    }

    /// Removes the letters that were put in again up to `oldest`, the oldest epoch that is kept.
    pub(super) fn drop_retried(&mut self, pipeline: &Name, oldest: u64) -> Result<(), StorageError> {
        let name = pipeline.as_str();
        let due = (name, 0, 0, 0)..=(name, oldest, u64::MAX, u64::MAX);
        let due: Vec<(u64, u64, u64)> = self
            .retried
            .range(due)?
            .map(|row| row.map(|(key, _)| (key.value().1, key.value().2, key.value().3)))
            .collect::<Result<_, _>>()?;
        for (by, epoch, number) in due {
            self.retried.remove((name, by, epoch, number))?;
            let id = LetterId { epoch: Epoch(epoch), number };
            let row = self.dead_letters.get((name, epoch, number))?;
            let letter = row.and_then(|row| letter(pipeline, id, row.value()));
            // Its number may be that of a later letter by now.
            if letter.as_ref().is_some_and(|letter| letter.fate == Fate::Retried(Epoch(by))) {
                self.remove_letter(pipeline, id, letter.as_ref())?;
            }
        }
        Ok(())
    }

    fn remove_letter(
        &mut self,
        pipeline: &Name,
        id: LetterId,
        letter: Option<&DeadLetter>,
    ) -> Result<(), StorageError> {
        let (epoch, number) = (id.epoch.0, id.number);
        self.dead_letters.remove((pipeline.as_str(), epoch, number))?;
        if let Some(key) = letter.and_then(DeadLetter::record_key) {
            self.letters_by_record.remove((pipeline.as_str(), key.id.as_u128(), epoch, number))?;
        }
        Ok(())
    }

    /// The ids of all letters in the table.
    fn letter_ids(&self, pipeline: &Name) -> Result<Vec<LetterId>, StorageError> {
        let rows = self.dead_letters.range(letters_of(pipeline, 0))?;
        rows.map(|row| {
            let (_, epoch, number) = row?.0.value();
            Ok(LetterId { epoch: Epoch(epoch), number })
        })
        .collect()
    }

    pub(super) fn count_dead(&self, pipeline: &Name) -> Result<u64, StorageError> {
        let letters = letters(&self.dead_letters, pipeline, None, usize::MAX)?;
        Ok(letters.iter().filter(|(_, letter)| letter.fate == Fate::Dead).count() as u64)
    }

    /// Notes where the letters of each record are, in a database of before that was noted; what all count for.
    pub(super) fn index_letters(&mut self, pipeline: &Name) -> Result<u64, StorageError> {
        let mut bytes = 0;
        for (id, letter) in letters(&self.dead_letters, pipeline, None, usize::MAX)? {
            bytes += letter.bytes();
            if let Some(key) = letter.record_key() {
                let row = (pipeline.as_str(), key.id.as_u128(), id.epoch.0, id.number);
                self.letters_by_record.insert(row, ())?;
            }
        }
        Ok(bytes)
    }

    /// Makes those dead again that an epoch after `good` settled.
    pub(super) fn revive_letters(&mut self, pipeline: &Name, good: u64) -> Result<(), Failure> {
        for id in self.letter_ids(pipeline)? {
            let row = self.dead_letters.get((pipeline.as_str(), id.epoch.0, id.number))?;
            let letter = row.and_then(|row| letter(pipeline, id, row.value()));
            let Some(letter) = letter.filter(|letter| letter.fate.epoch() > Some(Epoch(good))) else {
                continue;
            };
            let packed = rows::pack(&DeadLetter { fate: Fate::Dead, ..letter })?;
            let row = seal_letter(pipeline, id, &packed);
            self.dead_letters.insert((pipeline.as_str(), id.epoch.0, id.number), row.as_slice())?;
        }
        let later = (pipeline.as_str(), good + 1, 0, 0)..=(pipeline.as_str(), u64::MAX, u64::MAX, u64::MAX);
        Ok(self.retried.retain_in(later, |_, _| false)?)
    }

    /// Removes dead letters for good, those of `ids` or all; how many there were. What was put in again is not there any
    /// more.
    pub(super) fn drop_letters(&mut self, pipeline: &Name, ids: Option<&[LetterId]>) -> Result<u64, Failure> {
        let Some(mut head) = rows::head(&self.pipelines, pipeline)? else { return Ok(0) };
        let ids = match ids {
            Some(ids) => ids.to_vec(),
            None => self.letter_ids(pipeline)?,
        };
        let mut dropped = 0;
        for id in ids {
            let letter = match self.dead_letters.get((pipeline.as_str(), id.epoch.0, id.number))? {
                Some(row) => letter(pipeline, id, row.value()),
                None => continue,
            };
            // A damaged one is of no use and counts as dead.
            let fate = letter.as_ref().map_or(Fate::Dead, |letter| letter.fate);
            if matches!(fate, Fate::Retried(_)) {
                continue;
            }
            self.remove_letter(pipeline, id, letter.as_ref())?;
            dropped += 1;
            head.dead_letters = head.dead_letters.saturating_sub(u64::from(fate == Fate::Dead));
            let bytes = letter.as_ref().map_or(0, DeadLetter::bytes);
            head.letter_bytes = head.letter_bytes.saturating_sub(bytes);
        }
        self.put_head(pipeline, &head)?;
        Ok(dropped)
    }

    /// Removes the letters of epochs from `from` on.
    pub(super) fn remove_dead_letters(&mut self, pipeline: &Name, from: u64) -> Result<(), StorageError> {
        self.dead_letters.retain_in(letters_of(pipeline, from), |_, _| false)?;
        let all = (pipeline.as_str(), 0, 0, 0)..=(pipeline.as_str(), u128::MAX, u64::MAX, u64::MAX);
        self.letters_by_record.retain_in(all, |(_, _, epoch, _), ()| epoch < from)
    }
}

fn letters_of(pipeline: &str, from: u64) -> std::ops::RangeInclusive<(&str, u64, u64)> {
    (pipeline, from, 0)..=(pipeline, u64::MAX, u64::MAX)
}
