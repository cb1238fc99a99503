//! WEEKLY_002 パフォーマンス分析バッチ: last week's response times, errors, database and API use, and what became worse,
//! for operations; as PDF, page and JSON.

use serde::Deserialize;
use serde_json::{Value, json};
use yakin_domain::performance::changes::Rules;
use yakin_domain::performance::chapters::Chapter;
use yakin_domain::performance::database::Database;
use yakin_domain::performance::hours::Counted;
use yakin_domain::performance::{Report, Week, analyse, database, hours, week};
use yakin_engine::prelude::*;

use crate::performance_papers;

pub struct PerformanceAnalysis;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Params {
    change_percent: u64,
    min_requests: u64,
    language: String,
}

impl Batch for PerformanceAnalysis {
    type Params = Params;
    const SPEC: Spec = Spec {
        id: "WEEKLY_002",
        slug: "weekly-performance-analysis",
        title: "パフォーマンス分析バッチ",
        schedule: cron("0 5 * * 1"),
        catch_up: CatchUp::Latest,
        period: Period::WeekBefore,
        window: window(5, 0, 7, 0),
        deadline: None,
        scope: Scope::Global,
        phases: &[],
        needs: &[Need {
            batch: "DAILY_002",
            days: NeedDays::EveryDay,
            hard: false,
            wait: mins(60),
        }],
        locks: &[],
        overlap: Overlap::Forbid,
        queue: Queue::Heavy,
        priority: Priority::Medium,
        timeout: mins(60),
        retry: exponential(3, secs(5), secs(60)),
        // a relay that is down for an hour costs no mail
        retry_by_cause: &[
            (Cause::Network, exponential(8, mins(2), mins(30))),
            (Cause::Overload, exponential(8, mins(2), mins(30))),
        ],
        severity: Severity::Medium,
        expected: mins(5),
        params: &[
            Param {
                name: "changePercent",
                kind: Kind::Int(1, 1000),
                default: Some("20"),
                help: "a figure so many per cent worse than in the week before is told",
            },
            Param {
                name: "minRequests",
                kind: Kind::Int(1, 1_000_000),
                default: Some("100"),
                help: "only where there were so many requests in both weeks",
            },
            Param {
                name: "language",
                kind: Kind::OneOf(&["ja", "en"]),
                default: Some("ja"),
                help: "the documents' and the mail's",
            },
        ],
        approval: Approval::None,
        survives_database: false,
    };

    async fn global(run: &PlatformRun, p: &Params) -> Outcome {
        let week = Week::of(run)?;
        let rules = Rules { percent: p.change_percent, min_requests: p.min_requests };
        let documents = json!({"week": week.iso(), "language": p.language});
        if run.read(async |tx| week::find(tx, &week.iso()).await).await?.is_some() {
            return run
                .write(async |tx| {
                    // what is there already is left alone
                    tx.follow_up("document", PLATFORM, documents);
                    Ok(Done::default().count("reused", 1).reused())
                })
                .await;
        }
        if run.dry_run() {
            return plan(run, week, rules, &documents).await;
        }
        let counted = count(run, week).await?;
        if counted.impossible > 0 {
            let seen = json!({"calls": counted.impossible});
            run.warn("calls with a duration below zero are in no figure", seen);
        }
        let chapter = look(run, week).await?;
        let report =
            run.read(async |tx| analyse::report(tx, week, chapter.clone(), rules).await).await?;
        run.write(async |tx| {
            let new = week::keep(tx, &report, (run.id(), run.at())).await?;
            tx.follow_up("document", PLATFORM, documents);
            let done = tell(&report, Done::rows(counted.rows() + i64::from(new)));
            Ok(done.count("hours_counted", counted.hours))
        })
        .await
    }

    async fn follow_up(run: &TenantRun, name: &str, payload: &Value) -> Outcome {
        performance_papers::follow_up(run, name, payload).await
    }
}

/// The lane of work that is no tenant's.
const PLATFORM: i64 = 0;

/// Counts the hours of four weeks that have not been counted, a day at a time.
async fn count(run: &PlatformRun, week: Week) -> Result<Counted, Stop> {
    let days = run.read(async |tx| hours::uncounted(tx, week.four()).await).await?;
    let mut counted = Counted::default();
    for (place, day) in days.iter().enumerate() {
        run.progress(place as i64, days.len() as i64).await;
        let of_day = run
            .checkpoint(async |tx| {
                Ok((json!({"counted": day}), hours::count(tx, *day, run.id()).await?))
            })
            .await?;
        counted.add(of_day);
    }
    Ok(counted)
}

/// The database's chapter; what fails for good is its reason to be missing, and no reason to have no report.
async fn look(run: &PlatformRun, week: Week) -> Result<Chapter<Database>, Stop> {
    let looked = async {
        run.checkpoint(async |tx| {
            let taken = database::take(tx, week, (run.id(), run.now())).await?;
            Ok((json!({"snapshot": taken}), ()))
        })
        .await?;
        run.read(async |tx| database::chapter(tx, week).await).await
    };
    match looked.await {
        Ok(Ok(database)) => Ok(Chapter::Here(database)),
        Ok(Err(why)) => Ok(Chapter::Missing(why)),
        Err(Stop::GiveUp { message, .. }) => Ok(Chapter::Missing(message)),
        Err(stop) => Err(stop),
    }
}

/// Everything in the one transaction that is rolled back.
async fn plan(run: &PlatformRun, week: Week, rules: Rules, documents: &Value) -> Outcome {
    run.write(async |tx| {
        let mut counted = Counted::default();
        for day in hours::uncounted(tx, week.four()).await? {
            counted.add(hours::count(tx, day, run.id()).await?);
        }
        let missing = Chapter::Missing("a dry run takes no snapshot".to_owned());
        let report = analyse::report(tx, week, missing, rules).await?;
        let rows = counted.rows() + i64::from(week::keep(tx, &report, (run.id(), run.at())).await?);
        tx.follow_up("document", PLATFORM, documents.clone());
        Ok(Done::rows(rows).count("changes", report.changes.len()))
    })
    .await
}

/// What people should know of the report.
fn tell(report: &Report, done: Done) -> Done {
    let mut done = done
        .count("requests", report.total.requests)
        .count("endpoints", report.responses.endpoints_in_all)
        .count("changes", report.changes.len());
    let warnings: Vec<String> =
        report.changes.iter().filter(|c| c.is_warning()).map(|c| c.sentence()).collect();
    if !warnings.is_empty() {
        let text = format!("{}: {}", report.week, warnings.join("; "));
        done = done.report("performance became worse", text);
    }
    if !report.coverage.complete {
        let (c, week) = (&report.coverage, &report.week);
        let text =
            format!("{week}: {} of {} hours have data ({}%)", c.with_data, c.hours, c.percent);
        done = done.report("the week's record is incomplete", text);
    }
    if let Chapter::Missing(why) = &report.database {
        let text = format!("{}: the database's chapter is missing: {why}", report.week);
        done = done.short("database", text);
    }
    done
}
