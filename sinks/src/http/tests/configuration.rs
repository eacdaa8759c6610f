//! What configurations may say.

use afferent_core::config::Configure;

use super::*;

/// Scenario: configurations that would leak or do nothing. Guarantees: G8, each is refused, and no secret is printed.
#[test]
fn what_would_leak_is_refused() {
    let problems =
        |text| config(text).check().into_iter().map(|problem| problem.key_path.join(".")).collect::<Vec<_>>();
    let url = "https://clinic.example/in";
    assert_eq!(problems(json!({ "url": url })), Vec::<String>::new());
    assert_eq!(problems(json!({ "url": "http://clinic.example/" })), ["url"]);
    assert_eq!(problems(json!({ "url": "http://clinic.example/", "insecure": true })), Vec::<String>::new());
    assert_eq!(problems(json!({ "url": "https://me:pw@clinic.example/" })), ["url"]);
    assert_eq!(
        problems(json!({ "url": url, "headers": { "Content-Length": "1" } })),
        ["headers.Content-Length"]
    );
    assert_eq!(problems(json!({ "url": url, "tls": { "key": "k" } })), ["tls"]);
    let shown = format!(
        "{:?}",
        config(json!({ "url": url, "auth": { "bearer": "hush" }, "headers": { "x": "hush" } }))
    );
    assert!(!shown.contains("hush"), "{shown}");
}
