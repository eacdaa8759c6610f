//! Withings: a form, `userid=…&appli=…&startdate=…&enddate=…`, one in each line.

use afferent_core::{Batch, Record, Reject, Rejects, Timestamp};

use super::{Said, Vendor, unix};
use crate::{Decoder, DecoderOptions, Location, context::Context};

/// Reads notifications from forms.
#[derive(Debug)]
pub(crate) struct FormDecoder {
    cx: Context,
}

impl FormDecoder {
    pub(crate) fn new(options: DecoderOptions) -> FormDecoder {
        FormDecoder { cx: Context::new(options) }
    }

    fn form(&mut self, line: &[u8]) -> Result<Record, String> {
        let text = std::str::from_utf8(line).map_err(|_| "expected a form, found other bytes")?;
        let mut said = Said::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) =
                pair.split_once('=').ok_or("expected `key=value` in a form, found another text")?;
            let value =
                decoded(value).ok_or("expected a form whose values are percent-encoded, found another")?;
            let seconds = || -> Result<Option<Timestamp>, String> {
                let number =
                    value.parse::<u32>().map_err(|_| "expected seconds since 1970, found another text")?;
                Ok(unix(f64::from(number)))
            };
            match key {
                "userid" => said.user = Some(self.cx.name(&value)),
                "appli" => said.topic = Some(value),
                "startdate" => said.start = seconds()?.map(|time| (time, 0)),
                "enddate" => said.end = seconds()?,
                "date" => {
                    let day = Timestamp::parse_rfc3339(&format!("{value}T00:00:00Z"));
                    said.start = Some(day.ok_or("expected a day in `date`, found another text")?);
                }
                _ => said.keep_text(key, &value, &mut self.cx),
            }
        }
        said.finish(Vendor::Withings, text, &mut self.cx)
    }
}

impl Decoder for FormDecoder {
    fn decode(&mut self, bytes: &[u8], at: Location<'_>, out: &mut Batch<Record>, rejects: &mut Rejects) {
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            match self.form(line) {
                Ok(record) => out.push(record),
                Err(reason) => {
                    let location = format!("{}:{}", at.name, at.line + index as u64);
                    rejects.push(Reject::raw(line, reason, location));
                }
            }
        }
    }
}

/// The text of a value of a form (URL standard, application/x-www-form-urlencoded).
fn decoded(value: &str) -> Option<String> {
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| (byte? as char).to_digit(16);
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}
