//! What a decoder keeps from record to record.

use std::{convert::Infallible, sync::Arc};

use afferent_core::{MetaValue, Metadata, Name, NameCache, Origin, record::Device};

use crate::{DecoderOptions, cache::SliceCache};

/// Longest text that is shared between records. Longer ones hardly repeat, and [`NameCache`] counts names, not
/// bytes.
const MAX_SHARED_BYTES: usize = 128;

/// Texts of a source and its device.
pub(crate) const ORIGIN_TEXTS: usize = 11;

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

    /// The origin of these texts, shared by all records that have the same: name, bundle, version, product and system of the
    /// source; name, manufacturer, model, hardware, firmware and software of the device. An empty one is none.
    pub(crate) fn origin(&mut self, texts: &[&str; ORIGIN_TEXTS]) -> Option<Arc<Origin>> {
        if texts.iter().all(|text| text.is_empty()) {
            return None;
        }
        let mut key = std::mem::take(&mut self.scratch);
        key.clear();
        for text in texts {
            key.extend_from_slice(&(text.len() as u64).to_ne_bytes());
            key.extend_from_slice(text.as_bytes());
        }
        let mut cache = std::mem::take(&mut self.origins);
        let Ok(part) = cache.get_or_read(&key, || {
            let names = texts.map(|text| (!text.is_empty()).then(|| self.name(text)));
            let [name, bundle, version, product, os, device @ ..] = names;
            let [device_name, manufacturer, model, hardware, firmware, software] = device;
            let device = Device { name: device_name, manufacturer, model, hardware, firmware, software };
            let device = (device != Device::default()).then_some(device);
            let origin = Origin { name, bundle, version, product, os, device };
            Ok::<_, Infallible>(Part { part: Some(Arc::new(origin)), unknown: None })
        });
        (self.origins, self.scratch) = (cache, key);
        part.part
    }
}
