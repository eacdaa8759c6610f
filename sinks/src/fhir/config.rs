//! What the `fhir` sink is told.

use std::{collections::BTreeMap, path::Path};

use afferent_core::{
    Problem,
    config::{Configure, Guarantee, Size},
    secret::Secret,
};
use afferent_formats::{Format, fhir::Patient};
use serde::Deserialize;

use crate::{
    http::{self, Auth, Timeouts, Tls},
    upload::{
        BatchLimits, Compression, DEFAULT_LANES, DEFAULT_OUTBOX_BYTES, Delivery, Framing, Rate, Settings,
    },
};

/// Where and how Observations are uploaded.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The server's base address, where Bundles are posted: `https://clinic.example/fhir`. Plain `http` is for this machine
    /// only, unless `insecure` is set.
    pub url: String,
    /// Which Bundles: a `transaction`, the default, is carried out as a whole or not at all; of a `batch` each entry for itself,
    /// and a refused one costs no further requests.
    #[serde(default)]
    pub bundle: Bundle,
    /// How Observations refer to people: by `identifier`, the default, which no server needs to know; or by `reference` to
    /// `Patient/…`, which most servers refuse where that Patient is not theirs.
    #[serde(default)]
    pub subject: Subject,
    /// How bodies are compressed: `none`, the default, `gzip` or `zstd`.
    #[serde(default)]
    pub compression: Compression,
    /// When a Bundle is closed: `{ records = 500, bytes = "1MiB" }` unless given, and at the end of an epoch.
    #[serde(default)]
    pub batch: BatchLimits,
    /// Headers of every request, such as `{ x-tenant = "north" }`. Their values are never printed.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Who we are, as for `http`: `{ bearer = … }`, `{ basic = … }`, `{ oauth2 = … }`, or SMART backend services,
    /// `{ smart = { token_url = "…", client_id = "…", private_key = { file = "key.pem" }, key_id = "…", scope = "system/Observation.c" } }`.
    #[serde(default)]
    pub auth: Auth,
    /// Certificates, as PEM files: `ca` of an authority to trust besides the system's, `certificate` and `key` to show.
    #[serde(default)]
    pub tls: Tls,
    /// Over how many lanes subjects are spread: as many Bundles are under way at once, in order within each. 4 unless given.
    #[serde(default = "lanes")]
    pub lanes: u16,
    /// `outbox`, the default: after the commit point. `direct`: before it and without a disk.
    #[serde(default)]
    pub delivery: Delivery,
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

/// Which Bundles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bundle {
    /// Carried out as a whole or not at all.
    #[default]
    Transaction,
    /// Each entry for itself.
    Batch,
}

/// How Observations refer to people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// By identifier.
    #[default]
    Identifier,
    /// By the address of a Patient.
    Reference,
}

impl Config {
    /// What the `http` sink would be told.
    pub(super) fn http(&self) -> http::Config {
        let Config { url, compression, batch, headers, auth, tls, lanes, delivery, .. } = self.clone();
        http::Config {
            url,
            format: Format::Fhir,
            framing: Some(match self.bundle {
                Bundle::Transaction => Framing::Transaction,
                Bundle::Batch => Framing::Batch,
            }),
            compression,
            batch,
            headers,
            auth,
            tls,
            lanes,
            delivery,
            // Conditions hold for ever.
            dedupe_window: None,
            max_bytes: self.max_bytes,
            rate: self.rate,
            timeouts: self.timeouts,
            insecure: self.insecure,
        }
    }

    /// What all uploads have in common.
    pub(super) fn settings(&self) -> Settings {
        let patient = match self.subject {
            Subject::Identifier => Patient::Identifier,
            Subject::Reference => Patient::Reference,
        };
        Settings { patient, ..self.http().settings() }
    }
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        self.http().check()
    }

    fn guarantee(&self) -> Option<Guarantee> {
        Some(Guarantee::ExactlyOnce(
            "each record is created, replaced or deleted on condition of its identifier; the server must heed `ifNoneExist` and conditional updates".to_owned(),
        ))
    }

    fn resolve(&mut self, base: &Path) {
        let mut http = self.http();
        http.resolve(base);
        (self.auth, self.tls) = (http.auth, http.tls);
    }
}
