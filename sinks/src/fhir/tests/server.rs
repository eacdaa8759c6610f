//! A FHIR server in memory: identifiers, conditions, and the order in which a transaction is carried out.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::{Value as Json, json};

use crate::http::tests::server::{Answer, Seen, Server, json as answer, status};

/// What it holds: Observations by the value of their identifier, several if conditions were not heeded.
pub(super) type Held = BTreeMap<String, Vec<Json>>;

/// How it behaves.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Behaviour {
    /// Values that it refuses.
    pub(super) refuses: Option<f64>,
    /// Of so many requests the answer is lost, after they were carried out.
    pub(super) loses: usize,
}

/// A FHIR server in memory.
#[derive(Clone)]
pub(super) struct Fhir {
    pub(super) server: Server,
    held: Arc<Mutex<Held>>,
    /// Identifiers in the order in which they were created.
    created: Arc<Mutex<Vec<String>>>,
}

impl Fhir {
    pub(super) async fn new(behaviour: Behaviour) -> Fhir {
        let (held, created): (Arc<Mutex<Held>>, Arc<Mutex<Vec<String>>>) = Default::default();
        let (state, order) = (held.clone(), created.clone());
        let server = Server::plain(move |request, before| {
            let result =
                carry_out(&mut state.lock().unwrap(), &mut order.lock().unwrap(), request, behaviour);
            if before < behaviour.loses { status(503) } else { result }
        })
        .await;
        Fhir { server, held, created }
    }

    /// Identifiers in the order in which they were created.
    pub(super) fn created(&self) -> Vec<String> {
        self.created.lock().unwrap().clone()
    }

    /// What it holds.
    pub(super) fn held(&self) -> Held {
        self.held.lock().unwrap().clone()
    }
}

/// What went wrong, with a text that repeats a value, as servers write them.
fn outcome(value: &Json) -> Json {
    let issue =
        json!({ "severity": "error", "code": "value", "diagnostics": format!("the value is {value}") });
    let odd = json!({ "severity": "error", "code": "heart rate 61" });
    json!({ "resourceType": "OperationOutcome", "issue": [issue, odd] })
}

fn carry_out(held: &mut Held, created: &mut Vec<String>, request: &Seen, behaviour: Behaviour) -> Answer {
    assert_eq!((request.path.as_str(), request.header("content-type")), ("/fhir", "application/fhir+json"));
    assert_eq!(request.header("accept"), "application/fhir+json");
    let bundle: Json = serde_json::from_slice(&request.body).unwrap();
    let entries = bundle["entry"].as_array().unwrap();
    let refused = |entry: &Json| {
        let value = &entry["resource"]["valueQuantity"]["value"];
        behaviour.refuses.is_some_and(|refuses| value.as_f64() == Some(refuses)).then(|| value.clone())
    };
    let is_transaction = bundle["type"] == "transaction";
    if is_transaction && let Some(value) = entries.iter().find_map(refused) {
        return answer(422, outcome(&value));
    }
    let mut responses = vec![json!({ "response": { "status": "500" } }); entries.len()];
    // FHIR R4 §3.1.0.11.2: deletions, creations, updates, whatever the order of the Bundle.
    for method in ["DELETE", "POST", "PUT"] {
        for (entry, response) in entries.iter().zip(&mut responses) {
            if entry["request"]["method"] != method {
                continue;
            }
            *response = match refused(entry) {
                Some(value) => {
                    json!({ "response": { "status": "422 Unprocessable Entity", "outcome": outcome(&value) } })
                }
                None => json!({ "response": { "status": one(held, created, entry) } }),
            };
        }
    }
    let kind = if is_transaction { "transaction-response" } else { "batch-response" };
    answer(200, json!({ "resourceType": "Bundle", "type": kind, "entry": responses }))
}

/// Carries out an entry; its status.
fn one(held: &mut Held, created: &mut Vec<String>, entry: &Json) -> &'static str {
    let request = &entry["request"];
    let condition = match request["ifNoneExist"].as_str() {
        Some(condition) => condition,
        None => request["url"].as_str().unwrap().strip_prefix("Observation?").unwrap(),
    };
    let identifier = condition.rsplit_once('|').unwrap().1.to_owned();
    if request["method"] == "DELETE" {
        return if held.remove(&identifier).is_some() { "204 No Content" } else { "404 Not Found" };
    }
    let resource = entry["resource"].clone();
    assert_eq!(resource["identifier"][0]["value"], identifier.as_str());
    assert_ne!(entry["fullUrl"], format!("urn:uuid:{identifier}"));
    let there = held.entry(identifier.clone()).or_default();
    match (request["method"].as_str().unwrap(), there.len()) {
        ("POST", 0) | ("PUT", 0) => {
            there.push(resource);
            created.push(identifier);
            "201 Created"
        }
        ("POST", 1) => "200 OK",
        ("PUT", 1) => {
            there[0] = resource;
            "200 OK"
        }
        _ => "412 Precondition Failed",
    }
}
