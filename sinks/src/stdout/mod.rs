//! Standard output: a table for people, or a format for the next program.
//!
//! **At least once.** A terminal or pipe can't be cut back: after a crash the records of the last open epoch are
//! written again. Use the [file](crate::file) sink where that matters.
//!
//! **Order.** As the records came. `prepare` flushes.
//!
//! **Errors.** When the reader has gone (`… | head`) the sink ends with `Fenced`, the kind that stops a pipeline
//! quietly: nobody is left to write for. Any other failure is `Transient`.
//!
//! **Blocking.** A batch is formatted and written in one job of the context's `blocking`, one in flight, so a
//! reader that dawdles holds back this pipeline and no other.

mod table;

use std::{
    fmt,
    io::{self, Write},
    mem,
};

use afferent_core::{
    Batch, Epoch, Error, Opened, Prepared, Record, Reject, Rejects, Result, Sink, SinkCx, Token,
    config::{Configure, Guarantee},
};
use afferent_formats::{Encoder, Format};
use jiff::tz::TimeZone;
use serde::Deserialize;

use self::table::Table;
use crate::jobs::{Jobs, not_open};

/// How records are shown.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `table` for people; `json` (NDJSON), `csv`, `fhir` (FHIR R4 Observations, NDJSON), `open-mhealth`
    /// (data points, NDJSON) or `influxdb` (line protocol) for programs.
    #[serde(default)]
    pub format: StdoutFormat,
}

impl Configure for Config {
    fn guarantee(&self) -> Option<Guarantee> {
        Some(Guarantee::AtLeastOnce(
            "what was printed can't be taken back: an epoch that a crash interrupts is printed again"
                .to_owned(),
        ))
    }
}

/// The forms of standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StdoutFormat {
    /// Columns, with times in the local zone.
    #[default]
    Table,
    /// One JSON object a line, in the wire form.
    Json,
    /// CSV with a header.
    Csv,
    /// One FHIR R4 Observation a line.
    Fhir,
    /// One data point of Open mHealth or IEEE 1752.1 a line.
    #[serde(rename = "open-mhealth")]
    OpenMhealth,
    /// InfluxDB's line protocol.
    InfluxDb,
}

fn written(format: Format) -> Box<dyn Encoder> {
    format.encoder().expect("invariant: the formats of standard output are written")
}

/// A sink that writes to standard output.
pub struct Stdout {
    /// Until it opens.
    output: Option<Output>,
    jobs: Option<Jobs<Output, Record>>,
}

struct Output {
    encoder: Box<dyn Encoder>,
    writer: Box<dyn Write + Send>,
    buffer: Vec<u8>,
    headed: bool,
    rejects: Rejects,
}

impl Stdout {
    /// A sink that writes to the standard output of the process, with times in its zone.
    pub fn new(config: Config) -> Stdout {
        Stdout::with_writer(config, io::stdout(), TimeZone::system())
    }

    /// A sink that writes to `writer`, with times in `zone`.
    pub fn with_writer(config: Config, writer: impl Write + Send + 'static, zone: TimeZone) -> Stdout {
        let encoder: Box<dyn Encoder> = match config.format {
            StdoutFormat::Table => Box::new(Table::new(zone)),
            StdoutFormat::Json => written(Format::Json),
            StdoutFormat::Csv => written(Format::Csv),
            StdoutFormat::Fhir => written(Format::Fhir),
            StdoutFormat::OpenMhealth => written(Format::OpenMhealth),
            StdoutFormat::InfluxDb => written(Format::InfluxDb),
        };
        let writer = Box::new(writer);
        let output = Output { encoder, writer, buffer: Vec::new(), headed: false, rejects: Vec::new() };
        Stdout { output: Some(output), jobs: None }
    }
}

impl fmt::Debug for Stdout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stdout").finish_non_exhaustive()
    }
}

impl Output {
    fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        self.buffer.clear();
        if !mem::replace(&mut self.headed, true) {
            self.encoder.header(&mut self.buffer);
        }
        for record in batch.drain(..) {
            if let Err(reason) = self.encoder.encode(&record, &mut self.buffer) {
                self.rejects.push(Reject::record(&record, reason));
            }
        }
        self.writer.write_all(&self.buffer).map_err(failed)
    }

    fn prepare(&mut self) -> Result<Prepared> {
        self.writer.flush().map_err(failed)?;
        Ok(Prepared { rejects: mem::take(&mut self.rejects), ..Prepared::default() })
    }
}

fn failed(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Error::fenced("the reader of standard output has gone")
    } else {
        Error::transient("can't write to standard output").with_source(error)
    }
}

impl Sink for Stdout {
    type Item = Record;

    async fn open(&mut self, cx: SinkCx) -> Result<Opened> {
        let output = self.output.take().ok_or_else(|| Error::bug("a sink was opened twice"))?;
        let (jobs, opened) = Jobs::open(cx.blocking, move || Ok((output, Opened::Resumed))).await?;
        self.jobs = Some(jobs);
        Ok(opened)
    }

    async fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        self.jobs.as_mut().ok_or_else(not_open)?.write(batch, Output::write).await
    }

    async fn prepare(&mut self, _: Epoch) -> Result<Prepared> {
        self.jobs.as_mut().ok_or_else(not_open)?.run(Output::prepare).await
    }

    async fn commit(&mut self, _: Epoch, _: Option<&Token>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
