//! Reading NDJSON.

use afferent_core::{Batch, Record, Reject, Rejects};
use serde::de::DeserializeSeed;

use super::{
    quick,
    reason::reason,
    record::{Field, ReadRecord},
};
use crate::{Decoder, DecoderOptions, Location, context::Context, draft::Draft};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Reads records from NDJSON. Blank lines, CRLF and a byte order mark at the beginning are passed over.
#[derive(Debug)]
pub struct WireDecoder {
    cx: Context,
}

impl WireDecoder {
    /// A decoder with empty caches.
    pub fn new(options: DecoderOptions) -> WireDecoder {
        WireDecoder { cx: Context::new(options) }
    }

    /// Reads one record from one JSON object.
    ///
    /// # Errors
    /// What was expected and what was found, without any value; with the id if it was read by then.
    pub fn decode_record(&mut self, json: &str) -> Result<Record, Refused> {
        quick::read(json, &mut self.cx).map_or_else(|| self.decode_any(json), Ok)
    }

    /// As [`decode_record`](WireDecoder::decode_record), of any object and with the reason where it is no record.
    pub(super) fn decode_any(&mut self, json: &str) -> Result<Record, Refused> {
        let mut draft = Draft::default();
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let read = ReadRecord { cx: &mut self.cx, draft: &mut draft, depth: 0 }
            .deserialize(&mut deserializer)
            .and_then(|()| deserializer.end());
        let id = draft.id;
        if let Err(error) = read {
            let field = draft.reading.map(Field::name);
            return Err(Refused { id, field, reason: reason(&error) });
        }
        draft.finish(&mut self.cx).map_err(|reason| {
            // What is missing or does not fit is named first, in backquotes.
            let field = reason.split('`').nth(1).and_then(Field::of).map(Field::name);
            Refused { id, field, reason: reason.to_owned() }
        })
    }
}

/// Why a text is no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its id, if that was read.
    pub id: Option<afferent_core::RecordId>,
    /// The field it is about, if it is about one.
    pub field: Option<&'static str>,
    /// What was expected and what was found.
    pub reason: String,
}

impl Decoder for WireDecoder {
    fn decode(&mut self, bytes: &[u8], at: Location<'_>, out: &mut Batch<Record>, rejects: &mut Rejects) {
        let bytes = if at.line == 1 { bytes.strip_prefix(BOM).unwrap_or(bytes) } else { bytes };
        // One check for the whole chunk; line by line only when a line has to be found guilty.
        let text = std::str::from_utf8(bytes).ok();
        let mut begin = 0;
        let mut line = at.line;
        while begin < bytes.len() {
            let end = memchr::memchr(b'\n', &bytes[begin..]).map_or(bytes.len(), |length| begin + length);
            let result = match text
                .map_or_else(|| std::str::from_utf8(&bytes[begin..end]), |text| Ok(&text[begin..end]))
            {
                Ok(text) if text.bytes().all(|byte| byte.is_ascii_whitespace()) => None,
                Ok(text) => Some(self.decode_record(text)),
                Err(error) => {
                    let reason =
                        format!("expected UTF-8, found another byte at column {}", error.valid_up_to() + 1);
                    Some(Err(Refused { id: None, field: None, reason }))
                }
            };
            match result {
                None => {}
                Some(Ok(record)) => out.push(record),
                Some(Err(Refused { id, reason, .. })) => {
                    let raw = &bytes[begin..end];
                    let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
                    let mut reject = Reject::raw(raw, reason, format!("{}:{line}", at.name));
                    reject.key = id.map(|id| id.to_string());
                    rejects.push(reject);
                }
            }
            begin = end + 1;
            line += 1;
        }
    }
}
