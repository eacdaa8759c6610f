//! The command as the sender: a pipeline that uploads files, in a process of its own; or two, joined by a queue.

use std::{path::Path, time::Duration};

use afferent::runtime::{Runtime, RuntimeOptions};
use afferent_core::{CheckpointStore, Name, clock::SystemClock};
use serde_json::Value;

use crate::{
    Place,
    given::Given,
    receiver::{Authority, Protocol, Receiver, Script},
};

/// The command that uploads; its accounts are on stdout.
pub const UPLOAD: &[&str] = &["run", "uploads.toml", "-o", "json"];

/// The command where one pipeline reads the files into a queue, and another uploads what is in that.
pub const JOINED: &[&str] = &["run", "files.toml", "uploads.toml", "--until-idle", "-o", "json"];

/// A place, what it has to send, and to whom.
#[derive(Debug)]
pub struct Sender {
    /// What it runs: [`UPLOAD`] or [`JOINED`].
    pub command: &'static [&'static str],
    /// Where it runs.
    pub place: Place,
    /// What it has to send.
    pub given: Given,
    /// To whom.
    pub receiver: Receiver,
}

impl Sender {
    /// Epochs of `epoch` records, which are a file each, in bodies of a few, sent by `binary`.
    ///
    /// # Panics
    /// If no temporary directory can be made.
    pub async fn new(binary: &str, given: Given, script: Script, epoch: usize, seed: u64) -> Sender {
        Sender::with(UPLOAD, binary, given, script, epoch, seed).await
    }

    /// As [`new`](Sender::new), with `command`.
    ///
    /// # Panics
    /// As that.
    pub async fn with(
        command: &'static [&'static str],
        binary: &str,
        given: Given,
        script: Script,
        epoch: usize,
        seed: u64,
    ) -> Sender {
        let (place, authority) = (Place::new(binary), Authority::new());
        let is_tls = script.protocol != Protocol::Plain;
        let poison = given.poison.iter().cloned();
        let receiver = Receiver::start(script, poison, &authority, None, SystemClock::shared(), seed).await;
        for (number, file) in given.files(epoch).enumerate() {
            place.write(&format!("in/{number:04}.ndjson"), file);
        }
        place.write("ca.pem", authority.pem());
        let begin = |name, source| {
            format!("name = \"{name}\"\n[checkpoint]\nrecords = {epoch}\n[[source]]\n{source}\n[[sink]]\n")
        };
        let (files, queue) =
            ("type = \"file\"\npath = \"in/*.ndjson\"", "type = \"queue\"\nqueue = \"between\"");
        let is_joined = command == JOINED;
        if is_joined {
            place.write("files.toml", begin("files", files) + queue);
        }
        let mut text = begin("uploads", if is_joined { queue } else { files });
        text +=
            &format!("type = \"http\"\nurl = \"{}\"\nbatch = {{ records = 5 }}\nlanes = 3\n", receiver.url());
        if is_tls {
            text += "tls = { ca = \"ca.pem\" }\n";
        }
        place.write("uploads.toml", text);
        Sender { command, place, given, receiver }
    }

    /// Checks what the receiver has, the accounts that the last run printed, and the dead letters; and that another run
    /// has nothing to send.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub async fn check(&self, stdout: &str) -> Result<(), String> {
        let requests = {
            let books = self.receiver.books();
            if let Some(violation) = books.violations.first() {
                return Err(violation.clone());
            }
            self.given.check(&books.committed)?;
            books.requests
        };
        self.check_account(stdout)?;
        let again = self.place.run(self.command);
        if again.code != Some(0) {
            return Err(format!("another run: {again:?}"));
        }
        self.check_account(&again.stdout)?;
        if self.receiver.books().requests != requests {
            return Err("another run had something to send".to_owned());
        }
        let mut dead = dead_letters(&self.place.path().join("state")).await;
        dead.sort_unstable();
        let refused = self.given.poison.iter().map(|(id, ..)| id);
        if refused.eq(dead.iter()) { Ok(()) } else { Err(format!("dead are {dead:?}")) }
    }

    fn check_account(&self, stdout: &str) -> Result<(), String> {
        let accounts = stdout.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
        let accounts = accounts.map_err(|error| format!("an account: {error}: {stdout:?}"))?;
        let account = accounts.iter().rfind(|account| account["pipeline"] == "uploads");
        let account = account.ok_or_else(|| format!("no account of the uploads: {stdout:?}"))?;
        let numbers = ["read", "delivered", "dead", "pending"].map(|name| account[name].as_u64());
        let expected = [self.given.records.len(), self.given.welcome(), self.given.poison.len(), 0];
        let expected = expected.map(|number| Some(number as u64));
        if numbers == expected { Ok(()) } else { Err(format!("the account: {account}")) }
    }
}

/// The ids in the dead letters of a state directory.
async fn dead_letters(state: &Path) -> Vec<String> {
    let opened = Runtime::open(state, RuntimeOptions::default()).await;
    let runtime = opened.expect("the state of a process that has ended");
    let letters = runtime.store().dead_letters(&Name::from("uploads"), usize::MAX).await;
    let closed = runtime.shutdown(Duration::from_secs(60)).await;
    closed.expect("nothing runs");
    letters.expect("readable letters").into_iter().filter_map(|letter| letter.key).collect()
}
