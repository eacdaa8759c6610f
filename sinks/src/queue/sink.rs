//! [`QueueSink`].

use afferent_core::{
    Batch, Epoch, Error, Name, Opened, Prepared, Record, Reject, Rejects, Result, Sink, SinkCx, Token,
    queue::disk::{Producer, Room},
};
use afferent_formats::msgpack;

use super::{Config, ENTRY_BYTES};
use crate::jobs::{Jobs, not_open};

/// A sink that writes to a queue on disk.
#[derive(Debug)]
pub struct QueueSink {
    config: Config,
    open: Option<Open>,
}

struct Open {
    jobs: Jobs<Writer, Record>,
    room: Room,
}

/// What travels in jobs.
#[derive(Debug)]
struct Writer {
    producer: Producer,
    /// The longest entry that the log takes.
    longest: u64,
    buffer: Vec<u8>,
    rejects: Rejects,
}

impl QueueSink {
    /// A sink that writes to a queue.
    pub fn new(config: Config) -> QueueSink {
        QueueSink { config, open: None }
    }
}

impl Sink for QueueSink {
    type Item = Record;

    async fn open(&mut self, cx: SinkCx) -> Result<Opened> {
        let name = Name::from(self.config.queue.as_str());
        let (producer, room, opened) = cx.queues.produce(&name, self.config.max_bytes.0, &cx).await?;
        let writer = Writer {
            longest: producer.max_entry_bytes(),
            producer,
            buffer: Vec::new(),
            rejects: Rejects::new(),
        };
        self.open = Some(Open { jobs: Jobs::new(cx.blocking, writer), room });
        Ok(opened)
    }

    async fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        let Open { jobs, room } = self.open.as_mut().ok_or_else(not_open)?;
        if !room.wait(self.config.when_full).await? {
            let gone = jobs.run(|writer| writer.producer.forgo()).await?;
            room.forwent(gone);
        }
        jobs.write(batch, Writer::write).await
    }

    async fn prepare(&mut self, _: Epoch) -> Result<Prepared> {
        let Open { jobs, .. } = self.open.as_mut().ok_or_else(not_open)?;
        jobs.run(|writer| {
            let token = Some(writer.producer.prepare()?);
            Ok(Prepared { token, rejects: std::mem::take(&mut writer.rejects), ..Prepared::default() })
        })
        .await
    }

    async fn commit(&mut self, _: Epoch, token: Option<&Token>) -> Result<()> {
        let Open { jobs, room } = self.open.as_mut().ok_or_else(not_open)?;
        let token = token.cloned().ok_or_else(|| Error::bug("a queue without a token"))?;
        jobs.run(move |writer| writer.producer.commit(&token)).await?;
        room.measure();
        Ok(())
    }
}

impl Writer {
    fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        self.append(batch)?;
        batch.clear();
        Ok(())
    }

    /// Appends `records` as one entry, or as several if it would be too long.
    fn append(&mut self, records: &[Record]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.buffer.clear();
        msgpack::encode(records, &mut self.buffer)?;
        let length = self.buffer.len();
        match records {
            [record] if length as u64 > self.longest => {
                let reason = format!(
                    "it takes {length} bytes in a queue, and at most {} are allowed; leave it out before it gets there",
                    self.longest
                );
                self.rejects.push(Reject::record(record, reason));
                Ok(())
            }
            [_, _, ..] if length > ENTRY_BYTES => {
                let (first, second) = records.split_at(records.len() / 2);
                self.append(first)?;
                self.append(second)
            }
            _ => self.producer.append(&self.buffer),
        }
    }
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("room", &self.room).finish_non_exhaustive()
    }
}
