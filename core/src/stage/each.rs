//! Record-wise transforms that fuse: `ops().filter(…).map(…).filter(…)` is one pass over the batch, in place.

use std::marker::PhantomData;

use crate::{Batch, Emit, Result, Transform};

/// What is done with one record: changed in place, and kept or dropped.
pub trait Op<T>: Send + 'static {
    /// Whether the record is kept.
    fn run(&mut self, record: &mut T) -> bool;
}

/// Keeps everything; where a chain of operations begins.
#[derive(Clone, Copy, Debug)]
pub struct Keep;

impl<T> Op<T> for Keep {
    #[inline]
    fn run(&mut self, _: &mut T) -> bool {
        true
    }
}

/// Keeps what the closure says.
#[derive(Clone, Copy, Debug)]
pub struct Filter<F>(F);

impl<T, F: FnMut(&T) -> bool + Send + 'static> Op<T> for Filter<F> {
    #[inline]
    fn run(&mut self, record: &mut T) -> bool {
        (self.0)(record)
    }
}

/// Changes the record in place.
#[derive(Clone, Copy, Debug)]
pub struct Map<F>(F);

impl<T, F: FnMut(&mut T) + Send + 'static> Op<T> for Map<F> {
    #[inline]
    fn run(&mut self, record: &mut T) -> bool {
        (self.0)(record);
        true
    }
}

/// One operation, then another if the record is kept.
#[derive(Clone, Copy, Debug)]
pub struct Then<A, B>(A, B);

impl<T, A: Op<T>, B: Op<T>> Op<T> for Then<A, B> {
    #[inline]
    fn run(&mut self, record: &mut T) -> bool {
        self.0.run(record) && self.1.run(record)
    }
}

/// Builds a chain of operations over `T`; see [`ops`].
#[derive(Debug)]
pub struct Ops<T, O> {
    op: O,
    items: PhantomData<fn(T)>,
}

/// The beginning of a chain of operations over `T`.
pub fn ops<T>() -> Ops<T, Keep> {
    Ops { op: Keep, items: PhantomData }
}

impl<T: Send + 'static, O: Op<T>> Ops<T, O> {
    /// Keeps the records for which `keep` is true.
    pub fn filter<F: FnMut(&T) -> bool + Send + 'static>(self, keep: F) -> Ops<T, Then<O, Filter<F>>> {
        Ops { op: Then(self.op, Filter(keep)), items: PhantomData }
    }

    /// Changes each record in place.
    pub fn map<F: FnMut(&mut T) + Send + 'static>(self, change: F) -> Ops<T, Then<O, Map<F>>> {
        Ops { op: Then(self.op, Map(change)), items: PhantomData }
    }

    /// The chain as one transform.
    pub fn build(self) -> Each<T, O> {
        Each { op: self.op, items: PhantomData }
    }
}

/// A chain of operations as a transform; what it drops is filtered.
#[derive(Debug)]
pub struct Each<T, O> {
    op: O,
    items: PhantomData<fn(T)>,
}

impl<T: Send + 'static, O: Op<T>> Transform for Each<T, O> {
    type In = T;
    type Out = T;

    fn apply(&mut self, input: &mut Batch<T>, out: &mut Emit<T>) -> Result<()> {
        let before = input.len();
        input.retain_mut(|record| self.op.run(record));
        out.filtered(before - input.len());
        out.take(input);
        Ok(())
    }
}
