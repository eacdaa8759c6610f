//! What raw text of the input was turned into, so that equal text is read once.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// Entries a cache holds before it starts afresh: more than an export has types, units or sources, and at most
/// about 1 MiB of keys.
const MAX_ENTRIES: usize = 2048;

/// Longest text that is remembered; longer ones are read each time.
const MAX_KEY_BYTES: usize = 512;

/// A bounded map from raw text to what it means.
#[derive(Debug)]
pub(super) struct Cache<V> {
    entries: HashMap<Box<[u8]>, V, RandomState>,
}

impl<V> Default for Cache<V> {
    fn default() -> Cache<V> {
        Cache { entries: HashMap::default() }
    }
}

impl<V: Clone> Cache<V> {
    /// What `raw` means: remembered, or made now.
    pub(super) fn get<E>(&mut self, raw: &[u8], make: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        if let Some(value) = self.entries.get(raw) {
            return Ok(value.clone());
        }
        let value = make()?;
        if raw.len() <= MAX_KEY_BYTES {
            if self.entries.len() >= MAX_ENTRIES {
                self.entries.clear();
            }
            self.entries.insert(raw.into(), value.clone());
        }
        Ok(value)
    }
}
