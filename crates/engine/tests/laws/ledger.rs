//! What stands in the ledger, what goes with a transaction, and what is bounded.

use serde_json::json;
use yakin_engine::operate::runs::Wanted;
use yakin_engine::prelude::*;
use yakin_engine::record::logs::LINES_PER_ATTEMPT;
use yakin_engine::registry::entry;
use yakin_engine::worker::pool::work_until_empty;
use yakin_testkit::World;

use crate::common::{Gate, begin, tenants, until};

struct Counts;
impl Batch for Counts {
    type Params = serde_json::Value;
    const SPEC: Spec = Spec { phases: &[Phase::Prepare, Phase::Finish], ..tenants("T-COUNTS") };
    async fn prepare(_: &PlatformRun, _: &Self::Params) -> Outcome {
        Ok(Done::rows(1).count("sources", 2))
    }
    async fn tenant(run: &TenantRun, _: &Self::Params) -> Outcome {
        let done = Done::rows(10).count("invoices", 3).amount(1500.into(), "JPY");
        Ok(if run.tenant() % 2 == 0 { done.reused() } else { done })
    }
    async fn finish(_: &PlatformRun, _: &Self::Params, ended: &Ended) -> Outcome {
        Ok(Done::default().count("told", ended.total() as i64))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_sums_its_phases_and_tenants() {
    let world = World::new(vec![entry::<Counts>()]).await;
    for code in ["a", "b", "c", "d"] {
        world.tenant(code).await;
    }
    let seen = world.run("T-COUNTS", None, &[]).await;
    assert_eq!(
        (seen.outcome(), seen.rows_written, seen.amount_yen),
        ("succeeded", 41, Some(6000.into()))
    );
    assert_eq!(seen.counts, json!({"sources": 2, "invoices": 12, "told": 4}));
    let reused =
        "SELECT count(*) FROM yakin.run_tenants WHERE reused AND state = 'done' AND amount = 1500";
    assert_eq!(world.one::<i64>(reused).await, 2);
}

struct Talks;
impl Batch for Talks {
    type Params = serde_json::Value;
    const SPEC: Spec = tenants("T-TALKS");
    async fn tenant(run: &TenantRun, _: &Self::Params) -> Outcome {
        for n in 0..LINES_PER_ATTEMPT + 50 {
            run.info(format!("{n} {}", "あ".repeat(1000)), json!({}));
        }
        Err(Stop::give_up(Cause::Data, "x".repeat(100_000)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_and_messages_are_bounded_and_say_so() {
    let world = World::new(vec![entry::<Talks>()]).await;
    world.tenant("a").await;
    world.run("T-TALKS", None, &[]).await;
    let lines = "SELECT count(*) FROM yakin.run_logs WHERE tenant_id <> 0";
    assert_eq!(world.one::<i64>(lines).await, LINES_PER_ATTEMPT as i64);
    // fifty of the work's, and the error's own line
    let last: String = world
        .one("SELECT message FROM yakin.run_logs WHERE tenant_id <> 0 ORDER BY line DESC LIMIT 1")
        .await;
    assert!(last.ends_with(" (and 51 lines more were not kept)"), "{last}");
    assert!(last.chars().count() < 600);
    let longest = "SELECT greatest((SELECT max(length(error)) FROM yakin.dead_letters),
                                   (SELECT max(length(error)) FROM yakin.job_history),
                                   (SELECT max(length(reason)) FROM yakin.run_tenants),
                                   (SELECT max(length(reason)) FROM yakin.runs))";
    assert!(world.one::<i32>(longest).await <= 4000);
}

struct Garbles;
impl Batch for Garbles {
    type Params = serde_json::Value;
    const SPEC: Spec = tenants("T-GARBLES");
    async fn tenant(run: &TenantRun, _: &Self::Params) -> Outcome {
        run.info("it said \0", json!({"re\0ply": ["250 \0"]}));
        Err(Stop::give_up(Cause::Network, "554 \0 \\u0000 \u{1}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_outside_systems_say_is_kept_without_the_bytes_that_no_text_may_hold() {
    let world = World::new(vec![entry::<Garbles>()]).await;
    world.tenant("a").await;
    let run = world.run("T-GARBLES", None, &[]).await;
    assert_eq!(run.outcome(), "failed");
    let error: String = world.one("SELECT error FROM yakin.dead_letters").await;
    assert_eq!(error, "554 \u{FFFD} \\u0000 \u{1}");
    let line: String = world
        .one("SELECT message || ' ' || metadata FROM yakin.run_logs WHERE tenant_id <> 0 AND line = 1")
        .await;
    assert_eq!(line, "it said \u{FFFD} {\"re\u{FFFD}ply\": [\"250 \u{FFFD}\"]}");
}

struct Refused;
impl Batch for Refused {
    type Params = serde_json::Value;
    const SPEC: Spec = Spec { retry: fixed(2, secs(5)), ..tenants("T-REFUSED") };
    async fn tenant(run: &TenantRun, _: &Self::Params) -> Outcome {
        run.write(async |_| {
            run.info("all is written", json!({}));
            Ok(Done::default())
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_an_attempt_whose_end_was_refused_are_kept_and_once() {
    let world = World::new(vec![entry::<Refused>()]).await;
    world.tenant("a").await;
    world
        .sql(
            "CREATE FUNCTION yakin.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF NEW.kind = 'tenant' AND NEW.outcome = 'done' AND NEW.attempt = 1 THEN
                     RAISE EXCEPTION 'somebody else was first' USING ERRCODE = '40001';
                 END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON yakin.job_history FOR EACH ROW EXECUTE FUNCTION yakin.refuse()",
        )
        .await;
    let run = begin(&world, "T-REFUSED", Wanted::default()).await;
    world.settle().await;
    crate::common::pass_seconds(&world, 10);
    world.settle().await;
    assert_eq!(world.seen(run).await.outcome(), "succeeded");
    let lines =
        "SELECT string_agg(concat_ws(' ', attempt, level, message), E'\\n' ORDER BY attempt, line)
                   FROM yakin.run_logs WHERE tenant_id <> 0";
    let told = world.one::<String>(lines).await;
    let told: Vec<&str> = told.lines().collect();
    assert_eq!((told[0], told[2]), ("1 info all is written", "2 info all is written"));
    assert!(told.len() == 3 && told[1].contains("somebody else was first"), "{told:?}");
}

static TOLD: Gate = Gate::new();
struct Tells;
impl Batch for Tells {
    type Params = serde_json::Value;
    const SPEC: Spec = tenants("T-TELLS");
    async fn tenant(run: &TenantRun, _: &Self::Params) -> Outcome {
        run.write(async |tx| {
            sqlx::query("INSERT INTO app.departments (tenant_id, name) VALUES ($1, 'half done')")
                .bind(run.tenant())
                .execute(&mut *tx)
                .await?;
            run.progress(40, 100).await;
            TOLD.pass().await;
            Ok(Done::rows(1))
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_seen_while_the_write_is_still_open() {
    let world = World::new(vec![entry::<Tells>()]).await;
    world.tenant("a").await;
    let run = begin(&world, "T-TELLS", Wanted::default()).await;
    let engine = world.engine.clone();
    let working = tokio::spawn(async move { work_until_empty(&engine).await.unwrap() });
    TOLD.wait(1).await;
    until(&world, "SELECT (progress_done, progress_total) = (40, 100) FROM yakin.jobs").await;
    assert_eq!(world.one::<i64>("SELECT count(*) FROM app.departments").await, 0);
    TOLD.open(1);
    working.await.unwrap();
    world.settle().await;
    assert_eq!(world.seen(run).await.outcome(), "succeeded");
}

struct Changes;
impl Batch for Changes {
    type Params = serde_json::Value;
    const SPEC: Spec = Spec { retry: fixed(2, secs(10)), ..tenants("T-CHANGES") };
    async fn tenant(run: &TenantRun, _: &Self::Params) -> Outcome {
        run.write(async |tx| {
            sqlx::query("INSERT INTO app.departments (tenant_id, name) VALUES ($1, 'row')")
                .bind(run.tenant())
                .execute(&mut *tx)
                .await?;
            tx.follow_up("mail", run.tenant(), json!({}));
            let broken: bool =
                sqlx::query_scalar("SELECT billing_name = 'broken' FROM app.tenants")
                    .fetch_one(&mut *tx)
                    .await?;
            if broken { Err(Stop::retry(Cause::Data, "broken")) } else { Ok(Done::rows(1)) }
        })
        .await
    }
    async fn follow_up(_: &TenantRun, _: &str, _: &serde_json::Value) -> Outcome {
        Ok(Done::default())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_and_follow_ups_of_an_attempt_that_fails_in_its_write_are_gone_together() {
    let world = World::new(vec![entry::<Changes>()]).await;
    let tenant = world.tenant("a").await;
    crate::outcomes::play(&world, tenant, "broken").await;
    world.run("T-CHANGES", None, &[]).await;
    let both = "SELECT (SELECT count(*) FROM app.departments)
                     + (SELECT count(*) FROM yakin.job_history WHERE kind = 'follow_up')
                     + (SELECT count(*) FROM yakin.jobs WHERE kind = 'follow_up')";
    assert_eq!(world.one::<i64>(both).await, 0);
    crate::outcomes::play(&world, tenant, "fine").await;
    crate::common::pass_seconds(&world, 12);
    world.settle().await;
    assert_eq!(world.one::<i64>(both).await, 2);
    assert_eq!(world.seen(1).await.outcome(), "succeeded");
}
