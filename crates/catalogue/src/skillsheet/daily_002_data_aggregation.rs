//! DAILY_002 日次データ集計バッチ: yesterday's figures of each company and of the service as a whole, as the basis of
//! dashboards, invoices and reports; what BATCH-204 and 301 have recorded is taken over.

use serde::Deserialize;
use serde_json::json;
use yakin_domain::usage::{company, kept, staging, system};
use yakin_engine::prelude::*;

/// How many companies a log line names.
const NAMED: usize = 50;

pub struct DataAggregation;

#[derive(Debug, Deserialize)]
pub struct Params {
    recompute: bool,
}

impl Batch for DataAggregation {
    type Params = Params;
    const SPEC: Spec = Spec {
        id: "DAILY_002",
        slug: "daily-data-aggregation",
        title: "日次データ集計バッチ",
        schedule: cron("0 3 * * *"),
        catch_up: CatchUp::Every,
        period: Period::DayBefore,
        window: window(2, 0, 6, 0),
        deadline: None,
        scope: Scope::EachTenant,
        phases: &[Phase::Prepare, Phase::Finish],
        needs: &[
            Need { batch: "BATCH-201", days: NeedDays::Same, hard: false, wait: mins(60) },
            Need { batch: "BATCH-204", days: NeedDays::Same, hard: false, wait: mins(60) },
            Need { batch: "BATCH-301", days: NeedDays::Same, hard: false, wait: mins(60) },
        ],
        locks: &[],
        overlap: Overlap::Forbid,
        queue: Queue::Default,
        priority: Priority::Medium,
        timeout: mins(60),
        retry: exponential(3, secs(5), secs(60)),
        retry_by_cause: &[],
        severity: Severity::Critical,
        expected: mins(60),
        params: &[Param {
            name: "recompute",
            kind: Kind::Bool,
            default: Some("false"),
            help: "count the counters of days that are there again; gauges stay",
        }],
        approval: Approval::None,
        survives_database: false,
    };

    async fn prepare(run: &PlatformRun, p: &Params) -> Outcome {
        let day = staging::ended_day(run)?;
        let scope = staging::scope(run, day, company::SCOPE).await?;
        let mut logs = company::logs_read(run, day, &scope, p.recompute).await?;
        logs.extend(system::logs_read(run, day, line_again(run, p)).await?);
        kept::still_kept(run, day, &logs).await?;
        staging::clear(run).await?;
        let strays = company::stage(run, day, &scope).await?;
        system::stage(run, day).await?;
        Ok(Done::default()
            .count("rows_without_tenant", strays.without_tenant)
            .count("rows_of_others", strays.of_others))
    }

    async fn roster(run: &PlatformRun, _: &Params) -> Result<Vec<i64>, Stop> {
        Ok(system::staged(run, run.period().start).await?.0)
    }

    async fn tenant(run: &TenantRun, p: &Params) -> Outcome {
        let staged = staging::of_tenant(run).await?;
        run.write(async |tx| {
            let stored = company::store(tx, run, &staged, p.recompute).await?;
            let done = Done::rows(stored.rows)
                .count("reused", stored.taken_over)
                .count("letters_unknown", stored.strange);
            Ok(if stored.rows == 0 { done.reused() } else { done })
        })
        .await
    }

    async fn finish(run: &PlatformRun, p: &Params, _: &Ended) -> Outcome {
        let day = run.period().start;
        let (companies, figures) = system::staged(run, day).await?;
        let again = line_again(run, p);
        let done = run
            .write(async |tx| {
                let (rows, missing) = system::store(tx, run, &companies, &figures, again).await?;
                let silent = system::silent(tx, day, &companies).await?;
                if !silent.is_empty() {
                    let first = &silent[..silent.len().min(NAMED)];
                    run.info(
                        "companies fell silent",
                        json!({"companies": silent.len(), "first": first}),
                    );
                }
                if missing > 0 {
                    let seen = json!({"missing": missing, "of": companies.len()});
                    run.warn("the service's line is incomplete", seen);
                }
                if !run.dry_run() {
                    staging::forget(tx, run).await?;
                }
                Ok(Done::rows(rows)
                    .count("companies_missing", missing)
                    .count("companies_silent", silent.len()))
            })
            .await?;
        if run.dry_run() {
            staging::clear(run).await?;
        }
        Ok(done)
    }
}

/// Whether the service's line is counted again: how it answered is nobody's to count for some companies.
fn line_again(run: &PlatformRun, p: &Params) -> bool {
    p.recompute && run.only_tenants().is_none()
}
