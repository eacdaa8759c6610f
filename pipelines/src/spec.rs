//! [`PipelineSpec`]: what is needed to run a pipeline, whether it comes from a file or from Rust code.

use std::{fmt, path::PathBuf, sync::Arc};

use afferent_core::{
    BoxSink, BoxSource, BoxTransform, Name, Record, Result,
    engine::{BoxLetters, BoxStages, Settings, When},
    stage::Line,
};

use crate::registry::Make;

/// Makes the stages of a pipeline: for the first start, and again after each error that undoes an epoch.
///
/// It opens nothing; stages are opened by the engine.
pub type StageFactory = Arc<dyn Fn() -> Result<BoxStages<Record>> + Send + Sync>;

/// Gives the dead letters that are left to put in again, for each start.
pub type LettersFactory = Arc<dyn Fn() -> BoxLetters<Record, Record> + Send + Sync>;

/// What is needed to run a pipeline. Clones are cheap and share the factory.
#[derive(Clone)]
pub struct PipelineSpec {
    /// Its identity: keys its checkpoints, metrics and dead letters.
    pub name: Name,
    /// When epochs are closed, and when a run ends.
    pub settings: Settings,
    /// Makes its stages.
    pub factory: StageFactory,
    /// Dead letters to put in again; with them it pulls from no source.
    pub letters: Option<LettersFactory>,
    /// What it was read from. `None` for a pipeline made in Rust code, which only its host can start again.
    pub source: Option<DefinitionSource>,
}

/// What a definition was read from: enough to read it again in another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionSource {
    /// The text as it stands in the file: `${VAR}` not replaced, so no secret is in it.
    pub text: String,
    /// The file. Relative paths in the text are relative to its directory.
    pub path: PathBuf,
}

impl PipelineSpec {
    /// A pipeline made in Rust code: `factory` makes its stages.
    pub fn new(
        name: impl Into<Name>,
        settings: Settings,
        factory: impl Fn() -> Result<BoxStages<Record>> + Send + Sync + 'static,
    ) -> PipelineSpec {
        PipelineSpec { name: name.into(), settings, factory: Arc::new(factory), letters: None, source: None }
    }
}

impl fmt::Debug for PipelineSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineSpec")
            .field("name", &self.name)
            .field("settings", &self.settings)
            .field("path", &self.source.as_ref().map(|source| &source.path))
            .finish_non_exhaustive()
    }
}

/// A sink's name, what makes it, and what makes its `when`.
pub(crate) type MakeSink = (Name, Make<BoxSink<Record>>, Option<Make<When<Record>>>);

/// What makes the stages of a pipeline, one by one.
#[derive(Default)]
pub(crate) struct MakeStages {
    pub(crate) sources: Vec<(Name, Make<BoxSource<Record>>)>,
    pub(crate) transforms: Vec<(Name, Make<BoxTransform<Record>>)>,
    pub(crate) sinks: Vec<MakeSink>,
}

impl MakeStages {
    /// Makes them all.
    ///
    /// # Errors
    /// `Config` when a stage can't be made, there is no source or no sink, or two stages of a kind have one name.
    pub(crate) fn make(&self) -> Result<BoxStages<Record>> {
        let sources = self.sources.iter().map(|(name, make)| Ok((name.clone(), named(name, make)?)));
        let transforms = self.transforms.iter().map(|(name, make)| Ok((name.clone(), named(name, make)?)));
        let sinks = self.sinks.iter().map(|(name, make, when)| {
            let when = when.as_ref().map(|when| named(name, when)).transpose()?;
            Ok((name.clone(), named(name, make)?, when))
        });
        let stages = BoxStages::new(
            sources.collect::<Result<_>>()?,
            Line::new(transforms.collect::<Result<_>>()?)?.counting(Record::count),
            sinks.collect::<Result<_>>()?,
        )?;
        Ok(stages.withdrawing(Record::superseding).counting(Record::count, Record::count))
    }
}

fn named<S>(name: &Name, make: &Make<S>) -> Result<S> {
    make().map_err(|error| error.at(name))
}
