//! CEL.

use std::sync::LazyLock;

use afferent::{
    cel::{Expression, Predicate, Type},
    formats::{Format, Location, decode_one},
};
use afferent_core::{Problem, Record};

use super::{hash, shape};

/// Records that expressions are evaluated on: of every form of value that an expression sees, and a deletion.
static RECORDS: LazyLock<Vec<Record>> = LazyLock::new(|| {
    const LINES: &[&str] = &[
        r#"{"id":"00000000-0000-4000-8000-000000000001","type":"HKQuantityTypeIdentifierHeartRate","start":"2025-01-01T00:00:00Z","end":"2025-01-01T00:00:00Z","value":60.5,"unit":"count/min","subject":"ada","zone":"Europe/Amsterdam","source":{"name":"Watch"},"metadata":{"a":1,"b":"text","c":{"date":"2025-01-01T00:00:00Z"},"d":{"value":1.5,"unit":"kg"},"e":true}}"#,
        r#"{"id":"00000000-0000-4000-8000-000000000002","type":"HKCategoryTypeIdentifierSleepAnalysis","start":"1900-01-01T00:00:00Z","end":"2199-01-01T00:00:00Z","value":3,"revision":4294967295}"#,
        r#"{"id":"00000000-0000-4000-8000-000000000003","type":"HKQuantityTypeIdentifierStepCount","deleted":true}"#,
    ];
    let read = |line: &&str| decode_one(Format::Json, line.as_bytes(), Location { name: "fuzz", line: 1 });
    LINES.iter().map(read).collect::<Result<_, _>>().expect("records")
});

/// Any bytes as an expression: it compiles, and has a value for every record; or each thing that is wrong with it has a place in it and
/// says something.
pub(super) fn cel(bytes: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(bytes) else { return 0 };
    let predicate = match Predicate::compile(text) {
        Ok(predicate) => RECORDS.iter().map(|record| predicate.matches(record).to_string()).collect(),
        Err(problems) => shapes(text, &problems),
    };
    let types = [Type::Double, Type::Int, Type::String, Type::Bool];
    let expressions = types.map(|expected| match Expression::compile(text, expected) {
        Ok(expression) => {
            RECORDS.iter().map(|record| shape(&format!("{:?}", expression.evaluate(record)))).collect()
        }
        Err(problems) => shapes(text, &problems),
    });
    hash((predicate, expressions))
}

fn shapes(text: &str, problems: &[Problem]) -> Vec<String> {
    assert!(!problems.is_empty(), "an error says something");
    let shapes = problems.iter().map(|problem| {
        assert!(!problem.message.is_empty(), "a problem says something");
        if let Some(span) = &problem.span {
            assert!(text.get(span.clone()).is_some(), "{span:?} is in the text");
        }
        shape(&problem.message)
    });
    shapes.collect()
}
