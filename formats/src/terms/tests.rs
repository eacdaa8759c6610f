use afferent_core::{Kind, Unit};

use super::*;

fn code(kind: &str, unit: &str) -> Option<String> {
    let kind = (!kind.is_empty()).then(|| Kind::parse(kind).unwrap());
    ucum(kind, Unit::parse(unit).unwrap()).map(|ucum| ucum.code)
}

/// Scenario: the table beside the catalogue. Guarantees: it has a line for every type, in the same order; a quantity has a
/// code of UCUM, and nothing else has.
#[test]
fn every_type_has_a_line() {
    assert!(all().map(|term| term.kind).eq(Kind::all()));
    for term in all() {
        assert_eq!(of(term.kind).unwrap().kind, term.kind);
        assert_eq!(term.ucum.is_some(), term.kind.is_quantity(), "{}", term.kind);
        // A code of LOINC is digits and a check digit; a part (`LP…`) is no code.
        if let Some((code, display)) = term.loinc {
            let (number, check) = code.split_once('-').unwrap();
            assert!(number.bytes().all(|byte| byte.is_ascii_digit()) && check.len() == 1, "{code}");
            assert!(!display.is_empty(), "{code}");
        }
    }
    assert_eq!(all().filter(|term| term.loinc.is_some()).count(), 29);
    assert!(of(Kind::parse("com.example.mood").unwrap()).is_none());
}

/// Scenario: units of the catalogue, of exports and of dialects. Guarantees: G4, each has the code that means the same, or none.
#[test]
fn units_have_codes() {
    for (kind, unit, expected) in [
        ("HeartRate", "count/min", "/min"),
        ("HeartRate", "count/s", "/s"),
        ("StepCount", "count", "{count}"),
        ("BodyMassIndex", "count", "kg/m2"),
        ("EnvironmentalSoundReduction", "dBASPL", "dB{HL}"),
        ("EnvironmentalAudioExposure", "dBASPL", "dB[SPL]"),
        ("WorkoutEffortScore", "appleEffortScore", "{count}"),
        ("VO2Max", "ml/(kg*min)", "mL/(kg.min)"),
        ("VO2Max", "mL/min·kg", "mL/(min.kg)"),
        ("PhysicalEffort", "kcal/(kg*hr)", "kcal/(kg.h)"),
        ("BloodGlucose", "mmol<180.1558800000541>/L", "mmol/L"),
        ("", "mcg", "ug"),
        ("", "fl_oz_us", "[foz_us]"),
        ("", "kg.m^-1", "kg.m-1"),
        ("", "count", "{count}"),
        ("", "kcal/count", "kcal/{count}"),
        ("", "hPa", "hPa"),
        ("", "min", "min"),
    ] {
        assert_eq!(code(kind, unit).as_deref(), Some(expected), "{kind} {unit}");
    }
    for unit in ["cup_imp", "%/min", "degC/min", "steps", "(m/s)^2", "mm/"] {
        assert_eq!(code("", unit), None, "{unit}");
    }
    assert!(ucum(None, Unit::parse("%").unwrap()).unwrap().percent);
}

/// Scenario: the unit of each type of the catalogue. Guarantees: every one has a code.
#[test]
fn every_unit_of_the_catalogue_has_a_code() {
    for kind in Kind::all() {
        let Some(unit) = kind.info().unwrap().unit else { continue };
        assert!(ucum(Some(kind), unit).is_some(), "{kind}: {unit}");
    }
}
