//! The contract of checkpoint stores, as a suite that every implementation runs.

use std::collections::BTreeMap;

use crate::{
    Change, Checkpoint, CheckpointStore, DeadLetter, Epoch, ErrorKind, Fence, Generation, Incarnation, Kind,
    LetterId, MemoryStore, Name, Position, Record, RecordId, RecordKey, Result, Snapshot, Timestamp, Value,
    checkpoint::{Acknowledgement, KEPT_CHECKPOINTS, LettersHeld, Save, Trim},
    random::Random,
    reject::{Fate, LetterKeeper, Payload, RejectedBy},
};

/// Random histories that [`store_contract`] compares with [`MemoryStore`].
const HISTORIES: u64 = 12;
/// Steps in each.
const STEPS: u64 = 60;

/// A checkpoint of `pipeline` at the end of `epoch`, whose source `source` stands at the epoch's number.
pub fn checkpoint(pipeline: &str, epoch: u64) -> Checkpoint {
    let position = Position::new(1, "contract", &epoch).expect("a number is MessagePack");
    Checkpoint {
        pipeline: Name::from(pipeline),
        incarnation: Incarnation::from_u128(7),
        epoch: Epoch(epoch),
        time: Timestamp::from_micros_clamped(0),
        positions: BTreeMap::from([(Name::from("source"), position)]),
        tokens: BTreeMap::from([(Name::from("sink"), None)]),
        ledger: Default::default(),
    }
}

/// A save of [`checkpoint`] under `generation`, with the state of one stage, `stage`.
pub fn save(pipeline: &str, generation: Generation, epoch: u64, state: Snapshot) -> Save {
    let states = vec![(Name::from("stage"), state)];
    Save {
        generation,
        checkpoint: checkpoint(pipeline, epoch),
        states,
        dead_letters: Vec::new(),
        withdrawn: Vec::new(),
        retried: Vec::new(),
    }
}

/// A dead letter of `epoch`.
pub fn dead_letter(epoch: u64, reason: &str) -> DeadLetter {
    DeadLetter {
        stage: Name::from("stage"),
        payload: Payload::Raw(vec![1, 2, 3]),
        key: None,
        reason: reason.to_owned(),
        location: "file:1".to_owned(),
        time: Timestamp::from_micros_clamped(0),
        incarnation: Incarnation::from_u128(7),
        epoch: Epoch(epoch),
        by: Some(RejectedBy::Source),
        fate: Fate::Dead,
        kind: None,
    }
}

/// A dead letter of `epoch` that holds the addition of record `id` in `revision`, kept by the engine or by the receiver of
/// the sink `http`.
pub fn record_letter(epoch: u64, id: u128, revision: u32, by: RejectedBy) -> DeadLetter {
    let time = Timestamp::from_micros_clamped(0);
    let kind = Kind::parse("HeartRate").expect("a kind");
    let mut record = Record::added(RecordId::from_u128(id), kind, time, time, Value::None);
    record.revision = revision;
    let payload = Payload::Record(rmp_serde::to_vec(&record).expect("a record is MessagePack"));
    let stage = Name::from(if by == RejectedBy::Receiver { "http" } else { "stage" });
    DeadLetter { stage, payload, by: Some(by), ..dead_letter(epoch, "refused") }
}

/// The rows of the stage `stage` as of `epoch`.
pub async fn rows(
    store: &impl CheckpointStore,
    pipeline: &str,
    epoch: u64,
) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    store.state(&Name::from(pipeline), &Name::from("stage"), Epoch(epoch)).await?.collect()
}

/// The suite. `open` makes an empty store when it is given none; otherwise it closes the one it is given and opens
/// the same again.
///
/// # Panics
/// If the store breaks the contract.
pub async fn store_contract<S: CheckpointStore>(mut open: impl AsyncFnMut(Option<S>) -> S) {
    claims(&mut open).await;
    compare_and_set(&mut open).await;
    states(&mut open).await;
    dead_letters(&mut open).await;
    acknowledgements(&mut open).await;
    settling(&mut open).await;
    trimming(&mut open).await;
    forgetting(&mut open).await;
    looking(&mut open).await;
    for seed in 0..HISTORIES {
        history(&mut open, seed).await;
    }
}

async fn claims<S: CheckpointStore>(open: &mut impl AsyncFnMut(Option<S>) -> S) {
    let store = open(None).await;
    let (id, name) = (store.id(), Name::from("a"));
    let first = store.claim(&name).await.expect("a claim");
    let second = store.claim(&name).await.expect("a claim");
    assert!(second > first, "each claim gives a greater generation");
    assert!(store.load(&name, second).await.expect("a load").is_none(), "nothing was saved");
    let error = store.load(&name, first).await.expect_err("an older generation loads nothing");
    assert_eq!(error.kind(), ErrorKind::Fenced);

    let store = open(Some(store)).await;
    assert_eq!(store.id(), id, "a store keeps its id");
    let third = store.claim(&name).await.expect("a claim");
    assert!(third > second, "claims are durable");
    store.forget(&name).await.expect("forgetting");
    let fourth = store.claim(&name).await.expect("a claim");
    assert!(fourth > third, "forgetting keeps the generation");
    let fifth = store.reclaim(&name, fourth).await.expect("the newest may claim again");
    assert!(fifth > fourth, "claiming again fences what the last claim left under way");
    let store = open(Some(store)).await;
    for old in [first, fourth, Generation(fifth.0 + 1)] {
        let error = store.reclaim(&name, old).await.expect_err("only the newest may claim again");
        assert_eq!(error.kind(), ErrorKind::Fenced);
    }
    let never = store.reclaim(&Name::from("never claimed"), Generation(1)).await;
    assert_eq!(never.expect_err("it was never claimed").kind(), ErrorKind::Fenced);
    assert!(store.load(&name, fifth).await.is_ok(), "what is refused changes nothing");
    let other = open(None).await;
    assert_ne!(other.id(), id, "another store has another id");
}

async fn acknowledgements<S: CheckpointStore>(open: &mut impl AsyncFnMut(Option<S>) -> S) {
    let store = open(None).await;
    let (name, sink, other) = (Name::from("a"), Name::from("http"), Name::from("http-2"));
    let fence = |store: &S, generation| Fence {
        store: store.id(),
        pipeline: name.clone(),
        sink: sink.clone(),
        generation,
    };
    let acknowledgement = |state: u8, epochs: &[u64]| Acknowledgement {
        state: vec![state],
        dead_letters: epochs.iter().map(|epoch| dead_letter(*epoch, &format!("{state}"))).collect(),
        withdrawn: Vec::new(),
    };
    let error = store.acknowledge(&fence(&store, Generation(1)), acknowledgement(0, &[0])).await;
    assert_eq!(error.expect_err("never claimed").kind(), ErrorKind::Fenced);
    let old = store.claim(&name).await.expect("a claim");
    let new = store.claim(&name).await.expect("a claim");
    let mut saved = save("a", new, 0, Snapshot::Unchanged);
    saved.dead_letters.push(dead_letter(0, "saved"));
    store.save(saved).await.expect("a save");
    assert_eq!(store.acknowledged(&name, &sink).await.expect("nothing yet"), None);
    store.acknowledge(&fence(&store, new), acknowledgement(1, &[0])).await.expect("an acknowledgement");
    let error = store.acknowledge(&fence(&store, old), acknowledgement(2, &[0])).await;
    assert_eq!(error.expect_err("an older generation acknowledges nothing").kind(), ErrorKind::Fenced);
    store.save(save("a", new, 1, Snapshot::Unchanged)).await.expect("a save");
    store.acknowledge(&fence(&store, new), acknowledgement(3, &[0, 1])).await.expect("an acknowledgement");

    let store = open(Some(store)).await;
    assert_eq!(store.acknowledged(&name, &sink).await.expect("a state"), Some(vec![3]), "it is durable");
    assert_eq!(store.acknowledged(&name, &other).await.expect("none"), None, "each sink has its own");
    let mut reasons: Vec<String> = Vec::new();
    reasons.extend(
        store.dead_letters(&name, 10).await.expect("letters").into_iter().map(|letter| letter.reason),
    );
    reasons.sort();
    assert_eq!(reasons, ["1", "3", "3", "saved"], "none is lost or overwritten");
    assert_eq!(store.count_dead_letters(&name).await.expect("a count"), 4);
    store.forget(&name).await.expect("forgetting");
    assert_eq!(store.acknowledged(&name, &sink).await.expect("forgotten"), None);
}

/// Letters are withdrawn, put in again, and never twice.
async fn settling<S: CheckpointStore>(open: &mut impl AsyncFnMut(Option<S>) -> S) {
    let store = open(None).await;
    let (name, http) = (Name::from("a"), Name::from("http"));
    let generation = store.claim(&name).await.expect("a claim");
    let fence =
        |store: &S| Fence { store: store.id(), pipeline: name.clone(), sink: http.clone(), generation };
    let key = |id, change, revision| RecordKey { id: RecordId::from_u128(id), change, revision };
    let id = |epoch, number| LetterId { epoch: Epoch(epoch), number };
    let (engine, receiver) = (LetterKeeper::Engine, LetterKeeper::Receiver(http.clone()));

    let mut first = save("a", generation, 0, Snapshot::Unchanged);
    let by_key = DeadLetter { key: Some(RecordId::from_u128(3).to_string()), ..dead_letter(0, "unreadable") };
    first.dead_letters = vec![
        record_letter(0, 1, 0, RejectedBy::Transform),
        record_letter(0, 1, 2, RejectedBy::Sink),
        record_letter(0, 2, 0, RejectedBy::Sink),
        by_key,
        dead_letter(0, "nobody's"),
    ];
    store.save(first).await.expect("a save");
    let dead_letters =
        vec![record_letter(0, 1, 0, RejectedBy::Receiver), record_letter(0, 2, 5, RejectedBy::Receiver)];
    let acknowledgement = Acknowledgement { state: vec![1], dead_letters, withdrawn: Vec::new() };
    store.acknowledge(&fence(&store), acknowledgement).await.expect("an acknowledgement");

    let withdrawable = async |store: &S, passed: &[RecordKey], keeper: &LetterKeeper| {
        let found = store.withdrawable(&name, passed.to_vec(), keeper.clone()).await.expect("a look");
        found.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    for (passed, keeper, expected) in [
        (vec![key(1, Change::Added, 1)], &engine, vec![id(0, 0)]),
        (vec![key(1, Change::Deleted, 0)], &engine, vec![id(0, 0), id(0, 1)]),
        (vec![key(1, Change::Added, 9), key(3, Change::Added, 9)], &engine, vec![id(0, 0), id(0, 1)]),
        (vec![key(3, Change::Deleted, 0), key(4, Change::Deleted, 0)], &engine, vec![id(0, 3)]),
        (vec![key(1, Change::Deleted, 0), key(2, Change::Added, 1)], &receiver, vec![id(0, 5)]),
        (vec![key(1, Change::Deleted, 0)], &LetterKeeper::Receiver(Name::from("http-2")), vec![]),
        (vec![], &engine, vec![]),
    ] {
        assert_eq!(withdrawable(&store, &passed, keeper).await, expected, "{passed:?} {keeper:?}");
    }

    let mut second = save("a", generation, 1, Snapshot::Unchanged);
    (second.withdrawn, second.retried) = (vec![id(0, 0), id(0, 1)], vec![id(0, 2)]);
    second.dead_letters = vec![record_letter(1, 2, 0, RejectedBy::Sink)];
    store.save(second).await.expect("a save");
    let store = open(Some(store)).await;
    assert_eq!(
        store.count_dead_letters(&name).await.expect("a count"),
        5,
        "2 unreadable, 2 refused, 1 again"
    );
    let fates = async |store: &S| {
        let letters = store.letters(&name, None, 99).await.expect("letters");
        letters.into_iter().map(|(id, letter)| (id.epoch.0, id.number, letter.fate)).collect::<Vec<_>>()
    };
    let withdrawn = Fate::Withdrawn(Epoch(1));
    let expected = [
        (0, 0, withdrawn),
        (0, 1, withdrawn),
        (0, 3, Fate::Dead),
        (0, 4, Fate::Dead),
        (0, 5, Fate::Dead),
        (0, 6, Fate::Dead),
        (1, 0, Fate::Dead),
    ];
    assert_eq!(fates(&store).await, expected, "withdrawn ones are kept, the others are gone");
    let later = store.letters(&name, Some(id(0, 4)), 2).await.expect("letters");
    assert_eq!(later.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), [id(0, 5), id(0, 6)]);
    assert_eq!(withdrawable(&store, &[key(1, Change::Deleted, 0)], &engine).await, [], "only once");

    for settled in [id(0, 0), id(0, 2), id(9, 9)] {
        let mut again = save("a", generation, 2, Snapshot::Full(vec![0]));
        again.retried = vec![id(0, 3), settled];
        let error = store.save(again.clone()).await.expect_err("it is not dead");
        assert!(error.kind().is_retryable(), "{error}");
        (again.withdrawn, again.retried) = (again.retried, Vec::new());
        assert!(store.save(again).await.expect_err("it is not dead").kind().is_retryable());
        let withdrawn = vec![(id(0, 5), Epoch(1)), (settled, Epoch(1))];
        let acknowledgement = Acknowledgement { state: vec![2], dead_letters: Vec::new(), withdrawn };
        let error = store.acknowledge(&fence(&store), acknowledgement).await.expect_err("it is not dead");
        assert!(error.kind().is_retryable(), "{error}");
    }
    assert_eq!(fates(&store).await, expected, "what is refused changes nothing");
    assert_eq!(store.acknowledged(&name, &http).await.expect("a state"), Some(vec![1]));

    let dead_letters =
        vec![DeadLetter { fate: Fate::Withdrawn(Epoch(0)), ..record_letter(0, 7, 0, RejectedBy::Receiver) }];
    let withdrawn = vec![(id(0, 5), Epoch(1))];
    let acknowledgement = Acknowledgement { state: vec![3], dead_letters, withdrawn };
    store.acknowledge(&fence(&store), acknowledgement).await.expect("an acknowledgement");
    for epoch in 2..8 {
        store.save(save("a", generation, epoch, Snapshot::Unchanged)).await.expect("a save");
    }
    assert_eq!(store.count_dead_letters(&name).await.expect("a count"), 4);
    let store = open(Some(store)).await;
    let found = fates(&store).await;
    assert_eq!(found.len(), 8, "{found:?}");
    assert_eq!(found[4], (0, 5, Fate::Withdrawn(Epoch(1))));
    assert_eq!(found[6], (0, 7, Fate::Withdrawn(Epoch(0))), "a number is not given to two letters");
}

/// Letters are counted and dropped: old ones, the oldest for room, withdrawn ones alone.
async fn trimming<S: CheckpointStore>(open: &mut impl AsyncFnMut(Option<S>) -> S) {
    let store = open(None).await;
    let (name, time) = (Name::from("a"), Timestamp::from_micros_clamped);
    let generation = store.claim(&name).await.expect("a claim");
    assert_eq!(store.letters_held(&name).await.expect("none"), LettersHeld::default());
    let letters: Vec<DeadLetter> = (0..8)
        .map(|number| DeadLetter { time: time(number), ..record_letter(0, 1, 0, RejectedBy::Sink) })
        .collect();
    let each = letters[0].bytes();
    let id = |number| LetterId { epoch: Epoch(0), number };
    let mut first = save("a", generation, 0, Snapshot::Unchanged);
    first.dead_letters = letters;
    store.save(first).await.expect("a save");
    let mut second = save("a", generation, 1, Snapshot::Unchanged);
    (second.withdrawn, second.retried) = (vec![id(0), id(5)], vec![id(1)]);
    store.save(second).await.expect("a save");
    let store = open(Some(store)).await;

    let held = store.letters_held(&name).await.expect("a count");
    assert_eq!((held.bytes, held.oldest), (7 * each, Some(time(2))), "what was put in again does not count");
    let numbers = async || {
        let letters = store.letters(&name, None, 99).await.expect("letters");
        letters.into_iter().map(|(id, _)| id.number).collect::<Vec<_>>()
    };
    let all = Trim { before: None, max_bytes: 0, only_withdrawn: false };
    let error = store.trim_letters(&name, Generation(generation.0 + 1), all).await;
    assert_eq!(error.expect_err("another generation drops nothing").kind(), ErrorKind::Fenced);
    for (before, max_bytes, only_withdrawn, dropped, left) in [
        (None, 7 * each, false, 0, vec![0, 2, 3, 4, 5, 6, 7]),
        (None, 6 * each, true, 0, vec![2, 3, 4, 5, 6, 7]),
        (None, 0, true, 0, vec![2, 3, 4, 6, 7]),
        (Some(time(4)), u64::MAX, false, 2, vec![4, 6, 7]),
        (None, 2 * each + 1, false, 1, vec![6, 7]),
    ] {
        let trim = Trim { before, max_bytes, only_withdrawn };
        assert_eq!(store.trim_letters(&name, generation, trim).await.expect("a trim"), dropped, "{trim:?}");
        assert_eq!(numbers().await, left, "{trim:?}");
        let held = store.letters_held(&name).await.expect("a count");
        assert_eq!(held.bytes, left.len() as u64 * each);
    }
    assert_eq!(store.count_dead_letters(&name).await.expect("a count"), 2);
}

async fn compare_and_set<S: CheckpointStore>(open: &mut impl AsyncFnMut(Option<S>) -> S) {
    let store = open(None).await;
    let name = Name::from("a");
    let error =
        store.save(save("a", Generation(1), 0, Snapshot::Unchanged)).await.expect_err("never claimed");
    assert_eq!(error.kind(), ErrorKind::Fenced);
    let old = store.claim(&name).await.expect("a claim");
    let new = store.claim(&name).await.expect("a claim");
    store.save(save("a", new, 3, Snapshot::Full(vec![3]))).await.expect("the first save may be of any epoch");

    for (generation, epoch, kind) in
        [(old, 4, ErrorKind::Fenced), (new, 3, ErrorKind::State), (new, 5, ErrorKind::State)]
    {
        let mut refused = save("a", generation, epoch, Snapshot::Full(vec![0]));
        refused.dead_letters.push(dead_letter(epoch, "refused"));
        let error = store.save(refused).await.expect_err("it must be refused");
        assert_eq!(error.kind(), kind, "generation {generation}, epoch {epoch}");
    }
    let store = open(Some(store)).await;
    let loaded = store.load(&name, new).await.expect("a load").expect("a checkpoint");
    assert_eq!(loaded.checkpoint, checkpoint("a", 3), "a refused save changes nothing");
    assert_eq!(loaded.fallback, None);
    assert_eq!(rows(&store, "a", 3).await.expect("rows"), [(vec![], vec![3])]);
    assert_eq!(store.count_dead_letters(&name).await.expect("a count"), 0);

    for epoch in 4..10 {
        let saved = store.save(save("a", new, epoch, Snapshot::Unchanged)).await.expect("a save");
        let oldest = (epoch + 1).saturating_sub(KEPT_CHECKPOINTS as u64).max(3);
        assert_eq!(saved.oldest, checkpoint("a", oldest).positions, "epoch {epoch}");
        let loaded = store.load(&name, new).await.expect("a load").expect("a checkpoint");
        assert_eq!((loaded.checkpoint.epoch, loaded.oldest), (Epoch(epoch), saved.oldest));
    }
}

async fn states<S: CheckpointStore>(open: &mut impl AsyncFnMut(Option<S>) -> S) {
    let store = open(None).await;
    let name = Name::from("a");
    let generation = store.claim(&name).await.expect("a claim");
    let put = |key: &'static [u8], value: &'static [u8]| (key, Some(value));
    let gone = |key: &'static [u8]| (key, None);
    let delta = |rows: &[(&[u8], Option<&[u8]>)]| Snapshot::Delta(rows.iter().copied().collect());
    let steps = [
        (
            delta(&[put(b"b", b"1"), put(b"", b"0"), put(b"a\0b", b"2")]),
            vec![("", "0"), ("a\0b", "2"), ("b", "1")],
        ),
        (delta(&[put(b"b", b"3"), gone(b""), gone(b"none")]), vec![("a\0b", "2"), ("b", "3")]),
        (Snapshot::Unchanged, vec![("a\0b", "2"), ("b", "3")]),
        (Snapshot::Full(b"all".to_vec()), vec![("", "all")]),
        (delta(&[put(b"b", b""), put(b"c", b"4")]), vec![("", "all"), ("b", ""), ("c", "4")]),
        // The last of several rows of one key counts.
        (delta(&[gone(b"c"), put(b"c", b"5"), put(b"b", b"6"), gone(b"b")]), vec![("", "all"), ("c", "5")]),
        (Snapshot::Unchanged, vec![("", "all"), ("c", "5")]),
        (Snapshot::Unchanged, vec![("", "all"), ("c", "5")]),
        (Snapshot::Unchanged, vec![("", "all"), ("c", "5")]),
    ];
    let expected: Vec<Vec<(Vec<u8>, Vec<u8>)>> = steps
        .iter()
        .map(|(_, rows)| {
            rows.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
        })
        .collect();
    for (epoch, (state, _)) in (0..).zip(steps) {
        store.save(save("a", generation, epoch, state)).await.expect("a save");
        let kept = (epoch as usize + 1).saturating_sub(KEPT_CHECKPOINTS)..=epoch as usize;
        for (kept, expected) in kept.clone().zip(&expected[kept]) {
            let found = rows(&store, "a", kept as u64).await.expect("rows");
            assert_eq!(&found, expected, "as of epoch {kept}, after epoch {epoch}");
        }
    }
    let store = open(Some(store)).await;
    assert_eq!(Some(rows(&store, "a", 8).await.expect("rows")).as_ref(), expected.last());
    // Neighbours in any order of keys.
    for name in ["a\0", "ab", "", "a stage"] {
        assert_eq!(rows(&store, name, 8).await.expect("rows"), []);
    }
    let other = store.state(&name, &Name::from("stag"), Epoch(8)).await.expect("rows");
    assert_eq!(other.count(), 0);
}

async fn dead_letters<S: CheckpointStore>(open: &mut impl AsyncFnMut(Option<S>) -> S) {
    let store = open(None).await;
    let name = Name::from("a");
    let generation = store.claim(&name).await.expect("a claim");
    let letters: Vec<DeadLetter> =
        [(0, "one"), (0, "two"), (2, "three")].map(|(epoch, reason)| dead_letter(epoch, reason)).to_vec();
    for epoch in 0..8 {
        let mut save = save("a", generation, epoch, Snapshot::Unchanged);
        save.dead_letters = letters.iter().filter(|letter| letter.epoch.0 == epoch).cloned().collect();
        store.save(save).await.expect("a save");
    }
    let store = open(Some(store)).await;
    assert_eq!(store.count_dead_letters(&name).await.expect("a count"), 3);
    assert_eq!(store.dead_letters(&name, 10).await.expect("letters"), letters, "oldest first, kept for good");
    assert_eq!(store.dead_letters(&name, 2).await.expect("letters"), letters[..2]);
    assert_eq!(store.dead_letters(&Name::from("b"), 2).await.expect("letters"), []);
    assert_eq!(store.count_dead_letters(&Name::from("b")).await.expect("a count"), 0);
}

async fn forgetting<S: CheckpointStore>(open: &mut impl AsyncFnMut(Option<S>) -> S) {
    let store = open(None).await;
    let mut generations = BTreeMap::new();
    for name in ["a", "ab"] {
        let generation = store.claim(&Name::from(name)).await.expect("a claim");
        for epoch in 0..5 {
            let mut save = save(
                name,
                generation,
                epoch,
                Snapshot::Delta([([epoch as u8], Some([1]))].into_iter().collect()),
            );
            save.dead_letters = vec![dead_letter(epoch, "bad")];
            store.save(save).await.expect("a save");
        }
        generations.insert(name, generation);
    }
    let (a, ab) = (Name::from("a"), Name::from("ab"));
    store.forget(&a).await.expect("forgetting");
    store.forget(&Name::from("never claimed")).await.expect("forgetting nothing");
    let store = open(Some(store)).await;
    assert!(store.load(&a, generations["a"]).await.expect("a load").is_none());
    assert_eq!(rows(&store, "a", 4).await.expect("rows"), []);
    assert_eq!(store.count_dead_letters(&a).await.expect("a count"), 0);
    assert_eq!(store.dead_letters(&a, 9).await.expect("letters"), []);
    assert_eq!(rows(&store, "ab", 4).await.expect("rows").len(), 5, "other pipelines keep theirs");
    assert_eq!(store.count_dead_letters(&ab).await.expect("a count"), 5);
    assert!(store.load(&ab, generations["ab"]).await.expect("a load").is_some());
    store.save(save("a", generations["a"], 0, Snapshot::Unchanged)).await.expect("it begins anew");
    assert_eq!(rows(&store, "a", 0).await.expect("rows"), [], "nothing comes back");
}

/// Drives the store and [`MemoryStore`] through the same random history and compares what they show.
async fn looking<S: CheckpointStore>(open: &mut impl AsyncFnMut(Option<S>) -> S) {
    let (store, name) = (open(None).await, Name::from("a"));
    assert!(store.checkpoints(&name).await.expect("checkpoints").is_empty(), "nothing was saved");
    let generation = store.claim(&name).await.expect("a claim");
    for epoch in 0..KEPT_CHECKPOINTS as u64 + 2 {
        store.save(save("a", generation, epoch, Snapshot::Unchanged)).await.expect("a save");
    }
    let store = open(Some(store)).await;
    let kept = store.checkpoints(&name).await.expect("checkpoints");
    let epochs: Vec<Epoch> = kept.iter().map(|checkpoint| checkpoint.epoch).collect();
    assert_eq!(epochs, [Epoch(2), Epoch(3), Epoch(4)], "those that are kept, oldest first");
    store.load(&name, generation).await.expect("looking claims nothing");
    store.forget(&name).await.expect("forgetting");
    assert!(store.checkpoints(&name).await.expect("checkpoints").is_empty(), "they are forgotten");
}

async fn history<S: CheckpointStore>(open: &mut impl AsyncFnMut(Option<S>) -> S, seed: u64) {
    let (mut store, model) = (open(None).await, MemoryStore::new());
    let mut random = Random::from_seed(seed);
    let mut epochs = BTreeMap::from([("a", 0), ("b", 0)]);
    for step in 0..STEPS {
        let name = if random.chance(0.7) { "a" } else { "b" };
        let pipeline = Name::from(name);
        let context = format!("seed {seed}, step {step}, pipeline {name}");
        match random.below(20) {
            0 => store = open(Some(store)).await,
            1 if random.chance(0.3) => {
                store.forget(&pipeline).await.expect("forgetting");
                model.forget(&pipeline).await.expect("forgetting");
            }
            2 | 3 => {
                let claimed = store.claim(&pipeline).await.expect("a claim");
                assert_eq!(claimed, model.claim(&pipeline).await.expect("a claim"), "{context}");
            }
            _ => {
                let generation = Generation(random.below(3) + step / 10);
                let epoch = epochs[name] + random.below(20) / 19;
                let mut save = save(name, generation, epoch, random_snapshot(&mut random));
                save.states.push((Name::from("other"), random_snapshot(&mut random)));
                save.dead_letters = (0..random.below(8) / 6)
                    .map(|_| record_letter(epoch, random.below(3).into(), 0, RejectedBy::Sink))
                    .collect();
                let letters = model.letters(&pipeline, None, 1000).await.expect("letters");
                for (id, _) in letters {
                    match random.below(8) {
                        0 => save.withdrawn.push(id),
                        1 => save.retried.push(id),
                        _ => {}
                    }
                }
                let (saved, expected) = (store.save(save.clone()).await, model.save(save).await);
                let saved = saved.map(|saved| saved.oldest).map_err(|error| error.kind());
                assert_eq!(
                    saved,
                    expected.map(|saved| saved.oldest).map_err(|error| error.kind()),
                    "{context}"
                );
                if saved.is_ok() {
                    epochs.insert(name, epoch + 1);
                }
            }
        }
        compare(&store, &model, &pipeline, epochs[name], &context).await;
    }
}

/// Few keys, so that they are written, removed and written again.
fn random_snapshot(random: &mut Random) -> Snapshot {
    match random.below(6) {
        0 => Snapshot::Unchanged,
        1 => Snapshot::Full(random.u64().to_be_bytes().to_vec()),
        _ => Snapshot::Delta(
            (0..random.below(5))
                .map(|_| {
                    let key = vec![b'k'; random.below(4) as usize];
                    (key, random.chance(0.6).then(|| random.u64().to_be_bytes().to_vec()))
                })
                .collect(),
        ),
    }
}

async fn compare(
    store: &impl CheckpointStore,
    model: &MemoryStore,
    pipeline: &Name,
    next: u64,
    context: &str,
) {
    assert_eq!(
        store.checkpoints(pipeline).await.expect("checkpoints"),
        model.checkpoints(pipeline).await.expect("checkpoints"),
        "{context}"
    );
    for generation in (0..20).map(Generation) {
        let found = store.load(pipeline, generation).await;
        let expected = model.load(pipeline, generation).await;
        let parts = |loaded: Option<crate::checkpoint::Loaded>| {
            loaded.map(|loaded| (loaded.checkpoint, loaded.oldest, loaded.fallback))
        };
        assert_eq!(
            found.map(parts).map_err(|error| error.kind()),
            expected.map(parts).map_err(|error| error.kind()),
            "{context}, generation {generation}"
        );
    }
    for epoch in next.saturating_sub(KEPT_CHECKPOINTS as u64)..next {
        for stage in ["stage", "other"].map(Name::from) {
            let found = store.state(pipeline, &stage, Epoch(epoch)).await.expect("rows");
            let expected = model.state(pipeline, &stage, Epoch(epoch)).await.expect("rows");
            let (found, expected): (Result<Vec<_>>, Result<Vec<_>>) = (found.collect(), expected.collect());
            assert_eq!(found.expect("rows"), expected.expect("rows"), "{context}, {stage} as of {epoch}");
        }
    }
    assert_eq!(
        store.letters(pipeline, None, 1000).await.expect("letters"),
        model.letters(pipeline, None, 1000).await.expect("letters"),
        "{context}"
    );
    assert_eq!(
        store.letters_held(pipeline).await.expect("a count"),
        model.letters_held(pipeline).await.expect("a count"),
        "{context}"
    );
    let passed = vec![RecordKey { id: RecordId::from_u128(1), change: Change::Deleted, revision: 0 }];
    assert_eq!(
        store.withdrawable(pipeline, passed.clone(), LetterKeeper::Engine).await.expect("letters"),
        model.withdrawable(pipeline, passed, LetterKeeper::Engine).await.expect("letters"),
        "{context}"
    );
    assert_eq!(
        store.count_dead_letters(pipeline).await.expect("a count"),
        model.count_dead_letters(pipeline).await.expect("a count"),
        "{context}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: the contract suite on the store in memory. Guarantees: G1, G10 as far as a store gives them; it is
    /// the model that other stores are compared with.
    #[tokio::test]
    async fn memory_store_keeps_the_contract() {
        store_contract(async |store: Option<MemoryStore>| store.unwrap_or_default()).await;
    }
}
