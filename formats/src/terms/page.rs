//! `docs/formats/types.md`: every type, generated from the catalogue and from `data/terms.tsv`.

use std::fmt::Write;

use afferent_core::{
    Kind,
    kind::{Aggregation, KindClass},
};

use super::of;

const HEAD: &str = "# Every type, and what other standards call it

This page is generated from the catalogue of HealthKit's types and from `formats/data/terms.tsv`, which names the source of
each column and what was corrected. Types are written without `HKQuantityTypeIdentifier` and so on, as pipeline files take
them.

- *unit*: HealthKit's own. Records keep the unit that they come with; nothing is converted unless a file says so.
- *adds up*: how values combine over time: by their sum, their mean (weighted by duration where it says so), or the level of a
  constant sound.
- *UCUM*: the code that is written for the catalogue's unit, and the usual one in FHIR where that is another.
- *FHIR*: what carries the value in an [Observation](fhir.md).
- *Open mHealth*: the schema of its [data points](open-mhealth.md).
- *Health Connect*: the record that means the same there; in italics where no tool that we know joins the two.

LOINC is copyright Regenstrief Institute and available at no cost under its licence (loinc.org/license).

| type | unit | adds up | LOINC | UCUM | FHIR | Open mHealth | Health Connect |
|---|---|---|---|---|---|---|---|
";

fn adds_up(aggregation: Option<Aggregation>) -> &'static str {
    match aggregation {
        Some(Aggregation::Cumulative) => "sum",
        Some(Aggregation::DiscreteArithmetic) => "mean",
        Some(Aggregation::DiscreteTemporallyWeighted) => "mean, weighted",
        Some(Aggregation::DiscreteEquivalentContinuousLevel) => "level",
        _ => "",
    }
}

/// What carries values of `kind` in an Observation.
fn in_fhir(kind: Kind) -> &'static str {
    match kind.class() {
        Some(KindClass::Quantity) => "`valueQuantity`",
        Some(KindClass::Category) => "`valueCodeableConcept`",
        Some(KindClass::Workout) => "`valueCodeableConcept`, components",
        Some(KindClass::Electrocardiogram) => "components, `SampledData`",
        Some(KindClass::Correlation | KindClass::ActivitySummary) => "components",
        Some(KindClass::HeartbeatSeries | KindClass::Route | KindClass::Clinical | KindClass::Document) => {
            "refused"
        }
        Some(KindClass::Characteristic) => "no samples",
        _ => "`valueString`",
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for kind in Kind::all() {
        let info = kind.info().expect("it is in the catalogue");
        let term = of(kind).expect("the table has every type");
        let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
        let written = info.unit.and_then(|unit| super::ucum(Some(kind), unit)).map(|ucum| ucum.code);
        let ucum = match (written, term.ucum) {
            (Some(written), Some(usual)) if written != usual => format!("`{written}`, `{usual}`"),
            (Some(written), _) => code(&written),
            (None, _) => String::new(),
        };
        let omh = match info.class {
            KindClass::Quantity | KindClass::Category | KindClass::Correlation | KindClass::Workout => {
                let schema = term.omh.expect("what has a data point has a schema");
                format!("`{}:{}:{}`", schema.namespace, schema.name, schema.version)
            }
            KindClass::Characteristic => String::new(),
            _ => "refused".to_owned(),
        };
        let health_connect = match term.health_connect {
            Some((record, true)) => code(record),
            Some((record, false)) => format!("*{record}*"),
            None => String::new(),
        };
        writeln!(
            page,
            "| `{}` | {} | {} | {} | {ucum} | {} | {} | {health_connect} |",
            info.short,
            code(info.unit.map_or("", |unit| unit.as_str())),
            adds_up(info.aggregation),
            term.loinc.map_or("", |(code, _)| code),
            in_fhir(kind),
            omh,
        )
        .expect("a string takes all");
    }
    page
}

/// Scenario: the page in `docs/`. Guarantees: it has every type of the catalogue, and what is written of it.
#[test]
#[allow(clippy::disallowed_methods, reason = "writes the page when asked to")]
fn the_page_of_types_is_true() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/formats/types.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, page()).expect("the page can be written");
    }
    let found = std::fs::read_to_string(path).expect("the page is there");
    assert!(found == page(), "docs/formats/types.md is stale; run this test with UPDATE_DOCS=1");
}
