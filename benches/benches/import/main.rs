//! An Apple Health export (a zip) into SQLite, as `afferent import` does it, with a checkpoint a second on disk,
//! against a loop of two threads written by hand over the same libraries ([`by_hand`]).
//!
//! `AFFERENT_BENCH_RECORDS` sets how many records the export has: 300,000 are 117 MB of XML. The product reads
//! everything in it, the loop only samples (99.7 % of it); of these both databases hold the same rows.

mod by_hand;

use std::{
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
    time::Duration,
};

use afferent::{
    Builder,
    afferent_core::{Limits, Name, engine::Settings},
    runtime::{Runtime, RuntimeOptions},
    sinks::sqlite::{self, Sqlite},
    sources::export::{self, Export},
};
use afferent_benches::{pair, two_workers};
use afferent_sources::export::testing::write_export_zip;
use criterion::{Criterion, Throughput, criterion_group};
use rusqlite::Connection;
use tempfile::TempDir;

const SEED: u64 = 7;

/// A place for one import after another.
struct Place {
    directory: TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    #[allow(clippy::disallowed_methods, reason = "a bench's own files")]
    fn write_export(&self, name: &str, records: u64) {
        let file = BufWriter::new(File::create(self.path(name)).expect("a file"));
        write_export_zip(SEED, records, file).expect("the export is written");
    }

    /// Imports by the product into a new database.
    #[allow(clippy::disallowed_methods, reason = "a bench's own files")]
    fn pipeline(&self, export: &str, database: &str) {
        let (state, export, database) = (self.path("state"), self.path(export), self.path(database));
        // Neither is there when there was no run before.
        let _ = std::fs::remove_dir_all(&state);
        remove_database(&database);
        let source = export::Config::new(export);
        let sink = sqlite::Config { path: database };
        self.runtime.block_on(async {
            let runtime = Runtime::open(&state, RuntimeOptions::default()).await.expect("opens");
            // As the command has it.
            let limits = Limits { records: 1536, bytes: 1 << 20 };
            let spec = Builder::new("bench")
                .settings(Settings { limits, ..Settings::default() })
                .source("export", move || Ok(Export::new(source.clone())))
                .sink("sqlite", move || Ok(Sqlite::new(sink.clone())))
                .build()
                .expect("a pipeline");
            let outcome = runtime.run(spec).await.expect("starts").wait().await.expect("finishes");
            assert!(outcome.ledger.is_balanced());
            assert_eq!(outcome.ledger.accounts[&Name::from("sqlite")].dead, 0);
            runtime.shutdown(Duration::from_secs(10)).await.expect("shuts down");
        });
    }

    /// Imports by the loop into a copy of the empty database.
    #[allow(clippy::disallowed_methods, reason = "a bench's own files")]
    fn by_hand(&self) {
        let database = self.path("hand.db");
        remove_database(&database);
        std::fs::copy(self.path("empty.db"), &database).expect("a copy");
        by_hand::import(&self.path("export.zip"), &database).expect("the loop");
    }

    fn rows_are_equal(&self) {
        let database = Connection::open(self.path("ours.db")).expect("a database");
        let attach = format!("ATTACH '{}' AS hand", self.path("hand.db").display());
        database.execute_batch(&attach).expect("the other database");
        let rows = |of: &str| {
            format!(
                "SELECT *, typeof(value) FROM {of}.samples WHERE type GLOB 'HKQuantity*' OR type GLOB 'HKCategory*'"
            )
        };
        let (ours, hand) = (rows("main"), rows("hand"));
        let count = |query: String| -> i64 {
            database
                .query_row(&format!("SELECT count(*) FROM ({query})"), [], |row| row.get(0))
                .expect("a count")
        };
        assert!(count(ours.clone()) > 0, "there are samples");
        assert_eq!(count(format!("{ours} EXCEPT {hand}")), 0, "rows that only the product has");
        assert_eq!(count(format!("{hand} EXCEPT {ours}")), 0, "rows that only the loop has");
    }
}

/// Removes a database and what SQLite keeps beside it, where they are.
#[allow(clippy::disallowed_methods, reason = "a bench's own files")]
fn remove_database(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.to_owned().into_os_string();
        name.push(suffix);
        let _ = std::fs::remove_file(name);
    }
}

fn benches(criterion: &mut Criterion) {
    let records = std::env::var("AFFERENT_BENCH_RECORDS")
        .map_or(300_000, |records| records.parse().expect("AFFERENT_BENCH_RECORDS is a number"));
    let runtime = two_workers();
    let place = Place { directory: tempfile::tempdir().expect("a temporary directory"), runtime };
    place.write_export("empty.zip", 0);
    place.pipeline("empty.zip", "empty.db");
    place.write_export("export.zip", records);

    place.pipeline("export.zip", "ours.db");
    place.by_hand();
    place.rows_are_equal();
    pair("import", records, 7, || place.pipeline("export.zip", "ours.db"), || place.by_hand());

    let mut group = criterion.benchmark_group("import");
    group.throughput(Throughput::Elements(records)).sample_size(10);
    group.bench_function("hand", |bench| bench.iter(|| place.by_hand()));
    group.bench_function("pipeline", |bench| bench.iter(|| place.pipeline("export.zip", "ours.db")));
    group.finish();
}

criterion_group!(import, benches);

fn main() {
    import();
    Criterion::default().configure_from_args().final_summary();
}
