//! What the `http` sink is told.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use afferent_core::{
    Problem,
    config::{Configure, Guarantee, Size, Span},
    secret::{Secret, SecretSource},
};
use afferent_formats::{Format, fhir::Patient};
use reqwest::{
    Url,
    header::{HeaderName, HeaderValue},
};
use serde::Deserialize;

use crate::upload::{
    BatchLimits, Compression, DEFAULT_LANES, DEFAULT_OUTBOX_BYTES, Delivery, Framing, Rate, Settings,
};

/// Where and how records are uploaded.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where bodies are sent, by `POST`: an `https` address. Plain `http` is for this machine only, unless `insecure` is
    /// set.
    pub url: String,
    /// What records are written in: `json`, `csv`, `fhir` (FHIR R4), `open-mhealth`, `influxdb` (line protocol), `msgpack`
    /// or `health_kit_reporter`.
    #[serde(default, deserialize_with = "Format::deserialize_written")]
    pub format: Format,
    /// How records are put together in a body. JSON and Open mHealth: one `array`, the default, `lines` (NDJSON), or a `single`
    /// record. CSV and InfluxDB: `lines`. MessagePack: `lines`, which are one record behind the other, or a `single` one. FHIR: a Bundle that is a `transaction`, the default, or a `batch`; `lines` (NDJSON), or a `single` Observation.
    #[serde(default)]
    pub framing: Option<Framing>,
    /// Whether bodies are compressed: `none`, the default, `gzip` or `zstd`.
    #[serde(default)]
    pub compression: Compression,
    /// When a body is closed: `{ records = 500, bytes = "1MiB" }` unless given, and at the end of an epoch.
    #[serde(default)]
    pub batch: BatchLimits,
    /// Headers of every request, such as `{ x-tenant = "north" }`. Their values are never printed.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Who we are: `{ bearer = "${TOKEN}" }`, `{ bearer = { file = "token" } }`, `{ basic = { user = "…", password = "…" } }`,
    /// `{ oauth2 = { token_url = "…", client_id = "…", client_secret = "…", scope = "…" } }` or, for SMART backend services,
    /// `{ smart = { token_url = "…", client_id = "…", private_key = { file = "key.pem" }, key_id = "…", scope = "…" } }`. A file is read again when it
    /// changes, and everything when the receiver refuses it. What `${…}` says stays as it was when the program started: a
    /// secret that is renewed belongs in a file.
    #[serde(default)]
    pub auth: Auth,
    /// Certificates, as PEM files: `ca` of an authority to trust besides the system's, `certificate` and `key` to show.
    #[serde(default)]
    pub tls: Tls,
    /// Over how many lanes subjects are spread: as many bodies are under way at once, in order within each. 4 unless given.
    #[serde(default = "lanes")]
    pub lanes: u16,
    /// `outbox`, the default: after the commit point, exactly once at a receiver that honours `Idempotency-Key`. `direct`:
    /// before it and without a disk, at least once.
    #[serde(default)]
    pub delivery: Delivery,
    /// For how long the receiver recognises a key, such as `24h`. A body that is sent again later raises an alarm.
    #[serde(default)]
    pub dedupe_window: Option<Span>,
    /// How much may wait in the outbox before the source has to: `1GiB` unless given.
    #[serde(default = "max_bytes")]
    pub max_bytes: Size,
    /// How often it may send, such as `{ requests = 10, per = "1s" }`.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// How long it waits: `connect` for a connection (10 s unless given), `read` for the next bytes of an answer (30 s),
    /// `total` for a whole attempt (60 s).
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Whether `url` may be plain `http` to another machine. Everybody on the way can then read the records.
    #[serde(default)]
    pub insecure: bool,
}

fn lanes() -> u16 {
    DEFAULT_LANES
}

fn max_bytes() -> Size {
    Size(DEFAULT_OUTBOX_BYTES)
}

/// Who we are; at most one of them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// A token: `Authorization: Bearer …`.
    #[serde(default)]
    pub bearer: Option<SecretSource>,
    /// A name and a password.
    #[serde(default)]
    pub basic: Option<Basic>,
    /// OAuth 2.0 client credentials (RFC 6749 §4.4).
    #[serde(default)]
    pub oauth2: Option<ClientCredentials>,
    /// SMART backend services: the same, proved by a signature.
    #[serde(default)]
    pub smart: Option<BackendServices>,
}

/// HTTP basic authentication (RFC 7617).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// The name.
    pub user: String,
    /// The password.
    pub password: SecretSource,
}

/// OAuth 2.0 client credentials: a token is fetched, and again before it expires or when it is refused.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCredentials {
    /// Where tokens are given.
    pub token_url: String,
    /// Who asks.
    pub client_id: String,
    /// And proves it.
    pub client_secret: SecretSource,
    /// For what; the server's default if it is not given.
    #[serde(default)]
    pub scope: Option<String>,
}

/// SMART backend services (HL7 SMART App Launch 2): client credentials whose proof is a signed assertion (RFC 7523).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendServices {
    /// Where tokens are given.
    pub token_url: String,
    /// Who asks.
    pub client_id: String,
    /// The private key in PEM: RSA (signed as RS384) or ECDSA over P-384 (ES384, in PKCS #8).
    pub private_key: SecretSource,
    /// What the key is called in the key set that the server knows of us.
    #[serde(default)]
    pub key_id: Option<String>,
    /// For what, such as `system/Observation.c`; the server's default if it is not given.
    #[serde(default)]
    pub scope: Option<String>,
}

/// Certificates, as PEM files.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Authorities to trust besides the system's.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The certificate to show, with those between it and its authority.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// Its private key.
    #[serde(default)]
    pub key: Option<PathBuf>,
}

/// How long it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Span,
    /// For the next bytes of an answer.
    pub read: Span,
    /// For a whole attempt.
    pub total: Span,
}

impl Default for Timeouts {
    /// 10 s, 30 s, 60 s: a receiver that is slower is as good as away.
    fn default() -> Timeouts {
        let seconds = |seconds| Span(Duration::from_secs(seconds));
        Timeouts { connect: seconds(10), read: seconds(30), total: seconds(60) }
    }
}

/// Headers that say what is sent, and are not for a configuration to say.
const OURS: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "content-type",
    "content-encoding",
    "idempotency-key",
    "connection",
];

impl Config {
    /// What all uploads have in common.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            format: self.format,
            framing: self.framing.unwrap_or(Framing::of(self.format)[0]),
            patient: Patient::default(),
            compression: self.compression,
            batch: self.batch,
            lanes: self.lanes,
            delivery: self.delivery,
            dedupe_window: self.dedupe_window.map(|window| window.0),
            max_bytes: self.max_bytes.0,
            rate: self.rate,
        }
    }

    fn check_headers(&self, problems: &mut Vec<Problem>) {
        for (name, value) in &self.headers {
            let path = |message: &str| Problem {
                key_path: vec!["headers".to_owned(), name.clone()],
                ..Problem::new("", message)
            };
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                problems.push(path("expected the name of a header: letters, digits and `-`"));
            } else if OURS.contains(&name.to_ascii_lowercase().as_str()) {
                problems
                    .push(path("this header says what is sent").help("leave it out; it is set by itself"));
            } else if name.eq_ignore_ascii_case("authorization") && self.auth != Auth::default() {
                problems.push(path("`auth` sets this header").help("use one of the two"));
            }
            if HeaderValue::from_str(value.expose()).is_err() {
                problems.push(path("expected a text without line ends or other control characters"));
            }
        }
    }
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = self.settings().check();
        problems.extend(self.format.check_written());
        problems.extend(check_url("url", &self.url, self.insecure));
        self.check_headers(&mut problems);
        let Auth { bearer, basic, oauth2, smart } = &self.auth;
        let ways = [bearer.is_some(), basic.is_some(), oauth2.is_some(), smart.is_some()];
        if ways.iter().filter(|is| **is).count() > 1 {
            problems.push(Problem::new(
                "auth",
                "expected one of `bearer`, `basic`, `oauth2` and `smart`, found several",
            ));
        }
        if let Some(oauth2) = oauth2 {
            problems.extend(check_url("auth.oauth2.token_url", &oauth2.token_url, self.insecure));
        }
        if let Some(smart) = smart {
            problems.extend(check_url("auth.smart.token_url", &smart.token_url, self.insecure));
        }
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            problems.push(
                Problem::new("tls", "a certificate is shown with its key: expected both, found one")
                    .help("give `certificate` and `key`, or neither"),
            );
        }
        problems.extend(self.framing.and_then(|framing| framing.check(self.format)));
        let Timeouts { connect, read, total } = self.timeouts;
        for (key, timeout) in [("connect", connect), ("read", read), ("total", total)] {
            if timeout.0.is_zero() {
                problems.push(Problem::new(&format!("timeouts.{key}"), "expected more than 0"));
            }
        }
        problems
    }

    fn guarantee(&self) -> Option<Guarantee> {
        Some(self.settings().guarantee())
    }

    fn resolve(&mut self, base: &Path) {
        let Auth { bearer, basic, oauth2, smart } = &mut self.auth;
        let secrets = [
            bearer.as_mut(),
            basic.as_mut().map(|basic| &mut basic.password),
            oauth2.as_mut().map(|oauth2| &mut oauth2.client_secret),
            smart.as_mut().map(|smart| &mut smart.private_key),
        ];
        secrets.into_iter().flatten().for_each(|secret| secret.resolve(base));
        let Tls { ca, certificate, key } = &mut self.tls;
        for path in [ca, certificate, key].into_iter().flatten() {
            *path = base.join(&*path);
        }
    }
}

/// What is wrong with an address that secrets or records are sent to. It is not repeated: it may hold a password.
fn check_url(key: &str, url: &str, insecure: bool) -> Option<Problem> {
    let example = "write it as \"https://clinic.example/ingest\"";
    let Ok(url) = Url::parse(url) else {
        return Some(Problem::new(key, "expected an address").help(example));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Some(Problem::new(key, "expected an address without a name or password").help("use `auth`"));
    }
    match url.scheme() {
        "https" => None,
        "http" if insecure || is_loopback(&url) => None,
        "http" => Some(
            Problem::new(key, "plain http would show the records to everybody on the way")
                .help("use https, or say `insecure = true` if that is as it should be"),
        ),
        _ => Some(Problem::new(key, "expected https").help(example)),
    }
}

/// Whether an address is this machine's own.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
