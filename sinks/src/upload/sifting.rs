//! Taking out of a body what may not be sent any more.
//!
//! What was allowed when a body was sealed may be forbidden when its turn comes, and while it is tried. Then each of its records is
//! read back and asked for, and the body is replaced, durably, by what lies between those that stay. A run of records has a key
//! of its own, over the key of what it is part of, as a half of a refused body has: it is another body. So where the receiver may have
//! the whole and has not said so, it may see the rest twice; that is told, and counted as unresolved.
//!
//! A record that can't be read back is not sent, because nobody knows whether it may be: it is a dead letter.
//!
//! Each run of records that stays is sent by itself. Where many subjects take turns in a body, that is many requests, once.

use std::{collections::VecDeque, future::Future, sync::Arc};

use afferent_core::{Census, Error, Record, Reject, Result, stage::Permission};

use super::{
    body::Unpacked,
    driver::DriverCx,
    lane::Current,
    letter::{read_back, refusal},
    state::Part,
};

/// Why a record that nothing reads back is a dead letter.
const UNREADABLE: &str =
    "expected a record that can be read back, to ask whether it may still be sent; found none";

/// What is left of a body.
#[derive(Debug)]
pub(super) struct Sifted {
    pub(super) unpacked: Arc<Unpacked>,
    /// Under which version of the permission.
    pub(super) version: u64,
    /// What may be sent, in order.
    pub(super) parts: VecDeque<Part>,
    /// What may not be, by type.
    pub(super) withheld: Census,
    /// What nobody can say it of.
    pub(super) unreadable: Vec<Reject>,
}

/// Asks `permission`, of `version`, for what `current` has left, in a job.
pub(super) fn sift(
    current: &Current,
    (permission, version): (Permission<Record>, u64),
    cx: &DriverCx,
) -> impl Future<Output = Result<Sifted>> + Send + 'static + use<> {
    let format = cx.format;
    let (entry, known, left) = (current.entry.clone(), current.unpacked.clone(), current.left());
    let job = cx.blocking.spawn(move || {
        let unpacked = known.map_or_else(|| entry.unpack().map(Arc::new), Ok)?;
        let (mut parts, mut withheld, mut unreadable) = (VecDeque::new(), Census::new(), Vec::new());
        for whole in left {
            let mut begin = whole.start;
            let mut give = |start: u32, end: u32| {
                if start == whole.start && end == whole.end {
                    parts.push_back(whole);
                } else if start < end {
                    let key = whole.key.of_part(start..end, &unpacked.part(start..end));
                    parts.push_back(Part { start, end, key });
                }
            };
            for index in whole.start..whole.end {
                match read_back(format, &unpacked, index) {
                    Some(record) if permission.allows(&record) => continue,
                    Some(_) => withheld.count(entry.kind(&unpacked.places[index as usize]), 1),
                    None => unreadable.push(refusal(format, &entry, &unpacked, index, UNREADABLE)),
                }
                give(begin, index);
                begin = index + 1;
            }
            give(begin, whole.end);
        }
        Ok::<_, Error>(Sifted { unpacked, version, parts, withheld, unreadable })
    });
    async move { job.await? }
}
