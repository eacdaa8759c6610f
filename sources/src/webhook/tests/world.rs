//! A source in its surroundings, and what it gave.

use std::{sync::Arc, time::Duration};

use afferent_core::{
    Committed, Limits, Name, Position, Pulled, Record, Source, Timestamp,
    blocking::Blocking,
    clock::Clock,
    event::EventKind,
    testing::{SimDisk, Surroundings},
};
use serde_json::json;

use super::*;

/// A signing secret, of 32 bytes.
pub(super) const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// Another.
pub(super) const OTHER_SECRET: &str = "whsec_/////////////////////////////////////////w==";

/// A configuration that listens on a port of its own, with `keys` besides.
pub(super) fn config(keys: serde_json::Value) -> Config {
    let mut all = json!({ "listen": "127.0.0.1:0", "path": "/in" });
    let (all_keys, keys) = (all.as_object_mut().unwrap(), keys.as_object().unwrap().clone());
    all_keys.extend(keys);
    let config: Config = serde_json::from_value(all).unwrap();
    assert_eq!(afferent_core::config::Configure::check(&config), [], "the test's configuration is good");
    config
}

/// A record whose value is `number`, as JSON.
pub(super) fn record(number: u64) -> String {
    format!(
        "{{\"id\":\"00000000-0000-4000-8000-{number:012x}\",\"type\":\"StepCount\",\"start\":\"2025-01-31T08:00:00Z\",\"value\":{number},\"unit\":\"count\"}}"
    )
}

/// An array of records.
pub(super) fn array(numbers: impl IntoIterator<Item = u64>) -> String {
    format!("[{}]", numbers.into_iter().map(record).collect::<Vec<_>>().join(","))
}

pub(super) fn numbers(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.value.as_f64().unwrap() as u64).collect()
}

/// A clock that a test sets.
#[derive(Clone, Debug)]
pub(super) struct SetClock(Arc<std::sync::atomic::AtomicI64>);

impl SetClock {
    /// 2025-06-01T00:00:00Z.
    pub(super) fn new() -> SetClock {
        SetClock(Arc::new(1_748_736_000_000_000.into()))
    }

    pub(super) fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_micros() as i64, std::sync::atomic::Ordering::SeqCst);
    }

    pub(super) fn seconds(&self) -> i64 {
        self.now().as_micros() / 1_000_000
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros_clamped(self.0.load(std::sync::atomic::Ordering::SeqCst))
    }
}

/// A source over a simulated disk. It is pulled only when a test does so.
pub(super) struct World {
    pub(super) around: Surroundings,
    pub(super) disk: SimDisk,
    pub(super) clock: SetClock,
    pub(super) config: Config,
    pub(super) listeners: Listeners,
    pub(super) source: Option<Webhook>,
    pub(super) position: Option<Position>,
    /// Pulls of this source.
    pub(super) pulls: u64,
    pub(super) told: Vec<String>,
}

impl World {
    pub(super) async fn new(keys: serde_json::Value) -> World {
        World::on(SimDisk::new(1), keys).await
    }

    pub(super) async fn on(disk: SimDisk, keys: serde_json::Value) -> World {
        let mut world = World::closed(disk, config(keys));
        world.open().await;
        world
    }

    pub(super) fn closed(disk: SimDisk, config: Config) -> World {
        let mut around = Surroundings::new();
        around.limits = Limits { records: 1000, bytes: 1 << 20 };
        World {
            around,
            disk,
            clock: SetClock::new(),
            config,
            listeners: Listeners::new(),
            source: None,
            position: None,
            pulls: 0,
            told: Vec::new(),
        }
    }

    /// Opens a source at the position.
    pub(super) async fn open(&mut self) {
        self.try_open().await.unwrap();
    }

    pub(super) async fn try_open(&mut self) -> afferent_core::Result<()> {
        let mut source = Webhook::new(self.config.clone(), self.listeners.clone());
        let mut cx = self.around.source(self.position.clone());
        cx.disk = self.disk.shared();
        cx.directory = "/state/source".into();
        cx.clock = Arc::new(self.clock.clone());
        source.open(cx).await?;
        (self.source, self.pulls) = (Some(source), 0);
        Ok(())
    }

    /// Drops the source as the engine does.
    pub(super) async fn close(&mut self) {
        self.source = None;
        self.around.blocking.idle().await;
        // What an engine tells sources of one life.
        self.around.committed = tokio::sync::watch::channel(Committed::default()).0;
    }

    pub(super) async fn reopen(&mut self) {
        self.close().await;
        self.open().await;
    }

    /// Loses power, so that another process begins with what is on disk.
    pub(super) async fn lose_power(&mut self, seed: u64) {
        let disk = self.disk.power_loss(seed);
        self.close().await;
        self.around.blocking = Blocking::new();
        self.disk = disk;
        self.listeners = Listeners::new();
        self.open().await;
    }

    /// A client of where it listens.
    pub(super) async fn client(&self) -> Client {
        Client::new(self.listeners.bound().await[0])
    }

    pub(super) async fn pull(&mut self) -> Pulled<Record> {
        let pulled = self.source.as_mut().unwrap().next().await.unwrap().unwrap();
        self.pulls += 1;
        self.position = Some(pulled.position.clone());
        pulled
    }

    /// Pulls until it is drained; what came.
    pub(super) async fn drain(&mut self) -> Vec<u64> {
        let mut all = Vec::new();
        loop {
            let pulled = self.pull().await;
            assert!(pulled.rejects.is_empty(), "{:?}", pulled.rejects);
            all.extend(numbers(&pulled.batch));
            if pulled.is_drained() {
                return all;
            }
        }
    }

    /// Commits what was pulled, and keeps no checkpoint of before.
    pub(super) fn commit(&self) {
        let committed =
            Committed { pulls: self.pulls, position: self.position.clone(), ..Committed::default() };
        self.around.committed.send_replace(committed);
    }

    /// The alarms and notices so far.
    pub(super) fn told(&mut self) -> &[String] {
        while let Ok(event) = self.around.events.try_recv() {
            match event.kind {
                EventKind::Alarm { message, stage } => {
                    assert_eq!(stage, Some(Name::from("source")));
                    self.told.push(format!("alarm: {message}"));
                }
                EventKind::Notice { message, .. } => self.told.push(format!("notice: {message}")),
                _ => {}
            }
        }
        &self.told
    }
}
