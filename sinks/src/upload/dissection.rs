//! Taking apart what the receiver refused: into halves, until the one record that it means is found.

use std::{future::Future, ops::Range, sync::Arc};

use afferent_core::{Error, Reject, Result};

use super::{Key, body::Unpacked, driver::DriverCx, lane::Current, letter::refusal, state::Part};

/// What a refused body was taken apart into.
#[derive(Debug)]
pub(super) enum Dissected {
    Halves([Part; 2]),
    Record(Box<Reject>),
    /// The receiver has all records but these, by their places in the body.
    Others(Vec<(u32, Reject)>),
}

/// Takes apart what was refused of `current`, in a job; and what it was unpacked to, for its parts.
pub(super) fn dissect(
    current: &Current,
    reason: String,
    cx: &DriverCx,
) -> impl Future<Output = Result<(Arc<Unpacked>, Dissected)>> + Send + 'static + use<> {
    let format = cx.format;
    let (entry, known, range) = (current.entry.clone(), current.unpacked.clone(), current.range());
    let parent = current.parts.front().map_or(entry.head.key, |part| part.key);
    let job = cx.blocking.spawn(move || {
        let unpacked = known.map_or_else(|| entry.unpack().map(Arc::new), Ok)?;
        let dissected = match range.end - range.start {
            1 => Dissected::Record(Box::new(refusal(format, &entry, &unpacked, range.start, &reason))),
            _ => Dissected::Halves(halves(parent, range, &unpacked)),
        };
        Ok::<_, Error>((unpacked, dissected))
    });
    async move { job.await? }
}

/// Takes out of `current` the records that were refused, counted from the first of what was sent, in a job.
pub(super) fn take_out(
    current: &Current,
    refused: Vec<(u32, String)>,
    cx: &DriverCx,
) -> impl Future<Output = Result<(Arc<Unpacked>, Dissected)>> + Send + 'static + use<> {
    let format = cx.format;
    let (entry, known, range) = (current.entry.clone(), current.unpacked.clone(), current.range());
    let job = cx.blocking.spawn(move || {
        let unpacked = known.map_or_else(|| entry.unpack().map(Arc::new), Ok)?;
        let mut rejects: Vec<(u32, Reject)> = Vec::new();
        for (index, reason) in refused {
            let index = range.start.saturating_add(index);
            // A transport that counts wrong must not count a record twice.
            if range.contains(&index) && rejects.iter().all(|(known, _)| *known != index) {
                rejects.push((index, refusal(format, &entry, &unpacked, index, &reason)));
            }
        }
        rejects.sort_by_key(|(index, _)| *index);
        Ok::<_, Error>((unpacked, Dissected::Others(rejects)))
    });
    async move { job.await? }
}

/// The two halves of a refused part, each with a key of its own.
fn halves(parent: Key, range: Range<u32>, unpacked: &Unpacked) -> [Part; 2] {
    let middle = range.start + (range.end - range.start) / 2;
    [range.start..middle, middle..range.end].map(|half| {
        let key = parent.of_part(half.clone(), &unpacked.part(half.clone()));
        Part { start: half.start, end: half.end, key }
    })
}
