//! [`Credentials`]: what `Authorization` says, read again when it changes or is refused.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use afferent_core::{
    Error, Result, Timestamp,
    blocking::Blocking,
    clock::{self, Instant},
    secret::{Secret, SecretSource},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Client, RequestBuilder, header::HeaderValue};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{
    client::{ANSWER_BYTES, read_answer, why},
    config::{Auth, BackendServices, ClientCredentials},
    smart,
};

/// How long before it expires a token is replaced: it must still hold when it arrives.
const EARLY: Duration = Duration::from_secs(30);

/// What `Authorization` says.
#[derive(Debug)]
pub(super) struct Credentials {
    auth: Auth,
    /// Locked while a token is fetched, so that lanes share one.
    known: Mutex<Option<Known>>,
}

#[derive(Clone, Debug)]
struct Known {
    /// Marked as sensitive: its debug output does not show it.
    header: HeaderValue,
    /// The file it was read from, and what that looked like.
    file: Option<(PathBuf, Option<SystemTime>)>,
    expires: Option<Instant>,
}

/// Why there are no credentials.
#[derive(Debug)]
pub(super) enum Refused {
    /// They are not there, or whoever gives tokens refuses ours.
    Unauthorized(String),
    /// Whoever gives tokens can't be reached.
    Unavailable(String),
}

impl Credentials {
    pub(super) fn new(auth: Auth) -> Credentials {
        Credentials { auth, known: Mutex::new(None) }
    }

    /// The receiver refused `header`: the next attempt reads credentials anew, unless another lane has done so meanwhile.
    pub(super) async fn refused(&self, header: &HeaderValue) {
        self.known.lock().await.take_if(|known| known.header == *header);
    }

    /// What `Authorization` says now, if anything.
    pub(super) async fn header(
        &self,
        client: &Client,
        blocking: &Blocking,
        now: Timestamp,
    ) -> Result<Option<HeaderValue>, Refused> {
        let mut known = self.known.lock().await;
        if let Some(known) = &*known
            && !is_stale(known, blocking).await
        {
            return Ok(Some(known.header.clone()));
        }
        *known = self.read(client, blocking, now).await?;
        Ok(known.as_ref().map(|known| known.header.clone()))
    }

    async fn read(
        &self,
        client: &Client,
        blocking: &Blocking,
        now: Timestamp,
    ) -> Result<Option<Known>, Refused> {
        let Auth { bearer, basic, oauth2, smart } = &self.auth;
        if let Some(bearer) = bearer {
            let (token, file) = secret(bearer, blocking).await?;
            return Ok(Some(Known {
                header: header(&format!("Bearer {}", token.expose()))?,
                file,
                expires: None,
            }));
        }
        if let Some(basic) = basic {
            let (password, file) = secret(&basic.password, blocking).await?;
            return Ok(Some(Known { header: basic_header(&basic.user, &password)?, file, expires: None }));
        }
        match (oauth2, smart) {
            (Some(oauth2), _) => fetch(oauth2, client, blocking).await.map(Some),
            (None, Some(smart)) => fetch_signed(smart, client, blocking, now).await.map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// Whether they have expired, or their file has changed.
async fn is_stale(known: &Known, blocking: &Blocking) -> bool {
    if known.expires.is_some_and(|expires| clock::instant() >= expires) {
        return true;
    }
    let Some((path, modified)) = known.file.clone() else { return false };
    // If that can't be found out, they are read again, which says why.
    blocking.spawn(move || modified_at(&path) != modified).await.unwrap_or(true)
}

fn modified_at(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

type FromFile = Option<(PathBuf, Option<SystemTime>)>;

/// A secret, and the file it was read from.
async fn secret(source: &SecretSource, blocking: &Blocking) -> Result<(Secret, FromFile), Refused> {
    match source {
        SecretSource::Value(secret) => Ok((secret.clone(), None)),
        SecretSource::File(path) => {
            let (source, path) = (source.clone(), path.clone());
            let job = blocking.spawn(move || {
                // Before it is read: if it changes meanwhile it is read again.
                let modified = modified_at(&path);
                let secret = source.read()?;
                Ok::<_, Error>((secret, Some((path, modified))))
            });
            job.await.and_then(|read| read).map_err(|error| Refused::Unauthorized(error.to_string()))
        }
    }
}

fn header(text: &str) -> Result<HeaderValue, Refused> {
    let mut header = HeaderValue::from_str(text).map_err(|_| {
        Refused::Unauthorized("the secret has a line end or another control character in it".to_owned())
    })?;
    header.set_sensitive(true);
    Ok(header)
}

fn basic_header(user: &str, password: &Secret) -> Result<HeaderValue, Refused> {
    header(&format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose()))))
}

/// What whoever gives tokens answers (RFC 6749 §5.1).
#[derive(Deserialize)]
struct Granted {
    access_token: Secret,
    /// Seconds. The RFC says a number, some servers give a text.
    #[serde(default)]
    expires_in: serde_json::Value,
}

impl Granted {
    /// How long the token holds; `None` for as long as it is not refused.
    fn lifetime(&self) -> Option<Duration> {
        let seconds = match &self.expires_in {
            serde_json::Value::String(text) => text.parse().ok()?,
            other => other.as_f64()?,
        };
        // Longer than time is for ever, less than nothing is nothing.
        Duration::try_from_secs_f64(seconds.max(0.0)).ok()
    }
}

/// What is asked for (RFC 6749 §4.4.2).
fn form(oauth2: &ClientCredentials) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if let Some(scope) = &oauth2.scope {
        form.append_pair("scope", scope);
    }
    form.finish()
}

/// By a client secret.
async fn fetch(oauth2: &ClientCredentials, client: &Client, blocking: &Blocking) -> Result<Known, Refused> {
    let (client_secret, _) = secret(&oauth2.client_secret, blocking).await?;
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    // Both are form-encoded first (RFC 6749 §2.3.1).
    let who = basic_header(&encode(&oauth2.client_id), &encode(client_secret.expose()).into())?;
    exchange(client.post(&oauth2.token_url).header("authorization", who), form(oauth2)).await
}

/// By a signed assertion.
async fn fetch_signed(
    smart: &BackendServices,
    client: &Client,
    blocking: &Blocking,
    now: Timestamp,
) -> Result<Known, Refused> {
    let (key, _) = secret(&smart.private_key, blocking).await?;
    let of = smart.clone();
    let signing = blocking.spawn(move || smart::form(&of, &key, now));
    let form =
        signing.await.and_then(|form| form).map_err(|error| Refused::Unauthorized(error.to_string()))?;
    exchange(client.post(&smart.token_url), form).await
}

/// Asks for a token.
async fn exchange(request: RequestBuilder, form: String) -> Result<Known, Refused> {
    let request = request
        .header("accept", "application/json")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let unavailable =
        |reason: String| Refused::Unavailable(format!("a token could not be fetched: {reason}"));
    let asked = clock::instant();
    let answer = request.send().await.map_err(|error| unavailable(why(&error)))?;
    let status = answer.status();
    let text = read_answer(answer, ANSWER_BYTES).await;
    if !status.is_success() {
        let reason = format!("status {status} where tokens are given");
        let is_ours = status.is_client_error() && status.as_u16() != 429 && status.as_u16() != 408;
        return Err(if is_ours { Refused::Unauthorized(reason) } else { unavailable(reason) });
    }
    let granted: Granted = serde_json::from_slice(&text).map_err(|_| {
        unavailable(format!("expected a token in JSON of at most {ANSWER_BYTES} bytes, found something else"))
    })?;
    let lifetime = granted.lifetime();
    let expires = lifetime.and_then(|lifetime| asked.checked_add(lifetime.saturating_sub(EARLY)));
    Ok(Known { header: header(&format!("Bearer {}", granted.access_token.expose()))?, file: None, expires })
}
