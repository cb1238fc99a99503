//! REALTIME_001 定期アプローチ配信処理: looks every minute for standing offers whose time has come, and turns each into its
//! mails, exactly once per due time.

use std::time::Duration;

use jiff_sqlx::ToSqlx;
use serde::Deserialize;
use serde_json::json;
use yakin_domain::approach::offer::Pen;
use yakin_domain::approach::{Came, come_due, due, fail, lock};
use yakin_domain::delivery::Outside;
use yakin_engine::prelude::*;
use yakin_engine::tx::Tx;

pub struct PeriodicApproachDelivery;

#[derive(Debug, Deserialize)]
pub struct Params {
    approach_id: i64,
    max_per_run: i64,
}

/// How long one offer may take.
const PATIENCE: Duration = secs(60);

impl Batch for PeriodicApproachDelivery {
    type Params = Params;
    const SPEC: Spec = Spec {
        id: "REALTIME_001",
        slug: "periodic-approach-delivery",
        title: "定期アプローチ配信処理",
        schedule: cron("* * * * *"),
        catch_up: CatchUp::Latest,
        period: Period::None,
        window: None,
        deadline: Some(mins(5)),
        scope: Scope::EachTenant,
        phases: &[Phase::Finish],
        needs: &[],
        locks: &[],
        overlap: Overlap::Allow,
        queue: Queue::Notify,
        priority: Priority::Medium,
        timeout: mins(5),
        retry: exponential(3, secs(5), secs(60)),
        retry_by_cause: &[],
        severity: Severity::Critical,
        expected: mins(5),
        params: &[
            Param {
                name: "approach_id",
                kind: Kind::Int(0, 999_999_999_999),
                default: Some("0"),
                help: "only this one, if it is due; 0 = all",
            },
            Param {
                name: "max_per_run",
                kind: Kind::Int(1, 10_000),
                default: Some("500"),
                help: "at most so many of a company in one look; the next look takes the rest",
            },
        ],
        approval: Approval::None,
        survives_database: false,
    };

    async fn roster(run: &PlatformRun, _: &Params) -> Result<Vec<i64>, Stop> {
        let now = run.now().to_sqlx();
        run.read(async |tx| {
            Ok(sqlx::query_scalar(include_str!("realtime_001_roster.sql"))
                .bind(now)
                .fetch_all(tx)
                .await?)
        })
        .await
    }

    async fn tenant(run: &TenantRun, p: &Params) -> Outcome {
        let outside = Outside::of(run)?;
        let pen = Pen { templates: &outside.templates, run: run.id(), now: run.now() };
        let only = Some(p.approach_id).filter(|id| *id != 0);
        let ids = run.read(async |tx| due(tx, run.now(), only, p.max_per_run).await).await?;
        if run.dry_run() {
            return plan(run, &ids, pen).await;
        }
        let (mut done, mut stopped) = (Done::default(), None);
        for id in ids {
            match one(run, id, pen).await {
                Ok(Some(came)) => done = counted(run, done, id, &came),
                Ok(None) => {}
                Err(stop @ Stop::Retry { cause: Cause::Lost, .. }) => return Err(stop),
                // one never stops the others; it is still due, and this attempt comes back for it
                Err(stop) => stopped = stopped.or(Some(stop)),
            }
        }
        if let Some(stop) = stopped {
            return Err(stop);
        }
        let done = if done.rows == 0 { done.reused() } else { done };
        run.write(async |_| Ok(done)).await
    }

    async fn finish(run: &PlatformRun, _: &Params, _: &Ended) -> Outcome {
        let now = run.now().to_sqlx();
        run.write(async |tx| {
            let (paused, late, waiting): (i64, i64, i64) =
                sqlx::query_as(include_str!("realtime_001_overview.sql"))
                    .bind(now)
                    .fetch_one(tx)
                    .await?;
            let mut done = Done::default();
            if paused > 0 {
                done =
                    done.report("paused", format!("{paused} approaches are paused after failures"));
            }
            if late > 0 {
                done =
                    done.report("late", format!("{late} approaches are due for over 60 minutes"));
            }
            if waiting > 1000 {
                done = done.report("backlog", format!("{waiting} approaches are due and wait"));
            }
            Ok(done)
        })
        .await
    }
}

/// One offer in a commit of its own; `None` when another has it. What is wrong with it is its own failure.
async fn one(run: &TenantRun, id: i64, pen: Pen<'_>) -> Result<Option<Came>, Stop> {
    let work = run.step(async |tx| take(tx, id, pen).await);
    let reason = match tokio::time::timeout(PATIENCE, work).await {
        Ok(Err(Stop::GiveUp { message, .. })) => message,
        Ok(came) => return came,
        Err(_) => format!("it took more than {} s", PATIENCE.as_secs()),
    };
    run.step(async |tx| {
        let Some(approach) = lock(tx, id, pen.now).await? else { return Ok(None) };
        Ok(Some(fail(tx, &approach, &reason, pen).await?))
    })
    .await
}

async fn take(tx: &mut Tx, id: i64, pen: Pen<'_>) -> Result<Option<Came>, Stop> {
    let Some(approach) = lock(tx, id, pen.now).await? else { return Ok(None) };
    Ok(Some(come_due(tx, &approach, pen).await?))
}

fn counted(run: &TenantRun, mut done: Done, id: i64, came: &Came) -> Done {
    match came {
        Came::Offered { engineers, mails, missed } => {
            done.rows += 1 + i64::try_from(*mails + *missed as u64).unwrap_or(i64::MAX);
            let done = done.count("offered", 1).count("engineers", engineers.len());
            done.count("mails", *mails).count("missed", *missed)
        }
        Came::NoMatch { missed } => {
            done.rows += 1 + *missed as i64;
            done.count("no_match", 1).count("missed", *missed)
        }
        Came::Failed { reason, paused } => {
            done.rows += 1;
            run.warn(format!("approach {id} failed"), json!({"why": reason, "paused": paused}));
            done.count("failed", 1).count("paused", usize::from(*paused))
        }
        Came::Reused => done.count("reused", 1),
    }
}

/// Names whom would be offered; everything is rolled back.
async fn plan(run: &TenantRun, ids: &[i64], pen: Pen<'_>) -> Outcome {
    run.write(async |tx| {
        let mut done = Done::default();
        for id in ids {
            let Some(came) = take(tx, *id, pen).await? else { continue };
            if let Came::Offered { engineers, mails, .. } = &came {
                tx.plan(json!({"approach": id, "offer": engineers, "mails": mails}));
            }
            done = counted(run, done, *id, &came);
        }
        Ok(done)
    })
    .await
}
