//! Sizes, encodings, depth.

use std::{io::Write, sync::Arc};

use flate2::{Compression, write};
use serde_json::json;
use tokio::sync::Semaphore;

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = write::GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = write::ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = write::DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 3).unwrap()
}

type Compress = fn(&[u8]) -> Vec<u8>;
const COMPRESSED: [(&str, Encoding, Compress); 4] = [
    ("gzip", Encoding::Gzip, gzip),
    ("deflate", Encoding::Deflate, zlib),
    ("deflate", Encoding::Deflate, raw_deflate),
    ("zstd", Encoding::Zstd, zstd),
];

/// Scenario: the same records in every encoding, signed as they are sent. Guarantees: G4, they are what was compressed.
#[tokio::test(flavor = "multi_thread")]
async fn every_encoding_is_read() {
    let mut world = World::new(json!({ "secrets": [SECRET] })).await;
    let client = world.client().await;
    let now = world.clock.seconds();
    for (number, (name, _, compress)) in COMPRESSED.into_iter().enumerate() {
        let post = post(compress(array([number as u64]).as_bytes())).with("content-encoding", name);
        let got = client.send(post.signed(SECRET, &format!("msg_{number}"), now)).await;
        assert_eq!(got.status, 202, "{name}: {:?}", got.body);
    }
    assert_eq!(world.drain().await, [0, 1, 2, 3]);
}

/// Scenario: bombs of a thousand to one and more in every encoding, and a zstd frame that asks for a window of gigabytes.
/// Guarantees: G7, each is refused when it has passed the limit by at most a piece, counted by the budget that every byte is
/// taken from.
#[test]
fn bombs_are_refused_early() {
    const LIMIT: usize = 1 << 20;
    let bomb = vec![b' '; 100 << 20];
    for (name, encoding, compress) in COMPRESSED {
        let packed = compress(&bomb);
        assert!(packed.len() * 900 < bomb.len(), "{name}: {} bytes", packed.len());
        let all = Arc::new(Semaphore::new(64 << 20));
        let mut budget = Budget::new(all.clone());
        assert_eq!(inflate(&packed, encoding, LIMIT, &mut budget), Err(Refusal::TooLarge), "{name}");
        assert!(budget.taken() <= LIMIT, "{name}: {}", budget.taken());
        drop(budget);
        // Where there is no room, it ends there.
        let small = Arc::new(Semaphore::new(100_000));
        let mut budget = Budget::new(small.clone());
        assert_eq!(inflate(&packed, encoding, LIMIT, &mut budget), Err(Refusal::Busy), "{name}");
        drop(budget);
        assert_eq!((all.available_permits(), small.available_permits()), (64 << 20, 100_000), "{name}");
    }
    // Magic, a window of 2^41 bytes, one empty block.
    let greedy = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 0x01, 0x00, 0x00];
    let mut budget = Budget::new(Arc::new(Semaphore::new(1 << 20)));
    assert!(matches!(inflate(&greedy, Encoding::Zstd, LIMIT, &mut budget), Err(Refusal::Malformed { .. })));
}

/// Scenario: compressed bodies that are cut off anywhere, followed by something, or are none. Guarantees: G1, refused, never
/// taken in part; no panic.
#[test]
fn what_is_cut_off_is_refused() {
    let text = array(0..20);
    for (name, encoding, compress) in COMPRESSED {
        let packed = compress(text.as_bytes());
        let read = |bytes: &[u8]| {
            inflate(bytes, encoding, 1 << 20, &mut Budget::new(Arc::new(Semaphore::new(1 << 20))))
        };
        assert_eq!(read(&packed).unwrap(), text.as_bytes());
        for end in 1..packed.len() {
            let cut = read(&packed[..end]);
            assert!(cut.is_err(), "{name}, cut at {end} of {}", packed.len());
        }
        let followed = [&packed[..], b"more"].concat();
        assert!(read(&followed).is_err(), "{name}, followed");
        assert!(read(b"{\"not\":\"compressed\"}").is_err(), "{name}");
    }
}

/// Scenario: a line of 100 MB, announced and in chunks, and bodies at the limit. Guarantees: G7, refused as soon as it is known
/// to be too large; a body of the limit is taken.
#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_are_refused() {
    let mut world = World::new(json!({ "max_body": "64KiB" })).await;
    let client = world.client().await;
    let padded = |length: usize| {
        let body = array([1]);
        format!("{}{}", body, " ".repeat(length - body.len()))
    };
    assert_eq!(client.send(post(padded(64 << 10))).await.status, 202);
    let got = client.send(post(padded((64 << 10) + 1))).await;
    assert_eq!((got.status, got.body["error"].as_str()), (413, Some("too_large")));
    // Announced, never sent.
    let stream = tokio::net::TcpStream::connect(client.address).await.unwrap();
    let head =
        "POST /in HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: 100000000\r\n\r\n";
    assert_eq!(talk(stream, head.as_bytes()).await.unwrap().status, 413);
    // In chunks, without an end.
    let stream = tokio::net::TcpStream::connect(client.address).await.unwrap();
    let mut bytes = b"POST /in HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..3 {
        bytes.extend_from_slice(format!("8000\r\n{}\r\n", "x".repeat(0x8000)).as_bytes());
    }
    assert_eq!(talk(stream, &bytes).await.unwrap().status, 413);
    let bomb = post(gzip(&vec![b' '; 1 << 20])).with("content-encoding", "gzip");
    assert_eq!(client.send(bomb).await.status, 413);
    assert_eq!(world.drain().await, [1]);
}

/// Scenario: a body a hundred thousand levels deep. Guarantees: G7, refused as what it is.
#[tokio::test(flavor = "multi_thread")]
async fn deep_bodies_are_refused() {
    let world = World::new(json!({})).await;
    let client = world.client().await;
    for body in ["[".repeat(100_000), "{\"a\":".repeat(100_000), format!("[{{\"id\":{}", "[".repeat(100_000))]
    {
        assert_eq!(client.send(post(body)).await.status, 400);
    }
}

/// Scenario: bodies that are wrong in one record of many, or as a whole. Guarantees: 400 that names record, line and field and
/// no value; nothing is stored.
#[tokio::test(flavor = "multi_thread")]
async fn one_bad_record_refuses_the_body() {
    let mut world = World::new(json!({ "strict": true })).await;
    let client = world.client().await;
    let with =
        |from: &str, to: &str| format!("{}\n{}\n{}", record(1), record(2), record(3).replace(from, to));
    let cases = [
        (with("\"2025-01-31T08:00:00Z\"", "\"secret-4711\""), Some(3), Some("start")),
        (with("\"StepCount\"", "4711"), Some(3), Some("type")),
        (with("\"type\":\"StepCount\",", ""), Some(3), Some("type")),
        (with("\"value\":3", "\"value\":\"secret-4711\""), Some(3), Some("value")),
        (with("\"value\":3,", ""), Some(3), Some("value")),
        (with("\"count\"", "\"\""), Some(3), Some("unit")),
        (with("\"unit\"", "\"metadata\":{\"a\":[4711]},\"unit\""), Some(3), Some("metadata")),
        (with("\"unit\"", "\"source\":{\"sort\":4711},\"unit\""), Some(3), Some("source")),
        (with("\"unit\"", "\"mood\":4711,\"unit\""), Some(3), None),
        (with("}", ""), Some(3), None),
        (format!("[{},{},4711]", record(1), record(2)), Some(3), None),
        (format!("[{},{}", record(1), record(2)), Some(3), None),
        ("secret-4711".to_owned(), Some(1), None),
    ];
    for (body, record, field) in cases {
        let got = client.send(post(body.clone())).await;
        assert_eq!(got.status, 400, "{body}");
        assert_eq!(got.body["record"].as_u64(), record, "{body}: {}", got.body);
        assert_eq!(got.body["field"].as_str(), field, "{body}: {}", got.body);
        assert_eq!(got.body["line"].as_u64(), Some(if body.contains('\n') { 3 } else { 1 }), "{body}");
        let text = got.body.to_string();
        assert!(!text.contains("4711") && !text.contains("secret"), "{text}");
    }
    let not_text = [&b"[{\"id\":\""[..], &[0xff, 0xfe], b"\"}]"].concat();
    assert_eq!(client.send(post(not_text)).await.status, 400);
    for empty in ["", "[]", " \n"] {
        let got = client.send(post(empty)).await;
        assert_eq!((got.status, got.body), (202, json!({ "records": 0 })), "{empty:?}");
    }
    assert!(world.drain().await.is_empty());
}
