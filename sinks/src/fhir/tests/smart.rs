//! SMART backend services.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PublicKeyData};
use ring::signature::{
    ECDSA_P384_SHA384_FIXED, KeyPair as _, RSA_PKCS1_2048_8192_SHA384, RsaKeyPair, UnparsedPublicKey,
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};

use super::*;
use crate::http::tests::server::status;

/// The last bytes of a SubjectPublicKeyInfo of P-384: an uncompressed point.
const POINT_BYTES: usize = 97;

/// Scenario: a server that gives tokens for signed assertions, and refuses the first token. Guarantees: the request has the
/// form of RFC 7523, its signature is the key's, no assertion comes twice.
#[tokio::test]
async fn assertions_are_exchanged_for_tokens() {
    let server = Server::plain(|request, before| match (request.path.as_str(), before) {
        ("/token", _) => answer(200, json!({ "access_token": format!("t{before}"), "expires_in": 300 })),
        (_, 1) => status(401),
        _ => status(200),
    })
    .await;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let token_url = format!("{}/token", server.url());
    let smart = json!({
        "token_url": token_url, "client_id": "afferent", "private_key": key.serialize_pem(),
        "key_id": "k1", "scope": "system/Observation.c",
    });
    let around = Surroundings::new();
    let config = config(json!({ "url": format!("{}/fhir", server.url()), "auth": { "smart": smart } }));
    let mut transport = FhirServer::new(config);
    transport.open(&around.sink(None, 1)).await.unwrap();
    assert!(matches!(transport.send(&body(1)).await, Outcome::Unauthorized { .. }));
    assert_eq!(transport.send(&body(1)).await, Outcome::Delivered);
    assert_eq!(server.paths(), ["/token", "/fhir", "/token", "/fhir"]);
    let seen = server.seen();
    assert_eq!(seen[3].header("authorization"), "Bearer t2");
    let public = key.subject_public_key_info();
    let public = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &public[public.len() - POINT_BYTES..]);
    let mut ids = Vec::new();
    for request in [&seen[0], &seen[2]] {
        assert_eq!(request.header("authorization"), "");
        let form: Vec<(String, String)> = form_urlencoded::parse(&request.body).into_owned().collect();
        let field = |name: &str| form.iter().find(|(key, _)| key == name).unwrap().1.clone();
        assert_eq!(field("grant_type"), "client_credentials");
        assert_eq!(field("scope"), "system/Observation.c");
        assert_eq!(field("client_assertion_type"), "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        let assertion = field("client_assertion");
        let (signed, signature) = assertion.rsplit_once('.').unwrap();
        public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        let part =
            |text: &str| -> Json { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap() };
        let (header, claims) = signed.split_once('.').unwrap();
        assert_eq!(part(header), json!({ "alg": "ES384", "kid": "k1", "typ": "JWT" }));
        let claims = part(claims);
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!("afferent"), &json!("afferent")));
        assert_eq!(claims["aud"], token_url.as_str());
        // The surroundings' clock shows 2025-06-01T00:00:00Z when they begin.
        assert!((1_748_736_300..1_748_736_400).contains(&claims["exp"].as_i64().unwrap()), "{claims}");
        ids.push(claims["jti"].as_str().unwrap().to_owned());
    }
    assert_ne!(ids[0], ids[1]);
}

/// A key of RSA in both forms that people have it in: made by `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048` and
/// `openssl rsa -traditional`, for this test, and of no use elsewhere.
const RSA: [&str; 2] = [include_str!("rsa.pkcs8.pem"), include_str!("rsa.pkcs1.pem")];

/// Scenario: a key of RSA, in either form. Guarantees: the assertion says `RS384`, its signature is the key's, and is none of
/// anything else.
#[tokio::test]
async fn keys_of_rsa_sign_too() {
    let der = PrivatePkcs8KeyDer::from_pem_slice(RSA[0].as_bytes()).unwrap();
    let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA384, pair.public_key().as_ref());
    for pem in RSA {
        let server = Server::plain(|request, _| match request.path.as_str() {
            "/token" => answer(200, json!({ "access_token": "t", "expires_in": 300 })),
            _ => status(200),
        })
        .await;
        let smart = json!({ "token_url": format!("{}/token", server.url()), "client_id": "afferent", "private_key": pem });
        let around = Surroundings::new();
        let config = config(json!({ "url": format!("{}/fhir", server.url()), "auth": { "smart": smart } }));
        let mut transport = FhirServer::new(config);
        transport.open(&around.sink(None, 1)).await.unwrap();
        assert_eq!(transport.send(&body(1)).await, Outcome::Delivered);
        let seen = server.seen();
        let assertion = form_urlencoded::parse(&seen[0].body)
            .find_map(|(key, value)| (key == "client_assertion").then(|| value.into_owned()))
            .unwrap();
        let (signed, signature) = assertion.rsplit_once('.').unwrap();
        let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        public.verify(signed.as_bytes(), &signature).unwrap();
        let header = URL_SAFE_NO_PAD.decode(signed.split('.').next().unwrap()).unwrap();
        assert_eq!(serde_json::from_slice::<Json>(&header).unwrap(), json!({ "alg": "RS384", "typ": "JWT" }));
        assert!(public.verify(&signed.as_bytes()[1..], &signature).is_err());
        signature[7] ^= 1;
        assert!(public.verify(signed.as_bytes(), &signature).is_err());
    }
}

/// Scenario: what is no key that SMART signs with. Guarantees: G8 and G11, it is told, nothing is sent, and the key is not shown.
#[tokio::test]
async fn other_keys_are_refused() {
    let server = Server::plain(|_, _| status(200)).await;
    let other = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
    for key in [other.as_str(), "hush", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        let smart =
            json!({ "token_url": format!("{}/token", server.url()), "client_id": "me", "private_key": key });
        let around = Surroundings::new();
        let config = config(json!({ "url": server.url(), "auth": { "smart": smart } }));
        let mut transport = FhirServer::new(config);
        transport.open(&around.sink(None, 1)).await.unwrap();
        let Outcome::Unauthorized { reason } = transport.send(&body(1)).await else { panic!("it was sent") };
        assert!(reason.contains("P-384") && !reason.contains("hush") && !reason.contains("AAAA"), "{reason}");
        assert!(server.seen().is_empty());
    }
}
