//! Tests of runs that were taken over.

use super::*;
use crate::Generation;

/// A sink that fails with errors of one kind, as stages do whose files somebody else has changed.
struct Failing(ErrorKind);

impl Sink for Failing {
    type Item = u64;

    async fn open(&mut self, _: crate::SinkCx) -> Result<crate::Opened> {
        Ok(crate::Opened::Resumed)
    }

    async fn write(&mut self, _: &mut Batch<u64>) -> Result<()> {
        Err(Error::new(self.0, "scripted"))
    }

    async fn prepare(&mut self, _: Epoch) -> Result<crate::Prepared> {
        Ok(crate::Prepared::default())
    }

    async fn commit(&mut self, _: Epoch, _: Option<&crate::Token>) -> Result<()> {
        Ok(())
    }
}

/// Scenario: a run fails and backs off, another claims the pipeline, the first tries again; it fails in a way that ends it; a
/// supervisor starts it again on the same claim. Guarantees: G10: it never takes the pipeline back, and ends as fenced; a new
/// claim does.
#[tokio::test(start_paused = true)]
async fn a_run_that_fails_takes_nothing_back() {
    for kind in [ErrorKind::Transient { retry_after: None }, ErrorKind::State, ErrorKind::Bug] {
        let (world, name) = (World::new(), Name::from("test"));
        let claim = Claim::default();
        assert_eq!((claim.generation(), claim.takes_over()), (None, false));
        let (mut cx, mut outside) = world.run();
        cx.claim = claim.clone();
        let script = Script::new((0..10_u64).collect());
        let newest = if kind.is_retryable() {
            let source = script.clone();
            let task = spawn(run(cx, move || stages(source.source(), Failing(kind))));
            for _ in 0..3 {
                outside.event(|event| matches!(event, EventKind::Retrying { .. })).await;
            }
            let before = claim.generation().unwrap();
            assert_eq!(before, Generation(3), "each life claims anew");
            let newest = world.store.claim(&name).await.unwrap();
            assert_eq!(task.await.unwrap().unwrap_err().kind(), ErrorKind::Fenced);
            newest
        } else {
            // While it makes its stages for the first time, somebody else claims.
            let (store, source) = (world.store.clone(), script.clone());
            let run = run(cx, move || {
                stages(source.source(), Claiming { store: store.clone(), sink: Failing(kind) })
            });
            assert_eq!(run.await.unwrap_err().kind(), ErrorKind::Fenced, "{kind:?}");
            Generation(2)
        };
        assert!(world.store.load(&name, newest).await.is_ok(), "{kind:?}: the newer claim stands");

        let (mut cx, _outside) = world.run();
        cx.claim = claim;
        let again = run(cx, || stages(script.source(), Recording::default().sink())).await;
        assert_eq!(again.unwrap_err().kind(), ErrorKind::Fenced);
        let (cx, _outside) = world.run();
        let outcome = run(cx, || stages(script.source(), Recording::default().sink())).await.unwrap();
        assert_eq!(outcome.end, End::Finished);
    }
}

/// Another run claims the pipeline before this sink writes.
struct Claiming {
    store: Arc<MemoryStore>,
    sink: Failing,
}

impl Sink for Claiming {
    type Item = u64;

    async fn open(&mut self, cx: crate::SinkCx) -> Result<crate::Opened> {
        self.sink.open(cx).await
    }

    async fn write(&mut self, batch: &mut Batch<u64>) -> Result<()> {
        self.store.claim(&Name::from("test")).await?;
        self.sink.write(batch).await
    }

    async fn prepare(&mut self, epoch: Epoch) -> Result<crate::Prepared> {
        self.sink.prepare(epoch).await
    }

    async fn commit(&mut self, epoch: Epoch, token: Option<&crate::Token>) -> Result<()> {
        self.sink.commit(epoch, token).await
    }
}
