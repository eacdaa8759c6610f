//! Metadata in its three forms.

use std::sync::Arc;

use afferent_core::{MetaValue, Metadata, Timestamp};

use crate::{
    context::Context,
    json::{Raw, object},
    wire::read_meta_value,
};

/// Seconds from 1970 to 2001, which Swift's `Date` counts from.
const SECONDS_TO_2001: f64 = 978_307_200.0;

/// The metadata in the JSON object `text`; `null` and an empty one are none.
pub(super) fn read(text: &str, cx: &mut Context) -> Result<Option<Arc<Metadata>>, String> {
    // Taken out while reading, because reading needs the rest of the context.
    let mut cache = std::mem::take(&mut cx.metadata);
    let metadata = cache.get_or_read(text.as_bytes(), || {
        let mut metadata = Metadata::default();
        let (form, entries) = unwrap(text);
        Raw::new("metadata", entries).entries(|key, text| {
            let value = match form {
                Form::Dates => Raw::new(key, text).number()?.and_then(since_2001).map(MetaValue::Date),
                Form::Flat => value(key, text, cx)?,
            };
            if let Some(value) = value {
                metadata.push(cx.name(key), value);
            }
            Ok(())
        })?;
        Ok(if metadata.is_empty() { None } else { Some(Arc::new(metadata)) })
    });
    cx.metadata = cache;
    metadata
}

/// How the values are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Flat,
    /// Seconds since 2001.
    Dates,
}

/// Takes the enumeration of pods 2 and 3 off: `{"double":{"dictionary":{…}}}`.
fn unwrap(text: &str) -> (Form, &str) {
    let (mut form, mut inner, mut entries) = (None, text, 0);
    let read = object(text, |key, value| {
        entries += 1;
        (form, inner) = match key {
            "string" | "double" => (Some(Form::Flat), value),
            "date" => (Some(Form::Dates), value),
            _ => (None, value),
        };
        Ok(())
    });
    let (Ok(()), Some(form), 1) = (read, form, entries) else { return (Form::Flat, text) };
    let mut dictionary = None;
    let read = object(inner, |key, value| {
        dictionary = (key == "dictionary").then_some(value);
        Ok(())
    });
    match (read, dictionary) {
        (Ok(()), Some(dictionary)) => (form, dictionary),
        _ => (Form::Flat, text),
    }
}

fn value(key: &str, text: &str, cx: &mut Context) -> Result<Option<MetaValue>, String> {
    match timestamp(text) {
        Some(date) => Ok(Some(MetaValue::Date(date))),
        None => read_meta_value(key, text, cx),
    }
}

/// The date in `{"timestamp":…}`.
fn timestamp(text: &str) -> Option<Timestamp> {
    if !text.starts_with('{') {
        return None;
    }
    let (mut date, mut entries) = (None, 0);
    let read = object(text, |key, value| {
        entries += 1;
        if key == "timestamp" {
            date = Raw::new("timestamp", value).number()?.and_then(super::parts::instant);
        }
        Ok(())
    });
    read.ok().and(date).filter(|_| entries == 1)
}

fn since_2001(seconds: f64) -> Option<Timestamp> {
    super::parts::instant(seconds + SECONDS_TO_2001)
}
