//! Vendors' webhooks: who is let in, challenges, and answers as they expect them.
//!
//! The signatures were made by another program, over the bodies as they stand here: Python's
//! `hmac.new(key, prefix + body, hashlib.sha256).digest()`, with `hashlib.sha1` for Fitbit, in hex or base64 as the vendor has it. The
//! key is the secret, for Fitbit with `&` behind it, for Svix the base64 behind `whsec_`; the prefix is what the table of
//! [`vendor`](super::super::vendor) says is signed before the body.

use serde_json::json;

use super::*;

/// A secret of no use elsewhere.
const PLAIN: &str = "an invented secret";
const WHSEC: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

/// A signed request of a vendor.
struct Vector {
    format: &'static str,
    secret: &'static str,
    body: &'static str,
    headers: &'static [(&'static str, &'static str)],
    /// The header that holds the signature.
    signature: &'static str,
    /// The answer to a good one, and to a bad one.
    answers: (u16, u16),
}

const VECTORS: &[Vector] = &[
    Vector {
        format: "fitbit",
        secret: PLAIN,
        body: r#"[{"collectionType":"activities","date":"2025-06-01","ownerId":"2A"}]"#,
        headers: &[("x-fitbit-signature", "dkaEyD5JP0+vfMzrpJFwZhLkWT8=")],
        signature: "x-fitbit-signature",
        answers: (204, 404),
    },
    Vector {
        format: "oura",
        secret: PLAIN,
        body: r#"{"event_type":"update","data_type":"daily_sleep","object_id":"o","event_time":"2025-06-01T00:00:00Z","user_id":"u"}"#,
        headers: &[
            ("x-oura-timestamp", "1748736000"),
            ("x-oura-signature", "73A0D4C0BE72AC79AF53927813E3FA54BE7C409439B60CF663C26C037D3A5640"),
        ],
        signature: "x-oura-signature",
        answers: (202, 401),
    },
    Vector {
        format: "whoop",
        secret: PLAIN,
        body: r#"{"user_id":10,"id":"w","type":"sleep.updated","trace_id":"t"}"#,
        headers: &[
            ("x-whoop-signature-timestamp", "1748736000123"),
            ("x-whoop-signature", "hpg3TR2JN6KiQ0jwjSitAbHsEINleD5oRbgFMJMxFPY="),
        ],
        signature: "x-whoop-signature",
        answers: (202, 401),
    },
    Vector {
        format: "polar",
        secret: PLAIN,
        body: r#"{"event":"EXERCISE","user_id":4,"entity_id":"e","timestamp":"2025-06-01T00:00:00Z"}"#,
        headers: &[
            ("polar-webhook-event", "EXERCISE"),
            ("polar-webhook-signature", "c1554d308ba327bf2c8b7959f33b8e47f150e1f1182b3330eaeea6cccc0fabe3"),
        ],
        signature: "polar-webhook-signature",
        answers: (202, 401),
    },
    Vector {
        format: "suunto",
        secret: PLAIN,
        body: r#"{"type":"SUUNTO_247_SLEEP_CREATED","username":"kim","samples":[]}"#,
        headers: &[(
            "x-hmac-sha256-signature",
            "a46213a724ead76a97274cdf9917a00eefae1f2601a71c4238982eaf188fd8ad",
        )],
        signature: "x-hmac-sha256-signature",
        answers: (202, 401),
    },
    Vector {
        format: "strava",
        secret: PLAIN,
        body: r#"{"aspect_type":"create","event_time":1748736000,"object_id":1,"object_type":"activity","owner_id":2}"#,
        headers: &[(
            "x-strava-signature",
            "t=1748736000,v1=c1d055326c29ebabd766d667cf79d641bf924a34c02d1d19ca57a5648f60c5ae",
        )],
        signature: "x-strava-signature",
        answers: (202, 401),
    },
    Vector {
        format: "terra",
        secret: PLAIN,
        body: r#"{"type":"auth","status":"success","user":{"user_id":"t"}}"#,
        headers: &[(
            "terra-signature",
            "t=1748736000,v1=2b17b3e0c082e1792dbbc753118bc5cdf8541077b44a779741701cec5ae38047",
        )],
        signature: "terra-signature",
        answers: (202, 401),
    },
    Vector {
        format: "junction",
        secret: WHSEC,
        body: r#"{"event_type":"historical.data.sleep.created","user_id":"j","data":{}}"#,
        headers: &[
            ("svix-id", "msg_1"),
            ("svix-timestamp", "1748736000"),
            ("svix-signature", "v1,9/9GQ7DSp296B4Md4aHMOEioAPhRQ2/XEA31/GBCwl8="),
        ],
        signature: "svix-signature",
        answers: (202, 401),
    },
    Vector {
        format: "open_wearables",
        secret: WHSEC,
        body: r#"{"type":"sleep.created","data":{"user_id":"o","start_time":"2025-06-01T00:00:00Z"}}"#,
        headers: &[
            ("svix-id", "msg_2"),
            ("svix-timestamp", "1748736000"),
            ("svix-signature", "v1,U7Gk2Z/kVA+CNNIsRwnenKormM0m3WNnSwHxTa4J7WY="),
        ],
        signature: "svix-signature",
        answers: (202, 401),
    },
];

fn request(vector: &Vector) -> Post {
    vector.headers.iter().fold(post(vector.body), |post, (name, value)| post.with(name, *value))
}

/// `text` with its last letter or digit changed into one that differs by a bit.
fn changed(text: &str) -> String {
    let at = text.rfind(|c: char| c.is_ascii_alphanumeric()).unwrap();
    let mut bytes = text.as_bytes().to_vec();
    // Among hexadecimal digits and base64 alike another one: 8 for 9, b for c.
    bytes[at] = if bytes[at] == b'9' {
        b'8'
    } else if bytes[at].is_ascii_digit() {
        bytes[at] + 1
    } else {
        bytes[at] ^ 1
    };
    String::from_utf8(bytes).unwrap()
}

/// Scenario: a request of each vendor as it signs, with one bit of its body or its signature changed, without a signature, and ten
/// minutes later where a time is signed. Guarantees: only the first is let in, whole, and answered as the vendor expects.
#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_vendor_signed_is_let_in() {
    for vector in VECTORS {
        let mut world = World::new(json!({ "format": vector.format, "secrets": [vector.secret] })).await;
        let client = world.client().await;
        let (good, bad) = vector.answers;
        assert_eq!(client.send(request(vector)).await.status, good, "{}", vector.format);
        let mut forged = request(vector);
        forged.body[10] ^= 1;
        assert_eq!(client.send(forged).await.status, bad, "{}: another body", vector.format);
        let mut forged = request(vector);
        for (name, value) in &mut forged.headers {
            if name == vector.signature {
                // In front of the padding of base64.
                let cut = value.trim_end_matches('=').len();
                *value = changed(&value[..cut - 1]) + &value[cut - 1..];
            }
        }
        assert_eq!(client.send(forged).await.status, bad, "{}: another signature", vector.format);
        let bare = request(vector).without(vector.signature);
        assert_eq!(client.send(bare).await.status, bad, "{}: no signature", vector.format);
        let is_timed = vector.headers.iter().any(|(_, value)| value.contains("1748736000"));
        if is_timed {
            world.clock.pass(Duration::from_secs(600));
            assert_eq!(client.send(request(vector)).await.status, bad, "{}: an old one", vector.format);
        }
        let pulled = world.pull().await;
        assert_eq!((pulled.batch.len(), pulled.rejects.len()), (1, 0), "{}", vector.format);
    }
}

/// Scenario: the challenges of each vendor, right and wrong. Guarantees: the right answer to the right one, and nothing is stored.
#[tokio::test(flavor = "multi_thread")]
async fn challenges_are_answered() {
    let cases = [
        ("fitbit", "GET", "/in?verify=t0ken", 204, serde_json::Value::Null),
        ("fitbit", "GET", "/in?verify=other", 404, serde_json::Value::Null),
        ("fitbit", "GET", "/in", 404, serde_json::Value::Null),
        (
            "oura",
            "GET",
            "/in?verification_token=t0ken&challenge=abc%20d",
            200,
            json!({ "challenge": "abc d" }),
        ),
        ("oura", "GET", "/in?verification_token=other&challenge=abc", 401, json!("unauthorized")),
        (
            "strava",
            "GET",
            "/in?hub.mode=subscribe&hub.challenge=15f7&hub.verify_token=t0ken",
            200,
            json!({ "hub.challenge": "15f7" }),
        ),
        (
            "strava",
            "GET",
            "/in?hub.challenge=15f7&hub.verify_token=t0ken&hub.verify_token=t0ken",
            401,
            json!("unauthorized"),
        ),
        ("withings", "GET", "/in", 200, serde_json::Value::Null),
        ("polar", "GET", "/in", 405, json!("wrong_method")),
    ];
    for (format, method, path, status, content) in cases {
        let keys = if format == "withings" {
            json!({ "format": format })
        } else {
            json!({ "format": format, "secrets": [PLAIN], "tokens": ["t0ken"] })
        };
        let world = World::new(keys).await;
        let request = Post { method, path: path.to_owned(), headers: Vec::new(), body: Vec::new() };
        let got = world.client().await.send(request).await;
        assert_eq!(got.status, status, "{format} {path}");
        let found = got.body.get("error").unwrap_or(&got.body);
        assert_eq!(*found, content, "{format} {path}");
    }
}

/// Scenario: senders without a signature of their own: a bearer token, a client's id, a form, an unsigned ping; and a verification
/// without its token. Guarantees: each is let in by what it has, and told what it expects; who has it not is not.
#[tokio::test(flavor = "multi_thread")]
async fn other_proofs_are_taken() {
    let notice = r#"[{"data":{"healthUserId":"h","operation":"UPSERT","dataType":"steps","intervals":[]}}]"#;
    let mut world = World::new(json!({ "format": "google_health", "tokens": ["t0ken"] })).await;
    let client = world.client().await;
    let bearer = |body: &str| post(body).with("authorization", "Bearer t0ken");
    assert_eq!(client.send(bearer(notice)).await.status, 202);
    assert_eq!(client.send(bearer(r#"{"type":"verification"}"#)).await.status, 202);
    assert_eq!(client.send(post(r#"{"type":"verification"}"#)).await.status, 401);
    assert_eq!(world.pull().await.batch.len(), 1);

    let mut world = World::new(json!({ "format": "garmin", "tokens": ["cl1ent"] })).await;
    let client = world.client().await;
    let ping = r#"{"activities":[{"userId":"9","callbackURL":"https://api.example/a"}]}"#;
    assert_eq!(client.send(post(ping).with("garmin-client-id", "cl1ent")).await.status, 200);
    assert_eq!(client.send(post(ping).with("garmin-client-id", "other")).await.status, 401);
    assert_eq!(client.send(post(ping)).await.status, 401);
    assert_eq!(world.pull().await.batch.len(), 1);

    let mut world = World::new(json!({ "format": "withings" })).await;
    let form = post("userid=1&appli=4&startdate=1748736000&enddate=1748736060")
        .with("content-type", "application/x-www-form-urlencoded");
    assert_eq!(world.client().await.send(form).await.status, 200);
    assert_eq!(world.pull().await.batch.len(), 1);

    let world = World::new(json!({ "format": "polar", "secrets": [PLAIN] })).await;
    let ping =
        post(r#"{"timestamp":"2025-06-01T00:00:00Z","event":"PING"}"#).with("polar-webhook-event", "PING");
    assert_eq!(world.client().await.send(ping).await.status, 200);
}

/// Scenario: configurations for other machines. Guarantees: tokens that are for challenges only let nobody in, and `validate` says so.
#[test]
fn tokens_for_challenges_are_no_proof() {
    use afferent_core::config::Configure;
    let problems = |keys: serde_json::Value| {
        let mut all = json!({ "listen": "0.0.0.0:443", "path": "/in", "tls": { "cert": "c", "key": "k" } });
        all.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        serde_json::from_value::<Config>(all).unwrap().check().len()
    };
    assert_eq!(problems(json!({ "format": "strava", "tokens": ["t0ken"] })), 1);
    assert_eq!(problems(json!({ "format": "strava", "tokens": ["t0ken"], "secrets": [PLAIN] })), 0);
    assert_eq!(problems(json!({ "format": "withings", "secrets": [PLAIN] })), 1);
    assert_eq!(problems(json!({ "format": "garmin", "tokens": ["cl1ent"] })), 0);
    assert_eq!(problems(json!({ "format": "oura", "secrets": [""] })), 1);
}
