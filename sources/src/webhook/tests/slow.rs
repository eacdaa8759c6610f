//! Clients that take their time, and too many of them.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;

/// How long a test waits for what must come: far longer than it takes, far shorter than the defaults.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the other side ends the connection.
async fn ends(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    // A reset is an end, too.
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.is_ok()
}

/// Scenario: a client that sends nothing, half a header, or a header byte by byte. Guarantees: G7, each is cut off after
/// `timeouts.header`, which is counted for the whole header.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_header_is_cut_off() {
    let world = World::new(json!({ "timeouts": { "header": "100ms" } })).await;
    let client = world.client().await;
    for beginning in ["", "POST /in HT", "POST /in HTTP/1.1\r\nhost: h\r\n"] {
        let mut stream = TcpStream::connect(client.address).await.unwrap();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        assert!(ends(&mut stream).await, "{beginning:?}");
    }
    let mut stream = TcpStream::connect(client.address).await.unwrap();
    stream.write_all(b"POST /in HTTP/1.1\r\n").await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let drip = async {
        loop {
            if writer.write_all(b"x: y\r\n").await.is_err() {
                std::future::pending::<()>().await;
            }
            afferent_core::clock::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, async {
        tokio::select! { () = drip => {}, _ = reader.read_to_end(&mut rest) => {} }
    });
    assert!(ended.await.is_ok(), "byte by byte");
    // One that is in time is answered.
    assert_eq!(client.send(post(array([1]))).await.status, 202);
}

/// Scenario: a body that stops half-way, announced and in chunks. Guarantees: G7, 408 after `timeouts.body`, and the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_is_refused() {
    let mut world = World::new(json!({ "timeouts": { "body": "100ms" } })).await;
    let client = world.client().await;
    for how in ["content-length: 1000", "transfer-encoding: chunked"] {
        let mut stream = TcpStream::connect(client.address).await.unwrap();
        let head = format!(
            "POST /in HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n{how}\r\n\r\n5\r\n[{{}},"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let got =
            tokio::time::timeout(PATIENCE, hear(&mut stream)).await.expect("in time").expect("an answer");
        assert_eq!((got.status, got.body["error"].as_str()), (408, Some("too_slow")), "{how}");
        assert!(ends(&mut stream).await, "{how}");
    }
    assert!(world.drain().await.is_empty());
}

/// Scenario: a connection that is kept after an answer. Guarantees: G7, it is ended when it was idle for long enough; until then
/// it takes another request.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_ended() {
    let world = World::new(json!({ "timeouts": { "idle": "300ms" } })).await;
    let client = world.client().await;
    let mut stream = TcpStream::connect(client.address).await.unwrap();
    for number in 0..3 {
        stream.write_all(&post(array([number])).bytes()).await.unwrap();
        assert_eq!(hear(&mut stream).await.unwrap().status, 202);
    }
    assert!(ends(&mut stream).await);
}

/// Scenario: more connections than are allowed. Guarantees: G7, one too many waits, and is served when another has gone.
#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded() {
    let world = World::new(json!({ "connections": 2 })).await;
    let client = world.client().await;
    let mut held = Vec::new();
    for number in 0..2 {
        let mut stream = TcpStream::connect(client.address).await.unwrap();
        stream.write_all(&post(array([number])).bytes()).await.unwrap();
        assert_eq!(hear(&mut stream).await.unwrap().status, 202);
        held.push(stream);
    }
    let mut third = TcpStream::connect(client.address).await.unwrap();
    third.write_all(&post(array([2])).bytes()).await.unwrap();
    let waits = tokio::time::timeout(Duration::from_millis(100), hear(&mut third)).await;
    assert!(waits.is_err(), "{waits:?}");
    held.pop();
    let got = tokio::time::timeout(PATIENCE, hear(&mut third)).await.expect("in time").expect("an answer");
    assert_eq!(got.status, 202);
}

/// Scenario: bodies that are half sent hold all the memory that bodies may have. Guarantees: G7, G11: 429 with `Retry-After` for
/// others, and room again when they have gone.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_in_memory_are_bounded() {
    let world = World::new(json!({ "max_body": "16KiB", "max_in_flight": "32KiB" })).await;
    let client = world.client().await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(client.address).await.unwrap();
        let head =
            "POST /in HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: 16384\r\n\r\n";
        stream.write_all(format!("{head}[{}", " ".repeat(16_000)).as_bytes()).await.unwrap();
        held.push(stream);
    }
    let body = || post(format!("{}{}", array([1]), " ".repeat(1000)));
    let refused = tokio::time::timeout(PATIENCE, async {
        loop {
            let got = client.send(body()).await;
            if got.status != 202 {
                return got;
            }
        }
    });
    let got = refused.await.expect("it fills");
    assert_eq!(
        (got.status, got.body["error"].as_str(), got.header("retry-after")),
        (429, Some("busy"), Some("1"))
    );
    held.clear();
    let room = tokio::time::timeout(PATIENCE, async { while client.send(body()).await.status != 202 {} });
    room.await.expect("room again");
}

/// Scenario: the source goes while a client holds a connection. Guarantees: the address is let go, the connection ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_goes_takes_its_connections_along() {
    let mut world = World::new(json!({})).await;
    let client = world.client().await;
    let mut stream = TcpStream::connect(client.address).await.unwrap();
    stream.write_all(&post(array([1])).bytes()).await.unwrap();
    assert_eq!(hear(&mut stream).await.unwrap().status, 202);
    world.close().await;
    assert!(ends(&mut stream).await);
    assert!(world.listeners.bound().await.is_empty());
}
