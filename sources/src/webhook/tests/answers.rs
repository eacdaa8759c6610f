//! Every answer that is documented, from a real listener, held against its documentation.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::*;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/webhook-openapi.json");

/// Scenario: the description in `docs/`. Guarantees: it is that of this listener.
#[test]
#[allow(clippy::disallowed_methods, reason = "writes the page when asked to")]
fn the_description_is_current() {
    let current = serde_json::to_string_pretty(&openapi()).unwrap() + "\n";
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, &current).unwrap();
    }
    let page = std::fs::read_to_string(PAGE).expect("the description is there");
    assert!(
        page == current,
        "docs/reference/webhook-openapi.json is stale; run this test with UPDATE_DOCS=1"
    );
}

/// Whether `value` is what `schema` says, as far as this description says things.
fn conforms(value: &Value, schema: &Value, all: &Value) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.strip_prefix('#').expect("a reference within the page");
        return conforms(value, all.pointer(pointer).expect("it is there"), all);
    }
    let fits = match schema["type"].as_str().expect("a type") {
        "object" => value.is_object(),
        "integer" => value.is_i64() || value.is_u64(),
        "string" => value.is_string(),
        other => panic!("the page says `{other}`, which this does not know"),
    };
    if !fits || schema["enum"].as_array().is_some_and(|allowed| !allowed.contains(value)) {
        return Err(format!("{value} is not {schema}"));
    }
    let Some(object) = value.as_object() else { return Ok(()) };
    for required in schema["required"].as_array().into_iter().flatten() {
        if !object.contains_key(required.as_str().unwrap()) {
            return Err(format!("{required} is missing in {value}"));
        }
    }
    for (key, value) in object {
        match schema["properties"].get(key) {
            Some(schema) => conforms(value, schema, all)?,
            None if schema["additionalProperties"] == false => {
                return Err(format!("`{key}` is not documented"));
            }
            None => {}
        }
    }
    Ok(())
}

/// Scenario: every answer that there is, provoked. Guarantees: each has a documented status and body, is in JSON, has
/// `Retry-After` where that is documented, and no documented status or error is left out.
#[tokio::test(flavor = "multi_thread")]
async fn every_documented_answer_is_given() {
    let page = openapi();
    let responses = page["paths"]["/{path}"]["post"]["responses"].as_object().unwrap().clone();
    let mut seen: BTreeSet<(u16, String)> = BTreeSet::new();
    let mut hold = |got: Got| {
        let status = got.status.to_string();
        let response =
            responses.get(&status).unwrap_or_else(|| panic!("{status} is not documented: {}", got.body));
        let schema = &response["content"]["application/json"]["schema"];
        conforms(&got.body, schema, &page).unwrap_or_else(|error| panic!("{status}: {error}"));
        assert_eq!(got.header("content-type"), Some("application/json"), "{status}");
        let documented = response["headers"]["Retry-After"]["required"] == true;
        assert_eq!(got.header("retry-after").is_some(), documented, "{status}");
        seen.insert((got.status, got.body["error"].as_str().unwrap_or_default().to_owned()));
        got
    };

    let keys = json!({
        "tokens": ["t0ken"], "max_body": "16KiB", "max_in_flight": "32KiB", "max_bytes": "256KiB",
        "timeouts": { "body": "1s" },
    });
    let mut world = World::new(keys).await;
    let client = world.client().await;
    let good = |number: u64| post(array([number])).with("authorization", "Bearer t0ken");
    let named = |number: u64| good(number).with("idempotency-key", "one");
    assert_eq!(hold(client.send(named(1)).await).status, 202);
    assert_eq!(hold(client.send(named(2)).await).status, 409);
    assert_eq!(hold(client.send(Post { body: b"[{}]".to_vec(), ..good(1) }).await).status, 400);
    assert_eq!(hold(client.send(post(array([1]))).await).status, 401);
    assert_eq!(hold(client.send(Post { path: "/out".to_owned(), ..good(1) }).await).status, 404);
    let got = hold(client.send(Post { method: "PUT", ..good(1) }).await);
    assert_eq!((got.status, got.header("allow")), (405, Some("POST")));
    assert_eq!(hold(client.send(Post { body: vec![b' '; 17 << 10], ..good(1) }).await).status, 413);
    for (name, value) in
        [("content-type", "text/plain"), ("content-encoding", "br"), ("content-encoding", "gzip, gzip")]
    {
        let got = hold(client.send(good(1).with(name, value)).await);
        assert_eq!(
            (got.status, got.header("accept-encoding")),
            (415, Some("gzip, deflate, zstd")),
            "{value}"
        );
    }
    assert_eq!(hold(client.send(good(1).without("content-type")).await).status, 415);
    assert_eq!(
        client.send(good(1).with("content-type", "Application/JSON; charset=utf-8")).await.status,
        202
    );

    // Two bodies that are half sent take all the memory there is; they are refused in the end as well.
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(client.address).await.unwrap();
        let head = "POST /in HTTP/1.1\r\nhost: h\r\nauthorization: Bearer t0ken\r\ncontent-type: application/json\r\ncontent-length: 16384\r\n\r\n";
        stream.write_all(format!("{head}[{}", " ".repeat(16_200)).as_bytes()).await.unwrap();
        held.push(stream);
    }
    let padded =
        |number: u64| Post { body: format!("{}{}", array([number]), " ".repeat(10_000)).into(), ..good(1) };
    let busy = async {
        loop {
            let got = client.send(padded(1)).await;
            if got.body["error"] == "busy" {
                return got;
            }
        }
    };
    assert_eq!(hold(tokio::time::timeout(Duration::from_secs(5), busy).await.expect("it fills")).status, 429);
    for mut stream in held {
        assert_eq!(hold(hear(&mut stream).await.unwrap()).status, 408);
    }
    let full = loop {
        let got = client.send(padded(1)).await;
        if got.status != 202 {
            break got;
        }
    };
    assert_eq!(hold(full).body["error"], "full");
    world.close().await;
    // Another test may have got the port meanwhile, for as long as it takes.
    let gone = async { while client.try_send(good(1)).await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("nobody listens");

    let mut other = World::new(json!({ "ack": "committed", "ack_timeout": "100ms" })).await;
    let client = other.client().await;
    let body = post(array([1])).with("webhook-id", "msg_1");
    assert_eq!(hold(client.send(body.clone()).await).status, 503);
    other.drain().await;
    other.commit();
    assert_eq!(hold(client.send(body).await).status, 200);

    let documented: BTreeSet<u16> = responses.keys().map(|status| status.parse().unwrap()).collect();
    let answered: BTreeSet<u16> = seen.iter().map(|(status, _)| *status).collect();
    assert_eq!(answered, documented);
    let errors: BTreeSet<&str> =
        seen.iter().map(|(_, error)| error.as_str()).filter(|error| !error.is_empty()).collect();
    let all = page["components"]["schemas"]["Refused"]["properties"]["error"]["enum"].as_array().unwrap();
    assert_eq!(errors, all.iter().map(|code| code.as_str().unwrap()).collect::<BTreeSet<_>>());
}
