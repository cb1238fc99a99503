//! Fair turns between tenants: the bound on waiting, weights, exact caps, and batches a node does not know.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use yakin_engine::operate::switches::{Share, share};
use yakin_engine::outcome::Done;
use yakin_engine::queue::claim;
use yakin_engine::queue::settle::{Settlement, settle};
use yakin_engine::tx::Tx;
use yakin_testkit::{World, act};

use crate::common::until;
use crate::lanes::{
    BATCH, LANES_HOLD, claim_batches, claim_some, empty_world, enqueue, enqueue_as, finish,
};

/// Others' jobs claimed before the job of a tenant that enters late.
async fn waited_for(world: &World, size: i32, newcomer: i64) -> usize {
    enqueue(world, newcomer, 1).await;
    let mut others = 0;
    loop {
        let jobs = claim_some(world, size).await;
        assert!(!jobs.is_empty(), "the newcomer's job was never claimed");
        if let Some(place) = jobs.iter().position(|j| j.tenant == newcomer) {
            return others + place;
        }
        others += jobs.len();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_k_tenants_waiting_none_waits_for_more_than_k_claims() {
    for (k, size) in [(2, 16), (5, 16), (40, 16), (12, 1)] {
        let world = empty_world().await;
        enqueue(&world, 1, 10_000).await;
        for tenant in 2..k {
            enqueue(&world, tenant, 200).await;
        }
        // not from the first moment: the big tenant has had its turns
        for _ in 0..20 {
            claim_some(&world, size).await;
        }
        let others = waited_for(&world, size, 999).await;
        let bound = k as usize * size as usize;
        assert!(others <= bound, "{k} tenants, claims of {size}: {others} jobs before it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_was_idle_has_no_claim_on_the_time_it_was_idle() {
    let world = empty_world().await;
    enqueue(&world, 2, 1).await;
    claim_some(&world, 1).await;
    enqueue(&world, 1, 300).await;
    for _ in 0..100 {
        claim_some(&world, 1).await;
    }
    // tenant 2 comes back with many: it shares from now on, it does not catch up
    enqueue(&world, 2, 300).await;
    let mut served = [0, 0];
    for _ in 0..40 {
        served[claim_some(&world, 1).await[0].tenant as usize - 1] += 1;
    }
    assert_eq!(served, [20, 20]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_ran_empty_remembers_no_turns() {
    let world = empty_world().await;
    enqueue(&world, 1, 120).await;
    let done = claim_some(&world, 120).await;
    finish(&world, &done).await;
    // a newcomer comes first, with many; whoever had its turns yesterday has the second one today
    enqueue(&world, 2, 50).await;
    enqueue(&world, 1, 1).await;
    let turns = [claim_some(&world, 1).await, claim_some(&world, 1).await].concat();
    assert_eq!(turns.iter().map(|j| j.tenant).max(), Some(2));
    assert_eq!(turns.iter().map(|j| j.tenant).min(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_at_its_cap_holds_nobodys_turn_back() {
    let world = empty_world().await;
    enqueue(&world, 1, 20).await;
    world.sql("UPDATE yakin.lanes SET cap = 1 WHERE tenant_id = 1").await;
    assert_eq!(claim_some(&world, 1).await[0].tenant, 1);
    enqueue(&world, 2, 150).await;
    for _ in 0..100 {
        claim_some(&world, 1).await;
    }
    // tenant 1 stands at its cap, far behind; tenant 3 takes its turns beside tenant 2
    enqueue(&world, 3, 30).await;
    let mut served = [0, 0, 0];
    for _ in 0..20 {
        served[claim_some(&world, 1).await[0].tenant as usize - 1] += 1;
    }
    assert_eq!(served, [0, 10, 10]);
}

/// Jobs of tenant 1 among the first `total` claimed, where tenants 1 to `k` have many and tenant 1 has that weight.
async fn share_of_heavy(k: i64, weight: i32, total: usize) -> f64 {
    let world = empty_world().await;
    for tenant in 1..=k {
        enqueue(&world, tenant, total).await;
    }
    world.sql(&format!("UPDATE yakin.lanes SET weight = {weight} WHERE tenant_id = 1")).await;
    let (mut heavy, mut all) = (0, 0);
    while all < total {
        let jobs = claim_some(&world, 16).await;
        all += jobs.len();
        heavy += jobs.iter().filter(|j| j.tenant == 1).count();
    }
    heavy as f64 / all as f64
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_divide_the_turns() {
    for (k, weight) in [(2, 3), (16, 15), (20, 5)] {
        let share = share_of_heavy(k, weight, 960).await;
        let fair = f64::from(weight) / f64::from(weight + k as i32 - 1);
        assert!(
            (share - fair).abs() < 0.05,
            "{k} tenants, weight {weight}: {share:.3}, not {fair:.3}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_is_exact_with_many_claimers_at_once() {
    let world = Arc::new(empty_world().await);
    enqueue(&world, 1, 200).await;
    enqueue(&world, 2, 200).await;
    world.sql("UPDATE yakin.lanes SET cap = 3 WHERE tenant_id = 1").await;
    let (held, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let claimers: Vec<_> = (0..8)
        .map(|_| {
            let (world, held, most) = (world.clone(), held.clone(), most.clone());
            tokio::spawn(async move {
                let mut done = 0;
                while world.one::<bool>("SELECT EXISTS (SELECT FROM yakin.jobs)").await {
                    let jobs = claim_some(&world, 5).await;
                    let capped = jobs.iter().filter(|j| j.tenant == 1).count();
                    most.fetch_max(
                        held.fetch_add(capped, Ordering::SeqCst) + capped,
                        Ordering::SeqCst,
                    );
                    tokio::task::yield_now().await;
                    held.fetch_sub(capped, Ordering::SeqCst);
                    done += finish(&world, &jobs).await.len();
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for claimer in claimers {
        done += claimer.await.unwrap();
    }
    assert_eq!((done, most.load(Ordering::SeqCst)), (400, 3));
    assert!(world.one::<bool>(LANES_HOLD).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_batches_a_node_does_not_know_are_left_alone_and_hold_nobody_up() {
    let world = empty_world().await;
    // older, of a higher priority, and in a lane before the others': a newer node's batch
    let fields = "'priority', 0, 'batch_id', 'T-NEWER'";
    enqueue_as(&world, 1, 50, fields).await;
    enqueue(&world, 1, 5).await;
    enqueue(&world, 2, 5).await;
    let mut claimed = Vec::new();
    for _ in 0..10 {
        let jobs = claim_some(&world, 1).await;
        assert_eq!(jobs.len(), 1, "after {} jobs", claimed.len());
        claimed.extend(jobs.into_iter().map(|j| j.batch));
    }
    assert!(claimed.iter().all(|b| b == BATCH));
    assert_eq!(claim_some(&world, 16).await.len(), 0);
    // the node that knows them takes them
    assert_eq!(claim_batches(&world, 100, &["T-NEWER"]).await.len(), 50);
    assert!(world.one::<bool>(LANES_HOLD).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_of_unknown_batches_alone_does_not_stop_claims_of_one() {
    let world = empty_world().await;
    for tenant in 1..=30 {
        enqueue_as(&world, tenant, 3, "'priority', 0, 'batch_id', 'T-NEWER'").await;
    }
    enqueue(&world, 99, 20).await;
    for n in 0..20 {
        assert_eq!(claim_some(&world, 1).await.len(), 1, "after {n}");
    }
    // and the waiting lanes did not lose their turn
    let known = vec!["T-NEWER".to_owned(), BATCH.to_owned()];
    enqueue(&world, 99, 100).await;
    let first = claim::claim(&world.pool, "default", 30, world.engine.node, &known).await.unwrap();
    assert_eq!(first.iter().filter(|j| j.batch == "T-NEWER").count(), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_set_while_attempts_end_counts_exactly_those_that_run() {
    let world = empty_world().await;
    enqueue(&world, 1, 20).await;
    let running = claim_some(&world, 4).await;
    let mut ending = Tx::engine(&world.pool).await.unwrap();
    let done = Settlement::done(&running[0], &Done::default(), None);
    assert_eq!(settle(&mut ending, &[done], &[], world.clock.now()).await.unwrap().len(), 1);
    // nobody who claims waits for it
    assert_eq!(claim_some(&world, 2).await.len(), 2);
    let pool = world.pool.clone();
    let capping = async move { share(&pool, "default", 1, Share::Cap(Some(6)), &act()).await };
    let capping = tokio::spawn(capping);
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'advisory'
                                   AND datname = current_database())";
    until(&world, waits).await;
    ending.commit().await.unwrap();
    capping.await.unwrap().unwrap();
    assert!(world.one::<bool>(LANES_HOLD).await);
    assert_eq!(claim_some(&world, 9).await.len(), 1, "five run, six may");
    finish(&world, &running[1..]).await;
    assert!(world.one::<bool>(LANES_HOLD).await);
}
