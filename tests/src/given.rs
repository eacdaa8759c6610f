//! What a source gives in tests of uploads, and what a receiver must have of it in the end.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// What tells records apart: id, whether it is the deletion, revision.
pub type Identity = (String, bool, u64);

/// Whose they are: few, so that lanes are shared; some records belong to nobody.
const SUBJECTS: [Option<&str>; 6] = [Some("ada"), Some("bo"), Some("cy"), Some("dee"), Some("eve"), None];
/// Types and their units.
const KINDS: [(&str, &str); 3] = [
    ("HKQuantityTypeIdentifierHeartRate", "count/min"),
    ("HKQuantityTypeIdentifierStepCount", "count"),
    ("HKQuantityTypeIdentifierBodyMass", "kg"),
];

/// Records in the wire form, in the order in which the source gives them, and which of them the receiver refuses.
#[derive(Clone, Debug)]
pub struct Given {
    /// All of them.
    pub records: Vec<Value>,
    /// Those that the receiver refuses for good.
    pub poison: BTreeSet<Identity>,
}

impl Given {
    /// Additions of a few subjects and types, corrections and deletions of some of them, of which half do not say
    /// whose. Each is refused with probability `poison`, unless a later one would be about the same sample: what becomes
    /// of a deletion of a dead letter is another story.
    pub fn draw(count: usize, poison: f64, random: &mut fastrand::Rng) -> Given {
        let mut records: Vec<Value> = Vec::with_capacity(count);
        let mut alive: Vec<usize> = Vec::new();
        for number in 0..count {
            let earlier = random.usize(..alive.len().max(1));
            let roll = random.f64();
            records.push(match alive.get(earlier).copied() {
                Some(place) if roll < 0.1 => {
                    alive.swap_remove(earlier);
                    deletion(&records[place], random.bool())
                }
                Some(place) if roll < 0.15 => {
                    alive[earlier] = number;
                    correction(&records[place], number)
                }
                _ => {
                    alive.push(number);
                    let subject = SUBJECTS[random.usize(..SUBJECTS.len())];
                    addition(number, subject, KINDS[random.usize(..KINDS.len())])
                }
            });
        }
        let mut given = Given { records, poison: BTreeSet::new() };
        given.poison = given.untouched().into_iter().filter(|_| random.f64() < poison).collect();
        given
    }

    /// The additions that no other record is about.
    pub fn untouched(&self) -> Vec<Identity> {
        let mut times: BTreeMap<&str, u32> = BTreeMap::new();
        for record in &self.records {
            *times.entry(id(record)).or_default() += 1;
        }
        self.records.iter().filter(|record| times[id(record)] == 1).map(identity).collect()
    }

    /// As files of NDJSON with `records` each.
    pub fn files(&self, records: usize) -> impl Iterator<Item = String> {
        self.records
            .chunks(records)
            .map(|records| records.iter().map(|record| format!("{record}\n")).collect())
    }

    /// How many records the receiver will have.
    pub fn welcome(&self) -> usize {
        self.records.len() - self.poison.len()
    }

    /// Checks that a receiver has got each record that it does not refuse, once and unchanged, in the order of its
    /// subject and type, corrections after what they correct and deletions after what they delete.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, received: &[Value]) -> Result<(), String> {
        self.difference(received).first.map_or(Ok(()), Err)
    }

    /// What is wrong with what a receiver has got; see [`check`](Given::check).
    pub fn difference(&self, received: &[Value]) -> Difference {
        let mut found = Difference::default();
        let mut places = BTreeMap::new();
        for (place, record) in received.iter().enumerate() {
            if places.insert(identity(record), place).is_some() {
                found.duplicated += 1;
                found.blame(|| format!("a duplicate: {:?}", identity(record)));
            }
        }
        let (mut in_line, mut of_sample) = (BTreeMap::new(), BTreeMap::new());
        let mut count = 0;
        for given in &self.records {
            let identity = identity(given);
            if self.poison.contains(&identity) {
                continue;
            }
            let Some(&place) = places.get(&identity) else {
                found.lost += 1;
                found.blame(|| format!("lost: {identity:?}"));
                continue;
            };
            if received[place] != *given {
                found.blame(|| format!("changed: {identity:?}"));
            }
            count += 1;
            let line = (given["subject"].as_str(), given["type"].as_str());
            if in_line.insert(line, place).is_some_and(|before| before > place) {
                found.blame(|| format!("out of the order of its subject and type: {identity:?}"));
            }
            if of_sample.insert(id(given), place).is_some_and(|before| before > place) {
                found.blame(|| format!("overtook what it is about: {identity:?}"));
            }
        }
        let strange = places.len() - count;
        if strange > 0 {
            found.blame(|| format!("{strange} records were never given, or are refused ones"));
        }
        found
    }
}

/// What is wrong with what a receiver has got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Records that it should have and has not.
    pub lost: u64,
    /// Records that it has more than once, each time but the first.
    pub duplicated: u64,
    /// The first thing that is wrong, of these and all else.
    pub first: Option<String>,
}

impl Difference {
    fn blame(&mut self, wrong: impl FnOnce() -> String) {
        self.first.get_or_insert_with(wrong);
    }
}

/// What tells `record` apart.
///
/// # Panics
/// If it is not in the wire form.
pub fn identity(record: &Value) -> Identity {
    (id(record).to_owned(), record["deleted"] == true, record["revision"].as_u64().unwrap_or(0))
}

fn id(record: &Value) -> &str {
    record["id"].as_str().expect("a record has an id")
}

fn addition(number: usize, subject: Option<&str>, (kind, unit): (&str, &str)) -> Value {
    let time = format!("2025-01-01T{:02}:{:02}:{:02}Z", number / 3600 % 24, number / 60 % 60, number % 60);
    let mut record = json!({
        "id": format!("00000000-0000-4000-8000-{number:012}"), "type": kind,
        "start": time, "end": time, "value": number as f64 + 0.25, "unit": unit,
    });
    if let Some(subject) = subject {
        record["subject"] = subject.into();
    }
    record
}

fn correction(corrected: &Value, number: usize) -> Value {
    let mut record = corrected.clone();
    record["revision"] = (record["revision"].as_u64().unwrap_or(0) + 1).into();
    record["value"] = (number as f64 + 0.75).into();
    record
}

fn deletion(deleted: &Value, says_whose: bool) -> Value {
    let mut record = json!({ "id": deleted["id"], "type": deleted["type"], "deleted": true });
    if let Some(subject) = deleted.get("subject").filter(|_| says_whose) {
        record["subject"] = subject.clone();
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: a receiver has got everything, and then each thing that can be wrong. Guarantees: the check that other
    /// tests rely on finds each.
    #[test]
    fn what_is_wrong_is_found() {
        let given = addition(0, Some("ada"), KINDS[0]);
        let next = addition(1, Some("ada"), KINDS[0]);
        let other = addition(2, Some("bo"), KINDS[1]);
        let (corrected, deleted) = (correction(&other, 3), deletion(&given, false));
        let records = [given, next, other, corrected, deleted];
        let poison = BTreeSet::from([identity(&records[1])]);
        let given = Given { records: records.to_vec(), poison };
        let check = |places: &[usize]| {
            let received: Vec<Value> = places.iter().map(|place| records[*place].clone()).collect();
            given.check(&received).map_err(|wrong| wrong.split(':').next().unwrap_or_default().to_owned())
        };
        let error = |text: &str| Err(text.to_owned());
        assert_eq!(check(&[0, 2, 3, 4]), Ok(()));
        assert_eq!(check(&[2, 0, 4, 3]), Ok(()), "other subjects may overtake");
        assert_eq!(check(&[0, 2, 3]), error("lost"));
        assert_eq!(check(&[0, 2, 2, 3, 4]), error("a duplicate"));
        assert_eq!(check(&[4, 0, 2, 3]), error("overtook what it is about"));
        assert_eq!(check(&[0, 3, 2, 4]), error("out of the order of its subject and type"));
        assert_eq!(check(&[0, 1, 2, 3, 4]), error("1 records were never given, or are refused ones"));
        let mut changed = records.to_vec();
        changed.remove(1);
        changed[1]["value"] = 2.26.into();
        assert!(given.check(&changed).is_err_and(|wrong| wrong.starts_with("changed")));
    }
}
