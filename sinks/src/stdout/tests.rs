//! What people and programs see.

use std::sync::{Arc, Mutex};

use afferent_core::{ErrorKind, Kind, Origin, RecordId, Unit, Value, testing::Surroundings};

use super::*;

/// A writer that can be looked at, and that breaks after some bytes.
#[derive(Clone, Default)]
struct Shared {
    bytes: Arc<Mutex<Vec<u8>>>,
    broken: Option<io::ErrorKind>,
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.bytes.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.broken {
            Some(kind) => Err(kind.into()),
            None => self.bytes.lock().unwrap().write(bytes),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn records() -> Batch<Record> {
    let start = afferent_core::Timestamp::parse_rfc3339("2025-01-31T07:00:00.25Z").unwrap().0;
    let mut beat = Record::added(
        RecordId::from_u128(1),
        Kind::parse("HeartRate").unwrap(),
        start,
        start,
        Value::Quantity(62.5, Unit::parse("count/min").unwrap()),
    );
    beat.origin = Some(Arc::new(Origin { name: Some("Wa\u{1b}tch".into()), ..Origin::default() }));
    Batch::from(vec![beat, Record::deleted(RecordId::from_u128(2), None)])
}

async fn shown(config: Config) -> String {
    let around = Surroundings::new();
    let writer = Shared::default();
    let mut sink = Stdout::with_writer(config, writer.clone(), TimeZone::fixed(jiff::tz::offset(1)));
    assert_eq!(sink.open(around.sink(None, 1)).await.unwrap(), Opened::Resumed);
    sink.prepare(Epoch(0)).await.unwrap();
    assert_eq!(writer.text(), "", "nothing before the first write");
    sink.write(&mut records()).await.unwrap();
    sink.write(&mut Batch::new()).await.unwrap();
    let prepared = sink.prepare(Epoch(1)).await.unwrap();
    assert!(prepared.rejects.is_empty());
    writer.text()
}

/// Scenario: an addition with an escape character in its source, and a deletion, as a table. Guarantees: G3; no
/// text of the data reaches the terminal as a command.
#[tokio::test]
async fn a_table_for_people() {
    assert_eq!(
        shown(Config::default()).await,
        "START                      TYPE                      VALUE             SOURCE\n\
         2025-01-31 08:00:00+01:00  HeartRate                 62.5 count/min    Wa?tch\n\
         \u{20}                                                    deleted           00000000-0000-0000-0000-000000000002\n"
    );
}

/// Scenario: the same as NDJSON. Guarantees: G4.
#[tokio::test]
async fn ndjson_for_programs() {
    let text = shown(Config { format: StdoutFormat::Json }).await;
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["value"], 62.5);
    assert_eq!(lines[1]["deleted"], true);
}

/// Scenario: the reader closes the pipe; another time the terminal fails. Guarantees: G11, the first ends the
/// pipeline quietly, the second is tried again.
#[tokio::test]
async fn a_reader_that_has_gone_is_no_failure() {
    for (broken, quiet) in [(io::ErrorKind::BrokenPipe, true), (io::ErrorKind::Other, false)] {
        let around = Surroundings::new();
        let writer = Shared { broken: Some(broken), ..Shared::default() };
        let mut sink = Stdout::with_writer(Config::default(), writer, TimeZone::UTC);
        sink.open(around.sink(None, 1)).await.unwrap();
        sink.write(&mut records()).await.unwrap();
        let error = sink.prepare(Epoch(1)).await.unwrap_err();
        assert_eq!(error.kind() == ErrorKind::Fenced, quiet);
        assert_eq!(error.kind().is_retryable(), !quiet);
    }
}
