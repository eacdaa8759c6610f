//! [`Groups`]: what is kept for each key.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, Hasher},
};

use afferent_core::{Delta, Kind, Name, Result, Unit};

use super::{
    row::{Get, Put, Row, damaged, read},
    table::{Key, Tag},
};

/// How many keys a stage keeps: a hundred thousand people with ten types each, and about 500 MiB. A record with a further
/// one is rejected: more is a key that puts something else where the person belongs.
pub(crate) const MAX_GROUPS: usize = 1_000_000;

/// What records are grouped by: type and unit, and texts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GroupKey {
    pub(crate) kind: Option<Kind>,
    pub(crate) unit: Option<Unit>,
    pub(crate) texts: Box<[Option<Name>]>,
}

impl GroupKey {
    fn is<'r>(
        &self,
        kind: Option<Kind>,
        unit: Option<Unit>,
        text: &impl Fn(usize) -> Option<&'r Name>,
    ) -> bool {
        let same = |(index, own): (usize, &Option<Name>)| own.as_ref() == text(index);
        self.kind == kind && self.unit == unit && self.texts.iter().enumerate().all(same)
    }
}

impl Row for GroupKey {
    fn put(&self, to: &mut Put<'_>) {
        to.text(self.kind.map(Kind::name));
        to.text(self.unit.map(Unit::as_str));
        to.u32(self.texts.len() as u32);
        self.texts.iter().for_each(|text| to.text(text.as_deref()));
    }

    fn get(from: &mut Get<'_>) -> Option<GroupKey> {
        let (kind, unit, texts) = (from.kind()?, from.unit()?, from.u32()?);
        let texts = (0..texts).map(|_| from.name()).collect::<Option<_>>()?;
        Some(GroupKey { kind, unit, texts })
    }
}

/// A key and what is kept for it.
#[derive(Clone, Debug)]
pub(crate) struct Group<G> {
    pub(crate) key: GroupKey,
    pub(crate) state: G,
    /// Another group whose key has the same hash.
    next: Option<u32>,
    changed: bool,
}

/// What is kept for each key. A key has a number, which other rows name; it is never forgotten, because what came too late
/// for it must not begin anew.
#[derive(Clone, Debug)]
pub(crate) struct Groups<G> {
    tag: Tag,
    groups: Vec<Group<G>>,
    numbers: HashMap<u64, u32, foldhash::fast::RandomState>,
    hash: foldhash::fast::RandomState,
    /// How many texts a key has.
    texts: usize,
    last: u32,
    changed: Vec<u32>,
}

impl<G: Row + Default> Groups<G> {
    pub(crate) fn new(tag: Tag, texts: usize) -> Groups<G> {
        Groups {
            tag,
            groups: Vec::new(),
            numbers: HashMap::default(),
            hash: foldhash::fast::RandomState::default(),
            texts,
            last: 0,
            changed: Vec::new(),
        }
    }

    /// The number of the group of this key, which may be new; `None` if there are too many.
    #[inline]
    pub(crate) fn find<'r>(
        &mut self,
        kind: Option<Kind>,
        unit: Option<Unit>,
        text: impl Fn(usize) -> Option<&'r Name>,
    ) -> Option<u32> {
        // What comes often comes in a row.
        if self.groups.get(self.last as usize).is_some_and(|group| group.key.is(kind, unit, &text)) {
            return Some(self.last);
        }
        let hash = self.hash_of(kind, unit, &text);
        let first = self.numbers.get(&hash).copied();
        let mut number = first;
        while let Some(found) = number {
            let group = &self.groups[found as usize];
            if group.key.is(kind, unit, &text) {
                self.last = found;
                return Some(found);
            }
            number = group.next;
        }
        if self.groups.len() >= MAX_GROUPS {
            return None;
        }
        let texts = (0..self.texts).map(|index| text(index).cloned()).collect();
        self.last = self.add(GroupKey { kind, unit, texts }, G::default(), hash, true);
        Some(self.last)
    }

    fn hash_of<'r>(
        &self,
        kind: Option<Kind>,
        unit: Option<Unit>,
        text: &impl Fn(usize) -> Option<&'r Name>,
    ) -> u64 {
        let mut hasher = self.hash.build_hasher();
        (kind, unit).hash(&mut hasher);
        (0..self.texts).for_each(|index| text(index).map(Name::as_str).hash(&mut hasher));
        hasher.finish()
    }

    fn add(&mut self, key: GroupKey, state: G, hash: u64, changed: bool) -> u32 {
        let number = self.groups.len() as u32;
        let next = self.numbers.insert(hash, number);
        self.groups.push(Group { key, state, next, changed });
        if changed {
            self.changed.push(number);
        }
        number
    }

    #[inline]
    pub(crate) fn get(&self, number: u32) -> &Group<G> {
        &self.groups[number as usize]
    }

    /// For changes that are not saved with the group's row.
    #[inline]
    pub(crate) fn get_mut(&mut self, number: u32) -> &mut Group<G> {
        &mut self.groups[number as usize]
    }

    /// For changes that are.
    #[inline]
    pub(crate) fn change(&mut self, number: u32) -> &mut Group<G> {
        let group = &mut self.groups[number as usize];
        if !group.changed {
            group.changed = true;
            self.changed.push(number);
        }
        group
    }

    /// All numbers.
    pub(crate) fn numbers(&self) -> std::ops::Range<u32> {
        0..self.groups.len() as u32
    }

    /// Adds what changed to `changes`.
    pub(crate) fn save(&mut self, changes: &mut Delta) {
        for number in self.changed.drain(..) {
            let group = &mut self.groups[number as usize];
            group.changed = false;
            let key = |to: &mut Vec<u8>| {
                to.push(self.tag);
                number.write(to);
            };
            changes.write(key, |to| Both(&group.key, &group.state).write(to));
        }
    }

    /// Takes up a saved row, whose key is `key` without its tag. They come in the order of their numbers.
    ///
    /// # Errors
    /// `State` when it is damaged, of a newer version or of another configuration.
    pub(crate) fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let Own(key_row, state) = read(value)?;
        let number = u32::read(key).filter(|number| *number as usize == self.groups.len());
        if number.is_none() || key_row.texts.len() != self.texts {
            return Err(damaged());
        }
        let hash = self.hash_of(key_row.kind, key_row.unit, &|index: usize| key_row.texts[index].as_ref());
        self.add(key_row, state, hash, false);
        Ok(())
    }
}

/// A group's row, to be written.
struct Both<'a, G>(&'a GroupKey, &'a G);

impl<G: Row> Row for Both<'_, G> {
    fn put(&self, to: &mut Put<'_>) {
        self.0.put(to);
        self.1.put(to);
    }
    fn get(_: &mut Get<'_>) -> Option<Self> {
        None
    }
}

/// A group's row, read.
struct Own<G>(GroupKey, G);

impl<G: Row> Row for Own<G> {
    fn put(&self, to: &mut Put<'_>) {
        self.0.put(to);
        self.1.put(to);
    }
    fn get(from: &mut Get<'_>) -> Option<Self> {
        Some(Own(GroupKey::get(from)?, G::get(from)?))
    }
}
