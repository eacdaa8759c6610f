//! What is held: it comes, changes what it is inside of, is taken back, is forgotten, and is known again after a restart.

use afferent_core::{Emit, Record, RecordId, Result};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Join,
    lane::{Lasting, NONE},
};
use crate::transforms::keyed::{Sample, damaged};

impl Join {
    /// The group of the key of a record; `None` if there are too many.
    pub(super) fn lane_of(&mut self, record: &Record) -> Option<u32> {
        let by = &self.plan.by;
        let lane = self.groups.find(None, None, |index| by[index].name(record))?;
        if self.groups.get(lane).state.lane == NONE {
            self.groups.change(lane).state.lane = lane;
        }
        Some(lane)
    }

    /// The group of the key of a sample, and that of its type and unit in it; `None` if there are too many.
    pub(super) fn series_of(&mut self, record: &Record) -> Option<(u32, u32)> {
        let by = &self.plan.by;
        let unit = record.value.unit();
        let series = self.groups.find(record.kind, unit, |index| by[index].name(record))?;
        let mut lane = self.groups.get(series).state.lane;
        if lane == NONE {
            lane = self.lane_of(record)?;
            self.groups.change(series).state.lane = lane;
            self.groups.get_mut(lane).state.series.push(series);
        }
        Some((lane, series))
    }

    /// Holds a sample.
    pub(super) fn put(&mut self, lane: u32, sample: Sample) {
        self.samples.insert(sample.id, sample);
        self.groups.get_mut(sample.group).state.samples.insert((sample.start, sample.id), sample);
        self.touch(lane, &sample);
        self.first(lane);
    }

    /// Takes a sample back, if it is held.
    pub(super) fn lift(&mut self, id: RecordId) {
        let Some(sample) = self.samples.remove(&id) else { return };
        let series = &mut self.groups.get_mut(sample.group).state;
        series.samples.remove(&(sample.start, id));
        let lane = series.lane;
        self.touch(lane, &sample);
        self.first(lane);
    }

    /// What lasts around a sample that came or went says something else now.
    fn touch(&mut self, lane: u32, sample: &Sample) {
        let Some(kind) = self.groups.get(sample.group).key.kind else { return };
        for id in self.groups.get(lane).state.around(sample.start, sample.end) {
            let joins = self.lasting.get(&id).is_some_and(|lasting| self.plan.joins(&lasting.record, kind));
            let Some(lasting) = joins.then(|| self.lasting.change(&id)).flatten() else { continue };
            lasting.revision = lasting.revision.saturating_add(1);
            if std::mem::take(&mut lasting.is_told) {
                self.changed.push(id);
            }
        }
    }

    /// Holds a record that lasts.
    pub(super) fn begin(&mut self, lasting: Lasting) {
        let ((start, end), lane, id) = (lasting.bounds(), lasting.lane, lasting.record.id);
        let state = &mut self.groups.get_mut(lane).state;
        state.lasting.insert((start, id), end);
        state.longest = state.longest.max(end.saturating_sub(start));
        self.lasting.insert(id, lasting);
        self.first(lane);
    }

    /// Takes a record that lasts back, if it is held.
    pub(super) fn end(&mut self, id: RecordId) -> Option<Lasting> {
        let lasting = self.lasting.remove(&id)?;
        self.groups.get_mut(lasting.lane).state.lasting.remove(&(lasting.bounds().0, id));
        self.first(lasting.lane);
        Some(lasting)
    }

    /// Knows again when the first of a key starts.
    fn first(&mut self, lane: u32) {
        let state = &self.groups.get(lane).state;
        let starts = state.series.iter().filter_map(|series| {
            let samples = &self.groups.get(*series).state.samples;
            samples.first_key_value().map(|((start, _), _)| *start)
        });
        let lasting = state.lasting.first_key_value().map(|((start, _), _)| *start);
        let first = starts.chain(lasting).min();
        let before = std::mem::replace(&mut self.groups.get_mut(lane).state.first, first);
        if before != first {
            if let Some(before) = before {
                self.oldest.remove(&(before, lane));
            }
            self.oldest.extend(first.map(|first| (first, lane)));
        }
    }

    /// A record moves the watermark of its key, and what that leaves behind is forgotten.
    pub(super) fn hear(&mut self, lane: u32, record: &Record, out: &mut Emit<Record>) {
        let (Some(lateness), Some(kind)) = (self.plan.lateness, record.kind) else { return };
        let source = self.sources.of(record) ^ xxh3_64(kind.name().as_bytes());
        let start = record.start.as_micros();
        if !self.groups.get_mut(lane).state.clock.hear(source, start, self.plan.idle, 0) {
            return;
        }
        let state = &self.groups.change(lane).state;
        let horizon = state.clock.watermark().saturating_sub(lateness);
        while let Some(first) = self.groups.get(lane).state.first.filter(|first| *first < horizon) {
            let state = &self.groups.get(lane).state;
            let lasting = state.lasting.first_key_value().filter(|((start, _), _)| *start == first);
            if lasting.is_some_and(|(_, end)| *end >= horizon) {
                break;
            }
            self.forget_first(lane, out);
        }
    }

    /// The same for a record that lasts and is held.
    pub(super) fn hear_of(&mut self, lane: u32, id: RecordId, out: &mut Emit<Record>) {
        let Some(lasting) = self.lasting.get(&id).filter(|_| self.plan.lateness.is_some()) else { return };
        let record = lasting.record.clone();
        self.hear(lane, &record, out);
    }

    /// Forgets what is oldest, until there is room.
    pub(super) fn make_room(&mut self, out: &mut Emit<Record>) {
        while self.samples.len() + self.lasting.len() > self.plan.max_samples
            && let Some(&(_, lane)) = self.oldest.first()
        {
            self.forget_first(lane, out);
        }
    }

    /// Forgets the first of a key: what lasts before the samples that start with it, and after it came out.
    fn forget_first(&mut self, lane: u32, out: &mut Emit<Record>) {
        let Some(first) = self.groups.get(lane).state.first else { return };
        let lasting = self.groups.get(lane).state.lasting.first_key_value().map(|(key, _)| *key);
        let late = match lasting.filter(|(start, _)| *start == first) {
            Some((_, id)) => {
                self.tell(id, out);
                self.end(id);
                // Others may start with it, and their samples too.
                first
            }
            None => {
                let series = self.groups.get(lane).state.series.clone();
                for series in series {
                    let samples = &mut self.groups.get_mut(series).state.samples;
                    while let Some(entry) = samples.first_entry().filter(|entry| entry.key().0 == first) {
                        let (_, sample) = entry.remove_entry();
                        self.samples.remove(&sample.id);
                    }
                }
                self.first(lane);
                first.saturating_add(1)
            }
        };
        let state = &mut self.groups.change(lane).state;
        state.open_from = state.open_from.max(late);
    }

    /// Knows again what is inside of what, from the rows that were restored.
    pub(super) fn rebuild(&mut self) -> Result<()> {
        let numbers = self.groups.numbers();
        for group in numbers.clone() {
            let lane = self.groups.get(group).state.lane;
            let is_of_samples = self.groups.get(group).key.kind.is_some();
            if is_of_samples && lane == NONE {
                // There were too many keys when its first sample came, which was rejected.
                continue;
            }
            if !numbers.contains(&lane) || is_of_samples == (lane == group) {
                return Err(damaged());
            }
            if is_of_samples {
                self.groups.get_mut(lane).state.series.push(group);
            }
        }
        let samples: Vec<Sample> = self.samples.iter().map(|(_, sample)| *sample).collect();
        for sample in samples {
            if !numbers.contains(&sample.group) {
                return Err(damaged());
            }
            self.groups.get_mut(sample.group).state.samples.insert((sample.start, sample.id), sample);
        }
        let mut changed = Vec::new();
        for (id, lasting) in self.lasting.iter() {
            let (start, end) = lasting.bounds();
            if !numbers.contains(&lasting.lane) {
                return Err(damaged());
            }
            let state = &mut self.groups.get_mut(lasting.lane).state;
            state.lasting.insert((start, *id), end);
            state.longest = state.longest.max(end.saturating_sub(start));
            if !lasting.is_told {
                changed.push((start, *id));
            }
        }
        changed.sort_unstable();
        self.changed = changed.into_iter().map(|(_, id)| id).collect();
        for group in numbers.filter(|group| *group == self.groups.get(*group).state.lane).collect::<Vec<_>>()
        {
            self.first(group);
        }
        Ok(())
    }
}
