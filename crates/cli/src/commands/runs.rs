//! `yakin runs`, `yakin run-show`: the ledger.

use std::collections::HashMap;

use yakin_engine::days::clock_text;
use yakin_engine::look::{self, RunRow};

use crate::output::{End, UsageError, cut, duration, grouped, json, line, outcome, table};
use crate::place::{Place, registry};

/// Lists the newest runs.
pub async fn runs(place: &Place, batch: Option<&str>, limit: i64) -> anyhow::Result<End> {
    let registry = registry()?;
    let id =
        batch.map(|b| registry.find(b).map(|b| b.spec().id)).transpose().map_err(UsageError)?;
    let runs = look::runs(&place.pool().await?, id, limit).await?;
    if place.json {
        json(&runs)?;
        return Ok(End::Done);
    }
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|r| {
            vec![
                r.id.to_string(),
                r.batch_id.clone(),
                r.days().map(|d| d.to_string()).unwrap_or_default(),
                clock_text(r.run_at.to_jiff()),
                standing(r),
                format!("{}/{}", r.tenants_done, r.tenants_total),
                duration(r.seconds),
                r.reason.clone().or_else(|| r.waiting_for.clone()).unwrap_or_default(),
            ]
        })
        .collect();
    table(&["RUN", "BATCH", "PERIOD", "AT (TOKYO)", "OUTCOME", "TENANTS", "TOOK", "REASON"], &rows);
    Ok(End::Done)
}

fn standing(run: &RunRow) -> String {
    let word = run.outcome.as_deref().unwrap_or(&run.state);
    outcome(&if run.dry_run { format!("{word} (dry)") } else { word.to_owned() })
}

/// Shows one run whole.
pub async fn show(place: &Place, id: i64) -> anyhow::Result<End> {
    let pool = place.pool().await?;
    let run = look::run(&pool, id).await?;
    let tenants = look::run_tenants(&pool, id).await?;
    let logs = look::run_logs(&pool, id, None, 200).await?;
    if place.json {
        json(&serde_json::json!({"run": run, "tenants": tenants, "logs": logs}))?;
        return Ok(End::Done);
    }
    let names: HashMap<i64, String> =
        yakin_engine::tenant::all(&pool).await?.into_iter().map(|t| (t.id, t.code)).collect();
    line(format!("run {} · {} {} · {}", run.id, run.batch_id, run.title, standing(&run)));
    let period = run.days().map(|d| format!("period {d} · ")).unwrap_or_default();
    line(format!(
        "{period}{} by {} · at {}",
        run.trigger,
        run.requested_by,
        clock_text(run.run_at.to_jiff())
    ));
    if let Some(reason) = run.reason.as_ref().or(run.waiting_for.as_ref()) {
        line(format!("reason: {reason}"));
    }
    let yen = run.amount_yen.map(|y| format!(" · {} yen", grouped(y))).unwrap_or_default();
    line(format!(
        "tenants {} · done {} · blocked {} · failed {} · rows {}{yen} · took {}",
        run.tenants_total,
        run.tenants_done,
        run.tenants_blocked,
        run.tenants_failed,
        grouped(run.rows_written),
        duration(run.seconds)
    ));
    for (name, count) in run.counts.as_object().into_iter().flatten() {
        line(format!("  {name}: {count}"));
    }
    for note in run.notes.as_array().into_iter().flatten() {
        line(format!("note: {}", note.as_str().unwrap_or_default()));
    }
    if let Some(plan) = &run.plan {
        line(format!("plan {}", run.plan_hash.as_deref().unwrap_or_default()));
        line(serde_json::to_string_pretty(plan)?);
    }
    let shown: Vec<Vec<String>> = tenants
        .iter()
        .take(50)
        .map(|t| {
            let amount =
                t.amount.map(|a| format!("{} {}", grouped(a), t.currency.as_deref().unwrap_or("")));
            let name = names.get(&t.tenant_id).cloned().unwrap_or_else(|| t.tenant_id.to_string());
            let state = if t.reused { "done (reused)".to_owned() } else { t.state.clone() };
            vec![
                name,
                state,
                t.attempts.to_string(),
                t.rows_written.to_string(),
                amount.unwrap_or_default(),
                t.reason.clone().unwrap_or_default(),
            ]
        })
        .collect();
    if !shown.is_empty() {
        line("");
        table(&["TENANT", "STATE", "TRIES", "ROWS", "AMOUNT", "REASON"], &shown);
        if tenants.len() > shown.len() {
            line(format!("… and {} more (--json shows all)", tenants.len() - shown.len()));
        }
    }
    if !logs.is_empty() {
        line("");
        for log in &logs {
            let who = names.get(&log.tenant_id).map(|n| format!(" {n}")).unwrap_or_default();
            let metadata = log.metadata.as_ref().map(|m| format!(" {m}")).unwrap_or_default();
            let at = log
                .logged_at
                .to_jiff()
                .to_zoned(yakin_engine::clock::tokyo())
                .strftime("%H:%M:%S")
                .to_string();
            line(cut(&format!("{at} {:<5}{who} {}{metadata}", log.level, log.message), 160));
        }
    }
    let open = run.outcome.as_deref();
    if matches!(open, Some("failed" | "partial")) {
        line(format!("\nafter mending: yakin rerun {id} --failed"));
    }
    Ok(End::Done)
}
