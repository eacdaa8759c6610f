//! [`Shape`]: a pipeline drawn from a number, and [`Model`]: what it gives when nothing disturbs it.

use std::{path::Path, sync::OnceLock, time::Duration};

use afferent::{
    Definition, PipelineSpec, Registry,
    sinks::upload::{BatchLimits, Compression, Framing, Rate, Settings, Upload},
};
use afferent_core::{
    config::{Configure, Span},
    ledger::Ledger,
    random::Random,
    testing::Op,
};
use serde::Deserialize;

use super::{Life, Receiver, Script, World, receiver::Wire};
use crate::given::Given;

/// Pipelines that simulations choose from: enough to differ in everything that can, few enough that each is run undisturbed
/// only once.
pub const MODELS: u64 = 16;
/// The file that each of them writes.
pub const OUTPUT: &str = "/out/records.ndjson";
/// Records in the life of a pipeline: about as many.
const DENSITY: f64 = 0.12;

/// A pipeline, drawn from a number: mock HealthKit → filter, dedupe → a file and an upload.
#[derive(Clone, Debug)]
pub struct Shape {
    number: u64,
    epoch: u64,
    pull: usize,
    users: u64,
    filter: bool,
    upload: Settings,
    poison: f64,
}

/// The simulated upload has no keys of its own: its settings are the shape's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoKeys {}

impl Configure for NoKeys {}

impl Shape {
    fn draw(number: u64) -> Shape {
        let mut random = Random::from_seed(number);
        let upload = Settings {
            framing: [Framing::Array, Framing::Lines][random.below(2) as usize],
            compression: [Compression::None, Compression::Gzip][random.below(2) as usize],
            batch: BatchLimits { records: 3 + random.below(12) as usize, ..BatchLimits::default() },
            lanes: 1 + random.below(4) as u16,
            // So that clocks have something to jump over.
            rate: (number % 4 == 1).then_some(Rate { requests: 4, per: Span(Duration::from_secs(1)) }),
            dedupe_window: (number % 2 == 1).then_some(Duration::from_secs(24 * 3600)),
            ..Settings::default()
        };
        Shape {
            number,
            epoch: 15 + random.below(40),
            pull: 5 + random.below(20) as usize,
            users: 1 + random.below(3),
            filter: random.chance(0.5),
            upload,
            poison: if random.chance(0.5) { 0.02 } else { 0.0 },
        }
    }

    /// The pipeline, which uploads to `receiver`.
    pub(super) fn spec(&self, receiver: &Receiver) -> PipelineSpec {
        let mut registry = Registry::builtin();
        let (settings, to) = (self.upload.clone(), receiver.clone());
        registry.sink("simulated", "to a receiver in memory", move |_: NoKeys| {
            Ok(Upload::new(settings.clone(), Wire(to.clone())))
        });
        let filter = match self.filter {
            true => "[[transform]]\ntype = \"filter\"\nwhen = \"type != 'HeartRate' || value > 55.0\"\n",
            false => "",
        };
        let text = format!(
            "name = \"simulated\"\n[checkpoint]\nrecords = {}\n\
             [[source]]\ntype = \"healthkit\"\nexpect = {{ HeartRate = \"6h\" }}\n\
             store = {{ type = \"mock\", seed = {}, days = 1, users = {}, density = {DENSITY}, edits = 0.05, deletions = 0.05 }}\n\
             types = [\"HeartRate\", \"StepCount\", \"BodyMass\"]\n\
             {filter}[[transform]]\ntype = \"dedupe\"\n\
             [[sink]]\ntype = \"file\"\npath = \"{OUTPUT}\"\n\
             [[sink]]\ntype = \"simulated\"\n",
            self.epoch, self.number, self.users,
        );
        let definition = Definition::parse(&text, Path::new("/simulated.toml"), &registry, &|_| None)
            .unwrap_or_else(|report| panic!("the simulated pipeline is valid: {report:?}"));
        let mut spec = definition.spec().expect("what is valid can be made");
        spec.settings.limits.records = self.pull;
        spec.settings.until_idle = true;
        spec
    }
}

/// What a pipeline gives when nothing disturbs it.
#[derive(Debug)]
pub struct Model {
    /// The pipeline.
    pub shape: Shape,
    /// What the receiver must have.
    pub given: Given,
    /// What must be in the file.
    pub file: Vec<u8>,
    /// The accounts in the end.
    pub ledger: Ledger,
    /// Operations on the disk.
    pub operations: u64,
    /// Syncs among them.
    pub syncs: u64,
    /// How long it takes, by its own clock, with a receiver that answers after [`LATENCY`].
    pub takes: Duration,
    /// Bodies that were sent.
    pub requests: u64,
}

/// How long a well-behaved receiver takes to answer.
pub const LATENCY: Duration = Duration::from_millis(100);

/// The model of a pipeline, by its number modulo [`MODELS`].
pub fn model(number: u64) -> &'static Model {
    static ALL: [OnceLock<Model>; MODELS as usize] = [const { OnceLock::new() }; MODELS as usize];
    let number = number % MODELS;
    ALL[number as usize].get_or_init(|| Model::run(number))
}

impl Model {
    /// Runs the pipeline twice: to know what it gives, and then, when some of that is refused, what becomes of the rest.
    fn run(number: u64) -> Model {
        let shape = Shape::draw(number);
        let nothing = Given { records: Vec::new(), poison: Default::default() };
        let blank = Model {
            shape,
            given: nothing,
            file: Vec::new(),
            ledger: Ledger::default(),
            operations: 0,
            syncs: 0,
            takes: Duration::ZERO,
            requests: 0,
        };
        let first = blank.undisturbed();
        let mut random = Random::from_seed(number);
        let untouched = first.given.untouched();
        let poison = untouched.into_iter().filter(|_| random.chance(first.shape.poison)).collect();
        let records = first.given.records.clone();
        Model { given: Given { records, poison }, ..first }.undisturbed()
    }

    fn undisturbed(self) -> Model {
        // A handful for the whole process.
        let model: &'static Model = Box::leak(Box::new(self));
        let script = Script { latency: LATENCY, ..Script::default() };
        let mut world = World::of(model, script, model.shape.number);
        let outcome = match world.live() {
            Life::Finished(outcome) => outcome,
            life => panic!("an undisturbed pipeline comes to its end, not {life:?}"),
        };
        let file = world.disk.content(Path::new(OUTPUT)).expect("it writes its file");
        let records = file.split_inclusive(|byte| *byte == b'\n').map(serde_json::from_slice).collect();
        let records = Result::expect(records, "lines of JSON");
        Model {
            shape: model.shape.clone(),
            given: Given { records, poison: model.given.poison.clone() },
            file,
            ledger: outcome.ledger,
            operations: world.disk.operations(None),
            syncs: world.disk.operations(Some(Op::Sync)),
            takes: world.passed,
            requests: world.receiver.seen().requests,
        }
    }
}
