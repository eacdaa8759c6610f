//! Opening an outbox: what lies after the token is cut off, and what was lost is found.
//!
//! | there is | and `open` |
//! |---|---|
//! | no token, an outbox with bodies | sets it aside with an alarm, begins another; `Elsewhere` |
//! | a token, its outbox | cuts it back to the token; `Resumed` |
//! | a token, another outbox or none | sets it aside if it has bodies, begins another, counts what was pending as lost, with an alarm; `Elsewhere` |
//! | a token of an older incarnation than the engine's | (a fallback) counts again what is not settled before the token; `Resumed` |
//! | a token, its outbox, no acknowledgements of it | sends again, under the same keys, what the outbox still has; `Resumed` |

use std::{collections::VecDeque, path::Path};

use afferent_core::{
    Incarnation, Opened, Result,
    event::StageEvents,
    guard::Guard,
    random::Random,
    segment_log::{Entries, LogLimits, LogPosition, LogReader, SegmentLog, set_aside},
};

use super::{
    Settings,
    body::Entry,
    outbox::Outbox,
    sealing::Sealed,
    state::{Counters, OutboxToken, State, Totals, TypeCounters},
};

/// What opening needs.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) settings: Settings,
    pub(super) incarnation: Incarnation,
    pub(super) guard: Guard,
    pub(super) token: Option<OutboxToken>,
    pub(super) state: Option<State>,
    pub(super) random: Random,
    pub(super) events: StageEvents,
}

/// An open outbox.
#[derive(Debug)]
pub(super) struct OpenOutbox {
    pub(super) outbox: Outbox,
    /// Where sealing goes on.
    pub(super) sealed: Sealed,
    pub(super) opened: Opened,
    pub(super) state: State,
    /// The state is not what was saved: it is to be saved before anything is sent.
    pub(super) changed: bool,
    /// What the last checkpoint's account knows.
    pub(super) known: Counters,
    /// Reads what is not settled.
    pub(super) reader: LogReader,
}

impl Opening {
    /// Opens the outbox in `directory`, as the table says.
    pub(super) fn open(
        mut self,
        disk: &std::sync::Arc<dyn afferent_core::disk::Disk>,
        directory: &Path,
    ) -> Result<OpenOutbox> {
        let limits = LogLimits { max_bytes: u64::MAX, ..LogLimits::new(self.settings.max_bytes) };
        let expected = self.token.as_ref().map(|token| token.end);
        let (mut log, recovery) =
            SegmentLog::open(disk.clone(), directory, limits, expected, &mut self.random)?;
        let resumes = self.token.as_ref().is_some_and(|token| token.log == log.id());
        let mut state = match self.token.take_if(|_| resumes) {
            Some(token) => return self.resume(log, token, !recovery.damage.is_empty()),
            None => State::fresh(log.id(), log.first(), Counters::default()),
        };
        if !log.is_empty() {
            drop(log);
            let aside = set_aside(&**disk, directory)?;
            let aside = aside.map(|path| path.display().to_string()).unwrap_or_default();
            self.events.alarm(format!(
                "the outbox in {} has bodies that no checkpoint knows of; nothing of it is sent, it is kept in {aside}",
                directory.display()
            ));
            log = SegmentLog::open(disk.clone(), directory, limits, None, &mut self.random)?.0;
            state = State::fresh(log.id(), log.first(), Counters::default());
        }
        let mut known = Counters::default();
        let mut sealed = Totals::default();
        if let Some(token) = &self.token {
            let settled = self.state.as_ref().map_or(&token.counters, |state| &state.counters);
            state.counters = settled.clone();
            let lost = state.counters.lose(&token.sealed);
            if lost > 0 {
                self.events.alarm(format!(
                    "the outbox that the last checkpoint ends in is gone from {}: {lost} records that the receiver had not acknowledged are lost, they are counted as dead",
                    directory.display()
                ));
            }
            (known, sealed) = (token.counters.clone(), token.sealed.clone());
        }
        let barrier = log.end().number();
        Ok(self.finish(log, state, true, Opened::Elsewhere, known, sealed, barrier))
    }

    fn resume(mut self, mut log: SegmentLog, token: OutboxToken, damaged: bool) -> Result<OpenOutbox> {
        self.guard.check()?;
        match self.guard.taken_over() {
            true => log.take_over(token.end)?,
            false => log.truncate(token.end)?,
        }
        let saved = self.state.take().filter(|state| state.log == Some(token.log));
        let recount = saved.is_none() || token.incarnation != self.incarnation;
        let mut state =
            saved.clone().unwrap_or_else(|| State::fresh(log.id(), log.first(), token.counters.clone()));
        if damaged {
            self.events.alarm("the outbox is damaged; what can't be read will be counted as dead");
            state.damaged = true;
        }
        if recount {
            let end = token.end.number();
            state.low = state.low.min(token.end);
            state.done.iter_mut().for_each(|done| *done = end.min(*done));
            state.split.retain(|split| split.number < end);
            let left = unsettled(&log, &state, token.end)?;
            // What the receiver refused since is counted as delivered: its dead letters may be gone with the checkpoints. So is what
            // was withheld since: how much of that lay before the token is not known.
            let known = &token.counters;
            state.counters = Counters {
                delivered: token.sealed.records.saturating_sub(left.records + known.refused + known.withheld),
                refused: known.refused,
                unresolved: known.unresolved,
                bytes: token.sealed.bytes.saturating_sub(left.bytes),
                withdrawn: known.withdrawn,
                types: TypeCounters {
                    settled: token.sealed.types.without(&left.types),
                    ..known.types.clone()
                },
                withheld: known.withheld,
            };
        }
        let changed = saved.as_ref() != Some(&state);
        let spread = token.lanes == self.settings.lanes;
        let barrier = if spread { token.barrier } else { log.end().number() };
        Ok(self.finish(log, state, changed, Opened::Resumed, token.counters, token.sealed, barrier))
    }

    #[expect(clippy::too_many_arguments, reason = "each is one thing that opening has found")]
    fn finish(
        self,
        log: SegmentLog,
        state: State,
        changed: bool,
        opened: Opened,
        known: Counters,
        sealed: Totals,
        barrier: u64,
    ) -> OpenOutbox {
        let reader = log.reader(state.low);
        let sealed = Sealed { next: log.end().number(), barrier, totals: sealed };
        let outbox = Outbox {
            guard: self.guard,
            log,
            incarnation: self.incarnation,
            lanes: self.settings.lanes,
            kept: VecDeque::new(),
            buffer: Vec::new(),
        };
        OpenOutbox { outbox, sealed, opened, state, changed, known, reader }
    }
}

/// Records and bytes before `end` that `state` does not know to be settled.
fn unsettled(log: &SegmentLog, state: &State, end: LogPosition) -> Result<Totals> {
    let mut left = Totals::default();
    let mut reader = log.reader(state.low);
    let mut entries = Entries::new();
    loop {
        reader.read(end, &mut entries)?;
        if entries.is_empty() && entries.damage().is_none() {
            return Ok(left);
        }
        for entry in entries.iter() {
            let number = entry.position.number();
            let body = Entry::decode(entry.payload)?;
            if state.is_settled(body.head.lane, number) {
                continue;
            }
            let split = state.split.iter().find(|split| split.number == number);
            left.records += u64::from(split.map_or(body.head.records, |split| split.records()));
            left.bytes += body.bytes();
            match split {
                Some(split) => {
                    for part in &split.parts {
                        left.types.add(&body.census(part.start..part.end)?);
                    }
                }
                None => left.types.add(&body.head.census()),
            }
        }
    }
}
