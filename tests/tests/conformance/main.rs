//! What is read, written and computed compared with what others wrote: imports here, FHIR, Open mHealth and statistics in modules
//! of their names.
//!
//! Imports are compared with what other tools read: `healthkit-to-sqlite` and `apple-health-parser`, both from PyPI.
//!
//! `scripts/conformance-tools` installs them; `scripts/test` runs it. The same exports, invented here, go through them
//! and through `afferent import`; the sets of (type, start, end, value, unit, source) have to be equal. [`facts`] is the
//! form in which they are compared, [`theirs`] says how each tool's form maps to it, and what it does not read.

mod damage;
mod facts;
mod fhir;
mod mock;
mod node;
mod open_mhealth;
mod ours;
mod statistics;
mod theirs;
mod tools;

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use afferent_sources::export::testing::{write_export, write_export_zip};
use afferent_tests::Place;
use zip::{ZipWriter, write::SimpleFileOptions};

use self::{
    facts::{Facts, Sample, assert_same},
    ours::Ours,
    tools::Tools,
};

const BINARY: &str = env!("CARGO_BIN_EXE_afferent-under-test");

/// An export with everything that the other tools read.
const EXPORT: &str = include_str!("export.xml");

/// The routes that its first workout names.
const ROUTES: [(&str, &str); 2] = [
    ("apple_health_export/workout-routes/route_2025-03-01_6.10pm.gpx", include_str!("route-1.gpx")),
    ("apple_health_export/workout-routes/route_2025-03-01_6.38pm.gpx", include_str!("route-2.gpx")),
];

/// A new file of the test.
#[allow(clippy::disallowed_methods, reason = "a test's own files")]
fn file(path: &Path) -> BufWriter<File> {
    BufWriter::new(File::create(path).expect("the file"))
}

/// Writes `xml`, with the routes, as `export.zip` into `place`.
fn zip(place: &Place, xml: &str) -> PathBuf {
    let path = place.path().join("export.zip");
    let mut zip = ZipWriter::new(file(&path));
    for (name, content) in [("apple_health_export/export.xml", xml)].into_iter().chain(ROUTES) {
        zip.start_file(name, SimpleFileOptions::default()).expect("an entry");
        zip.write_all(content.as_bytes()).expect("its content");
    }
    zip.finish().expect("a zip").flush().expect("a file");
    path
}

/// What an import of `export` gives; nothing is dead.
fn import(place: &Place, export: &Path) -> Ours {
    let export = export.to_str().expect("a path");
    place.run(&["import", export, "--to", "sqlite:health.db"]).exits(0);
    ours::read(&place.path().join("health.db"))
}

/// Imports `export` and has `healthkit-to-sqlite` convert it; what they give is the same.
fn compare(tools: &Tools, place: &Place, export: &Path) -> Ours {
    let ours = import(place, export);
    let database = place.path().join("theirs.db");
    tools.healthkit_to_sqlite(export, &database);
    let theirs = theirs::healthkit_to_sqlite(&database);
    let Facts { samples, workouts, places, summaries } = &ours.facts;
    assert_same("samples", samples, &theirs.samples);
    assert_same("workouts", workouts, &theirs.workouts);
    assert_same("places of routes", places, &theirs.places);
    assert_same("activity summaries", summaries, &theirs.summaries);
    // It writes the samples inside correlations as any others.
    let samples: BTreeSet<&Sample> = theirs.samples.iter().collect();
    assert!(ours.correlated.iter().all(|sample| samples.contains(sample)));
    ours
}

/// Has `apple-health-parser` read `export`; those of `samples` that it can read are the same.
fn compare_samples(tools: &Tools, place: &Place, export: &Path, samples: &[Sample]) {
    let lines = tools.apple_health_parser(export, &place.path().join("unpacked"));
    let theirs: Vec<Sample> = theirs::apple_health_parser(&lines).into_iter().collect();
    let is_read = |sample: &&Sample| match sample.kind.as_str() {
        // In these exports they stand inside workouts.
        "WorkoutEffortScore" => false,
        // In these exports they have no value.
        "MindfulSession" => false,
        _ => true,
    };
    let ours: BTreeSet<Sample> = samples.iter().filter(is_read).cloned().collect();
    assert_same("samples", &ours.into_iter().collect::<Vec<_>>(), &theirs);
}

/// Scenario: an export with units of several locales, numbers that are easily rounded, dates in many offsets, categories
/// as constants and numbers, correlations, workouts with routes, summaries, and every legal way to write XML; as a
/// zip, as XML, and with line ends of two characters. Guarantees: G1, G2 and G4: samples, workouts, routes and
/// summaries are those that the other tools read.
#[test]
fn an_export_gives_what_other_tools_read() {
    let Some(tools) = Tools::find() else { return };
    for (xml, line_end) in [(EXPORT.to_owned(), "\\n"), (EXPORT.replace('\n', "\r\n"), "\\r\\n")] {
        eprintln!("lines end with {line_end}");
        let place = Place::new(BINARY);
        let export = zip(&place, &xml);
        let ours = compare(&tools, &place, &export);
        compare_samples(&tools, &place, &export, &ours.facts.samples);
        // It takes the first route of a workout and passes over others.
        let Facts { samples, workouts, places, summaries } = &ours.facts;
        assert_eq!((workouts.len(), places.len(), ours.further_places, summaries.len()), (4, 5, 2, 2));
        assert_eq!((samples.len(), ours.correlated.len()), (63, 3));

        // Without the folder that the routes are in, only those inside workouts can be read.
        let place = Place::new(BINARY);
        let export = place.write("export.xml", &xml);
        let ours = compare(&tools, &place, &export);
        assert_eq!((ours.facts.samples.len(), ours.facts.places.len()), (63, 2));
    }
}

/// Scenario: exports of several seeds and sizes, of the proportions that real ones have, as zips and as XML. Guarantees:
/// G1, G2 and G4: as above.
#[test]
fn generated_exports_give_what_other_tools_read() {
    let Some(tools) = Tools::find() else { return };
    for (seed, records) in [(1, 300), (2, 4_000), (3, 20_000)] {
        eprintln!("seed {seed}, {records} records");
        let place = Place::new(BINARY);
        let export = place.path().join("export.zip");
        write_export_zip(seed, records, file(&export)).expect("an export");
        let ours = compare(&tools, &place, &export);
        compare_samples(&tools, &place, &export, &ours.facts.samples);
        assert!(ours.facts.samples.len() as u64 > records * 9 / 10);

        let place = Place::new(BINARY);
        let export = place.path().join("export.xml");
        write_export(seed, records, file(&export)).expect("an export");
        assert!(import(&place, &export).facts.sorted() == ours.facts.sorted(), "the zip and its XML differ");
    }
}

/// Scenario: the export above, damaged in the ways that exports are, one at a time. Guarantees: G1: expat, which other tools
/// read with, refuses each; we read every record of it, and none is dead.
#[test]
fn what_expat_refuses_is_read() {
    let Some(tools) = Tools::find() else { return };
    let place = Place::new(BINARY);
    let export = place.write("export.xml", EXPORT);
    tools.expat(&export).expect("the whole export is well-formed");
    let whole = import(&place, &export).facts.sorted();
    for (what, xml) in damage::damaged(EXPORT) {
        let place = Place::new(BINARY);
        let export = place.write("export.xml", xml);
        let refused = tools.expat(&export).expect_err(what);
        assert!(refused.contains("ExpatError"), "{what}: {refused}");
        eprintln!("{what}: {}", refused.lines().last().unwrap_or_default());
        let ours = import(&place, &export).facts.sorted();
        assert_same(what, &ours.samples, &whole.samples);
        assert!(ours == whole, "{what}: workouts, routes or summaries differ");
    }
}
