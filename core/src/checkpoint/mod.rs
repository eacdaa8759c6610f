//! Checkpoints: what is saved, atomically, at the end of every epoch.
//!
//! A checkpoint is the positions of the sources, the states of the transforms, the tokens of the sinks and
//! the ledger. Saving it *is* the commit point of its epoch: before it the epoch is replayed, after it the
//! epoch is finished from the tokens.

mod acknowledgement;
mod letters;
mod memory;
mod store;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub(crate) use self::letters::make_room;
pub use self::{
    acknowledgement::{Acknowledgement, Acknowledgements},
    letters::{LetterLimits, LettersHeld, OnFull, Trim},
    memory::MemoryStore,
    store::{CheckpointStore, Fallback, Loaded, Save, Saved, StateRows, StoreId},
};
use crate::{Error, Name, Result, Timestamp, ledger::Ledger};

/// How many checkpoints a store keeps: the newest, and two to fall back to when it is corrupt.
pub const KEPT_CHECKPOINTS: usize = 3;

/// What happens between two checkpoints; numbered per pipeline from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch after this one.
    pub fn next(self) -> Epoch {
        Epoch(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How often a pipeline was claimed; fences a zombie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// 128 random bits that tell apart two histories under one name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Incarnation([u8; 16]);

impl Incarnation {
    /// The incarnation whose bits are `value`.
    pub fn from_u128(value: u128) -> Incarnation {
        Incarnation(value.to_be_bytes())
    }

    /// Its 16 bytes.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a source is, *after* a batch: opaque, versioned bytes with a fingerprint of what it was read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Version of the bytes' form; the source's own.
    pub version: u16,
    /// What it was read from; another fingerprint is another input.
    pub fingerprint: String,
    bytes: Vec<u8>,
}

impl Position {
    /// A position whose bytes are `value` in MessagePack.
    pub fn new(version: u16, fingerprint: impl Into<String>, value: &impl Serialize) -> Result<Position> {
        Ok(Position { version, fingerprint: fingerprint.into(), bytes: pack(value)? })
    }

    /// Reads the bytes back.
    ///
    /// # Errors
    /// `State` when the position was written by a newer version or is damaged.
    pub fn read<T: DeserializeOwned>(&self, newest_known: u16) -> Result<T> {
        if self.version > newest_known {
            return Err(Error::state(format!(
                "the saved position has version {}, this program knows up to {newest_known}; use the program that wrote it, or a newer one",
                self.version
            )));
        }
        unpack(&self.bytes, "the saved position")
    }
}

/// What a sink needs to finish or roll back an epoch after a crash: plain bytes a new process can use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Version of the bytes' form; the sink's own.
    pub version: u16,
    bytes: Vec<u8>,
}

impl Token {
    /// A token whose bytes are `value` in MessagePack.
    pub fn new(version: u16, value: &impl Serialize) -> Result<Token> {
        Ok(Token { version, bytes: pack(value)? })
    }

    /// Reads the bytes back.
    ///
    /// # Errors
    /// `State` when the token was written by a newer version or is damaged.
    pub fn read<T: DeserializeOwned>(&self, newest_known: u16) -> Result<T> {
        if self.version > newest_known {
            return Err(Error::state(format!(
                "the saved token has version {}, this program knows up to {newest_known}; use the program that wrote it, or a newer one",
                self.version
            )));
        }
        unpack(&self.bytes, "the saved token")
    }
}

/// Version of [`Checkpoint`]'s own form.
pub const CHECKPOINT_VERSION: u16 = 3;

/// What is saved at the end of an epoch, apart from the states of the transforms, which are rows of their
/// own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The pipeline it belongs to: a checkpoint under another name is refused.
    pub pipeline: Name,
    /// The history it belongs to.
    pub incarnation: Incarnation,
    /// The epoch it ends.
    pub epoch: Epoch,
    /// When it was made.
    pub time: Timestamp,
    /// Where each source is, by name. A source that has given nothing has no entry.
    pub positions: BTreeMap<Name, Position>,
    /// What each sink needs, by name. A sink without a token has an entry all the same: it tells a sink that
    /// was there from one that was added.
    pub tokens: BTreeMap<Name, Option<Token>>,
    /// The accounts.
    pub ledger: Ledger,
}

impl Checkpoint {
    /// The checkpoint as versioned bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = CHECKPOINT_VERSION.to_be_bytes().to_vec();
        bytes.extend(pack(self)?);
        Ok(bytes)
    }

    /// Reads [`to_bytes`](Checkpoint::to_bytes) back.
    ///
    /// # Errors
    /// `State` when it was written by a newer version or is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Checkpoint> {
        let Some((version, rest)) = bytes.split_first_chunk::<2>() else {
            return Err(Error::state("the checkpoint is cut short"));
        };
        let version = u16::from_be_bytes(*version);
        if version == 0 || version > CHECKPOINT_VERSION {
            return Err(Error::state(format!(
                "the checkpoint has version {version}, this program reads 1 to {CHECKPOINT_VERSION}; use the program that wrote it, or a newer one"
            )));
        }
        unpack(rest, "the checkpoint")
    }
}

fn pack(value: &impl Serialize) -> Result<Vec<u8>> {
    rmp_serde::to_vec(value)
        .map_err(|error| Error::bug("state can't be written as MessagePack").with_source(error))
}

fn unpack<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T> {
    rmp_serde::from_slice(bytes)
        .map_err(|error| Error::state(format!("{what} is damaged")).with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        DeadLetter,
        ledger::Account,
        reject::{Fate, Payload},
    };

    /// Scenario: a checkpoint and a dead letter as version 1 wrote them. Guarantees: G5, older state is read.
    #[test]
    fn older_versions_are_read() {
        #[derive(Serialize)]
        struct OldLedger(BTreeMap<Name, Account>, BTreeMap<Name, u64>, u64);
        let accounts =
            BTreeMap::from([(Name::from("sink"), Account { read: 3, delivered: 3, ..Account::default() })]);
        let (name, incarnation, time) = (Name::from("a"), Incarnation::from_u128(1), Timestamp::default());
        let mut bytes = vec![0, 1];
        let ledger = OldLedger(accounts.clone(), BTreeMap::new(), 7);
        let maps = rmp_serde::to_vec(&(&name, incarnation, Epoch(4), time)).expect("plain data");
        // A map that is empty, twice, in place of the arrays.
        bytes.push(0x97);
        bytes.extend(&maps[1..]);
        bytes.extend([0x80, 0x80]);
        bytes.extend(rmp_serde::to_vec(&ledger).expect("plain data"));
        let checkpoint = Checkpoint::from_bytes(&bytes).expect("it is read");
        assert_eq!((checkpoint.epoch, checkpoint.ledger.dead_letters), (Epoch(4), 7));
        assert_eq!((&checkpoint.ledger.accounts, &checkpoint.ledger.opened), (&accounts, &BTreeMap::new()));
        assert_eq!(checkpoint.ledger.types, BTreeMap::new());

        let old =
            (&name, Payload::Raw(vec![1]), None::<String>, "bad", "file:1", time, incarnation, Epoch(4));
        let letter: DeadLetter =
            rmp_serde::from_slice(&rmp_serde::to_vec(&old).expect("plain data")).expect("it is read");
        assert_eq!((letter.epoch, letter.by, letter.fate, letter.kind), (Epoch(4), None, Fate::Dead, None));
    }
}
