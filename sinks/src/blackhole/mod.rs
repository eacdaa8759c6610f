//! The blackhole: takes everything, keeps nothing and counts.
//!
//! For measuring a pipeline without a store, and for trying out what its filters let through. What it took
//! counts as delivered. A replay after a crash counts again.

use std::{
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use afferent_core::{
    Batch, Epoch, Opened, Prepared, Record, Result, Sink, SinkCx, Token,
    config::{Configure, Guarantee},
};
use serde::Deserialize;

/// The blackhole has no keys of its own.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Configure for Config {
    fn guarantee(&self) -> Option<Guarantee> {
        Some(Guarantee::AtLeastOnce(
            "it only counts, and counts an epoch again that a crash interrupts".to_owned(),
        ))
    }
}

/// A sink that counts and drops.
#[derive(Debug)]
pub struct Blackhole<T = Record> {
    count: Count,
    items: PhantomData<fn(T)>,
}

/// How many items a [`Blackhole`] took; stays readable when the sink has moved into its pipeline.
#[derive(Clone, Debug, Default)]
pub struct Count(Arc<AtomicU64>);

impl Count {
    /// The number so far.
    pub fn get(&self) -> u64 {
        // A number for people: nothing else is ordered by it.
        self.0.load(Ordering::Relaxed)
    }
}

impl<T> Blackhole<T> {
    /// A blackhole that has taken nothing yet.
    pub fn new(_: Config) -> Blackhole<T> {
        Blackhole { count: Count::default(), items: PhantomData }
    }

    /// Its count.
    pub fn count(&self) -> Count {
        self.count.clone()
    }
}

impl<T: Send + 'static> Sink for Blackhole<T> {
    type Item = T;

    async fn open(&mut self, _: SinkCx) -> Result<Opened> {
        Ok(Opened::Resumed)
    }

    async fn write(&mut self, batch: &mut Batch<T>) -> Result<()> {
        self.count.0.fetch_add(batch.len() as u64, Ordering::Relaxed);
        batch.clear();
        Ok(())
    }

    async fn prepare(&mut self, _: Epoch) -> Result<Prepared> {
        Ok(Prepared::default())
    }

    async fn commit(&mut self, _: Epoch, _: Option<&Token>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use afferent_core::testing::Surroundings;

    use super::*;

    /// Scenario: two batches. Guarantees: G11, what is dropped is counted.
    #[tokio::test]
    async fn it_counts_what_it_drops() {
        let around = Surroundings::new();
        let mut sink = Blackhole::new(Config {});
        let count = sink.count();
        assert_eq!(sink.open(around.sink(None, 1)).await.unwrap(), Opened::Resumed);
        for _ in 0..2 {
            let mut batch = Batch::from(vec![1, 2, 3]);
            sink.write(&mut batch).await.unwrap();
            assert!(batch.is_empty());
        }
        assert_eq!(sink.prepare(Epoch(1)).await.unwrap().token, None);
        assert_eq!(count.get(), 6);
    }
}
