//! [`Endpoint`]: one path of a listener, from the request to the answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use afferent_core::{Committed, Result, SourceCx, blocking::Blocking, clock::Clock, event::StageEvents};
use afferent_formats::Format;
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Method,
    body::{Body, Incoming},
    header,
    http::request::Parts,
};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use super::{
    Ack, Config,
    answer::{Answer, Refusal},
    body::{Budget, CHUNK, Encoding, extend, inflate},
    credentials::{Credentials, Keys, Proof},
    forms::Bodies,
    frame::{BodyId, content_hash},
    ids::{Outcome, Outcomes},
    intake::{Intake, Taken},
    items::Checked,
    signature::MAX_ID,
    vendor::Scheme,
};

/// A body that is sent as it is and no longer than this is looked at where it came in: some 200 µs. Others would keep a worker
/// from its other connections, and go to a thread that may block.
const INLINE_BYTES: usize = 64 << 10;
/// Bodies that are looked at on such threads at once; there are jobs of other pipelines, too.
const MAX_CHECKS: usize = 4;
/// The media types that are read. Without one it is not: a browser sends such a request from any page, and asks first before it
/// sends one with these.
fn media_types(format: Format) -> &'static [&'static str] {
    match format {
        Format::Csv => &["text/csv"],
        Format::Withings => &["application/x-www-form-urlencoded"],
        Format::Msgpack => &["application/msgpack", "application/x-msgpack", "application/vnd.msgpack"],
        _ => &["application/json", "application/x-ndjson", "application/ndjson", "application/jsonl"],
    }
}

/// One path: whom it lets in, what it takes, and where that goes.
#[derive(Debug)]
pub(super) struct Endpoint {
    config: Config,
    credentials: Credentials,
    budget: Arc<Semaphore>,
    checks: Semaphore,
    /// Those that no request uses now; their caches are warm.
    decoders: Mutex<Vec<Bodies>>,
    /// `None` while the log is not open.
    intake: Mutex<Option<Arc<Intake>>>,
    committed: watch::Receiver<Committed>,
    clock: Arc<dyn Clock>,
    blocking: Blocking,
    events: StageEvents,
}

/// A body that was found to be good.
struct Good {
    content: Vec<u8>,
    checked: Checked,
    hash: u64,
    budget: Budget,
}

impl Endpoint {
    /// Reads the secrets.
    pub(super) async fn open(config: &Config, cx: &SourceCx) -> Result<Endpoint> {
        let (secrets, tokens) = (config.secrets.clone(), config.tokens.clone());
        let in_flight = usize::try_from(config.max_in_flight.0).unwrap_or(Semaphore::MAX_PERMITS);
        Ok(Endpoint {
            credentials: Credentials::open(Scheme::of(config.format), secrets, tokens, &cx.blocking).await?,
            config: config.clone(),
            budget: Arc::new(Semaphore::new(in_flight.min(Semaphore::MAX_PERMITS))),
            checks: Semaphore::new(MAX_CHECKS),
            decoders: Mutex::default(),
            intake: Mutex::default(),
            committed: cx.committed.clone(),
            clock: cx.clock.clone(),
            blocking: cx.blocking.clone(),
            events: cx.events.clone(),
        })
    }

    /// What takes bodies from now on, if anything.
    pub(super) fn set_intake(&self, intake: Option<Arc<Intake>>) {
        *self.intake() = intake;
    }

    /// Something an operator should look at.
    pub(super) fn alarm(&self, message: &str) {
        self.events.alarm(message);
    }

    /// The answer to a request for this path.
    pub(super) async fn answer(&self, parts: &Parts, body: &mut Incoming) -> Answer {
        let answer = self.try_answer(parts, body).await.unwrap_or_else(Answer::Refused);
        Scheme::of(self.config.format).dressed(answer)
    }

    async fn try_answer(&self, parts: &Parts, body: &mut Incoming) -> Result<Answer, Refusal> {
        let keys = self.credentials.keys(&self.blocking).await;
        if let Some(answer) = Scheme::of(self.config.format).challenge(parts, &keys) {
            return answer;
        }
        if parts.method != Method::POST {
            return Err(Refusal::WrongMethod);
        }
        let proof = keys.judge(&parts.headers, self.clock.now()).ok_or(Refusal::Unauthorized)?;
        let encoding = form(&parts.headers, self.config.format)?;
        let id = id(&parts.headers)?;
        let (content, budget) = self.receive(proof.prefix(), body).await?;
        let good = self.check(&keys, proof, content, encoding, budget, id.is_some()).await?;
        if good.checked.records == 0 && good.checked.rejected == 0 {
            // There is nothing to store, and a repeat gets the same answer.
            return Ok(self.done(good.checked));
        }
        let wait = self.keep(id, good);
        timeout(self.config.ack_timeout.0, wait).await.unwrap_or(Err(Refusal::Unavailable))
    }

    fn done(&self, checked: Checked) -> Answer {
        match self.config.ack {
            Ack::Durable => Answer::Stored(checked),
            Ack::Committed => Answer::Committed(checked),
        }
    }

    /// Reads the body behind `prefix`.
    async fn receive(&self, prefix: Vec<u8>, body: &mut Incoming) -> Result<(Vec<u8>, Budget), Refusal> {
        let limit = usize::try_from(self.config.max_body.0).unwrap_or(usize::MAX);
        let announced = body.size_hint().lower();
        if announced > self.config.max_body.0 {
            return Err(Refusal::TooLarge);
        }
        let before = prefix.len();
        let mut content = prefix;
        // What is announced may never come: memory is taken for what is there, and for a little more.
        content.reserve_exact((announced as usize).min(CHUNK));
        let mut budget = Budget::new(self.budget.clone());
        let read = async {
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|_| Refusal::broken("the body ended before it was whole"))?;
                let Ok(data) = frame.into_data() else { continue };
                if content.len() - before + data.len() > limit {
                    return Err(Refusal::TooLarge);
                }
                budget.take(data.len())?;
                extend(&mut content, &data, before + limit);
            }
            Ok(())
        };
        timeout(self.config.timeouts.body.0, read).await.unwrap_or(Err(Refusal::TooSlow))?;
        Ok((content, budget))
    }

    /// Whether a body is from whom it says, and of good records. `signed` is the body, behind what is signed before it.
    async fn check(
        &self,
        keys: &Arc<Keys>,
        proof: Proof<'_>,
        signed: Vec<u8>,
        encoding: Encoding,
        mut budget: Budget,
        has_id: bool,
    ) -> Result<Good, Refusal> {
        let (before, evidence) = (proof.prefix().len(), proof.evidence());
        let keys = keys.clone();
        let limit = usize::try_from(self.config.max_body.0).unwrap_or(usize::MAX);
        let decoder = self.decoders().pop();
        let decoder = decoder.or_else(|| Bodies::new(self.config.format, self.config.strict));
        // The check of the configuration refuses forms that are only written.
        let mut decoder = decoder.ok_or(Refusal::Unavailable)?;
        let is_small = encoding == Encoding::Identity && signed.len() <= INLINE_BYTES;
        let work = move || {
            let checked = (|| {
                if !keys.bears(&evidence, &signed) {
                    return Err(Refusal::Unauthorized);
                }
                let content = if encoding == Encoding::Identity {
                    let mut content = signed;
                    content.drain(..before);
                    content
                } else {
                    let mut inflated = Budget::new(budget.all());
                    let content = inflate(&signed[before..], encoding, limit, &mut inflated)?;
                    budget = inflated;
                    content
                };
                let checked = decoder.check(&content)?;
                let hash = if has_id { content_hash(&content) } else { 0 };
                Ok(Good { content, checked, hash, budget })
            })();
            (checked, decoder)
        };
        let (checked, decoder) = if is_small {
            work()
        } else {
            let _turn = self.checks.acquire().await.map_err(|_| Refusal::Unavailable)?;
            self.blocking.spawn(work).await.map_err(|_| Refusal::Unavailable)?
        };
        self.decoders().push(decoder);
        checked
    }

    /// Stores a body and waits until it may be acknowledged.
    async fn keep(&self, id: Option<BodyId>, good: Good) -> Result<Answer, Refusal> {
        let Good { content, checked, hash, budget } = good;
        let (records, format) = (checked.records, self.config.format);
        let intake = self.intake().clone().ok_or(Refusal::Unavailable)?;
        if intake.broken.is_cancelled() {
            return Err(Refusal::Unavailable);
        }
        let number = match intake.take(id, hash, records, format, content, budget)? {
            Taken::Stored(seen) => seen.number,
            Taken::InFlight(outcomes) => match what_became(outcomes).await {
                Outcome::Stored(number) => number,
                Outcome::Full => return Err(Refusal::Full),
                Outcome::Failed => return Err(Refusal::Unavailable),
            },
        };
        if self.config.ack == Ack::Committed {
            intake.progress.wait(number, self.committed.clone()).await?;
        }
        Ok(self.done(checked))
    }

    fn intake(&self) -> MutexGuard<'_, Option<Arc<Intake>>> {
        // Each change is one step.
        self.intake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decoders(&self) -> MutexGuard<'_, Vec<Bodies>> {
        // Each change is one step.
        self.decoders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn what_became(mut outcomes: Outcomes) -> Outcome {
    let outcome = outcomes.wait_for(Option::is_some).await;
    outcome.ok().and_then(|outcome| *outcome).unwrap_or(Outcome::Failed)
}

/// How the body is compressed, if it is of a type that is read.
fn form(headers: &HeaderMap, format: Format) -> Result<Encoding, Refusal> {
    let text = |name| {
        let mut values = headers.get_all(name).iter();
        let value = values.next().map(|value| value.to_str().unwrap_or("?"));
        if values.next().is_some() { Some("?") } else { value }
    };
    let media_type = text(header::CONTENT_TYPE).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_types(format).iter().any(|known| known.eq_ignore_ascii_case(media_type)) {
        return Err(Refusal::WrongType);
    }
    Encoding::of(text(header::CONTENT_ENCODING).unwrap_or("identity")).ok_or(Refusal::WrongType)
}

/// The id of a request, if it has one: `webhook-id` (`svix-id`), or else `Idempotency-Key`.
fn id(headers: &HeaderMap) -> Result<Option<BodyId>, Refusal> {
    for name in ["webhook-id", "svix-id", "idempotency-key"] {
        if let Some(value) = headers.get(name) {
            let value = value.to_str().ok().filter(|value| (1..=MAX_ID).contains(&value.len()));
            let value = value.ok_or_else(|| {
                Refusal::broken(
                    "expected an id of 1 to 256 characters of ASCII in webhook-id, or Idempotency-Key",
                )
            })?;
            return Ok(Some(BodyId::new(name, value)));
        }
    }
    Ok(None)
}
