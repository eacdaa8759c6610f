//! What checkpoints say of queues: the [`QueueToken`] of a producer and the [`QueuePosition`] of a consumer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::StageKey;
use crate::{
    Incarnation, Name, Position, Result, Token,
    segment_log::{LogId, LogPosition},
};

const TOKEN_VERSION: u16 = 1;
const POSITION_VERSION: u16 = 1;
/// Incarnations of a log that its token lists. Each is a fallback to an older checkpoint, which is a rare accident: a
/// consumer that slept through more of them reads again what is there.
pub const MAX_INCARNATIONS: usize = 16;

/// What a producer's checkpoint says of its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct QueueToken {
    pub(super) queue: Name,
    pub(super) log: LogId,
    /// Nothing after it is part of the epoch.
    pub(super) end: LogPosition,
    /// Of all entries before `end`, since the log began.
    pub(super) bytes: u64,
    pub(super) history: History,
}

impl QueueToken {
    pub(super) fn save(&self) -> Result<Token> {
        Token::new(TOKEN_VERSION, self)
    }

    pub(super) fn read(token: &Token) -> Result<QueueToken> {
        token.read(TOKEN_VERSION)
    }
}

/// The incarnations that wrote to a log, oldest first, and where each began. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct History(Vec<(Incarnation, LogPosition)>);

impl History {
    pub(super) fn begin(incarnation: Incarnation, at: LogPosition) -> History {
        History(vec![(incarnation, at)])
    }

    /// The one that writes now.
    pub(super) fn incarnation(&self) -> Incarnation {
        self.0.last().expect("a history begins with an incarnation").0
    }

    /// `incarnation` goes on at `at`.
    pub(super) fn go_on(&mut self, incarnation: Incarnation, at: LogPosition) {
        self.0.push((incarnation, at));
        let surplus = self.0.len().saturating_sub(MAX_INCARNATIONS);
        self.0.drain(..surplus);
    }

    /// Up to where that which was read under `incarnation` still stands; `None` when nothing of it was cut.
    pub(super) fn cut_since(&self, incarnation: Incarnation) -> Option<LogPosition> {
        let later = match self.0.iter().position(|(known, _)| *known == incarnation) {
            Some(index) => &self.0[index + 1..],
            None => return Some(LogPosition::default()),
        };
        later.iter().map(|(_, begin)| *begin).min()
    }
}

/// Where a consumer is in each log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct QueuePosition {
    pub(super) logs: BTreeMap<StageKey, At>,
}

/// Where a consumer is in one log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct At {
    pub(super) log: LogId,
    pub(super) incarnation: Incarnation,
    /// Everything before it was read.
    pub(super) next: LogPosition,
    /// Records of the next entry that were read as well.
    pub(super) skip: u64,
    /// Bytes of the entries before it.
    pub(super) bytes: u64,
}

impl QueuePosition {
    pub(super) fn save(&self, queue: &Name) -> Result<Position> {
        Position::new(POSITION_VERSION, queue.as_str(), self)
    }

    /// # Errors
    /// `State` when a newer version wrote it, or when it is damaged.
    pub(super) fn read(position: &Position) -> Result<QueuePosition> {
        position.read(POSITION_VERSION)
    }

    /// Where it is in the log `id` of `producer`; `None` if it has read nothing of it.
    pub(super) fn at(&self, producer: &StageKey, id: LogId) -> Option<&At> {
        self.logs.get(producer).filter(|at| at.log == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Error,
        disk::OsDisk,
        random::Random,
        segment_log::{Appended, LogLimits, SegmentLog},
    };

    /// Scenario: a producer that fell back twice, to an older place the first time. Guarantees: G1, a consumer of each
    /// incarnation learns what of its reading still stands, also one that is no longer known.
    #[test]
    fn a_consumer_learns_what_was_cut() -> Result<()> {
        let directory = tempfile::tempdir().map_err(|_| Error::bug("a temporary directory"))?;
        let limits = LogLimits::new(1 << 20);
        let mut log =
            SegmentLog::open(OsDisk::shared(), directory.path(), limits, None, &mut Random::from_seed(1))?.0;
        let mut places = Vec::new();
        for _ in 0..10 {
            let Appended::At(place) = log.append(b"entry")? else { unreachable!("it is not full") };
            places.push(place);
        }
        let incarnation = Incarnation::from_u128;
        let mut history = History::begin(incarnation(1), places[0]);
        history.go_on(incarnation(2), places[4]);
        history.go_on(incarnation(3), places[6]);
        assert_eq!(history.cut_since(incarnation(1)), Some(places[4]));
        assert_eq!(history.cut_since(incarnation(2)), Some(places[6]));
        assert_eq!(history.cut_since(incarnation(3)), None);
        assert_eq!(history.cut_since(incarnation(9)), Some(LogPosition::default()));
        for number in 0..MAX_INCARNATIONS as u128 {
            history.go_on(incarnation(100 + number), places[9]);
        }
        assert_eq!(history.cut_since(incarnation(1)), Some(LogPosition::default()));
        Ok(())
    }
}
