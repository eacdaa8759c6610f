//! [`Credentials`]: who may post.
//!
//! | configured | a request is let in if |
//! |---|---|
//! | `secrets` | it has a signature that one of them made, within [`TOLERANCE`](super::TOLERANCE) |
//! | `tokens` | it has `Authorization: Bearer` with one of them |
//! | both | either; one that has a signature is judged by that alone |
//! | the `format` of a vendor | it has that vendor's proof; see [`Scheme`] |
//! | neither | always: the listener asks for certificates, or listens to this machine only |

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use afferent_core::{
    Error, Result, Timestamp,
    blocking::Blocking,
    clock::{self, Instant},
    secret::SecretSource,
};
use hyper::{HeaderMap, header};
use ring::{hmac, rand::SystemRandom};

use super::{
    config::is_token,
    signature::{Signed, SigningKey, has_made, is_signed},
    vendor::{Claim, Scheme},
};

/// How often files of secrets are looked at, while there are requests: soon enough for whoever has just changed one.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Keys and tokens, ready to compare with.
pub struct Keys {
    scheme: Scheme,
    signing: Vec<SigningKey>,
    /// Tokens are compared by their tag under a key of this process, so that the time it takes says nothing of them.
    hidden: hmac::Key,
    tokens: Vec<hmac::Tag>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("signing", &self.signing.len())
            .field("tokens", &self.tokens.len())
            .finish_non_exhaustive()
    }
}

/// How a request proves who it is from.
#[derive(Clone, Copy, Debug)]
pub enum Proof<'a> {
    /// By nothing, or by what was proved already.
    Done,
    /// By a signature, for which its body is needed.
    Signature(Signed<'a>),
    /// By that of a vendor, likewise.
    Claim(Claim<'a>),
}

impl Proof<'_> {
    /// What stands before the body in what is signed.
    pub(super) fn prefix(&self) -> Vec<u8> {
        match self {
            Proof::Done => Vec::new(),
            Proof::Signature(signed) => signed.prefix(),
            Proof::Claim(claim) => claim.prefix(),
        }
    }

    /// What is looked for in the body, on whatever thread that is done.
    pub(super) fn evidence(&self) -> Evidence {
        match self {
            Proof::Done => Evidence::None,
            Proof::Signature(signed) => Evidence::Signatures(signed.signatures.to_owned()),
            Proof::Claim(claim) => Evidence::Tags(claim.tags()),
        }
    }
}

/// What has to be that of one of our keys.
#[derive(Debug)]
pub(super) enum Evidence {
    None,
    Signatures(String),
    Tags(Vec<Vec<u8>>),
}

impl Keys {
    /// Ready for `secrets` and `tokens`.
    ///
    /// # Errors
    /// `Config`, with what was expected and never the text.
    pub fn new<'a>(
        secrets: impl IntoIterator<Item = &'a str>,
        tokens: impl IntoIterator<Item = &'a str>,
    ) -> Result<Keys> {
        Keys::of(Scheme::Standard, secrets, tokens)
    }

    /// Ready for `secrets` and `tokens` as `scheme` has them.
    ///
    /// # Errors
    /// As [`new`](Keys::new).
    pub fn of<'a>(
        scheme: Scheme,
        secrets: impl IntoIterator<Item = &'a str>,
        tokens: impl IntoIterator<Item = &'a str>,
    ) -> Result<Keys> {
        let signing: Result<Vec<_>, _> = secrets.into_iter().map(|secret| scheme.key(secret)).collect();
        let signing = signing.map_err(|expected| Error::config(format!("in `secrets`: {expected}")))?;
        let hidden = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| Error::transient("the operating system gave no random bytes"))?;
        let tags = tokens.into_iter().map(|token| {
            if is_token(token) {
                Ok(hmac::sign(&hidden, token.as_bytes()))
            } else {
                Err(Error::config("in `tokens`: expected letters, digits and signs without a space"))
            }
        });
        let tokens = tags.collect::<Result<Vec<_>>>()?;
        Ok(Keys { scheme, signing, hidden, tokens })
    }

    /// How a request with these `headers` proves who it is from; `None` if it can't, whatever its body is.
    pub fn judge<'h>(&self, headers: &'h HeaderMap, now: Timestamp) -> Option<Proof<'h>> {
        if self.signing.is_empty() && (self.tokens.is_empty() || !self.scheme.is_by_tokens()) {
            return Some(Proof::Done);
        }
        match self.scheme {
            Scheme::Standard => {}
            Scheme::Garmin => return self.knows(one(headers, "garmin-client-id")?).then_some(Proof::Done),
            vendor => return vendor.claim(headers, now).map(Proof::Claim),
        }
        // Svix has names of its own for the same headers.
        let names = ["webhook", "svix"].map(|sender| format!("{sender}-signature"));
        if let Some(name) = names.iter().find(|name| headers.contains_key(name.as_str()))
            && !self.signing.is_empty()
        {
            let sender = name.trim_end_matches("-signature");
            let signed = Signed {
                id: one(headers, &format!("{sender}-id"))?,
                timestamp: one(headers, &format!("{sender}-timestamp"))?,
                signatures: one(headers, name)?,
            };
            return signed.is_current(now).then_some(Proof::Signature(signed));
        }
        let (scheme, token) = one(headers, header::AUTHORIZATION.as_str())?.split_once(' ')?;
        let token = token.trim_start_matches(' ');
        (scheme.eq_ignore_ascii_case("bearer") && self.knows(token)).then_some(Proof::Done)
    }

    /// Whether `token` is one of ours. Takes as long whichever it is, or none.
    pub(super) fn knows(&self, token: &str) -> bool {
        self.tokens.iter().fold(false, |found, tag| {
            found | hmac::verify(&self.hidden, token.as_bytes(), tag.as_ref()).is_ok()
        })
    }

    /// Whether `evidence` is of ours: `content` is the prefix of what is signed and the body as it was sent.
    pub(super) fn bears(&self, evidence: &Evidence, content: &[u8]) -> bool {
        match evidence {
            Evidence::None => true,
            Evidence::Signatures(signatures) => self.has_signed(signatures, content),
            Evidence::Tags(tags) => has_made(&self.signing, tags, content),
        }
    }

    /// Whether one of `signatures` is ours: `content` is the prefix of what is signed and the body as it was sent.
    pub fn has_signed(&self, signatures: &str, content: &[u8]) -> bool {
        is_signed(&self.signing, signatures, content)
    }
}

/// The value of a header that comes once. One that comes twice could mean one thing to us and another to whoever looked
/// before us.
pub(super) fn one<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// Who may post, as it is configured, and as it was read last.
#[derive(Debug)]
pub struct Credentials {
    scheme: Scheme,
    secrets: Vec<SecretSource>,
    tokens: Vec<SecretSource>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    keys: Arc<Keys>,
    looked: Instant,
}

impl Credentials {
    /// Reads them.
    ///
    /// # Errors
    /// `Config` where one is not what it should be; as the file system's where one can't be read.
    pub async fn open(
        scheme: Scheme,
        secrets: Vec<SecretSource>,
        tokens: Vec<SecretSource>,
        blocking: &Blocking,
    ) -> Result<Credentials> {
        let keys = read(scheme, &secrets, &tokens, blocking).await?;
        let state = State { keys: Arc::new(keys), looked: clock::instant() };
        Ok(Credentials { scheme, secrets, tokens, state: Mutex::new(state) })
    }

    /// Those that hold now. Files are looked at again now and then; while one can't be read, what was in it before holds.
    pub async fn keys(&self, blocking: &Blocking) -> Arc<Keys> {
        let mut all = self.secrets.iter().chain(&self.tokens);
        let has_files = all.any(|secret| matches!(secret, SecretSource::File(_)));
        let due = {
            let mut state = self.state();
            let due = has_files && clock::instant().duration_since(state.looked) >= LOOK_EVERY;
            if due {
                // The others go on with what they have meanwhile.
                state.looked = clock::instant();
            }
            due
        };
        if due {
            match read(self.scheme, &self.secrets, &self.tokens, blocking).await {
                Ok(keys) => self.state().keys = Arc::new(keys),
                Err(error) => tracing::warn!("secrets stay as they were: {error}"),
            }
        }
        self.state().keys.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Each change is one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(
    scheme: Scheme,
    secrets: &[SecretSource],
    tokens: &[SecretSource],
    blocking: &Blocking,
) -> Result<Keys> {
    let (secrets, tokens) = (secrets.to_vec(), tokens.to_vec());
    blocking
        .spawn(move || {
            let all = |sources: &[SecretSource]| -> Result<Vec<_>> {
                sources.iter().map(SecretSource::read).collect()
            };
            let (secrets, tokens) = (all(&secrets)?, all(&tokens)?);
            Keys::of(
                scheme,
                secrets.iter().map(|secret| secret.expose()),
                tokens.iter().map(|token| token.expose()),
            )
        })
        .await?
}
