//! [`Bodies`]: looks at bodies in any form, and reads their records.
//!
//! | form | a body is refused (400) | and otherwise |
//! |---|---|---|
//! | `json`, the wire form | if one record of it is bad: its sender is ours and can be told | all of it is good |
//! | the dialect of another program | if it is no JSON (CSV: without a header that can be used; MessagePack: cut off) | its records are good, and each that is bad is dead-lettered alone: its sender can't mend it |

use afferent_core::{Batch, Record, Rejects};
use afferent_formats::{
    Decoder, DecoderOptions, Format, Location, Resumption, Splitter, msgpack, wire::WireDecoder,
};
use serde::de::IgnoredAny;

use super::{
    answer::Refusal,
    items::{Checked, check_records},
};

/// Reads bodies of one form, one after the other; its caches stay warm.
pub(super) struct Bodies {
    format: Format,
    decoder: Form,
}

enum Form {
    Wire(Box<WireDecoder>),
    Other(Box<dyn Decoder>),
}

impl std::fmt::Debug for Bodies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bodies").field("format", &self.format).finish_non_exhaustive()
    }
}

impl Bodies {
    /// For bodies in `format`; `None` if that is only written.
    pub(super) fn new(format: Format, strict: bool) -> Option<Bodies> {
        let options = DecoderOptions { strict };
        let decoder = match format {
            Format::Json => Form::Wire(Box::new(WireDecoder::new(options))),
            other => Form::Other(other.decoder(options)?),
        };
        Some(Bodies { format, decoder })
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// What is in a body.
    ///
    /// # Errors
    /// `Malformed`, as the table above says.
    pub(super) fn check(&mut self, body: &[u8]) -> Result<Checked, Refusal> {
        match &mut self.decoder {
            Form::Wire(decoder) => Ok(check_records(body, decoder, drop)?),
            Form::Other(decoder) => check_other(self.format, &mut **decoder, body),
        }
    }

    /// The decoder of the wire form, if it is that.
    pub(super) fn wire(&mut self) -> Option<&mut WireDecoder> {
        match &mut self.decoder {
            Form::Wire(decoder) => Some(decoder),
            Form::Other(_) => None,
        }
    }

    /// The decoder of another form, if it is one.
    pub(super) fn other(&mut self) -> Option<&mut dyn Decoder> {
        match &mut self.decoder {
            Form::Wire(_) => None,
            Form::Other(decoder) => Some(&mut **decoder),
        }
    }
}

/// Looks at a body of the dialect of another program.
fn check_other(format: Format, decoder: &mut dyn Decoder, body: &[u8]) -> Result<Checked, Refusal> {
    if format.is_json() {
        check_json(body)?;
    } else if format == Format::Msgpack && !msgpack::is_whole(body) {
        return Err(Refusal::broken("the body is not MessagePack to its end"));
    }
    let (mut records, mut rejects) = (Batch::new(), Rejects::new());
    let at = Location { name: "body", line: 1 };
    if format.resumption() == Resumption::Header {
        let header = Splitter::new(format).find_end(body).unwrap_or(body.len());
        decoder.decode(&body[..header], at, &mut records, &mut rejects);
        if let Some(reject) = rejects.first() {
            let refusal = Refusal::broken(&reject.reason);
            decoder.finish(at, &mut records, &mut rejects);
            return Err(refusal);
        }
        // It begins anew, with the whole.
        decoder.finish(at, &mut records, &mut rejects);
    }
    let (mut pieces, mut good, mut bad) = (Pieces::new(format), 0_u32, 0_u32);
    loop {
        let is_all = pieces.give(body, CHECKED_ITEMS, "body", decoder, &mut records, &mut rejects);
        // A body has fewer bytes than this counts.
        good = good.saturating_add(records.len() as u32);
        bad = bad.saturating_add(rejects.len() as u32);
        records.clear();
        rejects.clear();
        if is_all {
            return Ok(Checked { records: good, rejected: bad });
        }
    }
}

/// How many items of a body are decoded at once to count its records, so that they are not all in memory together.
const CHECKED_ITEMS: usize = 1024;

/// Whether a body is JSON: one document, or several with white space or nothing between them.
fn check_json(body: &[u8]) -> Result<(), Refusal> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    for document in serde_json::Deserializer::from_slice(body).into_iter::<IgnoredAny>() {
        // Of a text that is no JSON, serde_json says what it expected and where, not what is there.
        document.map_err(|error| Refusal::broken(&format!("not valid JSON: {error}")))?;
    }
    Ok(())
}

/// Where in a body of another form it is, and what is given of it next.
#[derive(Debug)]
pub(super) struct Pieces {
    splitter: Splitter,
    /// How many bytes were given.
    pub(super) done: usize,
    /// The line there, from 1.
    line: u64,
}

impl Pieces {
    pub(super) fn new(format: Format) -> Pieces {
        Pieces { splitter: Splitter::new(format), done: 0, line: 1 }
    }

    /// Gives `decoder` so many items of `body`, or what is left of it; whether that was all.
    pub(super) fn give(
        &mut self,
        body: &[u8],
        items: usize,
        name: &str,
        decoder: &mut dyn Decoder,
        records: &mut Batch<Record>,
        rejects: &mut Rejects,
    ) -> bool {
        let from = self.done;
        for _ in 0..items.max(1) {
            let rest = &body[self.done..];
            self.done += self.splitter.find_end(rest).unwrap_or(rest.len());
            if self.done == body.len() {
                break;
            }
        }
        self.pass(&body[from..self.done], name, decoder, records, rejects);
        let is_all = self.done == body.len();
        if is_all {
            decoder.finish(Location { name, line: self.line }, records, rejects);
        }
        is_all
    }

    /// Gives `decoder` what it was given before, up to `done`, and drops what comes of it.
    pub(super) fn resume(&mut self, body: &[u8], done: usize, decoder: &mut dyn Decoder) {
        let (mut records, mut rejects) = (Batch::new(), Rejects::new());
        self.done = done.min(body.len());
        self.pass(&body[..self.done], "", decoder, &mut records, &mut rejects);
    }

    fn pass(
        &mut self,
        bytes: &[u8],
        name: &str,
        decoder: &mut dyn Decoder,
        records: &mut Batch<Record>,
        rejects: &mut Rejects,
    ) {
        decoder.decode(bytes, Location { name, line: self.line }, records, rejects);
        self.line += memchr::memchr_iter(b'\n', bytes).count() as u64;
    }
}
