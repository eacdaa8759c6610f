//! [`Identity`]: ids of results.

use afferent_core::{Kind, Name, RecordId, TransformCx, Unit};

use super::groups::GroupKey;

/// Who derives: the pipeline and the transform, which are part of every id.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pipeline: Name,
    stage: Name,
}

impl Default for Identity {
    /// For a transform that nobody opened, such as one in a loop of its own.
    fn default() -> Identity {
        Identity { pipeline: Name::from(""), stage: Name::from("") }
    }
}

impl Identity {
    pub(crate) fn new(cx: &TransformCx) -> Identity {
        Identity { pipeline: cx.pipeline.clone(), stage: cx.stage.clone() }
    }

    /// The id of a result of `key`, told apart from others of that key by `what`.
    pub(crate) fn of_group(&self, key: &GroupKey, what: &[&[u8]], life: u32) -> RecordId {
        let (kind, unit) = (key.kind.map_or("", Kind::name), key.unit.map_or("", Unit::as_str));
        let parts = [kind.as_bytes(), unit.as_bytes()];
        // An absent text differs from an empty one by one part more.
        let texts = key.texts.iter().flat_map(|text| {
            let is_there: &[u8] = if text.is_some() { b"1" } else { b"0" };
            [is_there, text.as_deref().unwrap_or("").as_bytes()]
        });
        self.derive(parts.into_iter().chain(texts).chain(what.iter().copied()), &life.to_be_bytes())
    }

    /// The id of a result of the record `id`, told apart from others of that record by `what`.
    pub(crate) fn of_record(&self, id: RecordId, what: &[&[u8]], life: u32) -> RecordId {
        let id = id.to_bytes();
        self.derive(std::iter::once(&id[..]).chain(what.iter().copied()), &life.to_be_bytes())
    }

    fn derive<'a>(&'a self, parts: impl Iterator<Item = &'a [u8]>, life: &'a [u8; 4]) -> RecordId {
        // The first life is not part of it: most results have no other.
        let life = (*life != [0; 4]).then_some(&life[..]);
        let who = [self.pipeline.as_bytes(), self.stage.as_bytes()];
        RecordId::derive(who.into_iter().chain(parts).chain(life))
    }
}
