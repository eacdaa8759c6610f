//! Encrypted connections, over sockets.

use std::{path::PathBuf, sync::Arc};

use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;

/// An authority, and a directory for what it gives out.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Authority { issuer, directory: tempfile::tempdir().unwrap() }
    }

    #[allow(clippy::disallowed_methods, reason = "the test stands for whoever manages certificates")]
    fn write(&self, name: &str, pem: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path
    }

    fn ca(&self) -> PathBuf {
        self.write("ca.pem", &self.issuer.pem())
    }

    /// Files of a certificate for `name` and its key, under the names `file`.
    fn files(&self, file: &str, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let cert = self.write(&format!("{file}.pem"), &certificate.pem());
        (cert, self.write(&format!("{file}.key"), &key.serialize_pem()))
    }

    /// A client that trusts it, and shows a certificate if it has one.
    fn client(&self, shows: Option<&(PathBuf, PathBuf)>, protocols: &[&[u8]]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match shows {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let chain = CertificateDer::pem_file_iter(cert).unwrap().map(Result::unwrap).collect();
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
            }
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }
}

async fn connect(
    client: &Client,
    connector: &TlsConnector,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(client.address).await?;
    connector.connect(ServerName::try_from(name.to_owned()).unwrap(), stream).await
}

async fn send(client: &Client, connector: &TlsConnector, number: u64) -> Option<u16> {
    let stream = connect(client, connector, "localhost").await.ok()?;
    Some(talk(stream, &post(array([number])).bytes()).await?.status)
}

/// Scenario: HTTPS over HTTP/1.1 and HTTP/2, and plain HTTP to the same port. Guarantees: both are spoken where they are agreed
/// on; what is not encrypted gets nothing.
#[tokio::test(flavor = "multi_thread")]
async fn connections_are_encrypted() {
    let authority = Authority::new();
    let (cert, key) = authority.files("server", "localhost");
    let mut world = World::new(json!({ "tls": { "cert": cert, "key": key } })).await;
    let client = world.client().await;
    assert_eq!(send(&client, &authority.client(None, &[b"http/1.1"]), 1).await, Some(202));
    assert_eq!(send(&client, &authority.client(None, &[]), 2).await, Some(202));
    assert_eq!(send(&client, &Authority::new().client(None, &[]), 9).await, None, "another authority");
    assert!(client.try_send(post(array([9]))).await.is_none(), "in the clear");

    let stream = connect(&client, &authority.client(None, &[b"h2"]), "localhost").await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tasks::spawn(connection);
    for number in 3..6 {
        let body = http_body_util::Full::new(bytes::Bytes::from(array([number])));
        let request = hyper::Request::post("https://localhost/in").header("content-type", "application/json");
        let response = sender.send_request(request.body(body).unwrap()).await.unwrap();
        assert_eq!(
            (response.status(), response.version()),
            (hyper::StatusCode::ACCEPTED, hyper::Version::HTTP_2)
        );
    }
    drop(sender);
    connection.abort();
    assert_eq!(world.drain().await, [1, 2, 3, 4, 5]);
}

/// Scenario: `client_ca`, and clients without a certificate, with one of another authority, and with the right one. Guarantees:
/// only the last is let in.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_connects_shows_a_certificate() {
    let [authority, clients, others] = [(); 3].map(|()| Authority::new());
    let (cert, key) = authority.files("server", "localhost");
    let mut world =
        World::new(json!({ "tls": { "cert": cert, "key": key, "client_ca": clients.ca() } })).await;
    let client = world.client().await;
    assert_eq!(send(&client, &authority.client(None, &[]), 9).await, None);
    let stranger = others.files("stranger", "sender");
    assert_eq!(send(&client, &authority.client(Some(&stranger), &[]), 9).await, None);
    let sender = clients.files("sender", "sender");
    assert_eq!(send(&client, &authority.client(Some(&sender), &[]), 1).await, Some(202));
    assert_eq!(world.drain().await, [1]);
}

/// Scenario: the certificate is renewed while the listener runs, in two steps, and then spoilt. Guarantees: new connections see
/// the new one at once, without a restart; while the files do not belong together, or hold nothing, the old one is shown, with
/// one alarm.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed() {
    let (old, new) = (Authority::new(), Authority::new());
    let (cert, key) = old.files("server", "localhost");
    let mut world = World::new(json!({ "tls": { "cert": cert, "key": key } })).await;
    let client = world.client().await;
    let (trusts_old, trusts_new) = (old.client(None, &[]), new.client(None, &[]));
    let (new_cert, new_key) = new.files("server", "localhost");
    let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
    assert_eq!(send(&client, &trusts_old, 1).await, Some(202));
    old.write("server.pem", &read(&new_cert));
    for _ in 0..3 {
        assert_eq!(send(&client, &trusts_old, 2).await, Some(202), "the key is still the old one");
    }
    old.write("server.key", &read(&new_key));
    assert_eq!(send(&client, &trusts_new, 3).await, Some(202));
    assert_eq!(send(&client, &trusts_old, 3).await, None);
    old.write("server.pem", "");
    assert_eq!(send(&client, &trusts_new, 4).await, Some(202));
    let alarms = world.told().iter().filter(|told| told.starts_with("alarm")).count();
    assert_eq!(alarms, 2, "{:?}", world.told);
}

/// Scenario: files that are missing, or hold something else. Guarantees: an error when it opens that names the file.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_can_not_be_used_are_errors() {
    let authority = Authority::new();
    let (cert, key) = authority.files("server", "localhost");
    let (_, other) = authority.files("other", "localhost");
    let junk = authority.write("junk.pem", "not PEM");
    for (tls, name) in [
        (json!({ "cert": junk, "key": key }), "junk.pem"),
        (json!({ "cert": cert, "key": junk }), "junk.pem"),
        (json!({ "cert": cert, "key": other }), "other.key"),
        (json!({ "cert": cert, "key": key, "client_ca": junk }), "junk.pem"),
        (json!({ "cert": cert, "key": "/nowhere/key.pem" }), "/nowhere/key.pem"),
    ] {
        let mut world = World::closed(afferent_core::testing::SimDisk::new(1), config(json!({ "tls": tls })));
        let error = world.try_open().await.unwrap_err();
        assert!(error.message().contains(name), "{error}");
    }
}
