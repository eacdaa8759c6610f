mod exact;

use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::kind::Kind;

fn unit(text: &str) -> Unit {
    Unit::parse(text).unwrap()
}

fn convert(value: f64, from: &str, to: &str) -> Option<f64> {
    Some(unit(from).conversion(unit(to))?.apply(value))
}

// Scenario: the conversions that exports in other locales need. Guarantees: G4; the nearest float, not one
// beside it.
#[test]
fn converts_to_the_nearest_float() {
    for (value, from, to, expected) in [
        (1.0, "mi", "km", 1.609_344),
        (26.2, "mi", "m", 42_164.812_8),
        (1.0, "lb", "kg", 0.453_592_37),
        (176.4, "lb", "kg", 80.013_694_068),
        (1.0, "st", "lb", 14.0),
        (1.0, "oz", "g", 28.349_523_125),
        (71.0, "in", "cm", 180.34),
        (6.0, "ft", "in", 72.0),
        (1.0, "yd", "m", 0.9144),
        (98.6, "degF", "degC", 37.0),
        (32.0, "degF", "degC", 0.0),
        (-40.0, "degF", "degC", -40.0),
        (36.6, "degC", "degF", 97.88),
        (37.0, "degC", "K", 310.15),
        // The float 310.15 lies below 310.15, and the float nearest to its difference from 273.15 is this
        // one.
        (310.15, "K", "degC", 36.999_999_999_999_98),
        (0.0, "degF", "K", 255.372_222_222_222_23),
        (9.0, "degF/min", "degC/min", 5.0),
        (1.0, "Cal", "kJ", 4.184),
        (1.0, "Cal", "kcal", 1.0),
        (1.0, "Cal", "cal", 1000.0),
        (90.0, "count/min", "count/s", 1.5),
        (61.0, "count/min", "count/s", 61.0 / 60.0),
        (1.2, "count/s", "count/min", 72.0),
        (5.5, "mmol<180.1558800000541>/L", "mg/dL", 99.085_734_000_029_76),
        (180.155_880_000_054_1, "mg/dL", "mmol<180.1558800000541>/L", 10.0),
        (1000.0, "mg/L", "mg/dL", 100.0),
        (45.5, "mL/min·kg", "ml/(kg*min)", 45.5),
        (1.0, "kcal/hr·kg", "kcal/(kg*hr)", 1.0),
        (1.0, "kcal/(kg*hr)", "W/kg", 4184.0 / 3600.0),
        (3.6, "km/hr", "m/s", 1.0),
        (60.0, "L/min", "L/s", 1.0),
        (1.0, "mmHg", "Pa", 133.322_387_415),
        (1.0, "inHg", "mmHg", 25.4),
        (1.0, "cmAq", "Pa", 98.0665),
        (1.0, "atm", "kPa", 101.325),
        (1.0, "atm", "mmHg", 759.999_891_725_611_3),
        (1013.25, "hPa", "atm", 1.0),
        (1.0, "fl_oz_us", "mL", 29.573_529_562_5),
        (1.0, "cup_us", "fl_oz_us", 8.0),
        (1.0, "pt_us", "L", 0.473_176_473),
        (1.0, "fl_oz_imp", "mL", 28.413_062_5),
        (1.0, "cup_imp", "L", 0.284_130_625),
        (1.0, "pt_imp", "L", 0.568_261_25),
        (1.0, "L", "dm^3", 1.0),
        (250.0, "mcg", "mg", 0.25),
        (250.0, "\u{b5}g", "mg", 0.25),
        (1.0, "dag", "g", 10.0),
        (1.5, "d", "hr", 36.0),
        (90.0, "min", "hr", 1.5),
        (1.0, "V*S/s", "mcS.kV/s", 1000.0),
        (1.0, "V^2*S", "W", 1.0),
        (180.0, "deg", "rad", std::f64::consts::PI),
        (2.0, "D", "1/m", 2.0),
        (1.0, "kg.m^-1.s^-2", "Pa", 1.0),
        (1.0, "kg/m.s^2", "Pa", 1.0),
        (1.0, "(m/s)^2", "m^2/s^2", 1.0),
        (1.0, "mL/kg/min", "ml/(kg*min)", 1.0),
    ] {
        assert_eq!(convert(value, from, to), Some(expected), "{value} {from} in {to}");
    }
}

#[test]
fn unlike_things_do_not_convert() {
    for (from, to) in [
        ("count", "%"),
        ("count/s", "Hz"),
        ("count/min", "Hz"),
        ("count", "1"),
        ("IU", "mg"),
        ("dBASPL", "dBHL"),
        ("dBASPL", "Pa"),
        ("pD", "D"),
        ("mol", "g"),
        ("mol/L", "mmol<180.1558>/L"),
        ("kg", "m"),
        ("m", "m^2"),
        ("m/s", "m*s"),
        ("kcal", "kcal/hr"),
        ("ms", "mS"),
        ("nonsense", "kg"),
        ("kg", "nonsense"),
        ("nonsense", "rubbish"),
    ] {
        assert_eq!(unit(from).conversion(unit(to)), None, "{from} in {to}");
    }
}

#[test]
fn symbols_win_over_prefixes() {
    for (text, dimension) in [
        ("min", "time"),
        ("cd", "none"),
        ("d", "time"),
        ("dm", "length"),
        ("mm", "length"),
        ("mmHg", "mass·length^-1·time^-2"),
        ("Pa", "mass·length^-1·time^-2"),
        ("ft", "length"),
        ("pD", "prism"),
        ("mcg", "mass"),
        ("mcm", "length"),
        ("Tm", "length"),
        ("fg", "mass"),
        ("klb", "none"),
        ("kkg", "none"),
        ("mmin", "none"),
        ("KG", "none"),
        ("g/g", "1"),
    ] {
        let found = unit(text).dimension().map_or("none".to_owned(), |dimension| dimension.to_string());
        assert_eq!(found, dimension, "{text}");
    }
}

#[test]
fn text_that_is_no_unit_is_kept_and_not_understood() {
    for text in [
        " ",
        "/",
        "kg/",
        "/kg",
        "kg//m",
        "(kg",
        "kg)",
        "()",
        "kg^",
        "kg^x",
        "kg^1.5",
        "kg^-",
        "kg^999",
        "Tm^100",
        "kg m",
        "mol<>",
        "mol<0>",
        "mol<1.2.3>",
        "mol<-1>",
        "mol<1e3>",
        "mol<1",
        "mol>1<",
        "kg<18>",
        "mol<18><18>",
        "k",
        "degC>",
        "mol<99999999999999999999999999999999999999999>",
        "beats per minute",
        "°C",
        "\u{0}",
    ] {
        let parsed = unit(text);
        assert_eq!(parsed.dimension(), None, "{text}");
        assert_eq!(parsed.as_str(), text);
        assert_eq!(parsed.conversion(parsed).map(Conversion::is_identity), Some(true), "{text}");
        assert_eq!(parsed, unit(text));
    }
}

#[test]
fn nesting_as_deep_as_a_text_allows() {
    let deep = format!("{}m{}", "(".repeat(31), ")".repeat(31));
    assert_eq!(unit(&deep).dimension(), unit("m").dimension());
    assert_eq!(unit(&"(".repeat(MAX_UNIT_BYTES)).dimension(), None);
}

// Scenario: every unit of the catalogue. Guarantees: each is understood, and built in, so that no feed can
// use it up.
#[test]
fn the_catalogue_is_understood() {
    for kind in Kind::all() {
        if let Some(unit) = kind.info().unwrap().unit {
            assert!(unit.dimension().is_some(), "{unit} of {kind}");
            assert!(KNOWN.get(unit.as_str()).is_some(), "{unit} of {kind}");
            assert_eq!(unit.fits(kind), Some(true), "{unit} of {kind}");
        }
    }
}

#[test]
fn fits() {
    let kind = |name| Kind::parse(name).unwrap();
    assert_eq!(unit("count/s").fits(kind("HeartRate")), Some(true));
    assert_eq!(unit("lb").fits(kind("BodyMass")), Some(true));
    assert_eq!(unit("lb").fits(kind("HeartRate")), Some(false));
    assert_eq!(unit("%").fits(kind("StepCount")), Some(false));
    assert_eq!(unit("steps").fits(kind("StepCount")), None);
    assert_eq!(unit("min").fits(kind("SleepAnalysis")), None);
    assert_eq!(unit("min").fits(kind("com.example.mood")), None);
}

#[test]
fn text_and_serialised_form_are_the_text_as_it_came() {
    let litre = unit("mL/min·kg");
    assert_eq!((format!("{litre}"), format!("{litre:?}")), ("mL/min·kg".to_owned(), "mL/min·kg".to_owned()));
    let bytes = rmp_serde::to_vec(&litre).unwrap();
    assert_eq!(bytes, rmp_serde::to_vec("mL/min·kg").unwrap());
    assert_eq!(rmp_serde::from_slice::<Unit>(&bytes).unwrap(), litre);
    assert!(rmp_serde::from_slice::<Unit>(&rmp_serde::to_vec("").unwrap()).is_err());
    assert_ne!(unit("ml"), unit("mL"));
    assert_eq!(size_of::<Option<Unit>>(), 2);
}

#[test]
fn scale_and_offset() {
    let conversion = unit("degC").conversion(unit("degF")).unwrap();
    assert_eq!((conversion.scale(), conversion.offset(), conversion.is_identity()), (1.8, 32.0, false));
    let same = unit("ml").conversion(unit("mL")).unwrap();
    assert_eq!((same.scale(), same.offset(), same.is_identity()), (1.0, 0.0, true));
}

#[test]
fn values_that_are_no_number_stay_so() {
    let identity = unit("ml").conversion(unit("mL")).unwrap();
    assert_eq!(identity.apply(-0.0).to_bits(), (-0.0_f64).to_bits());
    for (from, to) in
        [("lb", "st"), ("count/min", "count/s"), ("degF", "degC"), ("oz", "kg"), ("mmHg", "inHg")]
    {
        let conversion = unit(from).conversion(unit(to)).unwrap();
        assert!(conversion.apply(f64::NAN).is_nan());
        assert_eq!(conversion.apply(f64::INFINITY), f64::INFINITY);
        assert_eq!(conversion.apply(f64::NEG_INFINITY), f64::NEG_INFINITY);
        assert!(conversion.apply(f64::MAX) > 0.0);
    }
    let ounces = unit("oz").conversion(unit("kg")).unwrap();
    assert_eq!(ounces.apply(-0.0).to_bits(), (-0.0_f64).to_bits());
}

#[test]
fn refuses_empty_and_long_texts() {
    assert_eq!(Unit::parse(""), Err(UnitError::Empty));
    assert_eq!(Unit::parse(&"x".repeat(MAX_UNIT_BYTES + 1)), Err(UnitError::TooLong));
    assert!(Unit::parse(&"x".repeat(MAX_UNIT_BYTES)).is_ok());
}

// Scenario: a feed with a new unit in every record. Guarantees: G7; what was there before still works.
// In a process of its own, because the table it fills is the process's.
#[test]
fn the_table_of_units_is_bounded() {
    run_alone("unit::tests::fills_the_table_of_units");
}

#[test]
#[ignore = "fills the process's table; the_table_of_units_is_bounded runs it"]
fn fills_the_table_of_units() {
    let first = unit("unit 0");
    let accepted = (0..2 * MAX_UNITS).filter(|n| Unit::parse(&format!("unit {n}")).is_ok()).count();
    assert_eq!(accepted, MAX_UNITS);
    assert_eq!(Unit::parse("one more"), Err(UnitError::TooMany));
    assert_eq!(unit("unit 0"), first);
    assert_eq!(convert(1.0, "mi", "km"), Some(1.609_344));
}

/// Runs one ignored test of this binary in a process of its own.
pub(crate) fn run_alone(test: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--test-threads=1"])
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Whether `result` is a float nearest to `(value * numerator + addend) / denominator`, in whole numbers.
fn is_nearest(result: f64, value: i64, numerator: i128, addend: i128, denominator: i128) -> bool {
    let exact = i128::from(value) * numerator + addend;
    let distance = |float: f64| {
        // float * 2^40 is whole for every float of magnitude 2^12 or more; smaller ones are not asked for.
        let scaled = float * 2_f64.powi(40);
        assert_eq!(scaled, scaled.trunc());
        ((exact << 40) - scaled as i128 * denominator).abs()
    };
    distance(result) <= distance(result.next_up()) && distance(result) <= distance(result.next_down())
}

/// Texts that look like units: pieces of the grammar in any order, so that more than the first byte is read.
fn unit_like() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "kg",
        "m",
        "mol<180.1>",
        "mol",
        "<",
        ">",
        "(",
        ")",
        "/",
        "*",
        ".",
        "·",
        "^",
        "-",
        "2",
        "99",
        "degC",
        "%",
        "count",
        "min",
        "k",
        "T",
        "µ",
        "d",
        "1",
        " ",
    ]);
    prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    // Straight to the parser: interned, the texts would fill the table that the other tests of this process
    // use.
    #[test]
    fn any_text_is_read_without_panic(text in any::<String>()) {
        let _ = parser::parse(&text);
    }

    #[test]
    fn any_near_unit_is_read_without_panic(text in unit_like()) {
        if let Some(definition) = parser::parse(&text) {
            // None only for a factor out of range.
            let same = Conversion::between(&definition, &definition);
            prop_assert!(same.is_none_or(Conversion::is_identity), "{text}");
        }
    }

    #[test]
    fn there_and_back(value in -1e9_f64..1e9, pair in prop::sample::select(vec![
        ("mi", "km"), ("lb", "kg"), ("st", "oz"), ("degF", "degC"), ("degC", "K"), ("Cal", "kJ"), ("mmHg", "inHg"),
        ("count/min", "count/s"), ("mg/dL", "mmol<180.1558800000541>/L"), ("fl_oz_us", "cup_imp"), ("deg", "rad"),
    ])) {
        let there = convert(value, pair.0, pair.1).unwrap();
        let back = convert(there, pair.1, pair.0).unwrap();
        // Two roundings; a temperature near the other scale's zero loses what the offset is larger by.
        let tolerance = 2.0 * f64::EPSILON * (value.abs() + 1000.0);
        prop_assert!((back - value).abs() <= tolerance, "{value} {} is {there} {}, back {back}", pair.0, pair.1);
    }

    // Guarantees: G4; several roundings inside make one rounding in all.
    #[test]
    fn rounds_once(value in 1_i64 << 32..1 << 50) {
        let float = value as f64;
        prop_assert!(is_nearest(convert(float, "degF", "degC").unwrap(), value, 5, -160, 9));
        prop_assert!(is_nearest(convert(float, "degC", "degF").unwrap(), value, 9, 160, 5));
        prop_assert!(is_nearest(convert(float, "degC", "K").unwrap(), value, 20, 5463, 20));
        prop_assert!(is_nearest(convert(float, "count/min", "count/s").unwrap(), value, 1, 0, 60));
        prop_assert!(is_nearest(convert(float, "lb", "kg").unwrap(), value, 45_359_237, 0, 100_000_000));
        prop_assert!(is_nearest(convert(float, "mi", "km").unwrap(), value, 1_609_344, 0, 1_000_000));
        prop_assert!(is_nearest(convert(float, "kg", "lb").unwrap(), value, 100_000_000, 0, 45_359_237));
    }
}
