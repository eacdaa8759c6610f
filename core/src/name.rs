//! [`Name`]: a short text that repeats, shared instead of copied.

use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

use serde::{Deserialize, Serialize};

/// A short text that many records share: a subject, a zone, a metadata key, a stage's name.
///
/// Cloning counts a reference and allocates nothing. Decoders keep a bounded [`NameCache`] so that equal
/// texts of a feed are one allocation.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(Arc<str>);

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        Name(text.into())
    }
}

impl From<String> for Name {
    fn from(text: String) -> Name {
        Name(text.into())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A decoder's cache of names: looks a text up without allocating, and starts afresh when it is full, so
/// that a feed of ever new texts can't grow it (G7).
#[derive(Debug, Default)]
pub struct NameCache {
    names: std::collections::HashSet<Name, foldhash::fast::RandomState>,
}

/// Names a [`NameCache`] holds before it starts afresh: more than a feed has subjects, sources and zones,
/// and at most a few hundred KiB.
const MAX_CACHED_NAMES: usize = 4096;

impl NameCache {
    /// The shared name of `text`.
    pub fn get(&mut self, text: &str) -> Name {
        if let Some(name) = self.names.get(text) {
            return name.clone();
        }
        if self.names.len() >= MAX_CACHED_NAMES {
            self.names.clear();
        }
        let name = Name::from(text);
        self.names.insert(name.clone());
        name
    }
}
