//! From a queue on disk, which other pipelines fill with a sink of the same type.
//!
//! What several producers write is merged: the records of each come in their order. A queue has no end, so this source only
//! ever runs dry. What is promised, and what happens when a producer falls back or an entry is damaged, is told in
//! [`afferent_core::queue::disk`].

#[cfg(test)]
mod tests;

use afferent_core::{
    Error, Name, Problem, Pulled, Record, Result, Source, SourceCx,
    config::Configure,
    queue::disk::{Consumer, check_name},
};
use afferent_formats::msgpack;
use serde::Deserialize;

/// Configuration of [`QueueSource`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name of the queue, as its sinks write it. It keeps what this source has not read, also while it does not run.
    pub queue: String,
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        check_name(&Name::from(self.queue.as_str())).into_iter().collect()
    }
}

/// A source that reads a queue on disk.
#[derive(Debug)]
pub struct QueueSource {
    config: Config,
    consumer: Option<Consumer<Record>>,
}

impl QueueSource {
    /// A source that reads a queue.
    pub fn new(config: Config) -> QueueSource {
        QueueSource { config, consumer: None }
    }
}

impl Source for QueueSource {
    type Item = Record;

    async fn open(&mut self, cx: SourceCx) -> Result<()> {
        let queues = cx.queues.clone();
        let consumer = queues.consume(&Name::from(self.config.queue.as_str()), msgpack::decode, cx).await?;
        self.consumer = Some(consumer);
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Pulled<Record>>> {
        let consumer = self.consumer.as_mut().ok_or_else(|| Error::bug("`next` before `open`"))?;
        consumer.next().await.map(Some)
    }
}
