//! What a decoder keeps from record to record.

use std::sync::Arc;

use afferent_core::{MetaValue, Metadata, Name, NameCache, Origin};

use crate::{DecoderOptions, cache::SliceCache};

/// Longest text that is shared between records. Longer ones hardly repeat, and [`NameCache`] counts names, not
/// bytes.
const MAX_SHARED_BYTES: usize = 128;

/// Caches of texts and parts that repeat; all bounded.
#[derive(Debug, Default)]
pub(crate) struct Context {
    pub(crate) strict: bool,
    names: NameCache,
    pub(crate) origins: SliceCache<Part<Origin>>,
    pub(crate) metadata: SliceCache<Option<Arc<Metadata>>>,
    /// For [`derive_id_with`](crate::identity::derive_id_with).
    pub(crate) scratch: Vec<u8>,
}

/// A part of a record and what of its input had no place in it.
#[derive(Debug)]
pub(crate) struct Part<T> {
    pub(crate) part: Option<Arc<T>>,
    pub(crate) unknown: Option<Arc<[(Name, MetaValue)]>>,
}

impl<T> Clone for Part<T> {
    fn clone(&self) -> Part<T> {
        Part { part: self.part.clone(), unknown: self.unknown.clone() }
    }
}

impl Context {
    pub(crate) fn new(options: DecoderOptions) -> Context {
        Context { strict: options.strict, ..Context::default() }
    }

    /// A shared name of `text`.
    pub(crate) fn name(&mut self, text: &str) -> Name {
        if text.len() > MAX_SHARED_BYTES { Name::from(text) } else { self.names.get(text) }
    }
}
