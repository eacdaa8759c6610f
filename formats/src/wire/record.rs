//! Reading one record from JSON.

use std::{borrow::Cow, fmt, sync::Arc};

use afferent_core::{
    Kind, Name, RecordId, Timestamp, Unit, Value,
    record::{
        ActivitySummary, Clinical, Correlation, Electrocardiogram, HeartbeatSeries, Notification, Route,
        Workout,
    },
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    MAX_CORRELATION_DEPTH,
    metadata::{is_shallow, read_meta_value, read_metadata, too_deep},
    origin::read_origin,
    reason::printable,
    scalar::Scalar,
    value::{Remote, Wire},
};
use crate::{
    context::Context,
    draft::{Draft, DraftValue},
};

/// A field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Id,
    Type,
    Deleted,
    Start,
    End,
    Value,
    Unit,
    Subject,
    Zone,
    Revision,
    Source,
    Device,
    Metadata,
}

/// The key of a record's field.
enum Key<'a> {
    Known(Field),
    Unknown(Cow<'a, str>),
}

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key<'de>, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Field::of(key).map_or(Key::Unknown(Cow::Borrowed(key)), Key::Known))
            }
            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Field::of(key).map_or_else(|| Key::Unknown(Cow::Owned(key.to_owned())), Key::Known))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Reads one record's fields into `draft`, which keeps what was read before an error.
pub(super) struct ReadRecord<'c> {
    pub(super) cx: &'c mut Context,
    pub(super) draft: &'c mut Draft,
    /// How many correlations it lies in.
    pub(super) depth: usize,
}

impl<'de> DeserializeSeed<'de> for ReadRecord<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ReadRecord<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record (an object)")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let ReadRecord { cx, draft, depth } = self;
        let mut seen = 0_u32;
        let (mut source, mut device) = (None, None);
        while let Some(key) = map.next_key::<Key<'de>>()? {
            let field = match key {
                Key::Known(field) => field,
                Key::Unknown(key) if cx.strict => {
                    return Err(A::Error::custom(format_args!("unknown key `{}`", printable(&key))));
                }
                Key::Unknown(key) => {
                    let text = map.next_value::<&RawValue>()?.get();
                    if let Some(value) = read_meta_value(&key, text, cx).map_err(A::Error::custom)? {
                        draft.unknown.push((cx.name(&key), value));
                    }
                    continue;
                }
            };
            let bit = 1 << field as u32;
            if seen & bit != 0 {
                return Err(A::Error::custom(format_args!("`{}` comes twice", field.name())));
            }
            seen |= bit;
            draft.reading = Some(field);
            match field {
                Field::Source => source = Some(map.next_value::<&RawValue>()?.get()),
                Field::Device => device = Some(map.next_value::<&RawValue>()?.get()),
                Field::Metadata => {
                    let text = map.next_value::<&RawValue>()?.get();
                    draft.metadata = read_metadata(text, cx).map_err(A::Error::custom)?;
                }
                Field::Value => draft.value = map.next_value_seed(ReadValue { cx, depth })?,
                _ => {
                    let scalar = map.next_value()?;
                    set(draft, field, &scalar, cx).map_err(A::Error::custom)?;
                }
            }
            draft.reading = None;
        }
        if source.is_some() || device.is_some() {
            // Both are read as one; which of them is wrong, the reason says.
            draft.reading = Some(if source.is_some() { Field::Source } else { Field::Device });
            let origin = read_origin(source, device, cx).map_err(A::Error::custom)?;
            draft.origin = origin.part;
            draft.unknown.extend(origin.unknown.iter().flat_map(|unknown| unknown.iter()).cloned());
            draft.reading = None;
        }
        Ok(())
    }
}

impl Field {
    /// The field of this name.
    pub(crate) fn of(name: &str) -> Option<Field> {
        Some(match name {
            "id" => Field::Id,
            "type" => Field::Type,
            "deleted" => Field::Deleted,
            "start" => Field::Start,
            "end" => Field::End,
            "value" => Field::Value,
            "unit" => Field::Unit,
            "subject" => Field::Subject,
            "zone" => Field::Zone,
            "revision" => Field::Revision,
            "source" => Field::Source,
            "device" => Field::Device,
            "metadata" => Field::Metadata,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Field::Id => "id",
            Field::Type => "type",
            Field::Deleted => "deleted",
            Field::Start => "start",
            Field::End => "end",
            Field::Value => "value",
            Field::Unit => "unit",
            Field::Subject => "subject",
            Field::Zone => "zone",
            Field::Revision => "revision",
            Field::Source => "source",
            Field::Device => "device",
            Field::Metadata => "metadata",
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Field::Id => "a uuid",
            Field::Deleted => "true or false",
            Field::Start | Field::End => "a time such as \"2025-01-31T08:00:00Z\"",
            Field::Revision => "a whole number from 0 to 4294967295",
            _ => "a text",
        }
    }
}

/// Sets a field that is a text, a truth value or a number of its own; `null` leaves it as it is.
pub(crate) fn set(
    draft: &mut Draft,
    field: Field,
    scalar: &Scalar<'_>,
    cx: &mut Context,
) -> Result<(), String> {
    let fits = match (field, scalar) {
        (_, Scalar::Null) => true,
        (Field::Id, Scalar::Text(text)) => {
            draft.id = RecordId::parse(text);
            draft.id.is_some()
        }
        (Field::Type, Scalar::Text(text)) => {
            draft.kind = Some(Kind::from_data(text).map_err(|error| format!("in `type`: {error}"))?);
            true
        }
        (Field::Unit, Scalar::Text(text)) => {
            draft.unit = Some(Unit::parse(text).map_err(|error| format!("in `unit`: {error}"))?);
            true
        }
        (Field::Start, Scalar::Text(text)) => {
            draft.start = Timestamp::parse_rfc3339(text);
            draft.start.is_some()
        }
        (Field::End, Scalar::Text(text)) => {
            draft.end = Timestamp::parse_rfc3339(text);
            draft.end.is_some()
        }
        (Field::Subject, Scalar::Text(text)) => {
            draft.subject = Some(cx.name(text));
            true
        }
        (Field::Zone, Scalar::Text(text)) => {
            draft.zone = Some(cx.name(text));
            true
        }
        (Field::Deleted, Scalar::Bool(deleted)) => {
            draft.deleted = *deleted;
            true
        }
        (Field::Revision, Scalar::Int(number)) => {
            let revision = u32::try_from(*number).ok();
            draft.revision = revision.unwrap_or_default();
            revision.is_some()
        }
        _ => false,
    };
    if fits {
        Ok(())
    } else {
        Err(format!("expected {} in `{}`, found {}", field.expected(), field.name(), scalar.found()))
    }
}

/// Reads what stands behind `"value":`.
pub(crate) struct ReadValue<'c> {
    pub(crate) cx: &'c mut Context,
    /// How many correlations its record lies in.
    pub(crate) depth: usize,
}

impl<'de> DeserializeSeed<'de> for ReadValue<'_> {
    type Value = DraftValue;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<DraftValue, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ReadValue<'_> {
    type Value = DraftValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or an object with one key in `value`")
    }

    fn visit_unit<E>(self) -> Result<DraftValue, E> {
        Ok(DraftValue::Absent)
    }

    fn visit_i64<E>(self, number: i64) -> Result<DraftValue, E> {
        Ok(DraftValue::Whole(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<DraftValue, E> {
        Ok(i64::try_from(number).map_or(DraftValue::Real(number as f64), DraftValue::Whole))
    }

    fn visit_f64<E>(self, number: f64) -> Result<DraftValue, E> {
        Ok(DraftValue::Real(number))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DraftValue, A::Error> {
        let ReadValue { cx, depth } = self;
        let Some(Scalar::Text(key)) = map.next_key()? else {
            return Err(A::Error::custom("expected one key in `value`, found none"));
        };
        let value = match &*key {
            "workout" => Value::Workout(remote::<Workout, A>(&mut map)?),
            "electrocardiogram" => Value::Electrocardiogram(remote::<Electrocardiogram, A>(&mut map)?),
            "heartbeat_series" => Value::HeartbeatSeries(remote::<HeartbeatSeries, A>(&mut map)?),
            "route" => Value::Route(remote::<Route, A>(&mut map)?),
            "activity_summary" => Value::ActivitySummary(remote::<ActivitySummary, A>(&mut map)?),
            "clinical" => Value::Clinical(remote::<Clinical, A>(&mut map)?),
            "notification" => Value::Notification(remote::<Notification, A>(&mut map)?),
            "correlation" => {
                let samples = map.next_value_seed(ReadSamples { cx, depth: depth + 1 })?;
                Value::Correlation(Arc::new(Correlation { samples }))
            }
            "json" => {
                let text = map.next_value::<&RawValue>()?.get();
                if !is_shallow(text) {
                    return Err(A::Error::custom(too_deep("json")));
                }
                Value::Json(text.into())
            }
            "aggregate" => {
                let results = map.next_value_seed(ReadResults { cx })?;
                end_of_value(&mut map)?;
                return Ok(DraftValue::Aggregate(results));
            }
            _ => {
                return Err(A::Error::custom(
                    "expected one of `workout`, `correlation`, `electrocardiogram`, `heartbeat_series`, `route`, \
                     `activity_summary`, `clinical`, `notification`, `aggregate`, `json` in `value`, found another key",
                ));
            }
        };
        end_of_value(&mut map)?;
        Ok(DraftValue::Other(value))
    }
}

fn remote<'de, T: Remote, A: MapAccess<'de>>(map: &mut A) -> Result<Arc<T>, A::Error> {
    Ok(Arc::new(map.next_value::<Wire<T>>()?.0))
}

fn end_of_value<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    match map.next_key::<Scalar<'de>>()? {
        None => Ok(()),
        Some(_) => Err(A::Error::custom("expected one key in `value`, found more")),
    }
}

/// Reads the samples of a correlation.
struct ReadSamples<'c> {
    cx: &'c mut Context,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for ReadSamples<'_> {
    type Value = Vec<afferent_core::Record>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ReadSamples<'_> {
    type Value = Vec<afferent_core::Record>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records in `correlation`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let ReadSamples { cx, depth } = self;
        if depth > MAX_CORRELATION_DEPTH {
            return Err(A::Error::custom(format_args!(
                "expected correlations at most {MAX_CORRELATION_DEPTH} deep in one another, found more"
            )));
        }
        let mut samples = Vec::new();
        loop {
            let mut draft = Draft::default();
            match seq.next_element_seed(ReadRecord { cx, draft: &mut draft, depth })? {
                Some(()) => samples.push(draft.finish(cx).map_err(A::Error::custom)?),
                None => return Ok(samples),
            }
        }
    }
}

/// Reads the results of an aggregate.
struct ReadResults<'c> {
    cx: &'c mut Context,
}

impl<'de> DeserializeSeed<'de> for ReadResults<'_> {
    type Value = Vec<(Name, f64)>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ReadResults<'_> {
    type Value = Vec<(Name, f64)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of numbers in `aggregate`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut results: Vec<(Name, f64)> = Vec::new();
        while let Some(Scalar::Text(name)) = map.next_key()? {
            let name = self.cx.name(&name);
            if results.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom("a result of `aggregate` comes twice"));
            }
            results.push((name, map.next_value()?));
        }
        Ok(results)
    }
}
