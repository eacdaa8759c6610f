//! The stages of a pipeline, put together.

use std::collections::BTreeSet;

use crate::{
    Batch, BoxSink, BoxSource, Error, Name, RecordKey, Result, Sink, Source, Tap,
    stage::{Line, Transforms},
};

/// The stages of one pipeline: sources that merge, a chain of transforms, and sinks that each get every record
/// or those of their `when`.
pub struct Stages<S: Source, X: Transforms<In = S::Item>, K: Sink<Item = X::Out>> {
    pub(crate) sources: Vec<(Name, S)>,
    pub(crate) transforms: X,
    pub(crate) sinks: Vec<SinkSlot<K>>,
    /// Clones records for all sinks but the last; only there when there are several.
    pub(crate) copy: Option<CopyItem<X::Out>>,
    pub(crate) superseding: Option<Superseding<X::Out>>,
    pub(crate) taps: Option<Taps<S::Item, X::Out>>,
}

/// How what comes out of the sources and of the transforms is counted by type.
pub(crate) type Taps<I, O> = (Tap<I>, Tap<O>);

/// The stages of a pipeline whose stages are boxed.
pub type BoxStages<T> = Stages<BoxSource<T>, Line<T>, BoxSink<T>>;

/// Which records a sink gets.
pub type When<T> = Box<dyn FnMut(&T) -> bool + Send>;

/// A sink, its name, and which records it gets; all of them without a `when`.
pub type NamedSink<K> = (Name, K, Option<When<<K as Sink>::Item>>);

/// Adds the keys of those items of a batch that can withdraw dead letters; one call for each batch.
pub type Superseding<T> = fn(&Batch<T>, &mut Vec<RecordKey>);

/// Clones one item; a function, so that a pipeline with one sink needs no `Clone`.
pub(crate) type CopyItem<T> = fn(&T) -> T;

pub(crate) struct SinkSlot<K: Sink> {
    pub(crate) name: Name,
    pub(crate) sink: K,
    pub(crate) when: Option<When<K::Item>>,
}

impl<S: Source, X: Transforms<In = S::Item>, K: Sink<Item = X::Out>> Stages<S, X, K> {
    /// One source, a chain, one sink.
    pub fn line(source: (impl Into<Name>, S), transforms: X, sink: (impl Into<Name>, K)) -> Stages<S, X, K> {
        Stages {
            sources: vec![(source.0.into(), source.1)],
            transforms,
            sinks: vec![SinkSlot { name: sink.0.into(), sink: sink.1, when: None }],
            copy: None,
            superseding: None,
            taps: None,
        }
    }

    /// Lets items that pass withdraw the dead letters of what they supersede: for records,
    /// [`Record::superseding`](crate::Record::superseding).
    pub fn withdrawing(self, superseding: Superseding<X::Out>) -> Self {
        Stages { superseding: Some(superseding), ..self }
    }

    /// Keeps the accounts by type, too. `transforms` must be counted as well, each by
    /// [`Named::counting`](crate::stage::Named::counting); without this nothing of it costs anything.
    pub fn counting(self, input: Tap<S::Item>, output: Tap<X::Out>) -> Self {
        Stages { taps: Some((input, output)), ..self }
    }

    /// Any number of sources and sinks. All sinks but the last get clones.
    ///
    /// # Errors
    /// `Config` when there is no source or no sink, or when two have the same name.
    pub fn new(sources: Vec<(Name, S)>, transforms: X, sinks: Vec<NamedSink<K>>) -> Result<Self>
    where
        X::Out: Clone,
    {
        unique("source", sources.iter().map(|(name, _)| name))?;
        unique("sink", sinks.iter().map(|(name, ..)| name))?;
        let sinks = sinks.into_iter().map(|(name, sink, when)| SinkSlot { name, sink, when }).collect();
        Ok(Stages {
            sources,
            transforms,
            sinks,
            copy: Some(|record| record.clone()),
            superseding: None,
            taps: None,
        })
    }
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a Name>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Error::config(format!("two {what}s are named `{name}`; give one another name")));
        }
    }
    if seen.is_empty() {
        return Err(Error::config(format!("a pipeline needs a {what}")));
    }
    Ok(())
}

impl<S: Source, X: Transforms<In = S::Item>, K: Sink<Item = X::Out>> std::fmt::Debug for Stages<S, X, K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stages")
            .field("sources", &self.sources.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("sinks", &self.sinks.iter().map(|slot| &slot.name).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
