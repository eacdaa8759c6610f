//! A real server on this machine: what is sent, and what answers mean.

use std::sync::{Arc, Mutex};

use afferent_core::{
    Batch, Epoch, Kind, Record, RecordId, Sink, Timestamp, Unit, Value, clock, config::Configure,
    testing::Surroundings,
};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;

use super::*;

/// What the server was sent.
#[derive(Clone, Debug)]
struct Seen {
    path: String,
    headers: hyper::HeaderMap,
    body: Vec<u8>,
}

/// What it answers: by path, and by how many requests came before.
type Answer = fn(&Seen, usize) -> Response<Full<bytes::Bytes>>;

/// Serves on a port of its own until the test ends; the address, and what was sent.
#[allow(clippy::disallowed_methods, reason = "the server is another process, as it were")]
async fn serve(answer: Answer) -> (String, Arc<Mutex<Vec<Seen>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let all = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = all.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let seen = seen.clone();
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect().await?.to_bytes().to_vec();
                    let request = Seen { path: parts.uri.path().to_owned(), headers: parts.headers, body };
                    let mut seen = seen.lock().unwrap();
                    let response = answer(&request, seen.len());
                    seen.push(request);
                    Ok::<_, hyper::Error>(response)
                }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    (address, seen)
}

fn status(status: u16) -> Response<Full<bytes::Bytes>> {
    Response::builder().status(status).body(Full::default()).unwrap()
}

fn config(text: serde_json::Value) -> Config {
    serde_json::from_value(text).unwrap()
}

fn record(number: u64) -> Record {
    let start = Timestamp::from_micros_clamped(1_735_689_600_000_000);
    let value = Value::Quantity(60.25, Unit::parse("count/min").unwrap());
    Record::added(RecordId::from_u128(number.into()), Kind::parse("HeartRate").unwrap(), start, start, value)
}

/// Sends three records in one epoch, and waits until nothing is pending; how many were refused.
async fn upload(config: Config) -> u64 {
    let around = Surroundings::new();
    let mut sink = HttpSink::http(config);
    sink.open(around.sink(None, 1)).await.unwrap();
    let prepared = sink.prepare(Epoch(0)).await.unwrap();
    sink.commit(Epoch(0), prepared.token.as_ref()).await.unwrap();
    let mut batch: Batch<Record> = (1..4).map(record).collect();
    sink.write(&mut batch).await.unwrap();
    let prepared = sink.prepare(Epoch(1)).await.unwrap();
    sink.commit(Epoch(1), prepared.token.as_ref()).await.unwrap();
    while sink.pending() > 0 {
        clock::sleep(std::time::Duration::from_millis(5)).await;
    }
    let refused = sink.prepare(Epoch(2)).await.unwrap().refused;
    drop(sink);
    around.drivers.stop().await;
    refused
}

/// Scenario: one body, compressed, with headers and a token. Guarantees: the request is as the documentation says.
#[tokio::test]
async fn a_request_is_what_it_should_be() {
    let (address, seen) = serve(|_, _| status(200)).await;
    let text = serde_json::json!({
        "url": format!("{address}/ingest"), "compression": "gzip",
        "headers": { "x-tenant": "north" }, "auth": { "bearer": "a-token" }
    });
    assert_eq!(upload(config(text)).await, 0);
    let seen = seen.lock().unwrap();
    let [request] = &seen[..] else { panic!("one request, not {}", seen.len()) };
    let header = |name: &str| request.headers.get(name).map_or("", |value| value.to_str().unwrap());
    assert_eq!(request.path, "/ingest");
    assert_eq!(header("authorization"), "Bearer a-token");
    assert_eq!(header("x-tenant"), "north");
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("content-encoding"), "gzip");
    assert_eq!(header("content-length"), request.body.len().to_string());
    assert_eq!(header("idempotency-key").len(), 32);
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&request.body[..]), &mut plain).unwrap();
    let records: Vec<serde_json::Value> = serde_json::from_slice(&plain).unwrap();
    assert_eq!(records.len(), 3);
}

/// Scenario: a receiver that redirects first. Guarantees: the redirect is not followed, credentials go nowhere else, and
/// the body arrives under the same key once the address answers.
#[tokio::test]
async fn redirects_are_not_followed() {
    let (address, seen) = serve(|_, before| match before {
        0 => Response::builder().status(307).header("location", "/other").body(Full::default()).unwrap(),
        _ => status(204),
    })
    .await;
    upload(config(serde_json::json!({ "url": address, "framing": "lines" }))).await;
    let seen = seen.lock().unwrap();
    assert!(seen.len() == 2 && seen.iter().all(|request| request.path == "/"), "{:?}", seen.len());
    assert_eq!(seen[0].headers["idempotency-key"], seen[1].headers["idempotency-key"]);
    assert_eq!(seen[0].body, seen[1].body);
    assert_eq!(seen[0].headers["content-type"], "application/x-ndjson");
}

/// Scenario: an answer of 100 MB. Guarantees: G7, it is not read to its end; its status counts.
#[tokio::test]
async fn a_long_answer_is_not_read() {
    let (address, seen) = serve(|_, _| {
        let body = Full::new(bytes::Bytes::from(vec![b'x'; 100 << 20]));
        Response::builder().status(200).body(body).unwrap()
    })
    .await;
    assert_eq!(upload(config(serde_json::json!({ "url": address }))).await, 0);
    assert_eq!(seen.lock().unwrap().len(), 1);
}

/// Scenario: a token in a file that has expired, and is replaced when it was refused. Guarantees: G11, it heals by itself.
#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "the test stands for whoever renews the token")]
async fn a_renewed_token_heals() {
    static FILE: std::sync::OnceLock<std::path::PathBuf> = std::sync::OnceLock::new();
    let around = Surroundings::new();
    let file = FILE.get_or_init(|| around.path().join("token"));
    std::fs::write(file, "old\n").unwrap();
    let (address, seen) = serve(|request, _| {
        if request.headers["authorization"] == "Bearer new" {
            return status(200);
        }
        std::fs::write(FILE.get().unwrap(), "new\n").unwrap();
        status(401)
    })
    .await;
    let text = serde_json::json!({ "url": address, "auth": { "bearer": { "file": file } } });
    assert_eq!(upload(config(text)).await, 0);
    assert_eq!(seen.lock().unwrap().len(), 2);
}

/// Scenario: tokens are given by another address, and the first one is refused. Guarantees: another is fetched.
#[tokio::test]
async fn client_credentials_are_exchanged_for_tokens() {
    let (address, seen) = serve(|request, before| match request.path.as_str() {
        "/token" => {
            let text = format!("{{\"access_token\":\"t{before}\",\"expires_in\":3600}}");
            Response::builder().body(Full::new(text.into())).unwrap()
        }
        _ if request.headers["authorization"] == "Bearer t2" => status(200),
        _ => status(401),
    })
    .await;
    let text = serde_json::json!({ "url": format!("{address}/in"), "auth": { "oauth2": {
        "token_url": format!("{address}/token"), "client_id": "me", "client_secret": "it's me", "scope": "write" } } });
    assert_eq!(upload(config(text)).await, 0);
    let seen = seen.lock().unwrap();
    let paths: Vec<&str> = seen.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(paths, ["/token", "/in", "/token", "/in"]);
    assert_eq!(seen[0].body, b"grant_type=client_credentials&scope=write");
    assert_eq!(seen[0].headers["authorization"], "Basic bWU6aXQlMjdzK21l");
}

/// Scenario: a receiver that refuses one record of three. Guarantees: G11, that one is dead, the others arrive.
#[tokio::test]
async fn a_refused_record_is_found() {
    let (address, seen) = serve(|request, _| {
        let text = String::from_utf8_lossy(&request.body);
        status(if text.contains("00000000-0000-0000-0000-000000000002") { 422 } else { 200 })
    })
    .await;
    assert_eq!(upload(config(serde_json::json!({ "url": address }))).await, 1);
    assert_eq!(seen.lock().unwrap().len(), 5, "all; the first; the others; the second; the third");
}

/// Scenario: configurations that would leak or do nothing. Guarantees: G8, each is refused, and no secret is printed.
#[test]
fn what_would_leak_is_refused() {
    let problems =
        |text| config(text).check().into_iter().map(|problem| problem.key_path.join(".")).collect::<Vec<_>>();
    let url = "https://clinic.example/in";
    assert_eq!(problems(serde_json::json!({ "url": url })), Vec::<String>::new());
    assert_eq!(problems(serde_json::json!({ "url": "http://clinic.example/" })), ["url"]);
    assert_eq!(
        problems(serde_json::json!({ "url": "http://clinic.example/", "insecure": true })),
        Vec::<String>::new()
    );
    assert_eq!(problems(serde_json::json!({ "url": "https://me:pw@clinic.example/" })), ["url"]);
    assert_eq!(
        problems(serde_json::json!({ "url": url, "headers": { "Content-Length": "1" } })),
        ["headers.Content-Length"]
    );
    assert_eq!(problems(serde_json::json!({ "url": url, "tls": { "key": "k" } })), ["tls"]);
    let shown = format!(
        "{:?}",
        config(serde_json::json!({ "url": url, "auth": { "bearer": "hush" }, "headers": { "x": "hush" } }))
    );
    assert!(!shown.contains("hush"), "{shown}");
}
