//! `yakin dead …`: what gave up, grouped by cause.

use yakin_engine::operate::dead::{self, DeadGroup, Requeued};

use crate::arguments::Dead;
use crate::output::{End, json, line, table};
use crate::place::{Place, act, registry};

/// Lists, shows, requeues or discards.
pub async fn dead(place: &Place, command: Dead) -> anyhow::Result<End> {
    let pool = place.pool().await?;
    let now = place.clock(&pool).await?.now();
    match command {
        Dead::List => {
            if place.json {
                json(&dead::waiting(&pool, None).await?)?;
            } else {
                groups(&dead::groups(&pool).await?);
            }
        }
        Dead::Show { which } => {
            let letters = dead::waiting(&pool, Some(&which)).await?;
            if place.json {
                json(&letters)?;
            } else if letters.is_empty() {
                line(format!("no dead letter '{which}' waits"));
            } else {
                for letter in letters.iter().take(50) {
                    line(format!(
                        "{} · {} {} · tenant {} · run {} · {} attempts · {}",
                        letter.id,
                        letter.batch_id,
                        letter.kind,
                        letter.tenant_id,
                        letter.run_id.unwrap_or_default(),
                        letter.attempts,
                        letter.cause
                    ));
                    line(format!("    {}", letter.error));
                }
            }
        }
        Dead::Requeue { which, why } => {
            let done = dead::requeue(&pool, &registry()?, &which, &act(&why.reason)?, now).await?;
            if place.json {
                json(&done)?;
            } else {
                requeued(&done);
            }
            if !done.left.is_empty() {
                return Ok(End::Partial);
            }
        }
        Dead::Discard { which, why } => {
            let n = dead::discard(&pool, &which, &act(&why.reason)?, now).await?;
            line(format!("discarded {n}"));
        }
    }
    Ok(End::Done)
}

fn requeued(done: &Requeued) {
    if done.follow_ups > 0 {
        line(format!("requeued {} as they were", done.follow_ups));
    }
    if !done.runs.is_empty() {
        let runs: Vec<String> = done.runs.iter().map(i64::to_string).collect();
        line(format!("requeued as run {}", runs.join(", ")));
    }
    for left in &done.left {
        line(format!("those of run {} still wait: {}", left.run, left.reason));
    }
}

fn groups(groups: &[DeadGroup]) {
    if groups.is_empty() {
        line("no dead letter waits");
        return;
    }
    let row = |group: &DeadGroup| {
        let DeadGroup { fingerprint, letters, batch_id, cause, error, .. } = group.clone();
        vec![fingerprint, letters.to_string(), batch_id, cause, error]
    };
    let rows: Vec<Vec<String>> = groups.iter().map(row).collect();
    table(&["GROUP", "JOBS", "BATCH", "CAUSE", "FIRST ERROR"], &rows);
    line("\n`yakin dead requeue GROUP --reason …` runs them again.");
}
