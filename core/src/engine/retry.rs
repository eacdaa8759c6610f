//! Dead letters that are put in again.
//!
//! A retry is a run of the same pipeline that pulls from no source. Letters are put in where they were rejected: what a
//! source could not read at the front, what a transform rejected into that transform, what a sink or its receiver
//! refused into that sink alone, unless it [may not be sent](crate::stage::Permission) any more: then it is filtered. The save of the epoch that takes them settles them, so each is either still dead or in
//! a saved epoch, wherever the process dies; what is refused again is a dead letter of that epoch.

use std::pin::pin;

use async_trait::async_trait;

use super::{
    control::Abort,
    life::{Life, count},
    look::looking,
};
use crate::{
    Batch, Census, DeadLetter, Error, Kind, LetterId, Name, Result, Sink, Source, stage::Transforms,
};

/// A dead letter that is put in again.
#[derive(Clone, Debug)]
pub struct Again<I, O> {
    /// Which.
    pub id: LetterId,
    /// The letter.
    pub letter: DeadLetter,
    /// What it holds, and where that goes.
    pub entry: Entry<I, O>,
}

/// Where a dead letter is put in.
#[derive(Clone, Debug)]
pub enum Entry<I, O> {
    /// Before all transforms: what it is read as, one item or more. The first takes its place in the accounts, the others are new.
    Front(Vec<I>),
    /// Into this transform.
    Transform(Name, I),
    /// Into this sink, whatever its `when` says: it has met that.
    Sink(Name, O),
}

/// Gives the dead letters to put in, one group after the other.
#[async_trait]
pub trait Letters<I, O>: Send {
    /// The next group, which one epoch takes; none is the end.
    async fn next(&mut self) -> Result<Vec<Again<I, O>>>;
}

/// What gives the letters of a life.
pub type BoxLetters<I, O> = Box<dyn Letters<I, O>>;

impl<S, X, K> Life<'_, S, X, K>
where
    S: Source,
    X: Transforms<In = S::Item>,
    K: Sink<Item = X::Out>,
{
    /// Puts the next group of letters in; whether there was one.
    pub(super) async fn put_in_letters(&mut self) -> Result<bool, Abort> {
        if self.control.paused || self.control.is_ending() {
            return Ok(false);
        }
        let Some(letters) = &mut self.letters else { return Ok(false) };
        let group = self.control.attend(letters.next()).await??;
        if group.is_empty() {
            self.letters = None;
            return Ok(false);
        }
        if !self.looked {
            self.look().await?;
        }
        self.open_epoch()?;
        for Again { id, letter, entry } in group {
            self.count_again(&letter, &entry);
            self.tally.retried.push(id);
            self.tally.retried_bytes += letter.bytes();
            match entry {
                Entry::Front(items) => {
                    self.transforms.apply(&mut Batch::from(items), &mut self.out)?;
                    self.deliver().await?;
                }
                Entry::Transform(name, item) => {
                    if !self.transforms.apply_from(&name, &mut Batch::from(vec![item]), &mut self.out)? {
                        return Err(nowhere("transform", &name).into());
                    }
                    self.deliver().await?;
                }
                Entry::Sink(name, item) => {
                    let found = self.sinks.iter_mut().enumerate().find(|(_, slot)| slot.name == name);
                    let Some((index, slot)) = found else { return Err(nowhere("sink", &name).into()) };
                    if !self.permission.allows(&item) {
                        self.tally.sinks[index].filtered += 1;
                        if let Some((_, output)) = self.taps {
                            let census = count(output, std::slice::from_ref(&item));
                            self.tally.types().sinks[index].filtered.add(&census);
                        }
                        continue;
                    }
                    if let Some((_, output)) = self.taps {
                        let census = count(output, std::slice::from_ref(&item));
                        self.tally.types().sinks[index].written.add(&census);
                    }
                    slot.batch.push(item);
                    self.tally.sinks[index].written += 1;
                    let outside = (&*self.world, &mut *self.control, &mut self.transforms);
                    let written =
                        looking(outside, &self.permission, pin!(slot.sink.write(&mut slot.batch))).await?;
                    written.map_err(|error| error.at(&name))?;
                }
            }
        }
        Ok(true)
    }

    /// Takes a letter from the dead of the accounts that it is in; to others it is new. What it holds besides is new to all.
    fn count_again(&mut self, letter: &DeadLetter, entry: &Entry<S::Item, X::Out>) {
        let (first, others) = match entry {
            Entry::Front(items) => self.kinds_of(items),
            Entry::Transform(_, item) => self.kinds_of(std::slice::from_ref(item)),
            Entry::Sink(_, item) => {
                let census = self.taps.map(|(_, output)| count(output, std::slice::from_ref(item)));
                (census.and_then(|census| census.iter().find_map(|(kind, _)| kind)), Census::new())
            }
        };
        let others_count =
            if let Entry::Front(items) = entry { items.len().saturating_sub(1) as u64 } else { 0 };
        let only_its_sink = matches!(entry, Entry::Sink(..));
        let ledger = &self.checkpoint.ledger;
        for (index, slot) in self.sinks.iter().enumerate() {
            let tally = &mut self.tally.sinks[index];
            let (retried, joined) = match ledger.counts(letter, &slot.name) {
                true => (1, 0),
                false => (0, u64::from(!only_its_sink || letter.stage == slot.name)),
            };
            tally.retried += retried;
            tally.joined += joined + others_count;
            if self.taps.is_some() {
                let types = &mut self.tally.types().sinks[index];
                types.retried.extend((retried > 0).then(|| (letter.kind(), first)));
                types.joined.count(first, joined);
                types.joined.add(&others);
            }
        }
    }

    /// The type of the first of `items`, and those of the others; nothing if types are not counted.
    fn kinds_of(&self, items: &[S::Item]) -> (Option<Kind>, Census) {
        let (Some((input, _)), Some((first, others))) = (self.taps, items.split_first()) else {
            return (None, Census::new());
        };
        let first = count(input, std::slice::from_ref(first)).iter().find_map(|(kind, _)| kind);
        (first, count(input, others))
    }
}

fn nowhere(kind: &str, name: &Name) -> Error {
    Error::config(format!("the pipeline has no {kind} `{name}` that takes dead letters"))
}
