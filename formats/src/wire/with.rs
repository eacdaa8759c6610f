//! How single fields are written and read, for `#[serde(with = "…")]`.
//!
//! JSON has no number that is not finite and serde_json would write `null` for one, so writing one is an error
//! here.

use std::sync::Arc;

use afferent_core::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::value::RawValue;

use super::metadata::is_shallow;

/// Why a number can't be written.
pub(crate) const NOT_FINITE: &str = "a number is not finite, and JSON has no such number";

fn check<E: ser::Error>(number: f64) -> Result<f64, E> {
    if number.is_finite() { Ok(number) } else { Err(E::custom(NOT_FINITE)) }
}

/// A finite number.
pub(super) mod finite {
    use super::{Deserialize, Deserializer, Serializer, check};

    pub(in super::super) fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(check(*number)?)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        f64::deserialize(deserializer)
    }
}

/// A finite number, or none.
pub(super) mod finite_option {
    use super::{Deserialize, Deserializer, Serialize, Serializer, check};

    pub(in super::super) fn serialize<S: Serializer>(
        number: &Option<f64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        number.map(check).transpose()?.serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<f64>, D::Error> {
        Option::deserialize(deserializer)
    }
}

/// Finite numbers.
pub(super) mod finite_list {
    use super::{Deserialize, Deserializer, Serializer, check};

    pub(in super::super) fn serialize<S: Serializer>(
        numbers: &[f64],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        for number in numbers {
            check(*number)?;
        }
        serializer.collect_seq(numbers)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<f64>, D::Error> {
        Vec::deserialize(deserializer)
    }
}

/// An instant.
pub(super) mod time {
    use super::{Deserializer, Serializer, Timestamp, de};

    pub(in super::super) fn serialize<S: Serializer>(
        time: &Timestamp,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Timestamp, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Timestamp;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a time such as \"2025-01-31T08:00:00Z\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                let invalid = || E::invalid_value(de::Unexpected::Other("another text"), &self);
                Timestamp::parse_rfc3339(text).map(|(time, _)| time).ok_or_else(invalid)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// One JSON value as text, or none.
pub(super) mod json_option {
    use super::{Arc, Deserialize, Deserializer, RawValue, Serialize, Serializer, one_line, ser};

    pub(in super::super) fn serialize<S: Serializer>(
        text: &Option<Arc<str>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let raw = text.as_deref().map(|text| one_line(text).map_err(ser::Error::custom)).transpose()?;
        raw.serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Arc<str>>, D::Error> {
        Ok(Option::<Box<RawValue>>::deserialize(deserializer)?.map(|raw| raw.get().into()))
    }
}

/// `text` as one JSON value on one line: outside its strings, which hold none, line ends mean nothing.
pub(crate) fn one_line(text: &str) -> Result<Box<RawValue>, &'static str> {
    let raw =
        RawValue::from_string(text.replace(['\r', '\n'], " ")).map_err(|_| "a document is not valid JSON")?;
    if is_shallow(text) {
        Ok(raw)
    } else {
        Err("a document is too deep: its arrays and objects lie in one another")
    }
}
