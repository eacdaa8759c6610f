//! Records of every type and every form of value, and what a pipeline makes of them.

use std::{fmt::Write, path::PathBuf};

use afferent::afferent_core::{
    Kind,
    kind::{KindClass, category},
};
use afferent_tests::Place;

/// Of these the mock store has samples, and a format may have no form for them.
pub(crate) const WITHOUT_FORM: &[KindClass] =
    &[KindClass::HeartbeatSeries, KindClass::Route, KindClass::Clinical, KindClass::Document];

/// The types that have samples, but for `without`.
pub(crate) fn kinds(without: &[KindClass]) -> Vec<Kind> {
    let is_sampled = |kind: &Kind| {
        kind.class().is_some_and(|class| class != KindClass::Characteristic && !without.contains(&class))
    };
    Kind::all().filter(is_sampled).collect()
}

/// Writes what a mock store has of `kinds` in some weeks in `format`; nothing of it is dead.
pub(crate) fn mocked(place: &Place, kinds: &[Kind], format: &str) -> PathBuf {
    let types: Vec<String> = kinds.iter().map(|kind| format!("\"{}\"", kind.name())).collect();
    let file = format!(
        "name = \"mocked\"\n[[source]]\ntype = \"healthkit\"\ntypes = [{}]\n\
         store = {{ type = \"mock\", seed = 11, days = 60, density = 0.1, deletions = 0, edits = 0, replacements = 0 }}\n\
         [[sink]]\ntype = \"file\"\npath = \"mocked.out\"\nformat = \"{format}\"\n",
        types.join(", ")
    );
    place.write("mocked.toml", file);
    place.run(&["run", "mocked.toml", "--until-idle"]).exits(0);
    place.path().join("mocked.out")
}

/// Writes a record for each type of quantity in each of several units, and for each value of each type of category, in
/// `format`; nothing of it is dead.
pub(crate) fn drawn_up(place: &Place, format: &str) -> PathBuf {
    let mut lines = String::new();
    let mut number = 0_u64;
    let mut line = |kind: Kind, value: &str| {
        number += 1;
        // Every seventh is an instant, every fifth has no zone.
        let end = if number.is_multiple_of(7) { "08:00:00" } else { "08:30:00.25" };
        let zone = if number.is_multiple_of(5) { "" } else { ",\"zone\":\"Asia/Kathmandu\"" };
        writeln!(
            lines,
            "{{\"id\":\"00000000-0000-4000-8000-{number:012}\",\"type\":\"{}\",\"start\":\"2025-03-01T08:00:00Z\",\
             \"end\":\"2025-03-01T{end}Z\",{value},\"subject\":\"ada lovelace\"{zone},\
             \"source\":{{\"name\":\"Ada\u{2019}s Apple\u{a0}Watch\",\"bundle\":\"com.apple.health\",\"os\":\"26.1\"}},\
             \"device\":{{\"name\":\"Apple\u{a0}Watch\",\"manufacturer\":\"Apple Inc.\"}},\
             \"metadata\":{{\"HKWasUserEntered\":true,\"Meal / Ort\":\"\",\"n\":0.1,\"at\":{{\"date\":\"2025-03-01T08:00:00Z\"}},\"q\":{{\"value\":0.5,\"unit\":\"%\"}}}}}}",
            kind.name()
        )
        .expect("a text takes all");
    };
    for kind in Kind::all() {
        let info = kind.info().expect("it is in the catalogue");
        if let Some(unit) = info.unit {
            for unit in
                [unit.as_str(), "count", "%", "lb", "count/s", "degF", "cup_imp", "furlongs, \"fast\""]
            {
                let unit = unit.replace('"', "\\\"");
                for number in ["0.97", "1e-9", "123456789.25", "0"] {
                    line(kind, &format!("\"value\":{number},\"unit\":\"{unit}\""));
                }
            }
        }
        if let Some(values) = info.value_enum {
            let known = (-1..40).filter(|raw| category::constant_of(values, *raw).is_some());
            for raw in known.chain([-7, 999]) {
                line(kind, &format!("\"value\":{raw}"));
            }
        }
    }
    place.write("drawn-up.ndjson", lines);
    place.write(
        "drawn-up.toml",
        format!(
            "name = \"drawn-up\"\n[[source]]\ntype = \"file\"\npath = \"drawn-up.ndjson\"\nstrict = true\n\
             [[sink]]\ntype = \"file\"\npath = \"drawn-up.out\"\nformat = \"{format}\"\n"
        ),
    );
    place.run(&["run", "drawn-up.toml"]).exits(0);
    place.path().join("drawn-up.out")
}
