//! The transforms that have no test of this kind of their own, under the contract of results: whatever the batches, whenever time
//! passes, and wherever they die and begin again from their last checkpoint.

use afferent_core::{BoxTransform, Record, testing::results_contract, testing::shown};
use serde::de::DeserializeOwned;

use super::{testing::history, *};

type Make = fn() -> BoxTransform<Record>;

fn config<C: DeserializeOwned>(text: &str) -> C {
    toml::from_str(text).expect("a configuration")
}

/// Each transform, with keys that make it do all that it does.
const TRANSFORMS: &[(&str, Make)] = &[
    ("select", || Box::new(Select::new(config("types = [\"HeartRate\", \"BloodPressure\"]")).unwrap())),
    ("filter", || Box::new(Filter::new(config("when = \"value > 50.0 || subject == 'a'\"")).unwrap())),
    ("set", || {
        let to = "to = { subject = \"'x-' + subject\", \"metadata.zone\" = \"zone\", value = \"100.0 / (value - 50.0)\" }";
        Box::new(Set::new(config(to)).unwrap())
    }),
    ("units", || {
        Box::new(Units::new(config("to = { HeartRate = \"count/s\", BodyMass = \"lb\" }")).unwrap())
    }),
    ("dedupe", || Box::new(Dedupe::new(config("capacity = 40")).unwrap())),
    ("sample", || Box::new(Sample::new(config("fraction = 0.4")).unwrap())),
    ("throttle", || Box::new(Throttle::new(config("every = \"7s\"\ncapacity = 30")).unwrap())),
    ("tag", || {
        Box::new(Tag::new(&config("when = \"value > 40.0\"\ntags = { note = 1, b = \"c\" }")).unwrap())
    }),
    ("redact", || {
        let fields = "fields = [\"subject\", \"source.name\", \"device\", \"metadata.note\"]";
        Box::new(Redact::removing(&config(fields)).unwrap())
    }),
    ("keep", || {
        Box::new(Keep::new(&config("fields = [\"zone\", \"device.model\", \"metadata.note\"]")).unwrap())
    }),
    ("coarsen", || Box::new(Coarsen::new(&config("time = \"1min\"\nbins = { HeartRate = 10 }")).unwrap())),
    #[cfg(feature = "pseudonymise")]
    ("pseudonymise", || {
        let key = "key = \"0123456789abcdef\"\nkey_id = \"k\"";
        Box::new(Pseudonymise::new(config(key)).unwrap())
    }),
    ("sort", || Box::new(Sort::new(&config("lateness = \"1min\"\nmax_records = 50")).unwrap())),
    ("latest", || Box::new(Latest::new(&config("on = \"record\"")).unwrap())),
    ("rate", || {
        let keys = "types = [\"StepCount\"]\nto = \"com.example.rate\"\nmax_samples = 60";
        Box::new(Rate::new(&config(keys)).unwrap())
    }),
    ("split", || Box::new(Split::new(&config("capacity = 20")).unwrap())),
];

/// Scenario: what a feed gives, in random batches and epochs; the process dies at random, and begins again from its last checkpoint.
/// Guarantees: G1, G2, G3; a store shows what it shows without any of that, and no version of a record has two contents.
#[test]
fn deaths_and_batches_change_nothing() {
    for (name, make) in TRANSFORMS {
        for seed in 0..4 {
            let input = history(120, seed);
            let output = results_contract(*make, &input, 0..15);
            assert!(!output.is_empty(), "{name}");
            // The feed is one: without a transform it is shown, too.
            assert!(shown(&input).len() > 60);
        }
    }
}
