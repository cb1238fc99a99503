//! A lost worker cannot hold anybody up: leases, rescue, and the end of exactly its backends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use yakin_engine::engine::Engine;
use yakin_engine::operate::runs::Wanted;
use yakin_engine::prelude::*;
use yakin_engine::queue::heartbeat::heartbeat;
use yakin_engine::queue::rescue::rescue;
use yakin_engine::queue::settle::{Settlement, settle};
use yakin_engine::registry::{AnyBatch, entry};
use yakin_engine::tx::Role;
use yakin_engine::worker::execute::execute;
use yakin_engine::worker::pool::work_until_empty;
use yakin_testkit::World;

use crate::common::{Gate, begin, expire_leases, idle, node, tenants, until};
use crate::lanes::{LANES_HOLD, SPEC, claim_some, empty_world, enqueue};

idle!(Known, crate::lanes::SPEC);
idle!(Plain, tenants("T-PLAIN"));

/// Writes one row for the tenant under a name that only one row can have, standing at the gate the first time.
async fn write_once(run: &TenantRun, gate: &Gate, first: &AtomicBool) -> Outcome {
    run.write(async |tx| {
        // the row lock that a frozen worker would keep
        sqlx::query("UPDATE app.positions SET name = name || '!'").execute(&mut *tx).await?;
        if first.swap(false, Ordering::SeqCst) {
            gate.pass().await;
        }
        Ok(Done::rows(1))
    })
    .await
}

static SILENT: Gate = Gate::new();
static SILENT_FIRST: AtomicBool = AtomicBool::new(true);
struct Silent;
impl Batch for Silent {
    type Params = serde_json::Value;
    const SPEC: Spec = tenants("T-SILENT");
    async fn tenant(run: &TenantRun, _: &Self::Params) -> Outcome {
        if SILENT_FIRST.swap(false, Ordering::SeqCst) {
            SILENT.pass().await;
        }
        write_once(run, &SILENT, &SILENT_FIRST).await
    }
}

static FROZEN: Gate = Gate::new();
static FROZEN_FIRST: AtomicBool = AtomicBool::new(true);
struct Frozen;
impl Batch for Frozen {
    type Params = serde_json::Value;
    const SPEC: Spec = tenants("T-FROZEN");
    async fn tenant(run: &TenantRun, _: &Self::Params) -> Outcome {
        write_once(run, &FROZEN, &FROZEN_FIRST).await
    }
}

/// A world with one tenant and its row, a second node, and the first node's work in the background.
async fn two_nodes(
    batches: fn() -> Vec<Arc<dyn AnyBatch>>,
) -> (World, Arc<Engine>, tokio::task::JoinHandle<usize>) {
    let world = World::new(batches()).await;
    let tenant = world.tenant("aoba").await;
    world
        .sql(&format!("INSERT INTO app.positions (tenant_id, name) VALUES ({tenant}, 'row')"))
        .await;
    let second = node(&world, batches()).await;
    begin(&world, batches()[0].spec().id, Wanted::default()).await;
    let engine = world.engine.clone();
    let working = tokio::spawn(async move { work_until_empty(&engine).await.unwrap() });
    (world, second, working)
}

/// The second node rescues until the job is free, and does it.
async fn second_does_it(world: &World, second: &Engine) {
    for _ in 0..200 {
        second.watch_step().await.unwrap();
        second.plan_step().await.unwrap();
        work_until_empty(second).await.unwrap();
        second.plan_step().await.unwrap();
        if world.one::<bool>("SELECT bool_and(state = 'ended') FROM yakin.runs").await {
            return;
        }
    }
    panic!("the second node never got the job done");
}

async fn done_once(world: &World, lost: i64) {
    assert_eq!(world.seen(1).await.outcome(), "succeeded");
    assert_eq!(world.one::<String>("SELECT name FROM app.positions").await, "row!");
    let history = |outcome: &str| {
        format!(
            "SELECT count(*) FROM yakin.job_history WHERE kind = 'tenant' AND outcome = '{outcome}'"
        )
    };
    assert_eq!(world.one::<i64>(&history("done")).await, 1);
    assert_eq!(world.one::<i64>(&history("lost")).await, lost);
    assert!(world.one::<bool>(LANES_HOLD).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_workers_job_is_done_by_another_node_and_once() {
    let (world, second, working) = two_nodes(|| vec![entry::<Silent>()]).await;
    SILENT.wait(1).await;
    expire_leases(&world).await;
    second_does_it(&world, &second).await;
    // the first one wakes up: too late
    SILENT.open(1);
    working.await.unwrap();
    done_once(&world, 1).await;
    let nodes = "SELECT count(DISTINCT node_id) FROM yakin.job_history WHERE kind = 'tenant'";
    assert_eq!(world.one::<i64>(nodes).await, 2, "each attempt names the node that made it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_frozen_inside_its_transaction_loses_its_backend_and_its_row_locks() {
    let (world, second, working) = two_nodes(|| vec![entry::<Frozen>()]).await;
    FROZEN.wait(1).await;
    let labelled = "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ 'yakin job'
                       AND datname = current_database() AND state = 'idle in transaction'";
    assert_eq!(world.one::<i64>(labelled).await, 1);
    expire_leases(&world).await;
    second_does_it(&world, &second).await;
    assert_eq!(world.one::<i64>(labelled).await, 0);
    FROZEN.open(1);
    working.await.unwrap();
    done_once(&world, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_frozen_after_its_completion_was_written_loses_its_lane() {
    let (world, second, working) = two_nodes(|| vec![entry::<Plain>()]).await;
    working.await.unwrap();
    let run = begin_frozen(&world).await;
    let job = world.engine.claim(Queue::Default, 1).await.jobs.remove(0);
    expire_leases(&world).await;
    // as a worker that stops between its completion and its commit: the job's row is deleted, the lane locked
    let mut tx = Tx::begin(&world.pool, Role::Engine, &job.label(), false).await.unwrap();
    let done = Settlement::done(&job, &Done::default(), None);
    assert_eq!(settle(&mut tx, &[done], &[], world.clock.now()).await.unwrap(), [job.id]);
    second_does_it(&world, &second).await;
    assert!(tx.commit().await.is_err());
    assert_eq!(world.seen(run).await.outcome(), "succeeded");
    assert!(world.one::<bool>(LANES_HOLD).await);
}

/// A run whose tenant job is ready and unclaimed.
async fn begin_frozen(world: &World) -> i64 {
    world.settle().await;
    let run = begin(world, "T-PLAIN", Wanted::default()).await;
    let roster = world.engine.claim(Queue::Default, 1).await.jobs.remove(0);
    execute(&world.engine, roster).await;
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_frozen_while_it_settles_ends_its_jobs_and_holds_no_lane() {
    let world = empty_world().await;
    enqueue(&world, 1, 1).await;
    // (only where a cap counts what runs is a lane held until its jobs' end is written)
    world.sql("UPDATE yakin.lanes SET cap = 5").await;
    let job = claim_some(&world, 1).await.remove(0);
    let free = "SELECT FROM yakin.lanes FOR UPDATE NOWAIT";
    // the history is held by somebody, so that the settling stops in its middle
    let mut holder = world.database.owner.begin().await.unwrap();
    sqlx::query("LOCK TABLE yakin.job_history").execute(&mut *holder).await.unwrap();
    let (url, now) = (world.database.url("yakin_engine"), world.clock.now());
    let (freeze, frozen) = tokio::sync::oneshot::channel();
    let (wake, woken) = std::sync::mpsc::channel();
    // a thread that stops between the statement and its answer, and keeps the connection
    let settling = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let pool = runtime.block_on(yakin_engine::database::connect(&url, 1)).unwrap();
        let results = [Settlement::done(&job, &Done::default(), None)];
        let mut ending = Box::pin(settle(&pool, &results, &[], now));
        runtime.block_on(async {
            tokio::select! {
                _ = &mut ending => panic!("nothing held it up"),
                stop = frozen => stop.unwrap(),
            }
        });
        woken.recv().unwrap();
        runtime.block_on(ending).unwrap()
    });
    until(&world, WAITS).await;
    freeze.send(()).unwrap();
    assert!(sqlx::query(free).execute(&world.database.owner).await.is_err(), "the lane is held");
    holder.rollback().await.unwrap();
    until(&world, "SELECT NOT EXISTS (SELECT FROM yakin.jobs)").await;
    sqlx::query(free).execute(&world.database.owner).await.unwrap();
    wake.send(()).unwrap();
    assert_eq!(settling.join().unwrap().len(), 1, "its answer waited for it");
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.job_history").await, 1);
    assert!(world.one::<bool>(LANES_HOLD).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rescue_and_a_heartbeat_at_the_same_instant_agree_who_has_each_job() {
    let world = World::new(vec![entry::<Known>()]).await;
    let second = node(&world, vec![entry::<Known>()]).await;
    for round in 0..20 {
        enqueue(&world, 1, 50).await;
        let held: Vec<_> = claim_some(&world, 50).await.iter().map(|j| (j.id, j.token)).collect();
        expire_leases(&world).await;
        let (beat, rescued) = tokio::join!(
            heartbeat(&world.pool, world.engine.node, &held, None),
            rescue(&second.pool, &second.registry, world.clock.now())
        );
        beat.unwrap();
        // what the first beat could not see yet, the next one does
        let lost = heartbeat(&world.pool, world.engine.node, &held, None).await.unwrap();
        assert_eq!(lost.len(), rescued.unwrap(), "round {round}");
        let kept = "SELECT count(*) FROM yakin.jobs WHERE state = 'running'
                       AND lease_until > clock_timestamp() + interval '20 seconds'";
        assert_eq!(world.one::<i64>(kept).await as usize, 50 - lost.len(), "round {round}");
        assert!(world.one::<bool>(LANES_HOLD).await);
        world
            .sql("DELETE FROM yakin.jobs; UPDATE yakin.lanes SET running = 0, next_id = NULL")
            .await;
    }
}

/// A backend that carries the label of an attempt.
async fn labelled(world: &World, label: &str) -> Tx {
    Tx::begin(&world.pool, Role::Engine, label, false).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rescue_ends_the_backends_of_lost_attempts_and_of_no_others() {
    let world = World::new(vec![entry::<Known>()]).await;
    let second = node(&world, vec![entry::<Known>()]).await;
    enqueue(&world, 1, 2).await;
    let jobs = claim_some(&world, 2).await;
    let (mut lost, mut alive) =
        (labelled(&world, &jobs[0].label()).await, labelled(&world, &jobs[1].label()).await);
    // a job whose batch the rescuer does not know has run out, too: another node's business
    world
        .sql(&format!("UPDATE yakin.jobs SET batch_id = 'T-NEWER' WHERE id = {}", jobs[1].id))
        .await;
    expire_leases(&world).await;
    second.watch_step().await.unwrap();
    let alone = format!(
        "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = '{}' AND datname = current_database()",
        jobs[0].label()
    );
    until(&world, &alone).await;
    assert!(sqlx::query("SELECT 1").execute(&mut lost).await.is_err());
    assert!(sqlx::query("SELECT 1").execute(&mut alive).await.is_ok());
    let tokens = format!("SELECT token FROM yakin.jobs WHERE id = {}", jobs[1].id);
    assert_eq!(world.one::<i64>(&tokens).await, jobs[1].token);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rescue_ends_the_backends_that_a_rescuer_who_died_at_it_left() {
    let world = World::new(vec![entry::<Known>()]).await;
    enqueue(&world, 1, 1).await;
    let job = claim_some(&world, 1).await.remove(0);
    let mut lost = labelled(&world, &job.label()).await;
    let mut later =
        labelled(&world, &format!("yakin job {} token {}", job.id, job.token + 2)).await;
    // the rescuer raised the token and came no further; its lease has run out, too
    world.sql("UPDATE yakin.jobs SET token = token + 1").await;
    expire_leases(&world).await;
    world.engine.watch_step().await.unwrap();
    assert!(sqlx::query("SELECT 1").execute(&mut lost).await.is_err());
    assert!(sqlx::query("SELECT 1").execute(&mut later).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_yakin_on_the_same_server_keeps_its_backends() {
    let (world, other) = (World::new(vec![entry::<Known>()]).await, World::new(vec![]).await);
    enqueue(&world, 1, 1).await;
    let job = claim_some(&world, 1).await.remove(0);
    // the other one's job has the same number and token
    let mut theirs = labelled(&other, &job.label()).await;
    expire_leases(&world).await;
    world.engine.watch_step().await.unwrap();
    assert!(sqlx::query("SELECT 1").execute(&mut theirs).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_only_may_act_as_the_engine_rescues_as_well() {
    let world = World::new(vec![entry::<Known>()]).await;
    let login = format!("law_{}", std::process::id());
    world.sql(&format!("CREATE ROLE {login} LOGIN IN ROLE yakin_engine")).await;
    let pool = yakin_engine::database::connect(&world.database.url(&login), 4).await.unwrap();
    enqueue(&world, 1, 1).await;
    let job = claim_some(&world, 1).await.remove(0);
    let mut frozen = Tx::begin(&pool, Role::Engine, &job.label(), false).await.unwrap();
    expire_leases(&world).await;
    let rescued = rescue(&pool, &world.engine.registry, world.clock.now()).await;
    let dead = sqlx::query("SELECT 1").execute(&mut frozen).await;
    drop(frozen);
    pool.close().await;
    world.sql(&format!("DROP ROLE {login}")).await;
    assert_eq!(rescued.unwrap(), 1);
    assert!(dead.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_loses_its_worker_again_and_again_becomes_a_dead_letter() {
    let world = World::new(vec![entry::<Known>()]).await;
    enqueue(&world, 1, 1).await;
    for _ in 0..3 {
        yakin_engine::queue::claim::promote(&world.pool, world.clock.now()).await.unwrap();
        assert_eq!(claim_some(&world, 1).await.len(), 1);
        expire_leases(&world).await;
        world.engine.watch_step().await.unwrap();
    }
    let letter: String = world.one("SELECT cause || ' ' || attempts FROM yakin.dead_letters").await;
    assert_eq!(letter, "lost 3");
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.jobs").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watch_rests_until_the_next_lease_runs_out_and_five_seconds_at_most() {
    let world = World::new(vec![entry::<Known>()]).await;
    let rest = async || world.engine.until_watch().await.unwrap().as_millis();
    assert_eq!(rest().await, 5000, "nothing runs");
    enqueue(&world, 1, 2).await;
    let running = claim_some(&world, 2).await;
    assert_eq!(rest().await, 5000, "leases of 30 s");
    let left = async |job: i64, time: &str| {
        let lease = format!("lease_until = clock_timestamp() + interval '{time}'");
        world.sql(&format!("UPDATE yakin.jobs SET {lease} WHERE id = {job}")).await;
    };
    left(running[0].id, "4 s").await;
    assert!((1..=4001).contains(&rest().await));
    left(running[0].id, "-1 s").await;
    assert_eq!(rest().await, 5000, "what the last look could not rescue is looked at as usual");
    left(running[1].id, "4 s").await;
    world.sql("UPDATE yakin.jobs SET batch_id = 'T-NEWER'").await;
    assert_eq!(rest().await, 5000, "another node's business");
}

/// Somebody waits for a row's lock.
const WAITS: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                                       AND datname = current_database())";

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_waits_for_a_heartbeat_ends_the_job_all_the_same() {
    for again in [1, 0] {
        let world = empty_world().await;
        enqueue(&world, 1, 3).await;
        let running = claim_some(&world, 3).await;
        let mut beating = world.database.owner.begin().await.unwrap();
        let beat = "UPDATE yakin.jobs SET lease_until = lease_until + interval '10 s'";
        sqlx::query(beat).execute(&mut *beating).await.unwrap();
        let (pool, now) = (world.pool.clone(), world.clock.now());
        let (over, later) = running.split_at(3 - again);
        let done = over.iter().map(|job| Settlement::done(job, &Done::default(), None));
        let later =
            later.iter().map(|job| Settlement::stopped(job, &SPEC, &Stop::Later { at: now }, now));
        let results: Vec<Settlement> = done.chain(later).collect();
        let ending =
            tokio::spawn(async move { settle(&pool, &results, &[], now).await.unwrap().len() });
        until(&world, WAITS).await;
        beating.commit().await.unwrap();
        assert_eq!(ending.await.unwrap(), 3, "{again} of them tried again");
        let left: i64 =
            world.one("SELECT count(*) FROM yakin.jobs WHERE state = 'scheduled'").await;
        assert_eq!(left, again as i64);
        assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.jobs").await, left);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_waits_for_a_rescue_ends_nothing() {
    let world = empty_world().await;
    enqueue(&world, 1, 2).await;
    let running = claim_some(&world, 2).await;
    let mut rescuing = world.database.owner.begin().await.unwrap();
    let raise = "UPDATE yakin.jobs SET token = token + 1 WHERE id = $1";
    sqlx::query(raise).bind(running[0].id).execute(&mut *rescuing).await.unwrap();
    let (pool, now) = (world.pool.clone(), world.clock.now());
    let results: Vec<_> =
        running.iter().map(|job| Settlement::done(job, &Done::default(), None)).collect();
    let ending = tokio::spawn(async move { settle(&pool, &results, &[], now).await.unwrap() });
    until(&world, WAITS).await;
    rescuing.commit().await.unwrap();
    assert_eq!(ending.await.unwrap(), [running[1].id], "the other one's token still matched");
    let left: Vec<i64> = world.one("SELECT array_agg(id) FROM yakin.jobs").await;
    assert_eq!(left, [running[0].id]);
    let written: Vec<i64> = world.one("SELECT array_agg(job_id) FROM yakin.job_history").await;
    assert_eq!(written, [running[1].id]);
}
