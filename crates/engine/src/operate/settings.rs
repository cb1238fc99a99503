//! Operators' overrides of a batch: `yakin set BATCH key=value`, taken at once by all nodes.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use sqlx::postgres::PgPool;

use crate::error::{Doing, EngineError};
use crate::record::audit::{Act, record};
use crate::registry::{Registry, nearest};
use crate::schedule::cron::{Plan, text};
use crate::schedule::planner::replan;
use crate::spec::{Severity, Spec};
use crate::tx::Tx;

/// The keys, with what each takes.
pub const KEYS: &[(&str, &str)] = &[
    ("enabled", "true or false"),
    ("schedule", "five cron fields, 'every 300s' or 'manual'"),
    ("timeout", "seconds from 1 to 86400, per attempt"),
    ("attempts", "a whole number from 1 to 20"),
    ("expected", "seconds from 1 to 86400, the longest duration that surprises nobody"),
    ("severity", "info, medium, high or critical; not below the specification's"),
];

/// Applies a stored override to a spec; `enabled` and `schedule` live in the batch's row.
pub(crate) fn apply(spec: &mut Spec, key: &str, value: &str) {
    match (key, value.parse::<u32>()) {
        ("timeout", Ok(n)) => spec.timeout = Duration::from_secs(n.into()),
        ("expected", Ok(n)) => spec.expected = Duration::from_secs(n.into()),
        ("attempts", Ok(n)) => spec.retry.attempts = n,
        ("severity", _) => spec.severity = Severity::of(value).unwrap_or(spec.severity),
        _ => {}
    }
}

fn check(spec: &Spec, key: &str, value: &str) -> Result<(), EngineError> {
    let Some((_, expected)) = KEYS.iter().find(|(k, _)| *k == key) else {
        let near = nearest(key, KEYS.iter().map(|(k, _)| *k));
        let all: Vec<_> = KEYS.iter().map(|(k, _)| *k).collect();
        return Err(EngineError::refused(format!(
            "unknown key '{key}'{near}; keys are {}",
            all.join(", ")
        )));
    };
    let number =
        |low: u32, high: u32| value.parse::<u32>().is_ok_and(|n| (low..=high).contains(&n));
    let good = match key {
        "enabled" => matches!(value, "true" | "false"),
        "schedule" => {
            let plan = Plan::parse(value).map_err(EngineError::Refused)?;
            // what arrives is announced by topics that the code knows
            !matches!(plan, Plan::Never) || value == "manual" || value == text(spec.schedule)
        }
        "attempts" => number(1, 20),
        "severity" => Severity::of(value).is_some_and(|s| s >= spec.severity),
        _ => number(1, 86_400),
    };
    if good {
        return Ok(());
    }
    Err(EngineError::refused(format!("{key} is '{value}', expected {expected}")))
}

/// Sets (or with an empty value removes) an override; schedule and enabled withdraw and plan anew at once.
pub async fn set(
    pool: &PgPool,
    registry: &Registry,
    batch: &str,
    key: &str,
    value: &str,
    act: &Act,
    now: Timestamp,
) -> Result<(), EngineError> {
    let doing = "setting an override";
    let spec = registry.find(batch).map_err(EngineError::Unknown)?.spec();
    let value = if value.is_empty() && key == "enabled" { "true" } else { value };
    if !value.is_empty() || !KEYS.iter().any(|(k, _)| *k == key) {
        check(spec, key, value)?;
    }
    let mut tx = Tx::engine(pool).await.doing(doing)?;
    // one after the other: what stood before is what the act before it left
    super::lock_batch(&mut tx, spec.id, doing).await?;
    let before: Option<String> =
        sqlx::query_scalar("SELECT value FROM yakin.settings WHERE batch_id = $1 AND key = $2")
            .bind(spec.id)
            .bind(key)
            .fetch_optional(tx.inner().doing(doing)?)
            .await
            .doing(doing)?;
    let statement = if value.is_empty() {
        "DELETE FROM yakin.settings WHERE batch_id = $1 AND key = $2 AND $3 = ''"
    } else {
        "INSERT INTO yakin.settings (batch_id, key, value) VALUES ($1, $2, $3)
         ON CONFLICT (batch_id, key) DO UPDATE SET value = excluded.value"
    };
    let run = async |tx: &mut Tx| -> Result<(), sqlx::Error> {
        sqlx::query(statement).bind(spec.id).bind(key).bind(value).execute(tx.inner()?).await?;
        if matches!(key, "enabled" | "schedule") {
            sqlx::query(
                "UPDATE yakin.batches SET
                    schedule = CASE $2 WHEN 'schedule' THEN coalesce(nullif($3, ''), $4) ELSE schedule END,
                    enabled = CASE $2 WHEN 'enabled' THEN $3 = 'true' ELSE enabled END
                  WHERE id = $1",
            )
            .bind(spec.id)
            .bind(key)
            .bind(value)
            .bind(text(spec.schedule))
            .execute(tx.inner()?)
            .await?;
            replan(tx, spec.id, now).await?;
        }
        let details = json!({"before": before, "after": value});
        record(tx, act, "set", &format!("{} {key}", spec.id), details).await
    };
    run(&mut tx).await.doing(doing)?;
    tx.commit().await.doing(doing)
}
