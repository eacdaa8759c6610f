//! Contract suites: one function per trait, that every implementation runs in its own tests.
//!
//! They check what the engine relies on and a test of one stage can see: resuming, rolling back, repeating,
//! accounting. Each panics with what was expected and what was found; values are printed, so use made-up data.

use std::fmt::Debug;

use super::Surroundings;
use crate::{
    Batch, Emit, Epoch, ErrorKind, Opened, Position, Pulled, Sink, Source, StateRows, Timestamp, Token,
    Transform,
    random::Random,
    stage::{Named, StageState, Transforms},
};

/// Pulls until the source ends or is drained; what each pull gave, with its position.
///
/// # Panics
/// If the source fails in a way that does not heal.
pub async fn pull_all<S: Source>(source: &mut S) -> Vec<(Vec<S::Item>, usize, Position)> {
    let mut pulls = Vec::new();
    loop {
        match source.next().await {
            Ok(Some(pulled)) => {
                let end = pulled.is_drained();
                let Pulled { batch, rejects, position, .. } = pulled;
                pulls.push((batch.into_vec(), rejects.len(), position));
                if end {
                    return pulls;
                }
            }
            Ok(None) => return pulls,
            Err(error) if matches!(error.kind(), ErrorKind::Waiting | ErrorKind::Transient { .. }) => {}
            Err(error) => panic!("the source failed: {error}"),
        }
    }
}

/// Every source: read to its end or until it is drained, it gives the same when it is stopped after any of its
/// pulls and a new one resumes from there (G1, G2, G3); a pull keeps its limits.
///
/// `make` gives a new source over the same input. At most `stops` stops are tried, evenly spread. Returns all
/// that was given, for the caller to compare with what it expects.
///
/// # Panics
/// If the contract does not hold.
pub async fn source_contract<S>(
    mut make: impl FnMut() -> S,
    surroundings: &Surroundings,
    stops: usize,
) -> Vec<S::Item>
where
    S: Source,
    S::Item: Clone + PartialEq + Debug,
{
    let mut source = make();
    source.open(surroundings.source(None)).await.expect("opens");
    let undisturbed = pull_all(&mut source).await;
    drop(source);
    surroundings.blocking.idle().await;
    for (batch, ..) in &undisturbed {
        assert!(
            batch.len() <= surroundings.limits.records,
            "a pull of {} records is over the limit",
            batch.len()
        );
    }
    let flat = |pulls: &[(Vec<S::Item>, usize, Position)]| -> (Vec<S::Item>, usize) {
        (
            pulls.iter().flat_map(|(batch, ..)| batch.clone()).collect(),
            pulls.iter().map(|(_, rejects, _)| rejects).sum(),
        )
    };
    let (all, rejects) = flat(&undisturbed);
    let step = undisturbed.len().div_ceil(stops.max(1)).max(1);
    for stop in (0..undisturbed.len()).step_by(step) {
        let (before, rejected) = flat(&undisturbed[..=stop]);
        let mut source = make();
        source.open(surroundings.source(Some(undisturbed[stop].2.clone()))).await.expect("opens again");
        let (after, rejected_after) = flat(&pull_all(&mut source).await);
        drop(source);
        surroundings.blocking.idle().await;
        assert_eq!(before.len() + after.len(), all.len(), "stopped after pull {stop}");
        assert!(
            before.iter().chain(&after).eq(&all),
            "stopped after pull {stop}: other records or another order"
        );
        assert_eq!(rejected + rejected_after, rejects, "stopped after pull {stop}: rejects");
    }
    all
}

/// Every sink: it can be killed at any call, opened again with the token of the last saved checkpoint, and in the
/// end shows each record once, in order (G2, G3). Nothing is visible before the first saved checkpoint, unless it
/// was there before. `commit` may be repeated.
///
/// `make` gives a new sink over the same place, `show` what the place shows, `records` are given in order and are
/// all new to the place. `seed` decides where it is killed. What is shown is compared after each commit, where a sink
/// that is idempotent by identity may be ahead, and exactly at the end.
///
/// # Panics
/// If the contract does not hold.
pub async fn sink_contract<K, V>(
    mut make: impl FnMut() -> K,
    mut show: impl FnMut() -> Vec<V>,
    surroundings: &Surroundings,
    records: &[(K::Item, V)],
    seed: u64,
) where
    K: Sink,
    K::Item: Clone,
    V: PartialEq + Debug + Clone,
{
    let mut random = Random::from_seed(seed);
    let there_before = show().len();
    let mut saved: Option<(Epoch, Option<Token>, usize)> = None;
    let mut generation = 0;
    loop {
        generation += 1;
        let token = saved.as_ref().and_then(|(_, token, _)| token.clone());
        let mut sink = make();
        let opened = sink.open(surroundings.sink(token, generation)).await.expect("opens");
        match &saved {
            None => {
                assert_eq!(show().len(), there_before, "seed {seed}: visible before the first checkpoint");
                let prepared = sink.prepare(Epoch(0)).await.expect("prepares epoch 0");
                if random.chance(0.3) {
                    // Dies before the save.
                    drop(sink);
                    surroundings.blocking.idle().await;
                    continue;
                }
                sink.commit(Epoch(0), prepared.token.as_ref()).await.expect("commits epoch 0");
                saved = Some((Epoch(0), prepared.token, 0));
            }
            Some((epoch, token, _)) => {
                assert_eq!(opened, Opened::Resumed, "seed {seed}: the place is where the token says");
                for _ in 0..=random.below(2) {
                    sink.commit(*epoch, token.as_ref()).await.expect("commits again");
                }
            }
        }
        let (mut epoch, mut done) =
            saved.as_ref().map(|(epoch, _, done)| (*epoch, *done)).expect("saved above");
        let dies_in = random.below(12);
        let mut step = 0;
        let died = loop {
            let mut written = done;
            for _ in 0..random.below(4) {
                let count = (random.below(40) as usize).min(records.len() - written);
                let mut batch: Batch<K::Item> =
                    records[written..written + count].iter().map(|(record, _)| record.clone()).collect();
                sink.write(&mut batch).await.expect("writes");
                assert!(batch.is_empty(), "`write` empties the batch");
                written += count;
            }
            step += 1;
            if step > dies_in {
                break true;
            }
            epoch = epoch.next();
            let prepared = sink.prepare(epoch).await.expect("prepares");
            assert!(
                prepared.rejects.is_empty() && prepared.superseded.total() == 0,
                "seed {seed}: all records are good and new"
            );
            step += 1;
            if step > dies_in {
                break true;
            }
            saved = Some((epoch, prepared.token, written));
            done = written;
            step += 1;
            if step > dies_in {
                break true;
            }
            let token = saved.as_ref().and_then(|(_, token, _)| token.clone());
            sink.commit(epoch, token.as_ref()).await.expect("commits");
            let shown = show().split_off(there_before);
            let expected: Vec<V> = records[..done].iter().map(|(_, value)| value.clone()).collect();
            if done == records.len() {
                assert_eq!(shown, expected, "seed {seed}: at the end");
                break false;
            }
            // What is idempotent by identity may be ahead of a checkpoint that was prepared and never saved.
            assert!(shown.starts_with(&expected), "seed {seed}: after the commit of epoch {epoch}");
        };
        drop(sink);
        surroundings.blocking.idle().await;
        if !died {
            return;
        }
    }
}

/// What a transform gave: records, and how many were dropped and rejected.
type Given<T> = (Vec<T>, u64, u64, u64);

/// Every transform: what it gives depends on its records alone. However the input is cut into batches, and
/// wherever it is saved and restored into a new one, the output and the counts are the same (G1, G2, G3). It looks outside
/// as the engine lets it, before each epoch; what is there must not change meanwhile.
///
/// Returns the output of an undisturbed run over `input`, for the caller to compare with what it expects.
///
/// # Panics
/// If the contract does not hold.
pub fn transform_contract<X>(
    mut make: impl FnMut() -> X,
    input: &[X::In],
    seeds: std::ops::Range<u64>,
) -> Vec<X::Out>
where
    X: Transform,
    X::In: Clone,
    X::Out: PartialEq + Debug,
{
    let undisturbed = run_transform(&mut make, input, None);
    for seed in seeds {
        let disturbed = run_transform(&mut make, input, Some(Random::from_seed(seed)));
        assert_eq!(undisturbed, disturbed, "seed {seed}: other batches or a restore changed the output");
    }
    undisturbed.0
}

fn run_transform<X>(
    make: &mut impl FnMut() -> X,
    input: &[X::In],
    mut random: Option<Random>,
) -> Given<X::Out>
where
    X: Transform,
    X::In: Clone,
{
    let mut stage = opened(make());
    let mut rows = Saved::new();
    look(&mut stage, &mut rows);
    let mut out = Emit::new();
    let mut at = 0;
    while at < input.len() {
        let left = (input.len() - at) as u64;
        let count = random.as_mut().map_or(left, |random| 1 + random.below(left.min(50))) as usize;
        let mut batch: Batch<X::In> = input[at..at + count].iter().cloned().collect();
        Transforms::apply(&mut stage, &mut batch, &mut out).expect("applies");
        assert!(batch.is_empty(), "`apply` empties its input");
        at += count;
        if let Some(random) = &mut random
            && random.chance(0.3)
        {
            save(StageState::snapshot(&mut stage).expect("a snapshot"), &mut rows);
            if random.chance(0.5) {
                let held = StageState::held(&stage);
                stage = opened(make());
                let state: StateRows = Box::new(rows.clone().into_iter().map(Ok));
                StageState::restore(&mut stage, state, held, crate::Census::new()).expect("restores");
            }
            look(&mut stage, &mut rows);
        }
    }
    Transforms::finish(&mut stage, &mut out).expect("finishes");
    let counts = out.take_counts();
    (out.batch.into_vec(), counts.filtered, counts.superseded, counts.dead)
}

/// A transform that knows who it is.
pub(super) fn opened<X: Transform>(transform: X) -> Named<X> {
    let mut stage = Named::new("transform", transform);
    StageState::open(&mut stage, &crate::Name::from("pipeline")).expect("opens");
    stage
}

/// Lets a transform look outside before an epoch, and saves what is new.
pub(super) fn look<X: Transform>(stage: &mut Named<X>, rows: &mut Saved) {
    let Some(look) = StageState::look(stage, Timestamp::default()) else { return };
    if look().expect("looks").is_new {
        save(StageState::snapshot(stage).expect("a snapshot"), rows);
    }
}

/// The rows of a saved state.
pub(super) type Saved = std::collections::BTreeMap<Vec<u8>, Vec<u8>>;

/// Saves a snapshot over the earlier ones.
pub(super) fn save(snapshot: crate::Snapshot, rows: &mut Saved) {
    match snapshot {
        crate::Snapshot::Unchanged => {}
        crate::Snapshot::Full(bytes) => *rows = [(Vec::new(), bytes)].into(),
        crate::Snapshot::Delta(changes) => {
            let keys: std::collections::BTreeSet<&[u8]> = changes.iter().map(|(key, _)| key).collect();
            assert_eq!(keys.len(), changes.len(), "a snapshot names each key once");
            for (key, value) in changes.iter() {
                match value {
                    Some(value) => rows.insert(key.to_vec(), value.to_vec()),
                    None => rows.remove(key),
                };
            }
        }
    }
}
