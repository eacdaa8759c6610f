//! What holds of any input, whether it is an export or not.

use std::cell::RefCell;

use afferent_core::{ErrorKind, Limits, Position, Pulled, Record, Reject, Source, testing::Surroundings};
use afferent_formats::{DecoderOptions, wire};
use tokio::runtime::{Builder, Runtime};

use crate::export::{Config, Export};

thread_local! {
    static RUNTIME: RefCell<Runtime> =
        RefCell::new(Builder::new_current_thread().build().expect("a runtime without drivers"));
}

/// Positions at which reading is resumed.
const RESUMED: usize = 2;

/// Reads `bytes` as an export.zip or export.xml and checks that
///
/// - it ends, with records, rejects, and an error of a kind that tells people what to do, if any;
/// - no record changes on its way through the wire form;
/// - reading on from a position gives the rest, no more and no less.
///
/// # Panics
/// If any of this does not hold.
#[allow(clippy::disallowed_methods, reason = "a fixture, not a state file")]
pub fn check(bytes: &[u8]) {
    RUNTIME.with_borrow(|runtime| {
        runtime.block_on(async {
            let mut around = Surroundings::new();
            around.limits = Limits { records: 8, bytes: 1 << 16 };
            let path = around.path().join("export");
            std::fs::write(&path, bytes).expect("the input is written");
            let whole = read(&around, Config::new(&path), None).await;
            whole.records.iter().for_each(survives_the_wire);
            let step = whole.pulls.len() / (RESUMED + 1) + 1;
            for index in (step - 1..whole.pulls.len()).step_by(step) {
                let (records, rejects, position) = &whole.pulls[index];
                let rest = read(&around, Config::new(&path), Some(position.clone())).await;
                assert!(whole.records[*records..] == rest.records, "records after pull {index}");
                assert!(whole.rejects[*rejects..] == rest.rejects, "rejects after pull {index}");
                assert_eq!(whole.error, rest.error, "the end after pull {index}");
            }
        });
    });
}

#[derive(Default)]
struct Read {
    records: Vec<Record>,
    rejects: Vec<Reject>,
    /// Records and rejects so far, and the position, behind each pull.
    pulls: Vec<(usize, usize, Position)>,
    error: Option<ErrorKind>,
}

async fn read(around: &Surroundings, config: Config, position: Option<Position>) -> Read {
    let mut read = Read::default();
    let mut source = Export::new(config);
    let mut result = source.open(around.source(position)).await.map(|()| true);
    while let Ok(true) = result {
        result = source.next().await.map(|pulled| match pulled {
            Some(Pulled { batch, rejects, position, .. }) => {
                read.records.extend(batch);
                read.rejects.extend(rejects);
                read.pulls.push((read.records.len(), read.rejects.len(), position));
                true
            }
            None => false,
        });
    }
    if let Err(error) = result {
        assert!(matches!(error.kind(), ErrorKind::State | ErrorKind::Config), "{error}");
        read.error = Some(error.kind());
    }
    read
}

fn survives_the_wire(record: &Record) {
    let mut line = Vec::new();
    if wire::write_record(record, &mut line).is_err() {
        // A document that lies in itself too deeply has no wire form; the sink rejects it.
        return;
    }
    let text = std::str::from_utf8(&line).expect("the wire form is text");
    let mut decoder = wire::WireDecoder::new(DecoderOptions { strict: true });
    let read = decoder.decode_record(text.trim_end()).expect("what was written is read");
    let mut again = Vec::new();
    wire::write_record(&read, &mut again).expect("what was read is written");
    assert!(line == again && record.id == read.id, "a record changes on its way");
}
