//! EXAMPLE-001 待機予定更新バッチ: marks engineers whose assignment ends within the coming days.

use jiff_sqlx::ToSqlx;
use serde::Deserialize;
use yakin_engine::days::after;
use yakin_engine::prelude::*;

pub struct WaitingSoon;

#[derive(Debug, Deserialize)]
pub struct Params {
    days: i64,
}

impl Batch for WaitingSoon {
    type Params = Params;
    const SPEC: Spec = Spec {
        id: "EXAMPLE-001",
        slug: "waiting-soon",
        title: "待機予定更新バッチ",
        schedule: cron("15 2 * * *"),
        catch_up: CatchUp::Latest,
        period: Period::Day,
        window: window(2, 0, 6, 0),
        deadline: None,
        scope: Scope::EachTenant,
        phases: &[],
        needs: &[],
        locks: &[],
        overlap: Overlap::Forbid,
        queue: Queue::Default,
        priority: Priority::Medium,
        timeout: mins(5),
        retry: exponential(3, secs(30), mins(5)),
        retry_by_cause: &[],
        severity: Severity::Medium,
        expected: mins(10),
        params: &[Param {
            name: "days",
            kind: Kind::Int(1, 365),
            default: Some("90"),
            help: "how many days ahead an assignment's end counts as soon",
        }],
        approval: Approval::None,
        survives_database: false,
    };

    async fn tenant(run: &TenantRun, p: &Params) -> Outcome {
        let today = run.period().start;
        run.write(async |tx| {
            let marked = sqlx::query(include_str!("waiting_soon.sql"))
                .bind(run.tenant())
                .bind(today.to_sqlx())
                .bind(after(today, p.days).to_sqlx())
                .execute(&mut *tx)
                .await?
                .rows_affected();
            let done = Done::rows(marked).count("marked", marked);
            Ok(if marked == 0 { done.reused() } else { done })
        })
        .await
    }
}
