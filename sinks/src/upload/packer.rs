//! [`Packer`]: from records to bodies, one open in each lane.

use std::collections::HashSet;

use afferent_core::{Error, Record, RecordId, Reject, Rejects, Result};
use afferent_formats::{DecoderOptions, Encoder, Format};

use super::{
    Framing, Settings,
    body::{OfType, Place},
};

/// The longest record in a body: whoever sends or receives one holds it in memory as a whole. Longer ones are rejected.
pub(super) const MAX_RECORD_BYTES: usize = 32 << 20;

/// A closed body that has not been sealed.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) lane: u16,
    /// Counts the bodies of its lane in the epoch.
    pub(super) ordinal: u32,
    /// It holds a deletion without a subject: it waits for all bodies before it.
    pub(super) waits: bool,
    pub(super) plain: Vec<u8>,
    pub(super) places: Vec<Place>,
    pub(super) types: Vec<OfType>,
}

/// Writes records into bodies.
pub(super) struct Packer {
    encoder: Box<dyn Encoder>,
    framing: Framing,
    format: Format,
    /// Each record is kept beside the bodies.
    copies: bool,
    records: usize,
    bytes: usize,
    lanes: Vec<Open>,
}

/// An open body.
#[derive(Debug, Default)]
struct Open {
    plain: Vec<u8>,
    places: Vec<Place>,
    types: Vec<OfType>,
    /// Of a Bundle, the records in it.
    ids: HashSet<RecordId>,
    ordinal: u32,
    waits: bool,
}

impl Open {
    fn has(&self, id: RecordId) -> bool {
        self.ids.contains(&id)
    }

    /// Adds `record`, which lies at `place`.
    fn push(&mut self, place: Place, record: &Record) {
        let is_its = |of_type: &OfType| of_type.kind == record.kind;
        // What comes often comes in a row, so the last type is looked at first.
        let last = self.types.len().saturating_sub(1);
        let found = if self.types.last().is_some_and(is_its) {
            Some(last)
        } else {
            self.types.iter().position(is_its)
        };
        let index = found.unwrap_or_else(|| {
            self.types.push(OfType { kind: record.kind, records: 0 });
            self.types.len() - 1
        });
        self.types[index].records += 1;
        // A process knows fewer kinds than this can number.
        let of_type = u16::try_from(index).expect("there are fewer kinds than 65,536");
        self.places.push(Place { of_type, ..place });
    }
}

impl Packer {
    /// # Errors
    /// `Config` for a format that is only read.
    pub(super) fn new(settings: &Settings) -> Result<Packer> {
        Ok(Packer {
            encoder: settings
                .encoder()
                .ok_or_else(|| Error::config("in `format`: this form is only read"))?,
            framing: settings.framing(),
            format: settings.format,
            copies: keeps_copies(settings.format, false),
            records: match settings.framing() {
                Framing::Single => 1,
                _ => settings.batch.records,
            },
            bytes: usize::try_from(settings.batch.bytes.0).unwrap_or(usize::MAX),
            lanes: (0..settings.lanes).map(|_| Open::default()).collect(),
        })
    }

    /// Whether what is packed from now on may have to be asked for again whether it may be sent.
    pub(super) fn guard(&mut self, is_guarded: bool) {
        self.copies = keeps_copies(self.format, is_guarded);
    }

    /// Adds a record to the body of its lane; bodies that are full go to `closed`, a record that has no form to `rejects`.
    pub(super) fn push(&mut self, record: &Record, closed: &mut Vec<Draft>, rejects: &mut Rejects) {
        let lane = self.lane_of(record);
        // A server carries out the entries of a Bundle in an order of its own.
        if self.framing.is_bundle() && self.lanes[lane].has(record.id) {
            self.close(lane, closed);
        }
        // It may delete a sample of any lane: what came before must lie before it.
        let waits = record.is_deletion() && record.subject.is_none();
        if waits {
            let others = (0..self.lanes.len()).filter(|other| *other != lane);
            for other in others {
                self.close(other, closed);
            }
        }
        match self.append(lane, record) {
            Ok(place) if self.is_over(lane) => {
                let open = &mut self.lanes[lane];
                let tail = open.plain.split_off(place.offset as usize);
                self.close(lane, closed);
                let open = self.begin(lane);
                let offset = open.plain.len() as u32;
                open.plain.extend_from_slice(&tail);
                open.push(Place { offset, ..place }, record);
            }
            Ok(place) => self.lanes[lane].push(place, record),
            Err(reason) => {
                rejects.push(Reject::record(record, reason));
                return;
            }
        }
        self.lanes[lane].waits |= waits;
        if self.framing.is_bundle() {
            self.lanes[lane].ids.insert(record.id);
        }
        if self.lanes[lane].places.len() >= self.records || self.lanes[lane].plain.len() >= self.bytes {
            self.close(lane, closed);
        }
    }

    /// Closes all bodies: the epoch ends.
    pub(super) fn finish(&mut self, closed: &mut Vec<Draft>) {
        for lane in 0..self.lanes.len() {
            self.close(lane, closed);
            self.lanes[lane].ordinal = 0;
        }
    }

    /// A stable hash of the subject: a lane is part of a body's key, and of what a restart finds in the outbox.
    fn lane_of(&self, record: &Record) -> usize {
        match &record.subject {
            Some(subject) => {
                (xxhash_rust::xxh3::xxh3_64(subject.as_bytes()) % self.lanes.len() as u64) as usize
            }
            None => 0,
        }
    }

    /// Whether what was just appended is too much for an open body that has other records.
    fn is_over(&self, lane: usize) -> bool {
        !self.lanes[lane].places.is_empty() && self.lanes[lane].plain.len() > self.bytes
    }

    fn begin(&mut self, lane: usize) -> &mut Open {
        let open = &mut self.lanes[lane];
        if open.plain.is_empty() {
            open.plain.extend_from_slice(self.framing.begin());
            if self.framing == Framing::Lines {
                self.encoder.header(&mut open.plain);
            }
        }
        open
    }

    fn append(&mut self, lane: usize, record: &Record) -> Result<Place, String> {
        let offset = self.begin(lane).plain.len();
        let open = &mut self.lanes[lane];
        self.encoder.encode(record, &mut open.plain)?;
        let ending = self.encoder.ending().len();
        let length = open.plain.len() - offset - ending;
        if length > MAX_RECORD_BYTES {
            open.plain.truncate(offset);
            return Err(format!("it is {length} bytes long, and {MAX_RECORD_BYTES} are allowed in a body"));
        }
        if self.framing != Framing::Lines {
            // Instead of the line end.
            open.plain.truncate(offset + length);
            open.plain.push(b',');
        }
        let (offset, length) = (offset as u32, length as u32);
        let (id, change, revision) = (record.id, record.change, record.revision);
        let copy = if self.copies { rmp_serde::to_vec(record).unwrap_or_default() } else { Vec::new() };
        Ok(Place { offset, length, id, change, revision, of_type: 0, copy })
    }

    fn close(&mut self, lane: usize, closed: &mut Vec<Draft>) {
        let framing = self.framing;
        let open = &mut self.lanes[lane];
        if open.places.is_empty() {
            open.plain.clear();
            return;
        }
        if framing != Framing::Lines {
            open.plain.pop();
            open.plain.extend_from_slice(framing.end());
        }
        open.ids.clear();
        closed.push(Draft {
            lane: lane as u16,
            ordinal: open.ordinal,
            waits: std::mem::take(&mut open.waits),
            plain: std::mem::take(&mut open.plain),
            places: std::mem::take(&mut open.places),
            types: std::mem::take(&mut open.types),
        });
        open.ordinal += 1;
    }
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}

/// Whether bodies of `format` do not say enough of their records: nothing reads them back, or not whose they are, which whoever asks
/// whether they may be sent must know.
fn keeps_copies(format: Format, is_guarded: bool) -> bool {
    let says_all = matches!(format, Format::Json | Format::Msgpack);
    format.decoder(DecoderOptions::default()).is_none() || (is_guarded && !says_all)
}
