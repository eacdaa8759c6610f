//! Boxed stages: one dynamic call per batch, none per record, over the same traits.

use std::{future::Future, pin::Pin};

use super::{look::Look, permit::Permission};
use crate::{
    Batch, Emit, Epoch, Opened, Prepared, Pulled, Result, Sink, SinkCx, Snapshot, Source, SourceCx, State,
    Timestamp, Token, Transform, TransformCx, mailbox::Need,
};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The object-safe form of [`Source`]; every source has it.
pub trait DynSource<T>: Send + 'static {
    /// See [`Source::open`].
    fn open_boxed(&mut self, cx: SourceCx) -> BoxFuture<'_, Result<()>>;
    /// See [`Source::next`].
    fn next_boxed(&mut self) -> BoxFuture<'_, Result<Option<Pulled<T>>>>;
}

impl<S: Source> DynSource<S::Item> for S {
    fn open_boxed(&mut self, cx: SourceCx) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.open(cx))
    }
    fn next_boxed(&mut self) -> BoxFuture<'_, Result<Option<Pulled<S::Item>>>> {
        Box::pin(self.next())
    }
}

/// A source of which only the item type is known.
pub type BoxSource<T> = Box<dyn DynSource<T>>;

impl<T: Send + 'static> Source for BoxSource<T> {
    type Item = T;
    async fn open(&mut self, cx: SourceCx) -> Result<()> {
        (**self).open_boxed(cx).await
    }
    async fn next(&mut self) -> Result<Option<Pulled<T>>> {
        (**self).next_boxed().await
    }
}

/// The object-safe form of [`Sink`]; every sink has it.
pub trait DynSink<T>: Send + 'static {
    /// See [`Sink::open`].
    fn open_boxed(&mut self, cx: SinkCx) -> BoxFuture<'_, Result<Opened>>;
    /// See [`Sink::write`].
    fn write_boxed<'a>(&'a mut self, batch: &'a mut Batch<T>) -> BoxFuture<'a, Result<()>>;
    /// See [`Sink::prepare`].
    fn prepare_boxed(&mut self, epoch: Epoch) -> BoxFuture<'_, Result<Prepared>>;
    /// See [`Sink::commit`].
    fn commit_boxed<'a>(&'a mut self, epoch: Epoch, token: Option<&'a Token>) -> BoxFuture<'a, Result<()>>;
    /// See [`Sink::permit`].
    fn permit_boxed(&mut self, permission: Permission<T>);
    /// See [`Sink::pending`].
    fn pending_boxed(&self) -> u64;
    /// See [`Sink::need`].
    fn need_boxed(&self) -> Option<Need>;
    /// See [`Sink::check`].
    fn check_boxed(&self) -> Result<()>;
}

impl<K: Sink> DynSink<K::Item> for K {
    fn open_boxed(&mut self, cx: SinkCx) -> BoxFuture<'_, Result<Opened>> {
        Box::pin(self.open(cx))
    }
    fn write_boxed<'a>(&'a mut self, batch: &'a mut Batch<K::Item>) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.write(batch))
    }
    fn prepare_boxed(&mut self, epoch: Epoch) -> BoxFuture<'_, Result<Prepared>> {
        Box::pin(self.prepare(epoch))
    }
    fn commit_boxed<'a>(&'a mut self, epoch: Epoch, token: Option<&'a Token>) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.commit(epoch, token))
    }
    fn permit_boxed(&mut self, permission: Permission<K::Item>) {
        self.permit(permission);
    }
    fn pending_boxed(&self) -> u64 {
        self.pending()
    }
    fn need_boxed(&self) -> Option<Need> {
        self.need()
    }
    fn check_boxed(&self) -> Result<()> {
        self.check()
    }
}

/// A sink of which only the item type is known.
pub type BoxSink<T> = Box<dyn DynSink<T>>;

impl<T: Send + 'static> Sink for BoxSink<T> {
    type Item = T;
    async fn open(&mut self, cx: SinkCx) -> Result<Opened> {
        (**self).open_boxed(cx).await
    }
    async fn write(&mut self, batch: &mut Batch<T>) -> Result<()> {
        (**self).write_boxed(batch).await
    }
    async fn prepare(&mut self, epoch: Epoch) -> Result<Prepared> {
        (**self).prepare_boxed(epoch).await
    }
    async fn commit(&mut self, epoch: Epoch, token: Option<&Token>) -> Result<()> {
        (**self).commit_boxed(epoch, token).await
    }
    fn permit(&mut self, permission: Permission<T>) {
        (**self).permit_boxed(permission);
    }
    fn pending(&self) -> u64 {
        (**self).pending_boxed()
    }
    fn need(&self) -> Option<Need> {
        (**self).need_boxed()
    }
    fn check(&self) -> Result<()> {
        (**self).check_boxed()
    }
}

/// A transform of which only the item types are known.
pub type BoxTransform<I, O = I> = Box<dyn Transform<In = I, Out = O>>;

impl<I: Send + 'static, O: Send + 'static> Transform for BoxTransform<I, O> {
    type In = I;
    type Out = O;
    fn open(&mut self, cx: &TransformCx) -> Result<()> {
        (**self).open(cx)
    }
    fn look(&mut self, now: Timestamp) -> Option<Look> {
        (**self).look(now)
    }
    fn apply(&mut self, input: &mut Batch<I>, out: &mut Emit<O>) -> Result<()> {
        (**self).apply(input, out)
    }
    fn permission(&mut self) -> Permission<O> {
        (**self).permission()
    }
    fn tick(&mut self, now: Timestamp, out: &mut Emit<O>) -> Result<()> {
        (**self).tick(now, out)
    }
    fn finish(&mut self, out: &mut Emit<O>) -> Result<()> {
        (**self).finish(out)
    }
    fn snapshot(&mut self) -> Result<Snapshot> {
        (**self).snapshot()
    }
    fn restore(&mut self, state: State) -> Result<()> {
        (**self).restore(state)
    }
}
