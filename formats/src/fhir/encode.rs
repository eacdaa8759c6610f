//! [`FhirEncoder`]: the shapes.

use afferent_core::{Record, RecordId};

use super::{
    IDENTIFIER_SYSTEM,
    observation::{Context, write_deleted, write_observation},
};
use crate::Encoder;

/// What is written of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// An Observation.
    #[default]
    Resource,
    /// An entry of a transaction or batch Bundle.
    Entry,
}

/// How an Observation refers to the person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patient {
    /// By identifier: `{"type":"Patient","identifier":{"value":"ada"}}`. The server need not know the person.
    #[default]
    Identifier,
    /// By address: `{"reference":"Patient/ada"}`. Most servers refuse it where there is no such Patient.
    Reference,
}

/// Writes records as FHIR R4. See the [module](super).
#[derive(Debug, Default)]
pub struct FhirEncoder {
    shape: Shape,
    context: Context,
}

impl FhirEncoder {
    /// An encoder of `shape`, with references to people by `patient`.
    pub fn new(shape: Shape, patient: Patient) -> FhirEncoder {
        FhirEncoder { shape, context: Context { patient, ..Context::default() } }
    }

    fn write(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), String> {
        match self.shape {
            Shape::Resource if record.is_deletion() => write_deleted(record, &mut self.context, out),
            Shape::Resource => write_observation(record, &mut self.context, out),
            Shape::Entry => self.write_entry(record, out),
        }
    }

    fn write_entry(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), String> {
        if record.is_deletion() {
            out.extend_from_slice(b"{\"request\":{\"method\":\"DELETE\",\"url\":\"Observation?");
            write_condition(record.id, out);
            out.extend_from_slice(b"\"}}");
            return Ok(());
        }
        out.extend_from_slice(b"{\"fullUrl\":\"urn:uuid:");
        let url = RecordId::derive([b"fullUrl".as_slice(), &record.id.to_bytes()]);
        out.extend_from_slice(url.encode(&mut [0; 36]).as_bytes());
        out.extend_from_slice(b"\",\"resource\":");
        write_observation(record, &mut self.context, out)?;
        if record.revision == 0 {
            out.extend_from_slice(
                b",\"request\":{\"method\":\"POST\",\"url\":\"Observation\",\"ifNoneExist\":\"",
            );
        } else {
            out.extend_from_slice(b",\"request\":{\"method\":\"PUT\",\"url\":\"Observation?");
        }
        write_condition(record.id, out);
        out.extend_from_slice(b"\"}}");
        Ok(())
    }
}

/// Appends the search for a record's Observation.
fn write_condition(id: RecordId, out: &mut Vec<u8>) {
    out.extend_from_slice(b"identifier=");
    out.extend_from_slice(IDENTIFIER_SYSTEM.as_bytes());
    out.push(b'|');
    out.extend_from_slice(id.encode(&mut [0; 36]).as_bytes());
}

impl Encoder for FhirEncoder {
    fn encode(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), String> {
        let begin = out.len();
        let result = self.write(record, out);
        match result {
            Ok(()) => out.push(b'\n'),
            Err(_) => out.truncate(begin),
        }
        result
    }
}
