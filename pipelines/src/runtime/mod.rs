//! Starts, supervises and stops pipelines.
//!
//! A [`Runtime`] is a state directory and the pipelines that run from it. Each pipeline is one task with a mailbox;
//! nothing is shared between them but the store, so one that fails, panics or is slow does not touch another.
//!
//! **Two ways to start one.** [`run`](Runtime::run) starts a pipeline for this process only and stores nothing but
//! its checkpoints. [`apply`](Runtime::apply) first stores its definition and that it should run;
//! [`resume_active`](Runtime::resume_active) starts again, from their checkpoints, exactly those that should run.
//!
//! **Commands** change the stored desired state of an applied pipeline before they take effect, and are answered
//! when the effect is there. Commands for one pipeline wait for each other; those for others do not.
//!
//! **Failures.** What may heal by itself is retried inside the engine. A panic and an error of kind `Bug` or `Data`
//! make the supervisor start the pipeline again, with capped back-off and from its last checkpoint; after a healthy
//! minute the back-off begins anew. An applied pipeline is started again for ever; one that was merely run gives up
//! after [`MAX_RESTARTS`], so that a foreground job ends. Other errors end it as failed; its desired state stays.
//!
//! **Retrying.** [`retry`](Runtime::retry) makes of a pipeline one that puts its dead letters in again instead of pulling
//! from its sources. It is run like any other, and not beside it.
//!
//! **Together.** [`finish_together`](Runtime::finish_together) ends pipelines that queues join when all of them are idle.
//!
//! **Ending.** [`shutdown`](Runtime::shutdown) stops all pipelines, kills those that do not stop in time, and closes
//! the store; what should run stays so. Dropping the last `Runtime` kills them: nothing is lost, epochs are replayed.
//!
//! [`drain`](Runtime::drain) ends one pipeline when its receivers have acknowledged what it took, or after a time.
//!
//! **Waking.** [`wake`](Runtime::wake) runs a pipeline within a budget and then ends it, for apps that the system lets work
//! for some seconds now and then: it takes records, commits at 60 % of the budget, sends until 90 %, closes its files and
//! reports. The report is there within 250 ms of the deadline, whatever hangs.
//!
//! **One process per directory.** A lock says who: a second one is told its process id, or, with
//! [`take_over`](RuntimeOptions::take_over), ends the first.
//!
//! | path in the state directory | what |
//! |---|---|
//! | `lock` | the lock, and the process id of its holder |
//! | `state.redb`, `reserve` | see [`state`](crate::state) |
//! | `pipelines/NAME/STAGE/` | files of stages |
//! | `queues/NAME/` | queues between pipelines, see [`afferent_core::queue::disk`] |

mod directory;
mod handle;
mod holder;
mod letters;
mod options;
mod pipelines;
mod run;
mod slot;
mod status;
mod supervisor;
#[cfg(test)]
mod tests;
mod together;
mod wake;

pub use self::{
    handle::Handle,
    letters::{Retry, RetryReport, Selection},
    options::RuntimeOptions,
    pipelines::{Resumed, Runtime},
    status::{PipelineState, PipelineStatus},
    supervisor::MAX_RESTARTS,
    wake::WakeReport,
};
