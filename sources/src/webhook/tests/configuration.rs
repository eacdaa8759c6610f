//! What a configuration may say.

use afferent_core::config::Configure;
use serde_json::json;

use super::*;

fn problems(keys: serde_json::Value) -> Vec<(String, String)> {
    let mut all = json!({ "listen": "127.0.0.1:8080", "path": "/in" });
    all.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    let config: Config = serde_json::from_value(all).unwrap();
    config.check().into_iter().map(|problem| (problem.key_path.join("."), problem.message)).collect()
}

/// Scenario: configurations that would let everybody in, show records on the way, or do nothing. Guarantees: G8, each is
/// refused where it is wrong, and no secret is repeated.
#[test]
fn what_is_wrong_is_said() {
    let tls = json!({ "cert": "c.pem", "key": "k.pem" });
    let cases = [
        (json!({ "listen": "nowhere" }), "listen"),
        (json!({ "listen": "127.0.0.1" }), "listen"),
        (json!({ "path": "in" }), "path"),
        (json!({ "path": "/in?x" }), "path"),
        (json!({ "listen": "0.0.0.0:80", "tls": tls }), "listen"),
        (json!({ "listen": "0.0.0.0:80", "tokens": ["abc"] }), "listen"),
        (json!({ "secrets": ["whsec_s3cret"] }), "secrets.0"),
        (json!({ "tokens": ["good", "s3cret with a space"] }), "tokens.1"),
        (json!({ "max_body": "1GiB" }), "max_body"),
        (json!({ "max_body": "0B" }), "max_body"),
        (json!({ "max_in_flight": "1MiB" }), "max_in_flight"),
        (json!({ "max_bytes": "8MiB" }), "max_bytes"),
        (json!({ "connections": 0 }), "connections"),
        (json!({ "max_ids": 0 }), "max_ids"),
        (json!({ "ack_timeout": "0s" }), "ack_timeout"),
        (json!({ "timeouts": { "idle": "0s" } }), "timeouts.idle"),
    ];
    for (keys, key) in cases {
        let found = problems(keys.clone());
        assert_eq!(found.len(), 1, "{keys}: {found:?}");
        assert_eq!(found[0].0, key, "{keys}");
        assert!(!found[0].1.contains("s3cret"), "{found:?}");
    }
    for keys in [
        json!({}),
        json!({ "listen": "[::1]:0" }),
        json!({ "format": "csv" }),
        json!({ "listen": "0.0.0.0:80", "insecure": true }),
        json!({ "listen": "0.0.0.0:80", "tls": tls, "tokens": ["abc"] }),
        json!({ "listen": "0.0.0.0:80", "tls": { "cert": "c", "key": "k", "client_ca": "ca" } }),
        json!({ "secrets": [SECRET], "ack": "committed", "max_body": "32MiB" }),
    ] {
        assert_eq!(problems(keys.clone()), [], "{keys}");
    }
    let config = config(json!({ "secrets": [SECRET], "tokens": ["t0ken"] }));
    assert!(!format!("{config:?}").contains("t0ken") && !format!("{config:?}").contains(&SECRET[10..]));
}
