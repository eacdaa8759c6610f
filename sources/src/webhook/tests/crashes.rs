//! Power loss and kills at any moment.

use std::collections::BTreeSet;

use afferent_core::{
    random::Random,
    testing::{Fault, SimDisk},
};
use serde_json::json;

use super::*;

/// Scenario: senders post bodies under ids and repeat what was not acknowledged; the source is pulled and committed now and
/// then; the disk fails, is full, or loses power at random moments. Guarantees: G1, G2, G3, G5: every body that was answered
/// with 2xx comes out, and by identity once, whatever was lost; bodies come out in the order in which they were stored.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives() {
    for seed in 0..30 {
        println!("seed {seed}");
        let mut random = Random::from_seed(seed);
        let small = json!({ "max_bytes": "1MiB", "max_body": "64KiB" });
        let mut world = World::on(SimDisk::new(seed), small).await;
        // What a receiver has, and what the checkpoint says it has.
        let (mut given, mut saved): (Vec<u64>, _) = (Vec::new(), (None, 0));
        let (mut acknowledged, mut open, mut next) = (BTreeSet::new(), Vec::new(), 0_u64);
        for _ in 0..12 {
            for _ in 0..random.below(6) {
                open.push(next);
                next += 1;
            }
            if random.chance(0.4) {
                let fault = [Fault::Io, Fault::Halt, Fault::Full][random.below(3) as usize];
                world.disk.fail(None, random.below(12), fault);
            }
            let client = world.client().await;
            let body = |number: u64| {
                let padding = " ".repeat((number % 7) as usize * 3000);
                post(format!("[{}{padding}]", record(number))).with("webhook-id", format!("msg_{number}"))
            };
            let posts = open.iter().map(|number| client.try_send(body(*number)));
            let answers = futures::future::join_all(posts).await;
            for (number, got) in open.clone().into_iter().zip(answers) {
                if got.is_some_and(|got| got.status == 202) {
                    acknowledged.insert(number);
                    open.retain(|open| *open != number);
                }
            }
            // Repeats of what was acknowledged long ago are stored by nobody.
            if let Some(old) = acknowledged.iter().next().copied()
                && random.chance(0.5)
            {
                client.try_send(body(old)).await;
            }
            world.disk.heal();
            if random.chance(0.7) {
                let pulled = pull_some(&mut world).await;
                given.extend(pulled);
                if random.chance(0.7) {
                    world.commit();
                    saved = (world.position.clone(), given.len());
                }
            }
            match random.below(4) {
                0 => {
                    (world.position, given) = (saved.0.clone(), given[..saved.1].to_vec());
                    world.lose_power(random.u64()).await;
                }
                1 => {
                    (world.position, given) = (saved.0.clone(), given[..saved.1].to_vec());
                    world.reopen().await;
                }
                _ => {}
            }
        }
        (world.position, given) = (saved.0.clone(), given[..saved.1].to_vec());
        world.lose_power(seed).await;
        given.extend(world.drain().await);
        let distinct: BTreeSet<u64> = given.iter().copied().collect();
        assert_eq!(distinct.len(), given.len(), "seed {seed}: one twice in {given:?}");
        let lost: Vec<_> = acknowledged.difference(&distinct).collect();
        assert!(lost.is_empty(), "seed {seed}: {lost:?} were acknowledged and are lost");
        assert!(!acknowledged.is_empty(), "seed {seed}: something was acknowledged");
    }
}

/// Pulls until the source is drained, through what heals.
async fn pull_some(world: &mut World) -> Vec<u64> {
    let mut all = Vec::new();
    loop {
        match afferent_core::Source::next(world.source.as_mut().unwrap()).await {
            Ok(pulled) => {
                let pulled = pulled.unwrap();
                world.pulls += 1;
                world.position = Some(pulled.position.clone());
                all.extend(numbers(&pulled.batch));
                if pulled.is_drained() {
                    return all;
                }
            }
            Err(error) => {
                assert!(matches!(error.kind(), afferent_core::ErrorKind::Transient { .. }), "{error}")
            }
        }
    }
}

/// Scenario: a kill between the frame of a body and the block that its id goes to: the block never comes, comes in part, or its
/// log is lost altogether while the frames are there. Guarantees: G2, the frame is the truth: the id is known again.
#[tokio::test(flavor = "multi_thread")]
async fn the_frame_is_the_truth() {
    let mut world = World::new(json!({})).await;
    let body = |number: u64| post(array([number])).with("webhook-id", format!("msg_{number}"));
    for number in 0..50 {
        assert_eq!(world.client().await.send(body(number)).await.status, 202);
    }
    for seed in 0..5 {
        world.lose_power(seed).await;
        for number in 0..50 {
            assert_eq!(world.client().await.send(body(number)).await.status, 202);
        }
    }
    world.close().await;
    for path in afferent_core::disk::Disk::list(&world.disk, "/state/source/ids".as_ref()).unwrap() {
        afferent_core::disk::Disk::remove(&world.disk, &path).unwrap();
    }
    world.open().await;
    for number in 0..50 {
        assert_eq!(world.client().await.send(body(number)).await.status, 202);
    }
    assert_eq!(world.drain().await, (0..50).collect::<Vec<_>>());
}
