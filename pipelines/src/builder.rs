//! [`Builder`]: a pipeline put together in Rust code, from the same stages that a file names.

use std::sync::Arc;

use afferent_core::{Error, Record, Result, Sink, Source, Transform, engine::Settings};

use crate::{
    definition::{MAX_PIPELINE_NAME, MAX_STAGE_NAME, is_name},
    spec::{MakeStages, PipelineSpec},
};

/// Puts a pipeline together, stage by stage. Each stage is given as a closure that makes it, because the engine
/// makes all stages anew after an error that undoes an epoch.
///
/// ```
/// use afferent::{Builder, sinks::blackhole::{self, Blackhole}, afferent_core::from_stream};
/// # use afferent_core::{Record, Result};
///
/// # fn main() -> Result<()> {
/// let spec = Builder::new("steps")
///     .source("feed", || Ok(from_stream("empty", |_| futures::stream::empty::<Record>())))
///     .sink("nothing", || Ok(Blackhole::new(blackhole::Config::default())))
///     .build()?;
/// assert_eq!(spec.name.as_str(), "steps");
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct Builder {
    name: String,
    settings: Settings,
    stages: MakeStages,
}

impl Builder {
    /// A pipeline without stages. The name is its identity: it keys its checkpoints.
    pub fn new(name: impl Into<String>) -> Builder {
        Builder { name: name.into(), ..Builder::default() }
    }

    /// When epochs are closed; the defaults otherwise.
    pub fn settings(mut self, settings: Settings) -> Builder {
        self.settings = settings;
        self
    }

    /// Adds a source. Several merge.
    pub fn source<S: Source<Item = Record>>(
        mut self,
        name: &str,
        make: impl Fn() -> Result<S> + Send + Sync + 'static,
    ) -> Builder {
        self.stages.sources.push((name.into(), Arc::new(move || Ok(Box::new(make()?)))));
        self
    }

    /// Adds a transform, after those added before.
    pub fn transform<X: Transform<In = Record, Out = Record>>(
        mut self,
        name: &str,
        make: impl Fn() -> Result<X> + Send + Sync + 'static,
    ) -> Builder {
        self.stages.transforms.push((name.into(), Arc::new(move || Ok(Box::new(make()?)))));
        self
    }

    /// Adds a sink. Each of several gets every record.
    pub fn sink<K: Sink<Item = Record>>(
        mut self,
        name: &str,
        make: impl Fn() -> Result<K> + Send + Sync + 'static,
    ) -> Builder {
        self.stages.sinks.push((name.into(), Arc::new(move || Ok(Box::new(make()?))), None));
        self
    }

    /// What is needed to run it.
    ///
    /// # Errors
    /// `Config` when a name can't be one, two stages of a kind have the same, a source or sink is missing, or a
    /// stage can't be made.
    pub fn build(self) -> Result<PipelineSpec> {
        let Builder { name, settings, stages } = self;
        let sources = stages.sources.iter().map(|(name, _)| name);
        let transforms = stages.transforms.iter().map(|(name, _)| name);
        let sinks = stages.sinks.iter().map(|(name, ..)| name);
        let stage_names = sources.chain(transforms).chain(sinks).map(|name| (name.as_str(), MAX_STAGE_NAME));
        for (name, max) in std::iter::once((name.as_str(), MAX_PIPELINE_NAME)).chain(stage_names) {
            if !is_name(name, max) {
                return Err(Error::config(format!(
                    "`{name}` can't be a name: expected 1 to {max} characters of a-z, 0-9, `-`, `_` and `.`, the first a letter or digit"
                )));
            }
        }
        stages.make()?;
        Ok(PipelineSpec::new(name, settings, move || stages.make()))
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
