//! What is posted to a webhook: bodies, compressed or not, and signatures.

use std::sync::Arc;

use afferent::{
    formats::{DecoderOptions, wire::WireDecoder},
    sources::webhook::{Budget, Encoding, Keys, Proof, SigningKey, check_records, inflate},
};
use afferent_core::Timestamp;
use hyper::{HeaderMap, header::HeaderValue};
use tokio::sync::Semaphore;

use super::{hash, shape};

/// The longest body here, inflated.
const LIMIT: usize = 1 << 16;
/// A key of no use elsewhere.
const KEY: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

/// Any bytes as a body, after a byte that says how it is compressed: it is refused, or inflates to no more than the limit; and its
/// records are those of its bytes, or the first that is none has a place and a reason.
pub(super) fn body(bytes: &[u8]) -> u64 {
    let (how, bytes) = bytes.split_first().map_or((0, bytes), |(first, rest)| (*first, rest));
    let encodings = [Encoding::Identity, Encoding::Gzip, Encoding::Deflate, Encoding::Zstd];
    let encoding = encodings[usize::from(how) % encodings.len()];
    let mut budget = Budget::new(Arc::new(Semaphore::new(4 * LIMIT)));
    let body = match inflate(bytes, encoding, LIMIT, &mut budget) {
        Ok(body) => body,
        Err(refusal) => return hash(shape(&format!("{refusal:?}"))),
    };
    assert!(body.len() <= LIMIT, "a body is no longer than it may be");
    let mut found = 0;
    let mut decoder = WireDecoder::new(DecoderOptions { strict: how >= 128 });
    match check_records(&body, &mut decoder, |_| found += 1) {
        Ok(checked) => {
            assert_eq!(checked.records, found, "records are counted once");
            hash((true, found.min(20)))
        }
        Err(malformed) => {
            assert!(
                !malformed.reason.is_empty() && malformed.line >= 1,
                "a bad record has a place and a reason"
            );
            hash(shape(&malformed.reason))
        }
    }
}

/// Any bytes as the three headers of a signature and a body, with line ends between: it is only taken if it is the one that we would make.
pub(super) fn signature(bytes: &[u8]) -> u64 {
    let mut parts = bytes.splitn(4, |byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    let mut texts = Vec::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let Ok(value) = HeaderValue::from_bytes(parts.next().unwrap_or_default()) else { return 0 };
        texts.push(value.to_str().unwrap_or_default().to_owned());
        headers.insert(name, value);
    }
    let body = parts.next().unwrap_or_default();
    let keys = Keys::new([KEY], []).expect("a key as the specification has it");
    let now = Timestamp::from_micros_clamped(1_748_736_000_000_000);
    match keys.judge(&headers, now) {
        Some(Proof::Signature(signed)) => {
            let content = [&signed.prefix()[..], body].concat();
            let is_taken = keys.has_signed(signed.signatures, &content);
            let ours = SigningKey::parse(KEY).expect("a key as the specification has it").sign(&content);
            let is_ours = texts[2]
                .split_ascii_whitespace()
                .any(|text| text.trim_end_matches('=') == ours.trim_end_matches('='));
            assert_eq!(is_taken, is_ours && is_taken, "a signature that we would not make is taken");
            hash((is_taken, is_ours))
        }
        Some(Proof::Done | Proof::Claim(_)) => panic!("let in without a proof, or by a vendor's"),
        None => hash("refused"),
    }
}
