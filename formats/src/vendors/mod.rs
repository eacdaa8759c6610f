//! The bodies of vendors' webhooks.
//!
//! Source: the documentation of each vendor, and the handlers of the-momentum/open-wearables@44a268be; which headers come with them
//! and how they are signed is known to the `webhook` source.
//!
//! Most vendors say only *that* something is there. Such a body gives a **notification** for whoever pulls it: the vendor, what
//! changed in the vendor's word (`topic`), the user as the subject, and the time or interval. Its type is the vendor's domain and the
//! topic; everything else that the body says is in the metadata.
//!
//! | format | sender | gives |
//! |---|---|---|
//! | `google_health` | Google Health | a notification for each interval; `{"type":"verification"}` gives nothing |
//! | `fitbit` | Fitbit's former API | a notification for the day |
//! | `oura`, `strava`, `polar`, `whoop` | each | a notification; Polar's `PING` gives nothing |
//! | `withings` | Withings, as a form | a notification for the interval |
//! | `suunto` | Suunto | of its `samples` quantities and time in bed; workouts; JSON of what has no type; else a notification |
//! | `terra` | Terra | of its `data` quantities, phases of sleep, blood pressures and workouts, and each as JSON |
//! | `junction` | Junction (Vital) | the numbers of a daily series as quantities; other data as JSON; `historical.…` is a notification |
//! | `garmin` | Garmin | of a daily summary steps, distance, energy and heart rates; other summaries as JSON; a ping is a notification |
//!
//! **Identity.** What has no id of its own gets one that is derived from the vendor and the whole of what was said: the same
//! notification, sent again, is the same record; another one about the same thing is another.

mod form;
mod notify;
mod push;
#[cfg(test)]
mod tests;

pub(crate) use self::form::FormDecoder;

use std::sync::Arc;

use afferent_core::{
    Kind, MetaValue, Metadata, Name, Record, RecordId, Timestamp, Value, record::Notification,
};

use crate::{
    DecoderOptions,
    context::Context,
    document::{Dialect, Out, ROOT, Shape, Step, Visit},
    draft::offset_text,
};

/// Whose bodies they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vendor {
    GoogleHealth,
    Fitbit,
    Oura,
    Withings,
    Strava,
    Polar,
    Whoop,
    Suunto,
    Terra,
    Junction,
    Garmin,
}

impl Vendor {
    /// Its name in notifications.
    fn name(self) -> &'static str {
        match self {
            Vendor::GoogleHealth => "google_health",
            Vendor::Fitbit => "fitbit",
            Vendor::Oura => "oura",
            Vendor::Withings => "withings",
            Vendor::Strava => "strava",
            Vendor::Polar => "polar",
            Vendor::Whoop => "whoop",
            Vendor::Suunto => "suunto",
            Vendor::Terra => "terra",
            Vendor::Junction => "junction",
            Vendor::Garmin => "garmin",
        }
    }

    /// What its types begin with.
    fn domain(self) -> &'static str {
        match self {
            Vendor::GoogleHealth => "com.google.health",
            Vendor::Fitbit => "com.fitbit",
            Vendor::Oura => "com.ouraring",
            Vendor::Withings => "com.withings",
            Vendor::Strava => "com.strava",
            Vendor::Polar => "com.polar",
            Vendor::Whoop => "com.whoop",
            Vendor::Suunto => "com.suunto",
            Vendor::Terra => "co.tryterra",
            Vendor::Junction => "com.junction",
            Vendor::Garmin => "com.garmin",
        }
    }

    /// The type of what it calls `topic`.
    fn kind(self, topic: &str) -> Result<Kind, String> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if topic.is_empty()
            || topic.len() > 64
            || !topic.bytes().all(fits)
            || topic.split('.').any(str::is_empty)
        {
            return Err("expected the name of what changed, found another text".to_owned());
        }
        let name = format!("{}.{}", self.domain(), topic.to_ascii_lowercase());
        Kind::from_data(&name).map_err(|error| error.to_string())
    }

    /// The id of what has none: of all that was said.
    fn id(self, said: &str) -> RecordId {
        RecordId::derive([self.name().as_bytes(), said.as_bytes()])
    }
}

/// What a vendor says that something is there.
#[derive(Default)]
struct Said {
    topic: Option<String>,
    user: Option<Name>,
    start: Option<(Timestamp, i32)>,
    end: Option<Timestamp>,
    metadata: Metadata,
}

impl Said {
    /// The notification of `vendor`, whose words were `said`.
    fn finish(self, vendor: Vendor, said: &str, cx: &mut Context) -> Result<Record, String> {
        let topic = self.topic.ok_or("expected what changed, found nothing that says so")?;
        let kind = vendor.kind(&topic)?;
        let (start, offset) = self.start.unwrap_or_default();
        let end = self.end.unwrap_or(start).max(start);
        let value = Notification { vendor: cx.name(vendor.name()), topic: cx.name(&topic) };
        let mut record =
            Record::added(vendor.id(said), kind, start, end, Value::Notification(Arc::new(value)));
        record.subject = self.user;
        record.zone = (offset != 0).then(|| cx.name(&offset_text(offset)));
        if !self.metadata.is_empty() {
            record.metadata = Some(Arc::new(self.metadata));
        }
        Ok(record)
    }

    fn keep(&mut self, key: &str, text: &str, cx: &mut Context) -> Result<(), String> {
        if let Some(value) = crate::wire::read_meta_value(key, text, cx)? {
            self.metadata.push(cx.name(key), value);
        }
        Ok(())
    }

    fn keep_text(&mut self, key: &str, text: &str, cx: &mut Context) {
        self.metadata.push(cx.name(key), MetaValue::String(cx.name(text)));
    }
}

/// An instant by its seconds since 1970.
fn unix(seconds: f64) -> Option<Timestamp> {
    let micros = (seconds * 1e6).round();
    if micros.abs() < 1e18 { Timestamp::from_micros(micros as i64) } else { None }
}

const DOCUMENT: u8 = 1;

fn shape(state: u8, step: Step<'_>) -> Visit {
    match (state, step) {
        (ROOT, Step::Element) => Visit::Enter(DOCUMENT),
        (DOCUMENT, Step::Element) => Visit::Part(DOCUMENT),
        (DOCUMENT, Step::Key(_)) => Visit::Whole(DOCUMENT),
        _ => Visit::Unknown,
    }
}

/// The dialect of a vendor.
#[derive(Debug)]
pub(crate) struct VendorDialect {
    vendor: Vendor,
    cx: Context,
}

impl VendorDialect {
    pub(crate) fn new(vendor: Vendor, options: DecoderOptions) -> VendorDialect {
        VendorDialect { vendor, cx: Context::new(options) }
    }
}

impl Dialect for VendorDialect {
    fn shape(&self) -> Shape {
        shape
    }

    fn part(&mut self, _: u8, text: &str, out: &mut Out<'_>) {
        let (vendor, cx) = (self.vendor, &mut self.cx);
        let read = match vendor {
            Vendor::Suunto => push::suunto(text, cx, out),
            Vendor::Terra => push::terra(text, cx, out),
            Vendor::Junction => push::junction(text, cx, out),
            Vendor::Garmin => push::garmin(text, cx, out),
            _ => notify::read(vendor, text, cx, out),
        };
        if let Err(reason) = read {
            out.reject(text.as_bytes(), reason, None, None);
        }
    }
}
