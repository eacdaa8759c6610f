//! Sessions: which records belong together, as they come and go.
//!
//! Two records are in one session if less than `gap` lies between the end of the one and the start of the other. So the
//! sessions are a function of the records, whatever the order in which they came.

use super::{Open, Place, slice};

/// The sessions of `open` that records from `start` to `end` are in, or would join: their bounds, latest first.
pub(super) fn near(open: &Open, start: i64, end: i64, gap: i64) -> impl Iterator<Item = (i64, i64)> + '_ {
    let before = end.saturating_add(gap);
    let near = open.sessions.range(..before).rev().map(|(start, end)| (*start, *end));
    near.take_while(move |(_, session_end)| session_end.saturating_add(gap) > start)
}

/// A record from `start` to `end` joins what it is near.
pub(super) fn join(
    open: &mut Open,
    (group, start, end): Place,
    gap: i64,
    ended: &mut Vec<Place>,
    touched: &mut Vec<Place>,
) {
    let near: Vec<(i64, i64)> = near(open, start, end, gap).collect();
    let bounds = near.iter().fold((start, end), |all, one| (all.0.min(one.0), all.1.max(one.1)));
    for (start, end) in near {
        if (start, end) != bounds {
            open.sessions.remove(&start);
            ended.push((group, start, end));
        }
    }
    open.sessions.insert(bounds.0, bounds.1);
    settle(open, (group, bounds.0, bounds.1), gap, touched);
}

/// A record that began at `time` is gone, from its slice too: what is left of its session falls apart where it has to.
pub(super) fn split(
    open: &mut Open,
    (group, time): (u32, i64),
    gap: i64,
    ended: &mut Vec<Place>,
    touched: &mut Vec<Place>,
) {
    let Some((&start, &end)) = open.sessions.range(..=time).next_back() else { return };
    open.sessions.remove(&start);
    ended.push((group, start, end));
    let mut parts: Vec<(i64, i64)> = Vec::new();
    for sample in open.slices.range(slice(start, gap), end.saturating_add(1)) {
        if sample.start < start || sample.start > end {
            continue;
        }
        match parts.last_mut() {
            Some(last) if sample.start < last.1.saturating_add(gap) => last.1 = last.1.max(sample.end),
            _ => parts.push((sample.start, sample.end)),
        }
    }
    for (start, end) in parts {
        open.sessions.insert(start, end);
        settle(open, (group, start, end), gap, touched);
    }
}

/// A session has these bounds now: it is looked at if it is closed, and comes due if it is not.
fn settle(open: &mut Open, place: Place, gap: i64, touched: &mut Vec<Place>) {
    let closes = place.2.saturating_add(gap);
    if closes > open.clock.watermark() {
        open.due = open.due.min(closes);
    }
    touched.push(place);
}

/// Knows again when the first session becomes final.
pub(super) fn expire(open: &mut Open, gap: i64, allowed: i64) {
    let first = open.sessions.first_key_value();
    open.expires = first.map_or(i64::MAX, |(_, end)| end.saturating_add(gap).saturating_add(allowed));
}
