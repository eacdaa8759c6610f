//! [`RecordKey`]: which version of which record.

use serde::{Deserialize, Serialize};

use crate::{Batch, Change, Record, RecordId};

/// Which version of which record: what a record is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordKey {
    /// The record.
    pub id: RecordId,
    /// Addition or deletion.
    pub change: Change,
    /// 0, or higher for a correction.
    pub revision: u32,
}

impl RecordKey {
    /// Whether `earlier` is of no use once this one has passed: it is an addition of the same record, and this is a
    /// deletion or a higher revision. A deletion is never superseded.
    pub fn supersedes(self, earlier: RecordKey) -> bool {
        self.id == earlier.id
            && earlier.change == Change::Added
            && (self.change == Change::Deleted || self.revision > earlier.revision)
    }

    /// Whether it can supersede anything.
    pub fn is_superseding(self) -> bool {
        self.change == Change::Deleted || self.revision > 0
    }
}

impl Record {
    /// What it is known by.
    pub fn key(&self) -> RecordKey {
        RecordKey { id: self.id, change: self.change, revision: self.revision }
    }

    /// Adds the keys of those records of `batch` to `keys` that can supersede others.
    pub fn superseding(batch: &Batch<Record>, keys: &mut Vec<RecordKey>) {
        keys.extend(batch.iter().map(Record::key).filter(|key| key.is_superseding()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: each pair of a few versions. Guarantees: an addition is beaten by its deletion and by higher
    /// revisions, and by nothing else; a deletion by nothing.
    #[test]
    fn what_supersedes_what() {
        let key = |id, change, revision| RecordKey { id: RecordId::from_u128(id), change, revision };
        let (added, deleted) = (Change::Added, Change::Deleted);
        assert!(key(1, deleted, 0).supersedes(key(1, added, 7)));
        assert!(key(1, added, 2).supersedes(key(1, added, 1)));
        for (later, earlier) in [
            (key(1, added, 1), key(1, added, 1)),
            (key(1, added, 0), key(1, added, 1)),
            (key(2, deleted, 0), key(1, added, 0)),
            (key(1, deleted, 1), key(1, deleted, 0)),
            (key(1, added, 1), key(1, deleted, 0)),
        ] {
            assert!(!later.supersedes(earlier), "{later:?} {earlier:?}");
        }
        assert!(!key(1, added, 0).is_superseding());
    }
}
