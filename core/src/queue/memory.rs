//! A bounded in-memory queue, by records and by bytes.
//!
//! It joins a thread or task that makes batches (an export reader) with the pipeline that takes them. Contract:
//! first in, first out; `send` waits for room; an item larger than a whole bound goes alone; a send to a closed
//! queue gives the value back.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::Batch;

/// How much a queue holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Records in all items together.
    pub records: u32,
    /// Bytes in all items together.
    pub bytes: u32,
}

/// How much room an item takes.
pub trait Weigh {
    /// Records in it.
    fn records(&self) -> usize;
    /// Bytes in it.
    fn bytes(&self) -> usize;
}

impl<T> Weigh for Batch<T> {
    fn records(&self) -> usize {
        self.len()
    }
    fn bytes(&self) -> usize {
        Batch::bytes(self)
    }
}

/// The queue is closed; here is the value back.
#[derive(Debug, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// The sending half.
#[derive(Debug)]
pub struct Sender<T> {
    items: mpsc::UnboundedSender<Item<T>>,
    room: Arc<Room>,
}

/// The receiving half.
#[derive(Debug)]
pub struct Receiver<T> {
    items: mpsc::UnboundedReceiver<Item<T>>,
    room: Arc<Room>,
}

#[derive(Debug)]
struct Room {
    records: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    limits: QueueLimits,
}

/// An item and the room it takes, which is free again when it is received.
#[derive(Debug)]
struct Item<T> {
    value: T,
    _room: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

/// A queue that holds as much as `limits` say. What bounds it is the permits an item holds; the channel
/// inside it is therefore never longer than `limits.records`.
pub fn queue<T: Weigh>(limits: QueueLimits) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let room = Arc::new(Room {
        records: Arc::new(Semaphore::new(limits.records as usize)),
        bytes: Arc::new(Semaphore::new(limits.bytes as usize)),
        limits,
    });
    (Sender { items: sender, room: room.clone() }, Receiver { items: receiver, room })
}

impl<T: Weigh> Sender<T> {
    /// Waits for room and sends.
    ///
    /// # Errors
    /// Gives the value back when the receiver is gone.
    pub async fn send(&self, value: T) -> Result<(), SendError<T>> {
        // Every item takes at least one record, so that empty ones are bounded too.
        let records = value.records().clamp(1, self.room.limits.records as usize) as u32;
        let bytes = value.bytes().min(self.room.limits.bytes as usize) as u32;
        let Ok(records) = self.room.records.clone().acquire_many_owned(records).await else {
            return Err(SendError(value));
        };
        let Ok(bytes) = self.room.bytes.clone().acquire_many_owned(bytes).await else {
            return Err(SendError(value));
        };
        let item = Item { value, _room: (records, bytes) };
        self.items.send(item).map_err(|refused| SendError(refused.0.value))
    }

    /// Sends from a thread that may block.
    ///
    /// # Errors
    /// Gives the value back when the receiver is gone.
    pub fn blocking_send(&self, value: T) -> Result<(), SendError<T>> {
        futures::executor::block_on(self.send(value))
    }

    /// Whether the receiver is gone.
    pub fn is_closed(&self) -> bool {
        self.items.is_closed()
    }
}

impl<T> Receiver<T> {
    /// The next item, or `None` when all senders are gone and the queue is empty.
    pub async fn recv(&mut self) -> Option<T> {
        self.items.recv().await.map(|item| item.value)
    }

    /// The next item if one is there.
    pub fn try_recv(&mut self) -> Option<T> {
        self.items.try_recv().ok().map(|item| item.value)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // Wakes senders that wait for room: they get their values back.
        self.room.records.close();
        self.room.bytes.close();
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, poll};

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Load(usize, usize);
    impl Weigh for Load {
        fn records(&self) -> usize {
            self.0
        }
        fn bytes(&self) -> usize {
            self.1
        }
    }

    /// Scenario: a producer is faster than its consumer. Guarantees: G7, it is held at either bound, and what
    /// does not fit goes alone.
    #[tokio::test]
    async fn both_bounds_push_back() {
        let (sender, mut receiver) = queue(QueueLimits { records: 10, bytes: 100 });
        sender.send(Load(6, 1)).await.unwrap();
        let mut second = sender.send(Load(5, 1)).boxed();
        assert!(poll!(&mut second).is_pending(), "11 records do not fit into 10");
        assert_eq!(receiver.recv().await, Some(Load(6, 1)));
        second.await.unwrap();
        let mut third = sender.send(Load(1, 100)).boxed();
        assert!(poll!(&mut third).is_pending(), "101 bytes do not fit into 100");
        assert_eq!(receiver.recv().await, Some(Load(5, 1)));
        third.await.unwrap();
        assert_eq!(receiver.recv().await, Some(Load(1, 100)));
        sender.send(Load(1000, 1000)).await.unwrap();
        assert_eq!(receiver.recv().await, Some(Load(1000, 1000)));
    }

    /// Scenario: the receiver goes away while a sender waits. Guarantees: G1, the value comes back.
    #[tokio::test]
    async fn a_closed_queue_gives_the_value_back() {
        let (sender, receiver) = queue(QueueLimits { records: 1, bytes: 1 });
        sender.send(Load(1, 0)).await.unwrap();
        let mut waiting = sender.send(Load(1, 1)).boxed();
        assert!(poll!(&mut waiting).is_pending());
        drop(receiver);
        assert_eq!(waiting.await, Err(SendError(Load(1, 1))));
        assert!(sender.is_closed());
    }
}
