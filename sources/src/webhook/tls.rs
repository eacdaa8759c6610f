//! [`Certificates`]: TLS, with certificates that may change.

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use afferent_core::{Error, Result, io_error};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use super::config::Tls;

/// The longest file of certificates.
const PEM_BYTES: u64 = 1 << 20;

/// What a listener shows, as its files have it. They are looked at for each handshake, which takes far longer than reading
/// them.
pub(super) struct Certificates {
    tls: Tls,
    state: Mutex<State>,
}

struct State {
    files: Files,
    config: Arc<ServerConfig>,
    /// Files that could not be used and were told of.
    unfit: Option<Option<Files>>,
}

/// The bytes of the files.
#[derive(Clone, PartialEq, Eq)]
struct Files {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("tls", &self.tls).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// `Config` when a file does not hold what it is for; as `io_error` when it can't be read.
    pub(super) fn open(tls: Tls) -> Result<Certificates> {
        let files = Files::read(&tls)?;
        let config = Arc::new(files.server(&tls)?);
        Ok(Certificates { tls, state: Mutex::new(State { files, config, unfit: None }) })
    }

    /// What holds now, and what an operator should know. While files are being replaced, or can't be used, what they held
    /// before holds.
    pub(super) fn current(&self) -> (Arc<ServerConfig>, Option<String>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let files = Files::read(&self.tls);
        if files.as_ref().is_ok_and(|files| *files == state.files) {
            state.unfit = None;
            return (state.config.clone(), None);
        }
        let seen = files.as_ref().ok().cloned();
        if state.unfit.as_ref() == Some(&seen) {
            return (state.config.clone(), None);
        }
        let made = files.and_then(|files| Ok((Arc::new(files.server(&self.tls)?), files)));
        let failure = match made {
            Ok((config, files)) => {
                *state = State { files, config, unfit: None };
                None
            }
            Err(error) => {
                state.unfit = Some(seen);
                Some(format!("the certificate stays as it was: {error}"))
            }
        };
        (state.config.clone(), failure)
    }
}

impl Files {
    fn read(tls: &Tls) -> Result<Files> {
        let client_ca = tls.client_ca.as_deref().map(read).transpose()?;
        Ok(Files { cert: read(&tls.cert)?, key: read(&tls.key)?, client_ca })
    }

    fn server(&self, tls: &Tls) -> Result<ServerConfig> {
        let chain = certificates(&tls.cert, &self.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| {
            unfit(&tls.key, "a private key in PEM, of RSA, ECDSA or Ed25519, without a password")
        })?;
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::bug(format!("the provider has no common version of TLS: {error}")))?;
        let builder = match (&tls.client_ca, &self.client_ca) {
            (Some(path), Some(pem)) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path, pem)? {
                    roots.add(certificate).map_err(|_| unfit(path, CERTIFICATES))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|_| unfit(path, CERTIFICATES))?)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| {
            Error::config(format!(
                "the certificate in {} and the key in {} can't be used together ({error}); give the two that were made together",
                tls.cert.display(),
                tls.key.display()
            ))
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

const CERTIFICATES: &str = "certificates in PEM";

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(unfit(path, CERTIFICATES)),
    }
}

fn unfit(path: &Path, expected: &str) -> Error {
    Error::config(format!("expected {expected} in {}, found something else", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read;
    let mut pem = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(PEM_BYTES).read_to_end(&mut pem));
    read.map_err(|error| io_error("read", path, error))?;
    Ok(pem)
}
