//! The registry: which component a `type` stands for.
//!
//! [`Registry::builtin`] has those of this build. A host program adds sources, transforms and sinks of its own
//! under type names of its own; they get the same strict reading and the same diagnostics as the built-in ones,
//! because both are rows of the same form: a type name, a line of documentation, a `Config`, and a function that
//! makes the stage from it.
//!
//! Nothing is opened here. A row turns a table into a [`Make`], which can be called again and again: the engine
//! makes all stages anew after each error that undoes an epoch.

mod builtin;
mod keys;
#[cfg(all(
    test,
    feature = "export",
    feature = "file",
    feature = "http",
    feature = "pseudonymise",
    feature = "sqlite",
    feature = "webhook"
))]
mod reference;
mod row;

use std::{collections::BTreeMap, sync::Arc};

use afferent_core::{
    BoxSink, BoxSource, BoxTransform, Record, Result, Sink, Source, Transform, config::Configure,
};
use afferent_sources::healthkit::HealthStore;

pub(crate) use self::{
    builtin::absent,
    row::{Loaded, Row},
};

/// Makes a stage, any number of times.
pub type Make<S> = Arc<dyn Fn() -> Result<S> + Send + Sync>;

/// The three kinds of stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StageKind {
    /// `[[source]]`.
    Source,
    /// `[[transform]]`.
    Transform,
    /// `[[sink]]`.
    Sink,
}

impl StageKind {
    /// All three, in the order of a pipeline.
    pub const ALL: [StageKind; 3] = [StageKind::Source, StageKind::Transform, StageKind::Sink];

    /// `source`, `transform` or `sink`: the word in messages and the key in a file.
    pub fn word(self) -> &'static str {
        match self {
            StageKind::Source => "source",
            StageKind::Transform => "transform",
            StageKind::Sink => "sink",
        }
    }
}

/// What a component is, for documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component<'a> {
    /// Which kind of stage it makes.
    pub kind: StageKind,
    /// Its `type`.
    pub type_name: &'a str,
    /// What it does, in one line.
    pub doc: &'a str,
    /// The keys of its own (those that all stages of its kind share are not among them).
    pub keys: &'static [&'static str],
}

/// Which component a `type` stands for. Clones are cheap.
#[derive(Clone, Default)]
pub struct Registry {
    sources: BTreeMap<String, Row<BoxSource<Record>>>,
    transforms: BTreeMap<String, Row<BoxTransform<Record>>>,
    sinks: BTreeMap<String, Row<BoxSink<Record>>>,
    stores: builtin::Stores,
}

impl Registry {
    /// The components of this build.
    pub fn builtin() -> Registry {
        builtin::registry()
    }

    /// Adds a source, or replaces the one of this type name. `make` makes it from its checked configuration.
    pub fn source<C, S>(
        &mut self,
        type_name: &str,
        doc: &str,
        make: impl Fn(C) -> Result<S> + Clone + Send + Sync + 'static,
    ) where
        C: Configure + Send + Sync + 'static,
        S: Source<Item = Record>,
    {
        self.source_row(
            type_name,
            Row::new(
                doc,
                |_: &C| Vec::new(),
                move |config: C| Ok(Box::new(make(config)?) as BoxSource<Record>),
            ),
        );
    }

    /// Adds a transform, or replaces the one of this type name. `make` makes it from its checked configuration.
    pub fn transform<C, X>(
        &mut self,
        type_name: &str,
        doc: &str,
        make: impl Fn(C) -> Result<X> + Clone + Send + Sync + 'static,
    ) where
        C: Configure + Send + Sync + 'static,
        X: Transform<In = Record, Out = Record>,
    {
        let row = Row::new(
            doc,
            |_: &C| Vec::new(),
            move |config: C| Ok(Box::new(make(config)?) as BoxTransform<Record>),
        );
        self.transforms.insert(type_name.to_owned(), row);
    }

    /// Adds a sink, or replaces the one of this type name. `make` makes it from its checked configuration.
    pub fn sink<C, K>(
        &mut self,
        type_name: &str,
        doc: &str,
        make: impl Fn(C) -> Result<K> + Clone + Send + Sync + 'static,
    ) where
        C: Configure + Send + Sync + 'static,
        K: Sink<Item = Record>,
    {
        let row = Row::new(
            doc,
            |_: &C| Vec::new(),
            move |config: C| Ok(Box::new(make(config)?) as BoxSink<Record>),
        );
        self.sinks.insert(type_name.to_owned(), row);
    }

    /// Adds a HealthKit store of the host program, for `store = { type = "host", name = "…" }`.
    pub fn health_store(&mut self, name: &str, store: Arc<dyn HealthStore>) {
        self.stores.insert(name.to_owned(), store);
        self.source_row("healthkit", builtin::healthkit(self.stores.clone()));
    }

    /// Every component, by kind and type name.
    pub fn components(&self) -> Vec<Component<'_>> {
        fn all<S>(kind: StageKind, rows: &BTreeMap<String, Row<S>>) -> impl Iterator<Item = Component<'_>> {
            rows.iter().map(move |(type_name, row)| Component {
                kind,
                type_name,
                doc: &row.doc,
                keys: row.keys,
            })
        }
        let (sources, transforms) =
            (all(StageKind::Source, &self.sources), all(StageKind::Transform, &self.transforms));
        sources.chain(transforms).chain(all(StageKind::Sink, &self.sinks)).collect()
    }

    pub(crate) fn sources(&self) -> &BTreeMap<String, Row<BoxSource<Record>>> {
        &self.sources
    }

    pub(crate) fn transforms(&self) -> &BTreeMap<String, Row<BoxTransform<Record>>> {
        &self.transforms
    }

    pub(crate) fn sinks(&self) -> &BTreeMap<String, Row<BoxSink<Record>>> {
        &self.sinks
    }

    fn source_row(&mut self, type_name: &str, row: Row<BoxSource<Record>>) {
        self.sources.insert(type_name.to_owned(), row);
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let components = self.components();
        f.debug_list()
            .entries(components.iter().map(|component| (component.kind, component.type_name)))
            .finish()
    }
}
