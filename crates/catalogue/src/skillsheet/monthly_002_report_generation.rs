//! MONTHLY_002 月次レポート生成バッチ: last month's report to each company, and of the service as a whole, its engineers and
//! its revenue to those who run it: PDF and workbook, each made once, each mailed once.

use serde::Deserialize;
use serde_json::{Value, json};
use yakin_domain::report::month::Months;
use yakin_domain::report::{company, revenue};
use yakin_domain::usage::staging;
use yakin_engine::days::day_of;
use yakin_engine::prelude::*;
use yakin_engine::tenant::PLATFORM;

use super::monthly_002_company;
use super::monthly_002_platform::{self, Which};

pub struct MonthlyReportGeneration;

#[derive(Debug, Deserialize)]
pub struct Params {
    reports: String,
    send_mail: bool,
}

/// More companies than this, in percent, without a report are an alert.
const MOST_FAILED: usize = 5;

impl Batch for MonthlyReportGeneration {
    type Params = Params;
    const SPEC: Spec = Spec {
        id: "MONTHLY_002",
        slug: "monthly-report-generation",
        title: "月次レポート生成バッチ",
        schedule: cron("0 7 2 * *"),
        catch_up: CatchUp::Every,
        period: Period::MonthBefore,
        window: window(6, 0, 12, 0),
        deadline: None,
        scope: Scope::EachTenant,
        phases: &[Phase::Prepare, Phase::Finish],
        needs: &[
            Need { batch: "DAILY_002", days: NeedDays::EveryDay, hard: false, wait: mins(60) },
            Need { batch: "BATCH-302", days: NeedDays::Same, hard: false, wait: mins(60) },
            Need { batch: "MONTHLY_001", days: NeedDays::Same, hard: false, wait: mins(60) },
        ],
        locks: &[],
        overlap: Overlap::Forbid,
        queue: Queue::Heavy,
        priority: Priority::Medium,
        timeout: mins(120),
        retry: exponential(3, secs(5), secs(60)),
        // a relay that is down for an hour costs no mail
        retry_by_cause: &[
            (Cause::Network, exponential(8, mins(2), mins(30))),
            (Cause::Overload, exponential(8, mins(2), mins(30))),
        ],
        severity: Severity::Critical,
        expected: mins(60),
        params: &[
            Param {
                name: "reports",
                kind: Kind::Text,
                default: Some("company,system,engineer,revenue"),
                help: "which, between commas: company, system, engineer, revenue",
            },
            Param {
                name: "send_mail",
                kind: Kind::Bool,
                default: Some("true"),
                help: "mail the reports; a later run with true mails those that were not",
            },
        ],
        approval: Approval::None,
        survives_database: false,
    };

    async fn prepare(run: &PlatformRun, p: &Params) -> Outcome {
        let months = months(run)?;
        let counted =
            if wanted(p)?.companies { company::stage_users(run, months.this).await? } else { 0 };
        Ok(Done::default().count("users_counted", counted))
    }

    async fn roster(run: &PlatformRun, p: &Params) -> Result<Vec<i64>, Stop> {
        if !wanted(p)?.companies {
            return Ok(Vec::new());
        }
        company::in_force(run, run.period()).await
    }

    async fn tenant(run: &TenantRun, p: &Params) -> Outcome {
        let months = Months::of(run.period(), day_of(run.now()))?;
        monthly_002_company::company(run, &months, p.send_mail).await
    }

    async fn finish(run: &PlatformRun, p: &Params, ended: &Ended) -> Outcome {
        let (months, mut wanted) = (months(run)?, wanted(p)?);
        if run.only_tenants().is_some() {
            // a run for some companies is not about the service, whose reports are never replaced
            wanted.platform.clear();
        }
        let impossible = if wanted.platform.contains(&Which::Revenue) {
            run.read(async |tx| revenue::impossible(tx, &months).await).await?
        } else {
            None
        };
        let failed: Vec<i64> = ended.failed.iter().chain(&ended.blocked).copied().collect();
        run.write(async |tx| {
            staging::forget(tx, run).await?;
            for which in &wanted.platform {
                if *which != Which::Revenue || impossible.is_none() {
                    let payload = json!({"failed": failed, "mail": p.send_mail});
                    tx.follow_up(which.word(), PLATFORM, payload);
                }
            }
            let mut done = Done::default();
            if let Some(why) = impossible {
                done = done.short("revenue report", why);
            }
            let (wrong, all) = (failed.len(), ended.total());
            if wrong * 100 > all * MOST_FAILED {
                let why = format!("{wrong} of {all} companies got no report");
                done = done.report("company reports", why);
            }
            Ok(done)
        })
        .await
    }

    async fn follow_up(run: &TenantRun, name: &str, payload: &Value) -> Outcome {
        let months = Months::of(run.period(), day_of(run.now()))?;
        monthly_002_platform::follow_up(run, &months, name, payload).await
    }
}

/// Which reports a run makes.
struct Wanted {
    companies: bool,
    platform: Vec<Which>,
}

fn wanted(p: &Params) -> Result<Wanted, Stop> {
    let mut wanted = Wanted { companies: false, platform: Vec::new() };
    for word in p.reports.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match Which::of(word) {
            Some(which) if !wanted.platform.contains(&which) => wanted.platform.push(which),
            Some(_) => {}
            None if word == "company" => wanted.companies = true,
            None => {
                let why = format!(
                    "parameter 'reports' names '{word}', expected company, system, engineer or revenue"
                );
                return Err(Stop::give_up(Cause::Data, why));
            }
        }
    }
    Ok(wanted)
}

fn months(run: &PlatformRun) -> Result<Months, Stop> {
    Months::of(run.period(), day_of(run.now()))
}
