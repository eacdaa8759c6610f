//! Signatures and tokens.

use std::time::Duration;

use afferent_core::{Timestamp, random::Random};
use hyper::HeaderMap;
use serde_json::json;

use super::*;

/// The specification's key and signature, made anew with its reference words: 32 bytes from 0 on, this id, time and body.
const VECTOR: (&str, i64, &str) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
/// The key of Standard Webhooks' own examples, and what it signs of the above.
const VECTOR_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const VECTOR_SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn content() -> Vec<u8> {
    format!("{}.{}.{}", VECTOR.0, VECTOR.1, VECTOR.2).into_bytes()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros_clamped(seconds * 1_000_000)
}

/// Scenario: the example of the specification's libraries. Guarantees: what they sign is let in, and we sign the same.
#[test]
fn the_published_example_is_ours() {
    let key = SigningKey::parse(VECTOR_SECRET).unwrap();
    assert_eq!(key.sign(&content()), VECTOR_SIGNATURE);
    let timestamp = VECTOR.1.to_string();
    let signed = Signed { id: VECTOR.0, timestamp: &timestamp, signatures: VECTOR_SIGNATURE };
    assert!(signed.is_current(at(VECTOR.1)) && signed.is_by(&[key], &content()));
}

/// Scenario: one bit of the body, the id, the time, the signature or the key is another. Guarantees: none is let in.
#[test]
fn one_bit_makes_it_another() {
    let key = SigningKey::parse(VECTOR_SECRET).unwrap();
    let keys = [key.clone()];
    let holds = |signature: &str, content: &[u8]| {
        Signed { id: VECTOR.0, timestamp: "1", signatures: signature }.is_by(&keys, content)
    };
    let content = content();
    assert!(holds(VECTOR_SIGNATURE, &content));
    for bit in 0..content.len() * 8 {
        let mut other = content.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        assert!(!holds(VECTOR_SIGNATURE, &other), "bit {bit} of the content");
    }
    for bit in 0..VECTOR_SIGNATURE.len() * 7 {
        let mut other = VECTOR_SIGNATURE.as_bytes().to_vec();
        other[bit / 7] ^= 1 << (bit % 7);
        let other = String::from_utf8(other).unwrap();
        assert!(!holds(&other, &content), "bit {bit} of the signature: {other}");
    }
}

/// Scenario: several signatures and several keys; other versions among them; too many. Guarantees: one that fits is enough, so
/// that keys can be changed; the work for a request is bounded.
#[test]
fn keys_can_be_changed() {
    let key = |secret| SigningKey::parse(secret).unwrap();
    let keys = [key(SECRET), key(VECTOR_SECRET)];
    let holds = |signatures: &str| Signed { id: "a", timestamp: "1", signatures }.is_by(&keys, &content());
    assert!(holds(VECTOR_SIGNATURE));
    let other = key(OTHER_SECRET).sign(&content());
    assert!(!holds(&other));
    assert!(holds(&format!("v1a,zzz= {other}  {VECTOR_SIGNATURE}")));
    assert!(!holds(&format!("v1a{}", &VECTOR_SIGNATURE[2..])));
    assert!(!holds(&format!("v2{}", &VECTOR_SIGNATURE[2..])));
    assert!(!holds(&format!("{} {VECTOR_SIGNATURE}", ["v1,AA=="; 8].join(" "))));
    for bad in ["", " ", ",", "v1", "v1,", "v1,=", &VECTOR_SIGNATURE[3..]] {
        assert!(!holds(bad), "{bad}");
    }
}

/// Scenario: timestamps on both edges of the tolerance, and texts that are none; ids that are none. Guarantees: five minutes
/// either way and no second more.
#[test]
fn timestamps_have_a_tolerance() {
    let now = 1_700_000_000;
    let is_current = |id: &str, timestamp: &str| Signed { id, timestamp, signatures: "" }.is_current(at(now));
    for (seconds, holds) in [(0, true), (300, true), (-300, true), (301, false), (-301, false)] {
        assert_eq!(is_current("a", &(now + seconds).to_string()), holds, "{seconds}");
    }
    for bad in [
        "",
        "-1700000000",
        "+1700000000",
        "01700000000",
        "1700000000.0",
        "1700000000 ",
        "1.7e9",
        "99999999999999999999",
    ] {
        assert!(!is_current("a", bad), "{bad}");
    }
    let now = now.to_string();
    assert!(!is_current("", &now) && !is_current(&"a".repeat(257), &now) && !is_current("a b", &now));
}

/// Scenario: secrets as people mistype them. Guarantees: an error that says what is expected and repeats nothing.
#[test]
fn secrets_that_are_none_are_refused() {
    for bad in [
        "",
        "whsec_",
        "whsec_AAAA",
        &SECRET[6..],
        &format!("{SECRET}AAAAAAAA!"),
        &format!("whsec_{}", "A".repeat(96)),
    ] {
        let expected = SigningKey::parse(bad).unwrap_err();
        assert!(expected.contains("24 to 64 bytes"));
    }
    assert!(SigningKey::parse(SECRET.trim_end_matches('=')).is_ok(), "without padding");
    assert_eq!(format!("{:?}", SigningKey::parse(SECRET).unwrap()), "[signing key]");
}

/// Scenario: a hundred thousand requests: forged, with a signature of another body, id, time or key, stale, from the future,
/// truncated, and with tokens that are almost right. Guarantees: none of them is let in.
#[test]
fn of_a_hundred_thousand_none_is_let_in() {
    let seed = 42;
    println!("seed {seed}");
    let mut random = Random::from_seed(seed);
    let keys = Keys::new([SECRET, VECTOR_SECRET], ["a-token-of-some-length", "another"]).unwrap();
    let (ours, theirs) = (SigningKey::parse(SECRET).unwrap(), SigningKey::parse(OTHER_SECRET).unwrap());
    let now = 1_700_000_000_i64;
    let mut let_in = 0;
    let mut headers = HeaderMap::new();
    for number in 0..100_000_u64 {
        headers.clear();
        let body = format!("[{}]", random.u64());
        let (id, mut seconds) = (format!("msg_{}", random.u64()), now - random.below(300) as i64);
        let signed = |id: &str, seconds: i64, body: &str| format!("{id}.{seconds}.{body}").into_bytes();
        let good = ours.sign(&signed(&id, seconds, &body));
        let signature = match number % 8 {
            0 => theirs.sign(&signed(&id, seconds, &body)),
            1 => ours.sign(&signed(&id, seconds, &format!("{body} "))),
            2 => ours.sign(&signed(&format!("{id}1"), seconds, &body)),
            3 => ours.sign(&signed(&id, seconds - 1, &body)),
            4 => {
                seconds =
                    now + (if random.chance(0.5) { -1 } else { 1 }) * (301 + random.below(1 << 40) as i64);
                ours.sign(&signed(&id, seconds, &body))
            }
            5 => good[..random.below(good.len() as u64) as usize].to_owned(),
            6 => {
                let mut forged = good.clone().into_bytes();
                let at = 3 + random.below(43) as usize;
                forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
                String::from_utf8(forged).unwrap()
            }
            _ => {
                let token = [
                    "a-token-of-some-lengt",
                    "a-token-of-some-length1",
                    "A-token-of-some-length",
                    "",
                    "anothe",
                ];
                let token = token[random.below(5) as usize];
                let scheme = ["Bearer ", "Basic ", "", "Bearer  x"][random.below(4) as usize];
                headers.insert("authorization", format!("{scheme}{token}").parse().unwrap());
                String::new()
            }
        };
        if !signature.is_empty() || number % 8 == 5 {
            headers.insert("webhook-id", id.parse().unwrap());
            headers.insert("webhook-timestamp", seconds.to_string().parse().unwrap());
            headers.insert("webhook-signature", signature.parse().unwrap());
        }
        let_in += u32::from(match keys.judge(&headers, at(now)) {
            None => false,
            Some(Proof::Claim(_)) => false,
            Some(Proof::Done) => true,
            Some(Proof::Signature(proof)) => {
                let content = [proof.prefix(), body.clone().into_bytes()].concat();
                keys.has_signed(proof.signatures, &content)
            }
        });
    }
    assert_eq!(let_in, 0);
}

/// Scenario: signed requests over the network: good, stale, replayed, replayed after a restart, without or with another
/// signature; and tokens beside them. Guarantees: G2, a replay stores nothing, whatever happened between; whoever is not let
/// in gets the same answer for every reason.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_let_in() {
    let mut world = World::new(json!({ "secrets": [OTHER_SECRET, SECRET], "tokens": ["t0ken"] })).await;
    let client = world.client().await;
    let now = world.clock.seconds();
    let signed = |number: u64, at: i64| post(array([number])).signed(SECRET, &format!("msg_{number}"), at);
    assert_eq!(client.send(signed(1, now)).await.status, 202);
    assert_eq!(client.send(signed(2, now - 290)).await.status, 202);
    assert_eq!(client.send(post(array([3])).with("authorization", "Bearer t0ken")).await.status, 202);

    let with_both = post(array([9])).with("authorization", "Bearer t0ken");
    let twice = {
        let mut twice = signed(9, now);
        twice.headers.push(("webhook-id".to_owned(), "msg_8".to_owned()));
        twice
    };
    let refused = [
        post(array([9])),
        signed(9, now - 301),
        signed(9, now + 301),
        Post { body: array([8]).into(), ..signed(9, now) },
        signed(9, now).with("webhook-id", "msg_8"),
        signed(9, now).without("webhook-id"),
        signed(9, now).without("webhook-timestamp"),
        signed(9, now).with("webhook-signature", "v1,"),
        post(array([9])).with("authorization", "Bearer token"),
        post(array([9])).with("authorization", "Basic t0ken"),
        Post { body: array([8]).into(), ..with_both.signed(SECRET, "msg_9", now) },
        twice,
    ];
    let mut answers = Vec::new();
    for post in refused {
        let got = client.send(post).await;
        let challenge = got.header("www-authenticate").map(str::to_owned);
        answers.push((got.status, got.body, challenge));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(answers[0].0, 401);

    assert_eq!(client.send(signed(1, now)).await.status, 202, "a replay is answered as it was");
    world.reopen().await;
    let client = world.client().await;
    assert_eq!(client.send(signed(1, now)).await.status, 202);
    world.clock.pass(Duration::from_secs(301));
    assert_eq!(client.send(signed(1, now)).await.status, 401, "its time is over");
    assert_eq!(
        client.send(signed(1, world.clock.seconds())).await.status,
        202,
        "the sender tries again, signed anew"
    );
    assert_eq!(world.drain().await, [1, 2, 3]);
}

/// Scenario: a file of a secret is replaced while requests come. Guarantees: the new one holds soon, without a restart; the old
/// one no longer; a file that is gone or empty changes nothing.
#[tokio::test(start_paused = true)]
#[allow(clippy::disallowed_methods, reason = "the test stands for whoever changes the secret")]
async fn files_of_secrets_are_read_again() {
    use afferent_core::{blocking::Blocking, secret::SecretSource};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let write = |token: &str| std::fs::write(&path, token).unwrap();
    write("first\n");
    let blocking = Blocking::new();
    let credentials =
        Credentials::open(Scheme::Standard, Vec::new(), vec![SecretSource::File(path.clone())], &blocking)
            .await
            .unwrap();
    let lets_in = async |token: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        credentials.keys(&blocking).await.judge(&headers, at(0)).is_some()
    };
    let pass = async || tokio::time::advance(Duration::from_secs(2)).await;
    assert!(lets_in("first").await && !lets_in("second").await);
    write("second\n");
    pass().await;
    assert!(lets_in("second").await && !lets_in("first").await);
    write("");
    pass().await;
    assert!(lets_in("second").await);
    std::fs::remove_file(&path).unwrap();
    pass().await;
    assert!(lets_in("second").await);
    assert!(!format!("{credentials:?}").contains("second"));
}
