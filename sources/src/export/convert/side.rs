//! What is read from the files beside the XML.

use std::{collections::BTreeSet, io::Read, sync::Arc};

use afferent_core::{
    Error, Kind, MetaValue, Metadata, Name, Origin, Value,
    record::{Clinical, Route},
};
use afferent_formats::wire;
use serde::de::IgnoredAny;

use super::{Attributes, Converter, Failure, Made, instant, named};
use crate::export::{
    beside::{Head, Side, Unnamed, Unread, read_whole},
    device::present,
    ecg::{self, Recording, read_recording},
    element::{Element, Reason},
    gpx::read_route,
    skipped::{Skip, Skipped},
    text::text,
};

/// What the identifiers of clinical types begin with; the export has only what follows.
const CLINICAL: &str = "HKClinicalTypeIdentifier";
/// The type of electrocardiograms.
const ECG: &str = "HKDataTypeIdentifierElectrocardiogram";

/// Longest clinical document that is read; scanned letters are some hundred KiB.
const MAX_DOCUMENT_BYTES: u64 = 4 << 20;

impl Converter {
    /// A ClinicalRecord, with the document it names.
    pub(super) fn clinical(&mut self, element: &Element<'_>, out: &mut Made) -> Result<(), Failure> {
        let attributes = Attributes::of(element)?;
        let short = text(attributes.kind.ok_or(Reason::from("expected a type, found none"))?);
        let full = if short.starts_with("HK") { short.into_owned() } else { format!("{CLINICAL}{short}") };
        let kind = Kind::from_data(&full).map_err(|error| Failure::Bad(format!("type: {error}").into()))?;
        let received = instant("receivedDate", element.get("receivedDate"))?;
        if !self.is_wanted(kind, received, &mut out.skipped) {
            return Ok(());
        }
        attributes.count_unknown(element, &mut out.skipped)?;
        let name = |attribute| element.get(attribute).and_then(|raw| present(text(raw)));
        let path = name("resourceFilePath");
        let document = match &path {
            Some(path) => self.document(path, out)?,
            None => None,
        };
        let clinical = Clinical {
            display_name: name("displayName"),
            fhir_version: name("fhirVersion"),
            source_url: name("sourceURL"),
            path,
            document,
        };
        let mut metadata = Metadata::default();
        if let Some(identifier) = name("identifier") {
            metadata.push(self.names.get("identifier"), MetaValue::String(identifier));
        }
        let origin = self.origin(&attributes);
        let value = Value::Clinical(Arc::new(clinical));
        out.records.push(self.record(kind, (received, received), value, origin, metadata));
        Ok(())
    }

    /// The document at `path`, if it is there and can be read.
    fn document(&mut self, path: &Name, out: &mut Made) -> Result<Option<Arc<str>>, Error> {
        let side = self.beside.read(path, Head::Kept, |input| {
            let bytes = read_whole(input, MAX_DOCUMENT_BYTES)?;
            match std::str::from_utf8(&bytes) {
                Ok(text) if serde_json::from_str::<IgnoredAny>(text).is_ok() => {
                    match wire::is_shallow(text) {
                        true => Ok(text.trim().into()),
                        false => Err(Unread::Bad(
                            "the arrays and objects of the clinical document lie in one another too deeply"
                                .to_owned(),
                        )),
                    }
                }
                _ => Err(Unread::Bad("the clinical document is not valid JSON".to_owned())),
            }
        })?;
        Ok(out.take(side, Skip::MissingDocument))
    }

    /// The route at `path`, if it is there and can be read.
    pub(super) fn route_in(&mut self, path: &Name, out: &mut Made) -> Result<Option<Route>, Error> {
        let side = self.beside.read(path, Head::Kept, |input| read_route(input))?;
        let route = out.take(side, Skip::MissingRoute);
        if route.as_ref().is_some_and(|route| route.locations.is_empty()) {
            out.skipped.add(Skip::EmptyRoute);
            return Ok(None);
        }
        Ok(route)
    }

    /// Which files beside the XML were asked for since the last time.
    pub(in crate::export) fn take_named(&mut self) -> impl Iterator<Item = u32> + '_ {
        self.beside.take_named()
    }

    /// Counts the files beside the XML that are not among those that were `named`, where everything was wanted.
    ///
    /// # Errors
    /// `Transient` when the file system fails.
    pub(in crate::export) fn count_unnamed(
        &mut self,
        named: &BTreeSet<u32>,
        skipped: &mut Skipped,
    ) -> Result<(), Error> {
        if self.rules.wants_all() {
            let Unnamed { files, summaries } = self.beside.unnamed(named)?;
            for (skip, count) in [(Skip::UnnamedFile, files), (Skip::ClinicalSummary, summaries)] {
                if count > 0 {
                    skipped.add_many(skip, count);
                }
            }
        }
        Ok(())
    }

    /// The names of the electrocardiograms, in order.
    pub(in crate::export) fn electrocardiograms(&mut self) -> Result<Vec<String>, Error> {
        self.beside.electrocardiograms()
    }

    /// The electrocardiogram called `name`.
    ///
    /// # Errors
    /// `Transient` when the file system fails.
    pub(in crate::export) fn electrocardiogram(&mut self, name: &str, out: &mut Made) -> Result<(), Error> {
        let kind = named(ECG);
        if !self.rules.wants_kind(kind) {
            out.skipped.add(Skip::NotWanted);
            return Ok(());
        }
        // Its head has the person's name.
        let parse = |input: &mut dyn Read| read_recording(&read_whole(input, ecg::MAX_BYTES)?);
        let side = self.beside.read(name, Head::Dropped, parse)?;
        let Some(recording) = out.take(side, Skip::MissingRecording) else { return Ok(()) };
        if self.is_wanted(kind, recording.start, &mut out.skipped) {
            let Recording { start, end, ecg, symptoms, version, device, lead } = recording;
            let mut metadata = Metadata::default();
            for (key, value) in [("symptoms", symptoms), ("lead", lead)] {
                if let Some(value) = value {
                    metadata.push(self.names.get(key), MetaValue::String(value));
                }
            }
            let origin = (version.is_some() || device.is_some())
                .then(|| Arc::new(Origin { version, device, ..Origin::default() }));
            let value = Value::Electrocardiogram(Arc::new(ecg));
            out.records.push(self.record(kind, (start, end), value, origin, metadata));
        }
        Ok(())
    }
}

impl Made {
    /// The content of a file, if it was read; otherwise what became of it is told.
    fn take<T>(&mut self, side: Side<T>, missing: Skip) -> Option<T> {
        match side {
            Side::Read(value) => return Some(value),
            Side::Bad(reject) => self.rejects.push(reject),
            Side::Missing => self.skipped.add(missing),
        }
        None
    }
}
