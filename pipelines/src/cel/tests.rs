use std::sync::Arc;

use afferent_core::{
    Kind, MetaValue, Metadata, Name, Origin, Problem, Record, RecordId, Timestamp, Unit, Value,
    record::Device,
};
use proptest::prelude::*;

use super::{plan::Test, *};

fn time(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap().0
}

fn heart_rate(value: f64) -> Record {
    let mut record = Record::added(
        RecordId::parse("6f1c2b5e-7a0d-4a52-9c1b-0a2f5d8f1e01").unwrap(),
        Kind::parse("HeartRate").unwrap(),
        time("2025-06-01T08:00:00Z"),
        time("2025-06-01T08:05:00Z"),
        Value::Quantity(value, Unit::parse("count/min").unwrap()),
    );
    record.subject = Some(Name::from("User-1"));
    record.origin = Some(Arc::new(Origin {
        name: Some("Anna’s Watch".into()),
        product: Some("Watch6,7".into()),
        device: Some(Device { model: Some("Watch".into()), ..Device::default() }),
        ..Origin::default()
    }));
    let mut metadata = Metadata::default();
    metadata.push("HKWasUserEntered", MetaValue::Bool(true));
    metadata.push("context", MetaValue::Number(2.0));
    metadata.push("note", MetaValue::String("rest".into()));
    metadata.push("synced", MetaValue::Date(time("2025-06-02T00:00:00Z")));
    metadata.push("com.example.peak", MetaValue::Quantity(150.0, Unit::parse("count/min").unwrap()));
    record.metadata = Some(Arc::new(metadata));
    record
}

fn matches(source: &str, record: &Record) -> bool {
    let fast = Predicate::compile(source).unwrap_or_else(|problems| panic!("{source}: {problems:?}"));
    let slow = Predicate::compile_slow(source).unwrap();
    assert_eq!(fast.matches(record), slow.matches(record), "{source}");
    fast.matches(record)
}

/// Scenario: each field, operator and function on a record that has everything. Guarantees: an expression means
/// what its text says.
#[test]
fn fields_operators_and_functions() {
    let record = heart_rate(72.5);
    for source in [
        "type == 'HeartRate'",
        "'HKQuantityTypeIdentifierHeartRate' == type",
        "type != 'StepCount'",
        "type in ['StepCount', 'HeartRate']",
        "!(type in ['StepCount'])",
        "type.startsWith('HKQuantityType')",
        "value > 30.0 && value < 220.0",
        "value > 30 && 220 > value && value >= 72 && value <= 73 && value != 72",
        "value == 72.5",
        "-value < -72",
        "value in [1, 72.5]",
        "value * 2.0 == 145.0 && value / 2 == 36.25 && value - 0.5 == 72 && value + 0.5 == 73",
        "unit == 'count/min'",
        "unit in ['kg', 'count/min']",
        "id == '6F1C2B5E-7A0D-4A52-9C1B-0A2F5D8F1E01'",
        "id.startsWith('6f1c2b5e-')",
        "id in ['6f1c2b5e-7a0d-4a52-9c1b-0a2f5d8f1e01']",
        "subject == 'User-1'",
        "subject.lowerAscii() == 'user-1' && subject.upperAscii() == 'USER-1'",
        "subject + '/' + source.product == 'User-1/Watch6,7'",
        "subject > 'User-0' && subject < 'User-2'",
        "size(subject) == 6 && subject.size() == 6 && size(source.name) == 12",
        "source.name.contains('Watch') && source.product.endsWith('6,7')",
        "source.name == \"Anna’s Watch\"",
        "device.model == 'Watch'",
        "start >= timestamp('2025-06-01T10:00:00+02:00')",
        "timestamp('2025-06-01T09:00:00Z') > end",
        "end - start == duration('5m')",
        "end - start < duration('1h') && start + duration('5m') == end && end - duration('300s') == start",
        "revision == 0 && revision < 0.5",
        "revision + 7 / 2 == 3 && 7 % 4 == 3",
        "!deleted && deleted == false",
        "metadata['HKWasUserEntered'] && metadata.HKWasUserEntered == true",
        "metadata.context == 2 && metadata.context + 1 == 3.0",
        "metadata.note == 'rest' && metadata.note.startsWith('re') && 'at ' + metadata.note == 'at rest'",
        "metadata.synced > start",
        "metadata['com.example.peak'] > 149.5 && metadata['com.example.peak'] > value",
        "'note' in metadata && !('nothing' in metadata)",
        "has(value) && has(subject) && has(device.model) && has(metadata.note) && has(metadata['note'])",
        "deleted ? false : value > 1.0",
        "(type == 'HeartRate' ? value : 0) > 1",
        "true || false && false",
        "subject == r'User-1' && subject == 'User\\u002d1'",
    ] {
        assert!(matches(source, &record), "{source}");
    }
}

/// Scenario: fields that are absent, of another type than expected, or not a number. Guarantees: a comparison
/// with them is false, whichever it is and on either path; nothing fails.
#[test]
fn a_comparison_with_an_absent_field_is_false() {
    let deletion = Record::deleted(RecordId::from_u128(1), None);
    let record = heart_rate(f64::NAN);
    for operator in ["==", "!=", "<", "<=", ">", ">="] {
        for (left, right) in
            [("value", "1"), ("1.0", "value"), ("start", "end"), ("subject", "'a'"), ("zone", "zone")]
        {
            let source = format!("{left} {operator} {right}");
            assert!(!matches(&source, &deletion), "{source}");
            assert!(matches(&format!("!({source})"), &deletion), "!({source})");
        }
        let source = format!("start {operator} timestamp('1970-01-01T00:00:00Z')");
        assert!(!matches(&source, &deletion), "{source}");
        let source = format!("value {operator} 1.0");
        assert!(!matches(&source, &record), "{source}, not a number");
        let source = format!("metadata.note {operator} 1.0");
        assert!(!matches(&source, &record), "{source}, of another type");
    }
    for source in [
        "type == 'HeartRate'",
        "type != 'HeartRate'",
        "type in ['HeartRate']",
        "unit != 'kg'",
        "subject.startsWith('')",
        "subject in ['a']",
        "size(subject) >= 0",
        "value + 1 != 0",
        "1 / revision == 0",
        "9223372036854775807 + 1 != 0",
        "metadata.flag",
        "metadata.note + 'x' != 'y'",
        "has(value) || has(start) || has(type) || has(source.name) || has(device.name) || has(metadata.x)",
    ] {
        assert!(!matches(source, &deletion), "{source}");
    }
    assert!(matches("deleted && has(id) && has(revision)", &deletion));
    let mut dated = deletion;
    dated.start = time("2025-06-01T08:00:00Z");
    dated.end = dated.start;
    assert!(matches("start == end && start > timestamp('2025-01-01T00:00:00Z')", &dated));
}

/// Scenario: the conditions that files mostly have. Guarantees: they take the fast path.
#[test]
fn simple_conditions_take_the_fast_path() {
    for source in [
        "type != 'HeartRate' || value > 30.0 && value < 220.0",
        "type in ['HeartRate', 'StepCount'] && 30 < value",
        "start >= timestamp('2025-01-01T00:00:00Z') && !deleted",
        "source.name == 'Watch' && subject != 'a' && unit == 'kg' && zone == 'UTC'",
    ] {
        let predicate = Predicate::compile(source).unwrap();
        assert!(predicate.plan().tests().all(|test| !matches!(test, Test::Expr(_))), "{source}");
    }
}

/// Each problem as `message | help`, under the text it underlines.
fn problems(source: &str) -> Vec<String> {
    let problems = Predicate::compile(source).map(|_| ()).unwrap_err();
    let show = |problem: Problem| {
        assert!(problem.key_path.is_empty());
        let span = problem.span.map_or("", |span| &source[span]);
        let help = problem.help.map_or_else(String::new, |help| format!(" | {help}"));
        format!("{span}: {}{help}", problem.message)
    };
    problems.into_iter().map(show).collect()
}

/// Scenario: what people get wrong. Guarantees: each mistake is named in plain words and underlined exactly, and
/// all of an expression are found at once.
#[test]
fn problems_are_named_and_underlined() {
    let check = |source: &str, expected: &[&str]| assert_eq!(problems(source), expected, "{source}");
    check(
        "vlaue > 30.0 && type == 'HartRate' || subject == 3",
        &[
            "vlaue: unknown field `vlaue` | did you mean `value`?",
            "'HartRate': unknown type `HartRate` | did you mean `HeartRate`?",
            "subject == 3: `subject` is a string, `3` is an int: can't compare | a text stands in quotes, a number does not",
        ],
    );
    check(
        "type == 30.0",
        &[
            "type == 30.0: `type` is a string, `30.0` is a double: can't compare | a text stands in quotes, a number does not",
        ],
    );
    check(
        "type == HeartRate",
        &["HeartRate: unknown field `HeartRate` | a text stands in quotes: did you mean 'HeartRate'?"],
    );
    check(
        "value",
        &["value: `value` is a double, expected a bool | write a condition, such as `value > 30.0`"],
    );
    check(
        "source == 'Watch'",
        &[
            "source: `source` is not a value | its fields are `source.name`, `source.bundle`, `source.version`, `source.product`, `source.os`",
        ],
    );
    check(
        "source.nmae == 'Watch'",
        &["source.nmae: unknown field `source.nmae` | did you mean `source.name`?"],
    );
    check(
        "metadata == 'x'",
        &["metadata: `metadata` is not a value | name the value, as in `metadata['HKWasUserEntered']`"],
    );
    check(
        "subject[0] == 'x'",
        &["subject: `subject` has nothing in it to index | only `metadata` is indexed"],
    );
    check(
        "start > '2025-01-01'",
        &[
            "start > '2025-01-01': `start` is a timestamp, `'2025-01-01'` is a string: can't compare | write an instant as `timestamp('2025-01-31T00:00:00Z')`",
        ],
    );
    check(
        "start > timestamp('2025-01-01')",
        &[
            "'2025-01-01': `'2025-01-01'` is not an instant | write one as RFC 3339 has it: `timestamp('2025-01-31T08:00:00+01:00')`",
        ],
    );
    check(
        "end - start > 300",
        &[
            "end - start > 300: `end - start` is a duration, `300` is an int: can't compare | write a length of time as `duration('5m')`",
        ],
    );
    check(
        "unit == 'bpm'",
        &[
            "'bpm': unknown unit `'bpm'` | units are written as HealthKit does: `count/min`, `kcal`, `mg/dL`, `degC`",
        ],
    );
    check("id == '7'", &["'7': `'7'` is no id | ids are uuids"]);
    check(
        "value * (9/5) > 1.0",
        &[
            "value * (9/5): `value` is a double, `9/5` is an int: `*` does not take these | ints divide without a remainder; write the numbers as doubles: `9.0 / 5.0`",
        ],
    );
    check(
        "subject.startWith('a')",
        &["subject.startWith('a'): unknown function `startWith` | did you mean `startsWith`?"],
    );
    check(
        "startsWith(subject, 'a')",
        &["startsWith(subject, 'a'): `startsWith` is not called like this | write `subject.startsWith('a')`"],
    );
    check("value.startsWith('a')", &["value: `value` is a double, expected a string"]);
    check(
        "[1].all(x, x > 0)",
        &[
            "[1].all(x, x > 0): unknown function `all` | functions are `has`, `startsWith`, `endsWith`, `contains`, `lowerAscii`, `upperAscii`, `size`, `timestamp`, `duration`",
        ],
    );
    check(
        "type in ['HeartRate', 'StepCuont', 3]",
        &[
            "'StepCuont': unknown type `StepCuont` | did you mean `StepCount`?",
            "3: `type` is a string, `3` is an int: can't compare | a text stands in quotes, a number does not",
        ],
    );
    check(
        "value == null",
        &["null: no field is ever null | to ask whether a field is there, write `has(…)`"],
    );
    check(
        "has(value + 1.0)",
        &["value + 1.0: `value + 1.0` is not a field | ask as in `has(subject)` or `has(metadata.key)`"],
    );
    check("deleted > false", &["deleted > false: bools have no order | compare them with `==` or `!=`"]);
    check(
        "value == 9007199254740993",
        &["9007199254740993: no double is equal to `9007199254740993` | whole numbers up to 2^53 are exact"],
    );
    check(
        "deleted ? value : subject",
        &["deleted ? value : subject: the branches differ: `value` is a double, `subject` is a string"],
    );
    check("value = 30", &["=: unexpected `=` | did you mean `==`?"]);
    check("value > 1 and value < 2", &["and: unexpected `and` | did you mean `&&`?"]);
    check("value > 1 & value < 2", &["&: unexpected `&` | did you mean `&&`?"]);
    check(
        "not deleted",
        &["deleted: unexpected `deleted` | expected an operator such as `&&` or `==` before it, or the end"],
    );
    check("value >", &[">: the expression ends where more was expected"]);
    check(" ", &[": the expression is empty | write a condition such as `value > 30.0`"]);
    check("(value > 1", &["1: the expression ends where more was expected"]);
    check(
        "value > 1)",
        &["): unexpected `)` | expected an operator such as `&&` or `==` before it, or the end"],
    );
    check("subject == 'é' && subject == 'a", &["'a: the text that begins here has no end | close it with '"]);
    check(
        "subject == 'a\\q'",
        &[
            "\\: this is no escape sequence | write a backslash as `\\\\`, or the text as r'…', where backslashes mean themselves",
        ],
    );
    check("value > 1e999", &["1e999: the number `1e999` is too large"]);
    check("'é' == subject && valeu > 1.0", &["valeu: unknown field `valeu` | did you mean `value`?"]);
}

/// Scenario: expressions made to exhaust the stack, each kind of nesting 100,000 deep. Guarantees: G7, they are
/// refused before they are parsed, on a thread with a phone's 512 KiB of stack.
#[test]
fn nesting_is_bounded() {
    let deep = 100_000;
    let sources = |depth: usize| {
        [
            format!("{}deleted{}", "(".repeat(depth), ")".repeat(depth)),
            format!("{}deleted", "!".repeat(depth)),
            format!("value{} > 1.0", " + 1.0".repeat(depth)),
            format!("subject{}", ".a".repeat(depth)),
            format!("metadata{}", "['a']".repeat(depth)),
            format!("{}deleted", "deleted ? deleted : ".repeat(depth)),
            format!("value{}", " in value".repeat(depth)),
            "(".repeat(depth),
            "[".repeat(depth),
            "-".repeat(depth),
        ]
    };
    let run = move || {
        for source in sources(deep) {
            assert!(Predicate::compile(&source).is_err());
        }
        // At the limits of depth, where all of it is parsed.
        for source in
            sources(MAX_DEPTH).iter().chain(&sources(MAX_BRACKETS)).chain(&sources(MAX_BRACKETS / 2))
        {
            let _ = Predicate::compile(source);
        }
        let types = vec!["'HeartRate'"; 500].join(", ");
        assert!(Predicate::compile(&format!("type in [{types}]")).is_ok());
        let any = vec!["value == 1.0"; 500].join(" || ");
        assert!(Predicate::compile(&any).is_ok());
        let brackets = format!("{}deleted{}", "(".repeat(MAX_BRACKETS), ")".repeat(MAX_BRACKETS));
        assert!(Predicate::compile(&brackets).is_ok());
        let at_fault = Predicate::compile(&format!("({brackets})")).map(|_| ()).unwrap_err();
        assert_eq!(at_fault[0].span, Some(MAX_BRACKETS..MAX_BRACKETS + 1));
        assert!(Predicate::compile(&" ".repeat(MAX_EXPRESSION_BYTES + 1)).is_err());
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(run).unwrap().join().unwrap();
}

/// Scenario: an expression gives a value for `set`. Guarantees: its type is the expected one; ints widen.
#[test]
fn expressions_have_the_expected_type() {
    let record = heart_rate(72.0);
    let value = |source, r#type| Expression::compile(source, r#type).map(|e| e.evaluate(&record).number());
    assert_eq!(value("value * 2.0", Type::Double), Ok(Some(144.0)));
    assert_eq!(value("2", Type::Double), Ok(Some(2.0)));
    assert_eq!(value("size(subject)", Type::Double), Ok(Some(6.0)));
    assert_eq!(value("1.0 / 0.0", Type::Double), Ok(Some(f64::INFINITY)));
    assert!(value("subject", Type::Double).is_err());
    assert!(value("end - start", Type::Metadata).is_err());
    assert!(value("value", Type::String).is_err());
    let expression = Expression::compile("metadata['com.example.peak']", Type::Metadata).unwrap();
    assert!(matches!(expression.evaluate(&record), CelValue::Quantity(value, _) if value == 150.0));
}

/// Conditions of every form, valid and in the language of people who write them.
fn condition() -> impl Strategy<Value = String> {
    let comparison = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let equality = prop::sample::select(vec!["==", "!="]);
    let number = prop::sample::select(vec!["0", "1", "-1", "1.5", "30.0", "revision"]);
    let kind = prop::sample::select(vec!["'HeartRate'", "'StepCount'", "'SleepAnalysis'"]);
    let text = prop::sample::select(vec!["subject", "zone", "source.name", "device.model", "metadata.note"]);
    let word = prop::sample::select(vec!["'a'", "'b'", "''", "subject"]);
    let leaf = prop_oneof![
        (comparison.clone(), number.clone()).prop_map(|(op, number)| format!("value {op} {number}")),
        (comparison.clone(), number).prop_map(|(op, number)| format!("{number} {op} value")),
        (equality.clone(), kind.clone()).prop_map(|(op, kind)| format!("type {op} {kind}")),
        (equality.clone(), kind.clone()).prop_map(|(op, kind)| format!("{kind} {op} type")),
        prop::collection::vec(kind, 0..3).prop_map(|kinds| format!("type in [{}]", kinds.join(", "))),
        (text.clone(), equality, word.clone()).prop_map(|(text, op, word)| format!("{text} {op} {word}")),
        (text, word).prop_map(|(text, word)| format!("{text}.startsWith({word})")),
        comparison.clone().prop_map(|op| format!("start {op} timestamp('1970-01-01T00:00:01Z')")),
        comparison.prop_map(|op| format!("timestamp('1970-01-01T00:00:02Z') {op} end")),
        prop::sample::select(vec![
            "deleted",
            "unit == 'kg'",
            "unit != 'kg'",
            "has(value)",
            "true",
            "metadata.flag"
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" && "))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" || "))),
            inner.clone().prop_map(|inner| format!("!({inner})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

fn record() -> impl Strategy<Value = Record> {
    let value = prop_oneof![
        Just(Value::None),
        prop::sample::select(vec![0.0, -0.0, 1.0, 1.5, 30.0, f64::NAN])
            .prop_map(|value| Value::Quantity(value, Unit::parse("kg").unwrap())),
        (0.0..2.0).prop_map(|value| Value::Quantity(value, Unit::parse("g").unwrap())),
        (-1_i64..3).prop_map(Value::Category),
        Just(Value::Json("{}".into())),
    ];
    let kind = prop::option::of(prop::sample::select(vec!["HeartRate", "StepCount", "BodyMass"]));
    let text = || prop::option::of(prop::sample::select(vec!["a", "b", ""]).prop_map(Name::from));
    let times = prop::sample::select(vec![0, 1_000_000, 2_000_000]);
    (
        value,
        kind,
        any::<bool>(),
        0_u32..3,
        [text(), text(), text(), text()],
        times.clone(),
        times,
        any::<bool>(),
    )
        .prop_map(|(value, kind, deleted, revision, [subject, zone, source, note], start, end, flag)| {
            let mut record =
                Record::deleted(RecordId::from_u128(1), kind.map(|kind| Kind::parse(kind).unwrap()));
            record.value = value;
            if !deleted {
                record.change = afferent_core::Change::Added;
            }
            record.revision = revision;
            (record.start, record.end) =
                (Timestamp::from_micros_clamped(start), Timestamp::from_micros_clamped(end));
            (record.subject, record.zone) = (subject, zone);
            record.origin = source.map(|name| Arc::new(Origin { name: Some(name), ..Origin::default() }));
            if let Some(note) = note {
                record.metadata_mut().push("note", MetaValue::String(note));
                record.metadata_mut().push("flag", MetaValue::Bool(flag));
            }
            record
        })
}

proptest! {
    /// Scenario: random conditions on random records. Guarantees: the fast path and the evaluator agree.
    #[test]
    fn the_fast_path_agrees_with_the_evaluator(source in condition(), records in prop::collection::vec(record(), 1..20)) {
        let fast = Predicate::compile(&source);
        // A nesting that the strategy made too deep is refused by both.
        prop_assume!(fast.is_ok());
        let (fast, slow) = (fast.unwrap(), Predicate::compile_slow(&source).unwrap());
        for record in &records {
            prop_assert_eq!(fast.matches(record), slow.matches(record), "{} on {:?}", source, record);
        }
    }

    /// Scenario: pieces of expressions in any order, and any text at all. Guarantees: G5, compiling never
    /// panics, and every problem's range lies within the text.
    #[test]
    fn any_text_compiles_or_is_refused(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "value", " ", "type", "==", "(", ")", "[", "]", "'a'", "'", "\"", "\\", "3", "1.5", ".", "metadata", "-",
            "!", "&&", "||", "in", "?", ":", ",", "é", "\n", "has", "size", "//", "r'", "{", "}", "'''", "u", "=", "<",
            "timestamp", "duration", "a", "null", "b'", "\u{0}", "😀", "`", "@result", "0x", "1e",
        ]), 0..24),
        any in ".{0,24}",
    ) {
        for source in [pieces.concat(), any, pieces.join(" ")] {
            if let Err(problems) = Predicate::compile(&source) {
                prop_assert!(!problems.is_empty(), "{source:?}");
                for problem in problems {
                    let span = problem.span.unwrap_or(0..0);
                    prop_assert!(source.get(span.clone()).is_some(), "{span:?} of {source:?}");
                }
            }
        }
    }
}

/// Scenario: the reference of expressions. Guarantees: each example in it compiles, and it states the limits.
#[test]
fn the_reference_is_true() {
    let reference = include_str!("../../../docs/reference/cel.md");
    let blocks = reference.split("```cel\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let examples: Vec<&str> = blocks.flat_map(|(block, _)| block.lines()).collect();
    assert!(examples.len() > 15, "{examples:?}");
    for example in examples {
        assert_eq!(Predicate::compile(example).err(), None, "{example}");
    }
    for (name, _) in Field::ALL {
        let last = name.rsplit('.').next().unwrap();
        assert!(
            reference.contains(&format!("`{name}`")) || reference.contains(&format!("`.{last}`")),
            "{name}"
        );
    }
    assert_eq!((MAX_EXPRESSION_BYTES, MAX_BRACKETS, MAX_DEPTH), (16_384, 24, 64));
}
