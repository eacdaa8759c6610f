//! [`Draft`]: a record while it is being read, and the rules that make it one.

use std::sync::Arc;

use afferent_core::{
    Change, Kind, MetaValue, Metadata, Name, Origin, Record, RecordId, Timestamp, Unit, Value,
    record::Aggregate,
};

use crate::{context::Context, identity::derive_id_with, wire::Field};

/// What was read of a record so far.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) id: Option<RecordId>,
    pub(crate) kind: Option<Kind>,
    pub(crate) deleted: bool,
    /// With the offset from UTC in seconds.
    pub(crate) start: Option<(Timestamp, i32)>,
    pub(crate) end: Option<(Timestamp, i32)>,
    pub(crate) value: DraftValue,
    pub(crate) unit: Option<Unit>,
    pub(crate) subject: Option<Name>,
    pub(crate) zone: Option<Name>,
    pub(crate) revision: u32,
    pub(crate) origin: Option<Arc<Origin>>,
    pub(crate) metadata: Option<Arc<Metadata>>,
    /// Fields that no record has.
    pub(crate) unknown: Vec<(Name, MetaValue)>,
    /// The field that is being read: where it stopped, after an error.
    pub(crate) reading: Option<Field>,
}

/// A value that is not yet joined with its unit.
#[derive(Debug, Default)]
pub(crate) enum DraftValue {
    #[default]
    Absent,
    Whole(i64),
    /// Finite.
    Real(f64),
    Aggregate(Vec<(Name, f64)>),
    Other(Value),
}

/// Above this a double no longer tells neighbouring whole numbers apart.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

impl Draft {
    /// The record.
    ///
    /// # Errors
    /// What is missing or does not fit together.
    pub(crate) fn finish(self, cx: &mut Context) -> Result<Record, &'static str> {
        let value = self.value.with_unit(self.unit, self.kind, self.deleted)?;
        let (start, offset) = match self.start {
            Some(start) => start,
            None if self.deleted && self.end.is_none() => (Timestamp::default(), 0),
            None => return Err("expected a time in `start`, found none"),
        };
        let end = self.end.map_or(start, |(end, _)| end);
        if end < start {
            return Err("expected an `end` that is not before `start`");
        }
        if self.kind.is_none() && !self.deleted {
            return Err("expected a `type`, found none");
        }
        if self.id.is_none() && self.deleted {
            return Err("expected the `id` of what was deleted, found none");
        }
        let zone = match self.zone {
            None if offset != 0 => Some(cx.name(&offset_text(offset))),
            zone => zone,
        };
        let mut record = Record {
            id: self.id.unwrap_or(RecordId::from_u128(0)),
            start,
            end,
            value,
            kind: self.kind,
            revision: self.revision,
            change: if self.deleted { Change::Deleted } else { Change::Added },
            subject: self.subject,
            zone,
            origin: self.origin,
            metadata: self.metadata,
        };
        if self.id.is_none() {
            record.id = derive_id_with(&mut cx.scratch, &record);
        }
        if !self.unknown.is_empty() {
            let metadata = record.metadata_mut();
            self.unknown.into_iter().for_each(|(key, value)| metadata.push(key, value));
        }
        Ok(record)
    }
}

impl DraftValue {
    fn with_unit(self, unit: Option<Unit>, kind: Option<Kind>, deleted: bool) -> Result<Value, &'static str> {
        match (self, unit) {
            // Without a value its unit says nothing.
            (DraftValue::Absent, _) if deleted => Ok(Value::None),
            (DraftValue::Absent, _) => Err("expected a `value`, found none"),
            (DraftValue::Whole(number), Some(unit)) => Ok(Value::Quantity(number as f64, unit)),
            (DraftValue::Real(number), Some(unit)) => Ok(Value::Quantity(number, unit)),
            (DraftValue::Whole(_) | DraftValue::Real(_), None) if kind.is_some_and(Kind::is_quantity) => {
                Err("expected a `unit`, because values of this type are quantities, found none")
            }
            (DraftValue::Whole(number), None) => Ok(Value::Category(number)),
            (DraftValue::Real(number), None) if number.fract() == 0.0 && number.abs() <= MAX_EXACT => {
                Ok(Value::Category(number as i64))
            }
            (DraftValue::Real(_), None) => Err("expected a whole number in `value`, or a `unit` beside it"),
            (DraftValue::Aggregate(results), unit) => {
                Ok(Value::Aggregate(Arc::new(Aggregate { unit, results })))
            }
            (DraftValue::Other(value), None) => Ok(value),
            (DraftValue::Other(_), Some(_)) => Err("expected a `unit` only beside a number or an aggregate"),
        }
    }
}

/// `+01:00`.
pub(crate) fn offset_text(seconds: i32) -> String {
    let minutes = seconds.abs() / 60;
    let sign = if seconds < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}
