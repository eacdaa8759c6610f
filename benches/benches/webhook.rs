//! Bodies of 100 records of about 300 bytes, posted over 64 connections to a webhook source with `ack = "durable"`, against the
//! same listener over a disk whose syncs do nothing. Then how long an answer takes, at half of the load that the pipeline bears
//! for seconds: of which it commits as much as comes.
//!
//! The senders have a thread in this process, which both sides pay for alike. Records go on to a sink that counts, with a
//! checkpoint a second. `AFFERENT_BENCH_BODIES` sets another number of bodies for each connection.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use afferent::{
    Builder,
    afferent_core::{
        disk::{Disk, DiskFile, DiskLock, FileInfo, OpenMode, OsDisk},
        engine::Settings,
    },
    runtime::{Handle, Runtime, RuntimeOptions},
    sinks::blackhole::{self, Blackhole},
    sources::webhook::{self, Listeners, Webhook},
};
use afferent_benches::{pair, two_workers, write_ndjson};
use criterion::{Criterion, Throughput, criterion_group};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const CONNECTIONS: u64 = 64;
const RECORDS: u64 = 100;
/// What an answer ends with.
const ANSWER: &[u8] = b"{\"records\":100}";

/// The machine's disk, whose syncs do nothing.
#[derive(Debug)]
struct WithoutSyncs(Arc<dyn Disk>);

#[derive(Debug)]
struct FileWithoutSyncs(Arc<dyn DiskFile>);

impl Disk for WithoutSyncs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FileWithoutSyncs(self.0.open(path, mode)?)))
    }
    fn info(&self, path: &Path) -> io::Result<Option<FileInfo>> {
        self.0.info(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir_all(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.0.list(path)
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        self.0.lock(path)
    }
}

impl DiskFile for FileWithoutSyncs {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buffer)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }
    fn info(&self) -> io::Result<FileInfo> {
        self.0.info()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A pipeline that receives.
struct Receiver {
    workers: tokio::runtime::Runtime,
    runtime: Option<Runtime>,
    handle: Handle,
    address: SocketAddr,
    _directory: TempDir,
}

impl Receiver {
    fn start(disk: Arc<dyn Disk>) -> Receiver {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let workers = two_workers();
        let config: webhook::Config = toml::from_str(
            "listen = \"127.0.0.1:0\"\npath = \"/in\"\nmax_ids = 10000000\nmax_bytes = \"2GiB\"",
        )
        .expect("a configuration");
        let listeners = Listeners::new();
        let (runtime, handle, address) = workers.block_on(async {
            let options = RuntimeOptions { disk, ..RuntimeOptions::default() };
            let runtime = Runtime::open(directory.path(), options).await.expect("opens");
            let settings = Settings { records: u64::MAX, bytes: u64::MAX, ..Settings::default() };
            let sources = listeners.clone();
            let spec = Builder::new("bench")
                .settings(settings)
                .source("webhook", move || Ok(Webhook::new(config.clone(), sources.clone())))
                .sink("blackhole", || Ok(Blackhole::new(blackhole::Config::default())))
                .build()
                .expect("a pipeline");
            let handle = runtime.run(spec).await.expect("starts");
            loop {
                if let Some(address) = listeners.bound().await.first() {
                    return (runtime, handle, *address);
                }
                tokio::task::yield_now().await;
            }
        });
        Receiver { workers, runtime: Some(runtime), handle, address, _directory: directory }
    }

    /// Waits until `records` are committed since the start.
    #[allow(clippy::disallowed_methods, reason = "a bench measures real time")]
    fn commits(&self, records: u64) {
        self.workers.block_on(async {
            loop {
                let status = self.handle.status().await.expect("it runs");
                if status.ledger.accounts.values().all(|account| account.read >= records)
                    && status.epoch.is_some()
                {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            self.workers.block_on(runtime.shutdown(Duration::from_secs(30))).expect("shuts down");
        }
    }
}

/// The senders: a thread of their own with their connections.
struct Senders {
    runtime: tokio::runtime::Runtime,
    body: Arc<Vec<u8>>,
    /// Bodies that were sent, so that each has an id of its own.
    sent: u64,
}

impl Senders {
    fn new() -> Senders {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("body");
        write_ndjson(&path, RECORDS).expect("the body is written");
        let body = std::fs::read(&path).expect("the body");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Senders { runtime, body: Arc::new(body), sent: 0 }
    }

    /// Sends `bodies` over each connection, one after the other, or at most every `pace`; how long each took from when it was
    /// due.
    #[allow(clippy::disallowed_methods, reason = "the senders are another process, as it were")]
    fn send(&mut self, address: SocketAddr, bodies: u64, pace: Option<Duration>) -> Vec<Duration> {
        let (first, body) = (self.sent, self.body.clone());
        self.sent += bodies * CONNECTIONS;
        self.runtime.block_on(async move {
            let began = Instant::now();
            let senders = (0..CONNECTIONS).map(|connection| {
                let body = body.clone();
                tokio::spawn(async move {
                    let mut stream = TcpStream::connect(address).await.expect("a connection");
                    stream.set_nodelay(true).expect("an option of a socket");
                    let (mut took, mut answer) = (Vec::with_capacity(bodies as usize), Vec::new());
                    for number in 0..bodies {
                        let due = match pace {
                            // Spread over the connections.
                            Some(pace) => {
                                let due = pace * number as u32 + pace * connection as u32 / CONNECTIONS as u32;
                                tokio::time::sleep_until((began + due).into()).await;
                                began + due
                            }
                            None => Instant::now(),
                        };
                        let id = first + connection * bodies + number;
                        let head = format!(
                            "POST /in HTTP/1.1\r\nhost: bench\r\ncontent-type: application/x-ndjson\r\nwebhook-id: msg_{id}\r\ncontent-length: {}\r\n\r\n",
                            body.len()
                        );
                        let mut request = head.into_bytes();
                        request.extend_from_slice(&body);
                        stream.write_all(&request).await.expect("it is sent");
                        answer.clear();
                        while !answer.ends_with(ANSWER) {
                            let read = stream.read_buf(&mut answer).await.expect("an answer");
                            assert!(read > 0, "it is answered: {}", String::from_utf8_lossy(&answer));
                        }
                        took.push(due.elapsed());
                    }
                    took
                })
            });
            let mut all = Vec::new();
            for sender in senders.collect::<Vec<_>>() {
                all.extend(sender.await.expect("a sender"));
            }
            all
        })
    }
}

#[allow(clippy::print_stdout, reason = "a bench prints its figures")]
fn benches(criterion: &mut Criterion) {
    let bodies = std::env::var("AFFERENT_BENCH_BODIES")
        .map_or(100, |bodies| bodies.parse().expect("AFFERENT_BENCH_BODIES is a number"));
    let records = bodies * CONNECTIONS * RECORDS;
    let (durable, without) =
        (Receiver::start(OsDisk::shared()), Receiver::start(Arc::new(WithoutSyncs(OsDisk::shared()))));
    let (mut first, mut second) = (Senders::new(), Senders::new());
    let ratio = pair(
        "webhook, 64 connections, durable (against the same listener without syncs)",
        records,
        7,
        || first.send(durable.address, bodies, None),
        || second.send(without.address, bodies, None),
    );
    println!("webhook: {:.2}× of the throughput without durability", 1.0 / ratio.median);

    durable.commits(first.sent * RECORDS);
    #[allow(clippy::disallowed_methods, reason = "a bench measures real time")]
    let began = Instant::now();
    first.send(durable.address, 5 * bodies, None);
    durable.commits(first.sent * RECORDS);
    // Half of that load: twice the time.
    let pace = began.elapsed() * 2 / (5 * bodies) as u32;
    let mut took = first.send(durable.address, 5 * bodies, Some(pace));
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "webhook, half load ({:.0} bodies/s): an answer after {:.1} ms (median), {:.1} ms (p99), {:.1} ms (longest)",
        CONNECTIONS as f64 / pace.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(1.0)
    );

    let mut group = criterion.benchmark_group("webhook");
    group.throughput(Throughput::Elements(records)).sample_size(10);
    group.bench_function("durable", |bench| bench.iter(|| first.send(durable.address, bodies, None)));
    group.bench_function("without", |bench| bench.iter(|| second.send(without.address, bodies, None)));
    group.finish();
}

criterion_group!(webhook_source, benches);

fn main() {
    webhook_source();
    Criterion::default().configure_from_args().final_summary();
}
