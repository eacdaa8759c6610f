//! What a webhook source is told.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use afferent_core::{
    Problem,
    config::{Configure, Size, Span},
    secret::SecretSource,
    segment_log::LogLimits,
};
use afferent_formats::Format;
use serde::Deserialize;

use super::{frame, vendor::Scheme};

/// The largest body that can be allowed: it is in memory as a whole, twice for a moment, and an entry of the log.
pub const MAX_BODY: u64 = 32 << 20;
/// The most connections that can be allowed. Each has a file handle.
const MAX_CONNECTIONS: u32 = 65_536;
/// The longest path.
const MAX_PATH: usize = 256;
/// The most keys of a kind: two while they are changed, a few for several senders. Each is tried for each request.
const MAX_KEYS: usize = 16;
/// The most ids that can be allowed: some 100 bytes of memory each.
const MAX_IDS: u64 = 10_000_000;

/// Where records are received, and from whom.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address to listen on, such as `127.0.0.1:8080` or `[::]:8443`. Pipelines may share one if they agree on `tls`,
    /// `timeouts` and `connections`.
    pub listen: String,
    /// The path that is this pipeline's, such as `/vitals`.
    pub path: String,
    /// What bodies are written in: `json`, an array of records or one record after the other (NDJSON), which is the default, or
    /// one of the dialects of `docs/formats`.
    #[serde(default, deserialize_with = "Format::deserialize_read")]
    pub format: Format,
    /// When a body is acknowledged: once it is `durable`, the default (202), or once its records are `committed` (200).
    #[serde(default)]
    pub ack: Ack,
    /// How long a sender waits for that before it gets 503 and tries again: `10s` unless given.
    #[serde(default = "ack_timeout")]
    pub ack_timeout: Span,
    /// Keys of Standard Webhooks signatures, `whsec_…`, or with the `format` of a vendor its secrets, from the environment (`"${SECRET}"`) or a file (`{ file = "…" }`, read
    /// again when it changes). Any of them may sign: to change one, have both in the list for a while.
    #[serde(default)]
    pub secrets: Vec<SecretSource>,
    /// Bearer tokens, likewise. Where there are secrets as well, either will do. With the `format` of a vendor, what its challenges
    /// are answered by.
    #[serde(default)]
    pub tokens: Vec<SecretSource>,
    /// Encryption: PEM files of a `cert` and its `key`, read again when they change. With `client_ca`, whoever connects has to
    /// show a certificate of that authority.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// The largest body, before and after decompression: `8MiB` unless given, `32MiB` at most.
    #[serde(default = "max_body")]
    pub max_body: Size,
    /// How much may be in the log before senders have to wait: `1GiB` unless given.
    #[serde(default = "max_bytes")]
    pub max_bytes: Size,
    /// How many ids are kept, for at most four days: 500000 unless given, some 100 bytes of memory each.
    #[serde(default = "max_ids")]
    pub max_ids: u64,
    /// How many bytes of bodies may be in memory before senders have to wait: `64MiB` unless given.
    #[serde(default = "max_in_flight")]
    pub max_in_flight: Size,
    /// How many connections the address takes; others wait. 512 unless given.
    #[serde(default = "connections")]
    pub connections: u32,
    /// How long it waits: for a `header` and a handshake (10 s unless given), for a `body` (30 s), on an `idle` connection (60 s).
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Whether to refuse a record with an unknown field, instead of keeping it in the metadata.
    #[serde(default)]
    pub strict: bool,
    /// Whether to listen to other machines without TLS, or without knowing who sends. Everybody on the way can then read or
    /// write records.
    #[serde(default)]
    pub insecure: bool,
}

fn ack_timeout() -> Span {
    Span(Duration::from_secs(10))
}

fn max_body() -> Size {
    Size(8 << 20)
}

fn max_bytes() -> Size {
    Size(1 << 30)
}

fn max_ids() -> u64 {
    500_000
}

fn max_in_flight() -> Size {
    Size(64 << 20)
}

fn connections() -> u32 {
    512
}

/// When a body is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ack {
    /// Once it and its id are on disk.
    #[default]
    Durable,
    /// Once an epoch with all of its records was committed.
    Committed,
}

/// Encryption, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate, with those between it and its authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authorities one of which must vouch for whoever connects.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
}

/// How long it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// For the header of a request, from when the connection is ready for one, and for a TLS handshake.
    pub header: Span,
    /// For the whole body after it.
    pub body: Span,
    /// On a connection without a request. On HTTP/1.1 `header` is counted from there, too.
    pub idle: Span,
}

impl Default for Timeouts {
    /// 10 s, 30 s, 60 s: whoever is slower keeps others out.
    fn default() -> Timeouts {
        let seconds = |seconds| Span(Duration::from_secs(seconds));
        Timeouts { header: seconds(10), body: seconds(30), idle: seconds(60) }
    }
}

impl Config {
    /// The address, if it is one.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.listen.parse().ok()
    }

    /// How large the log may be.
    pub(super) fn log_limits(&self) -> LogLimits {
        LogLimits::new(self.max_bytes.0)
    }

    fn check_access(&self, problems: &mut Vec<Problem>) {
        let is_loopback = self.address().is_none_or(|address| address.ip().is_loopback());
        if self.insecure || is_loopback {
            return;
        }
        if self.tls.is_none() {
            problems.push(
                Problem::new(
                    "listen",
                    "without `tls`, everybody on the way to this address can read the records",
                )
                .help("give `tls = { cert = \"…\", key = \"…\" }`, listen on 127.0.0.1 behind a proxy that has TLS, or say `insecure = true`"),
            );
        }
        let has_client_ca = self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        let scheme = Scheme::of(self.format);
        let has_secrets = !self.secrets.is_empty() && scheme != Scheme::Withings;
        let has_tokens = !self.tokens.is_empty() && scheme.is_by_tokens();
        if !has_secrets && !has_tokens && !has_client_ca {
            problems.push(
                Problem::new("listen", "without `secrets`, `tokens` or `tls.client_ca`, everybody may post")
                    .help("give one of them, listen on 127.0.0.1, or say `insecure = true`"),
            );
        }
    }

    fn check_keys(&self, problems: &mut Vec<Problem>) {
        for (key, list) in [("secrets", &self.secrets), ("tokens", &self.tokens)] {
            if list.len() > MAX_KEYS {
                problems
                    .push(Problem::new(key, format!("expected at most {MAX_KEYS}, found {}", list.len())));
            }
        }
        for (index, secret) in self.secrets.iter().enumerate() {
            if let SecretSource::Value(secret) = secret
                && let Err(expected) = Scheme::of(self.format).key(secret.expose())
            {
                problems.push(
                    Problem::new(&format!("secrets.{index}"), expected)
                        .help("give the signing secret as the sender shows it"),
                );
            }
        }
        for (index, token) in self.tokens.iter().enumerate() {
            if let SecretSource::Value(token) = token
                && !is_token(token.expose())
            {
                problems.push(Problem::new(
                    &format!("tokens.{index}"),
                    "expected a token: letters, digits and signs without a space",
                ));
            }
        }
    }

    fn check_bounds(&self, problems: &mut Vec<Problem>) {
        let mut at = |key: &str, message: String| problems.push(Problem::new(key, message));
        let body = self.max_body.0;
        if !(1..=MAX_BODY).contains(&body) {
            at("max_body", format!("expected 1B to {}", Size(MAX_BODY)));
        } else {
            // A body and what it inflates to are in memory together.
            if self.max_in_flight.0 < 2 * body || self.max_in_flight.0 > u64::from(u32::MAX) {
                at(
                    "max_in_flight",
                    format!("expected at least twice `max_body`, {}, and less than 4GiB", Size(2 * body)),
                );
            }
            let limits = self.log_limits();
            if limits.check().is_err() || limits.max_entry_bytes() < body + frame::HEAD as u64 {
                at("max_bytes", format!("a body of {} does not fit; expected more", Size(body)));
            }
        }
        if !(1..=MAX_CONNECTIONS).contains(&self.connections) {
            at("connections", format!("expected 1 to {MAX_CONNECTIONS}"));
        }
        if !(1..=MAX_IDS).contains(&self.max_ids) {
            at("max_ids", format!("expected 1 to {MAX_IDS}"));
        }
        let Timeouts { header, body, idle } = self.timeouts;
        let times = [
            ("ack_timeout", self.ack_timeout),
            ("timeouts.header", header),
            ("timeouts.body", body),
            ("timeouts.idle", idle),
        ];
        for (key, time) in times {
            if time.0.is_zero() {
                at(key, "expected more than 0".to_owned());
            }
        }
    }
}

/// Whether `text` can be a bearer token (RFC 6750 §2.1, and what senders make of it).
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.address().is_none() {
            problems.push(
                Problem::new("listen", "expected an address with a port").help(
                    "write it as \"127.0.0.1:8080\", or \"[::]:8443\" for all addresses of this machine",
                ),
            );
        }
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#');
        if !self.path.starts_with('/') || self.path.len() > MAX_PATH || !self.path.bytes().all(is_plain) {
            problems.push(
                Problem::new(
                    "path",
                    format!("expected a path of at most {MAX_PATH} bytes that begins with `/`"),
                )
                .help("write it as \"/vitals\""),
            );
        }
        problems.extend(self.format.check_read());
        self.check_access(&mut problems);
        self.check_keys(&mut problems);
        self.check_bounds(&mut problems);
        problems
    }

    fn resolve(&mut self, base: &Path) {
        self.secrets.iter_mut().chain(&mut self.tokens).for_each(|secret| secret.resolve(base));
        if let Some(Tls { cert, key, client_ca }) = &mut self.tls {
            for path in [Some(cert), Some(key), client_ca.as_mut()].into_iter().flatten() {
                *path = base.join(&*path);
            }
        }
    }
}
