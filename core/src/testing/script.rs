//! A scripted source: gives a list of items again and again from any position, in batches whose boundaries
//! never repeat, with faults between them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;

use crate::{Batch, Error, Position, Pulled, RecordId, Reject, Result, Source, SourceCx, random::Random};

/// How a scripted source behaves.
#[derive(Clone, Debug)]
pub struct Script<T> {
    /// What it gives, in order.
    pub items: Arc<Vec<T>>,
    /// Which items it rejects instead.
    pub bad: fn(&T) -> bool,
    /// The id of a record that such an item holds, where one is known.
    pub id: fn(&T) -> Option<RecordId>,
    /// Whether it ends after the last item; otherwise it is drained then.
    pub finite: bool,
    /// How likely a pull is an error that heals, a wait, an empty sealed pull, a sealed batch; each in `[0, 1)`.
    pub faults: f64,
    /// How much was given so far, over all lives.
    pub given: Arc<AtomicU64>,
    /// Seeds batch boundaries and faults; moves on with every pull, so no life repeats another's.
    pub seed: Arc<AtomicU64>,
    /// The furthest position that was said to be committed; must never go back.
    pub committed: Arc<AtomicU64>,
}

impl<T: Clone> Script<T> {
    /// A finite script without faults, in batches of at most the engine's limit.
    pub fn new(items: Vec<T>) -> Script<T> {
        Script {
            items: Arc::new(items),
            bad: |_| false,
            id: |_| None,
            finite: true,
            faults: 0.0,
            given: Arc::default(),
            seed: Arc::default(),
            committed: Arc::default(),
        }
    }

    /// A source that follows the script.
    pub fn source(&self) -> ScriptSource<T> {
        ScriptSource { script: self.clone(), at: 0, open: None, drained: false, wait: None }
    }
}

/// See [`Script`].
#[derive(Debug)]
pub struct ScriptSource<T> {
    script: Script<T>,
    at: u64,
    open: Option<SourceCx>,
    drained: bool,
    /// Set after `Waiting`: the next pull pends until it is notified, as the contract says.
    wait: Option<Arc<Notify>>,
}

impl<T: Clone + Send + Sync + 'static> Source for ScriptSource<T> {
    type Item = T;

    async fn open(&mut self, cx: SourceCx) -> Result<()> {
        self.at = match &cx.position {
            Some(position) => position.read(1)?,
            None => 0,
        };
        self.open = Some(cx);
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Pulled<T>>> {
        let cx = self.open.as_mut().ok_or_else(|| Error::bug("`next` before `open`"))?;
        if let Some(position) = &cx.committed.borrow().position {
            let committed: u64 = position.read(1)?;
            let before = self.script.committed.fetch_max(committed, Ordering::SeqCst);
            assert!(before <= self.script.items.len() as u64 && committed <= self.script.items.len() as u64);
        }
        if let Some(wait) = self.wait.take() {
            wait.notified().await;
        }
        let mut random = Random::from_seed(self.script.seed.fetch_add(1, Ordering::SeqCst));
        if random.chance(self.script.faults) {
            match random.below(4) {
                0 => return Err(Error::transient("scripted failure")),
                1 => {
                    let wait = Arc::new(Notify::new());
                    wait.notify_one();
                    self.wait = Some(wait);
                    return Err(Error::waiting("the script"));
                }
                2 => crate::clock::sleep(std::time::Duration::from_millis(random.below(3000))).await,
                _ => return Ok(Some(Pulled::drained(position(self.at)?))),
            }
        }
        let left = self.script.items.len() as u64 - self.at;
        if left == 0 {
            if self.script.finite {
                return Ok(None);
            }
            if std::mem::replace(&mut self.drained, true) {
                std::future::pending::<()>().await;
            }
            return Ok(Some(Pulled::drained(position(self.at)?)));
        }
        let count = (1 + random.below(left.min(cx.limits.records as u64))).min(left);
        let mut batch = Batch::new();
        let mut rejects = Vec::new();
        for item in &self.script.items[self.at as usize..(self.at + count) as usize] {
            if (self.script.bad)(item) {
                let reject = Reject::raw(b"bad", "scripted to be bad", format!("script:{}", self.at));
                let key = (self.script.id)(item).map(|id| id.to_string());
                rejects.push(Reject { key, ..reject });
            } else {
                batch.push(item.clone());
            }
        }
        batch.add_bytes(count as usize * 10);
        self.at += count;
        self.script.given.fetch_add(count, Ordering::SeqCst);
        Ok(Some(Pulled {
            batch,
            rejects,
            position: position(self.at)?,
            seal: random.chance(self.script.faults),
        }))
    }
}

fn position(at: u64) -> Result<Position> {
    Position::new(1, "script", &at)
}
