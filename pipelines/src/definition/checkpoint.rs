//! The keys of a pipeline that belong to no stage.

use std::num::NonZeroU64;

use afferent_core::{
    Problem,
    config::{Configure, Size, Span},
    engine::Settings,
};
use serde::Deserialize;

/// What a file says besides its stages.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PipelineKeys {
    pub(super) name: String,
    #[serde(default)]
    pub(super) checkpoint: Checkpoint,
}

/// `[checkpoint]`: when epochs are closed, whichever limit is reached first.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// After this time. Default `1s`.
    pub every: Option<Span>,
    /// After this many records. Default 1,000,000.
    pub records: Option<NonZeroU64>,
    /// After this many bytes of input. Default `1GiB`.
    pub bytes: Option<Size>,
}

impl Configure for PipelineKeys {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.checkpoint.every.is_some_and(|every| every.0.is_zero()) {
            problems
                .push(Problem::new("checkpoint.every", "an epoch can't take no time").help("write \"1s\""));
        }
        if self.checkpoint.bytes.is_some_and(|bytes| bytes.0 == 0) {
            problems.push(
                Problem::new("checkpoint.bytes", "an epoch can't hold no bytes").help("write \"1GiB\""),
            );
        }
        problems
    }
}

impl Checkpoint {
    /// The engine's settings: its defaults where nothing is said.
    pub fn settings(&self) -> Settings {
        let default = Settings::default();
        Settings {
            every: self.every.map_or(default.every, |every| every.0),
            records: self.records.map_or(default.records, NonZeroU64::get),
            bytes: self.bytes.map_or(default.bytes, |bytes| bytes.0),
            ..default
        }
    }
}
