//! [`HealthStore`]: what the source asks of a HealthKit store.

use std::fmt;

use afferent_core::{Kind, Record, Result};
use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Wake;

/// A HealthKit store, or something that behaves like one.
///
/// A host implements it over `HKObserverQuery` and `HKAnchoredObjectQuery`; [`MockStore`](super::mock::MockStore)
/// is one for everybody else.
///
/// Contract:
/// - A store that can't be read because the device is locked answers with an error of kind `Waiting`, never
///   with an empty page, and wakes its observers after the unlock.
/// - A type that may not be read looks like one without samples (HealthKit never says which).
/// - Calls may come from any task and may be dropped half-way; they change nothing in the store.
#[async_trait]
pub trait HealthStore: Send + Sync + 'static {
    /// Which store this is: the same text for as long as its anchors are valid, another one after a restore
    /// or on another phone.
    fn identity(&self) -> String;

    /// The types that can be read, for `types = ["*"]`.
    fn kinds(&self) -> Vec<Kind>;

    /// Observes `kinds`: the stream wakes whenever samples of one of them may have been saved or deleted,
    /// and once right at the start. Dropping the stream ends the observer query.
    async fn observe(&self, kinds: &[Kind]) -> Result<BoxStream<'static, Wake>>;

    /// What was saved and deleted of `kind` after `anchor` (`None`: from the start), `limit` records at most.
    ///
    /// The same anchor gives the same records in the same order for as long as the store still has them. A
    /// page may hold fewer than `limit` records, even none, while there is more.
    async fn changes(&self, kind: Kind, anchor: Option<&Anchor>, limit: usize) -> Result<Changes>;
}

/// The answer to [`HealthStore::changes`].
#[derive(Clone, Debug, PartialEq)]
pub enum Changes {
    /// What came after the anchor.
    Page(Page),
    /// The anchor is not of this store, or the store has forgotten it: start again without one.
    AnchorUnknown,
}

/// A page of changes, in insertion order; its additions precede its deletions.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Samples that were saved.
    pub added: Vec<Record>,
    /// Deletions, each with the id of the sample that was deleted.
    pub deleted: Vec<Record>,
    /// Where the store is after this page.
    pub anchor: Anchor,
    /// Whether there may be more after it now. An empty page that says so has moved the anchor.
    pub more: bool,
}

impl Page {
    /// How many records it has.
    pub fn len(&self) -> usize {
        self.added.len() + self.deleted.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.deleted.is_empty()
    }
}

/// A place in a store's insertion order: bytes that only that store understands.
#[derive(Clone, PartialEq, Eq)]
pub struct Anchor(Vec<u8>);

impl Anchor {
    /// The anchor that a store wrote as `bytes` (an archived `HKQueryAnchor`, say).
    pub fn new(bytes: impl Into<Vec<u8>>) -> Anchor {
        Anchor(bytes.into())
    }

    /// The store's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Anchor({} bytes)", self.0.len())
    }
}

impl Serialize for Anchor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Anchor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Anchor, D::Error> {
        struct Bytes;
        impl de::Visitor<'_> for Bytes {
            type Value = Anchor;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the bytes of an anchor")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Anchor, E> {
                Ok(Anchor(bytes.to_vec()))
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Anchor, E> {
                Ok(Anchor(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}
