//! What is kept of an upload beside its outbox: the [`Token`](OutboxToken) in checkpoints, and the [`State`] of
//! acknowledgements.

use std::collections::VecDeque;

use afferent_core::{
    Census, Error, Incarnation, Result, Token,
    segment_log::{LogId, LogPosition},
};
use serde::{Deserialize, Serialize};

use super::Key;

const TOKEN_VERSION: u16 = 4;
const STATE_VERSION: u16 = 4;

/// What was put into the outbox since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Totals {
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// The records by type; without one, those of versions that did not count types.
    #[serde(default)]
    pub(super) types: Census,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The same by type.
    #[serde(default)]
    pub(super) types: TypeCounters,
    /// Records that were not sent because they no longer may be.
    #[serde(default)]
    pub(super) withheld: u64,
}

/// What became of records, by type; without one, those of versions that did not count types.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TypeCounters {
    /// Delivered, refused or withheld.
    pub(super) settled: Census,
    pub(super) refused: Census,
    pub(super) withdrawn: Census,
    #[serde(default)]
    pub(super) withheld: Census,
}

impl Counters {
    /// Records that are settled.
    pub(super) fn settled(&self) -> u64 {
        self.delivered + self.refused + self.withheld
    }

    /// What an older version did not count by type has none.
    fn fill(&mut self) {
        let settled = self.settled();
        self.types.settled.fill(settled);
        self.types.refused.fill(self.refused);
        self.types.withdrawn.fill(self.withdrawn);
    }

    /// The rest of what was `sealed` is lost, and counted as refused; how many that are.
    pub(super) fn lose(&mut self, sealed: &Totals) -> u64 {
        let lost = sealed.records.saturating_sub(self.settled());
        let types = sealed.types.without(&self.types.settled);
        self.refused += lost;
        self.types.refused.add(&types);
        self.types.settled.add(&types);
        self.bytes = sealed.bytes;
        lost
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
        let mut token: OutboxToken = token.read(TOKEN_VERSION)?;
        token.sealed.types.fill(token.sealed.records);
        token.counters.fill();
        Ok(token)
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
    /// Bodies that are sent in parts.
    pub(super) split: Vec<Split>,
    pub(super) counters: Counters,
    /// Entries may be missing: what is left over in the end is lost.
    pub(super) damaged: bool,
}

/// What is left of a body that was refused, or of which some records may not be sent any more.
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
        let mut state: State = rmp_serde::from_slice(rest)
            .map_err(|error| Error::state("the saved acknowledgements are damaged").with_source(error))?;
        state.counters.fill();
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: a token and acknowledgements as version 2 wrote them, which did not count types. Guarantees: G5, they are read;
    /// what they count has no type, and what is pending is the same.
    #[test]
    fn what_version_2_counted_has_no_type() {
        #[derive(Serialize)]
        struct Old([u8; 16], LogPosition, Incarnation, u16, u64, (u64, u64), [u64; 5]);
        let (end, incarnation) = (LogPosition::default(), Incarnation::from_u128(1));
        let old = Old([7; 16], end, incarnation, 4, 0, (10, 900), [5, 2, 0, 700, 1]);
        let token = OutboxToken::read(&Token::new(2, &old).expect("plain data")).expect("it is read");
        assert_eq!((token.sealed.types.of(None), token.counters.types.settled.of(None)), (10, 7));
        assert_eq!((token.counters.types.refused.of(None), token.counters.types.withdrawn.of(None)), (2, 1));

        let empty: [u64; 0] = [];
        let old = (None::<u8>, LogPosition::default(), &empty, &empty, [5_u64, 2, 0, 700], false);
        let bytes = [&2_u16.to_be_bytes()[..], &rmp_serde::to_vec(&old).expect("plain data")].concat();
        let state = State::from_bytes(&bytes).expect("it is read");
        assert_eq!((state.counters.types.settled.of(None), state.counters.withdrawn), (7, 0));
        let mut counters = state.counters;
        assert_eq!(counters.lose(&token.sealed), 3);
        assert_eq!(counters.types.settled, token.sealed.types);
    }

    /// Scenario: counters as version 3 wrote them, which had nothing withheld. Guarantees: G5, they are read, and nothing is.
    #[test]
    fn what_version_3_wrote_has_nothing_withheld() {
        #[derive(Serialize)]
        struct OldTypes(Census, Census, Census);
        #[derive(Serialize)]
        struct Old(u64, u64, u64, u64, u64, OldTypes);
        let of = |records: u64| {
            let mut census = Census::new();
            census.count(None, records);
            census
        };
        let old = Old(5, 2, 0, 700, 1, OldTypes(of(7), of(2), of(1)));
        let bytes = rmp_serde::to_vec(&old).expect("plain data");
        let counters: Counters = rmp_serde::from_slice(&bytes).expect("it is read");
        assert_eq!((counters.settled(), counters.withheld, counters.types.withheld.total()), (7, 0, 0));
        assert_eq!(counters.types.settled.of(None), 7);
    }
}
