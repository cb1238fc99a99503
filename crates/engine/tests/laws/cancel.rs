//! Cancelling: what waits never begins, what runs is told, and nothing of the run begins afterwards.

use yakin_engine::operate::runs::{Wanted, approve, cancel};
use yakin_engine::prelude::*;
use yakin_engine::record::audit::Act;
use yakin_engine::registry::{AnyBatch, entry};
use yakin_engine::worker::pool::work_until_empty;
use yakin_testkit::{World, act};

use std::sync::Arc;

use crate::common::{Gate, begin, firing, idle, tenants};

idle!(Needed, Spec { schedule: cron("0 2 * * *"), ..tenants("T-NEEDED") });
idle!(
    Waits,
    Spec {
        schedule: cron("0 1 * * *"),
        needs: &[same("T-NEEDED", hours(2))],
        ..tenants("T-WAITS")
    }
);
idle!(Approved, Spec { approval: Approval::SecondPerson, ..tenants("T-APPROVED") });

/// A batch that stands at its gate in one phase.
macro_rules! stops {
    ($name:ident, $gate:ident, $spec:expr, prepare) => {
        static $gate: Gate = Gate::new();
        struct $name;
        impl Batch for $name {
            type Params = serde_json::Value;
            const SPEC: Spec = $spec;
            async fn prepare(_: &PlatformRun, _: &Self::Params) -> Outcome {
                $gate.pass().await;
                Ok(Done::default())
            }
            async fn tenant(run: &TenantRun, _: &Self::Params) -> Outcome {
                crate::outcomes::act_out(run).await
            }
        }
    };
    ($name:ident, $gate:ident, $spec:expr, tenant, $then:expr) => {
        static $gate: Gate = Gate::new();
        struct $name;
        impl Batch for $name {
            type Params = serde_json::Value;
            const SPEC: Spec = $spec;
            async fn tenant(_: &TenantRun, _: &Self::Params) -> Outcome {
                $gate.pass().await;
                $then
            }
        }
    };
    ($name:ident, $gate:ident, $spec:expr, finish) => {
        static $gate: Gate = Gate::new();
        struct $name;
        impl Batch for $name {
            type Params = serde_json::Value;
            const SPEC: Spec = $spec;
            async fn finish(_: &PlatformRun, _: &Self::Params, _: &Ended) -> Outcome {
                $gate.pass().await;
                Ok(Done::default())
            }
        }
    };
}

const PREPARED: Spec = Spec { phases: &[Phase::Prepare], ..tenants("T-PREPARED") };
const FINISHED: Spec = Spec { phases: &[Phase::Finish], ..tenants("T-FINISHED") };
const RETRIES: Spec = Spec { retry: fixed(5, secs(10)), ..tenants("T-RETRIES") };
stops!(Prepared, PREPARE, PREPARED, prepare);
stops!(Running, RUN, tenants("T-RUNNING"), tenant, Ok(Done::default()));
stops!(Retries, RETRY, RETRIES, tenant, Err(Stop::retry(Cause::Network, "no answer")));
stops!(Finished, FINISH, FINISHED, finish);

/// A run of the batch for three tenants, worked on in the background; one attempt at a time may stand at the gate.
async fn running(batch: Arc<dyn AnyBatch>) -> (World, i64, tokio::task::JoinHandle<()>) {
    let id = batch.spec().id;
    let world = World::new(vec![batch]).await;
    for code in ["a", "b", "c"] {
        world.tenant(code).await;
    }
    let run = begin(&world, id, Wanted::default()).await;
    let engine = world.engine.clone();
    let working = tokio::spawn(async move {
        for _ in 0..3 {
            work_until_empty(&engine).await.unwrap();
            engine.plan_step().await.unwrap();
        }
    });
    (world, run, working)
}

async fn stop(world: &World, run: i64) {
    cancel(&world.pool, run, &act(), world.clock.now()).await.unwrap();
}

async fn states(world: &World) -> String {
    world
        .one("SELECT coalesce(string_agg(state, ' ' ORDER BY state), '') FROM yakin.run_tenants")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_run_that_is_cancelled_never_begins_and_its_firing_says_so() {
    let world =
        World::at("2026-11-01T00:30:00+09:00", vec![entry::<Needed>(), entry::<Waits>()]).await;
    world.tenant("a").await;
    world.settle().await;
    let at = "2026-11-01T01:00:00+09:00";
    world.set_clock(at);
    world.settle().await;
    let run: i64 = world.one("SELECT id FROM yakin.runs WHERE state = 'waiting'").await;
    stop(&world, run).await;
    world.settle().await;
    assert_eq!(firing(&world, "T-WAITS", at).await.0, "cancelled");
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.jobs").await, 0);
    let again = cancel(&world.pool, run, &act(), world.clock.now()).await.unwrap_err().to_string();
    assert_eq!(again, format!("run {run} is not open; there is nothing to cancel"));
}

#[tokio::test(flavor = "multi_thread")]
async fn running_attempts_are_told_and_the_rest_never_begins() {
    let (world, run, working) = running(entry::<Running>()).await;
    RUN.wait(3).await;
    let later = world.tenant("d").await;
    assert!(later > 0);
    stop(&world, run).await;
    world.engine.heartbeat_step().await.unwrap();
    working.await.unwrap();
    world.settle().await;
    assert_eq!(world.seen(run).await.outcome(), "cancelled");
    assert_eq!(states(&world).await, "cancelled cancelled cancelled");
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.jobs").await, 0);
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.dead_letters").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_cancelled_prepare_no_tenant_begins() {
    let (world, run, working) = running(entry::<Prepared>()).await;
    PREPARE.wait(1).await;
    stop(&world, run).await;
    PREPARE.open(1); // it ends well before any heartbeat
    working.await.unwrap();
    world.settle().await;
    assert_eq!(world.seen(run).await.outcome(), "cancelled");
    assert_eq!(world.one::<i64>("SELECT count(*) FROM app.departments").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_cancelled_roster_no_tenant_begins() {
    let world = World::new(vec![entry::<Prepared>()]).await;
    world.tenant("a").await;
    let run = begin(&world, "T-PREPARED", Wanted::default()).await;
    world
        .sql("UPDATE yakin.jobs SET kind = 'roster'; UPDATE yakin.runs SET phase = 'roster'")
        .await;
    let roster = world.engine.claim(Queue::Default, 1).await.jobs.remove(0);
    stop(&world, run).await;
    yakin_engine::worker::execute::execute(&world.engine, roster).await;
    world.settle().await;
    assert_eq!(world.seen(run).await.outcome(), "cancelled");
    assert_eq!(world.one::<i64>("SELECT count(*) FROM app.departments").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_fails_after_the_cancel_is_not_tried_again() {
    let (world, run, working) = running(entry::<Retries>()).await;
    RETRY.wait(3).await;
    stop(&world, run).await;
    RETRY.open(3);
    working.await.unwrap();
    world.settle().await;
    assert_eq!(world.seen(run).await.outcome(), "cancelled");
    assert_eq!(states(&world).await, "cancelled cancelled cancelled");
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.jobs").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_cancelled_in_its_finish_does_not_say_that_it_succeeded() {
    let (world, run, working) = running(entry::<Finished>()).await;
    FINISH.wait(1).await;
    stop(&world, run).await;
    world.engine.heartbeat_step().await.unwrap();
    working.await.unwrap();
    world.settle().await;
    let seen = world.seen(run).await;
    assert_eq!((seen.outcome(), seen.tenants_done), ("cancelled", 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_wants_a_second_person_starts_by_another_ones_word_alone() {
    let world = World::new(vec![entry::<Approved>()]).await;
    world.tenant("a").await;
    let run = world.run("T-APPROVED", None, &[]).await;
    assert_eq!(run.outcome(), "open");
    let now = world.clock.now();
    let own = approve(&world.pool, run.id, true, &act(), now).await.unwrap_err().to_string();
    assert_eq!(own, format!("tester asked for run {}; a second person must approve it", run.id));
    let other = Act { actor: "second".to_owned(), reason: "looked at it".to_owned() };
    approve(&world.pool, run.id, true, &other, now).await.unwrap();
    world.settle().await;
    assert_eq!(world.seen(run.id).await.outcome(), "succeeded");
    // and a no is a cancel
    let refused = world.run("T-APPROVED", None, &[]).await;
    approve(&world.pool, refused.id, false, &other, now).await.unwrap();
    world.settle().await;
    assert_eq!(world.seen(refused.id).await.outcome(), "cancelled");
    let audited =
        "SELECT string_agg(action, ' ' ORDER BY id) FROM yakin.audit WHERE actor = 'second'";
    assert_eq!(world.one::<String>(audited).await, "approve reject");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_that_comes_after_the_yes_stops_nothing() {
    let world = World::new(vec![entry::<Approved>()]).await;
    world.tenant("a").await;
    let run = world.run("T-APPROVED", None, &[]).await.id;
    let other = Act { actor: "second".to_owned(), reason: "looked at it".to_owned() };
    let say = |agree| approve(&world.pool, run, agree, &other, world.clock.now());
    say(true).await.unwrap();
    for agree in [true, false] {
        let told = say(agree).await.unwrap_err().to_string();
        assert_eq!(told, format!("run {run} does not wait for an approval"));
    }
    world.settle().await;
    assert_eq!(world.seen(run).await.outcome(), "succeeded");
}

struct Bills;
impl Batch for Bills {
    type Params = serde_json::Value;
    const SPEC: Spec = Spec { phases: &[Phase::Finish], ..tenants("T-BILLS") };
    async fn tenant(run: &TenantRun, _: &Self::Params) -> Outcome {
        run.write(async |tx| {
            tx.follow_up("document", run.tenant(), serde_json::json!({}));
            Ok(Done::rows(1))
        })
        .await
    }
    async fn follow_up(run: &TenantRun, _: &str, _: &serde_json::Value) -> Outcome {
        crate::outcomes::act_out(run).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_from_work_that_has_committed_is_done_although_its_run_is_cancelled() {
    let world = World::new(vec![entry::<Bills>()]).await;
    world.tenant("a").await;
    let run = begin(&world, "T-BILLS", Wanted::default()).await;
    for _ in 0..2 {
        // the roster; the tenant
        let job = world.engine.claim(Queue::Default, 1).await.jobs.remove(0);
        yakin_engine::worker::execute::execute(&world.engine, job).await;
        world.engine.plan_step().await.unwrap();
    }
    stop(&world, run).await;
    world.settle().await;
    assert_eq!(world.seen(run).await.outcome(), "cancelled");
    let history =
        "SELECT string_agg(kind || ' ' || outcome, ', ' ORDER BY job_id) FROM yakin.job_history";
    let told = world.one::<String>(history).await;
    assert!(told.contains("follow_up done"), "{told}");
}
