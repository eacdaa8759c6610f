//! What goes out of windows, and when they are final.

use std::collections::BTreeSet;

use afferent_core::{Emit, Record, RecordId, Timestamp, Value, record::Aggregate};

use super::{
    Place, Window,
    config::{Shape, adds_up},
    function::compute,
    session, slice, windows,
};
use crate::transforms::{
    by,
    keyed::{Shown, digest},
};

impl Window {
    /// Gives out what the last changes make of the windows that they touched.
    pub(super) fn settle(&mut self, out: &mut Emit<Record>) {
        if self.ended.is_empty() && self.touched.is_empty() {
            return;
        }
        let (mut ended, mut touched) = (std::mem::take(&mut self.ended), std::mem::take(&mut self.touched));
        touched.sort_unstable_by_key(|(group, start, end)| (*end, *start, *group));
        touched.dedup();
        // A session that came back under its old bounds did not end.
        ended.retain(|(group, start, end)| {
            self.groups.get(*group).state.sessions.get(start).is_none_or(|now| now != end)
        });
        for place in ended.drain(..) {
            self.withdraw(place, out);
        }
        for place in touched.drain(..) {
            let open = &self.groups.get(place.0).state;
            if self.is_session() && open.sessions.get(&place.1) != Some(&place.2) {
                continue;
            }
            let is_closed = self.plan.closes(place.2) <= open.clock.watermark();
            if is_closed || open.shown.contains(&(place.1, place.2)) {
                self.show(place, out);
            }
        }
        (self.ended, self.touched) = (ended, touched);
    }

    pub(super) fn is_session(&self) -> bool {
        matches!(self.plan.shape, Shape::Session { .. })
    }

    /// Gives out the result of a window, if it is new or another than before.
    pub(super) fn show(&mut self, place: Place, out: &mut Emit<Record>) {
        let (number, start, end) = place;
        let (width, is_session) = (self.plan.width(), self.is_session());
        let group = self.groups.get_mut(number);
        let kind = group.key.kind.expect("invariant: an addition has a type");
        let to = if is_session { end.saturating_add(1) } else { end };
        let samples = group.state.slices.range(slice(start, width), to);
        let samples = samples.filter(|sample| sample.start >= start && sample.start < to);
        let is_empty = samples.clone().next().is_none();
        let results = compute(&self.plan.functions, samples, adds_up(kind));
        if is_empty {
            self.withdraw(place, out);
            return;
        }
        let value = Value::Aggregate(Aggregate { unit: group.key.unit, results }.into());
        let digest = digest(start, end, &value);
        let mut shown = self.shown.get(&place).copied().unwrap_or_default();
        let Some(revision) = shown.show(digest) else { return };
        let is_final =
            self.plan.closes(end).saturating_add(self.plan.allowed) <= group.state.clock.watermark();
        if !is_final {
            group.state.shown.insert((start, end));
            self.shown.insert(place, shown);
        }
        let group = self.groups.get(number);
        let bounds = [start.to_be_bytes(), end.to_be_bytes()];
        let id = self.identity.of_group(&group.key, &[&bounds[0], &bounds[1]], shown.life);
        let time = Timestamp::from_micros_clamped;
        let mut record = Record::added(id, kind, time(start), time(end), value);
        record.revision = revision;
        by::write(&self.plan.by, &group.key.texts, &mut record);
        self.tally.derived(Some(kind));
        out.push(record);
    }

    /// Deletes the result of a window, if one is there.
    pub(super) fn withdraw(&mut self, place: Place, out: &mut Emit<Record>) {
        let Some((life, revision)) = self.shown.change(&place).and_then(Shown::withdraw) else { return };
        let (number, start, end) = place;
        let key = &self.groups.get(number).key;
        let bounds = [start.to_be_bytes(), end.to_be_bytes()];
        let mut record =
            Record::deleted(self.identity.of_group(key, &[&bounds[0], &bounds[1]], life), key.kind);
        record.revision = revision;
        by::write(&self.plan.by, &key.texts, &mut record);
        self.tally.derived(key.kind);
        out.push(record);
    }

    /// Gives out what the watermark of a group has passed, and forgets what is final.
    #[inline]
    pub(super) fn advance(&mut self, group: u32, out: &mut Emit<Record>) {
        let open = &self.groups.get(group).state;
        let watermark = open.clock.watermark();
        if watermark >= open.due {
            self.close(group, watermark, out);
        }
        if watermark >= self.groups.get(group).state.expires {
            self.forget(group, watermark);
        }
    }

    /// Gives out the windows of a group that close between what was due and `watermark`.
    pub(super) fn close(&mut self, group: u32, watermark: i64, out: &mut Emit<Record>) {
        let open = &mut self.groups.get_mut(group).state;
        let from = open.due;
        let mut closed = BTreeSet::new();
        match self.plan.shape {
            Shape::Fixed { size, slide } => {
                let (first, last) = (from.saturating_sub(size), watermark.saturating_sub(1));
                for at in open.slices.starts(first, last.saturating_add(1)) {
                    let ends = windows(at, size, slide).map(|start| (start.saturating_add(size), start));
                    closed.extend(ends.filter(|(end, _)| *end >= from && *end <= watermark));
                }
                let next =
                    open.slices.starts(watermark.saturating_sub(size).saturating_add(1), i64::MAX).next();
                open.due = next.map_or(i64::MAX, |at| {
                    windows(at, size, slide)
                        .map(|start| start.saturating_add(size))
                        .filter(|end| *end > watermark)
                        .min()
                        .unwrap_or(i64::MAX)
                });
            }
            Shape::Session { gap } => {
                open.due = i64::MAX;
                for (start, end) in open.sessions.iter().rev() {
                    let closes = end.saturating_add(gap);
                    if closes < from {
                        break;
                    }
                    if closes <= watermark {
                        closed.insert((*end, *start));
                    } else {
                        open.due = open.due.min(closes);
                    }
                }
            }
        }
        for (end, start) in closed {
            self.show((group, start, end), out);
        }
    }

    /// Forgets the windows of a group that are final.
    pub(super) fn forget(&mut self, group: u32, watermark: i64) {
        let (width, allowed) = (self.plan.width(), self.plan.allowed);
        let open = &mut self.groups.get_mut(group).state;
        match self.plan.shape {
            Shape::Fixed { size, .. } => {
                let expires = |at: i64| at.saturating_add(size).saturating_add(allowed);
                while let Some(at) = open.slices.first().filter(|at| expires(*at) <= watermark) {
                    for sample in open.slices.remove_slice(at) {
                        self.samples.remove(&sample.id);
                    }
                    self.oldest.remove(&(at, group));
                }
                open.expires = open.slices.first().map_or(i64::MAX, expires);
            }
            Shape::Session { gap } => {
                let expires = |end: i64| end.saturating_add(gap).saturating_add(allowed);
                while let Some((&start, &end)) =
                    open.sessions.first_key_value().filter(|(_, end)| expires(**end) <= watermark)
                {
                    open.sessions.pop_first();
                    let within = open.slices.range(slice(start, width), end.saturating_add(1));
                    let within: Vec<(i64, RecordId)> = within
                        .filter(|sample| sample.start >= start && sample.start <= end)
                        .map(|sample| (slice(sample.start, width), sample.id))
                        .collect();
                    for (at, id) in within {
                        self.samples.remove(&id);
                        if open.slices.remove(at, id) {
                            self.oldest.remove(&(at, group));
                        }
                    }
                }
                session::expire(open, gap, allowed);
            }
        }
        let plan = &self.plan;
        while let Some((start, end)) = open
            .shown
            .first()
            .copied()
            .filter(|(_, end)| plan.closes(*end).saturating_add(allowed) <= watermark)
        {
            open.shown.pop_first();
            self.shown.remove(&(group, start, end));
        }
    }

    /// Closes the oldest window early, to make room: as if its watermark had passed it for good.
    pub(super) fn close_oldest(&mut self, out: &mut Emit<Record>) {
        let Some(&(at, group)) = self.oldest.first() else { return };
        let open = &mut self.groups.change(group).state;
        let closes = match self.plan.shape {
            Shape::Fixed { size, .. } => at.saturating_add(size),
            Shape::Session { gap } => {
                open.sessions.first_key_value().map_or(at, |(_, end)| *end).saturating_add(gap)
            }
        };
        open.clock.raise(closes.saturating_add(self.plan.allowed));
        self.advance(group, out);
    }
}
