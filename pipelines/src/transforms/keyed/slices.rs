//! [`Slices`]: the samples of a group, in slices of event time.

use std::collections::BTreeMap;

use afferent_core::RecordId;

use super::sample::Sample;

#[derive(Clone, Debug, Default)]
struct Slice {
    samples: Vec<Sample>,
    /// Whether they are in order.
    unsorted: bool,
}

impl Slice {
    fn sort(&mut self) {
        if std::mem::take(&mut self.unsorted) {
            self.samples.sort_unstable_by_key(|sample| (sample.start, sample.id));
        }
    }
}

/// The samples of a group by the slice that they are put into. What comes in order is appended; a slice that got something
/// out of order is sorted when it is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slices(BTreeMap<i64, Slice>);

impl Slices {
    /// Whether the slice has samples.
    pub(crate) fn has(&self, slice: i64) -> bool {
        self.0.contains_key(&slice)
    }

    /// The start of the first slice that has samples.
    pub(crate) fn first(&self) -> Option<i64> {
        self.0.first_key_value().map(|(start, _)| *start)
    }

    /// The starts of slices that have samples, from `from` on and before `to`.
    pub(crate) fn starts(&self, from: i64, to: i64) -> impl Iterator<Item = i64> + '_ {
        self.0.range(from..to.max(from)).map(|(start, _)| *start)
    }

    /// Whether the slice is new.
    #[inline]
    pub(crate) fn insert(&mut self, slice: i64, sample: Sample) -> bool {
        let slice = self.0.entry(slice).or_default();
        let samples = &mut slice.samples;
        slice.unsorted |=
            samples.last().is_some_and(|last| (last.start, last.id) > (sample.start, sample.id));
        samples.push(sample);
        samples.len() == 1
    }

    /// Takes a sample out; whether that was the last of its slice.
    pub(crate) fn remove(&mut self, slice: i64, id: RecordId) -> bool {
        let Some(found) = self.0.get_mut(&slice) else { return false };
        found.samples.retain(|sample| sample.id != id);
        found.samples.is_empty() && self.0.remove(&slice).is_some()
    }

    /// Takes a whole slice out.
    pub(crate) fn remove_slice(&mut self, slice: i64) -> Vec<Sample> {
        self.0.remove(&slice).map(|slice| slice.samples).unwrap_or_default()
    }

    /// The samples of the slices from `from` on and before `to`, in the order of their start, then of their id.
    pub(crate) fn range(&mut self, from: i64, to: i64) -> impl Iterator<Item = &Sample> + Clone {
        let to = to.max(from);
        self.0.range_mut(from..to).for_each(|(_, slice)| slice.sort());
        self.0.range(from..to).flat_map(|(_, slice)| &slice.samples)
    }
}
