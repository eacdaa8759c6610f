//! How pipelines are.

use afferent_core::{Error, Name, engine::Outcome, mailbox::Status};

use crate::state::Desired;

/// How a pipeline is.
#[derive(Clone, Debug)]
pub struct PipelineStatus {
    /// Its name.
    pub name: Name,
    /// What it should be doing; `None` for one that was not applied.
    pub desired: Option<Desired>,
    /// What it is doing.
    pub state: PipelineState,
}

/// What a pipeline is doing.
#[derive(Clone, Debug)]
pub enum PipelineState {
    /// It was not started in this process.
    NotStarted,
    /// It has a task; this is what the task says.
    Active(Status),
    /// It came to its end or was stopped.
    Ended(Outcome),
    /// It ended with this error.
    Failed(std::sync::Arc<Error>),
}
