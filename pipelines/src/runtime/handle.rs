//! [`Handle`]: one run of a pipeline.

use std::sync::Arc;

use afferent_core::{Name, Result, engine::Outcome, mailbox::Status};

use super::run::Run;

/// One run of a pipeline, from its start to its end. Clones are the same run; dropping them does not end it.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) run: Arc<Run>,
}

impl Handle {
    /// The pipeline's name.
    pub fn name(&self) -> &Name {
        &self.run.spec.name
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// The error that ended it. Several waiters get the same, the cause included.
    pub async fn wait(&self) -> Result<Outcome> {
        self.run.ended().await
    }

    /// What it is doing.
    ///
    /// # Errors
    /// `State` when it has ended.
    pub async fn status(&self) -> Result<Status> {
        self.run.ask(async |mailbox| mailbox.status().await).await
    }

    /// Ends it at once, without closing its epoch: the next run replays it.
    pub fn kill(&self) {
        self.run.kill.cancel();
    }
}
