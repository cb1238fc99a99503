//! Dead letters and reruns: exactly what failed is done again, by a person's word.

use yakin_engine::operate::dead::{discard, requeue, waiting};
use yakin_engine::operate::runs::{Again, rerun};
use yakin_engine::prelude::*;
use yakin_engine::registry::entry;
use yakin_testkit::{World, act};

use crate::common::{global, tenants, until};
use crate::outcomes::{acting, cast, ledger, play};

acting!(Acting, Spec { retry: fixed(1, secs(1)), ..tenants("T-ACTING") });
acting!(
    Allowed,
    Spec { retry: fixed(1, secs(1)), overlap: Overlap::Allow, ..tenants("T-ALLOWED") }
);

struct Unprepared;
impl Batch for Unprepared {
    type Params = serde_json::Value;
    const SPEC: Spec = Spec { phases: &[Phase::Prepare], ..tenants("T-UNPREPARED") };
    async fn prepare(run: &PlatformRun, _: &Self::Params) -> Outcome {
        mended(run).await
    }
}

struct Unfinished;
impl Batch for Unfinished {
    type Params = serde_json::Value;
    const SPEC: Spec = Spec { phases: &[Phase::Finish], ..tenants("T-UNFINISHED") };
    async fn finish(run: &PlatformRun, _: &Self::Params, _: &Ended) -> Outcome {
        mended(run).await
    }
}

struct Whole;
impl Batch for Whole {
    type Params = serde_json::Value;
    const SPEC: Spec = global("T-WHOLE");
    async fn global(run: &PlatformRun, _: &Self::Params) -> Outcome {
        mended(run).await
    }
}

/// Fails until somebody mends the first tenant.
async fn mended(run: &PlatformRun) -> Outcome {
    let sql = "SELECT billing_name = 'mended' FROM app.tenants ORDER BY tenant_id LIMIT 1";
    let mended = run.read(async |tx| Ok(sqlx::query_scalar(sql).fetch_one(tx).await?)).await?;
    if mended { Ok(Done::default()) } else { Err(Stop::give_up(Cause::Data, "not mended")) }
}

struct Follows;
impl Batch for Follows {
    type Params = serde_json::Value;
    const SPEC: Spec = tenants("T-FOLLOWS");
    async fn tenant(run: &TenantRun, _: &Self::Params) -> Outcome {
        run.write(async |tx| {
            tx.follow_up("mail", run.tenant(), serde_json::json!({"to": "x"}));
            Ok(Done::default())
        })
        .await
    }
    async fn follow_up(run: &TenantRun, name: &str, payload: &serde_json::Value) -> Outcome {
        assert_eq!((name, payload["to"].as_str()), ("mail", Some("x")));
        crate::outcomes::act_out(run).await
    }
}

async fn letters(world: &World) -> Vec<String> {
    sqlx::query_scalar("SELECT kind || ' ' || state FROM yakin.dead_letters ORDER BY tenant_id, id")
        .fetch_all(&world.database.owner)
        .await
        .unwrap()
}

async fn departments(world: &World) -> i64 {
    world.one("SELECT count(*) FROM app.departments").await
}

async fn requeue_all(world: &World, which: &str) -> Vec<i64> {
    let now = world.clock.now();
    let done = requeue(&world.pool, &world.engine.registry, which, &act(), now).await.unwrap();
    assert!(done.left.is_empty(), "{done:?}");
    world.settle().await;
    done.runs
}

async fn mend_all(world: &World, role: &str) {
    world.sql(&format!("UPDATE app.tenants SET billing_name = '{role}'")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rerun_failed_runs_exactly_those_that_failed_or_were_blocked() {
    let world = cast(entry::<Acting>(), &["give up", "blocked", "fine"]).await;
    let run = world.run("T-ACTING", None, &[]).await;
    assert_eq!((run.outcome(), departments(&world).await), ("partial", 2));
    mend_all(&world, "fine").await;
    let again = world.rerun_failed(run.id).await;
    assert_eq!(
        (again.outcome(), again.tenants_total, departments(&world).await),
        ("succeeded", 2, 4)
    );
    for n in [2, 3] {
        assert_eq!(ledger(&world, again.id, n).await.0, "done");
    }
    let (registry, now) = (&world.engine.registry, world.clock.now());
    let none = rerun(&world.pool, registry, again.id, Again::Failed, &act(), now).await;
    assert_eq!(none.unwrap_err().to_string(), "no tenant of run 2 failed or was blocked");
}

#[tokio::test(flavor = "multi_thread")]
async fn requeueing_a_fingerprint_reruns_its_tenants_alone() {
    let world = cast(entry::<Acting>(), &["give up", "give up", "database"]).await;
    world.run("T-ACTING", None, &[]).await;
    assert_eq!(letters(&world).await.len(), 3);
    let fingerprint: String = world
        .one("SELECT fingerprint FROM yakin.dead_letters GROUP BY 1 HAVING count(*) = 2")
        .await;
    mend_all(&world, "fine").await;
    let reruns = requeue_all(&world, &fingerprint).await;
    let seen = world.seen(reruns[0]).await;
    assert_eq!((reruns.len(), seen.outcome(), seen.tenants_total), (1, "succeeded", 2));
    assert_eq!(letters(&world).await, ["tenant requeued", "tenant requeued", "tenant waiting"]);
    assert_eq!(departments(&world).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_letter_is_settled_by_a_person_and_nothing_runs() {
    let world = cast(entry::<Acting>(), &["give up"]).await;
    world.run("T-ACTING", None, &[]).await;
    let id = waiting(&world.pool, None).await.unwrap()[0].id.to_string();
    assert_eq!(discard(&world.pool, &id, &act(), world.clock.now()).await.unwrap(), 1);
    assert_eq!(letters(&world).await, ["tenant discarded"]);
    let by: String = world.one("SELECT settled_by FROM yakin.dead_letters").await;
    let audit: String = world
        .one("SELECT action || ' by ' || actor FROM yakin.audit ORDER BY id DESC LIMIT 1")
        .await;
    assert_eq!((by.as_str(), audit.as_str()), ("tester", "dead discarded by tester"));
    world.settle().await;
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.runs").await, 1);
    let again = discard(&world.pool, &id, &act(), world.clock.now()).await.unwrap_err().to_string();
    assert_eq!(again, format!("no dead letter '{id}' waits; `yakin dead list` shows them"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_follow_up_leaves_the_run_as_it_was_and_is_requeued_as_it_was() {
    let world = cast(entry::<Follows>(), &["give up"]).await;
    let run = world.run("T-FOLLOWS", None, &[]).await;
    assert_eq!((run.outcome(), departments(&world).await), ("succeeded", 1));
    assert_eq!(letters(&world).await, ["follow_up waiting"]);
    mend_all(&world, "fine").await;
    let id = waiting(&world.pool, None).await.unwrap()[0].id.to_string();
    assert_eq!(requeue_all(&world, &id).await.len(), 0);
    assert_eq!(
        (letters(&world).await, departments(&world).await),
        (vec!["follow_up requeued".to_owned()], 2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_failed_as_a_whole_is_rerun_as_a_whole() {
    for (batch, kind, outcome) in [
        (entry::<Unprepared>(), "prepare", "failed"),
        (entry::<Unfinished>(), "finish", "partial"),
        (entry::<Whole>(), "global", "failed"),
    ] {
        let id = batch.spec().id;
        for by_letter in [true, false] {
            let world = cast(batch.clone(), &["fine"]).await;
            let run = world.run(id, None, &[]).await;
            assert_eq!(run.outcome(), outcome);
            assert_eq!(run.reason.unwrap(), format!("{kind}: not mended"));
            assert_eq!(letters(&world).await, [format!("{kind} waiting")]);
            mend_all(&world, "mended").await;
            let again = if by_letter {
                let letter = waiting(&world.pool, None).await.unwrap()[0].id.to_string();
                world.seen(requeue_all(&world, &letter).await[0]).await
            } else {
                world.rerun_failed(run.id).await
            };
            assert_eq!(
                (again.outcome(), again.tenants_done),
                ("succeeded", again.tenants_total),
                "{id}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_of_several_nights_are_requeued_one_open_run_at_a_time() {
    let world = cast(entry::<Acting>(), &["give up"]).await;
    world.run("T-ACTING", Some("2026-10-30"), &[]).await;
    world.run("T-ACTING", Some("2026-10-31"), &[]).await;
    let fingerprint = waiting(&world.pool, None).await.unwrap()[0].fingerprint.clone();
    play(&world, world.one("SELECT max(tenant_id) FROM app.tenants").await, "fine").await;
    // a second run of the batch may not be open beside the first: what was requeued is told, and what still waits
    let (registry, now) = (&world.engine.registry, world.clock.now());
    let done = requeue(&world.pool, registry, &fingerprint, &act(), now).await.unwrap();
    assert_eq!((done.runs.as_slice(), done.left[0].run), (&[3][..], 2));
    assert!(done.left[0].reason.contains("run 3 of T-ACTING is still open"), "{done:?}");
    assert_eq!(letters(&world).await, ["tenant requeued", "tenant waiting"]);
    let refused = requeue(&world.pool, registry, &fingerprint, &act(), now).await.unwrap_err();
    assert!(refused.to_string().contains("is still open"), "{refused}");
    world.settle().await;
    requeue_all(&world, &fingerprint).await;
    assert_eq!(letters(&world).await, ["tenant requeued", "tenant requeued"]);
    assert_eq!(departments(&world).await, 4);
}

/// Two callers requeue the same letter at once: both look while its row is locked.
async fn requeued_by_two(world: &World) -> Vec<bool> {
    let id = waiting(&world.pool, None).await.unwrap()[0].id.to_string();
    let mut row = world.database.owner.begin().await.unwrap();
    sqlx::query("SELECT FROM yakin.dead_letters FOR UPDATE").execute(&mut *row).await.unwrap();
    let both: Vec<_> = (0..2)
        .map(|_| {
            let (engine, id, now) = (world.engine.clone(), id.clone(), world.clock.now());
            tokio::spawn(async move {
                requeue(&engine.pool, &engine.registry, &id, &act(), now).await.is_ok()
            })
        })
        .collect();
    until(
        world,
        "SELECT count(*) = 2 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    )
    .await;
    row.commit().await.unwrap();
    let mut done = Vec::new();
    for each in both {
        done.push(each.await.unwrap());
    }
    done.sort();
    world.settle().await;
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follow_up_that_two_people_requeue_at_once_runs_once() {
    let world = cast(entry::<Follows>(), &["give up"]).await;
    world.run("T-FOLLOWS", None, &[]).await;
    mend_all(&world, "fine").await;
    assert_eq!(requeued_by_two(&world).await, [false, true]);
    assert_eq!(departments(&world).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_that_two_people_requeue_at_once_is_rerun_once() {
    let world = cast(entry::<Allowed>(), &["give up"]).await;
    world.run("T-ALLOWED", None, &[]).await;
    mend_all(&world, "fine").await;
    assert_eq!(requeued_by_two(&world).await, [false, true]);
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.runs").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_run_blocked_is_unblocked_and_a_whole_run_takes_no_tenants() {
    let world = cast(entry::<Acting>(), &["blocked", "fine"]).await;
    let run = world.run("T-ACTING", None, &[]).await.id;
    let ids: Vec<i64> =
        world.one("SELECT array_agg(tenant_id ORDER BY tenant_id) FROM app.tenants").await;
    let (registry, now, act) = (&world.engine.registry, world.clock.now(), act());
    let released = |ids| rerun(&world.pool, registry, run, Again::Released(ids), &act, now);
    let told = released(ids.clone()).await.unwrap_err().to_string();
    let others = format!("run {run} did not block tenant {}, {}; ", ids[0], ids[2]);
    assert!(told.starts_with(&others), "{told}");
    let new = released(vec![ids[1]]).await.unwrap();
    let by = format!("SELECT released_by FROM yakin.runs WHERE id = {new}");
    assert_eq!(world.one::<String>(&by).await, "tester");

    let world = cast(entry::<Whole>(), &[]).await;
    let run = world.run("T-WHOLE", None, &[]).await.id;
    let registry = &world.engine.registry;
    let some = rerun(&world.pool, registry, run, Again::Tenants(vec![ids[0]]), &act, now).await;
    let told = some.unwrap_err().to_string();
    assert_eq!(told, "T-WHOLE works for all tenants at once; leave the tenants out");
}
