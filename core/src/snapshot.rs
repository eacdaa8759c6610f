//! What a transform saves at a checkpoint.

use crate::StateRows;

/// What changed in a transform's state since its last snapshot. The cost of a checkpoint follows what
/// changed, not what is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Snapshot {
    /// Nothing.
    Unchanged,
    /// The whole state, as one blob: replaces everything that was saved. It comes back from
    /// [`restore`](crate::Transform::restore) as one row whose key is empty.
    Full(Vec<u8>),
    /// The keys that changed.
    Delta(Delta),
}

/// Keys that changed, in the order in which they were put: their new bytes, or nothing for a key that is gone.
///
/// All bytes are in one piece of memory: a checkpoint of a million small rows is not two million allocations.
///
/// ```
/// use afferent_core::Delta;
///
/// let mut delta = Delta::new();
/// delta.put(b"steps", &8000_u32.to_be_bytes());
/// delta.remove(b"heart rate");
/// assert_eq!(delta.iter().collect::<Vec<_>>(), [(&b"steps"[..], Some(&8000_u32.to_be_bytes()[..])), (b"heart rate", None)]);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Delta {
    bytes: Vec<u8>,
    rows: Vec<Lengths>,
}

/// How long the parts of a row are, which lie one after the other.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Lengths {
    key: u32,
    /// [`GONE`] if the key is gone.
    value: u32,
}

/// Instead of the length of a value.
const GONE: u32 = u32::MAX;

impl Delta {
    /// One without rows.
    pub fn new() -> Delta {
        Delta::default()
    }

    /// Adds a key and its new bytes.
    ///
    /// # Panics
    /// If one of them has 4 GiB or more.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.write(|to| to.extend_from_slice(key), |to| to.extend_from_slice(value));
    }

    /// Adds a key that is gone.
    ///
    /// # Panics
    /// If it has 4 GiB or more.
    pub fn remove(&mut self, key: &[u8]) {
        let key = self.append(|to| to.extend_from_slice(key));
        self.rows.push(Lengths { key, value: GONE });
    }

    /// Adds a key and its new bytes, each of which is written behind what is there and must leave that as it is.
    ///
    /// # Panics
    /// If one of them has 4 GiB or more.
    #[inline]
    pub fn write(&mut self, key: impl FnOnce(&mut Vec<u8>), value: impl FnOnce(&mut Vec<u8>)) {
        let (key, value) = (self.append(key), self.append(value));
        self.rows.push(Lengths { key, value });
    }

    /// How many bytes `write` added, which must leave what is there.
    #[inline]
    fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> u32 {
        let before = self.bytes.len();
        write(&mut self.bytes);
        let length = u32::try_from(self.bytes.len() - before).ok().filter(|length| *length != GONE);
        length.expect("a key or a value of state has less than 4 GiB")
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Its rows.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], Option<&[u8]>)> {
        let mut rest = &self.bytes[..];
        let mut take =
            move |length: u32| rest.split_off(..length as usize).expect("invariant: all parts are there");
        self.rows.iter().map(move |row| (take(row.key), (row.value != GONE).then(|| take(row.value))))
    }
}

impl std::fmt::Debug for Delta {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(K, Option<V>)> for Delta {
    fn from_iter<I: IntoIterator<Item = (K, Option<V>)>>(rows: I) -> Delta {
        let mut delta = Delta::new();
        for (key, value) in rows {
            match value {
                Some(value) => delta.put(key.as_ref(), value.as_ref()),
                None => delta.remove(key.as_ref()),
            }
        }
        delta
    }
}

/// A transform's saved state: rows ascending by key.
pub type State = StateRows;
