//! Two million records of about 300 bytes: NDJSON → HTTP, in bodies of 500, to a receiver on this machine that reads them
//! and answers; through the outbox and directly, with a checkpoint a second on disk, against a loop written by hand that
//! reads, writes the same JSON with the same library, and posts body after body with the same HTTP client. Then, with a
//! receiver that takes 50 ms for each body, what the checkpoints cost.
//!
//! The receiver has a thread in this process, which both sides pay for alike. `AFFERENT_BENCH_RECORDS` sets another
//! number of records.

use std::{
    convert::Infallible,
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use afferent::{
    Builder, PipelineSpec,
    afferent_core::{Name, Result, engine::Settings},
    runtime::{Runtime, RuntimeOptions},
    sinks::http::{self, HttpSink},
    sources,
};
use afferent_benches::{Line, pair, two_workers, write_ndjson};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;

const BODY_RECORDS: usize = 500;
/// Records for the slow receiver: five seconds or so of four lanes.
const SLOW_RECORDS: u64 = 200_000;
const LATENCY: Duration = Duration::from_millis(50);

/// What a receiver got.
#[derive(Debug, Default)]
struct Got {
    bodies: AtomicU64,
    bytes: AtomicU64,
}

/// Starts a receiver that answers each body after `latency`; its address, and what it gets. It ends with the process.
#[allow(clippy::disallowed_methods, reason = "the receiver is another process, as it were")]
fn receiver(latency: Duration) -> (String, Arc<Got>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}/ingest", listener.local_addr().expect("an address"));
    listener.set_nonblocking(true).expect("it can be polled");
    let got = Arc::new(Got::default());
    let counts = got.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            while let Ok((stream, _)) = listener.accept().await {
                let counts = counts.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let counts = counts.clone();
                    async move {
                        let mut body = request.into_body();
                        while let Some(frame) = body.frame().await {
                            let length = frame
                                .ok()
                                .and_then(|frame| frame.into_data().ok())
                                .map_or(0, |data| data.len());
                            counts.bytes.fetch_add(length as u64, Ordering::Relaxed);
                        }
                        counts.bodies.fetch_add(1, Ordering::Relaxed);
                        if !latency.is_zero() {
                            tokio::time::sleep(latency).await;
                        }
                        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
    });
    (address, got)
}

/// Reads, writes, posts: one body after the other.
#[allow(clippy::disallowed_methods, reason = "the loop that the pipeline is compared with")]
async fn by_hand(input: &Path, url: &str) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut reader = BufReader::with_capacity(256 << 10, File::open(input)?);
    let (mut text, mut body, mut records) = (Vec::new(), Vec::new(), 0);
    loop {
        let is_end = reader.read_until(b'\n', &mut text)? == 0;
        if records == BODY_RECORDS || (is_end && records > 0) {
            body.push(b']');
            let request = client.post(url).header("content-type", "application/json");
            let capacity = body.len() + 4096;
            let body = std::mem::replace(&mut body, Vec::with_capacity(capacity));
            request.body(body).send().await?.error_for_status()?.bytes().await?;
            records = 0;
        }
        if is_end {
            return Ok(());
        }
        let line: Line<'_> = serde_json::from_slice(&text)?;
        body.push(if records == 0 { b'[' } else { b',' });
        serde_json::to_writer(&mut body, &line)?;
        records += 1;
        text.clear();
    }
}

/// How a pipeline uploads.
#[derive(Clone, Copy)]
struct How {
    delivery: &'static str,
    every: Duration,
}

const SECOND: Duration = Duration::from_secs(1);
const NEVER: Duration = Duration::from_secs(1_000_000);
const OUTBOX: How = How { delivery: "outbox", every: SECOND };
const DIRECT: How = How { delivery: "direct", every: SECOND };

fn spec(input: &Path, url: &str, how: How) -> Result<PipelineSpec> {
    let source = sources::file::Config {
        path: input.to_string_lossy().into_owned(),
        follow: false,
        format: Default::default(),
        strict: false,
    };
    let text = format!("url = {url:?}\ndelivery = {:?}", how.delivery);
    let sink: http::Config = toml::from_str(&text).expect("a configuration");
    let settings = Settings { every: how.every, records: u64::MAX, bytes: u64::MAX, ..Settings::default() };
    Builder::new("bench")
        .settings(settings)
        .source("file", move || Ok(sources::file::FileSource::new(source.clone())))
        .sink("http", move || Ok(HttpSink::http(sink.clone())))
        .build()
}

/// A place for one run after another.
struct Place {
    directory: TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Place {
    fn input(&self, records: u64) -> PathBuf {
        let input = self.directory.path().join(format!("{records}.ndjson"));
        if !input.exists() {
            write_ndjson(&input, records).expect("the input is written");
        }
        input
    }

    #[allow(clippy::disallowed_methods, reason = "a bench's own files")]
    fn pipeline(&self, input: &Path, records: u64, url: &str, how: How) {
        let state = self.directory.path().join("state");
        // There is none before the first run.
        let _ = std::fs::remove_dir_all(&state);
        self.runtime.block_on(async {
            let runtime = Runtime::open(&state, RuntimeOptions::default()).await.expect("opens");
            let spec = spec(input, url, how).expect("a pipeline");
            let outcome = runtime.run(spec).await.expect("starts").wait().await.expect("finishes");
            let account = outcome.ledger.accounts[&Name::from("http")];
            assert_eq!((account.read, account.delivered), (records, records));
            runtime.shutdown(Duration::from_secs(10)).await.expect("shuts down");
        });
    }

    fn by_hand(&self, input: &Path, url: &str) {
        self.runtime.block_on(by_hand(input, url)).expect("the loop");
    }
}

fn benches(criterion: &mut Criterion) {
    let records = std::env::var("AFFERENT_BENCH_RECORDS")
        .map_or(2_000_000, |records| records.parse().expect("AFFERENT_BENCH_RECORDS is a number"));
    let runtime = two_workers();
    let place = Place { directory: tempfile::tempdir().expect("a temporary directory"), runtime };
    let input = place.input(records);
    let (url, got) = receiver(Duration::ZERO);

    // The pipeline first: it chooses the cryptography that the client of both is built with.
    place.pipeline(&input, records, &url, DIRECT);
    let ours = (got.bodies.swap(0, Ordering::Relaxed), got.bytes.swap(0, Ordering::Relaxed));
    place.by_hand(&input, &url);
    let by_hand = (got.bodies.load(Ordering::Relaxed), got.bytes.load(Ordering::Relaxed));
    // Bodies are cut elsewhere: at the end of an epoch, and by lane. An array has as many bytes besides its records.
    assert_eq!(ours.1 - ours.0, by_hand.1 - by_hand.0, "the pipeline and the loop send the same records");

    pair(
        "direct",
        records,
        7,
        || place.pipeline(&input, records, &url, DIRECT),
        || place.by_hand(&input, &url),
    );
    pair(
        "outbox",
        records,
        7,
        || place.pipeline(&input, records, &url, OUTBOX),
        || place.by_hand(&input, &url),
    );

    let (slow, _) = receiver(LATENCY);
    let few = place.input(SLOW_RECORDS);
    for (name, how) in [("direct", DIRECT), ("outbox", OUTBOX)] {
        pair(
            &format!("50 ms away, {name}, a checkpoint a second (against none)"),
            SLOW_RECORDS,
            3,
            || place.pipeline(&few, SLOW_RECORDS, &slow, how),
            || place.pipeline(&few, SLOW_RECORDS, &slow, How { every: NEVER, ..how }),
        );
    }

    let mut group = criterion.benchmark_group("upload");
    group.throughput(Throughput::Elements(records)).sample_size(10);
    group.bench_function("hand", |bench| bench.iter(|| place.by_hand(&input, &url)));
    group.bench_function("direct", |bench| bench.iter(|| place.pipeline(&input, records, &url, DIRECT)));
    group.bench_function("outbox", |bench| bench.iter(|| place.pipeline(&input, records, &url, OUTBOX)));
    group.finish();
}

criterion_group!(upload, benches);

fn main() {
    upload();
    Criterion::default().configure_from_args().final_summary();
}
