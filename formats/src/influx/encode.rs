//! Writing line protocol.

use afferent_core::{
    Kind, Name, Record, Unit, Value,
    kind::{category, workout},
    record::{ActivitySummary, Workout},
};

use crate::{Encoder, decimal::write_decimal};

/// Writes records as InfluxDB's line protocol. See the [module](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct InfluxEncoder;

impl Encoder for InfluxEncoder {
    fn encode(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), String> {
        let begin = out.len();
        let result = write(record, out);
        match result {
            Ok(()) => out.push(b'\n'),
            Err(_) => out.truncate(begin),
        }
        result
    }
}

fn write(record: &Record, out: &mut Vec<u8>) -> Result<(), String> {
    if record.is_deletion() {
        return Err("InfluxDB's line protocol has no form for a deletion".to_owned());
    }
    let kind = record.kind.ok_or("an addition has no type")?;
    let nanos = record.start.as_micros().checked_mul(1000);
    let nanos =
        nanos.ok_or("its start has no nanoseconds in 64 bits: expected a time between 1677 and 2262")?;
    write_key(kind.short(), b", ", out);
    let origin = record.origin.as_deref();
    let device = origin.and_then(|origin| origin.device.as_ref()?.model.as_ref());
    write_tag("device", device.map(Name::as_str), out);
    write_tag("source", origin.and_then(|origin| origin.name.as_deref()), out);
    write_tag("subject", record.subject.as_deref(), out);
    write_tag("unit", unit_of(&record.value).map(Unit::as_str), out);
    let mut fields = Fields { out, separator: b' ' };
    fields.value(kind, &record.value)?;
    fields.key("id");
    fields.out.push(b'"');
    fields.out.extend_from_slice(record.id.encode(&mut [0; 36]).as_bytes());
    fields.out.push(b'"');
    if record.revision != 0 {
        fields.whole("revision", i64::from(record.revision));
    }
    if record.end != record.start {
        let micros = record.end.as_micros().saturating_sub(record.start.as_micros());
        fields.number("seconds", micros as f64 / 1e6)?;
    }
    out.push(b' ');
    out.extend_from_slice(itoa::Buffer::new().format(nanos).as_bytes());
    Ok(())
}

fn unit_of(value: &Value) -> Option<Unit> {
    match value {
        Value::Aggregate(aggregate) => aggregate.unit,
        value => value.unit(),
    }
}

/// Appends a name, with a backslash before each of `special`.
fn write_key(name: &str, special: &[u8], out: &mut Vec<u8>) {
    for c in name.chars() {
        match u8::try_from(c) {
            _ if c.is_control() || c == '\\' => out.push(b'_'),
            Ok(byte) if special.contains(&byte) => out.extend_from_slice(&[b'\\', byte]),
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

fn write_tag(key: &str, value: Option<&str>, out: &mut Vec<u8>) {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return };
    out.push(b',');
    out.extend_from_slice(key.as_bytes());
    out.push(b'=');
    write_key(value, b",= ", out);
}

/// The fields of one point.
struct Fields<'a> {
    out: &'a mut Vec<u8>,
    separator: u8,
}

impl Fields<'_> {
    fn key(&mut self, key: &str) {
        self.named(&[key]);
    }

    /// A key of several parts.
    fn named(&mut self, parts: &[&str]) {
        self.out.push(self.separator);
        self.separator = b',';
        for part in parts {
            write_key(part, b",= ", self.out);
        }
        self.out.push(b'=');
    }

    fn number(&mut self, key: &str, number: f64) -> Result<(), String> {
        self.key(key);
        write_decimal(number, self.out)
    }

    fn whole(&mut self, key: &str, number: i64) {
        self.key(key);
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        self.out.push(b'i');
    }

    fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        self.out.push(b'"');
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'"');
    }

    fn value(&mut self, kind: Kind, value: &Value) -> Result<(), String> {
        match value {
            Value::Quantity(number, _) => self.number("value", *number)?,
            Value::Category(_) if kind.is_quantity() => return Err("a quantity has no unit".to_owned()),
            Value::Category(raw) => {
                self.whole("value", *raw);
                let values = kind.info().and_then(|info| info.value_enum);
                if let Some(name) = values.and_then(|values| category::name_of(values, *raw)) {
                    self.text("name", name);
                }
            }
            Value::Aggregate(aggregate) if !aggregate.results.is_empty() => {
                for (name, number) in &aggregate.results {
                    if name.is_empty() {
                        return Err("a result of an aggregate has no name".to_owned());
                    }
                    self.number(name, *number)?;
                }
            }
            Value::Correlation(correlation) => {
                for sample in &correlation.samples {
                    let (Some(kind), Value::Quantity(number, _)) = (sample.kind, &sample.value) else {
                        return Err("a correlation can hold quantities here, found another value".to_owned());
                    };
                    self.number(kind.short(), *number)?;
                }
            }
            Value::Workout(workout) => self.workout(workout)?,
            Value::ActivitySummary(summary) => self.summary(summary)?,
            _ => return Err("InfluxDB's line protocol has no form for such a value".to_owned()),
        }
        Ok(())
    }

    fn workout(&mut self, workout: &Workout) -> Result<(), String> {
        self.text("activity", workout::short_of_activity(workout.activity).unwrap_or("other"));
        if let Some(duration) = workout.duration {
            self.number("duration", duration)?;
        }
        for statistic in &workout.statistics {
            let numbers = [
                ("_sum", statistic.sum),
                ("_average", statistic.average),
                ("_minimum", statistic.minimum),
                ("_maximum", statistic.maximum),
            ];
            for (suffix, number) in numbers {
                if let Some(number) = number {
                    self.named(&[statistic.kind.short(), suffix]);
                    write_decimal(number, self.out)?;
                }
            }
        }
        Ok(())
    }

    fn summary(&mut self, summary: &ActivitySummary) -> Result<(), String> {
        for (key, number) in [
            ("energy", summary.energy),
            ("energy_goal", summary.energy_goal),
            ("move_time", summary.move_time),
            ("move_time_goal", summary.move_time_goal),
            ("exercise_time", summary.exercise_time),
            ("exercise_time_goal", summary.exercise_time_goal),
            ("stand_hours", summary.stand_hours),
            ("stand_hours_goal", summary.stand_hours_goal),
        ] {
            if let Some(number) = number {
                self.number(key, number)?;
            }
        }
        Ok(())
    }
}
