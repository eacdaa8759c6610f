//! [`Driver`]: the task that sends bodies and keeps what became of them. See the [module](super) for the order.

use std::{future::Future, pin::Pin, sync::Arc};

use afferent_core::{
    DeadLetter, Epoch, Error, Incarnation, Name, Record, Reject, Result, Timestamp,
    blocking::Blocking,
    checkpoint::Acknowledgements,
    clock::{self, Clock},
    event::StageEvents,
    random::Random,
    segment_log::LogPosition,
    stage::Permission,
};
use afferent_formats::Format;
use futures::{StreamExt, stream::FuturesUnordered};
use tokio::sync::watch;

use super::{
    Compression, SealedBody, Transport,
    age::Ages,
    attempt::{Courier, Sent, Verdict},
    body::Unpacked,
    crash::crash_point,
    dissection::{self, Dissected},
    feed::{Feed, Gone, Queued, Scanned, Spot},
    keeper::{self, Refusals, Saving},
    lane::{Current, Doubt, Lane, Phase},
    letter::{Passed, letter},
    metrics::Metrics,
    sifting::{self, Sifted},
    state::{Counters, State},
};

/// Bodies that are read ahead, in bytes: a lane that is held up holds up the others when so much lies behind it.
const AHEAD_BYTES: u64 = 16 << 20;

/// What the sink sees of the driver: only what is saved.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    pub(super) counters: Counters,
    /// Everything before it is settled.
    pub(super) low: LogPosition,
}

/// Where acknowledgements go.
#[derive(Debug)]
pub(super) enum Keep {
    /// Beside the checkpoints.
    Durably(Acknowledgements),
    /// Nowhere: what is sent directly is settled before its epoch is.
    InMemory(Refusals),
}

/// The surroundings of a driver.
#[derive(Debug)]
pub(super) struct DriverCx {
    pub(super) stage: Name,
    pub(super) incarnation: Incarnation,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) blocking: Blocking,
    pub(super) random: Random,
    pub(super) events: StageEvents,
    pub(super) metrics: Metrics,
    /// What the bodies are written in.
    pub(super) format: Format,
}

/// Sends bodies, in order within each lane, and keeps what became of them.
#[derive(Debug)]
pub(super) struct Driver<T> {
    cx: DriverCx,
    courier: Arc<Courier<T>>,
    feed: Feed,
    keep: Keep,
    /// As it was loaded; `snapshot` brings it up to date.
    state: State,
    /// The number of the first body of this life.
    new: u64,
    lanes: Vec<Lane>,
    /// Bodies before it are in the lanes, or settled.
    scanned: Spot,
    /// Bytes in the lanes' queues.
    ahead: u64,
    steps: FuturesUnordered<Step>,
    /// Counts the changes of the state.
    changes: u64,
    /// The change up to which it is saved.
    saved: u64,
    saving: bool,
    letters: Vec<DeadLetter>,
    passed: Passed,
    ages: Ages,
    permissions: watch::Receiver<Permission<Record>>,
    progress: watch::Sender<Progress>,
}

type Step = Pin<Box<dyn Future<Output = Stepped> + Send>>;

/// Something that was under way has ended.
#[derive(Debug)]
enum Stepped {
    Scanned(Result<Scanned>),
    Unpacked { lane: usize, unpacked: Result<Arc<Unpacked>> },
    Sent { lane: usize, sent: Result<Sent> },
    Dissected { lane: usize, dissected: Result<(Arc<Unpacked>, Dissected)> },
    Sifted { lane: usize, sifted: Result<Sifted> },
    Saved { change: u64, low: LogPosition, result: Result<Counters> },
}

impl<T: Transport> Driver<T> {
    pub(super) fn new(
        cx: DriverCx,
        courier: Courier<T>,
        feed: Feed,
        keep: Keep,
        (state, new): (State, u64),
    ) -> (Driver<T>, watch::Receiver<Progress>) {
        let (progress, seen) = watch::channel(Progress { counters: state.counters.clone(), low: state.low });
        let driver = Driver {
            cx,
            permissions: courier.permissions.clone(),
            courier: Arc::new(courier),
            feed,
            keep,
            scanned: state.low.into(),
            state,
            new,
            lanes: Vec::new(),
            ahead: 0,
            steps: FuturesUnordered::new(),
            changes: 0,
            saved: 0,
            saving: false,
            letters: Vec::new(),
            passed: Passed::default(),
            ages: Ages::default(),
            progress,
        };
        (driver, seen)
    }

    /// Sends until the sink has gone. `failed` is told of an error before the sink can see that the driver has ended:
    /// `Fenced` when a newer generation has come, `State` when a body can't be read.
    pub(super) async fn run(mut self, failed: impl FnOnce(Error) + Send) {
        if let Err(error) = self.send_all().await {
            failed(error);
        }
    }

    async fn send_all(&mut self) -> Result<()> {
        loop {
            self.scan();
            self.settle_what_is_lost();
            // Before lanes are advanced: without an outbox a change is saved at once, and a lane may wait for it.
            self.save()?;
            for lane in 0..self.lanes.len() {
                self.advance(lane)?;
            }
            self.ages.look(self.oldest(), &self.cx);
            let look = self.ages.due();
            tokio::select! {
                biased;
                () = clock::sleep_until(look.unwrap_or_else(clock::instant)), if look.is_some() => {}
                more = self.feed.more() => match more {
                    Ok(Some(entry)) => {
                        let spot = self.scanned;
                        self.scanned.number += 1;
                        self.enqueue(Queued { spot, entry });
                    }
                    Ok(None) => {}
                    Err(Gone) => return Ok(()),
                },
                Some(stepped) = self.steps.next(), if !self.steps.is_empty() => self.stepped(stepped)?,
                // What could not begin may begin now.
                Ok(()) = self.permissions.changed() => {}
            }
        }
    }

    fn stepped(&mut self, stepped: Stepped) -> Result<()> {
        match stepped {
            Stepped::Scanned(scanned) => self.scanned(scanned?),
            Stepped::Unpacked { lane, unpacked } => {
                if let Some(current) = &mut self.lanes[lane].current {
                    current.unpacked = Some(unpacked?);
                    current.phase = Phase::Ready;
                }
                Ok(())
            }
            Stepped::Sent { lane, sent } => {
                let is_part =
                    self.lanes[lane].current.as_ref().is_some_and(|current| !current.parts.is_empty());
                self.sent(lane, sent?)?;
                if is_part {
                    crash_point!("upload.part_answered");
                }
                Ok(())
            }
            Stepped::Dissected { lane, dissected } => {
                let (unpacked, dissected) = dissected?;
                self.dissected(lane, unpacked, dissected)
            }
            Stepped::Sifted { lane, sifted } => {
                self.sifted(lane, sifted?);
                Ok(())
            }
            Stepped::Saved { change, low, result } => {
                let counters = result?;
                crash_point!("upload.saved");
                self.saving = false;
                self.saved = change;
                self.state.counters.withdrawn = counters.withdrawn;
                self.state.counters.types.withdrawn = counters.types.withdrawn.clone();
                self.progress.send_replace(Progress { counters, low });
                Ok(())
            }
        }
    }

    /// Reads on, unless enough was read.
    fn scan(&mut self) {
        if self.ahead >= AHEAD_BYTES {
            return;
        }
        if let Some(scan) = self.feed.scan(self.scanned, self.cx.random.fork()) {
            self.steps.push(Box::pin(async { Stepped::Scanned(scan.await) }));
        }
    }

    fn scanned(&mut self, scanned: Scanned) -> Result<()> {
        if let Some(damage) = &scanned.damage {
            self.state.damaged = true;
            self.changes += 1;
            self.cx.events.alarm(format!("the outbox is damaged: {damage}"));
        }
        self.scanned = scanned.stopped;
        for queued in self.feed.give_back(scanned) {
            if !self.state.is_settled(queued.entry.head.lane, queued.spot.number) {
                self.enqueue(queued);
            }
        }
        Ok(())
    }

    fn enqueue(&mut self, queued: Queued) {
        let lane = usize::from(queued.entry.head.lane);
        if self.lanes.len() <= lane {
            self.lanes.resize_with(lane + 1, Lane::default);
        }
        self.ahead += queued.entry.bytes();
        self.lanes[lane].queue.push_back(queued);
    }

    /// Where everything before is settled.
    fn low(&self) -> Spot {
        let fronts = self.lanes.iter().filter_map(Lane::front);
        fronts.fold(self.scanned, Spot::min)
    }

    /// When the oldest body that is not settled was sealed.
    fn oldest(&self) -> Option<Timestamp> {
        self.lanes.iter().filter_map(Lane::oldest).min()
    }

    /// Begins what `lane` can do now.
    fn advance(&mut self, lane: usize) -> Result<()> {
        let low = self.low().number;
        let slot = &mut self.lanes[lane];
        let had = slot.current.is_some();
        slot.begin(low, self.new, &mut self.state.split, &*self.cx.clock);
        let Some(current) = &mut slot.current else { return Ok(()) };
        if !had {
            self.ahead -= current.entry.bytes();
        }
        if let Phase::Saving(change) = current.phase
            && change <= self.saved
        {
            crash_point!("upload.split");
            current.phase = Phase::Ready;
        }
        if current.phase != Phase::Ready {
            return Ok(());
        }
        let permission = self.permissions.borrow().clone();
        // Until it is known what may be sent, nothing is.
        let Some(version) = permission.version() else { return Ok(()) };
        current.phase = Phase::Busy;
        if version != current.permission && !matches!(permission, Permission::Free) {
            let sifting = sifting::sift(current, (permission, version), &self.cx);
            self.steps.push(Box::pin(async move { Stepped::Sifted { lane, sifted: sifting.await } }));
            return Ok(());
        }
        let step: Step = match (&current.unpacked, current.parts.front()) {
            (None, Some(_)) => unpack(lane, current, &self.cx.blocking),
            (Some(unpacked), Some(part)) => {
                let body = SealedBody {
                    key: part.key,
                    records: part.records(),
                    compression: Compression::None,
                    content: unpacked.part(part.start..part.end),
                };
                send(lane, body, &self.courier, version, current.doubt.take())
            }
            (_, None) => send(lane, current.entry.body(), &self.courier, version, current.doubt.take()),
        };
        self.steps.push(step);
        Ok(())
    }

    /// The receiver has said what becomes of what `lane` sent.
    fn sent(&mut self, lane: usize, sent: Sent) -> Result<()> {
        let Some(current) = &mut self.lanes[lane].current else { return Ok(()) };
        let counters = &mut self.state.counters;
        counters.unresolved += u64::from(sent.unresolved);
        self.changes += 1;
        match sent.verdict {
            Verdict::Delivered => {
                let range = current.range();
                counters.delivered += u64::from(range.end - range.start);
                counters.types.settled.add(&current.entry.census(range.clone())?);
                if counters.refused > counters.withdrawn && matches!(self.keep, Keep::Durably(_)) {
                    self.passed.add(&current.entry, range)?;
                }
                self.settled(lane);
            }
            Verdict::Refused { reason } => {
                let dissecting = dissection::dissect(current, reason, &self.cx);
                self.steps.push(dissected(lane, dissecting));
            }
            Verdict::Partly { refused } => {
                let dissecting = dissection::take_out(current, refused, &self.cx);
                self.steps.push(dissected(lane, dissecting));
            }
            Verdict::Reconsider { doubt } => {
                current.doubt = doubt;
                current.phase = Phase::Ready;
            }
        }
        Ok(())
    }

    /// It is known what of the body of `lane` may be sent.
    fn sifted(&mut self, lane: usize, sifted: Sifted) {
        let Some(current) = &mut self.lanes[lane].current else { return };
        let Sifted { unpacked, version, parts, withheld, unreadable } = sifted;
        current.permission = version;
        current.phase = Phase::Ready;
        let count = withheld.total();
        if count == 0 && unreadable.is_empty() {
            return;
        }
        let counters = &mut self.state.counters;
        counters.withheld += count;
        counters.types.withheld.add(&withheld);
        counters.types.settled.add(&withheld);
        self.cx.metrics.withheld(count);
        // What is tried first may be there as it was.
        let is_other = parts.front().map(|part| part.key) != current.left().front().map(|part| part.key);
        if is_other && let Some(doubt) = current.doubt.take() {
            if !doubt.is_told {
                counters.unresolved += 1;
                self.cx.metrics.unresolved();
            }
            let gone = count + unreadable.len() as u64;
            self.cx.events.alarm(format!(
                "{gone} records may not be sent any more, and the receiver may have got them with a body whose fate is unknown: delete them there, and look for repeats of the others of that body (Idempotency-Key {})",
                current.entry.head.key
            ));
        } else if count > 0 {
            self.cx.events.notice(format!(
                "{count} records that waited to be sent may not be any more; they are not sent, and count as filtered"
            ));
        }
        self.changes += 1;
        let epoch = current.entry.head.epoch;
        current.unpacked = Some(unpacked);
        current.parts = parts;
        // What is left replaces the body, durably, before any of it is sent.
        current.phase = Phase::Saving(self.changes);
        for reject in unreadable {
            self.refused(reject, epoch);
        }
        self.finish(lane);
    }

    fn dissected(&mut self, lane: usize, unpacked: Arc<Unpacked>, dissected: Dissected) -> Result<()> {
        let Some(current) = &mut self.lanes[lane].current else { return Ok(()) };
        current.unpacked = Some(unpacked);
        self.changes += 1;
        match dissected {
            Dissected::Halves([first, second]) => {
                current.parts.pop_front();
                current.parts.push_front(second);
                current.parts.push_front(first);
                // Both replace what was refused, durably, before either is sent.
                current.phase = Phase::Saving(self.changes);
            }
            Dissected::Record(reject) => {
                let epoch = current.entry.head.epoch;
                self.refused(*reject, epoch);
                self.settled(lane);
            }
            Dissected::Others(rejects) => {
                let (range, epoch) = (current.range(), current.entry.head.epoch);
                // What was delivered lies between what was refused.
                let ends = rejects.iter().map(|(index, _)| *index).chain([range.end]);
                let mut begin = range.start;
                for end in ends {
                    if begin < end {
                        let counters = &mut self.state.counters;
                        counters.delivered += u64::from(end - begin);
                        counters.types.settled.add(&current.entry.census(begin..end)?);
                        // Its own refusals count: one of them may be of an earlier record that these supersede.
                        if matches!(self.keep, Keep::Durably(_)) {
                            self.passed.add(&current.entry, begin..end)?;
                        }
                    }
                    begin = end + 1;
                }
                for (_, reject) in rejects {
                    self.refused(reject, epoch);
                }
                self.settled(lane);
            }
        }
        Ok(())
    }

    /// A record is dead.
    fn refused(&mut self, reject: Reject, epoch: Epoch) {
        let counters = &mut self.state.counters;
        counters.refused += 1;
        counters.types.refused.count(reject.kind, 1);
        counters.types.settled.count(reject.kind, 1);
        self.cx.metrics.refused(1);
        match &self.keep {
            Keep::Durably(_) => self.letters.push(letter(reject, epoch, &self.cx)),
            Keep::InMemory(refusals) => refusals.push(reject),
        }
    }

    /// What `lane` sent is settled; the body itself, if nothing is left of it.
    fn settled(&mut self, lane: usize) {
        let slot = &mut self.lanes[lane];
        let Some(current) = &mut slot.current else { return };
        current.phase = Phase::Ready;
        current.parts.pop_front();
        self.finish(lane);
    }

    /// Leaves the body of `lane`, if nothing is left of it.
    fn finish(&mut self, lane: usize) {
        let slot = &mut self.lanes[lane];
        let Some(current) = &slot.current else { return };
        if current.parts.is_empty() {
            self.state.counters.bytes += current.entry.bytes();
            slot.current = None;
        }
    }

    /// With a damaged outbox, what is left over when everything was sent is what was lost.
    fn settle_what_is_lost(&mut self) {
        let Some(released) = self.feed.released() else { return };
        let is_done = self.scanned.number >= released.end.number()
            && self.lanes.iter().all(|lane| lane.front().is_none());
        if !self.state.damaged || !is_done {
            return;
        }
        let lost = self.state.counters.lose(&released.sealed);
        self.state.damaged = false;
        self.changes += 1;
        if lost > 0 {
            self.cx.events.alarm(format!(
                "{lost} records were lost with the damaged part of the outbox; they are counted as dead"
            ));
        }
    }

    /// Saves what has changed. What changes meanwhile is saved together, afterwards.
    fn save(&mut self) -> Result<()> {
        if self.saving || self.changes == self.saved {
            return Ok(());
        }
        crash_point!("upload.answered");
        let change = self.changes;
        let mut state = self.snapshot();
        let low = state.low;
        let Keep::Durably(acknowledgements) = &self.keep else {
            self.saved = change;
            self.progress.send_replace(Progress { counters: state.counters, low });
            return Ok(());
        };
        self.saving = true;
        let (mut letters, passed) = (std::mem::take(&mut self.letters), std::mem::take(&mut self.passed));
        let withdrawn = passed.withdraw(&mut letters);
        state.counters.withdrawn += withdrawn.total();
        state.counters.types.withdrawn.add(&withdrawn);
        let (acknowledgements, events) = (acknowledgements.clone(), self.cx.events.clone());
        let mut random = self.cx.random.fork();
        self.steps.push(Box::pin(async move {
            let saving = Saving { state, letters, passed };
            let result = keeper::save(&acknowledgements, saving, &mut random, &events).await;
            Stepped::Saved { change, low, result }
        }));
        Ok(())
    }

    /// The state as it is now.
    fn snapshot(&self) -> State {
        let lanes = self.lanes.len().max(self.state.done.len());
        let done = (0..lanes).map(|lane| {
            let front = self.lanes.get(lane).and_then(Lane::front).unwrap_or(self.scanned).number;
            // What was settled in an earlier life may not have been read again yet.
            front.max(self.state.done.get(lane).copied().unwrap_or(0))
        });
        let splits = self.lanes.iter().filter_map(|lane| lane.current.as_ref()?.split());
        State {
            low: self.low().position,
            done: done.collect(),
            split: self.state.split.iter().cloned().chain(splits).collect(),
            ..self.state.clone()
        }
    }
}

fn send<T: Transport>(
    lane: usize,
    body: SealedBody,
    courier: &Arc<Courier<T>>,
    version: u64,
    doubt: Option<Doubt>,
) -> Step {
    let sending = courier.clone().deliver(body, version, doubt);
    Box::pin(async move { Stepped::Sent { lane, sent: sending.await } })
}

fn unpack(lane: usize, current: &Current, blocking: &Blocking) -> Step {
    let entry = current.entry.clone();
    let job = blocking.spawn(move || entry.unpack().map(Arc::new));
    Box::pin(async move { Stepped::Unpacked { lane, unpacked: job.await.and_then(|unpacked| unpacked) } })
}

/// What was refused is taken apart.
fn dissected(
    lane: usize,
    dissecting: impl Future<Output = Result<(Arc<Unpacked>, Dissected)>> + Send + 'static,
) -> Step {
    Box::pin(async move { Stepped::Dissected { lane, dissected: dissecting.await } })
}
