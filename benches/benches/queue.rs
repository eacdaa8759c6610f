//! What a queue between two pipelines costs: NDJSON → queue and queue → NDJSON at the same time, against NDJSON → NDJSON in one
//! pipeline, both with a checkpoint a second on disk. Ours is above 1 by what writing, syncing and reading the queue takes; the
//! figure to quote is its inverse, the share of the one pipeline's throughput that is left.
//!
//! `AFFERENT_BENCH_RECORDS` sets another number of records than a million.

use std::path::{Path, PathBuf};

use afferent::{
    Builder, PipelineSpec,
    afferent_core::{BoxSink, BoxSource, Record, Result},
    runtime::{Runtime, RuntimeOptions},
    sinks, sources,
};
use afferent_benches::{pair, two_workers, write_ndjson};
use criterion::{Criterion, Throughput, criterion_group};
use tempfile::TempDir;

fn read(input: &Path) -> impl Fn() -> Result<BoxSource<Record>> + Send + Sync + 'static {
    let config = sources::file::Config {
        path: input.to_string_lossy().into_owned(),
        follow: false,
        format: Default::default(),
        strict: false,
    };
    move || Ok(Box::new(sources::file::FileSource::new(config.clone())))
}

fn write(output: &Path) -> impl Fn() -> Result<BoxSink<Record>> + Send + Sync + 'static {
    let config = sinks::file::Config { path: output.to_owned(), format: Default::default(), roll: None };
    move || Ok(Box::new(sinks::file::FileSink::new(config.clone())))
}

fn one(input: &Path, output: &Path) -> Result<PipelineSpec> {
    Builder::new("one").source("file", read(input)).sink("file", write(output)).build()
}

fn two(input: &Path, output: &Path) -> Result<[PipelineSpec; 2]> {
    let producer = Builder::new("producer")
        .source("file", read(input))
        .sink("queue", || Ok(sinks::queue::QueueSink::new(sinks::queue::Config::new("bench"))))
        .build()?;
    let consumer = Builder::new("consumer")
        .source("queue", || {
            Ok(sources::queue::QueueSource::new(sources::queue::Config { queue: "bench".to_owned() }))
        })
        .sink("file", write(output))
        .build()?;
    Ok([producer, consumer])
}

/// A place for one run after another.
struct Place {
    directory: TempDir,
    input: PathBuf,
    runtime: tokio::runtime::Runtime,
}

impl Place {
    #[allow(clippy::disallowed_methods, reason = "a bench's own files")]
    fn run(&self, specs: Vec<PipelineSpec>, output: &Path) -> u64 {
        let state = self.directory.path().join("state");
        self.runtime.block_on(async {
            let runtime = Runtime::open(&state, RuntimeOptions::default()).await.expect("the state opens");
            let mut handles = Vec::new();
            for spec in specs {
                handles.push(runtime.run(spec).await.expect("it starts"));
            }
            runtime.finish_together(&handles).await;
            for handle in &handles {
                handle.wait().await.expect("it ends");
            }
            runtime.shutdown(std::time::Duration::from_secs(60)).await.expect("it closes");
        });
        let written = std::fs::metadata(output).expect("the output").len();
        // Each run begins with nothing.
        std::fs::remove_file(output).expect("the output");
        std::fs::remove_dir_all(&state).expect("the state");
        written
    }

    fn one(&self) -> u64 {
        let output = self.directory.path().join("one.ndjson");
        self.run(vec![one(&self.input, &output).expect("a pipeline")], &output)
    }

    fn two(&self) -> u64 {
        let output = self.directory.path().join("two.ndjson");
        self.run(two(&self.input, &output).expect("two pipelines").into(), &output)
    }
}

fn benches(criterion: &mut Criterion) {
    let records = std::env::var("AFFERENT_BENCH_RECORDS").map_or(1_000_000, |n| n.parse().expect("a number"));
    let directory = tempfile::tempdir().expect("a directory");
    let input = directory.path().join("input.ndjson");
    write_ndjson(&input, records).expect("the input");
    let place = Place { directory, input, runtime: two_workers() };
    assert_eq!(place.one(), place.two(), "both write the same");
    pair("two pipelines and a queue, against one pipeline", records, 7, || place.two(), || place.one());

    let mut group = criterion.benchmark_group("queue");
    group.throughput(Throughput::Elements(records)).sample_size(10);
    group.bench_function("one pipeline", |bench| bench.iter(|| place.one()));
    group.bench_function("two pipelines", |bench| bench.iter(|| place.two()));
    group.finish();
}

criterion_group!(queue, benches);

fn main() {
    queue();
    Criterion::default().configure_from_args().final_summary();
}
