//! The bodies of Open Wearables: what its SDKs post (`/sdk/users/{id}/sync`), and the webhooks that it sends.
//!
//! Source: the-momentum/open-wearables@44a268be (`schemas/providers/mobile_sdk/sync_request.py`, the webhooks' schemas).
//!
//! | document | gives |
//! |---|---|
//! | `{"provider",…,"data":{"records","sleep","workouts"}}` | quantities and categories, phases of sleep, workouts |
//! | `{"type":"steps.created","data":{"user_id",…,"samples"}}` | quantities, with the user as the subject |
//! | another `{"type":"….created","data":{…}}` without samples | a notification with user and interval, for a puller |
//!
//! **Identity.** Records, phases and workouts have ids; those that are no uuids are derived from. Samples of webhooks have none, and
//! get the id of [`identity`](crate::identity). The dialect has no deletions.
//!
//! **Types** are HealthKit's identifiers from iPhones and names in capitals from others, which are HealthKit's where it has the type
//! and `io.openwearables.NAME` where it has not. `zoneOffset` is the zone.

mod sample;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use afferent_core::{Name, Record, RecordId, Timestamp, Value, record::Notification};

use crate::{
    DecoderOptions,
    context::Context,
    document::{Dialect, Out, ROOT, Shape, Step, Visit},
    identity::derive_id_with,
    json::Raw,
};

/// What types begin with that only this service has, and who sends its notifications.
const PREFIX: &str = "io.openwearables.";
const VENDOR: &str = "open_wearables";

const DOCUMENT: u8 = 1;
const LISTED: u8 = 2;
const DATA: u8 = 3;
const RECORDS: u8 = 4;
const SLEEP: u8 = 5;
const WORKOUTS: u8 = 6;
const SAMPLES: u8 = 7;
const TYPE: u8 = 10;
const USER: u8 = 11;
const START: u8 = 12;
const END: u8 = 13;
const PASSED: u8 = 14;

fn shape(state: u8, step: Step<'_>) -> Visit {
    match (state, step) {
        (ROOT, Step::Element) => Visit::Enter(DOCUMENT),
        (DOCUMENT, Step::Element) => Visit::Enter(LISTED),
        (DOCUMENT | LISTED, Step::Key("data")) => Visit::Enter(DATA),
        (DOCUMENT | LISTED, Step::Key("type")) => Visit::Note(TYPE),
        (DOCUMENT | LISTED, Step::Key("provider" | "sdkVersion" | "syncTimestamp")) => Visit::Note(PASSED),
        (DATA, Step::Key("records")) => Visit::Enter(RECORDS),
        (DATA, Step::Key("sleep")) => Visit::Enter(SLEEP),
        (DATA, Step::Key("workouts")) => Visit::Enter(WORKOUTS),
        (DATA, Step::Key("samples")) => Visit::Enter(SAMPLES),
        (DATA, Step::Key("user_id")) => Visit::Note(USER),
        (DATA, Step::Key("start_time")) => Visit::Note(START),
        (DATA, Step::Key("end_time")) => Visit::Note(END),
        // What a notification is about is for whoever pulls it.
        (DATA, Step::Key(_)) => Visit::Note(PASSED),
        (RECORDS | SLEEP | WORKOUTS | SAMPLES, Step::Element) => Visit::Part(state),
        _ => Visit::Unknown,
    }
}

/// The dialect.
#[derive(Debug)]
pub(crate) struct OpenWearables {
    cx: Context,
    /// What is known of the document.
    topic: Option<String>,
    user: Option<Name>,
    span: [Option<Timestamp>; 2],
    /// It held something else than a notification.
    is_full: bool,
}

impl OpenWearables {
    pub(crate) fn new(options: DecoderOptions) -> OpenWearables {
        OpenWearables { cx: Context::new(options), topic: None, user: None, span: [None; 2], is_full: false }
    }

    /// What a webhook without samples says.
    fn notification(&mut self, topic: &str) -> Result<Record, String> {
        let start = self.span[0].or(self.span[1]).unwrap_or_default();
        let end = self.span[1].unwrap_or(start).max(start);
        let said = Notification { vendor: self.cx.name(VENDOR), topic: self.cx.name(topic) };
        let kind = sample::own_kind(topic)?;
        let mut record =
            Record::added(RecordId::from_u128(0), kind, start, end, Value::Notification(Arc::new(said)));
        record.subject = self.user.clone();
        record.id = derive_id_with(&mut self.cx.scratch, &record);
        Ok(record)
    }
}

impl Dialect for OpenWearables {
    fn shape(&self) -> Shape {
        shape
    }

    fn note(&mut self, number: u8, text: &str) {
        let value = Raw::new("note", text);
        match number {
            TYPE => self.topic = value.string().ok().flatten().map(|topic| topic.into_owned()),
            USER => self.user = value.name(&mut self.cx).ok().flatten(),
            START => self.span[0] = value.rfc3339().ok().flatten().map(|(time, _)| time),
            END => self.span[1] = value.rfc3339().ok().flatten().map(|(time, _)| time),
            _ => {}
        }
    }

    fn part(&mut self, number: u8, text: &str, out: &mut Out<'_>) {
        self.is_full = true;
        let (key, read) = match number {
            RECORDS => ("records", sample::record(text, &mut self.cx)),
            SLEEP => ("sleep", sample::sleep(text, &mut self.cx)),
            WORKOUTS => ("workouts", sample::workout(text, &mut self.cx)),
            _ => ("samples", sample::sample(text, self.user.clone(), &mut self.cx)),
        };
        match read {
            Ok(record) => out.push(record),
            Err(reason) => {
                let user = self.user.as_ref().map_or(Ok("null".to_owned()), serde_json::to_string);
                let user = user.unwrap_or_else(|_| "null".to_owned());
                out.reject(
                    format!("{{\"data\":{{\"user_id\":{user},\"{key}\":[{text}]}}}}").as_bytes(),
                    reason,
                    None,
                    None,
                );
            }
        }
    }

    fn leave(&mut self, state: u8, out: &mut Out<'_>) {
        match state {
            RECORDS | SLEEP | WORKOUTS | SAMPLES => self.is_full = true,
            DOCUMENT | LISTED => {
                if let Some(topic) = self.topic.take()
                    && !self.is_full
                {
                    match self.notification(&topic) {
                        Ok(record) => out.push(record),
                        Err(reason) => out.reject(b"", reason, None, None),
                    }
                }
                (self.user, self.span, self.is_full) = (None, [None; 2], false);
            }
            _ => {}
        }
    }

    fn give_up(&mut self, _: &mut Out<'_>) {
        (self.topic, self.user, self.span, self.is_full) = (None, None, [None; 2], false);
    }
}
