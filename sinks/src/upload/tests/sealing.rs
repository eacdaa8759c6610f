//! Sealing, and who takes what is sealed.

use std::sync::Arc;

use afferent_core::{Batch, Epoch, Incarnation, Name, Record, testing::TestClock};
use tokio::sync::mpsc;

use super::world::record;
use crate::upload::{
    BatchLimits, Compression, MAX_LANES, Settings,
    feed::Made,
    sealing::{Sealed, Sealer, Sealing},
};

/// Scenario: a job seals many bodies one after the other, and whoever takes them is done with each before the next is
/// sealed, as a quick receiver is without an outbox. Guarantees: G7, at no moment more is settled than was made, so that the
/// sink knows how much is in memory.
#[test]
fn a_body_is_counted_before_it_is_handed_on() {
    const ROUNDS: u64 = 20;
    let (bodies, mut queue) = mpsc::unbounded_channel();
    let made = Made::default();
    let settings = Settings {
        compression: Compression::Gzip,
        batch: BatchLimits { records: usize::MAX, ..BatchLimits::default() },
        lanes: MAX_LANES,
        ..Settings::default()
    };
    let sealer = Sealer {
        incarnation: Incarnation::from_u128(1),
        sink: Name::from("sink"),
        compression: settings.compression,
        clock: Arc::new(TestClock::default()),
    };
    let mut sealing = Sealing::new(&settings, sealer, Sealed::default(), bodies, made.clone()).unwrap();
    std::thread::scope(|threads| {
        threads.spawn(move || {
            for round in 0..ROUNDS {
                sealing.commit(Epoch(round));
                let subjects = (0..500).map(|number| format!("subject {number}"));
                let mut batch: Batch<Record> =
                    subjects.zip(0..).map(|(subject, number)| record(number, Some(&subject))).collect();
                sealing.write(&mut batch).unwrap();
                // Closes a body in each lane.
                sealing.prepare(Epoch(round + 1)).unwrap();
            }
        });
        let (mut settled, mut records) = (0, 0);
        while let Some(entry) = queue.blocking_recv() {
            settled += entry.bytes();
            records += u64::from(entry.head.records);
            assert!(made.get() >= settled, "{settled} bytes are settled, {} were made", made.get());
        }
        assert_eq!((records, made.get()), (500 * ROUNDS, settled));
    });
}
