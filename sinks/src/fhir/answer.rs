//! What a FHIR server answers: Bundles of responses, and `OperationOutcome`s.

use std::borrow::Cow;

use serde::Deserialize;

use crate::upload::{Outcome, SealedBody};

/// The codes that an issue may have (FHIR R4, value set issue-type). Others are not repeated: they may be anything.
const ISSUE_TYPES: &[&str] = &[
    "invalid",
    "structure",
    "required",
    "value",
    "invariant",
    "security",
    "login",
    "unknown",
    "expired",
    "forbidden",
    "suppressed",
    "processing",
    "not-supported",
    "duplicate",
    "multiple-matches",
    "not-found",
    "deleted",
    "too-long",
    "code-invalid",
    "extension",
    "too-costly",
    "business-rule",
    "conflict",
    "transient",
    "lock-error",
    "no-store",
    "exception",
    "timeout",
    "incomplete",
    "throttled",
    "informational",
];

/// Most codes that are repeated of one outcome.
const MAX_CODES: usize = 4;

/// What a server says that went wrong.
#[derive(Debug, Default, Deserialize)]
pub(super) struct OperationOutcome<'a> {
    #[serde(borrow, default)]
    issue: Vec<Issue<'a>>,
}

#[derive(Debug, Deserialize)]
struct Issue<'a> {
    #[serde(borrow, default)]
    code: Cow<'a, str>,
}

impl OperationOutcome<'_> {
    /// The codes of an outcome in JSON; empty if it is none.
    pub(super) fn codes(text: &[u8]) -> String {
        serde_json::from_slice::<OperationOutcome<'_>>(text)
            .map_or_else(|_| String::new(), |outcome| outcome.listed())
    }

    fn listed(&self) -> String {
        let mut codes: Vec<&str> = Vec::new();
        for issue in &self.issue {
            let known = ISSUE_TYPES.iter().find(|code| **code == issue.code);
            if let Some(code) = known.filter(|code| !codes.contains(code)) {
                codes.push(code);
            }
        }
        codes.truncate(MAX_CODES);
        codes.join(", ")
    }
}

/// A `batch-response`.
#[derive(Deserialize)]
struct Responses<'a> {
    #[serde(borrow, rename = "entry", default)]
    entries: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    response: Option<Response<'a>>,
}

#[derive(Deserialize)]
struct Response<'a> {
    /// It begins with the three digits of HTTP.
    #[serde(borrow, default)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    outcome: Option<OperationOutcome<'a>>,
}

/// The Bundle that was sent, as far as it is looked at.
#[derive(Deserialize)]
struct Requests<'a> {
    #[serde(borrow, rename = "entry")]
    entries: Vec<Asked<'a>>,
}

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    request: Method<'a>,
}

#[derive(Deserialize)]
struct Method<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
}

/// What became of a batch, by the answer to it.
pub(super) fn of_batch(text: &[u8], body: &SealedBody) -> Outcome {
    let later = |reason: String| Outcome::Later { reason, retry_after: None };
    let expected = body.records as usize;
    let Ok(Responses { entries }) = serde_json::from_slice(text) else {
        return later(format!("expected a batch-response with {expected} entries, found something else"));
    };
    if entries.len() != expected {
        return later(format!("expected a batch-response with {expected} entries, found {}", entries.len()));
    }
    let mut refused = Vec::new();
    let mut deletions = None;
    for (index, entry) in entries.iter().enumerate() {
        let Some(response) = &entry.response else {
            return later(
                "expected a response in each entry of a batch-response, found one without".to_owned(),
            );
        };
        let status = response.status.get(..3).and_then(|digits| digits.parse::<u16>().ok()).unwrap_or(0);
        match status {
            200..=299 => {}
            // What is not there any more is deleted.
            404 | 410 if deletions.get_or_insert_with(|| deletions_of(body)).get(index) == Some(&true) => {}
            401 | 403 => {
                return Outcome::Unauthorized { reason: format!("status {status} of an entry of a batch") };
            }
            429 | 500..=599 => {
                return Outcome::Unavailable {
                    reason: format!("status {status} of an entry of a batch"),
                    retry_after: None,
                    in_doubt: true,
                };
            }
            0..=399 | 408 | 409 => return later(format!("status {status} of an entry of a batch")),
            _ => {
                let codes = response.outcome.as_ref().map(OperationOutcome::listed).unwrap_or_default();
                let codes = if codes.is_empty() { codes } else { format!(", OperationOutcome: {codes}") };
                refused.push((index as u32, format!("status {status} of its entry{codes}")));
            }
        }
    }
    if refused.is_empty() { Outcome::Delivered } else { Outcome::Partly { refused } }
}

/// Which entries of what was sent are deletions; none if that can't be told.
fn deletions_of(body: &SealedBody) -> Vec<bool> {
    let plain = body.plain().unwrap_or_default();
    let requests = serde_json::from_slice::<Requests<'_>>(&plain);
    requests.map_or_else(
        |_| Vec::new(),
        |requests| requests.entries.iter().map(|entry| entry.request.method == "DELETE").collect(),
    )
}
