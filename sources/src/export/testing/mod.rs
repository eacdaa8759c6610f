//! Exports of invented values, for tests and benches; and what must hold of any input, for fuzzing.
//!
//! What is written looks like an export of iOS 17: the DTD's outline, records type by type and in order of time within a
//! type, a phone and a watch with devices whose address changes, metadata, heart rate variability with beats, blood
//! pressure with its samples at both places, workouts, activity summaries. The same seed and number of records give
//! the same bytes.

use std::{
    io::{self, Seek, Write},
    iter::repeat_n,
};

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

/// A type of quantities.
struct Quantity {
    kind: &'static str,
    unit: &'static str,
    range: (f64, f64),
    is_watch: bool,
    /// Its share of all that is not rare, in parts of [`PARTS`].
    parts: u64,
}

const fn quantity(
    kind: &'static str,
    unit: &'static str,
    range: (f64, f64),
    is_watch: bool,
    parts: u64,
) -> Quantity {
    Quantity { kind, unit, range, is_watch, parts }
}

const QUANTITIES: [Quantity; 7] = [
    quantity("StepCount", "count", (1.0, 900.0), false, 1),
    quantity("DistanceWalkingRunning", "km", (0.001, 0.9), false, 1),
    quantity("BasalEnergyBurned", "kcal", (10.0, 25.0), true, 1),
    quantity("ActiveEnergyBurned", "kcal", (0.01, 9.0), true, 1),
    quantity("HeartRate", "count/min", (45.0, 170.0), true, 2),
    quantity("OxygenSaturation", "%", (0.9, 1.0), true, 1),
    quantity("EnvironmentalAudioExposure", "dBASPL", (30.0, 90.0), true, 1),
];

/// The parts of all types.
const PARTS: u64 = 8;

/// How many records there are to one that is rare: a workout, a blood pressure, a summary.
const TO_ONE_RARE: u64 = 1000;
/// How many nights' stages there are to one that is rare.
const SLEEP_TO_RARE: u64 = 7;
/// Seconds from one record to the next, whatever its type, on average.
const SECONDS_A_RECORD: u64 = 15;

/// In which order records stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Type by type, and by time within a type: as phones write them.
    ByType,
    /// By time, all types mixed: the worst for a database that keeps them apart.
    Mixed,
}

/// Writes an export.xml of `records` records (top-level elements) to `out`, type by type.
///
/// # Errors
/// Those of `out`.
pub fn write_export(seed: u64, records: u64, out: impl Write) -> io::Result<()> {
    write_export_in(Order::ByType, seed, records, out)
}

/// Writes an export.xml of `records` records in an order.
///
/// # Errors
/// Those of `out`.
pub fn write_export_in(order: Order, seed: u64, records: u64, out: impl Write) -> io::Result<()> {
    let mut writer = Writer {
        out,
        random: Random::from_seed(seed),
        second: FIRST_SECOND,
        span: records * SECONDS_A_RECORD,
    };
    writer.out.write_all(HEAD.as_bytes())?;
    match order {
        Order::ByType => writer.by_type(records)?,
        Order::Mixed => writer.mixed(records)?,
    }
    writer.out.write_all(b"</HealthData>\n")?;
    writer.out.flush()
}

/// Writes an export.zip of such an export, type by type, to `out`.
///
/// # Errors
/// Those of `out`.
pub fn write_export_zip(seed: u64, records: u64, out: impl Write + Seek) -> io::Result<()> {
    write_export_zip_in(Order::ByType, seed, records, out)
}

/// Writes an export.zip of such an export in an order.
///
/// # Errors
/// Those of `out`.
pub fn write_export_zip_in(order: Order, seed: u64, records: u64, out: impl Write + Seek) -> io::Result<()> {
    let mut zip = ZipWriter::new(out);
    zip.start_file(ENTRY, SimpleFileOptions::default().large_file(true))?;
    write_export_in(order, seed, records, io::BufWriter::new(&mut zip))?;
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
    /// The time from the first record of each type to its last, in seconds.
    span: u64,
}

/// A blood pressure, which is written in three places.
struct Pressure {
    source: String,
    times: String,
    systolic: u64,
    diastolic: u64,
}

impl<W: Write> Writer<W> {
    fn by_type(&mut self, records: u64) -> io::Result<()> {
        let rare = records / TO_ONE_RARE;
        let nights = records * SLEEP_TO_RARE / TO_ONE_RARE;
        let mut left = records - nights - 4 * rare;
        let share = left / PARTS;
        for (index, quantity) in QUANTITIES.iter().enumerate() {
            // The last one takes what does not divide.
            let count = if index + 1 == QUANTITIES.len() { left } else { quantity.parts * share };
            left -= count;
            self.each(count, |writer| writer.quantity(quantity))?;
        }
        let mut pressures = Vec::new();
        self.each(rare, |writer| {
            pressures.push(writer.pressure());
            Ok(())
        })?;
        for pressure in &pressures {
            writeln!(self.out, " {}", pressure.systolic())?;
        }
        for pressure in &pressures {
            writeln!(self.out, " {}", pressure.diastolic())?;
        }
        self.each(nights, Writer::sleep)?;
        self.each(rare, Writer::variability)?;
        for pressure in &pressures {
            self.correlation(pressure)?;
        }
        self.each(rare, Writer::workout)?;
        self.each(rare, Writer::summary)
    }

    fn mixed(&mut self, records: u64) -> io::Result<()> {
        for _ in 0..records {
            self.second += 1 + self.random.below(2 * SECONDS_A_RECORD) as i64;
            match self.random.below(TO_ONE_RARE) {
                0 => self.workout()?,
                1 => {
                    let pressure = self.pressure();
                    writeln!(self.out, " {}\n {}", pressure.systolic(), pressure.diastolic())?;
                    self.correlation(&pressure)?;
                }
                2 => self.variability()?,
                3 => self.summary()?,
                4..=10 => self.sleep()?,
                _ => {
                    let part = self.random.below(PARTS) as usize;
                    let mut parts = QUANTITIES.iter().flat_map(|each| repeat_n(each, each.parts as usize));
                    self.quantity(parts.nth(part).expect("there are as many parts"))?;
                }
            }
        }
        Ok(())
    }

    /// Writes `count` elements of one type, spread over the time.
    fn each(&mut self, count: u64, mut write: impl FnMut(&mut Self) -> io::Result<()>) -> io::Result<()> {
        self.second = FIRST_SECOND;
        let step = (2 * self.span).checked_div(count).unwrap_or_default().max(1);
        for _ in 0..count {
            self.second += 1 + self.random.below(step) as i64;
            write(self)?;
        }
        Ok(())
    }

    fn quantity(&mut self, quantity: &Quantity) -> io::Result<()> {
        let Quantity { kind, unit, range: (low, high), is_watch, .. } = *quantity;
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

    fn pressure(&mut self) -> Pressure {
        let (source, times) = (self.source(false), self.times(0));
        Pressure {
            source,
            times,
            systolic: 100 + self.random.below(40),
            diastolic: 60 + self.random.below(30),
        }
    }

    fn correlation(&mut self, pressure: &Pressure) -> io::Result<()> {
        let Pressure { source, times, .. } = pressure;
        let (systolic, diastolic) = (pressure.systolic(), pressure.diastolic());
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

impl Pressure {
    fn systolic(&self) -> String {
        self.sample("Systolic", self.systolic)
    }

    fn diastolic(&self) -> String {
        self.sample("Diastolic", self.diastolic)
    }

    fn sample(&self, name: &str, value: u64) -> String {
        let Pressure { source, times, .. } = self;
        format!(
            "<Record type=\"HKQuantityTypeIdentifierBloodPressure{name}\" {source} unit=\"mmHg\" {times} value=\"{value}\"/>"
        )
    }
}

/// A second as the export writes it, in a zone an hour east of UTC.
fn timestamp(second: i64) -> String {
    let local = Timestamp::from_micros_clamped((second + 3600) * 1_000_000).to_string();
    format!("{} {} +0100", &local[..10], &local[11..19])
}
