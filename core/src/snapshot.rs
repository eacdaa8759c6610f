//! What a transform saves at a checkpoint.

use crate::StateRows;

/// What changed in a transform's state since its last snapshot. The cost of a checkpoint follows what
/// changed, not what is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Snapshot {
    /// Nothing.
    Unchanged,
    /// The whole state, as one blob: replaces everything that was saved. It comes back from
    /// [`restore`](crate::Transform::restore) as one row whose key is empty.
    Full(Vec<u8>),
    /// The keys that changed: their new bytes, or `None` for a key that is gone.
    Delta(Vec<(Vec<u8>, Option<Vec<u8>>)>),
}

/// A transform's saved state: rows ascending by key.
pub type State = StateRows;
