//! [`Recent`]: what was found last.

/// How many are remembered: a few sources of a few types take turns.
const ENTRIES: usize = 8;

/// What was found last, for a few keys that take turns: cheaper to tell from one another than to look up.
#[derive(Clone, Debug)]
pub(crate) struct Recent<K, V> {
    entries: [Option<(K, V)>; ENTRIES],
    /// The oldest.
    next: usize,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Recent<K, V> {
        Recent { entries: std::array::from_fn(|_| None), next: 0 }
    }
}

impl<K, V: Copy> Recent<K, V> {
    /// What was put under the key that `is` the one.
    #[inline]
    pub(crate) fn get(&self, is: impl Fn(&K) -> bool) -> Option<V> {
        self.entries.iter().flatten().find(|(key, _)| is(key)).map(|(_, value)| *value)
    }

    /// Remembers `value` in place of the oldest.
    pub(crate) fn put(&mut self, key: K, value: V) {
        self.entries[self.next] = Some((key, value));
        self.next = (self.next + 1) % ENTRIES;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: more keys than are remembered. Guarantees: the newest are found, under their own values; the oldest are not.
    #[test]
    fn the_newest_are_found() {
        let mut recent = Recent::default();
        let count = ENTRIES + 3;
        for key in 0..count {
            recent.put(key, key * 10);
        }
        for key in 0..count {
            assert_eq!(recent.get(|other| *other == key), (key >= count - ENTRIES).then_some(key * 10));
        }
    }
}
