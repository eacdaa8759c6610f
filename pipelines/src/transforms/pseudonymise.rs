//! `pseudonymise`: a subject becomes a pseudonym, and what names a person's things goes.
//!
//! A pseudonym is `ID-` and the first 128 bits of HMAC-SHA-256 over the subject, in hex; `ID` is `key_id`, so pseudonyms of
//! different keys are never taken for each other. The same subject has the same pseudonym as long as the key is the same, on every
//! machine: deletions and corrections meet their records. Who has the key can tell whose record it is; nobody else can.
//!
//! **Rotation.** Give the new key a new `key_id`, and the old one under `previous`: then each record carries its old pseudonym in
//! its metadata, under `pseudonym.OLD`, so that the receiver can join the two. Leave `previous` out when it has.
//!
//! **What goes**: the names of sources and devices, which people give them (“Ada's Watch”), and the metadata that identifies a
//! device (serial number, UDI, local identifier) or a record in another system (external uuid, sync identifier). Ids of records stay: HealthKit's
//! are random, but those of feeds without ids are derived of contents, the subject among them, before it became a pseudonym.
//!
//! A record without a subject stays without. Samples in correlations are treated as records.

use std::{fmt::Write, sync::Arc};

use afferent_core::{
    Batch, Emit, Error, MetaValue, Name, NameCache, Problem, Record, Result, Transform, TransformCx, Value,
    config::Configure, record::Correlation, secret::SecretSource,
};
use ring::hmac;
use serde::Deserialize;

use super::redact::{self, Redact};

/// Shortest key, in bytes: half of the output of the hash. A shorter one can be guessed.
pub const MIN_KEY_BYTES: usize = 16;

/// How much of the hash is used, in bytes: 128 bits are enough for no two subjects to meet.
const PSEUDONYM_BYTES: usize = 16;

/// What goes.
const REMOVED: [&str; 9] = [
    "source.name",
    "device.name",
    "metadata.HKDeviceSerialNumber",
    "metadata.HKUDIDeviceIdentifier",
    "metadata.HKUDIProductionIdentifier",
    "metadata.HKExternalUUID",
    "metadata.HKMetadataKeySyncIdentifier",
    "metadata.localIdentifier",
    "metadata.udiDeviceIdentifier",
];

/// Configuration of [`Pseudonymise`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The key, at least 16 bytes long: a text such as `"${PSEUDONYM_KEY}"`, or `{ file = "…" }`.
    pub key: SecretSource,
    /// What tells the key from others: it stands before each pseudonym.
    pub key_id: String,
    /// The key before, as `{ key = …, key_id = … }`: its pseudonym goes into the metadata.
    #[serde(default)]
    pub previous: Option<Previous>,
}

/// A key of before.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    /// The key.
    pub key: SecretSource,
    /// What told it from others.
    pub key_id: String,
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let previous = self.previous.as_ref().map(|previous| ("previous.", &previous.key, &previous.key_id));
        for (prefix, key, id) in [("", &self.key, &self.key_id)].into_iter().chain(previous) {
            if let SecretSource::Value(key) = key
                && key.expose().len() < MIN_KEY_BYTES
            {
                let message =
                    format!("expected a key of at least {MIN_KEY_BYTES} bytes, found a shorter one");
                let problem = Problem::new(&format!("{prefix}key"), message);
                problems.push(problem.help("make one with `openssl rand -hex 32`"));
            }
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if id.is_empty() || id.len() > 32 || !id.chars().all(is_word) {
                let message = "expected 1 to 32 letters, digits and `_`: it stands before each pseudonym";
                problems.push(Problem::new(&format!("{prefix}key_id"), message));
            }
        }
        if self.previous.as_ref().is_some_and(|previous| previous.key_id == self.key_id) {
            let message = "two keys can't have one id: their pseudonyms would be taken for each other";
            problems.push(Problem::new("previous.key_id", message));
        }
        problems
    }

    fn resolve(&mut self, base: &std::path::Path) {
        self.key.resolve(base);
        if let Some(previous) = &mut self.previous {
            previous.key.resolve(base);
        }
    }
}

/// A key that was read.
struct Key {
    id: String,
    key: hmac::Key,
}

/// A subject becomes a pseudonym.
pub struct Pseudonymise {
    config: Config,
    /// The key, and the one before; read when it is opened.
    keys: Vec<Key>,
    removed: Redact,
    /// The subject that came last, and its pseudonyms: runs of one are the rule.
    last: Option<(Name, Vec<Name>)>,
    names: NameCache,
}

impl std::fmt::Debug for Pseudonymise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pseudonymise").field("key_id", &self.config.key_id).finish_non_exhaustive()
    }
}

impl Pseudonymise {
    /// Makes it from its configuration.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(config: Config) -> Result<Pseudonymise, Vec<Problem>> {
        let problems = config.check();
        if !problems.is_empty() {
            return Err(problems);
        }
        let removed = redact::Config { fields: REMOVED.map(str::to_owned).into() };
        let removed = Redact::removing(&removed)?;
        Ok(Pseudonymise { config, keys: Vec::new(), removed, last: None, names: NameCache::default() })
    }

    fn treat(&mut self, record: &mut Record) {
        if let Some(subject) = record.subject.take() {
            let pseudonyms = self.pseudonyms(&subject);
            record.subject = pseudonyms.first().cloned();
            let before = pseudonyms.get(1).cloned().zip(self.config.previous.as_ref());
            if let Some((before, previous)) = before.filter(|_| !record.is_deletion()) {
                let key = self.names.get(&format!("pseudonym.{}", previous.key_id));
                record.metadata_mut().set(key, MetaValue::String(before));
            }
        }
        if let Value::Correlation(correlation) = &record.value {
            let mut samples = correlation.samples.clone();
            samples.iter_mut().for_each(|sample| self.treat(sample));
            record.value = Value::Correlation(Arc::new(Correlation { samples }));
        }
    }

    fn pseudonyms(&mut self, subject: &Name) -> Vec<Name> {
        if let Some((_, pseudonyms)) = self.last.as_ref().filter(|(last, _)| last == subject) {
            return pseudonyms.clone();
        }
        let pseudonyms: Vec<Name> = self.keys.iter().map(|key| Name::from(pseudonym(key, subject))).collect();
        self.last = Some((subject.clone(), pseudonyms.clone()));
        pseudonyms
    }
}

fn pseudonym(key: &Key, subject: &str) -> String {
    let tag = hmac::sign(&key.key, subject.as_bytes());
    let mut text = format!("{}-", key.id);
    for byte in &tag.as_ref()[..PSEUDONYM_BYTES] {
        // A string takes all.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn read(key: &SecretSource, id: &str) -> Result<Key> {
    let secret = key.read()?;
    if secret.expose().len() < MIN_KEY_BYTES {
        return Err(Error::config(format!(
            "expected a key `{id}` of at least {MIN_KEY_BYTES} bytes, found a shorter one; make one with `openssl rand -hex 32`"
        )));
    }
    Ok(Key { id: id.to_owned(), key: hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes()) })
}

impl Transform for Pseudonymise {
    type In = Record;
    type Out = Record;

    fn open(&mut self, _: &TransformCx) -> Result<()> {
        let previous = self.config.previous.as_ref().map(|previous| (&previous.key, &previous.key_id));
        let keys = [(&self.config.key, &self.config.key_id)].into_iter().chain(previous);
        self.keys = keys.map(|(key, id)| read(key, id)).collect::<Result<_>>()?;
        Ok(())
    }

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        if self.keys.is_empty() {
            return Err(Error::bug("records came before the key was read; call `open` first"));
        }
        input.iter_mut().for_each(|record| self.treat(record));
        // What goes does so last: what names a device is nobody's key.
        self.removed.apply(input, out)
    }
}

#[cfg(test)]
mod tests {
    use afferent_core::{Origin, testing::transform_contract};

    use super::*;
    use crate::transforms::testing::{deletion, key_paths, quantity};

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn config(more: &str) -> Config {
        toml::from_str(&format!("key = \"{KEY}\"\nkey_id = \"k2\"\n{more}")).expect("a configuration")
    }

    fn of(subject: &str, record: Record) -> Record {
        Record { subject: Some(subject.into()), ..record }
    }

    /// Scenario: records and deletions of two people and of nobody, with names of things. Guarantees: G3, G8; a subject always has the
    /// same pseudonym, as another HMAC says it, and names and identifiers of things are gone.
    #[test]
    fn subjects_become_pseudonyms() {
        let mut named = of("ada", quantity(1, "HeartRate", 60.0, 0));
        named.origin = Some(
            Origin {
                name: Some("Ada's Watch".into()),
                product: Some("Watch6,7".into()),
                ..Origin::default()
            }
            .into(),
        );
        named.metadata_mut().push("HKUDIDeviceIdentifier", MetaValue::String("x".into()));
        named.metadata_mut().push("HKWasUserEntered", MetaValue::Bool(true));
        let input = [
            named,
            of("ben", quantity(2, "HeartRate", 60.0, 0)),
            of("ada", deletion(1, None)),
            quantity(3, "HeartRate", 60.0, 0),
        ];
        let output = transform_contract(|| Pseudonymise::new(config("")).unwrap(), &input, 0..5);
        // printf ada | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
        assert_eq!(output[0].subject.as_deref(), Some("k2-7f06173e229c19dd526caed61c2cfefa"));
        assert_eq!(output[0].subject, output[2].subject);
        assert_ne!(output[0].subject, output[1].subject);
        assert_eq!(output[3], input[3]);
        let origin = output[0].origin.as_ref().expect("a product");
        assert_eq!((origin.name.as_deref(), origin.product.as_deref()), (None, Some("Watch6,7")));
        assert_eq!(output[0].metadata.as_ref().map(|all| all.len()), Some(1));
    }

    /// Scenario: a new key, with the one before. Guarantees: the old pseudonym is what the old key gave, and is told beside the new one.
    #[test]
    fn keys_rotate() {
        let old: Config = toml::from_str("key = \"an old key that is long\"\nkey_id = \"k1\"").unwrap();
        let input = [of("ada", quantity(1, "HeartRate", 60.0, 0)), of("ada", deletion(1, None))];
        let before = transform_contract(|| Pseudonymise::new(old.clone()).unwrap(), &input, 0..1);
        let new = config("previous = { key = \"an old key that is long\", key_id = \"k1\" }");
        let after = transform_contract(|| Pseudonymise::new(new.clone()).unwrap(), &input, 0..3);
        let told = after[0].metadata.as_ref().and_then(|all| all.get("pseudonym.k1"));
        assert_eq!(told, before[0].subject.clone().map(MetaValue::String).as_ref());
        assert!(after[0].subject.as_deref().is_some_and(|subject| subject.starts_with("k2-")));
        assert_eq!(after[1].metadata, None);
    }

    /// Scenario: short keys, ids that are none, two keys of one id. Guarantees: G8; each is a problem at its place, and no key is printed.
    #[test]
    fn problems_are_found_together() {
        let config: Config = toml::from_str(
            "key = \"short\"\nkey_id = \"a-b\"\nprevious = { key = \"shorter\", key_id = \"a-b\" }",
        )
        .unwrap();
        let problems = config.check();
        assert_eq!(
            key_paths(&problems),
            ["key", "key_id", "previous.key", "previous.key_id", "previous.key_id"]
        );
        assert!(!format!("{problems:?}").contains("short\""));
        assert!(!format!("{config:?}").contains("shorter"));
        let file: Config = toml::from_str("key = { file = \"not-there\" }\nkey_id = \"k\"").unwrap();
        let cx = TransformCx { pipeline: "p".into(), stage: "s".into() };
        assert!(Pseudonymise::new(file).unwrap().open(&cx).is_err());
    }
}
