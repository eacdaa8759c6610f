//! [`Batch`]: records that move together, the unit of all hot-path calls.

use std::ops::{Deref, DerefMut};

/// Records that move together.
///
/// A batch derefs to its `Vec`, whose buffer is reused: stages drain or retain it in place, or swap it with
/// an empty one, and never allocate per record.
#[derive(Clone, Debug)]
pub struct Batch<T> {
    items: Vec<T>,
    bytes: usize,
}

impl<T> Batch<T> {
    /// An empty batch without a buffer.
    pub const fn new() -> Batch<T> {
        Batch { items: Vec::new(), bytes: 0 }
    }

    /// An empty batch with room for `records`.
    pub fn with_capacity(records: usize) -> Batch<T> {
        Batch { items: Vec::with_capacity(records), bytes: 0 }
    }

    /// About how many bytes of input the batch was read from; the source says so, limits count it.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds to the number of bytes the batch was read from.
    pub fn add_bytes(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Empties the batch and keeps its buffer.
    pub fn clear(&mut self) {
        self.items.clear();
        self.bytes = 0;
    }

    /// Moves everything from `other` to the end of this batch. An empty batch swaps buffers instead.
    pub fn take_from(&mut self, other: &mut Batch<T>) {
        if self.items.is_empty() {
            std::mem::swap(&mut self.items, &mut other.items);
        } else {
            self.items.append(&mut other.items);
        }
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// The records, without the batch.
    pub fn into_vec(self) -> Vec<T> {
        self.items
    }
}

impl<T> Default for Batch<T> {
    fn default() -> Batch<T> {
        Batch::new()
    }
}

impl<T> From<Vec<T>> for Batch<T> {
    fn from(items: Vec<T>) -> Batch<T> {
        Batch { items, bytes: 0 }
    }
}

impl<T> FromIterator<T> for Batch<T> {
    fn from_iter<I: IntoIterator<Item = T>>(iter: I) -> Batch<T> {
        Batch { items: iter.into_iter().collect(), bytes: 0 }
    }
}

impl<T> IntoIterator for Batch<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl<T> Deref for Batch<T> {
    type Target = Vec<T>;
    fn deref(&self) -> &Vec<T> {
        &self.items
    }
}

impl<T> DerefMut for Batch<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.items
    }
}
