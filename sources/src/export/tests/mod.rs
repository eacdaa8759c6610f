mod beside;
mod parts;

use std::{io::Cursor, path::PathBuf, sync::Arc};

use afferent_core::{
    ErrorKind, Limits, MetaValue, Name, Position, Timestamp, Unit, Value,
    event::EventKind,
    record::{Device, Origin},
    reject::Payload,
    testing::{Surroundings, source_contract},
};
use proptest::prelude::*;
use zip::{ZipWriter, write::SimpleFileOptions};

use super::{
    testing::{check, write_export, write_export_zip},
    *,
};

const WATCH: &str = "sourceName=\"Kim&#8217;s Watch\" sourceVersion=\"10.2\" device=\"&lt;&lt;HKDevice: 0x3012772a0&gt;, name:Apple Watch, manufacturer:Apple Inc., model:Watch, hardware:Watch6,7, software:10.2&gt;\"";
const TIMES: &str = "creationDate=\"2026-03-01 08:12:00 +0100\" startDate=\"2026-03-01 08:00:00 +0100\" endDate=\"2026-03-01 08:10:00 +0100\"";

/// A document with `body` under the root, behind a DTD as in exports.
fn document(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE HealthData [\n<!-- HealthKit Export Version: 14 -->\n\
         <!ELEMENT HealthData (ExportDate,Me,(Record)*)>\n<!ATTLIST HealthData\n  locale CDATA #REQUIRED\n>\n]>\n\
         <HealthData locale=\"en_NL\">\n <ExportDate value=\"2026-03-02 08:10:05 +0100\"/>\n \
         <Me HKCharacteristicTypeIdentifierDateOfBirth=\"1990-05-20\"/>\n{body}</HealthData>\n"
    )
}

fn steps(value: &str) -> String {
    format!(
        " <Record type=\"HKQuantityTypeIdentifierStepCount\" {WATCH} unit=\"count\" {TIMES} value=\"{value}\"/>\n"
    )
}

fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut zip, content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Files and surroundings of one test.
struct Bench {
    around: Surroundings,
}

/// Everything a source gave until its end or an error.
#[derive(Debug, Default)]
struct Given {
    records: Vec<Record>,
    rejects: Vec<afferent_core::Reject>,
    positions: Vec<Position>,
    seals: Vec<bool>,
    error: Option<Error>,
}

impl Bench {
    fn new(records: usize) -> Bench {
        let mut around = Surroundings::new();
        around.limits = Limits { records, bytes: 1 << 20 };
        Bench { around }
    }

    #[allow(clippy::disallowed_methods, reason = "a fixture, not a state file")]
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.around.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    async fn read(&self, config: Config, position: Option<Position>) -> Given {
        self.read_pulls(config, position, usize::MAX).await
    }

    /// Reads at most `pulls` pulls.
    async fn read_pulls(&self, config: Config, position: Option<Position>, pulls: usize) -> Given {
        let mut source = Export::new(config);
        let mut given = Given::default();
        if let Err(error) = source.open(self.around.source(position)).await {
            given.error = Some(error);
            return given;
        }
        while given.positions.len() < pulls {
            match source.next().await {
                Ok(Some(Pulled { batch, rejects, position, seal })) => {
                    assert!(batch.len() <= self.around.limits.records);
                    given.records.extend(batch);
                    given.rejects.extend(rejects);
                    given.positions.push(position);
                    given.seals.push(seal);
                }
                Ok(None) => break,
                Err(error) => {
                    given.error = Some(error);
                    break;
                }
            }
        }
        given
    }

    async fn read_all(&self, name: &str, content: impl AsRef<[u8]>) -> Given {
        let path = self.file(name, content);
        self.read(Config::new(path), None).await
    }

    fn notices(&mut self) -> Vec<String> {
        let mut notices = Vec::new();
        while let Ok(event) = self.around.events.try_recv() {
            if let EventKind::Notice { message, .. } = event.kind {
                notices.push(message);
            }
        }
        notices
    }
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap().0
}

fn short(record: &Record) -> &'static str {
    record.kind.unwrap().short()
}

/// Scenario: one element of each sort. Guarantees: G4, each is read as what it is, with its unit, source, device
/// and zone, and nothing is lost of it.
#[tokio::test]
async fn each_element_becomes_its_record() {
    let body = format!(
        "{}{}",
        steps("612"),
        format_args!(
            r#" <Record type="HKQuantityTypeIdentifierOxygenSaturation" {WATCH} unit="%" {TIMES} value="0.97"/>
 <Record type="HKQuantityTypeIdentifierBloodGlucose" sourceName="Meter" unit="mmol&lt;180.1558800000541&gt;/L" {TIMES} value="5.4">
  <MetadataEntry key="HKBloodGlucoseMealTime" value="1"/>
  <MetadataEntry key="Meal" value="12 g"/>
  <MetadataEntry key="Meal" value="a &amp; b"/>
 </Record>
 <Record type="HKQuantityTypeIdentifierHeartRateVariabilitySDNN" {WATCH} unit="ms" {TIMES} value="48.2">
  <HeartRateVariabilityMetadataList>
   <InstantaneousBeatsPerMinute bpm="61" time="4:00:37.12 AM"/>
   <InstantaneousBeatsPerMinute bpm="60.5" time="04:00:38,10"/>
   <InstantaneousBeatsPerMinute bpm="n/a" time="soon"/>
  </HeartRateVariabilityMetadataList>
 </Record>
 <Record type="HKCategoryTypeIdentifierSleepAnalysis" {WATCH} {TIMES} value="HKCategoryValueSleepAnalysisAsleepCore">
  <MetadataEntry key="HKTimeZone" value="Europe/Amsterdam"/>
 </Record>
 <Record type="HKCategoryTypeIdentifierSleepAnalysis" {WATCH} {TIMES} value="HKCategoryValueSleepAnalysisAsleep"/>
 <Record type="HKCategoryTypeIdentifierMindfulSession" {WATCH} {TIMES}/>
 <Record type="HKDataTypeSleepDurationGoal" sourceName="Health" unit="hr" {TIMES} value="8"/>
 <Correlation type="HKCorrelationTypeIdentifierBloodPressure" sourceName="Health" {TIMES}>
  <MetadataEntry key="HKWasUserEntered" value="1"/>
  <Record type="HKQuantityTypeIdentifierBloodPressureSystolic" sourceName="Health" unit="mmHg" {TIMES} value="121"/>
  <Record type="HKQuantityTypeIdentifierBloodPressureDiastolic" sourceName="Health" unit="mmHg" {TIMES} value="79"/>
 </Correlation>
 <Workout workoutActivityType="HKWorkoutActivityTypeRunning" duration="30.5" durationUnit="min" {WATCH} {TIMES}>
  <MetadataEntry key="HKElevationAscended" value="418 cm"/>
  <WorkoutEvent type="HKWorkoutEventTypePause" date="2026-03-01 08:05:00 +0100" duration="0.5" durationUnit="min"/>
  <WorkoutStatistics type="HKQuantityTypeIdentifierDistanceWalkingRunning" startDate="2026-03-01 08:00:00 +0100" startDate="2026-03-01 08:10:00 +0100" sum="5.2" unit="km"/>
  <WorkoutActivity uuid="1" startDate="2026-03-01 08:00:00 +0100" duration="5" durationUnit="min">
   <WorkoutStatistics type="HKQuantityTypeIdentifierHeartRate" {TIMES} average="151" minimum="118" maximum="176" unit="count/min"/>
  </WorkoutActivity>
  <WorkoutRoute sourceName="Watch" {TIMES}><FileReference path="/workout-routes/a.gpx"/></WorkoutRoute>
 </Workout>
 <Workout workoutActivityType="HKWorkoutActivityTypeCycling" duration="5" durationUnit="min" totalDistance="0.5" totalDistanceUnit="mi" totalEnergyBurned="48.745" totalEnergyBurnedUnit="kcal" sourceName="Old" {TIMES}>
  <WorkoutRoute sourceName="Old" {TIMES}>
   <Location date="2026-03-01 08:00:01 +0100" latitude="52.5" longitude="4.75" altitude="-1.5" course="-1" speed="2.5"/>
  </WorkoutRoute>
 </Workout>
 <ActivitySummary dateComponents="2026-03-01" activeEnergyBurned="323.513" activeEnergyBurnedGoal="630" activeEnergyBurnedUnit="kcal" appleExerciseTime="39" appleStandHours="9" appleStandHoursGoal="12"/>
 <ClinicalRecord type="LabResultRecord" identifier="a1c-1" sourceName="Clinic" sourceURL="https://fhir.example.org/1" fhirVersion="4.0.1" receivedDate="2026-02-01 10:00:00 +0100" resourceFilePath="/clinical-records/a.json"/>
 <Audiogram type="HKDataTypeIdentifierAudiogram" sourceName="Lab" {TIMES}><SensitivityPoint frequencyValue="1000" frequencyUnit="Hz" leftEarValue="20"/></Audiogram>
 <VisionPrescription type="Glasses" dateIssued="2026-01-01 00:00:00 +0000" expirationDate="2027-01-01 00:00:00 +0000"><RightEye sphere="-1.5"/></VisionPrescription>
 <NewThing type="HKDataTypeIdentifierNewThing" sourceName="Health" {TIMES} mood="1"/>
 <Other/>
"#
        )
    );
    let mut bench = Bench::new(1024);
    let given = bench.read_all("export.xml", document(&body)).await;
    assert!(given.error.is_none() && given.rejects.is_empty(), "{given:?}");
    let kinds: Vec<&str> = given.records.iter().map(short).collect();
    let expected = [
        "StepCount",
        "OxygenSaturation",
        "BloodGlucose",
        "HeartRateVariabilitySDNN",
        "SleepAnalysis",
        "SleepAnalysis",
        "MindfulSession",
        "HKDataTypeIdentifierSleepDurationGoal",
        "BloodPressure",
        "Workout",
        "Workout",
        "WorkoutRoute",
        "ActivitySummary",
        "LabResultRecord",
        "Audiogram",
        "VisionPrescription",
        "HKDataTypeIdentifierNewThing",
    ];
    let expected: Vec<&str> =
        expected.iter().map(|name| Kind::from_data(name).map_or(*name, Kind::short)).collect();
    assert_eq!(kinds, expected);
    let records = given.records;
    let unit = |text| Unit::parse(text).unwrap();
    let quantity = |number, text| Value::Quantity(number, unit(text));
    let meta = |index: usize| records[index].metadata.clone().unwrap();

    assert_eq!(records[0].value, quantity(612.0, "count"));
    assert_eq!((records[0].start, records[0].end), (at("2026-03-01T07:00:00Z"), at("2026-03-01T07:10:00Z")));
    assert_eq!(records[0].zone, None, "the offset is the exporting phone's");
    let origin = Origin {
        name: Some("Kim’s Watch".into()),
        version: Some("10.2".into()),
        device: Some(Device {
            name: Some("Apple Watch".into()),
            manufacturer: Some("Apple Inc.".into()),
            model: Some("Watch".into()),
            hardware: Some("Watch6,7".into()),
            firmware: None,
            software: Some("10.2".into()),
        }),
        ..Origin::default()
    };
    assert_eq!(records[0].origin.as_deref(), Some(&origin));
    assert!(
        Arc::ptr_eq(records[0].origin.as_ref().unwrap(), records[1].origin.as_ref().unwrap()),
        "equal origins are one"
    );
    assert_eq!(records[1].value, quantity(0.97, "%"));
    assert_eq!(records[2].value, quantity(5.4, "mmol<180.1558800000541>/L"));
    let meal: Vec<_> = meta(2).iter().cloned().collect();
    let string = |text: &str| MetaValue::String(text.into());
    assert_eq!(
        meal,
        [
            (Name::from("HKBloodGlucoseMealTime"), string("1")),
            (Name::from("Meal"), string("12 g")),
            (Name::from("Meal"), string("a & b"))
        ]
    );
    let beats = r#"[{"bpm":61,"time":14437.12},{"bpm":60.5,"time":14438.1},{"bpm":"n/a","time":"soon"}]"#;
    assert_eq!(meta(3).get("beats"), Some(&string(beats)));
    assert_eq!(
        (&records[4].value, records[4].zone.as_deref()),
        (&Value::Category(3), Some("Europe/Amsterdam"))
    );
    assert_eq!(records[5].value, Value::Category(1));
    assert_eq!(records[6].value, Value::Category(0));
    assert_eq!(records[7].value, quantity(8.0, "hr"));
    let Value::Correlation(pressure) = &records[8].value else { panic!("no correlation") };
    assert_eq!(
        pressure.samples.iter().map(short).collect::<Vec<_>>(),
        ["BloodPressureSystolic", "BloodPressureDiastolic"]
    );
    assert_eq!(pressure.samples[1].value, quantity(79.0, "mmHg"));
    let Value::Workout(run) = &records[9].value else { panic!("no workout") };
    assert_eq!(
        (run.activity, run.duration, run.route.as_deref()),
        (37, Some(1830.0), Some("/workout-routes/a.gpx"))
    );
    assert_eq!(run.events[0].event.as_str(), "pause");
    assert_eq!(run.events[0].end, at("2026-03-01T07:05:30Z"));
    assert_eq!((run.statistics[0].sum, run.statistics[0].unit), (Some(5.2), unit("km")));
    assert_eq!(run.activities[0].statistics[0].maximum, Some(176.0));
    assert_eq!((run.activities[0].activity, run.activities[0].end), (37, records[9].end));
    assert_eq!(meta(9).get("HKElevationAscended"), Some(&MetaValue::Quantity(418.0, unit("cm"))));
    let Value::Workout(ride) = &records[10].value else { panic!("no workout") };
    let totals: Vec<_> =
        ride.statistics.iter().map(|total| (total.kind.short(), total.sum, total.unit)).collect();
    assert_eq!(
        totals,
        [("DistanceCycling", Some(0.5), unit("mi")), ("ActiveEnergyBurned", Some(48.745), unit("kcal"))]
    );
    let Value::Route(route) = &records[11].value else { panic!("no route") };
    assert_eq!((route.locations[0].latitude, route.locations[0].course), (52.5, Some(-1.0)));
    let Value::ActivitySummary(day) = &records[12].value else { panic!("no summary") };
    assert_eq!(
        (day.day.as_deref(), day.energy, day.stand_hours_goal),
        (Some("2026-03-01"), Some(323.513), Some(12.0))
    );
    assert_eq!(records[12].start, at("2026-03-01T00:00:00Z"));
    let Value::Clinical(lab) = &records[13].value else { panic!("no document") };
    assert_eq!(lab.path.as_deref(), Some("/clinical-records/a.json"));
    assert_eq!(meta(13).get("identifier"), Some(&string("a1c-1")));
    let json = |index: usize| match &records[index].value {
        Value::Json(text) => text.to_string(),
        other => panic!("no JSON: {other:?}"),
    };
    assert_eq!(
        json(14),
        r#"{"SensitivityPoint":[{"frequencyUnit":"Hz","frequencyValue":"1000","leftEarValue":"20"}],"type":"HKDataTypeIdentifierAudiogram"}"#
    );
    assert!(json(15).contains(r#""RightEye":[{"sphere":"-1.5"}]"#));
    assert_eq!(records[15].end, at("2027-01-01T00:00:00Z"));
    assert!(json(16).contains(r#""mood":"1""#));

    let mut ids: Vec<_> = records.iter().map(|record| record.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), records.len());
    let notices = bench.notices();
    assert_eq!(notices[0], "reading export.xml, exported 2026-03-02 08:10:05 +0100");
    assert_eq!(
        notices[1],
        "passed over in export.xml: routes whose file is not in the export (the workout keeps its path): 1; \
         clinical documents that are not in the export (the record keeps the path): 1; \
         elements `Other`, which this program does not know: 1"
    );
}

/// Scenario: the same export with a broken DTD, control characters, another address in the device, a byte order
/// mark and attributes in apostrophes. Guarantees: G2 and G4, the records and their ids are the same.
#[tokio::test]
async fn known_defects_change_nothing() {
    let clean = document(&format!(
        "{}{}",
        steps("1"),
        steps("2").replace("sourceVersion=\"10.2\"", "sourceVersion='10.2'")
    ));
    let damaged = clean
        .replace("\n>\n]>", "\n<!ELEMENT Record EMPTY>\n  device CDATA #IMPLIED\n]>")
        .replace("Kim", "\u{b}Ki\u{1}m")
        .replace("value=\"2\"", "value=\"\u{b}2\"")
        .replace("0x3012772a0", "0xbeef");
    assert_ne!(clean.len(), damaged.len());
    let bench = Bench::new(10);
    let expected = bench.read_all("clean.xml", &clean).await;
    let given = bench.read_all("damaged.xml", format!("\u{feff}{damaged}")).await;
    assert_eq!(expected.records.len(), 2);
    assert!(given.error.is_none() && given.rejects.is_empty(), "{given:?}");
    assert_eq!(given.records, expected.records);
}

/// Scenario: a zip whose XML has a localised name in a folder of its own, behind a larger CDA, a copy in `__MACOSX` and
/// files of other kinds. Guarantees: the export is found by its root.
#[tokio::test]
async fn the_export_in_a_zip_is_found_by_its_root() {
    let export = document(&steps("1"));
    let cda = format!("<?xml version=\"1.0\"?>\n<ClinicalDocument/>{}<ClinicalDocument/>", " ".repeat(9000));
    let zip = zip_of(&[
        ("x/export_cda.xml", cda.as_bytes()),
        ("__MACOSX/x/导出.xml", document(&steps("1").repeat(50)).as_bytes()),
        ("x/electrocardiograms/a.csv", "a,b\n".repeat(5000).as_bytes()),
        ("x/导出.xml", export.as_bytes()),
        ("x/export.xml", b""),
    ]);
    let bench = Bench::new(10);
    let given = bench.read_all("no-suffix", zip).await;
    assert!(given.error.is_none(), "{given:?}");
    assert_eq!(given.records.len(), 1);
    assert!(given.positions[0].fingerprint.contains("x/导出.xml"));
}

/// Scenario: a zip written in one go, with data descriptors behind its entries, and one with sizes of 64 bits, as exports
/// over 4 GiB have. Guarantees: both are read.
#[tokio::test]
async fn streamed_and_large_zips_are_read() {
    let export = document(&steps("1"));
    let mut streamed = ZipWriter::new_stream(Vec::new());
    streamed.start_file("a/export.xml", SimpleFileOptions::default()).unwrap();
    std::io::Write::write_all(&mut streamed, export.as_bytes()).unwrap();
    let streamed = streamed.finish().unwrap().into_inner();
    let mut large = Cursor::new(Vec::new());
    write_export_zip(1, 1, &mut large).unwrap();
    let bench = Bench::new(10);
    for (name, content) in [("streamed.zip", streamed), ("large.zip", large.into_inner())] {
        let given = bench.read_all(name, content).await;
        assert!(given.error.is_none(), "{name}: {:?}", given.error);
        assert_eq!(given.records.len(), 1, "{name}");
    }
}

/// Scenario: a zip and a plain XML are read with a stop after every pull, then resumed by a new source; batches of
/// several sizes, rejects among them. Guarantees: G1 and G2, the position moves forward and what comes together is what
/// an undisturbed read gives.
#[tokio::test]
async fn reading_resumes_after_any_pull() {
    let mut xml = Vec::new();
    write_export(7, 400, &mut xml).unwrap();
    let text = String::from_utf8(xml).unwrap();
    let routes = format!(
        " <Workout workoutActivityType=\"HKWorkoutActivityTypeRunning\" {WATCH} {TIMES}>{0}{0}</Workout>\n</HealthData>",
        format_args!(
            "<WorkoutRoute {TIMES}><Location date=\"2026-03-01 08:00:01 +0100\" latitude=\"1\" longitude=\"2\"/></WorkoutRoute>"
        )
    );
    let text = text.replace("</HealthData>", &routes).replacen("unit=\"kcal\"", "", 1);
    let zip = zip_of(&[("apple_health_export/export.xml", text.as_bytes())]);
    for (name, content) in [("export.zip", &zip[..]), ("export.xml", text.as_bytes())] {
        for limit in [1, 37] {
            let bench = Bench::new(limit);
            let path = bench.file(name, content);
            let whole = bench.read(Config::new(&path), None).await;
            assert!(whole.error.is_none() && whole.records.len() > 400, "{:?}", whole.error);
            assert_eq!(whole.rejects.len(), 1);
            let step = if limit == 1 { 41 } else { 1 };
            for stop in (1..whole.positions.len()).step_by(step) {
                let mut given = bench.read_pulls(Config::new(&path), None, stop).await;
                let position = given.positions.last().unwrap().clone();
                assert!(Place::from_position(&position).unwrap().offset > 0);
                let rest = bench.read(Config::new(&path), Some(position)).await;
                assert!(rest.error.is_none());
                given.records.extend(rest.records);
                given.rejects.extend(rest.rejects);
                assert_eq!(given.records, whole.records, "{name} stopped after pull {stop}");
                assert_eq!(given.rejects, whole.rejects);
            }
            let end = bench.read(Config::new(&path), whole.positions.last().cloned()).await;
            assert!(end.error.is_none() && end.records.is_empty(), "after the end there is nothing");
        }
    }
}

/// Scenario: the contract suite of sources, over a zip. Guarantees: G1, G2, G3.
#[tokio::test]
async fn keeps_the_contract_of_sources() {
    let bench = Bench::new(64);
    let mut zip = Cursor::new(Vec::new());
    write_export_zip(11, 1000, &mut zip).unwrap();
    let path = bench.file("export.zip", zip.into_inner());
    let all = source_contract(|| Export::new(Config::new(&path)), &bench.around, 10).await;
    assert!(all.len() >= 1000);
}

/// Scenario: another export stands at the path when reading resumes. Guarantees: G1, it is read whole, and people are
/// told.
#[tokio::test]
async fn another_export_is_read_whole() {
    let mut bench = Bench::new(1);
    let path = bench.file("export.xml", document(&format!("{}{}", steps("1"), steps("2"))));
    let first = bench.read_pulls(Config::new(&path), None, 1).await;
    bench.file("export.xml", document(&format!("{}{}", steps("3"), steps("4"))));
    bench.notices();
    let second = bench.read(Config::new(&path), first.positions.last().cloned()).await;
    assert_eq!(second.records.len(), 2);
    assert!(bench.notices().iter().any(|notice| notice.contains("another export")));
}

/// Scenario: files that are no export, or damaged ones. Guarantees: one error that names the file, what was found and
/// what to do, of a kind that stops the run; no panic.
#[tokio::test]
async fn bad_files_give_one_clear_error() {
    let export = document(&steps("1").repeat(300));
    let zip = zip_of(&[("apple_health_export/export.xml", export.as_bytes())]);
    let mut encrypted = zip.clone();
    // Bit 0 of the flags, in the local and in the central header.
    let central = zip.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    encrypted[6] |= 1;
    encrypted[central + 8] |= 1;
    // The method, in the local and in the central header: bzip2.
    let mut packed = zip.clone();
    packed[8] = 12;
    packed[central + 10] = 12;
    let html = b"<!DOCTYPE html>\n<html><body>Sign in</body></html>";
    let cases: [(&str, &[u8], &str); 10] = [
        ("empty.zip", b"", "is empty"),
        ("cut.zip", &zip[..zip.len() / 2], "directory at the end of the zip is missing"),
        ("page.xml", html, "found the root <html>"),
        ("cda.xml", b"<?xml version=\"1.0\"?><ClinicalDocument/>", "found the root <ClinicalDocument>"),
        ("data.json", b"{\"a\": 1}", "found something that is neither"),
        ("half.xml", b"<?xml version=\"1.0\"?>\n<!DOCTYPE HealthData [\n", "no root element"),
        (
            "photos.zip",
            &zip_of(&[("a.jpg", b"\xff\xd8\xff"), ("b.html", html)]),
            "no Apple Health export in this zip",
        ),
        ("locked.zip", &encrypted, "is encrypted"),
        ("packed.zip", &packed, "in a way that is not supported"),
        ("none.zip", &zip_of(&[]), "no Apple Health export in this zip"),
    ];
    let bench = Bench::new(10);
    for (name, content, expected) in cases {
        let given = bench.read_all(name, content).await;
        let error = given.error.unwrap_or_else(|| panic!("{name} gave no error"));
        assert_eq!(error.kind(), ErrorKind::State, "{name}");
        assert!(error.message().contains(name) && error.message().contains(expected), "{error}");
        assert!(given.records.is_empty());
    }
    let missing = bench.read(Config::new(bench.around.path().join("absent.zip")), None).await.error.unwrap();
    let directory = bench.read(Config::new(bench.around.path()), None).await.error.unwrap();
    assert_eq!((missing.kind(), directory.kind()), (ErrorKind::Config, ErrorKind::Config));
    assert!(directory.message().contains("is a directory"), "{directory}");
}

/// Scenario: an XML cut in the middle of an element, a zip with a flipped byte in its data, and a zip whose checksum is
/// wrong. Guarantees: G1, the good records before the damage are given and their epoch is sealed, then comes the error.
#[tokio::test]
async fn what_is_good_before_damage_is_kept() {
    let bench = Bench::new(100);
    let xml = document(&steps("1").repeat(250));
    let cut = bench.read_all("cut.xml", &xml[..xml.len() - 100]).await;
    let error = cut.error.unwrap();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.message().contains(&format!("ends at byte {}", xml.len() - 100)), "{error}");
    assert_eq!(cut.records.len(), 249);
    assert_eq!(cut.seals, [false, false, true]);

    let mut text = Vec::new();
    write_export(3, 5000, &mut text).unwrap();
    let zip = zip_of(&[("export.xml", &text)]);
    let mut flipped = zip.clone();
    flipped[zip.len() / 2] ^= 0x55;
    let given = bench.read_all("flipped.zip", &flipped).await;
    assert_eq!(given.error.unwrap().kind(), ErrorKind::State);
    assert!(given.records.len() > 1000, "{}", given.records.len());
    assert_eq!(given.seals.last(), Some(&true));

    let mut wrong = zip.clone();
    let central = zip.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    wrong[14] ^= 1;
    wrong[central + 16] ^= 1;
    let given = bench.read_all("checksum.zip", &wrong).await;
    assert!(given.error.unwrap().message().contains("damaged"));
    assert_eq!(given.seals.last(), Some(&true));
    assert_eq!(given.records.len(), bench.read_all("right.zip", &zip).await.records.len());
}

/// Scenario: bad elements among good ones. Guarantees: G1 and G8, each is a reject with its place and a reason that
/// tells no value, and the others are kept.
#[tokio::test]
async fn a_bad_element_is_a_reject_and_the_others_are_kept() {
    let good = steps("1");
    let deep = format!(
        " <Record type=\"HKQuantityTypeIdentifierStepCount\" {TIMES}>{}{}</Record>\n",
        "<A>".repeat(20),
        "</A>".repeat(20)
    );
    let bad: [(&str, String, &str); 15] = [
        ("no date", good.replace("startDate", "when"), "expected a startDate"),
        (
            "bad date",
            good.replace("2026-03-01 08:00:00 +0100", "2026-13-01 08:00:00 +0100"),
            "startDate is no date",
        ),
        (
            "ends before it begins",
            good.replace("endDate=\"2026", "endDate=\"2025"),
            "endDate is before startDate",
        ),
        ("no number", steps("secret"), "value is no finite number"),
        ("infinite", steps("inf"), "value is no finite number"),
        ("no value", good.replace(" value=", " v="), "expected a value"),
        ("no unit", good.replace("unit=\"count\"", ""), "expected a unit"),
        (
            "no type",
            good.replace("HKQuantityTypeIdentifierStepCount", "Steps of 7"),
            "type: not a type of health data",
        ),
        (
            "no constant",
            format!(" <Record type=\"HKCategoryTypeIdentifierSleepAnalysis\" {TIMES} value=\"Secret\"/>\n"),
            "constant of HealthKit",
        ),
        ("half UTF-8", good.replace("Watch\"", "Wa\u{fffd}tch\""), "not valid UTF-8"),
        ("no quote", good.replace("value=\"1\"", "value=\"1"), "not closed"),
        ("no bracket", good.replace("\"/>", "\""), "not closed"),
        (
            "no end tag",
            good.replace("/>", "><MetadataEntry key=\"a\" value=\"b\"/>"),
            "end tag of the element is missing",
        ),
        ("unquoted", good.replace("\"1\"", "1"), "form name=\"value\""),
        ("deep", deep, "nested"),
    ];
    let bench = Bench::new(10);
    for (name, element, reason) in bad {
        let mut bytes = document(&format!("{good}{element}{good}{good}")).into_bytes();
        if name == "half UTF-8" {
            let at = bytes.windows(3).position(|bytes| bytes == "\u{fffd}".as_bytes()).unwrap();
            bytes[at + 1] = b'x';
        }
        let given = bench.read_all("bad.xml", &bytes).await;
        assert!(given.error.is_none(), "{name}: {:?}", given.error);
        assert_eq!((given.records.len(), given.rejects.len()), (3, 1), "{name}: {:?}", given.rejects);
        let reject = &given.rejects[0];
        assert!(reject.reason.contains(reason), "{name}: {}", reject.reason);
        assert!(!reject.reason.to_lowercase().contains("secret"));
        let offset = document(&good).find("</HealthData>").unwrap() + 1;
        assert_eq!(reject.location, format!("bad.xml:{offset}"), "{name}");
    }
}

/// Scenario: an element of 33 MiB, in a tag and in many, among good ones in a zip. Guarantees: G7, it is passed over and
/// rejected with its head only; the others are kept.
#[tokio::test]
async fn an_element_that_is_too_long_is_passed_over() {
    let good = steps("1");
    let long = good.replace("Kim", &"x".repeat(33 << 20));
    let entry = format!("<MetadataEntry key=\"{}\" value=\"'&gt;\"/>\n", "k".repeat(1 << 16));
    let many = good.replace("/>", &format!(">{}</Record>", entry.repeat(520)));
    let zip = zip_of(&[("export.xml", document(&format!("{good}{long}{good}{many}{good}")).as_bytes())]);
    let bench = Bench::new(10);
    let given = bench.read_all("long.zip", zip).await;
    assert!(given.error.is_none(), "{:?}", given.error);
    assert_eq!((given.records.len(), given.rejects.len()), (3, 2));
    for (reject, element) in given.rejects.iter().zip([&long, &many]) {
        assert_eq!(reject.reason, "the element is longer than 16 MiB");
        let Payload::Head { head, length, crc } = &reject.payload else { panic!("kept whole") };
        let element = element.trim();
        assert!(element.as_bytes().starts_with(head));
        assert_eq!((*length, *crc), (element.len() as u64, crc32c::crc32c(element.as_bytes())));
    }
}

/// Scenario: types and times are chosen. Guarantees: only what is wanted comes, and the rest is in no account.
#[tokio::test]
async fn what_is_not_wanted_is_not_read() {
    let later = steps("2").replace("2026-03-01", "2026-03-05");
    let sleep = format!(" <Record type=\"HKCategoryTypeIdentifierSleepAnalysis\" {TIMES} value=\"1\"/>\n");
    let bench = Bench::new(10);
    let path = bench.file("export.xml", document(&format!("{}{later}{sleep}", steps("1"))));
    let count = async |change: fn(&mut Config)| {
        let mut config = Config::new(&path);
        change(&mut config);
        assert_eq!(config.check(), []);
        let given = bench.read(config, None).await;
        assert!(given.error.is_none() && given.rejects.is_empty());
        given.records.len()
    };
    assert_eq!(count(|_| {}).await, 3);
    assert_eq!(count(|config| config.types = vec!["StepCount".into()]).await, 2);
    assert_eq!(count(|config| config.since = Some("2026-03-02".into())).await, 1);
    assert_eq!(count(|config| config.until = Some("2026-03-01T08:00:00+01:00".into())).await, 0);
    assert_eq!(count(|config| config.subject = Some("p1".into())).await, 3);

    let mut wrong = Config::new("");
    wrong.types = vec!["HartRate".into(), "*".into()];
    wrong.since = Some("last week".into());
    wrong.subject = Some(String::new());
    let keys: Vec<String> = wrong.check().iter().map(|problem| problem.key_path.join(".")).collect();
    assert_eq!(keys, ["path", "types.0", "subject", "since"]);
    (wrong.since, wrong.until) = (Some("2026-03-02".into()), Some("2026-03-02T01:00:00+01:00".into()));
    let last = wrong.check().pop().unwrap();
    assert_eq!(
        (last.key_path.join("."), last.message.contains("nothing is between")),
        ("until".to_owned(), true)
    );
    assert_eq!(bench.read(wrong, None).await.error.unwrap().kind(), ErrorKind::Config);
}

/// Scenario: the source is dropped while its reader waits for room, and while it passes over the way to its position.
/// Guarantees: the reader's thread ends; G7, it is never more than two batches ahead.
#[tokio::test]
async fn the_thread_ends_with_the_source() {
    let bench = Bench::new(10);
    let mut xml = Vec::new();
    write_export(1, 20_000, &mut xml).unwrap();
    let path = bench.file("export.xml", &xml);
    let mut source = Export::new(Config::new(&path));
    source.open(bench.around.source(None)).await.unwrap();
    let position = source.next().await.unwrap().unwrap().position;
    drop(source);
    bench.around.blocking.idle().await;
    let mut source = Export::new(Config::new(&path));
    source.open(bench.around.source(Some(position))).await.unwrap();
    drop(source);
    bench.around.blocking.idle().await;
}

/// Scenario: an export of a few MiB. Guarantees: progress goes from nothing to all of it.
#[tokio::test]
async fn progress_is_reported() {
    let mut bench = Bench::new(1024);
    let mut zip = Cursor::new(Vec::new());
    write_export_zip(1, 50_000, &mut zip).unwrap();
    let given = bench.read_all("export.zip", zip.into_inner()).await;
    assert!(given.error.is_none() && given.records.len() > 49_000);
    let mut seen = Vec::new();
    while let Ok(event) = bench.around.events.try_recv() {
        if let EventKind::Progress { done, total, .. } = event.kind {
            seen.push((done, total.unwrap()));
        }
    }
    let (first, last) = (seen[0], seen[seen.len() - 1]);
    assert_eq!((first.0, last.0), (0, last.1));
    assert!(seen.is_sorted() && last.1 > 10 << 20, "{seen:?}");
}

/// Scenario: the same seed twice. Guarantees: the writer of fixtures is deterministic, so that tests that use it are.
#[test]
fn written_exports_repeat() {
    let write = |seed| {
        let mut out = Vec::new();
        write_export(seed, 500, &mut out).unwrap();
        out
    };
    assert!(write(1) == write(1) && write(1) != write(2));
}

/// A document of every sort of element, small.
fn seed_document() -> Vec<u8> {
    let mut xml = Vec::new();
    write_export(5, 30, &mut xml).unwrap();
    xml
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Scenario: bytes of an export are flipped, dropped, doubled and put elsewhere, in the XML or in its zip. Guarantees:
    /// what `check` says of any input.
    #[test]
    fn mutated_exports_end(
        in_zip in any::<bool>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_usize..40, any::<u8>(), 0..4), 1..8),
    ) {
        let mut bytes = seed_document();
        if in_zip {
            bytes = zip_of(&[("export.xml", &bytes)]);
        }
        for (at, to, length, byte, edit) in edits {
            let at = at.index(bytes.len());
            let part = at..(at + length).min(bytes.len());
            match edit {
                0 => bytes[at] = byte,
                1 => { bytes.drain(part); }
                2 => {
                    let copy = bytes[part].to_vec();
                    let to = to.index(bytes.len());
                    bytes.splice(to..to, copy);
                }
                _ => bytes.insert(at, b"<>\"'&/\0\xff="[usize::from(byte) % 9]),
            }
            if bytes.is_empty() {
                bytes.push(byte);
            }
        }
        check(&bytes);
    }
}

/// Scenario: `next` before `open`. Guarantees: it is an error and no panic.
#[tokio::test]
async fn a_source_that_was_not_opened_says_so() {
    let error = Export::new(Config::new("x")).next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Bug);
}
