//! WEEKLY_001 システムメンテナンスバッチ: indexes, statistics and old rows, log files, the cache, temporary files, and a
//! look at everyone's health. Each step stands for itself: its row says what it came to, and only it is tried again.

use jiff::ToSpan;
use serde::Deserialize;
use serde_json::json;
use yakin_domain::maintenance::{self, Maintenance, Row, Rules, Step};
use yakin_engine::prelude::*;

/// How often a step is tried.
const ATTEMPTS: u32 = 3;
/// A look at health is good for so many minutes.
const HEALTH_MINUTES: i64 = 60;

pub struct WeeklyMaintenance;

#[derive(Debug, Deserialize)]
pub struct Params {
    steps: String,
    bloat_percent: i64,
    log_archive_days: i64,
    archive_keep_days: i64,
}

impl Batch for WeeklyMaintenance {
    type Params = Params;
    const SPEC: Spec = Spec {
        id: "WEEKLY_001",
        slug: "weekly-maintenance",
        title: "システムメンテナンスバッチ",
        schedule: cron("0 4 * * 0"),
        catch_up: CatchUp::Latest,
        period: Period::Day,
        window: window(4, 0, 8, 0),
        deadline: None,
        scope: Scope::Global,
        phases: &[],
        needs: &[],
        locks: &[exclusive("db-maintenance")],
        overlap: Overlap::Forbid,
        queue: Queue::Heavy,
        priority: Priority::Medium,
        timeout: mins(180),
        retry: exponential(ATTEMPTS, secs(5), secs(60)),
        retry_by_cause: &[],
        severity: Severity::Critical,
        expected: mins(180),
        params: &[
            Param {
                name: "steps",
                kind: Kind::Text,
                default: Some("all"),
                help: "all, or some of database, logs, cache, temp, health, with commas between them",
            },
            Param {
                name: "bloat_percent",
                kind: Kind::Int(10, 90),
                default: Some("30"),
                help: "the share of empty room, in percent, from which on an index is rebuilt",
            },
            Param {
                name: "log_archive_days",
                kind: Kind::Int(1, 3650),
                default: Some("7"),
                help: "days after its last line that a log file goes to the archive; the policy `log_files`, if more",
            },
            Param {
                name: "archive_keep_days",
                kind: Kind::Int(1, 3650),
                default: Some("90"),
                help: "days after its last line that an archive goes; the policy `log_files`, if more",
            },
        ],
        approval: Approval::None,
        survives_database: false,
    };

    async fn global(run: &PlatformRun, p: &Params) -> Outcome {
        let steps = Step::named(&p.steps).map_err(|e| Stop::give_up(Cause::Data, e))?;
        let rules = Rules {
            bloat_percent: p.bloat_percent,
            archive_after_days: p.log_archive_days,
            delete_after_days: p.archive_keep_days,
        };
        let with = run.resource::<Maintenance>().unwrap_or_default();
        if run.dry_run() {
            return plan(run, &with, &steps, &rules).await;
        }
        let mut again = None;
        for step in &steps {
            if let Some(stop) = take(run, &with, *step, &rules).await? {
                again.get_or_insert(stop);
            }
        }
        if let Some(stop) = again {
            return Err(stop);
        }
        let rows = run.read(async |tx| Ok(maintenance::rows(tx, run.id()).await?)).await?;
        run.write(async |_| Ok(told(&rows))).await
    }
}

/// Takes a step unless it is done; what it came to stands in its row. Gives why it must be tried again.
async fn take(
    run: &PlatformRun,
    with: &Maintenance,
    step: Step,
    rules: &Rules,
) -> Result<Option<Stop>, Stop> {
    let (id, date) = (run.id(), run.period().start);
    let fresh = run.at().checked_sub(HEALTH_MINUTES.minutes()).unwrap_or(run.at());
    let (rows, done) = run
        .read(async |tx| {
            let done = maintenance::reuse(tx, id, date, fresh).await?;
            Ok((maintenance::rows(tx, id).await?, done))
        })
        .await?;
    let earlier = rows.iter().find(|row| row.step == step.word());
    let tried = earlier.map_or(0, |row| row.attempts.unsigned_abs());
    if earlier.is_some_and(|row| row.outcome != "failed") || tried >= ATTEMPTS {
        return Ok(None);
    }
    let mut tally = maintenance::begin(earlier);
    let (outcome, stop) = if done.iter().any(|word| word == step.word()) {
        (maintenance::Outcome::Reused, None)
    } else {
        match with.carry_out(run, step, rules, &mut tally).await {
            Ok(()) => (maintenance::Outcome::of(&tally), None),
            Err(stop @ (Stop::Retry { cause: Cause::Lost, .. } | Stop::Cancelled)) => {
                return Err(stop);
            }
            Err(stop) => (maintenance::Outcome::Failed, Some(stop)),
        }
    };
    let error = stop.as_ref().map(Stop::message);
    run.step(async |tx| {
        let when = (id, date, run.at());
        Ok(maintenance::keep(tx, when, step, outcome, &tally, error.as_deref()).await?)
    })
    .await?;
    for missing in &tally.missing {
        run.warn(format!("{}: {missing}", step.word()), json!({}));
    }
    Ok(stop.and_then(|stop| match stop {
        Stop::Retry { cause, message } if tried + 1 < ATTEMPTS => {
            Some(Stop::retry(cause, format!("{}: {message}", step.word())))
        }
        _ => None,
    }))
}

/// The run by its steps' rows: a failed step makes it partial, one that is not configured is counted and logged.
fn told(rows: &[Row]) -> Done {
    let reused = !rows.is_empty() && rows.iter().all(|row| row.outcome == "reused");
    let mut done = Done { reused, ..Done::default() };
    for row in rows {
        done = done.count(&row.outcome, 1);
        for (name, value) in &row.after.0 {
            done = done.count(name, *value);
        }
        if let Some(error) = &row.error {
            done = done.short(&row.step, format!("{}: {error}", row.step));
        }
        done.reports.extend(row.notes.0.iter().cloned());
    }
    done.rows =
        ["rows_removed", "sessions_removed"].iter().filter_map(|n| done.counts.get(*n)).sum();
    done
}

async fn plan(run: &PlatformRun, with: &Maintenance, steps: &[Step], rules: &Rules) -> Outcome {
    let mut planned = Vec::new();
    for step in steps {
        let mut tally = maintenance::Tally::default();
        with.carry_out(run, *step, rules, &mut tally).await?;
        let (before, after) = (tally.before, tally.after);
        planned.push(json!({"step": step.word(), "before": before, "would": after, "missing": tally.missing}));
    }
    run.write(async |tx| {
        for act in planned {
            tx.plan(act);
        }
        Ok(Done::default())
    })
    .await
}
