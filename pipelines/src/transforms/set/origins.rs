//! Writing into origins, which records share: one new origin for each that comes in, not for each record.

use std::sync::Arc;

use afferent_core::{Name, Origin};

use crate::cel::Field;

/// How many changed origins are remembered: more than a person has apps and devices that write at one time.
const REMEMBERED: usize = 16;

/// The last origins that were changed.
#[derive(Debug, Default)]
pub(super) struct Origins {
    /// At most [`REMEMBERED`].
    changed: Vec<Changed>,
    /// Which of them goes next.
    oldest: usize,
}

#[derive(Debug)]
struct Changed {
    /// Held, so that no other origin gets its address.
    before: Option<Arc<Origin>>,
    names: Vec<(Field, Name)>,
    after: Arc<Origin>,
}

impl Origins {
    /// Writes `names` into `origin`.
    pub(super) fn write<'n>(
        &mut self,
        origin: &mut Option<Arc<Origin>>,
        names: impl Iterator<Item = (Field, &'n Name)> + Clone,
    ) {
        if names.clone().next().is_none() {
            return;
        }
        let known = self.changed.iter().find(|changed| {
            let mut written = changed.names.iter();
            same(&changed.before, origin)
                && names.clone().all(|(field, name)| {
                    written.next().is_some_and(|known| known.0 == field && known.1 == *name)
                })
                && written.next().is_none()
        });
        if let Some(known) = known {
            *origin = Some(known.after.clone());
            return;
        }
        let mut after = origin.as_deref().cloned().unwrap_or_default();
        for (field, name) in names.clone() {
            if let Some(slot) = field.slot(&mut after) {
                *slot = Some(name.clone());
            }
        }
        let after = Arc::new(after);
        let before = origin.replace(after.clone());
        let names = names.map(|(field, name)| (field, name.clone())).collect();
        let changed = Changed { before, names, after };
        if self.changed.len() < REMEMBERED {
            self.changed.push(changed);
        } else {
            self.changed[self.oldest] = changed;
            self.oldest = (self.oldest + 1) % REMEMBERED;
        }
    }
}

fn same(left: &Option<Arc<Origin>>, right: &Option<Arc<Origin>>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => Arc::ptr_eq(left, right),
        (None, None) => true,
        _ => false,
    }
}
