//! Writing the wire form as MessagePack.

use afferent_core::Record;

use super::form::MAX_DEPTH;
use crate::{
    Encoder,
    json::{Raw, array, object},
    wire::write_record,
};

/// Writes records as maps of MessagePack, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct MsgpackEncoder {
    /// The record as JSON.
    json: Vec<u8>,
}

impl Encoder for MsgpackEncoder {
    fn ending(&self) -> &'static [u8] {
        b""
    }

    fn encode(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), String> {
        self.json.clear();
        write_record(record, &mut self.json)?;
        let json = std::str::from_utf8(&self.json).expect("the wire form is text");
        let begin = out.len();
        // Its reader counts what lies in the innermost array or map as one more.
        write(json, MAX_DEPTH - 1, out).inspect_err(|_| out.truncate(begin))
    }
}

/// Writes the JSON value `text`, whose arrays and objects may lie `depth` deep in one another.
fn write(text: &str, depth: usize, out: &mut Vec<u8>) -> Result<(), String> {
    let value = Raw::new("value", text);
    if value.is_object() || value.is_array() {
        let depth = depth
            .checked_sub(1)
            .ok_or("its arrays and objects lie in one another too deeply for MessagePack")?;
        return container(text, depth, out);
    }
    if value.is_number() {
        write_number(text, out)?;
    } else if value.is_text() {
        write_text(&value.string()?.unwrap_or_default(), out);
    } else {
        out.push(match value.boolean()? {
            None => 0xc0,
            Some(false) => 0xc2,
            Some(true) => 0xc3,
        });
    }
    Ok(())
}

/// Writes an array or an object. How many elements it has is only known behind them: there is one byte for their number, and
/// the others are put in when it is larger.
fn container(text: &str, depth: usize, out: &mut Vec<u8>) -> Result<(), String> {
    let begin = out.len();
    out.push(0);
    let mut count = 0_u32;
    let is_object = text.starts_with('{');
    if is_object {
        object(text, |key, text| {
            count += 1;
            write_text(key, out);
            write(text, depth, out)
        })?;
    } else {
        array(text, |text| {
            count += 1;
            write(text, depth, out)
        })?;
    }
    let (short, middle, long) = if is_object { (0x80, 0xde, 0xdf) } else { (0x90, 0xdc, 0xdd) };
    match (u8::try_from(count), u16::try_from(count)) {
        (Ok(few @ 0..=15), _) => out[begin] = short | few,
        (_, Ok(some)) => {
            out[begin] = middle;
            out.splice(begin + 1..begin + 1, some.to_be_bytes());
        }
        _ => {
            out[begin] = long;
            out.splice(begin + 1..begin + 1, count.to_be_bytes());
        }
    }
    Ok(())
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    // A text of more than 4 GiB fits in no record.
    let length = text.len() as u32;
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=31), _) => out.push(0xa0 | short),
        (Ok(short), _) => out.extend_from_slice(&[0xd9, short]),
        (_, Ok(middle)) => {
            out.push(0xda);
            out.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            out.push(0xdb);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.extend_from_slice(text.as_bytes());
}

/// Writes a number: a whole one as such, in as few bytes as it takes, any other as a double.
///
/// # Errors
/// If MessagePack has none that is the same: JSON that a record carries may have numbers of any length.
fn write_number(text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    if let Ok(number) = text.parse::<u64>() {
        match (u8::try_from(number), u16::try_from(number), u32::try_from(number)) {
            (Ok(short @ 0..=127), ..) => out.push(short),
            (Ok(short), ..) => out.extend_from_slice(&[0xcc, short]),
            (_, Ok(short), _) => {
                out.push(0xcd);
                out.extend_from_slice(&short.to_be_bytes());
            }
            (_, _, Ok(middle)) => {
                out.push(0xce);
                out.extend_from_slice(&middle.to_be_bytes());
            }
            _ => {
                out.push(0xcf);
                out.extend_from_slice(&number.to_be_bytes());
            }
        }
        return Ok(());
    }
    // `-0` is no whole number: it has a sign that none has.
    if text != "-0"
        && let Ok(number) = text.parse::<i64>()
    {
        match i8::try_from(number) {
            Ok(short @ -32..=-1) => out.extend_from_slice(&short.to_be_bytes()),
            _ => {
                out.push(0xd3);
                out.extend_from_slice(&number.to_be_bytes());
            }
        }
        return Ok(());
    }
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && digits(text) <= MAX_DIGITS);
    let number = number.ok_or("a number in its JSON has more digits than those of MessagePack")?;
    out.push(0xcb);
    out.extend_from_slice(&number.to_be_bytes());
    Ok(())
}

/// As many significant digits as a double may need; one that has more may be another number than the double nearest to it.
const MAX_DIGITS: usize = 17;

/// How many digits the number has from its first to its last that is not zero.
fn digits(number: &str) -> usize {
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let is_digit = |character: &char| character.is_ascii_digit();
    let all: String = mantissa.chars().filter(is_digit).collect();
    all.trim_matches('0').len()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use afferent_core::{Batch, Kind, RecordId, Rejects, Timestamp, Value};
    use proptest::prelude::*;

    use super::*;
    use crate::{DecoderOptions, Format, Location, msgpack::is_whole, testing};

    fn encoded(records: &[Record]) -> Result<Vec<u8>, String> {
        let (mut encoder, mut out) = (MsgpackEncoder::default(), Vec::new());
        records.iter().try_for_each(|record| encoder.encode(record, &mut out))?;
        Ok(out)
    }

    fn decoded(bytes: &[u8]) -> (Vec<Record>, Rejects) {
        let mut decoder = Format::Msgpack.decoder(DecoderOptions { strict: true }).unwrap();
        let (mut records, mut rejects) = (Batch::new(), Rejects::new());
        let at = Location { name: "in", line: 1 };
        decoder.decode(bytes, at, &mut records, &mut rejects);
        decoder.finish(at, &mut records, &mut rejects);
        (records.into_vec(), rejects)
    }

    fn document(text: &str) -> Record {
        let at = Timestamp::default();
        let kind = Kind::from_data("com.example.document").unwrap();
        Record::added(RecordId::from_u128(1), kind, at, at, Value::Json(text.into()))
    }

    /// The record with its JSON as one library writes it: the text of a number may be another afterwards, its value not.
    fn normal(mut record: Record) -> Record {
        let rewritten = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap().to_string();
        match &mut record.value {
            Value::Json(text) => *text = rewritten(text).into(),
            Value::Clinical(clinical) => {
                let document = &mut Arc::make_mut(clinical).document;
                *document = document.as_deref().map(|text| rewritten(text).into());
            }
            Value::Correlation(correlation) => {
                let samples = &mut Arc::make_mut(correlation).samples;
                *samples = samples.drain(..).map(normal).collect();
            }
            _ => {}
        }
        record
    }

    /// Scenario: any records are written one behind the other and read, in strict mode. Guarantees: G4, each comes back as it was.
    #[test]
    fn any_record_comes_back_as_it_was() {
        proptest!(|(records in proptest::collection::vec(testing::records(), 0..4))| {
            let bytes = encoded(&records).unwrap();
            prop_assert!(is_whole(&bytes));
            let (found, rejects) = decoded(&bytes);
            prop_assert_eq!(rejects, Vec::new());
            let normal = |records: Vec<Record>| records.into_iter().map(normal).collect::<Vec<_>>();
            prop_assert_eq!(normal(found), normal(records));
        });
    }

    /// Scenario: arrays, objects, texts and whole numbers around the sizes at which their headers change. Guarantees: G4, they come
    /// back as they were, and others read them too.
    #[test]
    fn every_header_is_right() {
        let list = |count: usize| format!("[{}]", vec!["null"; count].join(","));
        let object = |count: usize| {
            let entries: Vec<String> = (0..count).map(|number| format!("\"k{number}\":false")).collect();
            format!("{{{}}}", entries.join(","))
        };
        let mut documents: Vec<String> = Vec::new();
        for count in [0, 1, 15, 16, 255, 256, 65_535, 65_536] {
            documents.extend([list(count), object(count)]);
        }
        for length in [0, 1, 31, 32, 255, 256, 65_535, 65_536] {
            documents.push(format!("[\"{}\"]", "é".repeat(length)));
            documents.push(format!("[\"{}\"]", "e".repeat(length)));
        }
        for exponent in 0..64 {
            let power = 1_u64 << exponent;
            documents.push(
                format!("[{},{},{power},-{power}]", power - 1, -(power as i128 - 1)).replace("-0", "0"),
            );
        }
        documents.push("[1.5,-0.0,1e300,-9223372036854775808,18446744073709551615]".to_owned());
        for text in documents {
            let record = document(&text);
            let bytes = encoded(std::slice::from_ref(&record)).unwrap();
            let (found, rejects) = decoded(&bytes);
            assert_eq!((found, rejects), (vec![record], Vec::new()), "{:.60}", text);
            // In the other library's words.
            let theirs: serde_json::Value = rmp_serde::from_slice(&bytes).unwrap();
            let ours: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(theirs["value"]["json"], ours, "{text:.60}");
        }
    }

    /// Scenario: JSON of any depth up to the wire form's, and numbers that no double is. Guarantees: G4, what is written is read
    /// again; what can't be said is refused, and nothing is appended.
    #[test]
    fn what_would_not_come_back_is_refused() {
        let mut written = 0;
        for depth in 100..=128 {
            let record = document(&format!("{}1{}", "[".repeat(depth), "]".repeat(depth)));
            let Ok(bytes) = encoded(std::slice::from_ref(&record)) else { continue };
            assert_eq!(decoded(&bytes), (vec![record], Vec::new()), "{depth}");
            written += 1;
        }
        assert!(written > 20, "{written}");
        for text in ["[123456789012345678901]", "[0.12345678901234567890]", "[1e999]"] {
            let mut out = b"before".to_vec();
            let reason = MsgpackEncoder::default().encode(&document(text), &mut out).unwrap_err();
            assert_eq!((reason.contains("digits"), &*out), (true, &b"before"[..]), "{text}: {reason}");
        }
    }
}
