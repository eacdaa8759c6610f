//! What is sent.

use std::io::Read;

use super::{
    server::{Seen, Server, status},
    *,
};

/// A body as it was before it was compressed.
fn plain(request: &Seen) -> Vec<u8> {
    let mut plain = Vec::new();
    match request.header("content-encoding") {
        "" => plain.extend_from_slice(&request.body),
        "gzip" => drop(flate2::read::GzDecoder::new(&request.body[..]).read_to_end(&mut plain).unwrap()),
        "zstd" => plain = zstd::stream::decode_all(&request.body[..]).unwrap(),
        other => panic!("{other}"),
    }
    plain
}

/// Scenario: the same records in each framing and compression, with headers and credentials. Guarantees: G4, the bodies are
/// equal when decoded; the request is as the documentation says, with a length and never in chunks.
#[tokio::test]
async fn a_request_is_what_it_should_be() {
    for (framing, content_type) in [("array", "application/json"), ("lines", "application/x-ndjson")] {
        let mut bodies = Vec::new();
        for compression in ["none", "gzip", "zstd"] {
            let server = Server::plain(|_, _| status(200)).await;
            let text = json!({
                "url": format!("{}/ingest", server.url()), "framing": framing, "compression": compression,
                "headers": { "x-tenant": "north" }, "auth": { "bearer": "a-token" }
            });
            assert_eq!(upload(config(text)).await, 0);
            let seen = server.seen();
            let [request] = &seen[..] else { panic!("one request, not {}", seen.len()) };
            assert_eq!(request.path, "/ingest");
            assert_eq!(request.header("authorization"), "Bearer a-token");
            assert_eq!(request.header("x-tenant"), "north");
            assert_eq!(request.header("content-type"), content_type);
            assert_eq!(request.header("content-encoding"), compression.replace("none", ""));
            assert_eq!(request.header("content-length"), request.body.len().to_string());
            assert_eq!(request.header("transfer-encoding"), "");
            assert_eq!(request.header("idempotency-key").len(), 32);
            bodies.push(plain(request));
        }
        let records: Vec<serde_json::Value> = match framing {
            "array" => serde_json::from_slice(&bodies[0]).unwrap(),
            _ => serde_json::Deserializer::from_slice(&bodies[0]).into_iter().map(Result::unwrap).collect(),
        };
        let ids: Vec<&str> = records.iter().map(|record| record["id"].as_str().unwrap()).collect();
        let id = |number: u64| format!("00000000-0000-0000-0000-{number:012}");
        assert_eq!(ids, [id(1), id(2), id(3)]);
        if framing == "lines" {
            assert_eq!(bodies[0].iter().filter(|byte| **byte == b'\n').count(), 3);
            assert!(bodies[0].ends_with(b"}\n"));
        }
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{framing}");
    }
}

/// Scenario: a name and a password, with characters that mean something elsewhere. Guarantees: RFC 7617's form.
#[tokio::test]
async fn basic_credentials_are_sent() {
    let server = Server::plain(|_, _| status(204)).await;
    let auth = json!({ "basic": { "user": "ada", "password": "a:b c" } });
    let opened = Opened::new(json!({ "url": server.url(), "auth": auth })).await;
    assert_eq!(opened.send().await, Outcome::Delivered);
    assert_eq!(server.seen()[0].header("authorization"), "Basic YWRhOmE6YiBj");
}

/// Scenario: a receiver that refuses one record of three. Guarantees: G11, that one is dead, the others arrive.
#[tokio::test]
async fn a_refused_record_is_found() {
    let server = Server::plain(|request, _| {
        let text = String::from_utf8_lossy(&request.body);
        status(if text.contains("00000000-0000-0000-0000-000000000002") { 422 } else { 200 })
    })
    .await;
    assert_eq!(upload(config(json!({ "url": server.url() }))).await, 1);
    assert_eq!(server.seen().len(), 5, "all; the first; the others; the second; the third");
}
