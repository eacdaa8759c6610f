//! Encrypted connections.

use afferent_core::ErrorKind;
use hyper::Version;

use super::{
    authorities::Authority,
    server::{Server, status},
    *,
};

/// Scenario: a receiver whose certificate is of an authority that only `tls.ca` names. Guarantees: with it bodies are
/// delivered, without it nothing is sent.
#[tokio::test]
async fn another_authority_is_trusted_when_it_is_named() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = Server::tls(authority.server("localhost", &[], None), |_, _| status(200)).await;
    let url = format!("https://localhost:{}", server.address.port());
    let trusting = Opened::new(json!({ "url": url, "tls": { "ca": authority.ca() } })).await;
    assert_eq!(trusting.send().await, Outcome::Delivered);
    for tls in [json!({}), json!({ "ca": other.ca() })] {
        let outcome = Opened::new(json!({ "url": url, "tls": tls })).await.send().await;
        assert_eq!(kind(&outcome), "unavailable", "{outcome:?}");
        assert!(reason(&outcome).contains("certificate"), "{outcome:?}");
    }
    // Nor for another name than the certificate's.
    let url = format!("https://127.0.0.1:{}", server.address.port());
    let outcome = Opened::new(json!({ "url": url, "tls": { "ca": authority.ca() } })).await.send().await;
    assert_eq!(kind(&outcome), "unavailable", "{outcome:?}");
    assert_eq!(server.seen().len(), 1);
}

/// Scenario: a receiver that lets in only whom its authority vouches for. Guarantees: G11, without a certificate or with
/// another one nothing is delivered and everything is kept; with the right one it is.
#[tokio::test]
async fn a_certificate_is_shown() {
    for protocols in [&[&b"h2"[..]][..], &[]] {
        let [authority, clients, others] = [(); 3].map(|()| Authority::new());
        let config = authority.server("localhost", protocols, Some(&clients));
        let server = Server::tls(config, |_, _| status(200)).await;
        let url = format!("https://localhost:{}", server.address.port());
        let ca = authority.ca();
        let (certificate, key) = others.files("stranger");
        let strangers = [json!({ "ca": ca }), json!({ "ca": ca, "certificate": certificate, "key": key })];
        for tls in strangers {
            let outcome = Opened::new(json!({ "url": url, "tls": tls })).await.send().await;
            assert!(matches!(outcome, Outcome::Unavailable { .. }), "{outcome:?}");
        }
        assert!(server.seen().is_empty());
        let (certificate, key) = clients.files("sender");
        let tls = json!({ "ca": ca, "certificate": certificate, "key": key });
        assert_eq!(upload(super::config(json!({ "url": url, "tls": tls }))).await, 0);
        assert_eq!(server.seen().len(), 1);
    }
}

/// Scenario: receivers that speak HTTP/2, HTTP/1.1, or both. Guarantees: HTTP/2 is used where it is offered; the length is
/// said in each.
#[tokio::test]
async fn http_2_is_used_where_it_is_offered() {
    let h2_first: &[&[u8]] = &[b"h2", b"http/1.1"];
    for (protocols, version) in [
        (h2_first, Version::HTTP_2),
        (&[b"h2"], Version::HTTP_2),
        (&[b"http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let authority = Authority::new();
        let server = Server::tls(authority.server("localhost", protocols, None), |_, _| status(200)).await;
        let url = format!("https://localhost:{}", server.address.port());
        let opened = Opened::new(json!({ "url": url, "tls": { "ca": authority.ca() } })).await;
        for _ in 0..2 {
            assert_eq!(opened.send().await, Outcome::Delivered);
        }
        for request in server.seen() {
            assert_eq!(request.version, version);
            assert_eq!(request.header("content-length"), "4");
            assert_eq!(request.header("transfer-encoding"), "");
        }
    }
}

/// Scenario: files that are missing, hold nothing, something else, or a key of another certificate. Guarantees: an error of
/// kind `Config` or one that says the file can't be read, with its name, when the sink opens; never silence.
#[tokio::test]
async fn certificates_that_can_not_be_used_are_errors() {
    let authority = Authority::new();
    let (certificate, key) = authority.files("sender");
    let (_, other_key) = authority.files("other");
    let (empty, junk) = (authority.write("empty.pem", ""), authority.write("junk.pem", "not PEM at all"));
    let cases = [
        (json!({ "ca": empty }), "empty.pem"),
        (json!({ "ca": junk }), "junk.pem"),
        (json!({ "ca": key }), "sender.key"),
        (json!({ "certificate": key, "key": key }), "sender.key"),
        (json!({ "certificate": certificate, "key": junk }), "junk.pem"),
        (json!({ "certificate": certificate, "key": other_key }), "other.key"),
    ];
    for (tls, name) in cases {
        let text = json!({ "url": "https://localhost", "tls": tls });
        let Err(error) = Opened::try_new(text).await else { panic!("{name} was accepted") };
        assert_eq!(error.kind(), ErrorKind::Config, "{name}: {error}");
        assert!(error.message().contains(name), "{name}: {error}");
    }
    let missing = json!({ "url": "https://localhost", "tls": { "ca": "/nowhere/ca.pem" } });
    let Err(error) = Opened::try_new(missing).await else { panic!("a missing file was accepted") };
    assert!(error.message().contains("/nowhere/ca.pem"), "{error}");
}
