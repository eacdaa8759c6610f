//! A state machine: any operations, with any faults, against a list in memory.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Sync,
    Truncate(f64),
    Trim(f64),
    /// The process ends; `true`: its owner knows where it was synced.
    Crash(bool),
    PowerLoss(u64, bool),
    Fault(Option<Op>, u64, Fault),
    Read,
    Capacity(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let op = prop_oneof![
        Just(None),
        prop::sample::select(vec![
            Op::Open,
            Op::Read,
            Op::Write,
            Op::SetLen,
            Op::Sync,
            Op::Remove,
            Op::SyncDir,
            Op::List,
            Op::Info,
        ])
        .prop_map(Some)
    ];
    let fault = prop::sample::select(vec![Fault::Io, Fault::Full, Fault::Halt]);
    prop_oneof![
        12 => (0_usize..1500).prop_map(Step::Append),
        1 => (3000_usize..12_000).prop_map(Step::Append),
        5 => Just(Step::Sync),
        2 => (0.0..=1.0).prop_map(Step::Truncate),
        1 => Just(Step::Truncate(1.0)),
        2 => (0.0..=1.0).prop_map(Step::Trim),
        1 => Just(Step::Trim(1.0)),
        1 => any::<bool>().prop_map(Step::Crash),
        2 => (any::<u64>(), any::<bool>()).prop_map(|(seed, known)| Step::PowerLoss(seed, known)),
        3 => (op, 0_u64..6, fault).prop_map(|(op, n, fault)| Step::Fault(op, n, fault)),
        2 => Just(Step::Read),
        1 => (1_u64..40).prop_map(|blocks| Step::Capacity(blocks << 12)),
    ]
}

fn run(seed: u64, steps: &[Step]) {
    let mut subject = Subject::new(seed);
    for (at, step) in steps.iter().enumerate() {
        let what = format!("seed {seed}, step {at}, {step:?}");
        let done = match step {
            Step::Append(len) => subject.append(*len),
            Step::Sync => subject.sync(),
            Step::Truncate(part) => subject.truncate(*part),
            Step::Trim(part) => subject.trim(*part),
            Step::Crash(known) => {
                subject.disk.heal();
                subject.reopen(*known, &what);
                Ok(())
            }
            Step::PowerLoss(seed, known) => {
                subject.disk = subject.disk.power_loss(*seed);
                subject.reopen(*known, &what);
                Ok(())
            }
            Step::Fault(op, n, fault) => {
                subject.disk.fail(*op, *n, *fault);
                Ok(())
            }
            Step::Read => {
                subject.check(&what);
                Ok(())
            }
            Step::Capacity(bytes) => {
                let more = subject.disk.used() + bytes;
                subject.disk.set_capacity(Some(more));
                Ok(())
            }
        };
        if let Err(error) = done {
            assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{what}: {error:?}");
            // A log that was given up must be opened again; one that was not may be used on, or not.
            let is_given_up = subject.log.sync().is_err_and(|error| error.message().contains("given up"));
            subject.disk.set_capacity(None);
            if is_given_up || subject.random.chance(0.5) {
                subject.disk.heal();
                subject.reopen(true, &what);
            } else {
                subject.synced = subject.log.synced();
                subject.in_doubt = None;
                assert_eq!(
                    subject.log.end().number(),
                    subject.entries.len() as u64,
                    "{what}: it is as it was"
                );
            }
        }
    }
    subject.disk = subject.disk.power_loss(seed);
    subject.reopen(true, "at the end");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    /// Scenario: any sequence of appends, syncs, cuts, trims, crashes, power losses, full disks and failing operations,
    /// against a list in memory. Guarantees: G1, G2, G5 and G7: what was synced is there and equal, what is there
    /// beyond is a prefix of what was appended, positions keep their meaning, the bound on bytes holds, and no damage is
    /// reported where there is none.
    #[test]
    fn a_log_is_a_list(seed in any::<u64>(), steps in prop::collection::vec(step(), 1..60)) {
        run(seed, &steps);
    }
}
