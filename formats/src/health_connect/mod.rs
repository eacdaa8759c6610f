//! Changes and records of Android's Health Connect, as JSON.
//!
//! Health Connect has objects and no JSON of its own. This is the JSON of react-native-health-connect (`getChanges`,
//! `readRecords`), whose names are those of `androidx.health.connect.client`; an app that writes JSON itself does well to write
//! the same.
//!
//! Source: NOTES of Health Connect's `getChanges` (token, upsertions, deletions by id, expiry), and the records of
//! `androidx.health.connect.client.records`.
//!
//! | document | gives |
//! |---|---|
//! | `{"upsertionChanges":[{"record":…}],"deletionChanges":[{"recordId":…}],"nextChangesToken",…}` | the records, then the deletions; the token is the phone's and is left to it |
//! | `{"changesTokenExpired":true,…}` | as above, and a reject: changes may have been missed |
//! | `{"records":[…]}`, a record, an array of records | the records |
//!
//! **Identity and corrections.** A record is known by `metadata.id`. An upsertion does not say whether it inserts or updates, so
//! its revision is `metadata.lastModifiedTime` in seconds: a later one beats an earlier one. A deletion has an id only, so what
//! has one id is *one* record, also where HealthKit would have many: a series of heart rates is an aggregate (`count`, `min`,
//! `average`, `max`) with its samples in the metadata, a night is one category with its stages in the metadata.
//!
//! **Units.** Each number is in the unit that its name says (`inKilograms`). Percentages are whole numbers there and fractions in
//! records, as HealthKit has them.

mod record;
#[cfg(test)]
mod tests;

use self::record::{Entry, deletion};
use crate::{
    DecoderOptions,
    context::Context,
    document::{Dialect, Out, ROOT, Shape, Step, Visit},
    json::{Raw, object},
};

/// What types begin with that only Health Connect has.
const PREFIX: &str = "androidx.health.";

const DOCUMENT: u8 = 1;
const LISTED: u8 = 2;
const UPSERTIONS: u8 = 3;
const DELETIONS: u8 = 4;
const RECORDS: u8 = 5;
const EXPIRED: u8 = 6;
const PASSED: u8 = 7;

fn shape(state: u8, step: Step<'_>) -> Visit {
    match (state, step) {
        (ROOT, Step::Element) => Visit::Enter(DOCUMENT),
        (DOCUMENT, Step::Element) => Visit::Enter(LISTED),
        (DOCUMENT | LISTED, Step::Key("upsertionChanges")) => Visit::Enter(UPSERTIONS),
        (DOCUMENT | LISTED, Step::Key("deletionChanges")) => Visit::Enter(DELETIONS),
        (DOCUMENT | LISTED, Step::Key("records")) => Visit::Enter(RECORDS),
        (DOCUMENT | LISTED, Step::Key("changesTokenExpired")) => Visit::Part(EXPIRED),
        (DOCUMENT | LISTED, Step::Key("nextChangesToken" | "hasMore" | "pageToken")) => Visit::Note(PASSED),
        (DOCUMENT | LISTED, Step::Key(_)) => Visit::Whole(RECORDS),
        (UPSERTIONS | DELETIONS | RECORDS, Step::Element) => Visit::Part(state),
        _ => Visit::Unknown,
    }
}

/// The dialect.
#[derive(Debug)]
pub(crate) struct HealthConnect {
    cx: Context,
}

impl HealthConnect {
    pub(crate) fn new(options: DecoderOptions) -> HealthConnect {
        HealthConnect { cx: Context::new(options) }
    }
}

impl Dialect for HealthConnect {
    fn shape(&self) -> Shape {
        shape
    }

    fn part(&mut self, number: u8, text: &str, out: &mut Out<'_>) {
        let key = match number {
            EXPIRED if text == "true" => {
                let reason = "the token of changes was expired: what changed since it was given may be missing; read all records anew";
                return out.reject(b"{\"changesTokenExpired\":true}", reason, None, None);
            }
            EXPIRED => return,
            UPSERTIONS => "upsertionChanges",
            DELETIONS => "deletionChanges",
            _ => "records",
        };
        let mut entry = Entry::default();
        let read = match number {
            DELETIONS => deletion(text),
            UPSERTIONS => inner(text)
                .and_then(|text| entry.read(text, &mut self.cx))
                .and_then(|()| entry.finish(&mut self.cx)),
            _ => entry.read(text, &mut self.cx).and_then(|()| entry.finish(&mut self.cx)),
        };
        match read {
            Ok(record) => out.push(record),
            Err(reason) => out.reject(format!("{{\"{key}\":[{text}]}}").as_bytes(), reason, None, None),
        }
    }
}

/// The record of an upsertion.
fn inner(text: &str) -> Result<&str, String> {
    let mut record = None;
    object(text, |key, text| {
        if key == "record" && Raw::new("record", text).is_object() {
            record = Some(text);
        }
        Ok(())
    })?;
    record.ok_or_else(|| "expected an object in `record`, found none".to_owned())
}
