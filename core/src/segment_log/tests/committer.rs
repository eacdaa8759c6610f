//! Tests of group commit.

use futures::{StreamExt, stream::FuturesUnordered};

use super::*;
use crate::blocking::Blocking;

/// Scenario: 500 tasks append at the same time. Guarantees: G1, each is answered after a sync that covers its entry, and
/// they share syncs.
#[tokio::test(flavor = "multi_thread")]
async fn many_share_a_sync() {
    let disk = SimDisk::new(1);
    let limits = LogLimits::new(16 << 20);
    let (log, _) =
        SegmentLog::open(disk.shared(), &directory(), limits, None, &mut Random::from_seed(1)).unwrap();
    let committer = Committer::new(log, Blocking::new());
    let before = disk.operations(Some(Op::Sync));
    let appends: FuturesUnordered<_> = (0..500)
        .map(|serial| {
            let (committer, disk) = (committer.clone(), disk.clone());
            async move {
                let appended = committer.append(payload(serial, 300)).await.unwrap();
                let Appended::At(position) = appended else { panic!("there is room") };
                // What is answered survives: the power fails at this moment.
                if serial % 50 == 0 {
                    let (log, _) = SegmentLog::open(
                        disk.power_loss(serial).shared(),
                        &directory(),
                        limits,
                        None,
                        &mut Random::from_seed(2),
                    )
                    .unwrap();
                    assert_eq!(read_from(&log, position).0[&position.number()], payload(serial, 300));
                }
                position.number()
            }
        })
        .collect();
    let mut numbers: Vec<u64> = appends.collect().await;
    numbers.sort_unstable();
    assert_eq!(numbers, (0..500).collect::<Vec<_>>());
    let syncs = disk.operations(Some(Op::Sync)) - before;
    assert!((1..=250).contains(&syncs), "{syncs} syncs for 500 entries");
    let synced = committer.with(|log| log.synced()).await.unwrap();
    assert_eq!(synced.number(), 500);
}

/// Scenario: the sync of a group fails. Guarantees: G1, everyone in it is told, and everyone after it, until the log is
/// opened again.
#[tokio::test]
async fn a_failed_sync_is_told_to_all() {
    let disk = SimDisk::new(2);
    let (log, _) = open(&disk, None).unwrap();
    disk.fail(Some(Op::Sync), 0, Fault::Io);
    let committer = Committer::new(log, Blocking::new());
    let appends = (0..20).map(|serial| committer.append(payload(serial, 30)));
    for answer in futures::future::join_all(appends).await {
        assert!(matches!(answer.unwrap_err().kind(), ErrorKind::Transient { .. }));
    }
    assert!(committer.append(vec![1]).await.unwrap_err().message().contains("open it again"));
}

/// Scenario: a log that is full, and one entry that is too long, among others. Guarantees: G11, each is answered for
/// itself.
#[tokio::test]
async fn each_entry_has_its_own_answer() {
    let disk = SimDisk::new(3);
    let (log, _) = open(&disk, None).unwrap();
    let most = log.max_entry_bytes() as usize;
    let committer = Committer::new(log, Blocking::new());
    let lens = [5000, most + 1, most, 100, 100];
    let answers = futures::future::join_all(lens.map(|len| committer.append(vec![7; len]))).await;
    assert!(matches!(answers[0], Ok(Appended::At(_))));
    assert_eq!(answers[1].as_ref().unwrap_err().kind(), ErrorKind::Data);
    assert!(matches!(answers[2], Ok(Appended::Full)));
    assert!(matches!(answers[3], Ok(Appended::At(_))));
    let end = committer.with(|log| log.trim(log.end()).map(|()| log.end())).await.unwrap().unwrap();
    assert_eq!(end.number(), 3);
}

/// Scenario: a log is closed while tasks append to it, and opened again. Guarantees: G1, what was answered is there, nothing
/// is written to the closed one afterwards, and whoever comes late is told to open it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_log_takes_nothing() {
    for seed in 0..20 {
        let disk = SimDisk::new(seed);
        let (log, _) = open(&disk, None).unwrap();
        let committer = Committer::new(log, Blocking::new());
        let appends: Vec<_> = (0..50)
            .map(|serial| {
                let committer = committer.clone();
                #[allow(clippy::disallowed_methods, reason = "tasks that append at the same time")]
                tokio::spawn(async move { committer.append(payload(serial, 300)).await })
            })
            .collect();
        committer.close().await.unwrap();
        let writes = disk.operations(Some(Op::Write));
        let mut taken = 0;
        for append in appends {
            match append.await.unwrap() {
                Ok(_) => taken += 1,
                Err(error) => assert!(error.message().contains("open it again"), "{error}"),
            }
        }
        assert!(committer.append(vec![1]).await.is_err() && committer.with(|_| ()).await.is_err());
        assert_eq!(disk.operations(Some(Op::Write)), writes, "seed {seed}");
        let (log, _) = open(&disk, None).unwrap();
        assert_eq!(log.end().number(), taken, "seed {seed}");
    }
}
