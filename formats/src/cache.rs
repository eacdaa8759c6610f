//! [`SliceCache`]: what was read from a slice of the input, found again by the slice.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

/// How many slices are kept: several times the origins and the metadata that repeat in one feed.
const SLOTS: usize = 256;

/// Longest slice that is kept. Longer ones hardly repeat; with [`SLOTS`] it bounds a cache to 256 KiB.
const MAX_SLICE_BYTES: usize = 1024;

/// A bounded cache from a slice of the input to what was read from it. A new slice takes the place of another
/// one, so a feed in which nothing repeats costs one copy a record and never grows it.
#[derive(Debug)]
pub(crate) struct SliceCache<T> {
    slots: Vec<Option<Slot<T>>>,
    hasher: RandomState,
}

#[derive(Clone, Debug)]
struct Slot<T> {
    slice: Box<[u8]>,
    value: T,
}

impl<T> Default for SliceCache<T> {
    fn default() -> SliceCache<T> {
        SliceCache { slots: Vec::new(), hasher: RandomState::default() }
    }
}

impl<T: Clone> SliceCache<T> {
    /// What `make` reads from `slice`, or read from an equal one earlier. What it refuses is not kept.
    pub(crate) fn get_or_read<E>(
        &mut self,
        slice: &[u8],
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        if slice.len() > MAX_SLICE_BYTES {
            return make();
        }
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, None);
        }
        // The high bits of a 64-bit hash, as a number below `SLOTS`.
        let slot = &mut self.slots[(self.hasher.hash_one(slice) as usize) % SLOTS];
        if let Some(slot) = slot
            && *slot.slice == *slice
        {
            return Ok(slot.value.clone());
        }
        let value = make()?;
        *slot = Some(Slot { slice: slice.into(), value: value.clone() });
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: ten thousand different slices, then one again and again. Guarantees: G4, what is found
    /// belongs to the slice; G7, the cache does not grow; what repeats is read once.
    #[test]
    fn slices_that_repeat_are_read_once() {
        let mut cache = SliceCache::default();
        for number in 0..10_000_u32 {
            let found = cache.get_or_read(&number.to_le_bytes(), || Ok::<_, ()>(number));
            assert_eq!(found, Ok(number));
        }
        assert_eq!(cache.slots.len(), SLOTS);
        let found = cache.get_or_read(&9_999_u32.to_le_bytes(), || Err("read again"));
        assert_eq!(found, Ok(9_999));
    }
}
