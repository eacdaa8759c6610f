//! Ending in time: drains with a limit, and wakes.

use std::{
    pin::pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use afferent_core::{
    Error, Result, clock,
    mailbox::{Need, Woken},
};
use tokio::sync::watch;

use super::{Runtime, run::Run};
use crate::state::Desired;

/// After the deadline of a wake, how long a pipeline that was killed then may take to give its files back. With what the
/// rest takes, the report is there within 250 ms.
const GRACE: Duration = Duration::from_millis(200);

/// What a wake has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WakeReport {
    /// Records that were read and committed.
    pub ingested: u64,
    /// Records that sinks have stored, or their receivers have acknowledged; counted for each sink.
    pub sent: u64,
    /// Records that wait for receivers, as of the last commit; counted for each sink.
    pub remaining: u64,
    /// What is in the way of the rest; nothing, if there is none.
    pub needs: Vec<Need>,
    /// Whether the pipeline has closed its files and given back its locks. If not, a job still holds them, and the system may
    /// end the process for it when it is suspended: nothing is lost by that either.
    pub safe_to_suspend: bool,
}

impl Runtime {
    /// Delivers what the pipeline has taken so far, waits until its receivers have acknowledged it, and ends it; after
    /// `within`, ends it all the same, and what was not acknowledged is kept. How many records that are, counted for each
    /// sink.
    ///
    /// # Errors
    /// `Config` when no pipeline has this name, or what it failed with meanwhile.
    pub async fn drain(&self, name: &str, within: Option<Duration>) -> Result<u64> {
        let slot = self.slot(name)?;
        let _control = slot.control.lock().await;
        self.desire(&slot, Desired::Stopped).await?;
        if let Some(run) = slot.active() {
            let drained = run.ask(|mailbox| async move { mailbox.drain(within).await }).await;
            run.ended().await?;
            drained?;
        }
        let name = slot.known().spec.name.clone();
        let Some(last) = self.store().last_checkpoint(&name).await? else { return Ok(0) };
        let held = last.ledger.held_total();
        Ok(last.ledger.accounts.values().map(|account| account.pending.saturating_sub(held)).sum())
    }

    /// Runs a known pipeline within `budget`, and ends it: an app's way to use the seconds that the system gives it.
    ///
    /// It takes records for 60 % of the budget, commits, gives uploads until 90 %, ends, and waits until all files are
    /// closed. It is over earlier when there is nothing more to do. The report is there at most 250 ms after the budget is
    /// over, whatever hangs: the pipeline is killed then, and its open epoch is replayed by the next run.
    ///
    /// What should become of the pipeline stays as it is stored. One that runs or is paused is woken like one that does
    /// not: it ends, because the process is about to be suspended. Of two wakes at once the second begins when the first has
    /// ended, if its own budget allows.
    ///
    /// The state directory stays open and locked. Where a lock must not be held while the process is suspended (in a
    /// directory that several apps share), open the runtime for the wake and shut it down afterwards.
    ///
    /// # Errors
    /// `Config` when no pipeline has this name, `Transient` when the runtime is shutting down.
    pub async fn wake(&self, name: &str, budget: Duration) -> Result<WakeReport> {
        let deadline = clock::instant() + budget;
        let slot = self.slot(name)?;
        let (report, seen) = watch::channel(Woken::default());
        // Known once this wake has the pipeline to itself.
        let own: OnceLock<Arc<Run>> = OnceLock::new();
        let woken = async {
            let _control = slot.control.lock().await;
            // One that was killed may still wait for a job.
            if let Some(killed) = slot.active().filter(|run| run.kill.is_cancelled()) {
                let _ = killed.wait().await;
            }
            let active = slot.active();
            let (run, commands) = match active {
                Some(run) => (run, None),
                None => self.prepare(&slot).map(|(run, commands)| (run, Some(commands)))?,
            };
            let run = own.get_or_init(|| run);
            let mut asked = pin!(run.ask(|mailbox| {
                let left = deadline.saturating_duration_since(clock::instant());
                let report = report.clone();
                async move { mailbox.wake(left, report).await }
            }));
            if let Some(commands) = commands {
                // In the mailbox before the pipeline looks into it, so that all it does is counted.
                let _ = futures::poll!(asked.as_mut());
                self.launch(run, commands);
            }
            // An error means that it ended otherwise; how, is seen below.
            let _ = asked.await;
            let _ = run.wait().await;
            Ok::<_, Error>(())
        };
        tokio::select! {
            ended = woken => ended?,
            () = clock::sleep_until(deadline) => {
                if let Some(run) = own.get() {
                    run.kill.cancel();
                    tokio::select! {
                        _ = run.wait() => {}
                        () = clock::sleep(GRACE) => {}
                    }
                }
            }
        }
        let Woken { ingested, sent, remaining, mut needs, .. } = seen.borrow().clone();
        let safe_to_suspend = slot.active().is_none();
        match own.get() {
            Some(run) if run.is_active() || run.was_killed() => add(&mut needs, Need::MoreTime),
            Some(run) => needs.extend(run.failure().map(Need::Help).filter(|need| !needs.contains(need))),
            None => add(&mut needs, Need::MoreTime),
        }
        Ok(WakeReport { ingested, sent, remaining, needs, safe_to_suspend })
    }
}

fn add(needs: &mut Vec<Need>, need: Need) {
    if !needs.contains(&need) {
        needs.push(need);
    }
}
