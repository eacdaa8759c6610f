//! SMART backend services (HL7 SMART App Launch 2.2, "Backend Services"): a request for a token that is proved by a signed
//! assertion (RFC 7521, RFC 7523) instead of a secret.
//!
//! An assertion holds for five minutes, which is the longest that SMART allows, and is made anew for each request: its `jti`
//! is random, because servers refuse one that comes twice.

use afferent_core::{Error, Result, Timestamp, secret::Secret};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::{SecureRandom, SystemRandom},
    signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA384, RsaKeyPair},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde::Serialize;

use super::config::BackendServices;

/// For how long an assertion holds, in seconds.
const LIFETIME: i64 = 300;

/// A private key.
enum Key {
    Rsa(RsaKeyPair),
    /// Over P-384.
    Ecdsa(EcdsaKeyPair),
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
    typ: &'static str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
    jti: String,
}

/// What is asked for, as a form; `key` is a private key in PEM.
///
/// # Errors
/// `Config` if it is none, or not of a kind that SMART signs with.
pub(super) fn form(smart: &BackendServices, key: &Secret, now: Timestamp) -> Result<String> {
    let random = SystemRandom::new();
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if let Some(scope) = &smart.scope {
        form.append_pair("scope", scope);
    }
    form.append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    form.append_pair("client_assertion", &assertion(smart, &Key::read(key, &random)?, now, &random)?);
    Ok(form.finish())
}

/// A signed JWT (RFC 7515 §7.1).
fn assertion(smart: &BackendServices, key: &Key, now: Timestamp, random: &SystemRandom) -> Result<String> {
    let mut jti = [0; 16];
    random.fill(&mut jti).map_err(|_| Error::bug("the operating system gives no random bytes"))?;
    let header = Header { alg: key.algorithm(), kid: smart.key_id.as_deref(), typ: "JWT" };
    let claims = Claims {
        iss: &smart.client_id,
        sub: &smart.client_id,
        aud: &smart.token_url,
        exp: now.as_micros().div_euclid(1_000_000) + LIFETIME,
        jti: URL_SAFE_NO_PAD.encode(jti),
    };
    let mut text = format!("{}.{}", encode(&header)?, encode(&claims)?);
    let signature = key.sign(text.as_bytes(), random)?;
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    Ok(text)
}

fn encode(part: &impl Serialize) -> Result<String> {
    let json =
        serde_json::to_vec(part).map_err(|_| Error::bug("an assertion's part can't be written as JSON"))?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

impl Key {
    fn read(pem: &Secret, random: &SystemRandom) -> Result<Key> {
        let unfit = || {
            Error::config(
                "expected `private_key` to be a private key in PEM, of RSA (2048 bits or more) or of ECDSA over P-384 in PKCS #8, without a password; found something else",
            )
        };
        let der = PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()).map_err(|_| unfit())?;
        match der {
            PrivateKeyDer::Pkcs1(der) => {
                RsaKeyPair::from_der(der.secret_pkcs1_der()).map(Key::Rsa).map_err(|_| unfit())
            }
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                let ecdsa = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, der, random);
                let rsa = || RsaKeyPair::from_pkcs8(der).map(Key::Rsa);
                ecdsa.map(Key::Ecdsa).or_else(|_| rsa()).map_err(|_| unfit())
            }
            _ => Err(unfit()),
        }
    }

    /// As RFC 7518 names it.
    fn algorithm(&self) -> &'static str {
        match self {
            Key::Rsa(_) => "RS384",
            Key::Ecdsa(_) => "ES384",
        }
    }

    fn sign(&self, text: &[u8], random: &SystemRandom) -> Result<Vec<u8>> {
        let failed = |_| Error::bug("an assertion can't be signed");
        match self {
            Key::Ecdsa(key) => {
                key.sign(random, text).map(|signature| signature.as_ref().to_vec()).map_err(failed)
            }
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA384, random, text, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }
}
