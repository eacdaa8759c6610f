//! [`FhirServer`]: the transport. One attempt is one Bundle.

use afferent_core::{Result, SinkCx};

use super::{
    Bundle, Config,
    answer::{self, OperationOutcome},
};
use crate::{
    http::{Http, read_answer},
    upload::{Outcome, SealedBody, Transport},
};

/// How much of an answer to a batch is read: of each entry a status, an address and perhaps an `OperationOutcome`. Longer ones
/// can't be understood, and the Bundle is sent again, later.
const ANSWER_BYTES: usize = 8 << 20;

/// How much of an answer is read where only its status and the codes of its `OperationOutcome` count.
const OUTCOME_BYTES: usize = 64 << 10;

/// Sends Bundles to a FHIR server.
#[derive(Debug)]
pub struct FhirServer {
    http: Http,
    bundle: Bundle,
}

impl FhirServer {
    pub(super) fn new(config: Config) -> FhirServer {
        FhirServer { bundle: config.bundle, http: Http::new(config.http()) }
    }
}

impl Transport for FhirServer {
    fn receiver(&self) -> &str {
        self.http.receiver()
    }

    fn renewal(&self) -> &'static str {
        self.http.renewal()
    }

    async fn open(&mut self, cx: &SinkCx) -> Result<()> {
        self.http.open(cx).await
    }

    async fn send(&self, body: &SealedBody) -> Outcome {
        let (outcome, answer) = match self.http.post(body).await {
            Ok(answered) => answered,
            Err(outcome) => return outcome,
        };
        let status = answer.status();
        if outcome == Outcome::Delivered && self.bundle == Bundle::Batch {
            let text = read_answer(answer, ANSWER_BYTES).await;
            return answer::of_batch(&text, body);
        }
        let text = read_answer(answer, OUTCOME_BYTES).await;
        let codes = OperationOutcome::codes(&text);
        let codes = if codes.is_empty() { codes } else { format!(", OperationOutcome: {codes}") };
        match outcome {
            Outcome::Refused { reason } => Outcome::Refused { reason: reason + &codes },
            // A condition that several Observations meet; it will not be otherwise by waiting.
            Outcome::Later { reason, .. } if status.as_u16() == 412 => {
                Outcome::Refused { reason: reason + &codes }
            }
            Outcome::Later { reason, retry_after } => Outcome::Later { reason: reason + &codes, retry_after },
            other => other,
        }
    }
}
