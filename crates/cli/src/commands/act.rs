//! Acts of an operator: overrides, firings, cancels, approvals, switches. Each stands in the audit.

use jiff::Timestamp;
use yakin_engine::operate::{alerts, firings, nodes, runs, settings, switches};

use super::night::instant;
use crate::arguments::Command;
use crate::output::{End, UsageError, line};
use crate::place::{Place, act as acting, registry};

/// Carries out an act and says what was done.
pub async fn act(place: &Place, command: Command) -> anyhow::Result<End> {
    let pool = place.pool().await?;
    let registry = registry()?;
    let now = place.clock(&pool).await?.now();
    let id = |batch: &str| registry.find(batch).map(|b| b.spec().id).map_err(UsageError);
    let said = match command {
        Command::Set { batch, setting, why } => {
            let (key, value) = setting.split_once('=').ok_or_else(|| {
                UsageError(format!("'{setting}' is no KEY=VALUE, such as timeout=7200"))
            })?;
            settings::set(&pool, &registry, &batch, key, value, &acting(&why.reason)?, now).await?;
            format!(
                "{} {key} is now {}",
                id(&batch)?,
                if value.is_empty() { "the specification's" } else { value }
            )
        }
        Command::Hold(f) => {
            change(&pool, id(&f.batch)?, &f.due, firings::Change::Hold, &f.why.reason, now).await?;
            format!(
                "held; release it with `yakin release {} '{}' --reason …`",
                id(&f.batch)?,
                f.due
            )
        }
        Command::Release(f) => {
            change(&pool, id(&f.batch)?, &f.due, firings::Change::Release, &f.why.reason, now)
                .await?;
            "released".to_owned()
        }
        Command::Bypass(f) => {
            change(&pool, id(&f.batch)?, &f.due, firings::Change::Bypass, &f.why.reason, now)
                .await?;
            "bypassed; it will not run".to_owned()
        }
        Command::Move { batch, due, to, why } => {
            let to = instant(&to)?;
            change(&pool, id(&batch)?, &due, firings::Change::Move(to), &why.reason, now).await?;
            format!("moved to {}", yakin_engine::days::clock_text(to))
        }
        Command::Cancel { run, why } => {
            runs::cancel(&pool, run, &acting(&why.reason)?, now).await?;
            format!("run {run} is told to stop; `yakin run-show {run}` shows how it ends")
        }
        Command::Approve { subject, why } => {
            decide(place, &pool, &subject, true, &why.reason, now).await?
        }
        Command::Reject { subject, why } => {
            decide(place, &pool, &subject, false, &why.reason, now).await?
        }
        Command::Lane { queue, tenant, share, why } => {
            let ids = yakin_engine::tenant::by_codes(&pool, std::slice::from_ref(&tenant)).await?;
            let act = acting(&why.reason)?;
            switches::share(&pool, &queue, ids[0], read_share(&share)?, &act).await?;
            format!("{tenant} has {share} in queue {queue}")
        }
        Command::Acknowledge { alert, why } => {
            alerts::acknowledge(&pool, alert, &acting(&why.reason)?, now).await?;
            format!("alert {alert} is acknowledged")
        }
        Command::Drain { node, why } => {
            nodes::drain(&pool, node, &acting(&why.reason)?).await?;
            format!("node {node} is told to drain; it hears of it within ten seconds")
        }
        Command::Pause { queue, why } => {
            switches::pause(&pool, &queue, true, &acting(&why.reason)?).await?;
            format!("queue {queue} is paused")
        }
        Command::Resume { queue, why } => {
            switches::pause(&pool, &queue, false, &acting(&why.reason)?).await?;
            format!("queue {queue} goes on")
        }
        Command::StopAll(why) => {
            switches::stop_all(&pool, true, &acting(&why.reason)?).await?;
            "everything is stopped; `yakin resume-all --reason …` goes on".to_owned()
        }
        Command::ResumeAll(why) => {
            switches::stop_all(&pool, false, &acting(&why.reason)?).await?;
            "everything goes on".to_owned()
        }
        other => anyhow::bail!("{other:?} is answered elsewhere"),
    };
    if place.json {
        crate::output::json(&serde_json::json!({"done": said}))?;
    } else {
        line(said);
    }
    Ok(End::Done)
}

async fn change(
    pool: &sqlx::PgPool,
    batch: &str,
    due: &str,
    change: firings::Change,
    reason: &str,
    now: Timestamp,
) -> anyhow::Result<()> {
    Ok(firings::change(pool, batch, instant(due)?, change, &acting(reason)?, now).await?)
}

/// A number is a run; anything else an invoice.
async fn decide(
    _place: &Place,
    pool: &sqlx::PgPool,
    subject: &str,
    agree: bool,
    reason: &str,
    now: Timestamp,
) -> anyhow::Result<String> {
    let act = acting(reason)?;
    if let Ok(run) = subject.parse::<i64>() {
        runs::approve(pool, run, agree, &act, now).await?;
        return Ok(format!(
            "run {run} is {}",
            if agree { "approved" } else { "rejected and cancelled" }
        ));
    }
    yakin_domain::billing::decide(pool, &registry()?, subject, agree, &act, now).await?;
    Ok(format!("invoice {subject} is {}", if agree { "released" } else { "void" }))
}

fn read_share(text: &str) -> Result<switches::Share, UsageError> {
    let number = |text: &str| text.parse::<i32>().ok();
    let share = match text.split_once('=') {
        Some(("weight", weight)) => number(weight).map(switches::Share::Weight),
        Some(("cap", "")) => Some(switches::Share::Cap(None)),
        Some(("cap", cap)) => number(cap).map(|cap| switches::Share::Cap(Some(cap))),
        _ => None,
    };
    share.ok_or_else(|| {
        UsageError(format!("'{text}' is no share; expected weight=3, cap=2, or cap= for no cap"))
    })
}
