//! Which source a record is of.

use std::sync::Arc;

use afferent_core::{Origin, Record};
use xxhash_rust::xxh3::Xxh3;

/// Which source a record is of: the app and the product it ran on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// The origin of the last record: runs of one are the rule.
    last: Option<(Arc<Origin>, u64)>,
}

impl Sources {
    #[inline]
    pub(crate) fn of(&mut self, record: &Record) -> u64 {
        let Some(origin) = &record.origin else { return 0 };
        match &self.last {
            Some((last, source)) if Arc::ptr_eq(last, origin) => *source,
            _ => {
                let source = source_digest(origin);
                self.last = Some((origin.clone(), source));
                source
            }
        }
    }
}

/// Tells a source from others; the same on any machine and in any release, because it is saved, and decides between sources.
pub(crate) fn source_digest(origin: &Origin) -> u64 {
    let mut hash = Xxh3::new();
    for text in [&origin.bundle, &origin.name, &origin.product] {
        let text = text.as_deref().unwrap_or("");
        hash.update(&(text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.digest()
}
