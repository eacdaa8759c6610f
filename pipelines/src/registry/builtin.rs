//! The components of this build, one row each.

use std::{collections::BTreeMap, sync::Arc};

use afferent_core::{BoxSource, Error, Problem, Record, Result};
use afferent_sinks::{blackhole, file, stdout};
use afferent_sources::healthkit::{self, HealthKit, HealthStore, StoreConfig, mock::MockStore};

use super::{Registry, Row, StageKind};
use crate::{
    definition::suggest,
    transforms::{
        Coarsen, Consent, Dedupe, Enrich, Filter, Join, Keep, Latest, MergeSources, Rate, Redact, Sample,
        Select, Set, Sort, Split, Statistics, Tag, Throttle, Units, Validate, Window,
    },
};

/// Stores of the host program, by name.
pub(super) type Stores = BTreeMap<String, Arc<dyn HealthStore>>;

/// Components that are Cargo features of this crate.
const FEATURES: &[(StageKind, &str, &str, bool)] = &[
    (StageKind::Source, "export", "export", cfg!(feature = "export")),
    (StageKind::Source, "file", "file", cfg!(feature = "file")),
    (StageKind::Source, "webhook", "webhook", cfg!(feature = "webhook")),
    (StageKind::Sink, "fhir", "http", cfg!(feature = "http")),
    (StageKind::Transform, "pseudonymise", "pseudonymise", cfg!(feature = "pseudonymise")),
    (StageKind::Sink, "http", "http", cfg!(feature = "http")),
    (StageKind::Sink, "sqlite", "sqlite", cfg!(feature = "sqlite")),
];

/// The feature that a component needs and this build lacks.
pub(crate) fn absent(kind: StageKind, type_name: &str) -> Option<&'static str> {
    let row = FEATURES.iter().find(|(of, name, ..)| *of == kind && *name == type_name);
    row.filter(|(.., built)| !built).map(|(_, _, feature, _)| *feature)
}

pub(super) fn registry() -> Registry {
    let mut registry = Registry::default();

    registry.source_row("healthkit", healthkit(Stores::new()));
    #[cfg(feature = "export")]
    registry.source("export", "an Apple Health export, as zip or XML", |config| {
        Ok(afferent_sources::export::Export::new(config))
    });

    #[cfg(feature = "file")]
    registry.source("file", "files of NDJSON or CSV, followed if wanted", |config| {
        Ok(afferent_sources::file::FileSource::new(config))
    });

    registry.source(
        "queue",
        "a queue on disk, which other pipelines fill with a sink of this type",
        |config| Ok(afferent_sources::queue::QueueSource::new(config)),
    );
    #[cfg(feature = "webhook")]
    {
        // One for all pipelines of a registry: they may share an address.
        let listeners = afferent_sources::webhook::Listeners::new();
        registry.source(
            "webhook",
            "an HTTP listener, which stores what is posted before it answers",
            move |config| Ok(afferent_sources::webhook::Webhook::new(config, listeners.clone())),
        );
    }

    registry.transform("select", "keeps records of the types that are named", |config| {
        build(Select::new(config))
    });
    registry.transform("filter", "keeps records that meet a condition", |config| build(Filter::new(config)));
    registry.transform("set", "writes fields, each from an expression", |config| build(Set::new(config)));
    registry.transform("units", "converts quantities to other units", |config| build(Units::new(config)));
    registry.transform(
        "validate",
        "looks whether records can be true, and tags, corrects or rejects those that can't",
        |config| build(Validate::new(&config)),
    );
    registry.transform("dedupe", "drops records that it has seen", |config| build(Dedupe::new(config)));
    registry.transform("sample", "keeps a fraction of the records", |config| build(Sample::new(config)));
    registry
        .transform("throttle", "keeps one record in a span of time", |config| build(Throttle::new(config)));

    registry
        .transform("redact", "removes the fields that are named", |config| build(Redact::removing(&config)));
    registry.transform("keep", "removes all optional fields but those that are named", |config| {
        build(Keep::new(&config))
    });
    registry.transform("coarsen", "makes times, places and values less exact", |config| {
        build(Coarsen::new(&config))
    });
    #[cfg(feature = "pseudonymise")]
    registry.transform(
        "pseudonymise",
        "replaces subjects by pseudonyms, and removes what names their things",
        |config| build(crate::transforms::Pseudonymise::new(config)),
    );
    registry.transform("consent", "keeps records that a table has a consent for", |config| {
        build(Consent::new(&config))
    });
    registry.transform("enrich", "writes what a table says of a record into its metadata", |config| {
        build(Enrich::new(&config))
    });
    registry.transform("split", "takes apart correlations and workouts", |config| build(Split::new(&config)));
    registry
        .transform("join", "tells workouts of the samples inside them", |config| build(Join::new(&config)));
    registry.transform("rate", "computes from the readings of a counter how fast it runs", |config| {
        build(Rate::new(&config))
    });
    registry.transform("tag", "writes metadata on records that meet a condition", |config| {
        build(Tag::new(&config))
    });
    registry.transform("sort", "gives records out in the order of event time", |config| {
        build(Sort::new(&config))
    });
    registry.transform("latest", "gives of each key the newest record, as one that changes", |config| {
        build(Latest::new(&config))
    });
    registry.transform("window", "computes results over spans of event time", |config| {
        build(Window::new(&config))
    });
    registry.transform(
        "statistics",
        "computes what HealthKit's statistics say of hours, days, weeks or months",
        |config| build(Statistics::new(&config)),
    );
    registry.transform(
        "merge_sources",
        "counts each moment once, though several sources measured it",
        |config| build(MergeSources::new(&config)),
    );

    registry.sink(
        "file",
        "NDJSON, CSV or another format, in one file, in rolled ones or in one per type",
        |config: file::Config| Ok(file::FileSink::new(config)),
    );
    #[cfg(feature = "sqlite")]
    registry.sink("sqlite", "rows of a SQLite database, one for each sample", |config| {
        Ok(afferent_sinks::sqlite::Sqlite::new(config))
    });
    #[cfg(feature = "http")]
    registry.sink(
        "http",
        "bodies of JSON, CSV or another format, by POST, exactly once at a receiver that honours keys",
        |config| Ok(afferent_sinks::http::HttpSink::http(config)),
    );
    #[cfg(feature = "http")]
    registry.sink(
        "fhir",
        "Observations to a FHIR R4 server, in Bundles, exactly once by conditions on identifiers",
        |config| Ok(afferent_sinks::fhir::FhirSink::fhir(config)),
    );
    registry.sink(
        "queue",
        "a queue on disk, which other pipelines read with a source of this type, exactly once",
        |config| Ok(afferent_sinks::queue::QueueSink::new(config)),
    );
    registry.sink("stdout", "standard output, as a table or in a format", |config: stdout::Config| {
        Ok(stdout::Stdout::new(config))
    });
    registry.sink("blackhole", "nowhere; it counts", |config: blackhole::Config| {
        Ok(blackhole::Blackhole::new(config))
    });
    registry
}

/// A transform, or all that is wrong with its configuration as one error.
fn build<X>(built: Result<X, Vec<Problem>>) -> Result<X> {
    built.map_err(|problems| {
        let messages = problems.into_iter().map(|problem| problem.message);
        Error::config(messages.collect::<Vec<_>>().join("; "))
    })
}

/// The row of the HealthKit source, which reads a mock or one of `stores`.
pub(super) fn healthkit(stores: Stores) -> Row<BoxSource<Record>> {
    let names: Vec<String> = stores.keys().cloned().collect();
    let check = move |config: &healthkit::Config| match &config.store {
        StoreConfig::Host(host) if !names.contains(&host.name) => vec![unknown_store(&host.name, &names)],
        _ => Vec::new(),
    };
    let make = move |config: healthkit::Config| -> Result<BoxSource<Record>> {
        let store: Arc<dyn HealthStore> = match &config.store {
            StoreConfig::Mock(mock) => Arc::new(MockStore::new(mock.clone())?),
            StoreConfig::Host(host) => stores
                .get(&host.name)
                .cloned()
                .ok_or_else(|| Error::config(format!("no store is registered as `{}`", host.name)))?,
        };
        Ok(Box::new(HealthKit::new(config, store)))
    };
    Row::new("changes of a HealthKit store: additions and deletions, from the anchor on", check, make)
}

fn unknown_store(name: &str, names: &[String]) -> Problem {
    let problem = Problem::new("store.name", "this program has registered no store of this name");
    match suggest::nearest(name, names.iter().map(String::as_str)) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None if names.is_empty() => {
            problem.help("it has registered none; `store = { type = \"mock\" }` is a mock")
        }
        None => problem.help(format!("stores: {}", names.join(", "))),
    }
}
