//! What the mock store promises.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};

use afferent_core::{
    ErrorKind, Kind, MetaValue, Record, RecordId, Timestamp, Value,
    clock::{instant, sleep},
    config::{Configure, Span},
    kind::category,
};
use futures::StreamExt;

use super::*;
use crate::healthkit::{Anchor, Changes, HealthStore, Page};

const DAY: i64 = 86_400_000_000;

fn kind(name: &str) -> Kind {
    Kind::parse(name).unwrap()
}

fn config(seed: u64, days: u32, users: u32) -> Config {
    Config { seed, days, users, ..Config::default() }
}

fn store(config: Config) -> MockStore {
    MockStore::new(config).unwrap()
}

async fn page(store: &MockStore, kind: Kind, anchor: Option<&Anchor>, limit: usize) -> Page {
    match store.changes(kind, anchor, limit).await.unwrap() {
        Changes::Page(page) => page,
        Changes::AnchorUnknown => panic!("an anchor of this store"),
    }
}

/// All that follows `anchor`, read in pages of `limit`, with the anchor after each page.
async fn read(
    store: &MockStore,
    kind: Kind,
    mut anchor: Option<Anchor>,
    limit: usize,
) -> (Vec<Record>, Vec<(usize, Anchor)>) {
    let (mut records, mut anchors) = (Vec::new(), Vec::new());
    loop {
        let page = page(store, kind, anchor.as_ref(), limit).await;
        assert!(page.len() <= limit);
        records.extend(page.added);
        records.extend(page.deleted);
        anchors.push((records.len(), page.anchor.clone()));
        anchor = Some(page.anchor);
        if !page.more {
            return (records, anchors);
        }
    }
}

async fn all(store: &MockStore, name: &str) -> Vec<Record> {
    read(store, kind(name), None, 1024).await.0
}

fn added(records: &[Record]) -> impl Iterator<Item = &Record> {
    records.iter().filter(|record| !record.is_deletion())
}

fn number(record: &Record) -> f64 {
    record.value.as_f64().unwrap()
}

fn subject(record: &Record) -> String {
    record.subject.as_ref().unwrap().to_string()
}

fn device(record: &Record) -> String {
    record.origin.as_ref().unwrap().name.as_ref().unwrap().to_string()
}

/// Sleep as the sleep samples tell it: by subject, the stages in order of time.
async fn stages(store: &MockStore) -> BTreeMap<String, Vec<Record>> {
    let mut stages: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    for record in all(store, "SleepAnalysis").await {
        if record.value != Value::Category(0) {
            stages.entry(subject(&record)).or_default().push(record);
        }
    }
    stages
}

fn overlaps(records: &[Record], start: Timestamp, end: Timestamp) -> bool {
    records.iter().any(|record| record.start < end && record.end > start)
}

/// Scenario: a month of two people, asleep and awake. Guarantees: the night's heart rate lies below the day's for
/// each of them, and nobody walks asleep, in no sample that was ever added (back-dated and edited ones too).
#[tokio::test]
async fn nights_are_calm() {
    let store = store(config(7, 30, 2));
    let stages = stages(&store).await;
    let mut rates: BTreeMap<String, [Vec<f64>; 2]> = BTreeMap::new();
    for record in added(&all(&store, "HeartRate").await) {
        let asleep = overlaps(&stages[&subject(record)], record.start, record.start.plus_micros(1));
        rates.entry(subject(record)).or_default()[usize::from(asleep)].push(number(record));
        assert_eq!(record.value.unit().unwrap().as_str(), "count/min");
        assert!((35.0..=200.0).contains(&number(record)));
    }
    assert_eq!(rates.len(), 2);
    for [awake, asleep] in rates.values() {
        let mean = |rates: &[f64]| rates.iter().sum::<f64>() / rates.len() as f64;
        assert!(mean(asleep) + 8.0 < mean(awake), "{} {}", mean(asleep), mean(awake));
    }
    for name in ["StepCount", "DistanceWalkingRunning", "ActiveEnergyBurned"] {
        let records = all(&store, name).await;
        // What is older than the log was measured in nights the log does not have.
        let begin = Timestamp::parse_rfc3339("2025-01-02T00:00:00Z").unwrap().0;
        for record in added(&records).filter(|record| record.start >= begin) {
            assert!(
                !overlaps(&stages[&subject(record)], record.start, record.end),
                "{name} at {}",
                record.start
            );
        }
    }
}

/// Scenario: a month's nights. Guarantees: each night's stages follow one another without gap or overlap, and the
/// time in bed holds them.
#[tokio::test]
async fn stages_of_sleep_are_contiguous() {
    let store = store(config(3, 30, 3));
    let in_bed: Vec<Record> = all(&store, "SleepAnalysis")
        .await
        .into_iter()
        .filter(|record| record.value == Value::Category(0))
        .collect();
    let mut nights = 0;
    for (subject, stages) in stages(&store).await {
        for bed in in_bed.iter().filter(|bed| bed.subject.as_deref() == Some(subject.as_str())) {
            let night: Vec<&Record> =
                stages.iter().filter(|stage| stage.start >= bed.start && stage.end <= bed.end).collect();
            assert!(night.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert!(night.iter().all(|stage| stage.start < stage.end));
            let kinds: BTreeSet<i64> = night.iter().map(|stage| number(stage) as i64).collect();
            assert!(kinds.is_superset(&BTreeSet::from([3, 4, 5])), "{kinds:?}");
            let slept = night.last().unwrap().end.as_micros() - night[0].start.as_micros();
            assert!(slept > 4 * 3600 * 1_000_000);
            nights += 1;
        }
    }
    assert!(nights >= 3 * 29, "{nights}");
}

/// Scenario: a phone in the pocket and a watch on the wrist. Guarantees: both write samples that lie in the same
/// minutes, with values that are near but not the same; without `overlap` none does.
#[tokio::test]
async fn phone_and_watch_overlap() {
    let minutes = |records: &[Record], by: &str| -> BTreeSet<(String, i64)> {
        added(records)
            .filter(|record| device(record) == by)
            .map(|record| (subject(record), record.start.as_micros() / 60_000_000))
            .collect()
    };
    for name in ["StepCount", "DistanceWalkingRunning", "ActiveEnergyBurned"] {
        let records = all(&store(config(7, 10, 2)), name).await;
        let (phone, watch) = (minutes(&records, "iPhone"), minutes(&records, "Apple Watch"));
        let both = phone.intersection(&watch).count();
        assert!(both * 10 > phone.len() * 9, "{name}: {both} of {}", phone.len());
        assert!(watch.len() > phone.len());
        let alone = all(&store(Config { overlap: false, ..config(7, 10, 2) }), name).await;
        assert!(!minutes(&alone, "iPhone").is_empty());
        assert_eq!(minutes(&alone, "iPhone").intersection(&minutes(&alone, "Apple Watch")).count(), 0);
    }
}

/// Scenario: the default density. Guarantees: at least 200 records of heart rate, steps and energy for each person
/// and day.
#[tokio::test]
async fn a_day_has_two_hundred_records() {
    let store = store(config(7, 30, 2));
    let mut days: BTreeMap<(String, i64), usize> = BTreeMap::new();
    for name in ["HeartRate", "StepCount", "ActiveEnergyBurned"] {
        for record in added(&all(&store, name).await) {
            *days.entry((subject(record), record.start.as_micros() / DAY)).or_default() += 1;
        }
    }
    let first = Timestamp::parse_rfc3339("2025-01-01T00:00:00Z").unwrap().0.as_micros() / DAY;
    for user in 1..=2 {
        for day in first..first + 30 {
            let count = days.get(&(format!("user-{user}"), day)).copied().unwrap_or(0);
            assert!(count >= 200, "user-{user}, day {}: {count}", day - first);
        }
    }
}

/// Scenario: two stores of the same configuration, read in pages of different sizes, from the start and from any
/// anchor. Guarantees: G5, the log is the same each time.
#[tokio::test]
async fn any_limit_and_any_anchor_give_the_same_log() {
    let make = || store(Config { edits: 0.1, replacements: 0.1, deletions: 0.05, ..config(11, 6, 3) });
    for name in ["HeartRate", "StepCount", "BodyMass", "SleepAnalysis", "BloodPressure", "Workout"] {
        let (whole, _) = read(&make(), kind(name), None, 1024).await;
        assert!(!whole.is_empty(), "{name}");
        for limit in [1, 2, 7, 100, 100_000] {
            assert!(read(&make(), kind(name), None, limit).await.0 == whole, "{name} by {limit}");
        }
        let (_, anchors) = read(&make(), kind(name), None, 37).await;
        for (taken, anchor) in anchors.into_iter().step_by(5) {
            let (rest, _) = read(&make(), kind(name), Some(anchor), 64).await;
            assert!(rest == whole[taken..], "{name} from {taken}");
        }
    }
    assert_eq!(make().identity(), make().identity());
    assert_ne!(make().identity(), store(config(12, 6, 3)).identity());
}

/// Scenario: edits, deletions and sync versions in all types of a busy log. Guarantees: G3, a deletion names a
/// sample that was added before, once; a replacement keeps the sync identifier and raises the version. All ids of
/// additions are unique.
#[tokio::test]
async fn deletions_are_of_what_was_added() {
    let store = store(Config { edits: 0.1, replacements: 0.1, deletions: 0.05, ..config(5, 20, 2) });
    let mut ids: HashSet<RecordId> = HashSet::new();
    let (mut deletions, mut replaced) = (0, 0);
    for kind in store.kinds() {
        let mut alive: BTreeMap<RecordId, Record> = BTreeMap::new();
        let mut versions: BTreeMap<String, f64> = BTreeMap::new();
        for record in read(&store, kind, None, 1024).await.0 {
            assert_eq!(record.kind, Some(kind));
            if record.is_deletion() {
                let gone = alive.remove(&record.id).expect("it was added before, and not deleted");
                assert_eq!(gone.subject, record.subject);
                deletions += 1;
                continue;
            }
            if let Some(metadata) = &record.metadata
                && let Some(MetaValue::String(identifier)) = metadata.get("HKMetadataKeySyncIdentifier")
            {
                let Some(MetaValue::Number(version)) = metadata.get("HKMetadataKeySyncVersion") else {
                    panic!("both or neither");
                };
                let before = versions.insert(identifier.to_string(), *version);
                assert_eq!(before.is_some(), *version == 2.0);
                replaced += usize::from(before.is_some());
            }
            assert!(ids.insert(record.id), "{kind}");
            alive.insert(record.id, record);
        }
    }
    assert!(deletions > 1000 && replaced > 400, "{deletions} {replaced}");
}

/// Scenario: a reader has an anchor, then older samples come. Guarantees: back-dated samples, and those of a watch
/// that was away, lie after anchors of later times (and so a cursor by time would miss them).
#[tokio::test]
async fn late_and_back_dated_samples_come_after_the_anchor() {
    let quiet = Config { edits: 0.0, deletions: 0.0, replacements: 0.0, ..config(9, 20, 1) };
    let lateness = |records: &[Record]| {
        let mut newest = i64::MIN;
        let mut late: Vec<i64> = Vec::new();
        for record in records {
            late.push(newest.saturating_sub(record.start.as_micros()));
            newest = newest.max(record.start.as_micros());
        }
        late
    };
    let hours = |hours: i64| hours * 3_600_000_000;
    let back_dated = store(Config { late: 0.0, back_dated: 0.5, ..quiet.clone() });
    let late = lateness(&all(&back_dated, "BodyMass").await);
    assert!(late.iter().any(|late| *late > hours(24)), "no sample is days old");
    let bursts = store(Config { late: 1.0, back_dated: 0.0, ..quiet.clone() });
    let records = all(&bursts, "StepCount").await;
    let late = lateness(&records);
    let from_watch = |index: &usize| device(&records[*index]) == "Apple Watch";
    let behind: Vec<usize> = (0..late.len()).filter(|index| late[*index] > hours(2)).collect();
    assert!(behind.len() > 20 && behind.iter().all(from_watch));
    let punctual = lateness(&all(&store(Config { late: 0.0, back_dated: 0.0, ..quiet }), "HeartRate").await);
    assert!(punctual.iter().all(|late| *late <= 0));
}

/// Scenario: deletions older than three days are purged. Guarantees: neither they nor what they deleted is there;
/// everything else is, in its order.
#[tokio::test]
async fn purged_tombstones_are_gone() {
    let busy = Config { edits: 0.2, deletions: 0.1, replacements: 0.1, ..config(4, 30, 2) };
    let whole = all(&store(busy.clone()), "HeartRate").await;
    let purging = Config { purge: Span(Duration::from_secs(5 * 86_400)), ..busy };
    let purged = all(&store(purging.clone()), "HeartRate").await;
    let dead: HashSet<RecordId> =
        whole.iter().filter(|record| record.is_deletion()).map(|record| record.id).collect();
    let left: HashSet<RecordId> =
        purged.iter().filter(|record| record.is_deletion()).map(|record| record.id).collect();
    assert!(dead.len() > left.len() + 100 && left.len() > 10, "{} {}", dead.len(), left.len());
    let expected = whole.iter().filter(|record| !dead.contains(&record.id) || left.contains(&record.id));
    assert!(purged.iter().eq(expected));
    let (again, anchors) = read(&store(purging.clone()), kind("HeartRate"), None, 3).await;
    assert!(again == purged);
    let (taken, anchor) = anchors[anchors.len() / 2].clone();
    assert!(read(&store(purging), kind("HeartRate"), Some(anchor), 1024).await.0 == purged[taken..]);
}

/// Scenario: types that may not be read. Guarantees: they look empty, and nothing else does.
#[tokio::test]
async fn denied_types_look_empty() {
    let store = store(Config { denied: vec!["HeartRate".to_owned()], ..config(1, 2, 1) });
    let page = page(&store, kind("HeartRate"), None, 100).await;
    assert!(page.is_empty() && !page.more);
    assert!(store.kinds().contains(&kind("HeartRate")));
    assert!(!all(&store, "StepCount").await.is_empty());
}

/// Scenario: all types, a few people, some months. Guarantees: every type that the store lists has samples, in its
/// own form and unit; only characteristics and CDA documents are not listed.
#[tokio::test]
async fn every_type_is_made() {
    let store = store(Config { density: 0.2, ..config(2, 60, 4) });
    let kinds = store.kinds();
    let left_out = Kind::all().filter(|kind| !kinds.contains(kind)).collect::<Vec<_>>();
    assert_eq!(left_out.len(), 7, "{left_out:?}");
    for kind in kinds {
        let records = read(&store, kind, None, 10_000).await.0;
        assert!(!records.is_empty(), "{kind}");
        for record in added(&records) {
            assert!(record.start <= record.end && record.zone.is_some() && record.origin.is_some(), "{kind}");
            match &record.value {
                Value::Quantity(value, unit) => {
                    assert!(value.is_finite() && unit.fits(kind) == Some(true), "{kind} {unit}");
                }
                Value::Category(value) => {
                    let values = kind.info().unwrap().value_enum;
                    assert!(
                        values.is_none_or(|name| category::name_of(name, *value).is_some()),
                        "{kind} {value}"
                    );
                }
                value => assert!(!kind.is_quantity() && !kind.is_category(), "{kind} {value:?}"),
            }
        }
    }
}

/// Scenario: blood pressure, as correlation and as the two types of its parts. Guarantees: the samples inside are
/// the samples outside, ids included.
#[tokio::test]
async fn a_blood_pressure_is_three_objects() {
    let store = store(config(8, 30, 2));
    let mut parts: Vec<Record> = all(&store, "BloodPressureSystolic").await;
    parts.extend(all(&store, "BloodPressureDiastolic").await);
    let correlations = all(&store, "BloodPressure").await;
    assert!(correlations.len() > 10 && parts.len() == 2 * correlations.len());
    for record in &correlations {
        let Value::Correlation(correlation) = &record.value else { panic!("a correlation") };
        let [systolic, diastolic] = &correlation.samples[..] else { panic!("two samples") };
        assert!(parts.contains(systolic) && parts.contains(diastolic));
        assert!(number(systolic) > number(diastolic));
    }
}

/// Scenario: workouts. Guarantees: statistics that fit, and a heart that beats faster during one.
#[tokio::test]
async fn workouts_have_statistics() {
    let store = store(config(7, 30, 2));
    let rates = all(&store, "HeartRate").await;
    let workouts = all(&store, "Workout").await;
    assert!(workouts.len() > 5);
    for record in &workouts {
        let Value::Workout(workout) = &record.value else { panic!("a workout") };
        assert!(
            workout.statistics.len() >= 2
                && workout.statistics.iter().all(|one| one.unit.fits(one.kind) == Some(true))
        );
        let during = |rate: &&Record| {
            device(rate) == "Apple Watch"
                && rate.subject == record.subject
                && rate.start >= record.start
                && rate.start < record.end
        };
        assert!(added(&rates).filter(during).all(|rate| number(rate) > 95.0));
    }
}

/// Scenario: a phone that is locked each night, at `max`, killed in the middle. Guarantees: each lock is one
/// `Waiting`, never an empty answer; after a kill the anchor restores the time; nothing is lost.
#[tokio::test]
async fn a_lock_is_waiting_once_and_then_the_unlock() {
    let nightly = Config { lock: Span(Duration::from_secs(7 * 3600)), ..config(6, 10, 2) };
    let steps = kind("StepCount");
    let drain = async |store: &MockStore, mut anchor: Option<Anchor>, until: usize| {
        let (mut records, mut locks) = (Vec::new(), 0);
        loop {
            match store.changes(steps, anchor.as_ref(), 50).await {
                Ok(Changes::Page(page)) => {
                    records.extend(page.added);
                    records.extend(page.deleted);
                    anchor = Some(page.anchor);
                    if !page.more || records.len() >= until {
                        return (records, locks, anchor);
                    }
                }
                Ok(Changes::AnchorUnknown) => panic!("an anchor of this store"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Waiting);
                    locks += 1;
                }
            }
        }
    };
    let (whole, locks, _) = drain(&store(nightly.clone()), None, usize::MAX).await;
    assert!((10..=13).contains(&locks), "{locks}");
    let (mut first, before, anchor) = drain(&store(nightly.clone()), None, whole.len() / 2).await;
    let (rest, after, _) = drain(&store(nightly.clone()), anchor, usize::MAX).await;
    first.extend(rest);
    assert!(first == whole);
    assert!((locks..=locks + 1).contains(&(before + after)));
    // Time has passed all locks: another type meets none.
    let again = store(nightly);
    drain(&again, None, usize::MAX).await;
    assert!(!all(&again, "HeartRate").await.is_empty());
}

/// Scenario: anchors of another store, cut ones, and one beyond the end. Guarantees: each is refused as such, none
/// is misread.
#[tokio::test]
async fn other_stores_anchors_are_refused() {
    let (one, other) = (store(config(1, 3, 1)), store(config(2, 3, 1)));
    let steps = kind("StepCount");
    let anchor = page(&one, steps, None, 10).await.anchor;
    let cut = Anchor::new(&anchor.as_bytes()[..10]);
    let mut beyond = anchor.as_bytes().to_vec();
    beyond[9] = 0xff;
    for (store, anchor) in
        [(&other, anchor), (&one, cut), (&one, Anchor::new(beyond)), (&one, Anchor::new([]))]
    {
        assert_eq!(store.changes(steps, Some(&anchor), 10).await.unwrap(), Changes::AnchorUnknown);
    }
}

fn fast(config: Config) -> Config {
    Config { speed: Speed::Factor(3600.0), ..config }
}

/// Scenario: mock time runs, an hour a second, under a paused clock. Guarantees: samples appear as time passes,
/// each wake comes with something to read, steps wake hourly at most.
#[tokio::test(start_paused = true)]
async fn time_passes_and_wakes() {
    let store = store(fast(config(7, 2, 1)));
    let (heart, steps) = (kind("HeartRate"), kind("StepCount"));
    assert!(page(&store, heart, None, 100).await.is_empty());
    let mut wakes = store.observe(&[heart, steps]).await.unwrap();
    let first = wakes.next().await.unwrap();
    assert_eq!(first.kinds, Some(vec![heart, steps]), "the handler is called once at the start");
    let mut anchor = None;
    let mut read = 0;
    for _ in 0..40 {
        let wake = wakes.next().await.unwrap();
        if wake.kinds.as_ref().unwrap().contains(&heart) {
            loop {
                let page = page(&store, heart, anchor.as_ref(), 1000).await;
                read += page.len();
                anchor = Some(page.anchor);
                if !page.more {
                    break;
                }
            }
        }
        wake.completion.complete();
    }
    assert!(read > 350, "{read}");
    let again = tests::store(fast(config(7, 2, 1)));
    let page = page(&again, heart, anchor.as_ref(), 100).await;
    assert!(page.is_empty(), "the anchor restores the time, and not more than that");
}

/// Scenario: an app that never completes its wakes, then observes again; one that takes its time; one that was
/// swiped away. Guarantees: three strikes end the wakes until the store is observed again, force-quit after the
/// first.
#[tokio::test(start_paused = true)]
async fn three_strikes_end_the_wakes() {
    let steps = kind("StepCount");
    let config = Config { speed: Speed::Factor(60.0), ..config(7, 30, 1) };
    // Sixty hours of mock time.
    let patience = Duration::from_secs(3600);
    let count = async |store: &MockStore| {
        let mut wakes = store.observe(&[steps]).await.unwrap();
        let mut held = Vec::new();
        while let Ok(Some(wake)) = tokio::time::timeout(patience, wakes.next()).await {
            held.push(wake);
            if held.len() > 20 {
                break;
            }
        }
        held.len()
    };
    let lazy = store(config.clone());
    assert_eq!(count(&lazy).await, 3);
    assert_eq!(count(&lazy).await, 3, "observed again");
    assert_eq!(count(&store(Config { force_quit: true, ..config.clone() })).await, 1);
    let diligent = store(config);
    let mut wakes = diligent.observe(&[steps]).await.unwrap();
    for _ in 0..20 {
        tokio::time::timeout(patience, wakes.next()).await.unwrap().unwrap().completion.complete();
    }
}

/// Scenario: wakes without a change, and wakes that are held back. Guarantees: the knobs do what they say, and what
/// is held back comes with the next.
#[tokio::test(start_paused = true)]
async fn spurious_and_coalesced_wakes() {
    let kinds = [kind("StepCount"), kind("HeartRate")];
    let base = fast(config(7, 3, 1));
    let wakes = async |config: Config| {
        let store = store(config);
        let mut wakes = store.observe(&kinds).await.unwrap();
        let mut seen = 0;
        // Three days in 72 s.
        while let Ok(Some(wake)) = tokio::time::timeout(Duration::from_secs(200), wakes.next()).await {
            wake.completion.complete();
            seen += 1;
        }
        seen
    };
    let plain = wakes(base.clone()).await;
    assert!(wakes(Config { spurious: 1.0, ..base.clone() }).await > plain + 20);
    // Two types, on three days and in the hours after them.
    assert!(wakes(Config { frequency: Frequency::Daily, ..base.clone() }).await <= 1 + 2 * 5);
    let held = wakes(Config { coalesced: 0.9, ..base }).await;
    assert!(held > 0 && held <= plain, "{held} {plain}");
}

/// Scenario: a phone locked each night while time runs. Guarantees: reads fail while it is locked, but for the ten
/// minutes after the lock; the unlock wakes.
#[tokio::test(start_paused = true)]
async fn the_unlock_wakes() {
    let config = Config { lock: Span(Duration::from_secs(7 * 3600)), ..fast(config(7, 3, 1)) };
    let store = store(config);
    let steps = kind("StepCount");
    let mut wakes = store.observe(&[steps]).await.unwrap();
    wakes.next().await.unwrap();
    // 22:05 on the first day, then 22:20.
    sleep(Duration::from_millis(22_083)).await;
    assert!(store.changes(steps, None, 10).await.is_ok());
    sleep(Duration::from_millis(250)).await;
    assert_eq!(store.changes(steps, None, 10).await.unwrap_err().kind(), ErrorKind::Waiting);
    let began = instant();
    while instant() == began {
        // What is due from before the lock comes at once.
        wakes.next().await.unwrap().completion.complete();
    }
    assert!(store.changes(steps, None, 10).await.is_ok());
}

/// Scenario: configurations that can't be. Guarantees: each is told by its key, with what was expected; keys
/// without effect only warn.
#[test]
fn configurations_are_checked() {
    let problems = |change: fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        config.check().into_iter().map(|one| (one.key_path.join("."), one.warning)).collect::<Vec<_>>()
    };
    assert_eq!(problems(|_| {}), []);
    assert_eq!(problems(|config| config.days = 0), [("days".to_owned(), false)]);
    assert_eq!(problems(|config| config.users = MAX_USERS + 1), [("users".to_owned(), false)]);
    assert_eq!(problems(|config| config.density = f64::NAN), [("density".to_owned(), false)]);
    assert_eq!(problems(|config| config.late = 1.5), [("late".to_owned(), false)]);
    assert_eq!(
        problems(|config| config.lock = Span(Duration::from_secs(86_400))),
        [("lock".to_owned(), false)]
    );
    assert_eq!(problems(|config| config.denied = vec!["HartRate".into()]), [("denied.0".to_owned(), false)]);
    assert_eq!(problems(|config| config.speed = Speed::Factor(-1.0)), [("speed".to_owned(), false)]);
    assert_eq!(problems(|config| config.spurious = 0.5), [("spurious".to_owned(), true)]);
    assert!(MockStore::new(Config { users: 0, ..Config::default() }).is_err());
    assert!("2025-13-01".parse::<Day>().is_err() && "2025-02-28".parse::<Day>().is_ok());
}
