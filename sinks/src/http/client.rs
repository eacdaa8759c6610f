//! [`Http`]: the transport. One attempt is one `POST`, and its status is the answer.

use std::{error::Error as _, sync::Arc};

use afferent_core::{Error, Result, SinkCx, blocking::Blocking, clock::Clock, secret::SecretSource};
use afferent_formats::Format;
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};

use super::{
    Config, certificates,
    config::{Auth, is_loopback},
    credentials::{Credentials, Refused},
    retry_after,
};
use crate::upload::{Compression, Framing, Outcome, SealedBody, Transport};

/// How much of an answer is read: enough to use its connection again. Nothing of it is kept.
pub(super) const ANSWER_BYTES: usize = 64 << 10;

/// Sends bodies over HTTP.
#[derive(Debug)]
pub struct Http {
    config: Config,
    /// For people: scheme, host and path.
    receiver: String,
    credentials: Credentials,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    client: Client,
    /// For tokens. Whether a proxy is used depends on the address.
    tokens: Client,
    url: Url,
    headers: HeaderMap,
    blocking: Blocking,
    clock: Arc<dyn Clock>,
}

impl Http {
    pub(crate) fn new(config: Config) -> Http {
        let receiver = match Url::parse(&config.url) {
            Ok(mut url) => {
                // Either may hold a key.
                url.set_query(None);
                url.set_fragment(None);
                url.into()
            }
            Err(_) => "the receiver".to_owned(),
        };
        let credentials = Credentials::new(config.auth.clone());
        Http { config, receiver, credentials, open: None }
    }

    fn headers(&self) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        let unfit = || Error::config("a header of the `http` sink has a name or a value that can't be sent");
        for (name, value) in &self.config.headers {
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| unfit())?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit())?, value);
        }
        let content = match (self.config.format, self.config.settings().framing) {
            (Format::InfluxDb, _) => "text/plain; charset=utf-8",
            (Format::Csv, _) => "text/csv; charset=utf-8",
            (Format::Msgpack, _) => "application/msgpack",
            (Format::Fhir, Framing::Lines) => "application/fhir+ndjson",
            (Format::Fhir, _) => "application/fhir+json",
            (_, Framing::Lines) => "application/x-ndjson",
            _ => "application/json",
        };
        if self.config.format == Format::Fhir {
            headers.insert("accept", HeaderValue::from_static("application/fhir+json"));
            // Of what was taken, the status is enough.
            headers.insert("prefer", HeaderValue::from_static("return=minimal"));
        }
        headers.insert("content-type", HeaderValue::from_static(content));
        Ok(headers)
    }

    /// What an answer's status means; see the table of the [module](super).
    fn outcome(&self, open: &Open, answer: &Response) -> Outcome {
        let status = answer.status();
        let length = answer.content_length();
        let reason = match length {
            Some(length) => format!("status {status}, with an answer of {length} bytes"),
            None => format!("status {status}"),
        };
        let asked = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let retry_after = asked.and_then(|value| retry_after::parse(value, open.clock.now()));
        match status {
            status if status.is_success() => Outcome::Delivered,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Outcome::Unauthorized { reason },
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
                Outcome::Refused { reason }
            }
            StatusCode::TOO_MANY_REQUESTS => Outcome::Unavailable { reason, retry_after, in_doubt: false },
            status if status.is_server_error() => {
                Outcome::Unavailable { reason, retry_after, in_doubt: true }
            }
            status if status.is_redirection() => Outcome::Later {
                reason: format!(
                    "status {status}; redirects are not followed, give the address it leads to as `url`"
                ),
                retry_after,
            },
            _ => Outcome::Later { reason, retry_after },
        }
    }
}

impl Transport for Http {
    fn receiver(&self) -> &str {
        &self.receiver
    }

    fn renewal(&self) -> &'static str {
        let Auth { bearer, basic, oauth2, smart } = &self.config.auth;
        let basic = basic.as_ref().map(|basic| &basic.password);
        let oauth2 = oauth2.as_ref().map(|oauth2| &oauth2.client_secret);
        let smart = smart.as_ref().map(|smart| &smart.private_key);
        match bearer.as_ref().or(basic).or(oauth2).or(smart) {
            // The environment of a process doesn't change under it.
            Some(SecretSource::Value(_)) => {
                "a secret that stands in the pipeline file or came from the environment is read at the start: start again with the new one, or keep it in a file (`{ file = \"…\" }`), which is read again by itself"
            }
            _ => "sending goes on by itself when they are renewed",
        }
    }

    async fn open(&mut self, cx: &SinkCx) -> Result<()> {
        let url = Url::parse(&self.config.url).map_err(|_| Error::config("`url` is not an address"))?;
        let Auth { oauth2, smart, .. } = &self.config.auth;
        let tokens = oauth2.as_ref().map(|oauth2| &oauth2.token_url);
        let tokens = tokens.or(smart.as_ref().map(|smart| &smart.token_url));
        let tokens = tokens.map_or(Ok(url.clone()), |tokens| {
            Url::parse(tokens).map_err(|_| Error::config("`token_url` is not an address"))
        })?;
        let (config, direct) = (self.config.clone(), [is_loopback(&url), is_loopback(&tokens)]);
        let build = move || {
            let receiver = client(&config, direct[0])?;
            let tokens = if direct[1] == direct[0] { receiver.clone() } else { client(&config, direct[1])? };
            Ok::<_, Error>((receiver, tokens))
        };
        let (client, tokens) = cx.blocking.spawn(build).await??;
        let headers = self.headers()?;
        let (blocking, clock) = (cx.blocking.clone(), cx.clock.clone());
        self.open = Some(Open { client, tokens, url, headers, blocking, clock });
        Ok(())
    }

    async fn send(&self, body: &SealedBody) -> Outcome {
        match self.post(body).await {
            Ok((outcome, answer)) => {
                drop(read_answer(answer, ANSWER_BYTES).await);
                outcome
            }
            Err(outcome) => outcome,
        }
    }
}

impl Http {
    /// Makes one attempt: what the status of the answer means, and the answer, of which nothing has been read. `Err` if there
    /// was none.
    pub(crate) async fn post(&self, body: &SealedBody) -> Result<(Outcome, Response), Outcome> {
        let unavailable = |reason, in_doubt| Outcome::Unavailable { reason, retry_after: None, in_doubt };
        let Some(open) = &self.open else {
            return Err(unavailable("it was never opened".to_owned(), false));
        };
        let authorization =
            match self.credentials.header(&open.tokens, &open.blocking, open.clock.now()).await {
                Ok(header) => header,
                Err(Refused::Unauthorized(reason)) => return Err(Outcome::Unauthorized { reason }),
                Err(Refused::Unavailable(reason)) => return Err(unavailable(reason, false)),
            };
        let mut request = open
            .client
            .post(open.url.clone())
            .headers(open.headers.clone())
            .header("idempotency-key", body.key.to_string())
            .body(body.content.clone());
        if let Some(authorization) = &authorization {
            request = request.header("authorization", authorization);
        }
        match body.compression {
            Compression::None => {}
            Compression::Gzip => request = request.header("content-encoding", "gzip"),
            Compression::Zstd => request = request.header("content-encoding", "zstd"),
        }
        match request.send().await {
            Ok(answer) => {
                let outcome = self.outcome(open, &answer);
                if let (Outcome::Unauthorized { .. }, Some(authorization)) = (&outcome, &authorization) {
                    self.credentials.refused(authorization).await;
                }
                Ok((outcome, answer))
            }
            Err(error) => Err(unavailable(why(&error), !error.is_connect())),
        }
    }
}

/// Reads an answer, or the first `most` bytes of one. That it breaks off changes nothing: its status has been said.
pub(crate) async fn read_answer(mut answer: Response, most: usize) -> Vec<u8> {
    let mut read = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        let room = most - read.len();
        read.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    read
}

/// Why an attempt failed. Only what happens before anything is sent is told in the library's words.
pub(super) fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    if !error.is_connect() {
        return "the connection broke".to_owned();
    }
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    match cause {
        Some(cause) => format!("no connection: {cause}"),
        None => "no connection".to_owned(),
    }
}

/// `direct`: without a proxy.
fn client(config: &Config, direct: bool) -> Result<Client> {
    // The process's choice, if it has made one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut client = Client::builder()
        .user_agent(concat!("afferent/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(config.timeouts.connect.0)
        .read_timeout(config.timeouts.read.0)
        .timeout(config.timeouts.total.0)
        // Each attempt is ours to count.
        .retry(reqwest::retry::never());
    if direct {
        client = client.no_proxy();
    }
    let client = certificates::apply(&config.tls, client)?;
    client.build().map_err(|error| Error::config("the HTTP client can't be set up").with_source(error))
}
