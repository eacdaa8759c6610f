//! What is kept of an upload beside its outbox: the [`Token`](OutboxToken) in checkpoints, and the [`State`] of
//! acknowledgements.

use std::collections::VecDeque;

use afferent_core::{
    Error, Incarnation, Result, Token,
    segment_log::{LogId, LogPosition},
};
use serde::{Deserialize, Serialize};

use super::Key;

const TOKEN_VERSION: u16 = 2;
const STATE_VERSION: u16 = 2;

/// What was put into the outbox since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Totals {
    pub(super) records: u64,
    pub(super) bytes: u64,
}

/// What became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counters {
    /// Records that the receiver has.
    pub(super) delivered: u64,
    /// Records that it refused, and those that were lost with a damaged outbox.
    pub(super) refused: u64,
    /// Bodies that were sent again when the receiver may have forgotten their key.
    pub(super) unresolved: u64,
    /// Bytes of settled bodies.
    pub(super) bytes: u64,
    /// Of those refused, superseded by a deletion or a higher revision that the receiver has.
    #[serde(default)]
    pub(super) withdrawn: u64,
}

impl Counters {
    /// Records that are settled.
    pub(super) fn settled(&self) -> u64 {
        self.delivered + self.refused
    }
}

/// What a checkpoint says of an outbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct OutboxToken {
    pub(super) log: LogId,
    /// Nothing after it is part of the epoch.
    pub(super) end: LogPosition,
    pub(super) incarnation: Incarnation,
    /// How subjects were spread.
    pub(super) lanes: u16,
    /// Since which entry they are spread in this way: later bodies wait for all earlier ones.
    pub(super) barrier: u64,
    /// All before `end`.
    pub(super) sealed: Totals,
    /// What the account of the epoch knows of their fate.
    pub(super) counters: Counters,
}

impl OutboxToken {
    pub(super) fn save(&self) -> Result<Token> {
        Token::new(TOKEN_VERSION, self)
    }

    pub(super) fn read(token: &Token) -> Result<OutboxToken> {
        token.read(TOKEN_VERSION)
    }
}

/// How far the receiver is, saved with each group of acknowledgements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// The outbox it is about; none of bodies that are sent directly.
    pub(super) log: Option<LogId>,
    /// Everything before it is settled.
    pub(super) low: LogPosition,
    /// By lane: its entries before this number are settled. They may be ahead of `low`.
    pub(super) done: Vec<u64>,
    /// Bodies that were refused and are sent in parts.
    pub(super) split: Vec<Split>,
    pub(super) counters: Counters,
    /// Entries may be missing: what is left over in the end is lost.
    pub(super) damaged: bool,
}

/// What is left of a body that was refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Split {
    /// The entry.
    pub(super) number: u64,
    /// Not yet settled, in order; never none.
    pub(super) parts: VecDeque<Part>,
}

/// Some of the records of a body, with a key of their own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) key: Key,
}

impl Part {
    pub(super) fn records(&self) -> u32 {
        self.end - self.start
    }
}

impl Split {
    pub(super) fn records(&self) -> u32 {
        self.parts.iter().map(Part::records).sum()
    }
}

impl State {
    /// Of bodies that are not in an outbox.
    pub(super) fn none() -> State {
        State {
            log: None,
            low: LogPosition::default(),
            done: Vec::new(),
            split: Vec::new(),
            counters: Counters::default(),
            damaged: false,
        }
    }

    /// Nothing of `log` before `low` is there, and nothing after it is settled.
    pub(super) fn fresh(log: LogId, low: LogPosition, counters: Counters) -> State {
        State { log: Some(log), low, counters, ..State::none() }
    }

    /// Whether entry `number` of `lane` is settled.
    pub(super) fn is_settled(&self, lane: u16, number: u64) -> bool {
        let done = self.done.get(usize::from(lane)).copied().unwrap_or(0);
        number < done.max(self.low.number())
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = STATE_VERSION.to_be_bytes().to_vec();
        rmp_serde::encode::write(&mut bytes, self).map_err(|error| {
            Error::bug("acknowledgements can't be written as MessagePack").with_source(error)
        })?;
        Ok(bytes)
    }

    /// # Errors
    /// `State` when a newer program wrote it, or when it is damaged.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<State> {
        let Some((version, rest)) = bytes.split_first_chunk::<2>() else {
            return Err(Error::state("the saved acknowledgements are cut short"));
        };
        let version = u16::from_be_bytes(*version);
        if version > STATE_VERSION {
            return Err(Error::state(format!(
                "the saved acknowledgements have version {version}, this program knows up to {STATE_VERSION}; use the program that wrote them, or a newer one"
            )));
        }
        rmp_serde::from_slice(rest)
            .map_err(|error| Error::state("the saved acknowledgements are damaged").with_source(error))
    }
}
