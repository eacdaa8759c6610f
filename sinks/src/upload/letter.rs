//! What the receiver refuses becomes a dead letter, and is withdrawn when a later record supersedes it.

use std::ops::Range;

use afferent_core::{
    Census, DeadLetter, Epoch, Record, RecordKey, Reject, Result,
    reject::{Fate, RejectedBy},
};
use afferent_formats::{Format, Location, decode_one};

use super::{
    body::{Entry, Unpacked},
    driver::DriverCx,
};

/// The record at `index` as a reject: read back where that gives the record that was written, so that it can be put in
/// again; otherwise as the bytes it is.
pub(super) fn refusal(
    format: Format,
    entry: &Entry,
    unpacked: &Unpacked,
    index: u32,
    reason: &str,
) -> Reject {
    let place = &unpacked.places[index as usize];
    let (key, kind) = (place.key(), entry.kind(place));
    let location = format!("record {} of body {}", u64::from(index) + 1, entry.head.key);
    match read_back(format, unpacked, index).filter(|record| record.key() == key) {
        Some(record) => Reject { location, kind, ..Reject::record(&record, reason) },
        None => {
            let reject = Reject::raw(unpacked.record(index), reason, location);
            Reject { key: Some(key.id.to_string()), kind, ..reject }
        }
    }
}

/// The record at `index`, as far as the body's format says what it is.
pub(super) fn read_back(format: Format, unpacked: &Unpacked, index: u32) -> Option<Record> {
    let copy = &unpacked.places[index as usize].copy;
    if !copy.is_empty() {
        return rmp_serde::from_slice(copy).ok();
    }
    let bytes = match format {
        // With the header, which stands before the first record.
        Format::Csv => unpacked.part(index..index + 1).to_vec(),
        _ => [unpacked.record(index), format.ending()].concat(),
    };
    decode_one(format, &bytes, Location { name: "body", line: 1 }).ok()
}

/// A dead letter of the epoch whose body held it.
pub(super) fn letter(reject: Reject, epoch: Epoch, cx: &DriverCx) -> DeadLetter {
    let Reject { payload, key, reason, location, kind } = reject;
    DeadLetter {
        stage: cx.stage.clone(),
        payload,
        key,
        reason,
        location,
        time: cx.clock.now(),
        incarnation: cx.incarnation,
        epoch,
        by: Some(RejectedBy::Receiver),
        fate: Fate::Dead,
        kind,
    }
}

/// Records that the receiver has and that may withdraw dead letters, each with the epoch of its body.
#[derive(Debug, Default)]
pub(super) struct Passed(Vec<(RecordKey, Epoch)>);

impl Passed {
    /// Adds those of `range` in a body.
    pub(super) fn add(&mut self, entry: &Entry, range: Range<u32>) -> Result<()> {
        self.0.extend(entry.superseding(range)?.into_iter().map(|key| (key, entry.head.epoch)));
        Ok(())
    }

    pub(super) fn keys(&self) -> Vec<RecordKey> {
        self.0.iter().map(|(key, _)| *key).collect()
    }

    /// Withdraws what is superseded of letters that are not saved yet; which, by type.
    pub(super) fn withdraw(&self, letters: &mut [DeadLetter]) -> Census {
        let mut withdrawn = Census::new();
        if self.0.is_empty() {
            return withdrawn;
        }
        for letter in letters {
            let Some(key) = letter.record_key() else { continue };
            if let Some((_, epoch)) = self.0.iter().find(|(passed, _)| passed.supersedes(key)) {
                letter.fate = Fate::Withdrawn(*epoch);
                withdrawn.count(letter.kind(), 1);
            }
        }
        withdrawn
    }

    /// The newest epoch in it: what is withdrawn by one of several is so at the latest.
    pub(super) fn epoch(&self) -> Epoch {
        self.0.iter().map(|(_, epoch)| *epoch).max().unwrap_or_default()
    }
}
