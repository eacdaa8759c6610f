//! [`Index`]: where in a list the entry of a key is.

use std::{
    hash::{BuildHasher, Hash},
    marker::PhantomData,
};

use hashbrown::HashTable;

/// Where in a list the entry of each key is. The list has the keys, once; here are their hashes, so that the index grows, and
/// tells most keys from others, without a look at the list.
#[derive(Clone, Debug)]
pub(super) struct Index<K> {
    spots: HashTable<Spot>,
    hash: foldhash::fast::RandomState,
    keys: PhantomData<K>,
}

#[derive(Clone, Copy, Debug)]
struct Spot {
    hash: u32,
    at: u32,
}

impl Spot {
    /// The table takes its place from the lower half, and tells it from others by the upper one.
    #[inline]
    fn spread(hash: u32) -> u64 {
        u64::from(hash) << 32 | u64::from(hash)
    }
}

impl<K> Default for Index<K> {
    fn default() -> Index<K> {
        Index { spots: HashTable::new(), hash: foldhash::fast::RandomState::default(), keys: PhantomData }
    }
}

impl<K: Hash> Index<K> {
    #[inline]
    fn hash(&self, key: &K) -> u32 {
        (self.hash.hash_one(key) >> 32) as u32
    }

    /// Where `key` is; `is` says whether it is there.
    #[inline]
    pub(super) fn find(&self, key: &K, is: impl Fn(usize) -> bool) -> Option<usize> {
        let hash = self.hash(key);
        let found = self.spots.find(Spot::spread(hash), |spot| spot.hash == hash && is(spot.at as usize));
        found.map(|spot| spot.at as usize)
    }

    /// `key`, which was nowhere, is at `at` from now on.
    #[inline]
    pub(super) fn put(&mut self, key: &K, at: usize) {
        let hash = self.hash(key);
        let at = u32::try_from(at).expect("invariant: a stage holds far less than four billion rows");
        self.spots.insert_unique(Spot::spread(hash), Spot { hash, at }, |spot| Spot::spread(spot.hash));
    }

    /// Forgets `key`; where it was.
    pub(super) fn remove(&mut self, key: &K, is: impl Fn(usize) -> bool) -> Option<usize> {
        let hash = self.hash(key);
        let is = |spot: &Spot| spot.hash == hash && is(spot.at as usize);
        let entry = self.spots.find_entry(Spot::spread(hash), is).ok()?;
        Some(entry.remove().0.at as usize)
    }

    /// `key` was at `from`, and is at `to` from now on.
    pub(super) fn shift(&mut self, key: &K, from: usize, to: usize) {
        let is = |spot: &Spot| spot.at as usize == from;
        if let Some(spot) = self.spots.find_mut(Spot::spread(self.hash(key)), is) {
            spot.at = to as u32;
        }
    }
}
