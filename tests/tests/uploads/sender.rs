//! The command as the sender: a pipeline that uploads a file, in a process of its own.

use std::{path::Path, time::Duration};

use afferent::runtime::{Runtime, RuntimeOptions};
use afferent_core::{CheckpointStore, Name, clock::SystemClock};
use afferent_tests::{
    Place,
    given::Given,
    receiver::{Authority, Protocol, Receiver, Script},
};
use serde_json::Value;

pub(super) const BINARY: &str = env!("CARGO_BIN_EXE_afferent-under-test");

/// The command that uploads; its accounts are on stdout.
pub(super) const UPLOAD: &[&str] = &["run", "uploads.toml", "-o", "json"];

/// A place, what it has to send, and to whom.
pub(super) struct Sender {
    pub(super) place: Place,
    pub(super) given: Given,
    pub(super) receiver: Receiver,
}

impl Sender {
    /// Epochs of `epoch` records, which are a file each, in bodies of a few.
    pub(super) async fn new(given: Given, script: Script, epoch: usize, seed: u64) -> Sender {
        let (place, authority) = (Place::new(BINARY), Authority::new());
        let is_tls = script.protocol != Protocol::Plain;
        let poison = given.poison.iter().cloned();
        let receiver = Receiver::start(script, poison, &authority, None, SystemClock::shared(), seed).await;
        for (number, file) in given.files(epoch).enumerate() {
            place.write(&format!("in/{number:04}.ndjson"), file);
        }
        place.write("ca.pem", authority.pem());
        let mut text = format!(
            "name = \"uploads\"\n[checkpoint]\nrecords = {epoch}\n\
             [[source]]\ntype = \"file\"\npath = \"in/*.ndjson\"\n\
             [[sink]]\ntype = \"http\"\nurl = \"{}\"\nbatch = {{ records = 5 }}\nlanes = 3\n",
            receiver.url()
        );
        if is_tls {
            text += "tls = { ca = \"ca.pem\" }\n";
        }
        place.write("uploads.toml", text);
        Sender { place, given, receiver }
    }

    /// Checks what the receiver has, the accounts that the last run printed, and the dead letters; and that another run
    /// has nothing to send.
    pub(super) async fn check(&self, stdout: &str, what: &str) {
        let requests = {
            let books = self.receiver.books();
            assert_eq!(books.violations, Vec::<String>::new(), "{what}");
            self.given.check(&books.committed).unwrap_or_else(|wrong| panic!("{what}: {wrong}"));
            books.requests
        };
        self.check_account(stdout, what);
        let again = self.place.run(UPLOAD).exits(0);
        self.check_account(&again.stdout, what);
        assert_eq!(self.receiver.books().requests, requests, "{what}: nothing was left to send");
        let mut dead = dead_letters(&self.place.path().join("state")).await;
        dead.sort_unstable();
        let refused = self.given.poison.iter().map(|(id, ..)| id);
        assert!(refused.eq(dead.iter()), "{what}: dead are {dead:?}");
    }

    fn check_account(&self, stdout: &str, what: &str) {
        let account: Value = serde_json::from_str(stdout.lines().last().unwrap_or_default())
            .unwrap_or_else(|error| panic!("{what}: {error}: {stdout:?}"));
        let numbers = ["read", "delivered", "dead", "pending"].map(|name| account[name].as_u64());
        let expected = [self.given.records.len(), self.given.welcome(), self.given.poison.len(), 0];
        assert_eq!(numbers, expected.map(|number| Some(number as u64)), "{what}: {account}");
    }
}

/// The ids in the dead letters of a state directory.
async fn dead_letters(state: &Path) -> Vec<String> {
    let runtime = Runtime::open(state, RuntimeOptions::default()).await.unwrap();
    let letters = runtime.store().dead_letters(&Name::from("uploads"), usize::MAX).await.unwrap();
    runtime.shutdown(Duration::from_secs(60)).await.unwrap();
    letters.into_iter().filter_map(|letter| letter.key).collect()
}
