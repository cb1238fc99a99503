//! BATCH-301 テナント使用量集計バッチ: one row per tenant and day of everything it took up, with the month's
//! estimate so far and its quota alerts; built on BATCH-204's record of the day.

use jiff_sqlx::ToSqlx;
use serde::Deserialize;
use serde_json::json;
use yakin_domain::usage::alerts;
use yakin_domain::usage::resources::{self, Resource, TenantDay};
use yakin_domain::usage::staging;
use yakin_engine::prelude::*;

/// Shares of tenants, of at least this many, above which a run warns.
const FAILED_PERCENT: i64 = 5;
const NO_ESTIMATE_PERCENT: i64 = 1;
const SAMPLE: i64 = 20;
/// How many tenants a warning names.
const NAMED: usize = 50;

pub struct TenantUsageAggregation;

#[derive(Debug, Deserialize)]
pub struct Params {
    resource_type: Resource,
    cost_floor: i64,
}

impl Batch for TenantUsageAggregation {
    type Params = Params;
    const SPEC: Spec = Spec {
        id: "BATCH-301",
        slug: "tenant-usage-aggregation",
        title: "テナント使用量集計バッチ",
        schedule: cron("45 1 * * *"),
        catch_up: CatchUp::Every,
        period: Period::DayBefore,
        window: window(1, 30, 4, 0),
        deadline: None,
        scope: Scope::EachTenant,
        phases: &[Phase::Prepare, Phase::Finish],
        needs: &[same("BATCH-204", mins(30))],
        locks: &[],
        overlap: Overlap::Forbid,
        queue: Queue::Default,
        priority: Priority::High,
        timeout: mins(60),
        retry: exponential(4, mins(5), hours(1)),
        retry_by_cause: &[(Cause::Storage, exponential(6, mins(1), hours(1)))],
        severity: Severity::Medium,
        expected: mins(60),
        params: &[
            Param {
                name: "resource_type",
                kind: Kind::OneOf(&["all", "api", "storage", "compute", "network", "feature"]),
                default: Some("all"),
                help: "refresh only these columns of a day that has a row",
            },
            Param {
                name: "cost_floor",
                kind: Kind::Int(0, 1_000_000_000_000),
                default: Some("10000"),
                help: "rise over the month before, in the tenant's currency, that is no anomaly yet",
            },
        ],
        approval: Approval::None,
        survives_database: false,
    };

    async fn prepare(run: &PlatformRun, p: &Params) -> Outcome {
        let day = staging::ended_day(run)?;
        resources::still_kept(run, day, p.resource_type).await?;
        staging::clear(run).await?;
        let strays = staging::stage(run, day, resources::RECIPE).await?;
        Ok(Done::default()
            .count("rows_without_tenant", strays.without_tenant)
            .count("rows_of_others", strays.of_others))
    }

    async fn roster(run: &PlatformRun, _: &Params) -> Result<Vec<i64>, Stop> {
        staging::roster(run).await
    }

    async fn tenant(run: &TenantRun, p: &Params) -> Outcome {
        let staged = staging::of_tenant(run).await?;
        let day = TenantDay::staged(run.tenant(), run.period().start, staged, p.cost_floor);
        run.write(async |tx| resources::store(tx, run, &day, p.resource_type).await).await
    }

    async fn finish(run: &PlatformRun, _: &Params, ended: &Ended) -> Outcome {
        staging::clear(run).await?;
        let (rows, without_estimate): (i64, i64) = run
            .read(async |tx| {
                Ok(sqlx::query_as(
                    "SELECT count(*), count(estimate_missing) FROM app.tenant_usage_daily
                      WHERE usage_date = $1",
                )
                .bind(run.period().start.to_sqlx())
                .fetch_one(tx)
                .await?)
            })
            .await?;
        let (failed, total) = (ended.failed.len() as i64, ended.total() as i64);
        if total >= SAMPLE && failed * 100 > total * FAILED_PERCENT {
            let tenants: Vec<i64> = ended.failed.iter().copied().take(NAMED).collect();
            run.warn(
                "many tenants failed",
                json!({"failed": failed, "of": total, "tenants": tenants}),
            );
        }
        if rows >= SAMPLE && without_estimate * 100 > rows * NO_ESTIMATE_PERCENT {
            run.warn(
                "many estimates are missing",
                json!({"missing": without_estimate, "of": rows}),
            );
        }
        let mut done = Done::default().count("estimates_missing", without_estimate);
        for (subject, message) in alerts::for_operations(run).await? {
            done = done.report(&subject, message);
        }
        Ok(done)
    }
}
