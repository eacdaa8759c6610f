//! One row of the registry.

use std::{path::Path, sync::Arc};

use afferent_core::{
    Problem, Result,
    config::{Configure, Guarantee},
};
use toml::de::DeTable;

use super::{Make, keys};
use crate::definition::{
    Diagnostic,
    strict::{self, Owner},
};

type Load<S> = dyn Fn(&DeTable<'_>, &Owner<'_>, &Path) -> Loaded<S> + Send + Sync;

/// What a type name stands for.
pub(crate) struct Row<S> {
    pub(crate) doc: String,
    pub(crate) keys: &'static [&'static str],
    load: Arc<Load<S>>,
}

/// What came of reading a stage's table.
pub(crate) struct Loaded<S> {
    /// Makes the stage; there if nothing is wrong.
    pub(crate) make: Option<Make<S>>,
    /// What is wrong with keys and types.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// What the component itself finds wrong.
    pub(crate) problems: Vec<Problem>,
    /// What it promises.
    pub(crate) guarantee: Option<Guarantee>,
}

impl<S: 'static> Row<S> {
    /// A row whose tables are `C`s. `check` sees what `C::check` can't: what else is registered.
    pub(super) fn new<C: Configure + Send + Sync + 'static>(
        doc: &str,
        check: impl Fn(&C) -> Vec<Problem> + Send + Sync + 'static,
        make: impl Fn(C) -> Result<S> + Clone + Send + Sync + 'static,
    ) -> Row<S> {
        let load = move |table: &DeTable<'_>, owner: &Owner<'_>, base: &Path| {
            let read = strict::read::<C>(table, owner);
            let Some(mut config) = read.value else {
                return Loaded {
                    make: None,
                    diagnostics: read.diagnostics,
                    problems: Vec::new(),
                    guarantee: None,
                };
            };
            let mut problems = config.check();
            problems.extend(check(&config));
            config.resolve(base);
            let guarantee = config.guarantee();
            let make = make.clone();
            let ok = read.diagnostics.is_empty() && problems.iter().all(|problem| problem.warning);
            let make = ok.then(|| Arc::new(move || make(config.clone())) as Make<S>);
            Loaded { make, diagnostics: read.diagnostics, problems, guarantee }
        };
        Row { doc: doc.to_owned(), keys: keys::of::<C>(), load: Arc::new(load) }
    }

    /// Reads a stage's table; relative paths in it are relative to `base`.
    pub(crate) fn load(&self, table: &DeTable<'_>, owner: &Owner<'_>, base: &Path) -> Loaded<S> {
        (self.load)(table, owner, base)
    }
}

impl<S> Clone for Row<S> {
    fn clone(&self) -> Row<S> {
        Row { doc: self.doc.clone(), keys: self.keys, load: self.load.clone() }
    }
}
