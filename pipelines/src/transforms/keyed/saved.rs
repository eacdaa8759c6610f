//! What a transform saves of its tables, and gets back.

use afferent_core::{Delta, Error, Result, Snapshot, State};

use super::damaged;

/// What changed, as a snapshot.
pub(crate) fn delta(changes: Delta) -> Snapshot {
    if changes.is_empty() { Snapshot::Unchanged } else { Snapshot::Delta(changes) }
}

/// Gives each saved row to `take`: the tag of its table, the rest of its key, its value.
///
/// # Errors
/// Those of `state` and `take`; `State` for a row without a tag.
pub(crate) fn each_row(state: State, mut take: impl FnMut(u8, &[u8], &[u8]) -> Result<()>) -> Result<()> {
    for row in state {
        let (key, value) = row?;
        let (&tag, key) = key.split_first().ok_or_else(damaged)?;
        take(tag, key, &value)?;
    }
    Ok(())
}

/// The part of a configuration that all rows depend on: saved once, and compared when they come back.
#[derive(Clone, Debug)]
pub(crate) struct Basis {
    text: String,
    is_saved: bool,
}

impl Basis {
    /// The tag of its row.
    pub(crate) const TAG: u8 = 0;

    pub(crate) fn new(text: String) -> Basis {
        Basis { text, is_saved: false }
    }

    /// Adds its row to `changes`, the first time.
    pub(crate) fn save(&mut self, changes: &mut Delta) {
        if !self.is_saved {
            self.is_saved = true;
            changes.put(&[Basis::TAG], self.text.as_bytes());
        }
    }

    /// Compares it with what was saved, where `keys` names it for people.
    ///
    /// # Errors
    /// `State` when it is another.
    pub(crate) fn restore(&mut self, saved: &[u8], keys: &str) -> Result<()> {
        if saved != self.text.as_bytes() {
            return Err(Error::state(format!(
                "{keys} is another than when this state was saved; give the transform another name, under which it begins anew"
            )));
        }
        self.is_saved = true;
        Ok(())
    }
}
