//! JSON that is read by hand: the values of an object as they stand, each looked at by what its key asks for.
//!
//! Dialects have dozens of keys, most of them optional, of types that differ from version to version. A struct for each would
//! say less than a `match`, and could not keep what it does not know. Nothing is copied and no map is made.
//!
//! Reasons name the key and what was found there, never a value.

use std::borrow::Cow;

use afferent_core::{Kind, Name, RecordId, Timestamp, Unit};
use serde::{
    Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    context::Context,
    wire::{Scalar, cause},
};

/// A JSON value as it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'t> {
    /// What it is called in reasons.
    pub(crate) key: &'t str,
    pub(crate) text: &'t str,
}

/// Calls `each` with the entries of the object `text`.
pub(crate) fn object<'t>(
    text: &'t str,
    each: impl FnMut(&str, &'t str) -> Result<(), String>,
) -> Result<(), String> {
    struct Entries<F>(F);
    impl<'de, F: FnMut(&str, &'de str) -> Result<(), String>> Visitor<'de> for Entries<F> {
        type Value = ();
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some(Scalar::Text(key)) = map.next_key()? {
                (self.0)(&key, map.next_value::<&RawValue>()?.get()).map_err(A::Error::custom)?;
            }
            Ok(())
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = deserializer.deserialize_map(Entries(each)).and_then(|()| deserializer.end());
    read.map_err(|error| cause(&error))
}

/// Calls `each` with the elements of the array `text`.
pub(crate) fn array<'t>(
    text: &'t str,
    each: impl FnMut(&'t str) -> Result<(), String>,
) -> Result<(), String> {
    struct Elements<F>(F);
    impl<'de, F: FnMut(&'de str) -> Result<(), String>> Visitor<'de> for Elements<F> {
        type Value = ();
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an array")
        }
        fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
            while let Some(element) = seq.next_element::<&RawValue>()? {
                (self.0)(element.get()).map_err(A::Error::custom)?;
            }
            Ok(())
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = deserializer.deserialize_seq(Elements(each)).and_then(|()| deserializer.end());
    read.map_err(|error| cause(&error))
}

/// Whether `text` is one JSON value.
pub(crate) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

impl<'t> Raw<'t> {
    /// The value `text`, called `key`.
    pub(crate) fn new(key: &'t str, text: &'t str) -> Raw<'t> {
        Raw { key, text }
    }

    pub(crate) fn is_null(self) -> bool {
        self.text == "null"
    }

    pub(crate) fn is_text(self) -> bool {
        self.text.starts_with('"')
    }

    pub(crate) fn is_object(self) -> bool {
        self.text.starts_with('{')
    }

    pub(crate) fn is_array(self) -> bool {
        self.text.starts_with('[')
    }

    /// Whether it is a number.
    pub(crate) fn is_number(self) -> bool {
        self.text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
    }

    fn found(self) -> &'static str {
        match self.text.as_bytes().first() {
            Some(b'"') => "a text",
            Some(b'{') => "an object",
            Some(b'[') => "an array",
            Some(b't' | b'f') => "a truth value",
            Some(b'n') => "null",
            _ => "a number",
        }
    }

    /// A reason: `what` was expected here.
    pub(crate) fn expected(self, what: &str) -> String {
        let found = if self.is_text() { "another text" } else { self.found() };
        format!("expected {what} in `{}`, found {found}", self.key)
    }

    /// A text; `null` is none.
    pub(crate) fn string(self) -> Result<Option<Cow<'t, str>>, String> {
        if self.is_null() {
            return Ok(None);
        }
        if !self.is_text() {
            return Err(self.expected("a text"));
        }
        let inner = &self.text[1..self.text.len() - 1];
        if !inner.as_bytes().contains(&b'\\') {
            return Ok(Some(Cow::Borrowed(inner)));
        }
        match serde_json::from_str(self.text) {
            Ok(Scalar::Text(text)) => Ok(Some(text)),
            Ok(_) => Err(self.expected("a text")),
            Err(error) => Err(format!("in `{}`: {}", self.key, cause(&error))),
        }
    }

    /// A text that repeats from record to record; empty is none.
    pub(crate) fn name(self, cx: &mut Context) -> Result<Option<Name>, String> {
        Ok(self.string()?.filter(|text| !text.is_empty()).map(|text| cx.name(&text)))
    }

    /// A finite number; `null` is none.
    pub(crate) fn number(self) -> Result<Option<f64>, String> {
        if self.is_null() {
            return Ok(None);
        }
        if !self.is_number() {
            return Err(self.expected("a number"));
        }
        // It was found to be a number of JSON, which are fewer than those of Rust.
        match self.text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(format!("expected a finite number in `{}`, found one that no double holds", self.key)),
        }
    }

    /// A whole number, also one that is written as `1.0`; `null` is none.
    pub(crate) fn whole(self) -> Result<Option<i64>, String> {
        if let Ok(number) = self.text.parse::<i64>() {
            return Ok(Some(number));
        }
        match self.number()? {
            None => Ok(None),
            // Above 2^53 a double no longer tells neighbouring whole numbers apart.
            Some(number) if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 => {
                Ok(Some(number as i64))
            }
            Some(_) => Err(format!("expected a whole number in `{}`, found another", self.key)),
        }
    }

    /// A truth value; `null` is none.
    pub(crate) fn boolean(self) -> Result<Option<bool>, String> {
        match self.text {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            "null" => Ok(None),
            _ => Err(self.expected("true or false")),
        }
    }

    /// A unit; `null` and an empty text are none.
    pub(crate) fn unit(self) -> Result<Option<Unit>, String> {
        match self.string()?.filter(|text| !text.is_empty()) {
            None => Ok(None),
            Some(text) => Unit::parse(&text).map(Some).map_err(|error| format!("in `{}`: {error}", self.key)),
        }
    }

    /// A type by its identifier; `null` is none.
    pub(crate) fn kind(self) -> Result<Option<Kind>, String> {
        match self.string()? {
            None => Ok(None),
            Some(text) => {
                Kind::from_data(&text).map(Some).map_err(|error| format!("in `{}`: {error}", self.key))
            }
        }
    }

    /// An instant in RFC 3339 and its offset in seconds; `null` is none.
    pub(crate) fn rfc3339(self) -> Result<Option<(Timestamp, i32)>, String> {
        match self.string()? {
            None => Ok(None),
            Some(text) => match Timestamp::parse_rfc3339(&text) {
                Some(time) => Ok(Some(time)),
                None => Err(self.expected("a time such as \"2025-01-31T08:00:00Z\"")),
            },
        }
    }

    /// An id: a uuid as it is, any other text or whole number as the id that is derived from it and from `dialect`; `null` and
    /// an empty text are none.
    pub(crate) fn id(self, dialect: &str) -> Result<Option<RecordId>, String> {
        if self.is_number() {
            return Ok(Some(RecordId::derive([dialect.as_bytes(), self.text.as_bytes()])));
        }
        Ok(self.string()?.filter(|text| !text.is_empty()).map(|text| {
            RecordId::parse(&text).unwrap_or_else(|| RecordId::derive([dialect.as_bytes(), text.as_bytes()]))
        }))
    }

    /// Entries of an object; `null` has none.
    pub(crate) fn entries(self, each: impl FnMut(&str, &'t str) -> Result<(), String>) -> Result<(), String> {
        if self.is_null() {
            return Ok(());
        }
        object(self.text, each).map_err(|reason| self.within(reason))
    }

    /// Elements of an array; `null` has none.
    pub(crate) fn elements(self, each: impl FnMut(&'t str) -> Result<(), String>) -> Result<(), String> {
        if self.is_null() {
            return Ok(());
        }
        array(self.text, each).map_err(|reason| self.within(reason))
    }

    fn within(self, reason: String) -> String {
        format!("in `{}`: {reason}", self.key)
    }
}
