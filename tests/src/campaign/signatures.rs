//! Signatures that must not be taken: forged ones, those of another message, stale ones, and what is left of a good one when
//! it is cut short, repeated or moved. One message in so many is signed as it should be, and must be taken: a check that takes
//! nothing would prove nothing.
//!
//! That one message is not stored twice is a matter of ids, which are on disk; the webhook's own tests prove it.

use afferent::sources::webhook::{Keys, Proof, SigningKey, TOLERANCE};
use afferent_core::Timestamp;
use hyper::{HeaderMap, header::HeaderValue};

use super::{Case, machine::seeded};

/// Requests of one seed.
pub const REQUESTS: u64 = 1000;
/// One in so many is signed as it should be.
const GOOD: u64 = 100;
/// 2025-06-01T00:00:00Z, in s.
const NOW: i64 = 1_748_736_000;
/// Two keys in use, and one that is not.
const OURS: [&str; 2] =
    ["whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", "whsec_emVyb29uZXR3b3RocmVlZm91cmZpdmVzaXg="];
const THEIRS: &str = "whsec_YW5vdGhlcmtleXRoYXRub2JvZHl1c2VzaGVyZQ==";

/// A request, as far as its signature goes.
#[derive(Clone, Debug)]
struct Request {
    id: String,
    timestamp: String,
    signatures: String,
    body: Vec<u8>,
}

impl Request {
    fn signed(key: &SigningKey, id: u64, timestamp: i64, body: Vec<u8>) -> Request {
        let (id, timestamp) = (format!("msg_{id}"), timestamp.to_string());
        let signatures = key.sign(&content(&id, &timestamp, &body));
        Request { id, timestamp, signatures, body }
    }

    fn is_taken(&self, keys: &Keys) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("webhook-id", &self.id),
            ("webhook-timestamp", &self.timestamp),
            ("webhook-signature", &self.signatures),
        ] {
            // What is no header can't be sent.
            let Ok(value) = HeaderValue::from_str(value) else { return false };
            headers.insert(name, value);
        }
        match keys.judge(&headers, Timestamp::from_micros_clamped(NOW * 1_000_000)) {
            Some(Proof::Signature(signed)) => {
                keys.has_signed(signed.signatures, &[&signed.prefix()[..], &self.body].concat())
            }
            Some(Proof::Done) => true,
            Some(Proof::Claim(_)) => false,
            None => false,
        }
    }
}

fn content(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [format!("{id}.{timestamp}.").as_bytes(), body].concat()
}

/// Plays one seed: a thousand requests.
pub fn play(seed: u64) -> Case {
    let mut random = seeded(seed);
    let mut case = Case::default();
    let keys = Keys::new(OURS, []).expect("keys as the specification has them");
    let parse = |text| SigningKey::parse(text).expect("a key as the specification has it");
    let (ours, theirs) = (OURS.map(parse), parse(THEIRS));
    let stale = TOLERANCE.as_secs() as i64 + 1;
    for number in 0..REQUESTS {
        let key = &ours[random.usize(..2)];
        let body: Vec<u8> = (0..random.usize(..200)).map(|_| random.u8(..)).collect();
        let good = Request::signed(key, random.u64(..), NOW + random.i64(-300..=300), body);
        if number % GOOD == 0 {
            case.note("good ones taken");
            if !good.is_taken(&keys) {
                case.blame(format!("refused: {good:?}"));
            }
            continue;
        }
        case.faults += 1;
        let mut bad = good.clone();
        let what = match random.u8(..10) {
            0 => {
                bad = Request::signed(&theirs, random.u64(..), NOW, good.body.clone());
                "forged"
            }
            1 => {
                let tag: Vec<u8> = (0..32).map(|_| random.u8(..)).collect();
                bad.signatures = format!("v1,{}", base64(&tag));
                "forged"
            }
            2 => {
                let away = stale + random.i64(..100_000).abs();
                let then = if random.bool() { NOW - away } else { NOW + away };
                bad = Request::signed(key, random.u64(..), then, good.body.clone());
                "stale"
            }
            3 => {
                bad.timestamp = (NOW + random.i64(-300..=300)).to_string();
                "of another time"
            }
            4 => {
                bad.id = format!("msg_{}", random.u64(..));
                "of another message"
            }
            5 => {
                bad.body.push(random.u8(..));
                "of another body"
            }
            6 => {
                bad.signatures.truncate(random.usize(..bad.signatures.len() - 2));
                "cut short"
            }
            7 => {
                let at = random.usize(3..bad.signatures.len() - 2);
                let mut bytes = bad.signatures.into_bytes();
                bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
                bad.signatures = String::from_utf8(bytes).expect("letters");
                "changed"
            }
            8 => {
                bad.signatures = bad.signatures.replace("v1,", ["v2,", "v1a,", "", "V1,"][random.usize(..4)]);
                "of another version"
            }
            _ => {
                bad.id = format!("{}.{}", bad.id, bad.timestamp);
                "moved"
            }
        };
        let is_same = (&bad.timestamp, &bad.id, &bad.body) == (&good.timestamp, &good.id, &good.body);
        if is_same && bad.signatures == good.signatures {
            // Drawn as it was: nothing is wrong with it.
            case.faults -= 1;
            continue;
        }
        case.note(what);
        if bad.is_taken(&keys) {
            case.blame(format!("taken although {what}: {bad:?}"));
        }
    }
    case
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}
