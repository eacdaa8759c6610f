use super::*;

const ROUTE: &str = "<gpx version=\"1.1\"><trk><trkseg><trkpt lon=\"4.9\" lat=\"52.37\"><ele>4</ele>\
    <time>2026-03-01T07:00:02Z</time></trkpt></trkseg></trk></gpx>";
const RECORDING: &str = "Name,Kim Doe\nDate of Birth,\"20 May 1990\"\nRecorded Date,2026-03-02 09:12:13 +0100\n\
    Classification,Sinus Rhythm\nSymptoms,None\nSoftware Version,1.90\nDevice,\"Watch6,7\"\nSample Rate,512 hertz\n\n\
    Lead,Lead I\nUnit,µV\n\n-48.673\n59.5\n";
const LAB: &str = "{\n  \"resourceType\": \"Observation\",\n  \"valueQuantity\": {\"value\": 5.10}\n}\n";

fn workout(routes: &[&str]) -> String {
    let routes: String = routes
        .iter()
        .map(|path| format!("<WorkoutRoute {WATCH} {TIMES}><FileReference path=\"/workout-routes/{path}\"/></WorkoutRoute>"))
        .collect();
    format!(
        " <Workout workoutActivityType=\"HKWorkoutActivityTypeRunning\" {WATCH} {TIMES}>{routes}\
         <Record type=\"HKQuantityTypeIdentifierWorkoutEffortScore\" {WATCH} unit=\"count\" {TIMES} value=\"7\"/></Workout>\n"
    )
}

fn clinical(path: &str) -> String {
    format!(
        " <ClinicalRecord type=\"LabResultRecord\" identifier=\"{path}\" sourceName=\"Clinic\" \
         receivedDate=\"2026-02-01 10:00:00 +0100\" resourceFilePath=\"/clinical-records/{path}\"/>\n"
    )
}

/// An export with everything beside it, and something wrong with some of it.
fn entries() -> Vec<(&'static str, Vec<u8>)> {
    let body = [
        steps("1"),
        workout(&["a.gpx", "missing.gpx", "cut.gpx", "empty.gpx", "cut.gpx"]),
        clinical("lab.json"),
        clinical("gone.json"),
        clinical("broken.json"),
        steps("2"),
    ]
    .concat();
    let entry = |name, text: &str| (name, text.as_bytes().to_vec());
    vec![
        entry("electrocardiograms/ecg_2026-03-02.csv", RECORDING),
        entry("electrocardiograms/ecg_2026-03-03.csv", "Name,Kim Doe\n"),
        entry("electrocardiograms/ecg_2026-03-04.csv", &RECORDING.replace("03-02", "03-04")),
        entry("electrocardiograms/readme.txt", "no recording"),
        entry("workout-routes/a.gpx", ROUTE),
        entry("workout-routes/cut.gpx", &ROUTE[..ROUTE.len() - 12]),
        entry("workout-routes/empty.gpx", "<gpx/>"),
        entry("workout-routes/unnamed.gpx", ROUTE),
        entry("clinical-records/lab.json", LAB),
        entry("clinical-records/broken.json", "{\"a\":"),
        entry("export.xml", &document(&body)),
        entry("export_cda.xml", "<ClinicalDocument/>"),
    ]
}

fn zipped(folder: &str) -> Vec<u8> {
    let entries = entries();
    let named: Vec<(String, &[u8])> =
        entries.iter().map(|(name, content)| (format!("{folder}{name}"), &content[..])).collect();
    zip_of(&named.iter().map(|(name, content)| (&name[..], *content)).collect::<Vec<_>>())
}

/// Scenario: an export with recordings, routes and documents beside the XML, some of them missing or damaged, in a zip
/// with and without a folder, unpacked, and as the XML beside them. Guarantees: G1, each is read as what it is; what is
/// missing is counted and its path kept, what is damaged is a reject with its place, and the others are kept; G2, ids
/// are the same however the export is packed.
#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a fixture, not a state file")]
async fn files_beside_the_document_are_read() {
    let bench = Bench::new(3);
    let unpacked = bench.around.path().join("unpacked");
    for (name, content) in entries() {
        let path = unpacked.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let paths = [
        bench.file("export.zip", zipped("apple_health_export/")),
        bench.file("bare.zip", zipped("")),
        unpacked.clone(),
        unpacked.join("export.xml"),
    ];
    let mut first = None;
    for path in paths {
        let report = Report::default();
        let mut source = Export::new(Config::new(&path)).with_report(report.clone());
        source.open(bench.around.source(None)).await.unwrap();
        let (mut records, mut rejects) = (Vec::new(), Vec::new());
        while let Some(pulled) = source.next().await.unwrap() {
            records.extend(pulled.batch);
            rejects.extend(pulled.rejects);
        }
        let kinds: Vec<&str> = records.iter().map(short).collect();
        assert_eq!(
            kinds,
            [
                "Electrocardiogram",
                "Electrocardiogram",
                "StepCount",
                "Workout",
                "WorkoutEffortScore",
                "WorkoutRoute",
                "LabResultRecord",
                "LabResultRecord",
                "LabResultRecord",
                "StepCount"
            ],
            "{}",
            path.display()
        );
        let Value::Electrocardiogram(ecg) = &records[0].value else { panic!("no recording") };
        assert_eq!(ecg.voltages, [-48.673, 59.5]);
        assert_eq!(records[0].start, at("2026-03-02T08:12:13Z"));
        assert_eq!(records[0].end, records[0].start.plus_micros(3906));
        assert!(!format!("{:?}", records[0]).contains("Kim"), "the person's name stays in the export");
        let metadata = records[0].metadata.as_ref().unwrap();
        assert_eq!(metadata.get("lead"), Some(&MetaValue::String("Lead I".into())));
        let Value::Workout(workout) = &records[3].value else { panic!("no workout") };
        assert_eq!(workout.route.as_deref(), Some("/workout-routes/a.gpx"));
        assert!(format!("{:?}", records[3].metadata).contains("/workout-routes/missing.gpx"));
        let Value::Route(route) = &records[5].value else { panic!("no route") };
        assert_eq!((route.locations.len(), route.locations[0].latitude), (1, 52.37));
        assert_eq!(records[5].origin, records[3].origin);
        assert_eq!(
            records[5].metadata.as_ref().unwrap().get("route"),
            Some(&MetaValue::String("/workout-routes/a.gpx".into()))
        );
        let documents: Vec<_> = records[6..9]
            .iter()
            .map(|record| match &record.value {
                Value::Clinical(clinical) => (clinical.path.clone().unwrap(), clinical.document.clone()),
                _ => panic!("no document"),
            })
            .collect();
        assert_eq!(documents[0], ("/clinical-records/lab.json".into(), Some(LAB.trim().into())));
        assert_eq!(documents[1], ("/clinical-records/gone.json".into(), None));
        assert_eq!(documents[2], ("/clinical-records/broken.json".into(), None));

        let reasons: Vec<_> =
            rejects.iter().map(|reject| (&reject.reason[..], &reject.location[..])).collect();
        let [ecg, gpx, again, json] = &reasons[..] else { panic!("{reasons:?}") };
        assert_eq!(gpx, again);
        assert!(
            ecg.0.contains("date of the recording")
                && ecg.1.ends_with("electrocardiograms/ecg_2026-03-03.csv")
        );
        assert!(gpx.0.contains("cut short") && gpx.1.ends_with("workout-routes/cut.gpx"));
        assert!(json.0.contains("not valid JSON") && json.1.ends_with("clinical-records/broken.json"));
        let Payload::Head { head, length, .. } = &rejects[3].payload else { panic!("no head") };
        assert_eq!((&head[..], *length), (&b"{\"a\":"[..], 5));

        let skipped = report.get();
        let skipped: Vec<_> = skipped.iter().map(|(skip, count)| (skip.clone(), count)).collect();
        assert_eq!(
            skipped,
            [
                (Skip::MissingRoute, 1),
                (Skip::MissingDocument, 1),
                (Skip::EmptyRoute, 1),
                (Skip::Characteristics, 1),
                // `readme.txt`, and a route that nothing names.
                (Skip::UnnamedFile, 2),
                (Skip::ClinicalSummary, 1),
            ]
        );
        let ids: Vec<_> = records.iter().map(|record| record.id).collect();
        assert_eq!(*first.get_or_insert_with(|| ids.clone()), ids, "{}", path.display());
    }
}

/// Scenario: an export with files beside it is read with a stop after every pull, then resumed. Guarantees: G1, G2, what
/// comes together, rejects and counts included, is what an undisturbed read gives.
#[tokio::test]
async fn reading_resumes_between_files() {
    let bench = Bench::new(1);
    let path = bench.file("export.zip", zipped("apple_health_export/"));
    let whole = bench.read(Config::new(&path), None).await;
    assert_eq!((whole.records.len(), whole.rejects.len()), (10, 4));
    let skipped = |position: &Position| Place::from_position(position).unwrap().skipped;
    for stop in 1..whole.positions.len() {
        let mut given = bench.read_pulls(Config::new(&path), None, stop).await;
        let rest = bench.read(Config::new(&path), given.positions.last().cloned()).await;
        assert!(rest.error.is_none());
        given.records.extend(rest.records);
        given.rejects.extend(rest.rejects);
        assert_eq!((&given.records, &given.rejects), (&whole.records, &whole.rejects), "after {stop}");
        assert_eq!(
            rest.positions.last().map(skipped),
            whole.positions.last().map(skipped),
            "counted once, after {stop}"
        );
    }
}

/// Scenario: paths in the XML and links that lead out of the export's folder, and things that are no files in it.
/// Guarantees: nothing outside of it is read; G5 and G6, what is no file holds nobody up.
#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a fixture, not a state file")]
async fn paths_do_not_lead_out_of_the_export() {
    let bench = Bench::new(10);
    bench.file("secret.json", "{}");
    let folder = bench.around.path().join("export");
    std::fs::create_dir(&folder).unwrap();
    let absolute = bench.around.path().join("secret.json").display().to_string();
    let body = [
        clinical("../../secret.json"),
        clinical(""),
        clinical("a").replace("/clinical-records/a", &absolute),
    ];
    #[cfg(unix)]
    let body = {
        std::fs::create_dir_all(folder.join("electrocardiograms/folder.csv")).unwrap();
        std::fs::create_dir_all(folder.join("clinical-records/folder.json")).unwrap();
        let link = std::os::unix::fs::symlink::<PathBuf, PathBuf>;
        link("../../secret.json".into(), folder.join("clinical-records/link.json")).unwrap();
        link("loop.csv".into(), folder.join("electrocardiograms/loop.csv")).unwrap();
        link("..".into(), folder.join("up")).unwrap();
        let up = clinical("u").replace("/clinical-records/u", "up/secret.json");
        [body.concat(), clinical("link.json"), clinical("folder.json"), up]
    };
    std::fs::write(folder.join("export.xml"), document(&body.concat())).unwrap();
    let given = bench.read(Config::new(&folder), None).await;
    assert!(given.error.is_none() && given.rejects.is_empty(), "{:?}", given.rejects);
    for record in &given.records {
        let Value::Clinical(clinical) = &record.value else { panic!("no document") };
        assert_eq!(clinical.document, None, "{:?}", clinical.path);
    }
    assert_eq!(given.records.len(), if cfg!(unix) { 6 } else { 3 });
}

/// Scenario: recordings and routes are not asked for. Guarantees: they are not read, damaged or not, and counted as what
/// they are.
#[tokio::test]
async fn files_that_are_not_wanted_are_not_read() {
    let bench = Bench::new(10);
    let mut config = Config::new(bench.file("export.zip", zipped("")));
    config.types = vec!["StepCount".into()];
    let given = bench.read(config, None).await;
    assert_eq!((given.records.len(), given.rejects.len()), (2, 0));
    let skipped = Place::from_position(given.positions.last().unwrap()).unwrap().skipped;
    // Three recordings; the workout, its five routes and its score; three documents.
    assert_eq!(skipped.iter().next(), Some((&Skip::NotWanted, 13)));
}

/// Scenario: a workout without its end tag before many records, and one with as many samples as it may have.
/// Guarantees: G1, the records that follow are read, and the broken workout alone is a reject.
#[tokio::test]
async fn a_workout_without_an_end_costs_itself_alone() {
    let bench = Bench::new(10);
    let open = workout(&[]).replace("</Workout>", "");
    let given = bench.read_all("open.xml", document(&format!("{open}{}", steps("1").repeat(200)))).await;
    assert!(given.error.is_none());
    // Its sample is read with those that follow.
    assert_eq!((given.records.len(), given.rejects.len()), (201, 1));
    assert!(given.rejects[0].reason.contains("end tag"));
    let full = workout(&[]).replace("</Workout>", &format!("{}</Workout>", steps("1").repeat(63)));
    let given = bench.read_all("full.xml", document(&full)).await;
    assert_eq!((given.records.len(), given.rejects.len()), (65, 0));
}

/// Scenario: constants, attributes and elements of a newer system, a state of mind without a type, a folder in a folder, and
/// a folder without an export. Guarantees: G4, constants stay as they are, what has no place is counted; the folder is
/// named with what was expected.
#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a fixture, not a state file")]
async fn newer_exports_are_read() {
    let bench = Bench::new(10);
    let body = format!(
        " <Record type=\"HKCategoryTypeIdentifierSleepAnalysis\" {TIMES} value=\"HKCategoryValueSleepAnalysisNew\"/>\n \
         <StateOfMind startDate=\"2026-03-01 08:00:00 +0100\" valence=\"0.5\"/>\n \
         <Workout workoutActivityType=\"HKWorkoutActivityTypeNewSport\" {TIMES} future=\"1\"><NewThing/>\
         <WorkoutEvent type=\"HKWorkoutEventTypeLap\" date=\"2026-03-01 08:05:00 +0100\"><MetadataEntry key=\"a\" value=\"b\"/></WorkoutEvent></Workout>\n"
    );
    let given = bench.read_all("new.xml", document(&body)).await;
    assert!(given.error.is_none() && given.rejects.is_empty());
    let Value::Json(value) = &given.records[0].value else { panic!("no JSON") };
    assert!(value.contains("HKCategoryValueSleepAnalysisNew"));
    assert_eq!((short(&given.records[1]), given.records[1].end), ("StateOfMind", at("2026-03-01T07:00:00Z")));
    let Value::Workout(workout) = &given.records[2].value else { panic!("no workout") };
    assert_eq!((workout.activity, workout.events.len()), (3000, 1));
    let constant = MetaValue::String("HKWorkoutActivityTypeNewSport".into());
    assert_eq!(given.records[2].metadata.as_ref().unwrap().get("workoutActivityType"), Some(&constant));
    let skipped = Place::from_position(given.positions.last().unwrap()).unwrap().skipped;
    let skipped: Vec<_> = skipped.iter().map(|(skip, count)| (skip.clone(), count)).collect();
    assert_eq!(
        skipped,
        [
            (Skip::Characteristics, 1),
            (Skip::PartMetadata, 1),
            (Skip::Unknown("NewThing".into()), 1),
            (Skip::UnknownAttribute("future".into()), 1)
        ]
    );

    let empty = bench.around.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    // What an unzip into a folder of its own makes, and what the Mac adds.
    let nested = bench.around.path().join("nested");
    std::fs::create_dir_all(nested.join("apple_health_export/electrocardiograms")).unwrap();
    std::fs::write(nested.join("apple_health_export/export.xml"), document(&steps("1"))).unwrap();
    std::fs::write(nested.join("apple_health_export/._export.xml"), "junk").unwrap();
    std::fs::write(nested.join("apple_health_export/electrocardiograms/._a.csv"), "junk").unwrap();
    let given = bench.read(Config::new(&nested), None).await;
    assert_eq!((given.records.len(), given.rejects.len()), (1, 0), "{:?}", given.error);

    let error = bench.read(Config::new(&empty), None).await.error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("directory without an Apple Health export"), "{error}");
}

/// Scenario: reading stopped in a workout under the first form of positions, which knew of no recordings. Guarantees: G1
/// and G2, the recordings are read, and the rest of the workout is given once.
#[tokio::test]
async fn older_positions_are_read() {
    let bench = Bench::new(100);
    let path = bench.file("export.zip", zipped(""));
    let whole = bench.read(Config::new(&path), None).await;
    let fingerprint = &whole.positions[0].fingerprint;
    let offset = {
        let xml = entries().into_iter().find(|(name, _)| *name == "export.xml").unwrap().1;
        String::from_utf8(xml).unwrap().find("<Workout ").unwrap() as u64
    };
    let old = Position::new(1, fingerprint, &(offset, 2_u32, 0_u64)).unwrap();
    let given = bench.read(Config::new(&path), Some(old)).await;
    let kinds: Vec<&str> = given.records.iter().map(short).collect();
    assert_eq!(
        kinds,
        [
            "Electrocardiogram",
            "Electrocardiogram",
            "WorkoutRoute",
            "LabResultRecord",
            "LabResultRecord",
            "LabResultRecord",
            "StepCount"
        ]
    );
}

/// Scenario: a folder gets another recording after it was read. Guarantees: G1, it is another export, which is read whole.
#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a fixture, not a state file")]
async fn another_recording_is_another_export() {
    let mut bench = Bench::new(100);
    bench.file("export.xml", document(&steps("1")));
    let folder = Config::new(bench.around.path());
    let first = bench.read(folder.clone(), None).await;
    std::fs::create_dir_all(bench.around.path().join("electrocardiograms")).unwrap();
    bench.file("electrocardiograms/a.csv", RECORDING);
    bench.notices();
    let second = bench.read(folder, first.positions.last().cloned()).await;
    assert_eq!(second.records.iter().map(short).collect::<Vec<_>>(), ["Electrocardiogram", "StepCount"]);
    assert!(bench.notices().iter().any(|notice| notice.contains("another export")));
}

/// Scenario: two exports and an XML of something else in one zip, and unpacked in one folder. Guarantees: G1, the largest
/// is read, and that there is another is counted and told, once.
#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a fixture, not a state file")]
async fn a_second_export_is_counted() {
    let bench = Bench::new(10);
    let entries = [
        ("old/export.xml", document(&steps("1"))),
        ("new/export.xml", document(&[steps("1"), steps("2")].concat())),
        ("new/other.xml", "<other/>".to_owned()),
    ];
    let named: Vec<(&str, &[u8])> = entries.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    let zip = bench.file("export.zip", zip_of(&named));
    let folder = bench.around.path().join("both");
    std::fs::create_dir(&folder).unwrap();
    for (name, text) in &entries {
        std::fs::write(folder.join(name.replace('/', "-")), text).unwrap();
    }
    for path in [zip, folder] {
        let given = bench.read(Config::new(&path), None).await;
        assert_eq!((given.records.len(), given.rejects.len()), (2, 0));
        let skipped = Place::from_position(given.positions.last().unwrap()).unwrap().skipped;
        assert!(skipped.iter().any(|counted| counted == (&Skip::OtherExport, 1)), "{skipped:?}");
    }
}
