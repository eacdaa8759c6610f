//! The trait of transforms.

use super::{look::Look, permit::Permission};
use crate::{Batch, Emit, Result, Snapshot, State, Timestamp, TransformCx};

/// Turns records into records.
///
/// A transform is a function of its state and its records: never of the wall clock, of randomness or of where
/// batches begin and end, because a replay repeats none of these. It is synchronous and never blocks. What it takes
/// from outside it takes by a [`Look`].
///
/// Contract:
/// - `apply` empties `input`. Transforms whose input and output type are the same work in place and hand the
///   buffer on with [`Emit::take`].
/// - Everything that comes in is accounted for in `out`:
///   `input + derived = output + filtered + superseded + dead + held`.
/// - Where it is counted by type, one that filters, supersedes, derives or holds, two of these in one call, says of which
///   types, by [`Emit::count`]. A record whose type changes is superseded, and the new one derived. It never changes a type otherwise.
/// - One bad record is a reject; an error ends the pipeline's run, and kind `Data` is then a bug.
/// - Deletions pass untouched unless the transform is about types.
/// - What it derives has an id made of the pipeline's name, its own, and what the result is about: of subject, key and
///   bounds of a window, never of the records that happened to be in it. A correction keeps the id and raises
///   `revision`; a result that is withdrawn is a deletion.
/// - `snapshot` gives what changed since the last one; after an error nothing is asked any more. `restore` comes
///   at most once, before the first `apply`, and then the next snapshot is relative to what was restored.
pub trait Transform: Send + 'static {
    /// What goes in.
    type In: Send + 'static;
    /// What comes out.
    type Out: Send + 'static;

    /// Learns who it is: called once, before anything else.
    fn open(&mut self, cx: &TransformCx) -> Result<()> {
        let _ = cx;
        Ok(())
    }

    /// A look at what is outside, for transforms that take something from there; `now` decides when it is read, never what
    /// comes of it. Called after `restore`, and before the first record of each epoch.
    fn look(&mut self, now: Timestamp) -> Option<Look> {
        let _ = now;
        None
    }

    /// Takes all of `input`.
    fn apply(&mut self, input: &mut Batch<Self::In>, out: &mut Emit<Self::Out>) -> Result<()>;

    /// What it would let pass now of what it has let pass, where that can change: what a sink has not sent yet is held against it,
    /// if no transform of another kind comes behind this one. Called after `restore`, and when a look has found something new.
    fn permission(&mut self) -> Permission<Self::Out> {
        Permission::Free
    }

    /// Lets time pass: decides when results go out, never which ids they have. Called as an epoch opens, before its first
    /// record, and as it closes, before `snapshot`.
    fn tick(&mut self, now: Timestamp, out: &mut Emit<Self::Out>) -> Result<()> {
        let _ = (now, out);
        Ok(())
    }

    /// The input has ended for good: gives out what is held.
    fn finish(&mut self, out: &mut Emit<Self::Out>) -> Result<()> {
        let _ = out;
        Ok(())
    }

    /// What changed since the last snapshot.
    fn snapshot(&mut self) -> Result<Snapshot> {
        Ok(Snapshot::Unchanged)
    }

    /// Takes up a saved state.
    fn restore(&mut self, state: State) -> Result<()> {
        let _ = state;
        Ok(())
    }
}
