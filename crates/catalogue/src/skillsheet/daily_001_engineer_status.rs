//! DAILY_001 待機ステータス自動更新バッチ: who works, who waits and who soon will, judged each night by the
//! engineers' assignments; sales is told what changed.

use jiff_sqlx::ToSqlx;
use serde::Deserialize;
use serde_json::{Value, json};
use yakin_domain::delivery::Urgency;
use yakin_domain::delivery::ask::{Audience, NewNotice, ask};
use yakin_engine::prelude::*;

/// A tenant of which at least this many engineers, and more than this share, would change is held.
const HELD_FROM: i64 = 10;
const HELD_PERCENT: i64 = 30;
/// How many engineers a message, a plan and a log line name.
const NAMED: i64 = 50;

pub struct EngineerStatus;

#[derive(Debug, Deserialize)]
pub struct Params {
    soon_days: i32,
    gap_days: i32,
}

impl Batch for EngineerStatus {
    type Params = Params;
    const SPEC: Spec = Spec {
        id: "DAILY_001",
        slug: "engineer-status-update",
        title: "待機ステータス自動更新バッチ",
        schedule: cron("0 2 * * *"),
        catch_up: CatchUp::Latest,
        period: Period::Day,
        window: window(1, 0, 5, 0),
        deadline: None,
        scope: Scope::EachTenant,
        phases: &[],
        needs: &[],
        locks: &[],
        overlap: Overlap::Forbid,
        queue: Queue::Default,
        priority: Priority::Medium,
        timeout: mins(30),
        retry: exponential(3, secs(5), secs(60)),
        retry_by_cause: &[],
        severity: Severity::Critical,
        expected: mins(30),
        params: &[
            Param {
                name: "soon_days",
                kind: Kind::Int(0, 3650),
                default: Some("90"),
                help: "days up to an assignment's end that count as waiting soon",
            },
            Param {
                name: "gap_days",
                kind: Kind::Int(0, 365),
                default: Some("7"),
                help: "days after an end within which a confirmed follow-on must begin to go on with it",
            },
        ],
        approval: Approval::None,
        survives_database: false,
    };

    async fn tenant(run: &TenantRun, p: &Params) -> Outcome {
        run.write(async |tx| {
            judged_up_to(tx, run).await?;
            let update = update(tx, run, p).await?;
            if update.held && !run.released() && !run.dry_run() {
                return Err(Stop::blocked(update.why_held(run.id())));
            }
            report(run, &update);
            tell(tx, run, &update).await?;
            Ok(update.done())
        })
        .await
    }
}

/// Blocks a day before one that has been judged: states are of today, and would go back.
async fn judged_up_to(tx: &mut Tx, run: &TenantRun) -> Result<(), Stop> {
    let day = run.period().start;
    let later: Option<jiff_sqlx::Date> = sqlx::query_scalar(
        "SELECT max(status_on) FROM app.engineer_status_history
          WHERE tenant_id = $1 AND status_on > $2 AND run_id IS NOT NULL",
    )
    .bind(run.tenant())
    .bind(day.to_sqlx())
    .fetch_one(tx)
    .await?;
    match later {
        Some(later) if !run.released() && !run.dry_run() => Err(Stop::blocked(format!(
            "engineers were judged for {} already, {day} would take them back; look with --dry-run, go on with \
             `yakin unblock {}`",
            later.to_jiff(),
            run.id()
        ))),
        _ => Ok(()),
    }
}

/// What became of a tenant's engineers.
#[derive(Debug, sqlx::FromRow)]
struct Update {
    engineers: i64,
    /// How many differ from what they should be.
    wanted: i64,
    held: bool,
    judged: i64,
    contradictory: i64,
    endless: i64,
    to_working: i64,
    to_waiting_soon: i64,
    to_waiting: i64,
    first_changes: Value,
    first_contradictory: Value,
    first_endless: Value,
}

async fn update(tx: &mut Tx, run: &TenantRun, p: &Params) -> Result<Update, sqlx::Error> {
    sqlx::query_as(include_str!("daily_001_update.sql"))
        .bind(run.tenant())
        .bind(run.period().start.to_sqlx())
        .bind(run.id())
        .bind(run.now().to_sqlx())
        .bind(p.soon_days)
        .bind(p.gap_days)
        .bind(HELD_FROM)
        .bind(HELD_PERCENT)
        .bind(run.released() || run.dry_run())
        .bind(NAMED)
        .fetch_one(tx)
        .await
}

impl Update {
    fn changed(&self) -> i64 {
        self.to_working + self.to_waiting_soon + self.to_waiting
    }

    fn why_held(&self, run: i64) -> String {
        format!(
            "held: {} of {} engineers would change, more than {HELD_PERCENT} %; look with --dry-run, then confirm \
             with `yakin unblock {run}` for this tenant",
            self.wanted, self.engineers
        )
    }

    fn done(&self) -> Done {
        let changed = self.changed();
        let told = i64::from(changed > 0);
        let done = Done::rows(changed * 2 + told)
            .count("judged", self.judged)
            .count("to_working", self.to_working)
            .count("to_waiting_soon", self.to_waiting_soon)
            .count("to_waiting", self.to_waiting)
            .count("contradictory", self.contradictory)
            .count("without_end", self.endless)
            .count("would_be_held", self.held);
        if changed == 0 { done.reused() } else { done }
    }
}

/// Lists what somebody should look at.
fn report(run: &TenantRun, update: &Update) {
    if update.contradictory > 0 {
        let first = &update.first_contradictory;
        let seen = json!({"engineers": update.contradictory, "first": first});
        run.warn("assignments that end before they begin: their engineers were left alone", seen);
    }
    if update.endless > 0 {
        let seen = json!({"engineers": update.endless, "first": update.first_endless});
        run.warn("assignments without an end: their engineers count as working", seen);
    }
    if update.held {
        let seen = json!({"engineers": update.engineers, "would_change": update.wanted});
        run.warn("many engineers change", seen);
    }
}

/// Asks that sales be told, in the transaction that changed the states: once, and only of what was committed.
async fn tell(tx: &mut Tx, run: &TenantRun, update: &Update) -> Result<(), Stop> {
    let count = update.changed();
    if count == 0 {
        return Ok(());
    }
    for change in update.first_changes.as_array().into_iter().flatten() {
        tx.plan(json!({"change": change}));
    }
    let notice = NewNotice {
        key: "engineer-status-summary",
        audience: Audience::Sales,
        urgency: Urgency::Medium,
        data: json!({"day": run.period().start.to_string(), "count": count, "to_waiting": update.to_waiting,
                     "to_waiting_soon": update.to_waiting_soon, "to_working": update.to_working,
                     "changes": update.first_changes, "more": (count - NAMED).max(0),
                     "contradictory": update.contradictory}),
    };
    ask(tx, &notice, run.now()).await
}
