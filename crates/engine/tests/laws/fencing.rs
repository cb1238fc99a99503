//! Fencing: an attempt whose token was raised commits nothing, wherever it was.

use yakin_engine::operate::runs::Wanted;
use yakin_engine::prelude::*;
use yakin_engine::registry::{AnyBatch, entry};
use yakin_engine::worker::pool::work_until_empty;
use yakin_testkit::World;

use std::sync::Arc;

use crate::common::{Gate, begin, tenants};

/// Inserts a row for the tenant.
async fn insert(tx: &mut Tx, tenant: i64, name: &str) -> Result<(), Stop> {
    sqlx::query("INSERT INTO app.departments (tenant_id, name) VALUES ($1, $2)")
        .bind(tenant)
        .bind(name)
        .execute(tx)
        .await?;
    Ok(())
}

static BEFORE: Gate = Gate::new();
struct StopsBefore;
impl Batch for StopsBefore {
    type Params = serde_json::Value;
    const SPEC: Spec = tenants("T-BEFORE");
    async fn tenant(run: &TenantRun, _: &Self::Params) -> Outcome {
        BEFORE.pass().await;
        run.write(async |tx| {
            insert(tx, run.tenant(), "row").await?;
            tx.follow_up("next", run.tenant(), serde_json::json!({}));
            Ok(Done::rows(1))
        })
        .await
    }
}

static WITHIN: Gate = Gate::new();
struct StopsWithin;
impl Batch for StopsWithin {
    type Params = serde_json::Value;
    const SPEC: Spec = tenants("T-WITHIN");
    async fn tenant(run: &TenantRun, _: &Self::Params) -> Outcome {
        run.write(async |tx| {
            insert(tx, run.tenant(), "row").await?;
            WITHIN.pass().await;
            Ok(Done::rows(1))
        })
        .await
    }
}

static NO_ROWS: Gate = Gate::new();
struct WithoutRows;
impl Batch for WithoutRows {
    type Params = serde_json::Value;
    const SPEC: Spec = tenants("T-NO-ROWS");
    async fn tenant(_: &TenantRun, _: &Self::Params) -> Outcome {
        NO_ROWS.pass().await;
        Ok(Done::rows(7))
    }
}

static CHUNKS: Gate = Gate::new();
struct Chunked;
impl Batch for Chunked {
    type Params = serde_json::Value;
    const SPEC: Spec = tenants("T-CHUNKED");
    async fn tenant(run: &TenantRun, _: &Self::Params) -> Outcome {
        let mut chunk = run.resume().and_then(|state| state.as_i64()).unwrap_or(0);
        while chunk < 3 {
            chunk += 1;
            run.checkpoint(async |tx| {
                insert(tx, run.tenant(), &format!("chunk {chunk}")).await?;
                Ok((chunk.into(), ()))
            })
            .await?;
            CHUNKS.pass().await;
        }
        Ok(Done::rows(3))
    }
}

static STAGE: Gate = Gate::new();
struct Stages;
impl Batch for Stages {
    type Params = serde_json::Value;
    const SPEC: Spec = Spec { phases: &[Phase::Prepare], ..tenants("T-STAGES") };
    async fn prepare(run: &PlatformRun, _: &Self::Params) -> Outcome {
        STAGE.pass().await;
        run.stage(async |tx| {
            let sql =
                "INSERT INTO staging.usage_figures SELECT tenant_id, $1, '2026-10-31', 'test', '{}'
                         FROM app.tenants";
            Ok(sqlx::query(sql).bind(run.id()).execute(tx).await?)
        })
        .await?;
        Ok(Done::default())
    }
}

/// A world with one tenant whose attempt of the batch stands at the gate, and the work in the background.
async fn at_gate(batch: Arc<dyn AnyBatch>, gate: &Gate) -> (World, tokio::task::JoinHandle<usize>) {
    let id = batch.spec().id;
    let world = World::new(vec![batch]).await;
    world.tenant("aoba").await;
    begin(&world, id, Wanted::default()).await;
    let working = work(&world);
    gate.wait(1).await;
    (world, working)
}

fn work(world: &World) -> tokio::task::JoinHandle<usize> {
    let engine = world.engine.clone();
    tokio::spawn(async move { work_until_empty(&engine).await.unwrap() })
}

/// As a rescue does it: the job is another's now.
async fn raise_token(world: &World) {
    world.sql("UPDATE yakin.jobs SET token = token + 1 WHERE state = 'running'").await;
}

/// That the lost attempt left nothing, and the job is still the other's.
async fn nothing_committed(world: &World) {
    assert_eq!(world.one::<i64>("SELECT count(*) FROM app.departments").await, 0);
    assert_eq!(
        world.one::<i64>("SELECT count(*) FROM yakin.job_history WHERE kind = 'tenant'").await,
        0
    );
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.completions").await, 0);
    let jobs = "SELECT string_agg(kind || ' ' || state || ' ' || token, ', ') FROM yakin.jobs";
    assert_eq!(world.one::<String>(jobs).await, "tenant running 2");
    assert_eq!(world.one::<String>("SELECT state FROM yakin.run_tenants").await, "waiting");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_raised_between_work_and_write_commits_nothing() {
    let (world, working) = at_gate(entry::<StopsBefore>(), &BEFORE).await;
    raise_token(&world).await;
    BEFORE.open(1);
    working.await.unwrap();
    nothing_committed(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_raised_within_the_write_commits_nothing() {
    let (world, working) = at_gate(entry::<StopsWithin>(), &WITHIN).await;
    raise_token(&world).await;
    WITHIN.open(1);
    working.await.unwrap();
    nothing_committed(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completion_without_rows_of_its_own_is_fenced_too() {
    let (world, working) = at_gate(entry::<WithoutRows>(), &NO_ROWS).await;
    raise_token(&world).await;
    NO_ROWS.open(1);
    working.await.unwrap();
    nothing_committed(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_fenced_and_the_next_attempt_resumes_from_the_last_one() {
    let (world, working) = at_gate(entry::<Chunked>(), &CHUNKS).await;
    raise_token(&world).await;
    CHUNKS.open(1);
    working.await.unwrap();
    let kept = "SELECT string_agg(name, ', ' ORDER BY name) FROM app.departments";
    assert_eq!(world.one::<String>(kept).await, "chunk 1");
    assert_eq!(world.one::<serde_json::Value>("SELECT checkpoint FROM yakin.jobs").await, 1);
    // the rescuer's turn is over as well: the job goes back and is resumed
    world.sql("UPDATE yakin.jobs SET lease_until = '2020-01-01'").await;
    world.engine.watch_step().await.unwrap();
    CHUNKS.open(2);
    world.settle().await;
    assert_eq!(world.one::<String>(kept).await, "chunk 1, chunk 2, chunk 3");
    assert_eq!(world.seen(1).await.outcome(), "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn staging_is_fenced() {
    let (world, working) = at_gate(entry::<Stages>(), &STAGE).await;
    raise_token(&world).await;
    STAGE.open(1);
    working.await.unwrap();
    assert_eq!(world.one::<i64>("SELECT count(*) FROM staging.usage_figures").await, 0);
}
