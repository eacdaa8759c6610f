//! What the log says when it says everything.

use std::collections::BTreeMap;

use afferent_core::clock::SystemClock;
use afferent_tests::{
    Place, Ran,
    given::identity,
    receiver::{Authority, Fault, Protocol, Receiver, Script, Spell},
    sender::UPLOAD,
};
use serde_json::json;

use crate::BINARY;

/// What every secret here has in it: those of the receiver do, too.
const SECRET: &str = "hush";
/// What every record measures: no port, no time and no count looks like it.
const VALUE: f64 = 4711.0625;

/// Scenario: records are uploaded over each protocol, with a token, a header and an address that hold secrets; the receiver
/// refuses the credentials for a while, breaks connections and refuses a record; everything is logged, that of libraries, too.
/// Guarantees: G8, no secret, no subject, no value and no metadata is in what the command says; nor in what `dlq` and
/// `audit` say of it.
#[test]
fn nothing_is_told_however_much_is_logged() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for (seed, protocol) in (0..).zip([Protocol::Plain, Protocol::Http1, Protocol::Http2]) {
        let (place, authority) = (Place::new(BINARY), Authority::new());
        let records: Vec<_> = (0..40)
            .map(|number| {
                json!({
                    "id": format!("00000000-0000-4000-8000-{number:012}"),
                    "type": "HKQuantityTypeIdentifierBodyMass",
                    "start": "2025-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z",
                    "value": VALUE, "unit": "kg", "subject": format!("{SECRET}-{number}"),
                    "metadata": { "note": format!("{SECRET}-note") },
                })
            })
            .collect();
        let faults = [Fault::ServerError, Fault::CutBeforeCommit, Fault::CutAfterCommit];
        let script = Script {
            protocol,
            odds: BTreeMap::from(faults.map(|fault| (fault, 0.2))),
            budget: 4,
            unauthorized: Some(Spell { from: 3, times: 1 }),
            ..Script::default()
        };
        let poison = [identity(&records[7])];
        let token = Some(place.path().join("token"));
        let receiver = Receiver::start(script, poison, &authority, token, SystemClock::shared(), seed);
        let receiver = runtime.block_on(receiver);
        place.write("in.ndjson", records.iter().map(|record| format!("{record}\n")).collect::<String>());
        place.write("ca.pem", authority.pem());
        let tls = if protocol == Protocol::Plain { "" } else { "tls = { ca = \"ca.pem\" }\n" };
        place.write(
            "uploads.toml",
            format!(
                "name = \"uploads\"\n[[source]]\ntype = \"file\"\npath = \"in.ndjson\"\n\
                 [[sink]]\ntype = \"http\"\nurl = \"{}?key={SECRET}-key\"\nbatch = {{ records = 4 }}\n{tls}\
                 auth = {{ bearer = {{ file = \"token\" }} }}\nheaders = {{ x-key = \"{SECRET}-header\" }}\n",
                receiver.url()
            ),
        );
        let ran = Ran::from(place.command(UPLOAD).env("AFFERENT_LOG", "trace").output().unwrap()).exits(65);
        assert!(ran.stderr.contains("TRACE"), "everything is logged: {}", ran.stderr);
        assert!(ran.stderr.contains("credentials"), "they were refused: {}", ran.stderr);
        assert_eq!(receiver.books().committed.len(), records.len() - 1);
        let others = [
            &["dlq", "ls", "uploads"][..],
            &["dlq", "ls", "uploads", "-o", "json"],
            &["audit"],
            &["validate", "uploads.toml", "-vvv"],
            &["run", "uploads.toml"],
        ];
        let others = others.map(|arguments| place.run(arguments).exits(0));
        let again = &others[others.len() - 1].stderr;
        assert!(!again.contains("--from-start"), "it would send everything again, under other keys: {again}");
        for ran in others.iter().chain([&ran]) {
            for said in ran.stdout.lines().chain(ran.stderr.lines()) {
                let tells = said.contains(SECRET) || said.contains(&VALUE.to_string());
                assert!(!tells, "{protocol:?}: {said}");
            }
        }
    }
}
