//! The gate: rates, and the circuit breaker.

use std::time::Duration;

use afferent_core::{
    Name,
    clock::{self, Instant},
    config::Span,
    event::{EventKind, Events},
    random::Random,
};
use futures::future::join_all;

use crate::upload::{Rate, gate::Gate, metrics::Metrics};

fn gate(rate: Option<Rate>) -> (Gate, tokio::sync::broadcast::Receiver<afferent_core::event::Event>) {
    let (events, heard) = Events::alone(Name::from("test"));
    let (pipeline, sink) = (Name::from("test"), Name::from("sink"));
    let metrics = Metrics::new(&pipeline, &sink);
    (
        Gate::new(
            rate,
            Random::from_seed(1),
            events.stage(sink),
            metrics,
            ("the receiver".to_owned(), "renew them"),
        ),
        heard,
    )
}

/// Scenario: lanes that send as often as they may, with pauses of any length between bursts. Guarantees: never more than
/// a full bucket and what flows in meanwhile, and no fewer than that when there is enough to send.
#[tokio::test(start_paused = true)]
async fn a_rate_is_never_exceeded() {
    for seed in 0..40 {
        let mut random = Random::from_seed(seed);
        let requests = 1 + random.below(20) as u32;
        let per = Duration::from_millis(1 + random.below(3000));
        let (gate, _heard) = gate(Some(Rate { requests, per: Span(per) }));
        let mut passed: Vec<Instant> = Vec::new();
        for _ in 0..20 {
            let lanes = (0..1 + random.below(30)).map(|_| async {
                gate.pass().await.answered();
                clock::instant()
            });
            passed.extend(join_all(lanes).await);
            clock::sleep(Duration::from_millis(random.below(2 * per.as_millis() as u64))).await;
        }
        passed.sort_unstable();
        let many = requests as usize;
        for window in passed.windows(2 * many + 1) {
            let took = window[2 * many].duration_since(window[0]);
            assert!(took >= per, "seed {seed}: {} attempts in {took:?}, {requests} in {per:?}", 2 * many + 1);
        }
        let began = clock::instant();
        for _ in 0..10 * many {
            gate.pass().await.answered();
        }
        let took = clock::instant().duration_since(began);
        assert!(took <= 10 * (per + Duration::from_millis(2 * u64::from(requests))), "seed {seed}: {took:?}");
    }
}

/// Scenario: a receiver is away, then comes back, while eight lanes want to send. Guarantees: G6 and G7, after five failures
/// one attempt at a time is made, at most 8 s apart, also when a probe is dropped; one alarm; when it answers all go on.
#[tokio::test(start_paused = true)]
async fn the_circuit_breaker_probes_and_heals() {
    let (gate, mut heard) = gate(None);
    for failures in 0..5 {
        assert!(!gate.is_open(), "after {failures} failures");
        gate.pass().await.unavailable("scripted", None);
    }
    assert!(gate.is_open());
    for probe in 0..20 {
        let began = clock::instant();
        let pass = gate.pass().await;
        let waited = clock::instant().duration_since(began);
        assert!(waited <= Duration::from_secs(8), "probe {probe}: {waited:?}");
        // While it is under way nobody else may.
        let others = join_all((0..7).map(|_| gate.pass()));
        assert!(tokio::time::timeout(Duration::from_secs(60), others).await.is_err(), "probe {probe}");
        match probe % 4 {
            0 => drop(pass),
            _ => pass.unavailable("scripted", None),
        }
    }
    gate.pass().await.answered();
    assert!(!gate.is_open());
    let began = clock::instant();
    let all = join_all((0..8).map(|_| gate.pass())).await;
    assert_eq!(clock::instant(), began, "nobody waits");
    all.into_iter().for_each(|pass| pass.answered());
    let mut alarms = 0;
    while let Ok(event) = heard.try_recv() {
        alarms += u32::from(matches!(event.kind, EventKind::Alarm { .. }));
    }
    assert_eq!(alarms, 1);
}
