//! Signatures of Standard Webhooks 1.0.0.
//!
//! A request carries `webhook-id`, `webhook-timestamp` (seconds since 1970) and `webhook-signature`, a list of signatures with
//! spaces between: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`. The body is that which was sent, before
//! decompression. Other versions (`v1a`) are passed over, as the specification has it.

use std::{fmt, time::Duration};

use afferent_core::Timestamp;
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use ring::hmac;

/// How far a timestamp may be from our clock, either way.
pub const TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// The most signatures that are looked at: one for each key in use, and a sender has two while it changes them.
const MAX_SIGNATURES: usize = 8;
/// The longest id.
pub(super) const MAX_ID: usize = 256;
/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// A key's length in bytes (specification, "Signature scheme").
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Of secrets, with or without padding: some senders show them without.
const OF_SECRETS: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key that signs.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[signing key]")
    }
}

impl SigningKey {
    /// The key in a text such as `whsec_…`.
    ///
    /// # Errors
    /// What was expected; never the text.
    pub fn parse(text: &str) -> Result<SigningKey, &'static str> {
        const EXPECTED: &str = "expected a signing secret: `whsec_` and the base64 of 24 to 64 bytes";
        let encoded = text.strip_prefix(PREFIX).ok_or(EXPECTED)?;
        let key = OF_SECRETS.decode(encoded).map_err(|_| EXPECTED)?;
        if !KEY_BYTES.contains(&key.len()) {
            return Err(EXPECTED);
        }
        Ok(SigningKey(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    /// A key of another scheme.
    pub(super) fn new(algorithm: hmac::Algorithm, secret: &[u8]) -> SigningKey {
        SigningKey(hmac::Key::new(algorithm, secret))
    }

    /// The signature of `content`, as `webhook-signature` carries it.
    pub fn sign(&self, content: &[u8]) -> String {
        format!("v1,{}", STANDARD.encode(hmac::sign(&self.0, content)))
    }
}

/// What a request says of its signature, before its body is known.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`.
    pub timestamp: &'a str,
    /// `webhook-signature`.
    pub signatures: &'a str,
}

impl Signed<'_> {
    /// Whether this can be a signature at the time `now`, whatever the body is: looked at first, so that no body is read
    /// for nothing.
    pub fn is_current(&self, now: Timestamp) -> bool {
        let is_id = !self.id.is_empty()
            && self.id.len() <= MAX_ID
            && self.id.bytes().all(|byte| byte.is_ascii_graphic());
        // Written as one would: no sign, no leading zero, so that what is signed has one form.
        let is_plain = self.timestamp.len() <= 12
            && self.timestamp.bytes().all(|byte| byte.is_ascii_digit())
            && !self.timestamp.starts_with('0');
        let seconds = self.timestamp.parse::<i64>();
        let tolerance = TOLERANCE.as_secs() as i64;
        let now = now.as_micros().div_euclid(1_000_000);
        is_id && is_plain && seconds.is_ok_and(|seconds| (now - seconds).abs() <= tolerance)
    }

    /// What stands before the body in what is signed.
    pub fn prefix(&self) -> Vec<u8> {
        format!("{}.{}.", self.id, self.timestamp).into_bytes()
    }

    /// Whether one of `keys` has signed `content`, which is the prefix and the body. Takes as long whichever did, or none.
    pub fn is_by(&self, keys: &[SigningKey], content: &[u8]) -> bool {
        is_signed(keys, self.signatures, content)
    }
}

/// Whether one of `signatures` is that of one of `keys` for `content`. Each key goes through the content once, however many
/// signatures there are; tags are compared by tags of theirs, which takes as long wherever they differ.
pub(super) fn is_signed(keys: &[SigningKey], signatures: &str, content: &[u8]) -> bool {
    let tags: Vec<Vec<u8>> = signatures
        .split_ascii_whitespace()
        .take(MAX_SIGNATURES)
        .filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok())
        .collect();
    has_made(keys, &tags, content)
}

/// Whether one of `tags` is that of one of `keys` for `content`; see [`is_signed`].
pub(super) fn has_made(keys: &[SigningKey], tags: &[Vec<u8>], content: &[u8]) -> bool {
    if tags.is_empty() {
        return false;
    }
    keys.iter().fold(false, |found, SigningKey(key)| {
        let expected = hmac::sign(key, hmac::sign(key, content).as_ref());
        tags.iter().fold(found, |found, tag| found | hmac::verify(key, tag, expected.as_ref()).is_ok())
    })
}
