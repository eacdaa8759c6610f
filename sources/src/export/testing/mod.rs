//! Exports of invented values, for tests and benches; and what must hold of any input, for fuzzing.
//!
//! What is written looks like an export of iOS 17: the DTD's outline, a phone and a watch with devices whose address
//! changes, metadata, heart rate variability with beats, blood pressure with its samples at both places, workouts, one
//! activity summary a day. The same seed and number of records give the same bytes.

use std::io::{self, Seek, Write};

use afferent_core::{Position, Result, Timestamp, random::Random};
use zip::{ZipWriter, write::SimpleFileOptions};

pub use self::check::check;
use super::position::Place;

mod check;

/// Where the XML stands in a zip.
const ENTRY: &str = "apple_health_export/export.xml";

/// Midnight UTC of 2020-01-01, when the invented person began, in seconds.
const FIRST_SECOND: i64 = 1_577_836_800;

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE HealthData [
<!-- HealthKit Export Version: 14 -->
<!ELEMENT HealthData (ExportDate,Me,(Record|Correlation|Workout|ActivitySummary)*)>
<!ATTLIST HealthData
  locale CDATA #REQUIRED
>
]>
<HealthData locale="en_NL">
 <ExportDate value="2024-03-02 08:10:05 +0100"/>
 <Me HKCharacteristicTypeIdentifierDateOfBirth="1990-05-20" HKCharacteristicTypeIdentifierBiologicalSex="HKBiologicalSexNotSet"/>
"#;

/// Quantities in the proportions of real exports: type, unit, range, watch or phone.
const QUANTITIES: [(&str, &str, (f64, f64), bool); 8] = [
    ("HeartRate", "count/min", (45.0, 170.0), true),
    ("ActiveEnergyBurned", "kcal", (0.01, 9.0), true),
    ("BasalEnergyBurned", "kcal", (10.0, 25.0), true),
    ("HeartRate", "count/min", (45.0, 90.0), true),
    ("DistanceWalkingRunning", "km", (0.001, 0.9), false),
    ("StepCount", "count", (1.0, 900.0), false),
    ("OxygenSaturation", "%", (0.9, 1.0), true),
    ("EnvironmentalAudioExposure", "dBASPL", (30.0, 90.0), true),
];

/// Writes an export.xml of `records` records (top-level elements) to `out`.
///
/// # Errors
/// Those of `out`.
pub fn write_export(seed: u64, records: u64, out: impl Write) -> io::Result<()> {
    let mut writer = Writer { out, random: Random::from_seed(seed), second: FIRST_SECOND };
    writer.out.write_all(HEAD.as_bytes())?;
    for index in 0..records {
        writer.element(index)?;
    }
    writer.out.write_all(b"</HealthData>\n")?;
    writer.out.flush()
}

/// Writes an export.zip of such an export to `out`.
///
/// # Errors
/// Those of `out`.
pub fn write_export_zip(seed: u64, records: u64, out: impl Write + Seek) -> io::Result<()> {
    let mut zip = ZipWriter::new(out);
    zip.start_file(ENTRY, SimpleFileOptions::default().large_file(true))?;
    write_export(seed, records, io::BufWriter::new(&mut zip))?;
    zip.start_file("apple_health_export/export_cda.xml", SimpleFileOptions::default())?;
    zip.write_all(b"<?xml version=\"1.0\"?>\n<ClinicalDocument/>\n<ClinicalDocument/>\n")?;
    zip.finish()?;
    Ok(())
}

/// The offset in the XML that a position of an export source stands for.
///
/// # Errors
/// `State` when it is none.
pub fn offset_of(position: &Position) -> Result<u64> {
    Ok(Place::from_position(position)?.offset)
}

struct Writer<W> {
    out: W,
    random: Random,
    second: i64,
}

impl<W: Write> Writer<W> {
    fn element(&mut self, index: u64) -> io::Result<()> {
        self.second += 1 + self.random.below(30) as i64;
        match self.random.below(1000) {
            0 => self.workout(),
            1 => self.blood_pressure(),
            2 => self.variability(),
            3..=9 => self.sleep(),
            10 if index > 0 => self.summary(),
            _ => self.quantity(),
        }
    }

    fn quantity(&mut self) -> io::Result<()> {
        let (kind, unit, (low, high), is_watch) = QUANTITIES[self.random.below(8) as usize];
        let value = match kind {
            "StepCount" => (low + self.random.unit() * (high - low)).round(),
            _ => ((low + self.random.unit() * (high - low)) * 1e4).round() / 1e4,
        };
        let length = if kind == "HeartRate" { 0 } else { self.random.below(600) as i64 };
        let times = self.times(length);
        let source = self.source(is_watch);
        write!(
            self.out,
            " <Record type=\"HKQuantityTypeIdentifier{kind}\" {source} unit=\"{unit}\" {times} value=\"{value}\""
        )?;
        if kind == "HeartRate" {
            let context = self.random.below(3);
            writeln!(
                self.out,
                ">\n  <MetadataEntry key=\"HKMetadataKeyHeartRateMotionContext\" value=\"{context}\"/>\n </Record>"
            )
        } else {
            writeln!(self.out, "/>")
        }
    }

    fn sleep(&mut self) -> io::Result<()> {
        let stage =
            ["AsleepCore", "AsleepDeep", "AsleepREM", "Awake", "InBed"][self.random.below(5) as usize];
        let length = 60 + self.random.below(3000) as i64;
        let times = self.times(length);
        let source = self.source(true);
        writeln!(
            self.out,
            " <Record type=\"HKCategoryTypeIdentifierSleepAnalysis\" {source} {times} value=\"HKCategoryValueSleepAnalysis{stage}\">\n  \
             <MetadataEntry key=\"HKTimeZone\" value=\"Europe/Amsterdam\"/>\n </Record>"
        )
    }

    fn variability(&mut self) -> io::Result<()> {
        let times = self.times(60);
        let source = self.source(true);
        let value = 20 + self.random.below(80);
        writeln!(
            self.out,
            " <Record type=\"HKQuantityTypeIdentifierHeartRateVariabilitySDNN\" {source} unit=\"ms\" {times} value=\"{value}\">\n  <HeartRateVariabilityMetadataList>"
        )?;
        for beat in 0..30 {
            let bpm = 50 + self.random.below(20);
            writeln!(
                self.out,
                "   <InstantaneousBeatsPerMinute bpm=\"{bpm}\" time=\"4:00:{beat:02}.{:02} AM\"/>",
                beat * 3
            )?;
        }
        writeln!(self.out, "  </HeartRateVariabilityMetadataList>\n </Record>")
    }

    fn blood_pressure(&mut self) -> io::Result<()> {
        let times = self.times(0);
        let source = self.source(false);
        let (systolic, diastolic) = (100 + self.random.below(40), 60 + self.random.below(30));
        let sample = |name: &str, value: u64| {
            format!(
                "<Record type=\"HKQuantityTypeIdentifierBloodPressure{name}\" {source} unit=\"mmHg\" {times} value=\"{value}\"/>"
            )
        };
        let (systolic, diastolic) = (sample("Systolic", systolic), sample("Diastolic", diastolic));
        writeln!(self.out, " {systolic}\n {diastolic}")?;
        writeln!(
            self.out,
            " <Correlation type=\"HKCorrelationTypeIdentifierBloodPressure\" {source} {times}>\n  {systolic}\n  {diastolic}\n </Correlation>"
        )
    }

    fn workout(&mut self) -> io::Result<()> {
        let minutes = 10 + self.random.below(90) as i64;
        let times = self.times(minutes * 60);
        let source = self.source(true);
        let kilometres = self.random.below(20_000) as f64 / 1000.0;
        writeln!(
            self.out,
            " <Workout workoutActivityType=\"HKWorkoutActivityTypeRunning\" duration=\"{minutes}\" durationUnit=\"min\" {source} {times}>\n  \
             <MetadataEntry key=\"HKElevationAscended\" value=\"418 cm\"/>\n  \
             <WorkoutStatistics type=\"HKQuantityTypeIdentifierDistanceWalkingRunning\" {times} sum=\"{kilometres}\" unit=\"km\"/>\n  \
             <WorkoutRoute {source} {times}>\n   <FileReference path=\"/workout-routes/route_{}.gpx\"/>\n  </WorkoutRoute>\n </Workout>",
            self.second
        )
    }

    fn summary(&mut self) -> io::Result<()> {
        let date = &timestamp(self.second)[..10];
        let energy = self.random.below(900);
        writeln!(
            self.out,
            " <ActivitySummary dateComponents=\"{date}\" activeEnergyBurned=\"{energy}\" activeEnergyBurnedGoal=\"630\" \
             activeEnergyBurnedUnit=\"kcal\" appleExerciseTime=\"39\" appleExerciseTimeGoal=\"30\" appleStandHours=\"9\" appleStandHoursGoal=\"12\"/>"
        )
    }

    fn times(&self, length: i64) -> String {
        let (start, end) = (timestamp(self.second), timestamp(self.second + length));
        let created = timestamp(self.second + length + 40);
        format!("creationDate=\"{created}\" startDate=\"{start}\" endDate=\"{end}\"")
    }

    fn source(&mut self, is_watch: bool) -> String {
        if is_watch {
            let address = 0x3_0000_0000 + (self.random.below(64) << 5);
            format!(
                "sourceName=\"Kim&#8217;s Apple&#160;Watch\" sourceVersion=\"10.2\" device=\"&lt;&lt;HKDevice: {address:#x}&gt;, name:Apple Watch, \
                 manufacturer:Apple Inc., model:Watch, hardware:Watch6,7, software:10.2&gt;\""
            )
        } else {
            "sourceName=\"Kim&#8217;s iPhone\" sourceVersion=\"17.2.1\"".to_owned()
        }
    }
}

/// A second as the export writes it, in a zone an hour east of UTC.
fn timestamp(second: i64) -> String {
    let local = Timestamp::from_micros_clamped((second + 3600) * 1_000_000).to_string();
    format!("{} {} +0100", &local[..10], &local[11..19])
}
