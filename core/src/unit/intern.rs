use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use foldhash::fast::RandomState;

/// An append-only table from text to item that lives as long as the process. Each text is leaked once, so
/// whoever interns states the limit; the length of the text is the caller's to check.
pub(crate) struct Interner<T> {
    table: RwLock<Table<T>>,
}

struct Table<T> {
    indices: HashMap<&'static str, usize, RandomState>,
    items: Vec<T>,
}

// A poisoned lock is taken all the same: `make` runs before the table is touched, so a panic leaves it whole.
impl<T: Copy> Interner<T> {
    pub(crate) fn new() -> Self {
        Self { table: RwLock::new(Table { indices: HashMap::default(), items: Vec::new() }) }
    }

    /// The index of `text`, which is added if it is new. `None` if it is new and there are `limit` items.
    pub(crate) fn intern(
        &self,
        text: &str,
        limit: usize,
        make: impl FnOnce(&'static str) -> T,
    ) -> Option<usize> {
        {
            let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(&index) = table.indices.get(text) {
                return Some(index);
            }
            // Refuse under the shared lock: a feed past the limit must not make the others queue for writing.
            if table.items.len() >= limit {
                return None;
            }
        }
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have come first between the two locks.
        if let Some(&index) = table.indices.get(text) {
            return Some(index);
        }
        if table.items.len() >= limit {
            return None;
        }
        let text: &'static str = Box::leak(text.into());
        let item = make(text);
        let index = table.items.len();
        table.items.push(item);
        table.indices.insert(text, index);
        Some(index)
    }

    pub(crate) fn item(&self, index: usize) -> Option<T> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).items.get(index).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Scenario: many threads intern the same texts at once, past the limit. Guarantees: G7; one index for
    // each text.
    #[test]
    fn threads_agree_and_the_limit_holds() {
        let interner: Interner<&'static str> = Interner::new();
        let texts: Vec<String> = (0..40).map(|n| format!("text {n}")).collect();
        let results: Vec<Vec<Option<usize>>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| texts.iter().map(|text| interner.intern(text, 32, |text| text)).collect())
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for (n, text) in texts.iter().enumerate() {
            assert!(results.iter().all(|result| result[n] == results[0][n]), "{text}");
            if let Some(index) = results[0][n] {
                assert_eq!(interner.item(index), Some(text.as_str()));
            }
        }
        assert_eq!(results[0].iter().flatten().count(), 32);
        assert_eq!(interner.item(32), None);
    }
}
