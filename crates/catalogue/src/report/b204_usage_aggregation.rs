//! BATCH-204 使用量集計バッチ: what each tenant did with the service on a day (calls, reports, sessions,
//! files); the record on which limits, bills and KPIs rest.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use serde::Deserialize;
use serde_json::{Value, json};
use yakin_domain::usage::kept;
use yakin_domain::usage::resources::{self, Resource, TenantDay};
use yakin_domain::usage::service::{self, Stored};
use yakin_domain::usage::staging;
use yakin_engine::days::after;
use yakin_engine::prelude::*;

/// The follow-up that brings BATCH-301's row of a changed day up to date.
const RECOMPUTE: &str = "recompute-301";

/// Shares of failed tenants, and of change in their number from one day to the next, above which a
/// run warns.
const FAILED_PERCENT: usize = 3;
const TENANTS_PERCENT: i64 = 10;
/// How many tenants a warning names.
const NAMED: usize = 50;

pub struct UsageAggregation;

#[derive(Debug, Deserialize)]
pub struct Params {
    force_recalc: bool,
}

impl Batch for UsageAggregation {
    type Params = Params;
    const SPEC: Spec = Spec {
        id: "BATCH-204",
        slug: "usage-aggregation",
        title: "使用量集計バッチ",
        schedule: cron("30 1 * * *"),
        catch_up: CatchUp::Every,
        period: Period::DayBefore,
        window: window(1, 0, 5, 0),
        deadline: None,
        scope: Scope::EachTenant,
        phases: &[Phase::Prepare, Phase::Finish],
        needs: &[],
        locks: &[],
        overlap: Overlap::Forbid,
        queue: Queue::Default,
        priority: Priority::High,
        timeout: mins(120),
        retry: exponential(4, mins(5), hours(1)),
        retry_by_cause: &[
            (Cause::Timeout, fixed(3, mins(10))),
            (Cause::LockConflict, exponential(6, mins(1), hours(1))),
            (Cause::Lost, exponential(6, mins(1), hours(1))),
        ],
        severity: Severity::High,
        expected: mins(45),
        params: &[Param {
            name: "force_recalc",
            kind: Kind::Bool,
            default: Some("false"),
            help: "write what billed days differ by as corrections, for the next invoice",
        }],
        approval: Approval::None,
        survives_database: false,
    };

    async fn prepare(run: &PlatformRun, _: &Params) -> Outcome {
        let day = staging::ended_day(run)?;
        kept::still_kept(run, day, &service::RECIPE.logs()).await?;
        staging::clear(run).await?;
        let strays = staging::stage(run, day, service::RECIPE).await?;
        let mut again = 0;
        for earlier in service::days_to_recheck(day, run.now()) {
            if service::differs(run, earlier).await? {
                staging::stage(run, earlier, service::RECIPE).await?;
                again += 1;
            }
        }
        Ok(Done::default()
            .count("rows_without_tenant", strays.without_tenant)
            .count("rows_of_others", strays.of_others)
            .count("days_counted_again", again))
    }

    async fn roster(run: &PlatformRun, _: &Params) -> Result<Vec<i64>, Stop> {
        staging::roster(run).await
    }

    async fn tenant(run: &TenantRun, p: &Params) -> Outcome {
        staging::of_tenant(run).await?;
        run.write(async |tx| {
            let stored = service::store(tx, run, p.force_recalc).await?;
            let follow_ups = recompute_later(tx, run.tenant(), &stored.written).await?;
            Ok(done(run, p, &stored).count("recomputed_in_301", follow_ups))
        })
        .await
    }

    async fn finish(run: &PlatformRun, _: &Params, ended: &Ended) -> Outcome {
        staging::clear(run).await?;
        check(run, ended).await?;
        Ok(Done::default())
    }

    async fn follow_up(run: &TenantRun, name: &str, payload: &Value) -> Outcome {
        let day: Option<Date> = payload["date"].as_str().and_then(|text| text.parse().ok());
        let Some(day) = day.filter(|_| name == RECOMPUTE) else {
            return Err(Stop::give_up(Cause::Defect, format!("follow-up '{name}' of {payload}")));
        };
        let counted = TenantDay::counted(run, day, resources::COST_FLOOR).await?;
        run.write(async |tx| resources::store(tx, run, &counted, Resource::All).await).await
    }
}

/// Where BATCH-301 has a row of a day that changed, a follow-up computes it again.
async fn recompute_later(tx: &mut Tx, tenant: i64, written: &[Date]) -> Result<usize, Stop> {
    let days: Vec<jiff_sqlx::Date> = written.iter().map(|day| day.to_sqlx()).collect();
    let viewed: Vec<jiff_sqlx::Date> = sqlx::query_scalar(
        "SELECT usage_date FROM app.tenant_usage_daily
          WHERE tenant_id = $1 AND usage_date = ANY ($2) ORDER BY usage_date",
    )
    .bind(tenant)
    .bind(days)
    .fetch_all(&mut *tx)
    .await?;
    for day in &viewed {
        tx.follow_up(RECOMPUTE, tenant, json!({"date": day.to_jiff().to_string()}));
    }
    Ok(viewed.len())
}

/// Warns of what looks wrong although nothing failed: many failed tenants, their number jumped, a
/// log was empty.
async fn check(run: &PlatformRun, ended: &Ended) -> Result<(), Stop> {
    let day = run.period().start;
    let (tenants, before, calls, sessions, active): (i64, i64, i64, i64, i64) = run
        .read(async |tx| {
            Ok(sqlx::query_as(include_str!("b204_totals.sql"))
                .bind(day.to_sqlx())
                .bind(after(day, -1).to_sqlx())
                .fetch_one(tx)
                .await?)
        })
        .await?;
    if ended.failed.len() * 100 > ended.total() * FAILED_PERCENT {
        let (failed, total) = (ended.failed.len(), ended.total());
        run.warn(
            "many tenants failed",
            json!({"failed": failed, "of": total, "tenants": first(&ended.failed)}),
        );
    }
    if before > 0
        && run.only_tenants().is_none()
        && (tenants - before).abs() * 100 > before * TENANTS_PERCENT
    {
        run.warn(
            "the number of tenants jumped",
            json!({"tenants": tenants, "the day before": before}),
        );
    }
    if active > 0 && (calls == 0 || sessions == 0) {
        let seen = json!({"active users": active, "calls": calls, "sessions": sessions});
        run.warn("a log is empty although users were active", seen);
    }
    Ok(())
}

fn first(tenants: &[i64]) -> &[i64] {
    &tenants[..tenants.len().min(NAMED)]
}

fn done(run: &TenantRun, p: &Params, stored: &Stored) -> Done {
    for (day, by) in &stored.billed {
        let what = match p.force_recalc {
            true => "a billed day differs: correction written",
            false => "a billed day differs and stays as it is; force_recalc writes a correction",
        };
        run.warn(what, json!({"day": day.to_string(), "difference": by}));
    }
    let corrections = if p.force_recalc { stored.billed.len() } else { 0 };
    let done = Done::rows(stored.written.len() + corrections + stored.finalized as usize)
        .count("days_written", stored.written.len())
        .count("billed_days_differing", stored.billed.len())
        .count("corrections", corrections);
    if stored.written.is_empty() && corrections == 0 { done.reused() } else { done }
}
