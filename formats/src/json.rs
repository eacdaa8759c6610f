//! JSON that is read by hand: the values of an object as they stand, each looked at by what its key asks for.
//!
//! Dialects have dozens of keys, most of them optional, of types that differ from version to version. A struct for each would
//! say less than a `match`, and could not keep what it does not know. Nothing is copied and no map is made. What is read is
//! read by [`Quick`] as far as that goes, and by serde_json from there on.
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
    quick::Quick,
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
    mut each: impl FnMut(&str, &'t str) -> Result<(), String>,
) -> Result<(), String> {
    let (mut quick, mut given) = (Quick::new(text), 0);
    if quick.enter(b'{').is_some() {
        loop {
            match quick.entry(given == 0) {
                Some(Some((key, value))) => {
                    each(key, value)?;
                    given += 1;
                }
                Some(None) if quick.end().is_some() => return Ok(()),
                _ => break,
            }
        }
    }
    object_behind(text, given, each)
}

/// Calls `each` with the elements of the array `text`.
pub(crate) fn array<'t>(
    text: &'t str,
    mut each: impl FnMut(&'t str) -> Result<(), String>,
) -> Result<(), String> {
    let (mut quick, mut given) = (Quick::new(text), 0);
    if quick.enter(b'[').is_some() {
        loop {
            match quick.item(given == 0) {
                Some(Some(element)) => {
                    each(element)?;
                    given += 1;
                }
                Some(None) if quick.end().is_some() => return Ok(()),
                _ => break,
            }
        }
    }
    array_behind(text, given, each)
}

/// As [`object`], by serde_json, with the entries behind the first `given`: what is wrong it says in its words.
fn object_behind<'t>(
    text: &'t str,
    given: usize,
    each: impl FnMut(&str, &'t str) -> Result<(), String>,
) -> Result<(), String> {
    struct Entries<F>(usize, F);
    impl<'de, F: FnMut(&str, &'de str) -> Result<(), String>> Visitor<'de> for Entries<F> {
        type Value = ();
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            let mut number = 0;
            while let Some(Scalar::Text(key)) = map.next_key()? {
                let value = map.next_value::<&RawValue>()?.get();
                number += 1;
                if number > self.0 {
                    (self.1)(&key, value).map_err(A::Error::custom)?;
                }
            }
            Ok(())
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = deserializer.deserialize_map(Entries(given, each)).and_then(|()| deserializer.end());
    read.map_err(|error| cause(&error))
}

/// As [`array`], by serde_json, with the elements behind the first `given`.
fn array_behind<'t>(
    text: &'t str,
    given: usize,
    each: impl FnMut(&'t str) -> Result<(), String>,
) -> Result<(), String> {
    struct Elements<F>(usize, F);
    impl<'de, F: FnMut(&'de str) -> Result<(), String>> Visitor<'de> for Elements<F> {
        type Value = ();
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an array")
        }
        fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
            let mut number = 0;
            while let Some(element) = seq.next_element::<&RawValue>()? {
                number += 1;
                if number > self.0 {
                    (self.1)(element.get()).map_err(A::Error::custom)?;
                }
            }
            Ok(())
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = deserializer.deserialize_seq(Elements(given, each)).and_then(|()| deserializer.end());
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    /// What was given, and how it ended.
    type Read = (Vec<(String, String)>, Result<(), String>);

    fn entries(
        read: impl FnOnce(&mut dyn FnMut(&str, &str) -> Result<(), String>) -> Result<(), String>,
    ) -> Read {
        let mut all = Vec::new();
        let ended = read(&mut |key, value| {
            all.push((key.to_owned(), value.to_owned()));
            // As dialects do with what they do not expect.
            if value == "7" { Err("expected another number".to_owned()) } else { Ok(()) }
        });
        (all, ended)
    }

    fn compare(text: &str) -> Result<(), TestCaseError> {
        prop_assert_eq!(
            entries(|each| object(text, |key, value| each(key, value))),
            entries(|each| object_behind(text, 0, |key, value| each(key, value))),
            "{}",
            text
        );
        prop_assert_eq!(
            entries(|each| array(text, |value| each("", value))),
            entries(|each| array_behind(text, 0, |value| each("", value))),
            "{}",
            text
        );
        Ok(())
    }

    /// Scenario: objects and arrays of anything, whole, with one character changed, and texts that only look like JSON.
    /// Guarantees: G4, what is read in one pass is what serde_json reads, with the same reason where it is refused.
    #[test]
    fn it_reads_what_serde_json_reads() {
        for text in [
            "",
            " { } ",
            "[]",
            "[ ]",
            "{,}",
            "[,]",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\":01}",
            "{\"a\":-}",
            "{\"a\":1.}",
            "[1e5,7,x]",
            "[1.5E-3,-0,0.0]",
            "{\"a\":\"\\u00e9\\/\",\"b\":7,\"c\"}",
            "{\"\\u0061\":1}",
            "[\"\\ud800\"]",
            "[\"\\x\"]",
            "[\"\u{1}\"]",
            "[tru]",
            "[true,false,null]",
            "[nulll]",
            "[1] 2",
            "{\"a\":{\"b\":[{}]}} ",
            "[\"abcdefg\",\"abcdefgh\",\"abcdefghi\"]",
            "[\"é€😀\"]",
        ] {
            compare(text).unwrap();
        }
        compare(&format!("{}{}", "[".repeat(40), "]".repeat(40))).unwrap();
        proptest!(ProptestConfig::with_cases(4_000), |(
            document in testing::documents(),
            (at, with) in (any::<prop::sample::Index>(), "[\\[\\]{}\",:0-9eE.+a-z\\\\ \n\u{1}é-]?"),
            loose in "[\\[{][\\[\\]{}\",:017eE.+ntu\\\\ é-]{0,12}",
        )| {
            let pretty = serde_json::from_str::<serde_json::Value>(&document)
                .and_then(|value| serde_json::to_string_pretty(&value))
                .unwrap_or_default();
            let mut broken: Vec<char> = document.chars().collect();
            let place = at.index(broken.len());
            broken.splice(place..=place, with.chars());
            for text in [&*document, &pretty, &broken.into_iter().collect::<String>(), &loose] {
                compare(text)?;
            }
        });
    }
}
