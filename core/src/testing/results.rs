//! The contract of transforms that derive results: what a store shows in the end.

use std::collections::BTreeMap;

use super::contracts::{Saved, look, opened, save};
use crate::{
    Batch, Change, Emit, Record, RecordId, RecordKey, StateRows, Timestamp, Transform,
    random::Random,
    stage::{Named, StageState, Transforms},
};

/// What a store that keeps the newest version of each id, and no deleted one, shows after `records`.
///
/// # Panics
/// If a version comes twice with different contents, an older one comes after a newer one, or one after its deletion.
pub fn shown(records: &[Record]) -> BTreeMap<RecordId, Record> {
    let mut newest = BTreeMap::<RecordId, &Record>::new();
    for record in records {
        if let Some(earlier) = newest.insert(record.id, record) {
            assert!(
                record.key().supersedes(earlier.key()),
                "{:?} comes after {:?}",
                record.key(),
                earlier.key()
            );
        }
    }
    let newest = newest.into_iter().filter(|(_, record)| record.change == Change::Added);
    newest.map(|(id, record)| (id, record.clone())).collect()
}

/// Every transform that derives results: however its input is cut into batches, whenever time passes, and wherever it dies
/// and begins again from its last checkpoint, a store shows the same in the end, and no version of a record ever
/// has two contents (G1, G2).
///
/// Returns what is shown, for the caller to compare with what it expects.
///
/// # Panics
/// If the contract does not hold.
pub fn results_contract<X>(
    mut make: impl FnMut() -> X,
    input: &[Record],
    seeds: std::ops::Range<u64>,
) -> BTreeMap<RecordId, Record>
where
    X: Transform<In = Record, Out = Record>,
{
    let mut stage = opened(make());
    look(&mut stage, &mut Saved::new());
    let mut out = Emit::new();
    let mut batch: Batch<Record> = input.iter().cloned().collect();
    Transforms::apply(&mut stage, &mut batch, &mut out).expect("applies");
    Transforms::finish(&mut stage, &mut out).expect("finishes");
    let undisturbed = shown(&out.batch);
    for seed in seeds {
        let disturbed = shown(&disturbed(&mut make, input, seed));
        assert!(undisturbed == disturbed, "seed {seed}: it shows {disturbed:#?} instead of {undisturbed:#?}");
    }
    undisturbed
}

/// What is committed of a run that dies now and then.
fn disturbed<X>(make: &mut impl FnMut() -> X, input: &[Record], seed: u64) -> Vec<Record>
where
    X: Transform<In = Record, Out = Record>,
{
    let mut random = Random::from_seed(seed);
    let (mut committed, mut rows, mut position, mut held) = (Vec::new(), Saved::new(), 0, 0);
    let mut contents = BTreeMap::<RecordKey, Record>::new();
    let most = (input.len() as u64 / 4).clamp(2, 200);
    loop {
        let mut stage = opened(make());
        if position > 0 || !rows.is_empty() {
            restore(&mut stage, &rows, held);
        }
        look(&mut stage, &mut rows);
        let (mut at, mut out) = (position, Emit::new());
        let dies = loop {
            if at < input.len() {
                let count = (1 + random.below(most) as usize).min(input.len() - at);
                let mut batch: Batch<Record> = input[at..at + count].iter().cloned().collect();
                Transforms::apply(&mut stage, &mut batch, &mut out).expect("applies");
                at += count;
            } else {
                Transforms::finish(&mut stage, &mut out).expect("finishes");
            }
            if random.chance(0.3) {
                Transforms::tick(&mut stage, Timestamp::default(), &mut out).expect("ticks");
            }
            let dies = random.chance(0.1);
            for record in &out.batch[..] {
                let known = contents.entry(record.key()).or_insert_with(|| record.clone());
                assert!(known == record, "seed {seed}: a version has two contents: {known:?}, {record:?}");
            }
            if dies {
                break true;
            }
            let is_over = at == input.len() && random.chance(0.5);
            if is_over || random.chance(0.3) {
                if is_over {
                    Transforms::finish(&mut stage, &mut out).expect("finishes");
                }
                save(StageState::snapshot(&mut stage).expect("a snapshot"), &mut rows);
                held = StageState::held(&stage);
                look(&mut stage, &mut rows);
                committed.append(&mut out.batch);
                position = at;
                if is_over {
                    break false;
                }
                if random.chance(0.3) {
                    break true;
                }
            }
        };
        if !dies {
            return committed;
        }
    }
}

fn restore<X: Transform>(stage: &mut Named<X>, rows: &Saved, held: u64) {
    let state: StateRows = Box::new(rows.clone().into_iter().map(Ok));
    StageState::restore(stage, state, held, crate::Census::new()).expect("restores");
}
