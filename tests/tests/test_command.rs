//! `afferent test`: tests that stand in pipeline files.

use afferent_tests::Place;

const BINARY: &str = env!("CARGO_BIN_EXE_afferent-under-test");

/// A pipeline with two tests: of the first nothing is said to come out, of the second what does.
const PIPELINE: &str = r#"name = "hearts"

[[source]]
type = "file"
path = "not-there.ndjson"

[[transform]]
type = "filter"
when = "value < 200.0"

[[transform]]
type = "units"
to = { HeartRate = "count/s" }

[[sink]]
type = "file"
path = "out.ndjson"

[[test]]
name = "converted"
input = '''
{"id":"00000000-0000-4000-8000-000000000001","type":"HKQuantityTypeIdentifierHeartRate","start":"2025-01-01T08:00:00Z","end":"2025-01-01T08:00:00Z","value":60,"unit":"count/min"}
'''

[[test]]
name = "dropped, and rejected"
input = '''
{"id":"00000000-0000-4000-8000-000000000002","type":"HKQuantityTypeIdentifierHeartRate","start":"2025-01-01T08:00:00Z","end":"2025-01-01T08:00:00Z","value":900,"unit":"count/min"}
{"id":"00000000-0000-4000-8000-000000000003","type":"HKQuantityTypeIdentifierHeartRate","start":"2025-01-01T08:00:00Z","end":"2025-01-01T08:00:00Z","value":60,"unit":"kg"}
'''
output = ""
dead = 1
"#;

/// Scenario: a file with a test that fails and one that does not; then `--update`; then again. Guarantees: what differs is shown and the
/// exit code says so, the file is rewritten where it has to be and nowhere else, and JUnit says the same.
#[test]
fn differences_are_shown_and_written() {
    let place = Place::new(BINARY);
    place.write("hearts.toml", PIPELINE);
    let ran = place.run(&["test", "hearts.toml", "--junit", "results.xml"]).exits(1);
    assert!(ran.stdout.contains("failed  hearts: converted"), "{}", ran.stdout);
    assert!(ran.stdout.contains("+ {\"id\":\"00000000-0000-4000-8000-000000000001\""), "{}", ran.stdout);
    assert!(ran.stdout.contains("ok      hearts: dropped, and rejected"), "{}", ran.stdout);
    assert!(ran.stderr.contains("1 of 2 tests failed"), "{}", ran.stderr);
    let junit = place.read("results.xml");
    assert!(junit.contains("<testsuite name=\"hearts\" tests=\"2\" failures=\"1\">"), "{junit}");

    place.run(&["test", "hearts.toml", "--update"]).exits(0);
    let written = place.read("hearts.toml");
    let (before, after) = written.split_once("\noutput = '''\n").expect("the output is written");
    assert!(PIPELINE.starts_with(before));
    let (output, after) = after.split_once("'''").expect("its end");
    assert!(output.contains("\"value\":1.0,\"unit\":\"count/s\""), "{output}");
    assert!(PIPELINE.ends_with(after), "the rest is as it was");
    place.run(&["test", "hearts.toml"]).exits(0);
    place.run(&["test", "hearts.toml", "--update"]).exits(0);
    assert_eq!(place.read("hearts.toml"), written);

    // An id that is not written down may be any.
    place.write(
        "hearts.toml",
        written.replace("'''\n{\"id\":\"00000000-0000-4000-8000-000000000001\",", "'''\n{"),
    );
    place.run(&["test", "hearts.toml"]).exits(0);
    // How many are rejected is not rewritten.
    place.write("hearts.toml", written.replace("dead = 1", "dead = 2"));
    let ran = place.run(&["test", "hearts.toml", "--update", "-o", "json"]).exits(1);
    assert!(ran.stdout.contains("\"passed\":false"), "{}", ran.stdout);
    assert!(!place.path().join("out.ndjson").exists() && !place.path().join("state").exists());
}

/// Scenario: tests with unknown keys, with records that are none, and no tests. Guarantees: what is wrong is said at its place, by
/// `validate` too.
#[test]
fn what_is_wrong_with_a_test_is_said() {
    let place = Place::new(BINARY);
    place.write(
        "hearts.toml",
        PIPELINE.replace("output = \"\"", "outptu = \"\"").replace("\"value\":900", "\"value\":\"x"),
    );
    for command in ["validate", "test"] {
        let ran = place.run(&[command, "hearts.toml"]).exits(78);
        let said = ran.stdout + &ran.stderr;
        assert!(said.contains("AF-0112") && said.contains("did you mean `output`?"), "{said}");
    }
    place.write("hearts.toml", PIPELINE.replace("\"value\":900", "\"value\":x"));
    let ran = place.run(&["test", "hearts.toml"]).exits(78);
    assert!((ran.stdout + &ran.stderr).contains("input:1"));
    let none = PIPELINE.split("[[test]]").next().expect("the stages");
    place.write("hearts.toml", none);
    assert!(place.run(&["test", "hearts.toml"]).exits(0).stderr.contains("no tests"));
}
