//! A source from any [`futures::Stream`].

use std::pin::Pin;

use futures::{Stream, StreamExt};

use crate::{Batch, Position, Pulled, Result, Source, SourceCx};

/// Version of the position of a stream: how many records were taken.
const POSITION_VERSION: u16 = 1;

type BoxStream<T> = Pin<Box<dyn Stream<Item = T> + Send>>;
type MakeStream<T> = Box<dyn FnMut(u64) -> BoxStream<T> + Send>;

/// A source from a stream that can be made again: `make(n)` gives the stream without its first `n` records,
/// and so it replays after a restart. The stream's end is the end of the source.
///
/// ```
/// use afferent_core::from_stream;
/// let source = from_stream("numbers", |taken| futures::stream::iter(taken..1000));
/// # let _ = source;
/// ```
pub fn from_stream<T, S>(
    fingerprint: impl Into<String>,
    mut make: impl FnMut(u64) -> S + Send + 'static,
) -> FromStream<T>
where
    T: Send + 'static,
    S: Stream<Item = T> + Send + 'static,
{
    FromStream {
        fingerprint: fingerprint.into(),
        make: Box::new(move |taken| Box::pin(make(taken))),
        open: None,
        notice: None,
    }
}

/// A source from a stream that can't be made again: at most once across a restart, and it says so in a
/// notice. Put a disk queue before it where that is not enough.
pub fn once<T, S>(stream: S) -> FromStream<T>
where
    T: Send + 'static,
    S: Stream<Item = T> + Send + 'static,
{
    let mut stream: Option<BoxStream<T>> = Some(Box::pin(stream));
    FromStream {
        fingerprint: String::new(),
        make: Box::new(move |_| stream.take().unwrap_or_else(|| Box::pin(futures::stream::empty()))),
        open: None,
        notice: Some("this stream can't replay: what is in flight at a restart is lost"),
    }
}

/// A source from a stream; see [`from_stream`] and [`once`].
pub struct FromStream<T> {
    fingerprint: String,
    make: MakeStream<T>,
    open: Option<Open<T>>,
    notice: Option<&'static str>,
}

struct Open<T> {
    stream: futures::stream::Fuse<BoxStream<T>>,
    taken: u64,
    limit: usize,
    drained: bool,
}

impl<T> std::fmt::Debug for FromStream<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FromStream").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Source for FromStream<T> {
    type Item = T;

    async fn open(&mut self, cx: SourceCx) -> Result<()> {
        let taken = match &cx.position {
            Some(position) if position.fingerprint == self.fingerprint => position.read(POSITION_VERSION)?,
            _ => 0,
        };
        if let Some(notice) = self.notice {
            cx.events.notice(notice);
        }
        let stream = (self.make)(taken).fuse();
        self.open = Some(Open { stream, taken, limit: cx.limits.records, drained: false });
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Pulled<T>>> {
        let open = self.open.as_mut().ok_or_else(|| crate::Error::bug("`next` before `open`"))?;
        let mut batch = Batch::new();
        // What is ready is taken at once; only a stream that has nothing is waited for.
        loop {
            let ready = futures::future::poll_immediate(open.stream.next()).await;
            match ready {
                Some(Some(record)) => batch.push(record),
                Some(None) if batch.is_empty() => return Ok(None),
                Some(None) => break,
                None if batch.is_empty() && open.drained => match open.stream.next().await {
                    Some(record) => batch.push(record),
                    None => return Ok(None),
                },
                None => break,
            }
            if batch.len() >= open.limit {
                break;
            }
        }
        open.taken += batch.len() as u64;
        open.drained = batch.is_empty();
        let position = Position::new(POSITION_VERSION, self.fingerprint.clone(), &open.taken)?;
        Ok(Some(Pulled { seal: batch.is_empty(), batch, rejects: Vec::new(), position }))
    }
}
