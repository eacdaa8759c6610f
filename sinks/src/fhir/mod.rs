//! The `fhir` sink: Observations to a FHIR R4 server, in Bundles by `POST`.
//!
//! What is promised, and how, is [`upload`](crate::upload)'s; of credentials, certificates, time-outs and what a status means,
//! [`http`](crate::http) says all. What becomes of a record is [`fhir`](afferent_formats::fhir)'s. Here is what FHIR adds.
//!
//! **Exactly once** does not need a server that knows `Idempotency-Key`: an addition is created if no Observation has its
//! identifier, a correction replaces the one that has it, a deletion deletes it; the same Bundle again changes nothing. A
//! server that ignores conditions (`ifNoneExist`) stores repeats.
//!
//! **Order.** A server carries out a Bundle in an order of its own, so a Bundle never holds two entries of one record; the
//! second is in a later Bundle of the same lane.
//!
//! | `bundle` | a server refuses an entry | costs |
//! |---|---|---|
//! | `transaction` | it refuses the whole Bundle, which is halved until the entry is alone | some requests more |
//! | `batch` | it says so of the entry, and has taken the others | nothing; the server may take longer |
//!
//! | answer | means |
//! |---|---|
//! | 2xx to a transaction | delivered |
//! | 400, 412, 413, 422 | refused: the entry that it means is looked for, and is a dead letter with the codes of the server's `OperationOutcome` |
//! | 2xx to a batch | each entry for itself: 2xx taken, and 404 and 410 of a deletion; any other 4xx refused, as above, at once |
//! | 401, 403, 408, 409, 429, 5xx of any entry of a batch | the whole again: what was taken is not stored twice |
//! | 2xx to a batch, but no `batch-response` with as many entries | the whole again, later |
//! | all others | as for `http` |
//!
//! Of an `OperationOutcome` the codes are repeated, which FHIR lists; its texts may hold values and are not (G8).

mod answer;
mod config;
mod server;
#[cfg(test)]
mod tests;

pub use self::{
    config::{Bundle, Config, Subject},
    server::FhirServer,
};
use crate::upload::Upload;

/// A sink that uploads to a FHIR server.
pub type FhirSink = Upload<FhirServer>;

impl FhirSink {
    /// A sink that sends where `config` says.
    pub fn fhir(config: Config) -> FhirSink {
        Upload::new(config.settings(), FhirServer::new(config))
    }
}
