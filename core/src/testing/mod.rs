//! Test support: contract suites, recording stages, the fault-injecting disk and the paused clock.

mod context;
mod contracts;
pub mod protocol;
mod recording;
mod results;
mod script;
mod sim_disk;
pub mod store_contract;

pub use self::{
    context::{Surroundings, TestClock},
    contracts::{pull_all, sink_contract, source_contract, transform_contract},
    recording::{Recording, RecordingSink},
    results::{results_contract, shown},
    script::{Script, ScriptSource},
    sim_disk::{Fault, Op, SimDisk},
};
