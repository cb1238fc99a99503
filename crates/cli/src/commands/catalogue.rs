//! `yakin catalogue`, `yakin show`: what there is, and what one batch is.

use jiff::Timestamp;
use yakin_engine::days::clock_text;
use yakin_engine::look::{self, BatchRow};
use yakin_engine::operate::settings::KEYS;
use yakin_engine::schedule::cron::{Plan, text};

use crate::output::{End, UsageError, json, line, outcome, table};
use crate::place::{Place, registry};

/// Lists all batches.
pub async fn catalogue(place: &Place) -> anyhow::Result<End> {
    let pool = place.pool().await?;
    let now = place.clock(&pool).await?.now();
    yakin_engine::schedule::planner::register(&pool, &registry()?, now).await?;
    let batches = look::batches(&pool).await?;
    if place.json {
        json(&batches)?;
        return Ok(End::Done);
    }
    let rows: Vec<Vec<String>> = batches
        .iter()
        .map(|b| {
            vec![
                b.id.clone(),
                b.slug.clone(),
                if b.enabled { b.schedule.clone() } else { "disabled".to_owned() },
                next_due(b, now),
                b.last_outcome.as_deref().map(outcome).unwrap_or_default(),
                b.title.clone(),
            ]
        })
        .collect();
    table(&["ID", "SLUG", "SCHEDULE", "NEXT (TOKYO)", "LAST", "TITLE"], &rows);
    Ok(End::Done)
}

/// Shows one batch.
pub async fn show(place: &Place, batch: &str) -> anyhow::Result<End> {
    let registry = registry()?;
    let spec = registry.find(batch).map_err(UsageError)?.spec();
    let pool = place.pool().await?;
    let now = place.clock(&pool).await?.now();
    yakin_engine::schedule::planner::register(&pool, &registry, now).await?;
    let row = look::batches(&pool).await?.into_iter().find(|b| b.id == spec.id);
    if place.json {
        json(&row)?;
        return Ok(End::Done);
    }
    let field = |name: &str, value: String| line(format!("{name:<14} {value}"));
    line(format!("{} {} — {}", spec.id, spec.slug, spec.title));
    field("schedule", text(spec.schedule));
    if let Some(w) = spec.window {
        let hm = |m: u16| format!("{:02}:{:02}", m / 60, m % 60);
        field("window", format!("{}–{} (Tokyo)", hm(w.from_minute), hm(w.until_minute)));
    }
    field("period", format!("{:?}", spec.period));
    field("scope", format!("{:?}", spec.scope));
    for need in spec.needs {
        let kind = if need.hard { "hard" } else { "soft" };
        field(
            "needs",
            format!(
                "{} ({:?}, {kind}, waits {} min)",
                need.batch,
                need.days,
                need.wait.as_secs() / 60
            ),
        );
    }
    for lock in spec.locks {
        field("lock", format!("{}{}", lock.name, if lock.exclusive { " (exclusive)" } else { "" }));
    }
    field("overlap", format!("{:?}", spec.overlap));
    field("queue", format!("{} (priority {:?})", spec.queue.name(), spec.priority));
    field("timeout", format!("{} min per attempt", spec.timeout.as_secs() / 60));
    let retry = spec.retry;
    let delays: Vec<_> =
        (1..retry.attempts).map(|n| format!("{} s", retry.delay(n).as_secs())).collect();
    field(
        "attempts",
        format!("{} ({:?}; waits {})", retry.attempts, retry.backoff, delays.join(", ")),
    );
    for (cause, retry) in spec.retry_by_cause {
        let base = retry.base.as_secs();
        field(
            "",
            format!("{}: {} × {:?} from {base} s", cause.word(), retry.attempts, retry.backoff),
        );
    }
    field("severity", spec.severity.word().to_owned());
    field("expected", format!("at most {} min", spec.expected.as_secs() / 60));
    for param in spec.params {
        let default = param.default.map_or("required".to_owned(), |d| format!("default {d}"));
        field(
            "param",
            format!("{} — {} ({}; {default})", param.name, param.help, param.kind.expected()),
        );
    }
    if let Some(row) = row {
        for (key, value) in row.overrides.as_object().into_iter().flatten() {
            field("override", format!("{key} = {}", value.as_str().unwrap_or_default()));
        }
        field("next", if row.enabled { next_due(&row, now) } else { "disabled".to_owned() });
    }
    let keys: Vec<_> = KEYS.iter().map(|(k, _)| *k).collect();
    line(format!("\n`yakin set {} KEY=VALUE --reason …` overrides {}.", spec.id, keys.join(", ")));
    Ok(End::Done)
}

/// The next planned firing; for one too far ahead to be written yet, the instant its schedule gives.
fn next_due(batch: &BatchRow, now: Timestamp) -> String {
    let planned = batch.next_due.map(|t| t.to_jiff()).filter(|t| *t > now);
    let scheduled = || Plan::parse(&batch.schedule).ok()?.next_after(now);
    planned.or_else(scheduled).filter(|_| batch.enabled).map(clock_text).unwrap_or_default()
}
