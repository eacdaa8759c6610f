//! The keys of a pipeline that belong to no stage.

use std::num::NonZeroU64;

use afferent_core::{
    Problem,
    checkpoint::{LetterLimits, OnFull},
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
    #[serde(default)]
    pub(super) dead_letters: DeadLetters,
}

/// `[dead_letters]`: how many there may be. Nothing is dropped unless this says so.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadLetters {
    /// Bytes of all of them. Default `64MiB`.
    pub max_bytes: Option<Size>,
    /// Older ones are dropped. Default: none are.
    pub max_age: Option<Span>,
    /// What happens at `max_bytes`. Default `stop`.
    #[serde(default)]
    pub on_full: WhenFull,
    /// An alarm tells that the oldest is older than this. Default `7d`.
    pub alarm_age: Option<Span>,
}

/// What happens where there is no room for dead letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// The pipeline stops, and passes nothing over.
    #[default]
    Stop,
    /// The oldest are dropped.
    DropOldest,
}

impl DeadLetters {
    fn limits(&self) -> LetterLimits {
        let default = LetterLimits::default();
        LetterLimits {
            max_bytes: self.max_bytes.map_or(default.max_bytes, |bytes| bytes.0),
            max_age: self.max_age.map(|age| age.0),
            on_full: match self.on_full {
                WhenFull::Stop => OnFull::Stop,
                WhenFull::DropOldest => OnFull::DropOldest,
            },
            alarm_age: self.alarm_age.map_or(default.alarm_age, |age| age.0),
        }
    }
}

impl PipelineKeys {
    /// The engine's settings: its defaults where nothing is said.
    pub(super) fn settings(&self) -> Settings {
        Settings { letters: self.dead_letters.limits(), ..self.checkpoint.settings() }
    }
}

/// Room for a few letters at least: a payload may be of 1 MiB, and a full epoch has 4.
const MIN_LETTER_BYTES: u64 = 8 << 20;

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
        if let Some(found) = self.dead_letters.max_bytes.filter(|bytes| bytes.0 < MIN_LETTER_BYTES) {
            let message = format!("expected at least 8MiB, found {found}");
            problems.push(Problem::new("dead_letters.max_bytes", message));
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
