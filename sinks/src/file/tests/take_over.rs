//! An older generation was stopped while it had the files open, and a newer one takes them over.

use afferent_core::disk::DiskFile;

use super::*;

async fn take_over(around: &mut Surroundings, config: &Config, token: &Token) -> FileSink {
    around.take_over = true;
    let mut new = FileSink::new(config.clone());
    let opened = new.open(around.sink(Some(token.clone()), 2)).await.unwrap();
    assert_eq!(opened, Opened::Elsewhere, "its files are others");
    new
}

/// The files as the older generation has them open, of which the first is `first`: of rolled ones, those before are closed.
fn handles(around: &Surroundings, first: &str) -> Vec<Arc<dyn DiskFile>> {
    files(around)
        .keys()
        .filter(|name| name.as_str() >= first)
        .map(|name| around.disk.open(&around.path().join("out").join(name), OpenMode::Write).unwrap())
        .collect()
}

/// Scenario: a newer generation opens while the older one has the files open, once without and once with leave to take over;
/// then what the older one had begun to write or cut comes, and what it does next. Guarantees: G1, G2, G10: without leave the
/// newer one waits; with it, it goes on where the checkpoint is, and nothing of the older one is seen, before or after.
#[tokio::test]
async fn what_was_under_way_is_not_seen() {
    for shape in [Shape::One, Shape::Rolled(900), Shape::PerType] {
        let mut around = Surroundings::new();
        let config = shaped(&around, Format::Json, shape);
        let (mut old, _) = open(&around, &config, None).await;
        old.write(&mut batch(0..20)).await.unwrap();
        let token = prepare(&mut old).await;
        let first = match shape {
            Shape::Rolled(_) => files(&around).into_keys().next_back().unwrap(),
            Shape::One | Shape::PerType => String::new(),
        };
        old.write(&mut batch(20..27)).await.unwrap();
        prepare(&mut old).await;
        let waits = FileSink::new(config.clone()).open(around.sink(Some(token.clone()), 2)).await;
        assert!(waits.unwrap_err().kind().is_retryable());

        let begun = handles(&around, &first);
        let mut new = take_over(&mut around, &config, &token).await;
        let token = prepare(&mut new).await;
        assert_eq!(shown(&around, Format::Json, shape), (0..20).collect::<Vec<_>>(), "{shape:?}");
        new.write(&mut batch(20..24)).await.unwrap();
        let later = prepare(&mut new).await;
        for file in &begun {
            let len = file.info().unwrap().len;
            file.write_at(len, &[b'x'; 4000]).unwrap();
            file.set_len(len / 2).unwrap();
        }
        assert_eq!(shown(&around, Format::Json, shape), (0..24).collect::<Vec<_>>(), "{shape:?}");
        old.write(&mut batch(27..40)).await.unwrap();
        assert_eq!(old.prepare(Epoch(3)).await.unwrap_err().kind(), ErrorKind::Fenced, "{shape:?}");
        crash(&around, old).await;
        new.write(&mut batch(24..30)).await.unwrap();
        crash(&around, new).await;
        assert_eq!(shown(&around, Format::Json, shape).len(), 30, "{shape:?}");

        // The newer one died in its turn, and resumes from its own tokens, also from the first.
        around.take_over = false;
        for (token, count) in [(later, 24), (token, 20)] {
            let mut again = FileSink::new(config.clone());
            let opened = again.open(around.sink(Some(token), 2)).await.unwrap();
            assert_eq!(opened, Opened::Resumed, "{shape:?}");
            assert_eq!(shown(&around, Format::Json, shape), (0..count).collect::<Vec<_>>(), "{shape:?}");
            crash(&around, again).await;
        }
        assert!(around.events.try_recv().is_err(), "{shape:?}: nothing was amiss");
    }
}

/// Scenario: the newer one fails or dies after it has copied the files and before a checkpoint knows of it; the next try takes
/// over, too, or finds the older one gone. Guarantees: G1, G2, G5: it goes on at the same place, without an alarm where it knows
/// that it is a copy.
#[tokio::test]
async fn a_copy_that_no_checkpoint_knows_is_as_good() {
    let shapes = [Shape::One, Shape::Rolled(900), Shape::PerType];
    for (shape, ended) in shapes.into_iter().flat_map(|shape| [(shape, false), (shape, true)]) {
        let mut around = Surroundings::new();
        let config = shaped(&around, Format::Json, shape);
        let (mut old, _) = open(&around, &config, None).await;
        old.write(&mut batch(0..20)).await.unwrap();
        let token = prepare(&mut old).await;
        old.write(&mut batch(20..27)).await.unwrap();
        prepare(&mut old).await;
        let new = take_over(&mut around, &config, &token).await;
        crash(&around, new).await;
        if ended {
            drop(old.write(&mut batch(27..28)).await);
            drop(old);
            around.blocking.idle().await;
        }
        let mut newest = FileSink::new(config.clone());
        assert_eq!(newest.open(around.sink(Some(token), 3)).await.unwrap(), Opened::Elsewhere);
        prepare(&mut newest).await;
        newest.write(&mut batch(20..30)).await.unwrap();
        prepare(&mut newest).await;
        assert_eq!(shown(&around, Format::Json, shape), (0..30).collect::<Vec<_>>(), "{shape:?}");
        assert!(around.events.try_recv().is_err(), "{shape:?}, ended: {ended}: nothing is amiss");
        crash(&around, newest).await;
    }
}

/// Scenario: the lock is another pipeline's. Guarantees: it is not taken over, and nothing changes.
#[tokio::test]
async fn another_pipeline_is_not_taken_over() {
    let mut around = Surroundings::new();
    let config = shaped(&around, Format::Json, Shape::One);
    let mut cx = around.sink(None, 1);
    cx.fence.pipeline = "other".into();
    let mut other = FileSink::new(config.clone());
    other.open(cx).await.unwrap();
    other.write(&mut batch(0..3)).await.unwrap();
    prepare(&mut other).await;
    around.take_over = true;
    let error = FileSink::new(config).open(around.sink(None, 1)).await.unwrap_err();
    assert!(error.kind().is_retryable() && error.message().contains("another sink writes to"), "{error}");
    other.write(&mut batch(3..4)).await.unwrap();
    prepare(&mut other).await;
    assert_eq!(numbers(&around, Format::Json), [0, 1, 2, 3]);
    crash(&around, other).await;
}
