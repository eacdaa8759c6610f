//! Ending pipelines together: those that queues join are done when all of them are.

use std::time::Duration;

use afferent_core::{
    Epoch, Name, Result, clock,
    event::{Event, EventKind},
    mailbox::Activity,
};
use tokio::sync::broadcast::{self, error::RecvError};

use super::{Handle, Runtime};

/// How often it looks though it has heard of nothing: a listener that falls behind misses events.
const LOOK: Duration = Duration::from_millis(250);

impl Runtime {
    /// Waits until at one instant all of `handles` are idle or have ended and none has left to read what another wrote to a
    /// queue; then ends those that run, as idle.
    ///
    /// One pipeline is idle as soon as it has nothing to do, also while another is about to give it something. So two
    /// looks are taken. A pipeline that is idle in both, and has committed nothing between them, has moved no record between them;
    /// and between the looks the queues were empty, by what their readers have committed. So nothing was under way at that
    /// instant. What a source gives later is for the next run.
    pub async fn finish_together(&self, handles: &[Handle]) {
        let mut events = self.events();
        while !self.are_idle(handles).await {
            tokio::select! {
                () = heard_of_an_end(&mut events) => {}
                () = clock::sleep(LOOK) => {}
            }
        }
        let ends = handles.iter().map(|handle| async {
            handle.run.finishing.cancel();
            // An error means that it ended otherwise, which whoever waits for it is told.
            let _: Result<()> = handle.run.ask(async |mailbox| mailbox.finish().await).await;
        });
        futures::future::join_all(ends).await;
    }

    async fn are_idle(&self, handles: &[Handle]) -> bool {
        let Some(first) = look(handles).await else { return false };
        let names: Vec<Name> = handles.iter().map(|handle| handle.name().clone()).collect();
        self.queues().are_empty(&names) && look(handles).await == Some(first)
    }
}

/// The last committed epochs of those that run, if all are idle.
async fn look(handles: &[Handle]) -> Option<Vec<Option<Epoch>>> {
    let mut epochs = Vec::with_capacity(handles.len());
    for handle in handles {
        match handle.status().await {
            Ok(status) if status.activity == Activity::Idle => epochs.push(status.epoch),
            Ok(_) => return None,
            // It has ended.
            Err(_) => epochs.push(None),
        }
    }
    Some(epochs)
}

/// Waits until a pipeline tells that it is idle or has ended.
async fn heard_of_an_end(events: &mut broadcast::Receiver<Event>) {
    loop {
        match events.recv().await {
            Ok(Event { kind: EventKind::Idle | EventKind::Finished | EventKind::Failed { .. }, .. }) => {
                return;
            }
            Ok(_) => {}
            Err(RecvError::Lagged(_) | RecvError::Closed) => return,
        }
    }
}
