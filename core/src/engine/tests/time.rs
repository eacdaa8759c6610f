//! Tests of what transforms are told of time.

use std::sync::Mutex;

use super::*;
use crate::Timestamp;

/// Takes down what it is asked.
struct Noted(Arc<Mutex<Vec<&'static str>>>);

impl Transform for Noted {
    type In = u64;
    type Out = u64;

    fn apply(&mut self, input: &mut Batch<u64>, out: &mut Emit<u64>) -> Result<()> {
        self.0.lock().unwrap().push("apply");
        out.take(input);
        Ok(())
    }

    fn tick(&mut self, _: Timestamp, _: &mut Emit<u64>) -> Result<()> {
        self.0.lock().unwrap().push("tick");
        Ok(())
    }
}

/// Scenario: an epoch for each batch. Guarantees: a transform is told the time before the first record of an epoch and after its
/// last, so what it knows of it is never older than the epoch, however long the pipeline was idle.
#[tokio::test(start_paused = true)]
async fn time_is_told_as_an_epoch_opens_and_closes() {
    let (mut world, recording) = (World::new(), Recording::default());
    world.settings.records = 1;
    let script = Script::new((0..500_u64).collect());
    let noted = Arc::new(Mutex::new(Vec::new()));
    let (cx, _outside) = world.run();
    let make = || {
        let noted = Named::new("noted", Noted(noted.clone()));
        Ok(Stages::line(("source", script.source()), noted, ("sink", recording.sink())))
    };
    run(cx, make).await.unwrap();
    let noted = noted.lock().unwrap();
    let batches: Vec<usize> = (0..noted.len()).filter(|index| noted[*index] == "apply").collect();
    assert!(batches.len() > 3, "{noted:?}");
    for index in batches {
        assert_eq!((noted[index - 1], noted[index + 1]), ("tick", "tick"), "{noted:?}");
    }
}
