//! What windows hold: samples come, are taken back, and are known again after a restart.

use afferent_core::RecordId;

use super::{Place, Window, config::Shape, session, slice, windows};
use crate::transforms::keyed::Sample;

impl Window {
    /// Holds a sample.
    #[inline]
    pub(super) fn put(&mut self, sample: Sample) {
        let width = self.plan.width();
        let (at, group) = (slice(sample.start, width), sample.group);
        let open = &mut self.groups.get_mut(group).state;
        if open.slices.insert(at, sample) {
            self.oldest.insert((at, group));
        }
        self.samples.insert(sample.id, sample);
        match self.plan.shape {
            Shape::Fixed { size, slide } => {
                let watermark = open.clock.watermark();
                open.expires = open.expires.min(at.saturating_add(size).saturating_add(self.plan.allowed));
                if watermark < at && open.shown.is_empty() {
                    // None of its windows is closed yet.
                    open.due = open.due.min(at.saturating_add(slide));
                    return;
                }
                for start in windows(at, size, slide) {
                    let end = start.saturating_add(size);
                    if end > watermark {
                        open.due = open.due.min(end);
                    }
                    let is_final = end.saturating_add(self.plan.allowed) <= watermark;
                    if !is_final && (end <= watermark || open.shown.contains(&(start, end))) {
                        self.touched.push((group, start, end));
                    }
                }
            }
            Shape::Session { gap } => {
                session::join(
                    open,
                    (group, sample.start, sample.end),
                    gap,
                    &mut self.ended,
                    &mut self.touched,
                );
                session::expire(open, gap, self.plan.allowed);
            }
        }
    }

    /// Takes a sample back; whether it was held.
    pub(super) fn take(&mut self, id: RecordId) -> bool {
        let Some(sample) = self.samples.remove(&id) else { return false };
        let (at, group) = (slice(sample.start, self.plan.width()), sample.group);
        let open = &mut self.groups.get_mut(group).state;
        if open.slices.remove(at, id) {
            self.oldest.remove(&(at, group));
        }
        match self.plan.shape {
            Shape::Fixed { size, slide } => {
                let windows = windows(at, size, slide).map(|start| (start, start.saturating_add(size)));
                let shown = windows.filter(|bounds| open.shown.contains(bounds));
                self.touched.extend(shown.map(|(start, end)| (group, start, end)));
            }
            Shape::Session { gap } => {
                session::split(open, (group, sample.start), gap, &mut self.ended, &mut self.touched);
                session::expire(open, gap, self.plan.allowed);
            }
        }
        true
    }

    /// Knows again which windows are open, from the samples and clocks that were restored.
    pub(super) fn rebuild(&mut self) {
        let mut samples: Vec<Sample> = self.samples.iter().map(|(_, sample)| *sample).collect();
        samples.sort_unstable_by_key(|sample| (sample.start, sample.id));
        let mut places: Vec<Place> = self.shown.iter().map(|(place, _)| *place).collect();
        places.sort_unstable();
        let (width, shape, allowed) = (self.plan.width(), self.plan.shape, self.plan.allowed);
        for sample in samples {
            let (at, group) = (slice(sample.start, width), sample.group);
            let open = &mut self.groups.get_mut(group).state;
            if open.slices.insert(at, sample) {
                self.oldest.insert((at, group));
            }
            let watermark = open.clock.watermark();
            match shape {
                Shape::Fixed { size, slide } => {
                    open.expires = open.expires.min(at.saturating_add(size).saturating_add(allowed));
                    let ends = windows(at, size, slide).map(|start| start.saturating_add(size));
                    open.due = ends.filter(|end| *end > watermark).fold(open.due, i64::min);
                }
                Shape::Session { gap } => {
                    session::join(
                        open,
                        (group, sample.start, sample.end),
                        gap,
                        &mut self.ended,
                        &mut self.touched,
                    );
                }
            }
        }
        self.ended.clear();
        self.touched.clear();
        for group in self.groups.numbers() {
            let open = &mut self.groups.get_mut(group).state;
            if let Shape::Session { gap } = shape {
                let (watermark, closes) = (open.clock.watermark(), |end: &i64| end.saturating_add(gap));
                open.due =
                    open.sessions.values().map(closes).find(|end| *end > watermark).unwrap_or(i64::MAX);
                session::expire(open, gap, allowed);
            }
        }
        for (group, start, end) in places {
            self.groups.get_mut(group).state.shown.insert((start, end));
        }
    }
}
