//! `redact` and `keep`: fields that do not go on.
//!
//! `redact` removes the fields that it names, `keep` all optional ones but those that it names. Fields are `subject`, `zone`, `source` (all
//! of `source.*`), `device` (all of `device.*`), each of these, `metadata` (all of it) and `metadata.key`. Id, type, times, value, unit and
//! revision are what a record is and stay; so does what is inside of values, apart from the samples of correlations,
//! which are treated as records.
//!
//! Deletions are treated like additions: a subject that is taken away is taken away from them, too.

use std::sync::Arc;

use afferent_core::{
    Batch, Emit, Metadata, Origin, Problem, Record, Result, Transform, Value, config::Configure,
    record::Correlation,
};
use serde::Deserialize;

use super::at;
use crate::cel::{Field, nearest};

/// How the metadata of a record is named.
const METADATA: &str = "metadata";

/// Configuration of [`Redact`] as `redact`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The fields: `subject`, `zone`, `source`, `source.name`, `device`, `metadata`, `metadata.HKExternalUUID`, …
    pub fields: Vec<String>,
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        Redact::removing(self).err().unwrap_or_default()
    }
}

/// What is removed.
#[derive(Clone, Debug)]
pub struct Redact {
    /// Fields of records and their origins.
    fields: Vec<Field>,
    /// Whether all metadata goes, but for `keys`; otherwise it is these that go.
    all_metadata: bool,
    keys: Vec<String>,
    /// The origin that came last, and what became of it: runs of one are the rule.
    last: Option<(Arc<Origin>, Option<Arc<Origin>>)>,
}

impl Redact {
    /// Removes the fields that are named.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn removing(config: &Config) -> Result<Redact, Vec<Problem>> {
        let Named { fields, all_metadata, keys } = named(&config.fields)?;
        // When all of it goes there is no key to stay.
        let keys = if all_metadata { Vec::new() } else { keys };
        Ok(Redact { fields, all_metadata, keys, last: None })
    }

    /// Removes all optional fields but those that are named.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn keeping(config: &Config) -> Result<Redact, Vec<Problem>> {
        let named = named(&config.fields)?;
        let fields =
            optional().filter(|(_, field)| !named.fields.contains(field)).map(|(_, field)| field).collect();
        let keys = if named.all_metadata { Vec::new() } else { named.keys };
        Ok(Redact { fields, all_metadata: !named.all_metadata, keys, last: None })
    }

    fn redact(&mut self, record: &mut Record) {
        for field in &self.fields {
            match field {
                Field::Subject => record.subject = None,
                Field::Zone => record.zone = None,
                _ => {}
            }
        }
        record.origin = record.origin.take().and_then(|origin| self.origin(origin));
        self.metadata(record);
        if let Value::Correlation(correlation) = &record.value {
            let mut samples = correlation.samples.clone();
            samples.iter_mut().for_each(|sample| self.redact(sample));
            record.value = Value::Correlation(Arc::new(Correlation { samples }));
        }
    }

    /// What is left of an origin.
    fn origin(&mut self, origin: Arc<Origin>) -> Option<Arc<Origin>> {
        if let Some((last, left)) = &self.last
            && Arc::ptr_eq(last, &origin)
        {
            return left.clone();
        }
        let mut left = (*origin).clone();
        for field in &self.fields {
            if let Some(slot) = field.slot(&mut left) {
                *slot = None;
            }
        }
        left.device = left.device.filter(|device| *device != Default::default());
        let left = (left != Origin::default()).then(|| Arc::new(left));
        self.last = Some((origin, left.clone()));
        left
    }

    fn metadata(&self, record: &mut Record) {
        let Some(metadata) = &record.metadata else { return };
        let stays = |key: &str| self.keys.iter().any(|named| named == key) == self.all_metadata;
        if metadata.iter().all(|(key, _)| stays(key)) {
            return;
        }
        let left: Metadata = metadata.iter().filter(|(key, _)| stays(key)).cloned().collect();
        record.metadata = (!left.is_empty()).then(|| Arc::new(left));
    }
}

struct Named {
    fields: Vec<Field>,
    all_metadata: bool,
    keys: Vec<String>,
}

/// The fields that a record may be without.
fn optional() -> impl Iterator<Item = (&'static str, Field)> {
    let may_go = |name: &str| {
        matches!(name, "subject" | "zone") || name.starts_with("source.") || name.starts_with("device.")
    };
    Field::ALL.iter().copied().filter(move |(name, _)| may_go(name))
}

fn named(paths: &[String]) -> Result<Named, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut named = Named { fields: Vec::new(), all_metadata: false, keys: Vec::new() };
    for (index, path) in paths.iter().enumerate() {
        let group =
            optional().filter(|(name, _)| name.split_once('.').is_some_and(|(group, _)| group == path));
        let group: Vec<Field> = group.map(|(_, field)| field).collect();
        if path == METADATA {
            named.all_metadata = true;
        } else if let Some(key) = path.strip_prefix("metadata.").filter(|key| !key.is_empty()) {
            named.keys.push(key.to_owned());
        } else if !group.is_empty() {
            named.fields.extend(group);
        } else if let Some((_, field)) = optional().find(|(name, _)| name == path) {
            named.fields.push(field);
        } else {
            problems.push(at(["fields", &index.to_string()], unknown(path)));
        }
    }
    if paths.is_empty() {
        problems.push(Problem::new("fields", "no field is named").help("name one, such as \"source.name\""));
    }
    if problems.is_empty() { Ok(named) } else { Err(problems) }
}

fn unknown(path: &str) -> Problem {
    let all: Vec<&str> = optional().map(|(name, _)| name).chain(["source", "device", METADATA]).collect();
    let message = match Field::parse(path) {
        Some(_) => format!("`{path}` is what a record is, and stays"),
        None => format!("unknown field `{path}`"),
    };
    let help = match nearest(path, &all).filter(|_| Field::parse(path).is_none()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("expected one of `{}`, or `metadata.key`", all.join("`, `")),
    };
    Problem::new("", message).help(help)
}

impl Transform for Redact {
    type In = Record;
    type Out = Record;

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        input.iter_mut().for_each(|record| self.redact(record));
        out.take(input);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use afferent_core::{MetaValue, record::Device, testing::transform_contract};

    use super::*;
    use crate::transforms::testing::{deletion, key_paths, quantity, records};

    fn config(fields: &[&str]) -> Config {
        Config { fields: fields.iter().map(|&field| field.to_owned()).collect() }
    }

    fn full() -> Record {
        let mut record = quantity(1, "HeartRate", 60.0, 0);
        (record.subject, record.zone) = (Some("ada".into()), Some("Europe/Berlin".into()));
        let device =
            Device { name: Some("Ada's Watch".into()), model: Some("Watch".into()), ..Device::default() };
        let origin = Origin {
            name: Some("Ada's phone".into()),
            bundle: Some("b".into()),
            device: Some(device),
            ..Origin::default()
        };
        record.origin = Some(origin.into());
        record.metadata_mut().push("HKExternalUUID", MetaValue::String("x".into()));
        record.metadata_mut().push("note", MetaValue::Number(1.0));
        record
    }

    fn correlation() -> Record {
        let mut whole = full();
        whole.value = Value::Correlation(Correlation { samples: vec![full()] }.into());
        whole
    }

    /// Scenario: fields, whole groups and metadata, of records, samples of correlations and deletions. Guarantees: G4, G8; exactly
    /// what is named goes, or stays.
    #[test]
    fn what_is_named_goes_or_stays() {
        let input = [full(), Record { subject: Some("ada".into()), ..deletion(2, None) }, correlation()];
        let removing = config(&["subject", "source.name", "device", "metadata.note"]);
        let output = transform_contract(|| Redact::removing(&removing).unwrap(), &input, 0..3);
        let mut expected = full();
        expected.subject = None;
        expected.origin = Some(Origin { bundle: Some("b".into()), ..Origin::default() }.into());
        let mut metadata = Metadata::default();
        metadata.push("HKExternalUUID", MetaValue::String("x".into()));
        expected.metadata = Some(metadata.into());
        assert_eq!(output[0], expected);
        assert_eq!(output[1].subject, None);
        let Value::Correlation(inner) = &output[2].value else { panic!("a correlation") };
        assert_eq!(inner.samples[0], expected);

        let keeping = config(&["zone", "device.model", "metadata.note"]);
        let output = transform_contract(|| Redact::keeping(&keeping).unwrap(), &input, 0..3);
        let record = &output[0];
        assert_eq!((record.subject.as_deref(), record.zone.as_deref()), (None, Some("Europe/Berlin")));
        let device = Device { model: Some("Watch".into()), ..Device::default() };
        assert_eq!(record.origin.as_deref(), Some(&Origin { device: Some(device), ..Origin::default() }));
        assert_eq!(record.metadata.as_ref().map(|all| all.len()), Some(1));
        let nothing = Redact::removing(&config(&["source", "device", "metadata"])).unwrap();
        let output = transform_contract(|| nothing.clone(), &input, 0..3);
        assert_eq!((&output[0].origin, &output[0].metadata), (&None, &None));
        transform_contract(|| nothing.clone(), &records(300, 1), 0..5);
    }

    /// Scenario: fields that are none or can't go. Guarantees: each is a problem at its place.
    #[test]
    fn problems_are_found_together() {
        let problems = config(&["value", "sorce.name", "zone", "metadata."]).check();
        assert_eq!(key_paths(&problems), ["fields.0", "fields.1", "fields.3"]);
        assert_eq!(problems[1].help.as_deref(), Some("did you mean `source.name`?"));
        assert_eq!(key_paths(&config(&[]).check()), ["fields"]);
    }
}
