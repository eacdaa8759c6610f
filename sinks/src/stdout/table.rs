//! [`Table`]: records in columns.

use std::io::Write;

use afferent_core::{Change, Record, Timestamp, Value};
use afferent_formats::Encoder;
use jiff::tz::TimeZone;

/// Widths of the columns that are padded; a longer text moves its line and no other. The lines of usual records
/// fit in 80 columns.
const TIME: usize = 25;
const KIND: usize = 24;
const VALUE: usize = 16;

/// Records as lines of a table, with times in one zone.
pub(super) struct Table {
    zone: TimeZone,
    line: Vec<u8>,
}

impl Table {
    pub(super) fn new(zone: TimeZone) -> Table {
        Table { zone, line: Vec::new() }
    }

    fn time(&self, time: Timestamp) -> String {
        match jiff::Timestamp::from_microsecond(time.as_micros()) {
            Ok(instant) => {
                jiff::ZonedDateTime::new(instant, self.zone.clone()).strftime("%F %T%:z").to_string()
            }
            // The last and first days of the range are beyond jiff's.
            Err(_) => time.to_string(),
        }
    }
}

/// What a person wants to see of a value in one line.
fn shown(value: &Value) -> String {
    match value {
        Value::None => String::new(),
        Value::Quantity(number, unit) => format!("{number} {unit}"),
        Value::Category(number) => number.to_string(),
        Value::Workout(_) => "workout".to_owned(),
        Value::Correlation(correlation) => format!("{} samples", correlation.samples.len()),
        Value::Electrocardiogram(ecg) => format!("{} voltages", ecg.voltages.len()),
        Value::HeartbeatSeries(series) => format!("{} beats", series.beats.len()),
        Value::Route(route) => format!("{} places", route.locations.len()),
        Value::ActivitySummary(_) => "rings".to_owned(),
        Value::Clinical(_) => "document".to_owned(),
        Value::Notification(_) => "notification".to_owned(),
        Value::Aggregate(aggregate) => {
            let results: Vec<String> =
                aggregate.results.iter().map(|(name, number)| format!("{name}={number}")).collect();
            results.join(" ")
        }
        _ => "json".to_owned(),
    }
}

impl Encoder for Table {
    fn header(&self, out: &mut Vec<u8>) {
        let header = format!("{:TIME$}  {:KIND$}  {:VALUE$}  SOURCE\n", "START", "TYPE", "VALUE");
        out.extend_from_slice(header.as_bytes());
    }

    fn encode(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), String> {
        let deleted = record.change == Change::Deleted;
        let time = if deleted && record.start == Timestamp::default() {
            String::new()
        } else {
            self.time(record.start)
        };
        let kind = record.kind.map_or("", |kind| kind.short());
        let value = if deleted { "deleted".to_owned() } else { shown(&record.value) };
        // A deletion often has nothing else to know it by.
        let source = match &record.origin {
            Some(origin) => origin.name.as_deref().unwrap_or_default().to_owned(),
            None if deleted => record.id.to_string(),
            None => String::new(),
        };
        self.line.clear();
        write!(self.line, "{time:TIME$}  {kind:KIND$}  {value:VALUE$}  {source}")
            .map_err(|error| error.to_string())?;
        let end = self.line.trim_ascii_end().len();
        // A text from the data must not move the cursor, or the person who reads it.
        out.extend(self.line[..end].iter().map(|byte| if byte.is_ascii_control() { b'?' } else { *byte }));
        out.push(b'\n');
        Ok(())
    }
}
