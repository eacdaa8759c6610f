//! The loop that an import is compared with: what a good programmer writes in one go for samples alone. One thread
//! inflates and parses, another inserts; nothing can be resumed, and a damaged export ends it.
//!
//! It does what the product does for each record: resolves references, reads dates, numbers and constants, derives the
//! same id, writes metadata as JSON, and keeps texts that repeat in the same dictionaries.

use std::{
    collections::HashMap,
    error::Error,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use afferent_core::{Origin, record::Device};
use foldhash::fast::RandomState;
use quick_xml::{
    Reader,
    escape::unescape,
    events::{BytesStart, Event},
};
use rusqlite::{Connection, params};
use sha1::{Digest, Sha1};
use zip::ZipArchive;

const ROWS_IN_BATCH: usize = 1024;
const BATCHES_IN_CHANNEL: usize = 4;
const BUFFER_BYTES: usize = 256 << 10;
/// The namespace of derived ids.
const NAMESPACE: u128 = 0x7e0d_45a6_4c0f_5d37_9a5e_0cb6_7f5a_e5c1;

type Failure = Box<dyn Error + Send + Sync>;

/// Imports the samples of `export` into `database`, which has the schema and no rows.
pub(crate) fn import(export: &Path, database: &Path) -> Result<(), Failure> {
    let (sender, batches) = sync_channel(BATCHES_IN_CHANNEL);
    thread::scope(|scope| {
        let parser = scope.spawn(|| parse(export, sender));
        insert(database, &batches)?;
        parser.join().expect("the parser does not panic")
    })
}

/// A row of `sample`.
struct Row {
    kind: i64,
    month: i64,
    id: [u8; 16],
    start: i64,
    end: i64,
    value: Value,
    unit: Option<i64>,
    origin: i64,
    zone: Option<i64>,
    metadata: Option<String>,
}

#[derive(Clone, Copy)]
enum Value {
    Quantity(f64),
    Category(i64),
}

/// Rows, and the dictionary entries that they are the first to need.
#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
    entries: Vec<Entry>,
}

enum Entry {
    Type(i64, String),
    Unit(i64, String),
    Origin(i64, String),
    Zone(i64, String),
}

#[allow(clippy::disallowed_methods, reason = "the loop that the pipeline is compared with")]
fn insert(database: &Path, batches: &Receiver<Rows>) -> Result<(), Failure> {
    let connection = Connection::open(database)?;
    connection.execute_batch(
        "PRAGMA cache_size = -8192; PRAGMA foreign_keys = 0; PRAGMA journal_mode = wal; \
         PRAGMA synchronous = full; PRAGMA secure_delete = on;",
    )?;
    let mut insert = connection.prepare(
        "INSERT INTO sample \
         (type, month, id, revision, start, \"end\", value, unit, subject, origin, zone, metadata) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING",
    )?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let mut began = Instant::now();
    for Rows { rows, entries } in batches {
        for entry in entries {
            match entry {
                Entry::Type(number, name) => {
                    let short = name.split_once("TypeIdentifier").map_or(name.as_str(), |(_, short)| short);
                    connection
                        .execute("INSERT INTO type VALUES (?1, ?2, ?3)", params![number, name, short])?
                }
                Entry::Unit(number, name) => {
                    connection.execute("INSERT INTO unit VALUES (?1, ?2)", params![number, name])?
                }
                Entry::Origin(number, name) => connection
                    .execute("INSERT INTO origin (origin, name) VALUES (?1, ?2)", params![number, name])?,
                Entry::Zone(number, name) => {
                    connection.execute("INSERT INTO zone VALUES (?1, ?2)", params![number, name])?
                }
            };
        }
        for row in rows {
            let (quantity, category);
            let value: &dyn rusqlite::ToSql = match row.value {
                Value::Quantity(number) => {
                    quantity = number;
                    &quantity
                }
                Value::Category(number) => {
                    category = number;
                    &category
                }
            };
            insert.execute(params![
                row.kind,
                row.month,
                row.id,
                0,
                row.start,
                row.end,
                value,
                row.unit,
                None::<i64>,
                row.origin,
                row.zone,
                row.metadata,
            ])?;
        }
        if began.elapsed() >= Duration::from_secs(1) {
            connection.execute_batch("COMMIT; BEGIN IMMEDIATE")?;
            began = Instant::now();
        }
    }
    connection.execute_batch("COMMIT")?;
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "the loop that the pipeline is compared with")]
fn parse(export: &Path, sender: SyncSender<Rows>) -> Result<(), Failure> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(export)?))?;
    let entry = archive.by_name("apple_health_export/export.xml")?;
    Parser::new(sender).parse(BufReader::with_capacity(BUFFER_BYTES, entry))
}

/// What repeats, by its raw text.
struct Dictionary<V> {
    entries: HashMap<Box<[u8]>, V, RandomState>,
}

impl<V: Copy> Dictionary<V> {
    fn get(&mut self, raw: &[u8], make: impl FnOnce(i64) -> V) -> V {
        if let Some(value) = self.entries.get(raw) {
            return *value;
        }
        let value = make(self.entries.len() as i64 + 1);
        self.entries.insert(raw.into(), value);
        value
    }
}

impl<V> Default for Dictionary<V> {
    fn default() -> Dictionary<V> {
        Dictionary { entries: HashMap::default() }
    }
}

struct Parser {
    sender: SyncSender<Rows>,
    filling: Rows,
    types: Dictionary<i64>,
    units: Dictionary<i64>,
    zones: Dictionary<i64>,
    origins: Dictionary<i64>,
    /// Per origin, what an id says of it.
    identities: Vec<Vec<u8>>,
    key: Vec<u8>,
    id: Vec<u8>,
}

impl Parser {
    fn new(sender: SyncSender<Rows>) -> Parser {
        Parser {
            sender,
            filling: Rows::default(),
            types: Dictionary::default(),
            units: Dictionary::default(),
            zones: Dictionary::default(),
            origins: Dictionary::default(),
            identities: Vec::new(),
            key: Vec::new(),
            id: Vec::new(),
        }
    }

    fn parse(mut self, input: impl BufRead) -> Result<(), Failure> {
        let mut reader = Reader::from_reader(input);
        reader.config_mut().trim_text(true);
        reader.config_mut().check_end_names = false;
        let (mut buffer, mut skipped, mut beats) = (Vec::new(), Vec::new(), String::new());
        let mut row = None;
        loop {
            buffer.clear();
            match reader.read_event_into(&mut buffer)? {
                Event::Empty(element) => match element.name().0 {
                    "Record" => {
                        let row = self.row(&element)?;
                        self.push(row)?;
                    }
                    "MetadataEntry" => self.metadata(&element, row.as_mut())?,
                    "InstantaneousBeatsPerMinute" => write_beat(&element, &mut beats)?,
                    _ => {}
                },
                Event::Start(element) => match element.name().0 {
                    "Record" => row = Some(self.row(&element)?),
                    // Its samples stand at the top level too.
                    "Correlation" | "Workout" => {
                        reader.read_to_end_into(element.to_end().into_owned().name(), &mut skipped)?;
                        skipped.clear();
                    }
                    _ => {}
                },
                Event::End(element) => match element.name().0 {
                    "Record" => {
                        if let Some(row) = row.take() {
                            self.push(row)?;
                        }
                    }
                    "HeartRateVariabilityMetadataList" => {
                        beats.push(']');
                        add_metadata(row.as_mut(), "beats", &beats)?;
                        beats.clear();
                    }
                    _ => {}
                },
                Event::Eof => break,
                _ => {}
            }
        }
        self.send()
    }

    fn row(&mut self, element: &BytesStart<'_>) -> Result<Row, Failure> {
        let (mut kind, mut unit, mut value, mut start, mut end) = ("", None, "", "", "");
        let (mut source, mut version, mut device) = ("", "", "");
        // The attributes are borrowed from the event, whose text outlives the loop.
        let mut attributes = element.attributes();
        for attribute in attributes.with_checks(false) {
            let attribute = attribute?;
            let std::borrow::Cow::Borrowed(text) = attribute.value else { continue };
            match attribute.key.0 {
                "type" => kind = text,
                "unit" => unit = Some(text),
                "value" => value = text,
                "startDate" => start = text,
                "endDate" => end = text,
                "sourceName" => source = text,
                "sourceVersion" => version = text,
                "device" => device = text,
                _ => {}
            }
        }
        let entries = &mut self.filling.entries;
        let kind_number = self.types.get(kind.as_bytes(), |number| {
            entries.push(Entry::Type(number, kind.to_owned()));
            number
        });
        let unit_number = match unit {
            Some(unit) => Some(self.units.get(unit.as_bytes(), |number| {
                entries.push(Entry::Unit(number, unit.to_owned()));
                number
            })),
            None => None,
        };
        let device = without_address(device);
        self.key.clear();
        for part in [source, "\0", version, "\0", device] {
            self.key.extend_from_slice(part.as_bytes());
        }
        let identities = &mut self.identities;
        let origin = self.origins.get(&self.key, |number| {
            let origin = read_origin(source, version, device);
            identities.push(identity(&origin));
            entries.push(Entry::Origin(number, serde_json::to_string(&origin).expect("texts")));
            number
        });
        let value = match unit {
            Some(_) => Value::Quantity(value.parse()?),
            None => Value::Category(constant(value)?),
        };
        let (start, end) = (instant(start)?, instant(end)?);
        let id = self.id(kind, start, end, value, unit.unwrap_or(""), origin);
        Ok(Row {
            kind: kind_number,
            month: month(start),
            id,
            start,
            end,
            value,
            unit: unit_number,
            origin,
            zone: None,
            metadata: None,
        })
    }

    fn id(&mut self, kind: &str, start: i64, end: i64, value: Value, unit: &str, origin: i64) -> [u8; 16] {
        let id = &mut self.id;
        id.clear();
        id.extend_from_slice(&NAMESPACE.to_be_bytes());
        // No subject.
        write_part(b"", id);
        write_part(kind.as_bytes(), id);
        write_part(&start.to_be_bytes(), id);
        write_part(&end.to_be_bytes(), id);
        id.extend_from_slice(&9_u64.to_be_bytes());
        match value {
            Value::Quantity(number) => {
                id.push(b'q');
                id.extend_from_slice(&number.to_bits().to_be_bytes());
            }
            Value::Category(number) => {
                id.push(b'c');
                id.extend_from_slice(&number.to_be_bytes());
            }
        }
        write_part(unit.as_bytes(), id);
        id.extend_from_slice(&self.identities[origin as usize - 1]);
        let digest: [u8; 20] = Sha1::digest(&id).into();
        let [sha1 @ .., _, _, _, _] = digest;
        uuid::Builder::from_sha1_bytes(sha1).into_uuid().into_bytes()
    }

    fn metadata(&mut self, entry: &BytesStart<'_>, row: Option<&mut Row>) -> Result<(), Failure> {
        let (mut key, mut value) = (Default::default(), Default::default());
        for attribute in entry.attributes().with_checks(false) {
            let attribute = attribute?;
            match attribute.key.0 {
                "key" => key = attribute.value,
                "value" => value = attribute.value,
                _ => {}
            }
        }
        let (key, value) = (unescape(&key)?, unescape(&value)?);
        let Some(row) = row else { return Ok(()) };
        if key == "HKTimeZone" {
            let entries = &mut self.filling.entries;
            row.zone = Some(self.zones.get(value.as_bytes(), |number| {
                entries.push(Entry::Zone(number, value.clone().into_owned()));
                number
            }));
        }
        add_metadata(Some(row), &key, &value)
    }

    fn push(&mut self, mut row: Row) -> Result<(), Failure> {
        if let Some(metadata) = &mut row.metadata {
            metadata.push('}');
        }
        self.filling.rows.push(row);
        if self.filling.rows.len() == ROWS_IN_BATCH { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), Failure> {
        let next = Rows { rows: Vec::with_capacity(ROWS_IN_BATCH), entries: Vec::new() };
        self.sender.send(std::mem::replace(&mut self.filling, next)).map_err(|_| "nobody inserts")?;
        Ok(())
    }
}

fn add_metadata(row: Option<&mut Row>, key: &str, value: &str) -> Result<(), Failure> {
    let Some(row) = row else { return Ok(()) };
    let mut json = match row.metadata.take() {
        Some(json) => json + ",",
        None => "{".to_owned(),
    }
    .into_bytes();
    serde_json::to_writer(&mut json, key)?;
    json.push(b':');
    serde_json::to_writer(&mut json, value)?;
    row.metadata = Some(String::from_utf8(json)?);
    Ok(())
}

/// Adds `{"bpm":61,"time":14437.12}` to a list; times are of the form `4:00:37.12 AM`.
fn write_beat(beat: &BytesStart<'_>, list: &mut String) -> Result<(), Failure> {
    use std::fmt::Write;
    list.push(if list.is_empty() { '[' } else { ',' });
    let (mut bpm, mut seconds) = (0, 0.0);
    for attribute in beat.attributes().with_checks(false) {
        let attribute = attribute?;
        match attribute.key.0 {
            "bpm" => bpm = attribute.value.parse()?,
            "time" => {
                let (clock, half) = attribute.value.split_once(' ').ok_or("no half of the day")?;
                let mut parts = clock.split(':');
                let mut part = || parts.next().ok_or("a time has three parts");
                let (hours, minutes): (u32, u32) = (part()?.parse()?, part()?.parse()?);
                let hours = hours % 12 + if half == "PM" { 12 } else { 0 };
                seconds = f64::from(hours * 3600 + minutes * 60) + part()?.parse::<f64>()?;
            }
            _ => {}
        }
    }
    write!(list, "{{\"bpm\":{bpm},\"time\":{seconds:?}}}")?;
    Ok(())
}

/// The device without the address in memory, which differs within one export.
fn without_address(raw: &str) -> &str {
    raw.split_once(", ").map_or("", |(_, fields)| fields)
}

/// The app and the device, from raw attributes.
fn read_origin(source: &str, version: &str, device: &str) -> Origin {
    let name = |raw: &str| Some(unescape(raw).map_or_else(|_| raw.into(), |text| (&*text).into()));
    let mut origin = Origin { name: name(source), version: name(version), ..Origin::default() };
    for field in device.strip_suffix("&gt;").unwrap_or("").split(", ") {
        let Some((key, value)) = field.split_once(':') else { continue };
        let device = origin.device.get_or_insert_with(Device::default);
        match key {
            "name" => device.name = name(value),
            "manufacturer" => device.manufacturer = name(value),
            "model" => device.model = name(value),
            "hardware" => device.hardware = name(value),
            "software" => device.software = name(value),
            _ => {}
        }
    }
    origin
}

/// What an id says of the source and the device.
fn identity(origin: &Origin) -> Vec<u8> {
    let texts = |names: &[&Option<afferent_core::Name>]| {
        let mut out = Vec::new();
        for name in names {
            let text = name.as_deref().unwrap_or("");
            out.extend_from_slice(&(text.len() as u32).to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        out
    };
    let source = texts(&[&origin.name, &origin.bundle, &origin.version, &origin.product, &origin.os]);
    let device = origin.device.as_ref().map(|device| {
        let Device { name, manufacturer, model, hardware, firmware, software } = device;
        texts(&[name, manufacturer, model, hardware, firmware, software])
    });
    let mut out = Vec::new();
    write_part(&source, &mut out);
    write_part(&device.unwrap_or_default(), &mut out);
    out
}

fn write_part(part: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(part.len() as u64).to_be_bytes());
    out.extend_from_slice(part);
}

fn constant(text: &str) -> Result<i64, Failure> {
    Ok(match text {
        "HKCategoryValueSleepAnalysisInBed" => 0,
        "HKCategoryValueSleepAnalysisAsleepUnspecified" => 1,
        "HKCategoryValueSleepAnalysisAwake" => 2,
        "HKCategoryValueSleepAnalysisAsleepCore" => 3,
        "HKCategoryValueSleepAnalysisAsleepDeep" => 4,
        "HKCategoryValueSleepAnalysisAsleepREM" => 5,
        number => number.parse()?,
    })
}

/// Reads `yyyy-MM-dd HH:mm:ss ±HHMM` as µs since 1970 UTC.
fn instant(text: &str) -> Result<i64, Failure> {
    let bytes: &[u8; 25] = text.as_bytes().try_into()?;
    let number = |from: usize, digits: usize| {
        bytes[from..from + digits].iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'))
    };
    let digits = bytes
        .iter()
        .enumerate()
        .all(|(at, byte)| matches!(at, 4 | 7 | 10 | 13 | 16 | 19 | 20) || byte.is_ascii_digit());
    if !digits {
        return Err("no date".into());
    }
    let offset = (number(21, 2) * 60 + number(23, 2)) * if bytes[20] == b'-' { -60 } else { 60 };
    let days = days_from_civil(number(0, 4), number(5, 2), number(8, 2));
    let seconds = days * 86_400 + number(11, 2) * 3600 + number(14, 2) * 60 + number(17, 2) - offset;
    Ok(seconds * 1_000_000)
}

/// Days since 1970 of a date (Howard Hinnant's algorithm).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The month of an instant as `yyyymm`, by the inverse of the same.
fn month(micros: i64) -> i64 {
    let days = micros.div_euclid(86_400_000_000) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days - era * 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    year * 100 + month
}
