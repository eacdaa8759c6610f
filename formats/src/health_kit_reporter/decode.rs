//! Reading samples, deletions and events.

use std::sync::Arc;

use afferent_core::{
    Kind, MetaValue, Metadata, Name, Record, RecordId, Timestamp, Value, record::Notification,
};

use super::{
    TOPIC, VENDOR, metadata, origin,
    parts::seconds,
    value::{self, Harmonized},
};
use crate::{
    DecoderOptions,
    context::Context,
    document::{Dialect, Out, ROOT, Shape, Step, Visit},
    identity::derive_id_with,
    json::{Raw, object},
    unescape::unescape,
    wire::{printable, read_meta_value},
};

/// What ids that are no uuids are derived with.
const DIALECT: &str = "health_kit_reporter";

/// A document, or an array of them.
const DOCUMENT: u8 = 1;
/// An element of such an array.
const LISTED: u8 = 2;
const SAMPLES: u8 = 3;
const DELETED: u8 = 4;

fn shape(state: u8, step: Step<'_>) -> Visit {
    match (state, step) {
        (ROOT, Step::Element) => Visit::Enter(DOCUMENT),
        (DOCUMENT, Step::Element) => Visit::Enter(LISTED),
        (DOCUMENT | LISTED, Step::Key("samples")) => Visit::Enter(SAMPLES),
        (DOCUMENT | LISTED, Step::Key("deletedObjects")) => Visit::Enter(DELETED),
        (DOCUMENT | LISTED, Step::Key("anchor")) => Visit::Note(DOCUMENT),
        (DOCUMENT | LISTED, Step::Key(_)) => Visit::Whole(DOCUMENT),
        (SAMPLES, Step::Element) => Visit::Part(SAMPLES),
        (DELETED, Step::Element) => Visit::Part(DELETED),
        _ => Visit::Unknown,
    }
}

/// The dialect.
#[derive(Debug)]
pub(crate) struct Reporter {
    pub(super) cx: Context,
    /// For texts that hold JSON.
    text: Vec<u8>,
}

/// What was read of a sample.
#[derive(Default)]
struct Sample<'t> {
    id: Option<RecordId>,
    kind: Option<Kind>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    device: Option<&'t str>,
    source: Option<&'t str>,
    harmonized: Option<&'t str>,
    metadata: Option<&'t str>,
    beside: value::Beside<'t>,
    subject: Option<Name>,
    /// Told, perhaps as none.
    zone: Option<Option<Name>>,
    revision: u32,
    unknown: Vec<(Name, MetaValue)>,
    /// Something of a sample was there.
    is_sample: bool,
}

impl Reporter {
    pub(crate) fn new(options: DecoderOptions) -> Reporter {
        Reporter { cx: Context::new(options), text: Vec::new() }
    }

    /// The record in the object `text`, and the id and the type as far as they were read.
    pub(super) fn record(
        &mut self,
        text: &str,
        is_deleted: bool,
    ) -> Result<Record, (String, Option<RecordId>, Option<Kind>)> {
        let mut sample = Sample::default();
        let read = sample.read(text, &mut self.cx);
        let (id, kind) = (sample.id, sample.kind);
        read.and_then(|()| sample.finish(is_deleted, &mut self.cx)).map_err(|reason| (reason, id, kind))
    }
}

impl Dialect for Reporter {
    fn shape(&self) -> Shape {
        shape
    }

    fn part(&mut self, number: u8, text: &str, out: &mut Out<'_>) {
        let is_deleted = number == DELETED;
        let mut inner = std::mem::take(&mut self.text);
        let read = if text.starts_with('"') {
            match unescape(text, &mut inner) {
                Ok(text) => self.record(text, is_deleted),
                Err(()) => {
                    Err(("expected a text that holds JSON, found another text".to_owned(), None, None))
                }
            }
        } else {
            self.record(text, is_deleted)
        };
        self.text = inner;
        match read {
            Ok(record) => out.push(record),
            Err((reason, id, kind)) if is_deleted => {
                let payload = format!("{{\"deletedObjects\":[{text}]}}");
                out.reject(payload.as_bytes(), reason, id, kind);
            }
            Err((reason, id, kind)) => out.reject(text.as_bytes(), reason, id, kind),
        }
    }
}

impl<'t> Sample<'t> {
    fn read(&mut self, text: &'t str, cx: &mut Context) -> Result<(), String> {
        object(text, |key, text| {
            let value = Raw::new(key, text);
            match key {
                "uuid" => self.id = value.id(DIALECT)?,
                "identifier" => self.kind = value.kind()?,
                "startTimestamp" => self.start = seconds(value)?,
                "endTimestamp" => self.end = seconds(value)?,
                "device" => self.device = Some(text),
                "sourceRevision" => self.source = Some(text),
                "harmonized" => self.harmonized = Some(text),
                "metadata" => self.metadata = Some(text),
                "subject" => self.subject = value.name(cx)?,
                "zone" => self.zone = Some(value.name(cx)?),
                "revision" => {
                    let revision = value.whole()?.unwrap_or(0);
                    self.revision = u32::try_from(revision)
                        .map_err(|_| value.expected("a whole number from 0 to 4294967295"))?;
                }
                _ => {
                    if !self.beside.read(key, text)? {
                        self.unknown(key, text, cx)?;
                    }
                }
            }
            self.is_sample |= !matches!(key, "uuid" | "metadata");
            Ok(())
        })
    }

    fn unknown(&mut self, key: &str, text: &str, cx: &mut Context) -> Result<(), String> {
        if cx.strict {
            return Err(format!("unknown key `{}`", printable(key)));
        }
        if let Some(value) = read_meta_value(key, text, cx)? {
            self.unknown.push((cx.name(key), value));
        }
        Ok(())
    }

    fn finish(mut self, is_deleted: bool, cx: &mut Context) -> Result<Record, String> {
        // A deleted object that stands alone has an id and perhaps metadata, and nothing else.
        if is_deleted || (!self.is_sample && self.id.is_some()) {
            return self.deletion(cx);
        }
        let kind = self.kind.ok_or("expected the type in `identifier`, found none")?;
        let Some(harmonized) = self.harmonized else {
            if self.start.is_none() && self.id.is_none() {
                return Ok(observed(kind, cx));
            }
            return Err("expected an object in `harmonized`, found none".to_owned());
        };
        let harmonized = Harmonized::read(harmonized, cx)?;
        let (value, metadata) =
            harmonized.finish(kind, &mut self.beside, &mut self.unknown, self.start, &mut |text, kind| {
                nested(text, kind, cx)
            })?;
        let start =
            self.start.or(self.beside.start()).ok_or("expected a time in `startTimestamp`, found none")?;
        let end = self.end.unwrap_or(start);
        if end < start {
            return Err("expected an `endTimestamp` that is not before `startTimestamp`".to_owned());
        }
        let metadata = metadata.or(self.metadata).map_or(Ok(None), |text| metadata::read(text, cx))?;
        let mut record = Record::added(self.id.unwrap_or(RecordId::from_u128(0)), kind, start, end, value);
        self.about(&mut record, metadata, cx)?;
        if self.id.is_none() {
            record.id = derive_id_with(&mut cx.scratch, &record);
        }
        Ok(record)
    }

    fn deletion(&mut self, cx: &mut Context) -> Result<Record, String> {
        let id = self.id.ok_or("expected the id of what was deleted in `uuid`, found none")?;
        let mut record = Record::deleted(id, self.kind);
        record.start = self.start.unwrap_or_default();
        record.end = self.end.unwrap_or(record.start).max(record.start);
        let metadata = self.metadata.map_or(Ok(None), |text| metadata::read(text, cx))?;
        self.about(&mut record, metadata, cx)?;
        Ok(record)
    }

    /// Sets what additions and deletions have in common.
    fn about(
        &mut self,
        record: &mut Record,
        metadata: Option<Arc<Metadata>>,
        cx: &mut Context,
    ) -> Result<(), String> {
        record.subject = self.subject.take();
        record.revision = self.revision;
        record.metadata = metadata;
        if self.source.is_some() || self.device.is_some_and(|device| device != "{}") {
            let part = origin::read(self.source, self.device, cx)?;
            record.origin = part.part;
            self.unknown.extend(part.unknown.iter().flat_map(|unknown| unknown.iter()).cloned());
        }
        record.zone = match self.zone.take() {
            Some(zone) => zone,
            None => match record.metadata.as_ref().and_then(|metadata| metadata.get("HKTimeZone")) {
                Some(MetaValue::String(zone)) => Some(zone.clone()),
                _ => None,
            },
        };
        if !self.unknown.is_empty() {
            let metadata = record.metadata_mut();
            self.unknown.drain(..).for_each(|(key, value)| metadata.push(key, value));
        }
        Ok(())
    }
}

/// A sample of a correlation, which is a quantity or a category and never a correlation again.
fn nested(text: &str, is_wanted: fn(&Value) -> bool, cx: &mut Context) -> Result<Record, String> {
    let mut sample = Sample::default();
    sample.read(text, cx)?;
    let kind = sample.kind.ok_or("expected the type in `identifier`, found none")?;
    let text = sample.harmonized.ok_or("expected an object in `harmonized`, found none")?;
    let harmonized = Harmonized::read(text, cx)?;
    let (value, metadata) = harmonized.plain(kind)?;
    if !is_wanted(&value) {
        return Err("expected quantities in `quantitySamples` and categories in `categorySamples`".to_owned());
    }
    let start = sample.start.ok_or("expected a time in `startTimestamp`, found none")?;
    let end = sample.end.unwrap_or(start);
    if end < start {
        return Err("expected an `endTimestamp` that is not before `startTimestamp`".to_owned());
    }
    let metadata = metadata.map_or(Ok(None), |text| metadata::read(text, cx))?;
    let mut record = Record::added(sample.id.unwrap_or(RecordId::from_u128(0)), kind, start, end, value);
    sample.about(&mut record, metadata, cx)?;
    if sample.id.is_none() {
        record.id = derive_id_with(&mut cx.scratch, &record);
    }
    Ok(record)
}

/// What an observer says: something of this type changed. It has no time, and so the same id each time.
fn observed(kind: Kind, cx: &mut Context) -> Record {
    let notification = Notification { vendor: cx.name(VENDOR), topic: cx.name(TOPIC) };
    let value = Value::Notification(Arc::new(notification));
    let at = Timestamp::default();
    let mut record = Record::added(RecordId::from_u128(0), kind, at, at, value);
    record.id = derive_id_with(&mut cx.scratch, &record);
    record
}
