//! The queue: order within a lane, delays, unique keys, switches, and many hands at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use yakin_engine::operate::switches::{pause, stop_all};
use yakin_engine::outcome::{Cause, Stop};
use yakin_engine::queue::{Job, claim};
use yakin_engine::spec::Queue;
use yakin_testkit::{World, act};

use crate::common::pass_seconds;
use crate::lanes::{LANES_HOLD, claim_some, empty_world, enqueue, enqueue_as, finish, stop};

fn ids(jobs: &[Job]) -> Vec<i64> {
    jobs.iter().map(|j| j.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn within_a_lane_priority_goes_first_then_age() {
    let world = empty_world().await;
    let low = enqueue_as(&world, 1, 2, "'priority', 30").await;
    let medium = enqueue(&world, 1, 2).await;
    assert_eq!(ids(&claim_some(&world, 1).await), medium[..1]);
    let highest = enqueue_as(&world, 1, 1, "'priority', 0").await;
    let order = [&highest[..], &medium[1..], &low[..]].concat();
    let mut claimed = Vec::new();
    for _ in 0..4 {
        claimed.extend(ids(&claim_some(&world, 1).await));
    }
    assert_eq!(claimed, order);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_job_is_not_claimed_before_its_time() {
    let world = empty_world().await;
    let at = "'2026-11-01T01:10:00+09:00'";
    let delayed = enqueue_as(&world, 1, 1, &format!("'priority', 0, 'run_at', {at}")).await;
    pass_seconds(&world, 599);
    assert_eq!(claim::promote(&world.pool, world.clock.now()).await.unwrap(), 0);
    assert_eq!(claim_some(&world, 16).await.len(), 0);
    pass_seconds(&world, 1);
    assert_eq!(claim::promote(&world.pool, world.clock.now()).await.unwrap(), 1);
    assert_eq!(ids(&claim_some(&world, 16).await), delayed);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_job_of_a_key_waits_or_runs_another_is_left_out() {
    let world = empty_world().await;
    let key = "'priority', 20, 'unique_key', 'invoice 7'";
    assert_eq!(enqueue_as(&world, 1, 3, key).await.len(), 1);
    let running = claim_some(&world, 16).await;
    assert_eq!(enqueue_as(&world, 1, 1, key).await.len(), 0);
    assert_eq!(enqueue_as(&world, 2, 1, key).await.len(), 1, "another tenant's key is another key");
    // a retry still counts
    stop(&world, &running, &Stop::retry(Cause::Lost, "x")).await;
    assert_eq!(enqueue_as(&world, 1, 1, key).await.len(), 0);
    claim::promote(&world.pool, world.clock.now()).await.unwrap();
    let again = claim_some(&world, 16).await;
    assert_eq!(finish(&world, &again).await.len(), 2);
    assert_eq!(enqueue_as(&world, 1, 1, key).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_and_a_stopped_system_claim_nothing_until_they_go_on() {
    let world = World::new(vec![yakin_engine::registry::entry::<Known>()]).await;
    enqueue(&world, 1, 2).await;
    let claim = async || world.engine.claim(Queue::Default, 1).await.jobs.len();
    pause(&world.pool, "default", true, &act()).await.unwrap();
    assert_eq!(claim().await, 0);
    pause(&world.pool, "default", false, &act()).await.unwrap();
    assert_eq!(claim().await, 1);
    stop_all(&world.pool, true, &act()).await.unwrap();
    assert_eq!(claim().await, 0);
    stop_all(&world.pool, false, &act()).await.unwrap();
    assert_eq!(claim().await, 1);
    let acts: Vec<String> = sqlx::query_scalar("SELECT action FROM yakin.audit ORDER BY id")
        .fetch_all(&world.database.owner)
        .await
        .unwrap();
    assert_eq!(acts, ["pause", "resume", "stop-all", "resume-all"]);
    let wrong = pause(&world.pool, "defualt", true, &act()).await.unwrap_err().to_string();
    assert!(wrong.contains("did you mean default?"), "{wrong}");
}

crate::common::idle!(Known, crate::lanes::SPEC);

#[tokio::test(flavor = "multi_thread")]
async fn an_enqueue_and_a_claim_at_the_same_instant_leave_no_job_behind_the_cursor() {
    let world = empty_world().await;
    enqueue(&world, 1, 1).await;
    for round in 0..300 {
        let (_, claimed) = tokio::join!(enqueue(&world, 1, 1), claim_some(&world, 2));
        assert!(world.one::<bool>(LANES_HOLD).await, "round {round}");
        // what the claim did not see, the next one sees
        let rest = claim_some(&world, 2).await;
        assert_eq!(claimed.len() + rest.len(), if round == 0 { 2 } else { 1 }, "round {round}");
    }
}

const JOBS: i64 = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn many_hands_enqueue_claim_and_settle_without_deadlock_and_no_job_is_lost() {
    let world = Arc::new(empty_world().await);
    let all_in = Arc::new(AtomicBool::new(false));
    let enqueuers: Vec<_> = (0..4)
        .map(|hand| {
            let world = world.clone();
            tokio::spawn(async move {
                for round in 0..JOBS / 4 / 50 {
                    enqueue_mixed(&world, 50, hand * 7919 + round).await;
                }
            })
        })
        .collect();
    let workers: Vec<_> = (0..6)
        .map(|hand| {
            let (world, all_in) = (world.clone(), all_in.clone());
            tokio::spawn(async move { work_down(&world, &all_in, hand).await })
        })
        .collect();
    let (watched, over) = (world.clone(), Arc::new(AtomicBool::new(false)));
    let until = over.clone();
    let watcher = tokio::spawn(async move {
        while !until.load(Ordering::SeqCst) {
            assert!(watched.one::<bool>(LANES_HOLD).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    for enqueuer in enqueuers {
        enqueuer.await.unwrap();
    }
    all_in.store(true, Ordering::SeqCst);
    for worker in workers {
        worker.await.unwrap();
    }
    over.store(true, Ordering::SeqCst);
    watcher.await.unwrap();
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.jobs").await, 0);
    let done = "SELECT count(DISTINCT job_id) FROM yakin.job_history WHERE outcome = 'done'";
    assert_eq!(world.one::<i64>(done).await, JOBS);
    let twice = "SELECT count(*) FROM yakin.job_history WHERE outcome = 'done'";
    assert_eq!(world.one::<i64>(twice).await, JOBS, "and none was done twice");
    assert!(
        world
            .one::<bool>("SELECT bool_and(running = 0 AND next_id IS NULL) FROM yakin.lanes")
            .await
    );
}

/// Enqueues `n` jobs over 12 tenants, in an order of its own.
async fn enqueue_mixed(world: &World, n: i64, seed: i64) {
    let now = world.clock.now();
    let ids: Vec<i64> = world
        .one(&format!(
            "SELECT yakin.enqueue((SELECT jsonb_agg(jsonb_build_object('queue', 'default', 'batch_id', 'T-Q',
                 'tenant_id', 1 + (g * 7 + {seed}) % 12, 'kind', 'follow_up', 'run_at', '{now}',
                 'priority', 10 * ((g + {seed}) % 4)) ORDER BY md5((g + {seed})::text))
               FROM generate_series(1, {n}) AS g), '{now}')"
        ))
        .await;
    assert_eq!(ids.len() as i64, n);
}

/// Claims and settles until nothing is left; each seventh claim comes back for another try.
async fn work_down(world: &World, all_in: &AtomicBool, hand: usize) {
    for round in hand.. {
        let last = all_in.load(Ordering::SeqCst);
        claim::promote(&world.pool, world.clock.now()).await.unwrap();
        let jobs = claim_some(world, 40).await;
        let settled = match round % 7 {
            0 => stop(world, &jobs, &Stop::later(world.clock.now())).await,
            _ => finish(world, &jobs).await,
        };
        assert_eq!(settled.len(), jobs.len());
        if last && !world.one::<bool>("SELECT EXISTS (SELECT FROM yakin.jobs)").await {
            return;
        }
    }
}
