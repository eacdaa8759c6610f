//! The documentation's queries and commands, run.

use std::path::Path;

use afferent_tests::Place;
use rusqlite::Connection;

const BINARY: &str = env!("CARGO_BIN_EXE_afferent-under-test");

/// The blocks of `language` in a page.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().expect("its end").to_owned()).collect()
}

/// The files that a page shows: blocks of CSV with a name.
fn files(page: &str) -> Vec<(String, String)> {
    let blocks = page.split("```csv ").skip(1).filter_map(|rest| rest.split("```").next()?.split_once('\n'));
    blocks.map(|(name, content)| (name.to_owned(), content.to_owned())).collect()
}

/// A folder as an unpacked export, with something for each question.
fn write_export(place: &Place) {
    let times = |from: &str, to: &str| {
        format!("startDate=\"2026-03-01 {from} +0100\" endDate=\"2026-03-01 {to} +0100\"")
    };
    let quantity = |kind: &str, unit: &str, value: &str, source: &str| {
        format!(
            "<Record type=\"HKQuantityTypeIdentifier{kind}\" sourceName=\"{source}\" unit=\"{unit}\" value=\"{value}\" {}/>\n",
            times("09:00:00", "09:00:00")
        )
    };
    let body = [
        quantity("RestingHeartRate", "count/min", "52", "Watch"),
        quantity("StepCount", "count", "600", "Watch"),
        quantity("StepCount", "count", "500", "Phone"),
        quantity("HeartRate", "count/min", "64", "Watch"),
        quantity("BodyMass", "kg", "70.5", "Scale"),
        quantity("BloodPressureSystolic", "mmHg", "121", "Cuff"),
        quantity("BloodPressureDiastolic", "mmHg", "79", "Cuff"),
        format!(
            "<Record type=\"HKCategoryTypeIdentifierSleepAnalysis\" sourceName=\"Watch\" value=\"HKCategoryValueSleepAnalysisAsleepDeep\" {}/>\n",
            times("01:00:00", "03:30:00")
        ),
        format!(
            "<Workout workoutActivityType=\"HKWorkoutActivityTypeRunning\" duration=\"30\" durationUnit=\"min\" sourceName=\"Watch\" {0}>\
             <WorkoutStatistics type=\"HKQuantityTypeIdentifierDistanceWalkingRunning\" {0} sum=\"5.2\" unit=\"km\"/>\
             <WorkoutStatistics type=\"HKQuantityTypeIdentifierHeartRate\" {0} average=\"151\" unit=\"count/min\"/>\
             <WorkoutRoute sourceName=\"Watch\" {0}><FileReference path=\"/workout-routes/a.gpx\"/></WorkoutRoute></Workout>\n",
            times("18:00:00", "18:30:00")
        ),
        "<ClinicalRecord type=\"LabResultRecord\" identifier=\"1\" sourceName=\"Clinic\" fhirVersion=\"4.0.1\" \
         receivedDate=\"2026-02-01 10:00:00 +0100\" resourceFilePath=\"/clinical-records/1.json\"/>\n"
            .to_owned(),
    ];
    place.write("export/export.xml", format!("<HealthData locale=\"en\">\n{}</HealthData>\n", body.concat()));
    place.write(
        "export/workout-routes/a.gpx",
        "<gpx><trk><trkseg><trkpt lat=\"52.4\" lon=\"4.9\"><ele>1</ele><time>2026-03-01T17:00:00Z</time></trkpt></trkseg></trk></gpx>",
    );
    place.write(
        "export/electrocardiograms/ecg.csv",
        "Name,Kim\nDate of Birth,1\nRecorded Date,2026-03-02 09:12:13 +0100\nClassification,Sinus Rhythm\nSymptoms,\n\
         Software Version,1.90\nDevice,\"Watch6,7\"\nSample Rate,512 hertz\n\nLead,Lead I\nUnit,µV\n\n-48.673\n59.5\n",
    );
    place.write(
        "export/clinical-records/1.json",
        "{\"code\": {\"text\": \"HbA1c\"}, \"valueQuantity\": {\"value\": 5.1, \"unit\": \"%\"}}",
    );
}

/// Scenario: each query of the pages about the database, on an import of an export that has something of everything.
/// Guarantees: what people copy from the documentation runs and answers.
#[test]
fn queries_answer() {
    let place = Place::new(BINARY);
    write_export(&place);
    place.run(&["import", "export", "--to", "sqlite:health.db"]).exits(0);
    let database = Connection::open(place.path().join("health.db")).expect("the database");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    for page in ["how-to/import-apple-health.md", "reference/sqlite-schema.md"] {
        let text = std::fs::read_to_string(docs.join(page)).expect("the page");
        let queries = blocks(&text, "sql");
        assert!(!queries.is_empty(), "{page}");
        for query in queries.iter().flat_map(|block| block.split_inclusive(';')) {
            if query.trim().is_empty() {
                continue;
            }
            // The pages' years are not the fixture's.
            let query = query.replace("BETWEEN 202501 AND 202503", "BETWEEN 202601 AND 202603");
            let mut statement =
                database.prepare(&query).unwrap_or_else(|error| panic!("{page}: {error}\n{query}"));
            let width = statement.column_count();
            let mut rows = statement.query([]).expect("it runs");
            let row = rows.next().unwrap_or_else(|error| panic!("{page}: {error}\n{query}"));
            let row = row.unwrap_or_else(|| panic!("{page}: no row\n{query}"));
            for column in 0..width {
                let value: rusqlite::types::Value = row.get(column).expect("a value");
                // No sleep of a kind is no sum.
                let may_be_null = query.contains("FILTER");
                assert!(
                    may_be_null || value != rusqlite::types::Value::Null,
                    "{page}: column {column} is null\n{query}"
                );
            }
        }
    }
}

/// Scenario: each command of the page about dead letters, in its order, on a pipeline that has three, with the keys that the page
/// shows in its file. Guarantees: what people copy from the documentation works.
#[test]
fn commands_about_dead_letters_work() {
    let place = Place::new(BINARY);
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/how-to/dead-letters.md");
    let page = std::fs::read_to_string(docs).expect("the page");
    let keys = blocks(&page, "toml").concat();
    let pipeline = |strict: bool| {
        format!(
            "name = \"vitals\"\n{keys}\n[[source]]\ntype = \"file\"\npath = \"in.ndjson\"\nstrict = {strict}\n\
             [[sink]]\ntype = \"file\"\npath = \"out.ndjson\"\n"
        )
    };
    let line = |number: u32| {
        format!(
            "{{\"id\":\"00000000-0000-4000-8000-{number:012}\",\"type\":\"HKQuantityTypeIdentifierHeartRate\",\
             \"start\":\"2025-01-01T00:00:00Z\",\"end\":\"2025-01-01T00:00:00Z\",\"value\":60.0,\"unit\":\"count/min\",\"mood\":1}}\n"
        )
    };
    place.write("in.ndjson", format!("{}nonsense\n{}", line(1), line(2)));
    place.write("vitals.toml", pipeline(true));
    place.run(&["run", "vitals.toml"]).exits(65);
    place.write("vitals.toml", pipeline(false));
    let commands = blocks(&page, "sh").concat();
    let mut ran = 0_u32;
    for command in commands.lines() {
        let words: Vec<&str> = command.split_whitespace().collect();
        // One letter can never be read; the first, named by its id, has been put in with the others.
        let code = if words[2] == "retry" { 65 } else { 0 };
        place.run(&words[1..]).exits(code);
        ran += 1;
    }
    assert!(ran > 8, "{commands}");
    assert_eq!(place.read("out.ndjson").lines().count(), 2);
}

/// Scenario: the records that the pages about formats show, through a file source and a file sink. Guarantees: what comes out is
/// what the page shows, to the byte. With `UPDATE_DOCS=1` it is written there.
#[test]
fn pages_about_formats_show_what_is_written() {
    for (format, language) in [("fhir", "json"), ("open-mhealth", "json"), ("influxdb", "text")] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/formats/{format}.md"));
        let page = std::fs::read_to_string(&path).expect("the page");
        let place = Place::new(BINARY);
        place.write("in.ndjson", blocks(&page, "ndjson").concat());
        let file = format!(
            "name = \"shown\"\n[[source]]\ntype = \"file\"\npath = \"in.ndjson\"\nstrict = true\n\
             [[sink]]\ntype = \"file\"\npath = \"out\"\nformat = \"{format}\"\n"
        );
        place.write("shown.toml", file);
        place.run(&["run", "shown.toml"]).exits(0);
        let written = place.read("out");
        assert_eq!(written.lines().count(), 3, "{format}");
        let shown = blocks(&page, language).concat();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let block = |content: &str| format!("```{language}\n{content}```");
            write_page(&path, &page.replacen(&block(&shown), &block(&written), 1));
        } else {
            assert_eq!(shown, written, "{format}: run this test with UPDATE_DOCS=1");
        }
    }
}

/// Bytes as a page shows them: sixteen a line.
fn in_hex(bytes: &[u8]) -> String {
    let line = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    bytes.chunks(16).map(|chunk| line(chunk) + "\n").collect()
}

/// Scenario: the records that the page about MessagePack shows, written by a file sink, and its bytes of another program, read by a
/// file source. Guarantees: the bytes and the record are those of the page. With `UPDATE_DOCS=1` they are written there.
#[test]
fn the_page_about_messagepack_shows_its_bytes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/formats/msgpack.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let ([records, read], [bytes, theirs]) = (two(&page, "ndjson"), two(&page, "text"));
    let place = Place::new(BINARY);
    let file = |input: &str, from: &str, output: &str, to: &str| {
        format!(
            "name = \"{from}\"\n[[source]]\ntype = \"file\"\npath = \"{input}\"\nformat = \"{from}\"\nstrict = true\n\
             [[sink]]\ntype = \"file\"\npath = \"{output}\"\nformat = \"{to}\"\n"
        )
    };
    place.write("in.ndjson", &records);
    place.write("write.toml", file("in.ndjson", "json", "out.msgpack", "msgpack"));
    place.run(&["run", "write.toml"]).exits(0);
    let written = std::fs::read(place.path().join("out.msgpack")).expect("what was written");
    let foreign = theirs.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("a byte"));
    place.write("in.msgpack", [written.clone(), foreign.collect()].concat());
    place.write("read.toml", file("in.msgpack", "msgpack", "out.ndjson", "json"));
    place.run(&["run", "read.toml"]).exits(0);
    let all = place.read("out.ndjson");
    let came = all.strip_prefix(&records).expect("what was written comes back as it was");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let block = |language: &str, content: &str| format!("```{language}\n{content}```");
        let page = page.replacen(&block("text", &bytes), &block("text", &in_hex(&written)), 1);
        write_page(&path, &page.replacen(&block("ndjson", &read), &block("ndjson", came), 1));
    } else {
        assert_eq!((bytes, read.as_str()), (in_hex(&written), came), "run this test with UPDATE_DOCS=1");
    }
}

/// The two blocks of `language` in a page.
fn two(page: &str, language: &str) -> [String; 2] {
    blocks(page, language).try_into().expect("two of them")
}

#[allow(clippy::disallowed_methods, reason = "writes the page when asked to")]
fn write_page(path: &Path, page: &str) {
    std::fs::write(path, page).expect("the page can be written");
}

/// Scenario: every page about a transform. Guarantees: it shows a pipeline with tests, the pipeline is valid, and what the page says
/// comes out does.
#[test]
fn pages_about_transforms_hold_their_tests() {
    let place = Place::new(BINARY);
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/transforms");
    let mut pages = 0;
    for entry in std::fs::read_dir(docs).expect("the pages") {
        let path = entry.expect("an entry").path();
        let page = std::fs::read_to_string(&path).expect("a page");
        let pipelines: Vec<String> =
            blocks(&page, "toml").into_iter().filter(|block| block.contains("[[source]]")).collect();
        assert!(!pipelines.is_empty(), "{}", path.display());
        for (name, content) in files(&page) {
            place.write(&name, content);
        }
        for text in pipelines {
            assert!(text.contains("[[test]]"), "{}", path.display());
            place.write("page.toml", &text);
            place.run(&["validate", "page.toml"]).exits(0);
            let ran = place.run(&["test", "page.toml"]);
            assert_eq!(ran.code, Some(0), "{}:\n{}{}", path.display(), ran.stdout, ran.stderr);
        }
        pages += 1;
    }
    assert!(pages >= 3, "{pages}");
}
