//! [`Scheme`]: how a vendor proves that a webhook is its, and the challenges by which it makes sure of us.
//!
//! Source: each vendor's documentation, as `docs/formats/vendors.md` has it.
//!
//! | scheme | signed is | with | in |
//! |---|---|---|---|
//! | Fitbit | the body | HMAC-SHA1, the secret and `&` | `X-Fitbit-Signature`, base64 |
//! | Oura | `x-oura-timestamp` (s) and the body | HMAC-SHA256 | `x-oura-signature`, hex |
//! | Whoop | `X-WHOOP-Signature-Timestamp` (ms) and the body | HMAC-SHA256 | `X-WHOOP-Signature`, base64 |
//! | Polar | the body | HMAC-SHA256 | `Polar-Webhook-Signature`, hex |
//! | Suunto | the body | HMAC-SHA256 | `X-HMAC-SHA256-Signature`, hex |
//! | Strava, Terra | `t`, `.` and the body | HMAC-SHA256 | `X-Strava-Signature`, `terra-signature`: `t=…,v1=…`, hex |
//! | Garmin | nothing: `garmin-client-id` is one of `tokens` | | |
//! | Withings | nothing | | |
//! | Svix, Standard Webhooks, bearer | as [`signature`](super::signature) has it | | |

use afferent_core::Timestamp;
use afferent_formats::Format;
use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::{HeaderMap, Method, StatusCode, http::request::Parts};
use ring::hmac;
use serde_json::json;

use super::{
    answer::{Answer, Refusal},
    credentials::{Keys, one},
    signature::{SigningKey, TOLERANCE},
};

/// The longest challenge that is given back, and the longest token that is looked at.
const MAX_CHALLENGE: usize = 256;
/// The most signatures of one header that are looked at, as of Standard Webhooks.
const MAX_SIGNATURES: usize = 8;

/// How a request proves who it is from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// Standard Webhooks (under Svix's names of the headers, too), or a bearer token.
    #[default]
    Standard,
    /// As Fitbit does.
    Fitbit,
    /// As Oura does.
    Oura,
    /// As Whoop does.
    Whoop,
    /// As Polar does.
    Polar,
    /// As Suunto does.
    Suunto,
    /// As Strava does, where it does.
    Strava,
    /// As Terra does.
    Terra,
    /// By a header with the client's id.
    Garmin,
    /// Not at all.
    Withings,
}

impl Scheme {
    /// That of whoever writes bodies of `format`.
    pub fn of(format: Format) -> Scheme {
        match format {
            Format::Fitbit => Scheme::Fitbit,
            Format::Oura => Scheme::Oura,
            Format::Whoop => Scheme::Whoop,
            Format::Polar => Scheme::Polar,
            Format::Suunto => Scheme::Suunto,
            Format::Strava => Scheme::Strava,
            Format::Terra => Scheme::Terra,
            Format::Garmin => Scheme::Garmin,
            Format::Withings => Scheme::Withings,
            _ => Scheme::Standard,
        }
    }

    /// Whether `tokens` let in; else they are for challenges only.
    pub(super) fn is_by_tokens(self) -> bool {
        matches!(self, Scheme::Standard | Scheme::Garmin)
    }

    /// The key in a secret of `secrets`.
    ///
    /// # Errors
    /// What was expected; never the text.
    pub(super) fn key(self, secret: &str) -> Result<SigningKey, &'static str> {
        let secret = secret.trim_end_matches(['\r', '\n']);
        match self {
            Scheme::Standard => SigningKey::parse(secret),
            _ if secret.is_empty() => Err("expected the secret as the vendor shows it, found an empty text"),
            Scheme::Fitbit => {
                let secret = format!("{secret}&");
                Ok(SigningKey::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes()))
            }
            _ => Ok(SigningKey::new(hmac::HMAC_SHA256, secret.as_bytes())),
        }
    }

    /// What a request with these headers says of its signature; `None` if it can't be one, whatever its body is.
    pub(super) fn claim(self, headers: &HeaderMap, now: Timestamp) -> Option<Claim<'_>> {
        let plain =
            |name, encoding| Some(Claim { prefix: ["", ""], signatures: one(headers, name)?, encoding });
        match self {
            Scheme::Fitbit => plain("x-fitbit-signature", Encoding::Base64),
            Scheme::Polar => plain("polar-webhook-signature", Encoding::Hex),
            Scheme::Suunto => plain("x-hmac-sha256-signature", Encoding::Hex),
            Scheme::Oura => {
                let timestamp = one(headers, "x-oura-timestamp").filter(|text| is_current(text, 1, now))?;
                let signatures = one(headers, "x-oura-signature")?;
                Some(Claim { prefix: [timestamp, ""], signatures, encoding: Encoding::Hex })
            }
            Scheme::Whoop => {
                let timestamp = one(headers, "x-whoop-signature-timestamp")
                    .filter(|text| is_current(text, 1_000, now))?;
                let signatures = one(headers, "x-whoop-signature")?;
                Some(Claim { prefix: [timestamp, ""], signatures, encoding: Encoding::Base64 })
            }
            Scheme::Strava | Scheme::Terra => {
                let name = if self == Scheme::Strava { "x-strava-signature" } else { "terra-signature" };
                let signatures = one(headers, name)?;
                let mut times = signatures.split(',').filter_map(|part| part.trim().strip_prefix("t="));
                let timestamp = times.next().filter(|text| is_current(text, 1, now))?;
                // Two could mean one thing to us and another to whoever looked before us.
                let is_only = times.next().is_none();
                is_only.then_some(Claim {
                    prefix: [timestamp, "."],
                    signatures,
                    encoding: Encoding::Versioned,
                })
            }
            Scheme::Standard | Scheme::Garmin | Scheme::Withings => None,
        }
    }

    /// The answer to a challenge, if the request is one.
    pub(super) fn challenge(self, parts: &Parts, keys: &Keys) -> Option<Result<Answer, Refusal>> {
        let query = |name: &str| parameter(parts.uri.query().unwrap_or_default(), name);
        let known = |name: &str| query(name).is_some_and(|token| keys.knows(&token));
        let plain = |status| Some(Ok(Answer::Plain { status, content: None }));
        let echo = |name: &str, is_known: bool| {
            let challenge = query(name)?;
            Some(if is_known {
                let key = if name == "challenge" { "challenge" } else { "hub.challenge" };
                Ok(Answer::Plain { status: StatusCode::OK, content: Some(json!({ key: challenge })) })
            } else {
                Err(Refusal::Unauthorized)
            })
        };
        match (self, &parts.method) {
            (Scheme::Fitbit, &Method::GET) => {
                plain(if known("verify") { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND })
            }
            (Scheme::Oura, &Method::GET) => echo("challenge", known("verification_token")),
            (Scheme::Strava, &Method::GET) => echo("hub.challenge", known("hub.verify_token")),
            (Scheme::Withings, &Method::HEAD | &Method::GET) => plain(StatusCode::OK),
            // It is not signed, and nothing of it is stored.
            (Scheme::Polar, &Method::POST) if one(&parts.headers, "polar-webhook-event") == Some("PING") => {
                plain(StatusCode::OK)
            }
            _ => None,
        }
    }

    /// The answer as this vendor expects it.
    pub(super) fn dressed(self, answer: Answer) -> Answer {
        let plain = |status| Answer::Plain { status, content: None };
        match (self, answer) {
            (Scheme::Fitbit, Answer::Stored(_) | Answer::Committed(_)) => plain(StatusCode::NO_CONTENT),
            (Scheme::Fitbit, Answer::Refused(Refusal::Unauthorized)) => plain(StatusCode::NOT_FOUND),
            // They take nothing but 200.
            (Scheme::Withings | Scheme::Garmin, Answer::Stored(_)) => plain(StatusCode::OK),
            (_, answer) => answer,
        }
    }
}

/// How a tag is written.
#[derive(Clone, Copy, Debug)]
enum Encoding {
    Hex,
    Base64,
    /// `v1=` and hex, in a list with commas.
    Versioned,
}

/// What a request says of its signature, before its body is known.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    prefix: [&'a str; 2],
    signatures: &'a str,
    encoding: Encoding,
}

impl Claim<'_> {
    /// What stands before the body in what is signed.
    pub(super) fn prefix(&self) -> Vec<u8> {
        self.prefix.concat().into_bytes()
    }

    /// The tags that it has.
    pub(super) fn tags(&self) -> Vec<Vec<u8>> {
        match self.encoding {
            Encoding::Base64 => STANDARD.decode(self.signatures).into_iter().collect(),
            Encoding::Hex => hex(self.signatures).into_iter().collect(),
            Encoding::Versioned => {
                let tags =
                    self.signatures.split(',').filter_map(|part| hex(part.trim().strip_prefix("v1=")?));
                tags.take(MAX_SIGNATURES).collect()
            }
        }
    }
}

/// Whether `text` is a time within the tolerance, in so many parts of a second.
fn is_current(text: &str, parts: i64, now: Timestamp) -> bool {
    let is_plain =
        text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let seconds = text.parse::<i64>().map(|number| number / parts);
    let now = now.as_micros().div_euclid(1_000_000);
    is_plain && seconds.is_ok_and(|seconds| (now - seconds).abs() <= TOLERANCE.as_secs() as i64)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    if rest.is_empty() && pairs.len() <= 64 { bytes } else { None }
}

/// The value of a parameter of a query, percent-decoded.
fn parameter(query: &str, name: &str) -> Option<String> {
    let mut found = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(key, _)| *key == name);
    let (_, value) = found.next().filter(|(_, value)| value.len() <= MAX_CHALLENGE)?;
    if found.next().is_some() {
        return None;
    }
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| (byte? as char).to_digit(16);
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}
