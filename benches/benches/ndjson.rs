//! Two million records of about 300 bytes: NDJSON → filter (three of six types) → set → NDJSON, with a checkpoint a
//! second on disk, against the same loop written by hand on one thread with the same JSON library; and what the
//! checkpoints cost, against the same pipeline with none but the first and the last.
//!
//! `AFFERENT_BENCH_RECORDS` sets another number of records. For checkpoints to matter a run must be long: for
//! figures to quote take 30 million, or as many as make a run 30 s.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use afferent::{
    Builder, PipelineSpec,
    afferent_core::{Name, Result, engine::Settings},
    runtime::{Runtime, RuntimeOptions},
    sinks, sources, transforms,
};
use afferent_benches::{Line, TYPES, pair, two_workers, write_ndjson};
use criterion::{Criterion, Throughput, criterion_group};
use tempfile::TempDir;

#[allow(clippy::disallowed_methods, reason = "the loop that the pipeline is compared with")]
fn by_hand(input: &Path, output: &Path) -> std::io::Result<()> {
    let mut reader = BufReader::with_capacity(256 << 10, File::open(input)?);
    let mut writer = BufWriter::with_capacity(256 << 10, File::create(output)?);
    let mut text = Vec::new();
    while reader.read_until(b'\n', &mut text)? > 0 {
        let mut line: Line<'_> = serde_json::from_slice(&text)?;
        if TYPES[..3].iter().any(|(kind, _)| *kind == line.kind) {
            line.zone = Some("Europe/Berlin");
            serde_json::to_writer(&mut writer, &line)?;
            writer.write_all(b"\n")?;
        }
        text.clear();
    }
    writer.flush()?;
    writer.get_ref().sync_data()
}

fn spec(input: &Path, output: &Path, every: Duration) -> Result<PipelineSpec> {
    let source = sources::file::Config {
        path: input.to_string_lossy().into_owned(),
        follow: false,
        format: Default::default(),
        strict: false,
    };
    let sink = sinks::file::Config { path: output.to_owned(), format: Default::default(), roll: None };
    let settings = Settings { every, records: u64::MAX, bytes: u64::MAX, ..Settings::default() };
    Builder::new("bench")
        .settings(settings)
        .source("file", move || Ok(sources::file::FileSource::new(source.clone())))
        .transform("filter", || {
            let when = "type in ['HeartRate', 'StepCount', 'ActiveEnergyBurned']".to_owned();
            Ok(transforms::filter::Filter::new(transforms::filter::Config { when }).expect("it compiles"))
        })
        .transform("set", || {
            let config =
                toml::from_str("to = { zone = \"'Europe/Berlin'\" }").expect("it is a configuration");
            Ok(transforms::set::Set::new(config).expect("it compiles"))
        })
        .sink("file", move || Ok(sinks::file::FileSink::new(sink.clone())))
        .build()
}

/// A place for one run after another.
struct Place {
    directory: TempDir,
    input: PathBuf,
    runtime: tokio::runtime::Runtime,
}

impl Place {
    #[allow(clippy::disallowed_methods, reason = "a bench's own files")]
    fn pipeline(&self, every: Duration) {
        let state = self.directory.path().join("state");
        let output = self.directory.path().join("ours.ndjson");
        // The file is no more there when there was no run before.
        let _ = (std::fs::remove_dir_all(&state), std::fs::remove_file(&output));
        self.runtime.block_on(async {
            let runtime = Runtime::open(&state, RuntimeOptions::default()).await.expect("opens");
            let spec = spec(&self.input, &output, every).expect("a pipeline");
            let outcome = runtime.run(spec).await.expect("starts").wait().await.expect("finishes");
            assert!(outcome.ledger.is_balanced());
            assert_eq!(outcome.ledger.accounts[&Name::from("file")].dead, 0);
            runtime.shutdown(Duration::from_secs(10)).await.expect("shuts down");
        });
    }

    fn by_hand(&self) {
        by_hand(&self.input, &self.directory.path().join("hand.ndjson")).expect("the loop");
    }

    #[allow(clippy::disallowed_methods, reason = "a bench's own files")]
    fn outputs_are_equal(&self) {
        let read = |name| std::fs::read(self.directory.path().join(name)).expect("an output");
        assert!(read("ours.ndjson") == read("hand.ndjson"), "the pipeline and the loop write the same bytes");
    }
}

fn benches(criterion: &mut Criterion) {
    let records = std::env::var("AFFERENT_BENCH_RECORDS")
        .map_or(2_000_000, |records| records.parse().expect("AFFERENT_BENCH_RECORDS is a number"));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let input = directory.path().join("input.ndjson");
    write_ndjson(&input, records).expect("the input is written");
    let runtime = two_workers();
    let place = Place { directory, input, runtime };
    let (second, never) = (Duration::from_secs(1), Duration::from_secs(1_000_000));

    place.pipeline(second);
    place.by_hand();
    place.outputs_are_equal();
    pair("ndjson", records, 7, || place.pipeline(second), || place.by_hand());
    pair(
        "a checkpoint a second (against none)",
        records,
        7,
        || place.pipeline(second),
        || place.pipeline(never),
    );

    let mut group = criterion.benchmark_group("ndjson");
    group.throughput(Throughput::Elements(records)).sample_size(10);
    group.bench_function("hand", |bench| bench.iter(|| place.by_hand()));
    group.bench_function("pipeline", |bench| bench.iter(|| place.pipeline(second)));
    group.finish();
}

criterion_group!(ndjson, benches);

fn main() {
    ndjson();
    Criterion::default().configure_from_args().final_summary();
}
