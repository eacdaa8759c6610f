//! Certificates, from PEM files.
//!
//! They are looked at here, so that an error names the file that is wrong; a file that holds none of what it is for is an
//! error, because the HTTP client would do without.

use std::path::Path;

use afferent_core::{Error, Result, io_error};
use reqwest::{Certificate, ClientBuilder, Identity};
use rustls::{
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::config::Tls;

/// The longest file of certificates.
const PEM_BYTES: u64 = 1 << 20;

/// Lets `client` trust and show what `tls` says.
///
/// # Errors
/// `Config` when a file does not hold what it is for; as `io_error` when it can't be read.
pub(super) fn apply(tls: &Tls, mut client: ClientBuilder) -> Result<ClientBuilder> {
    let Tls { ca, certificate, key } = tls;
    if let Some(path) = ca {
        for certificate in certificates(path, &read(path)?)? {
            let certificate = Certificate::from_der(&certificate).map_err(|_| unfit(path, CERTIFICATE))?;
            client = client.add_root_certificate(certificate);
        }
    }
    if let (Some(certificate), Some(key)) = (certificate, key) {
        client = client.identity(identity(certificate, key)?);
    }
    Ok(client)
}

const CERTIFICATE: &str = "certificates in PEM";

fn identity(certificate: &Path, key: &Path) -> Result<Identity> {
    let (mut pem, key_pem) = (read(certificate)?, read(key)?);
    let chain = certificates(certificate, &pem)?;
    let unfit_key = || unfit(key, "a private key in PEM, of RSA, ECDSA or Ed25519, without a password");
    let der = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|_| unfit_key())?;
    let signing = any_supported_type(&der).map_err(|_| unfit_key())?;
    if CertifiedKey::new(chain, signing).keys_match().is_err() {
        return Err(Error::config(format!(
            "the key in {} is not that of the certificate in {}; give the two that were made together",
            key.display(),
            certificate.display()
        )));
    }
    pem.push(b'\n');
    pem.extend(key_pem);
    Identity::from_pem(&pem).map_err(|error| unfit(certificate, CERTIFICATE).with_source(error))
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(unfit(path, CERTIFICATE)),
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
