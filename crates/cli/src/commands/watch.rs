//! `yakin timetable`, `yakin alerts`, `yakin audit`: what is planned, what is wrong, who did what.

use std::collections::BTreeMap;

use yakin_engine::days::{clock_text, day_of};
use yakin_engine::look::{self, FiringRow};
use yakin_engine::schedule::planner;

use super::night::day;
use crate::morning::Morning;
use crate::output::{End, duration, grouped, json, line, outcome, table};
use crate::place::{Place, registry};

/// The firings of a day.
pub async fn timetable(place: &Place, date: Option<&str>) -> anyhow::Result<End> {
    let pool = place.pool().await?;
    let now = place.clock(&pool).await?.now();
    let registry = registry()?;
    planner::register(&pool, &registry, now).await?;
    let to_do = planner::look(&pool, &registry, now).await?;
    planner::plan(&pool, &to_do.to_plan, now).await?;
    let date = date.map(day).transpose()?.unwrap_or_else(|| day_of(now));
    let firings = look::timetable_of(&pool, date).await?;
    if place.json {
        json(&firings)?;
        return Ok(End::Done);
    }
    if firings.is_empty() {
        line(format!("no firing on {date}; firings are written 48 hours ahead"));
    }
    print_timetable(&firings);
    if firings.len() >= look::SHOWN {
        let shown = grouped(i64::try_from(look::SHOWN)?);
        line(format!(
            "only {shown} firings are shown, what ended well least; the API lists all by pages"
        ));
    }
    Ok(End::Done)
}

/// The morning's report, of the 24 hours until now.
pub async fn morning(place: &Place) -> anyhow::Result<End> {
    let pool = place.pool().await?;
    let now = place.clock(&pool).await?.now();
    let morning = Morning::gather(&pool, now).await?;
    if place.json {
        json(&morning)?;
    } else {
        line(morning.subject());
        line(morning.text());
    }
    Ok(End::Done)
}

/// A batch that fires more often than this in what is shown, or for what arrives, is told in one line; what did not go
/// well stays a row.
const OFTEN: usize = 60;

/// Prints firings as a table.
pub fn print_timetable(firings: &[FiringRow]) {
    let mut often: BTreeMap<&str, Vec<&FiringRow>> = BTreeMap::new();
    for firing in firings {
        often.entry(&firing.batch_id).or_default().push(firing);
    }
    often.retain(|_, firings| firings.len() > OFTEN || firings.iter().any(|f| f.at_once));
    let quiet = |f: &&FiringRow| {
        let well = matches!(f.outcome.as_deref(), None | Some("succeeded" | "missed"));
        well && f.state != "held" && often.contains_key(f.batch_id.as_str())
    };
    print_firings(firings.iter().filter(|f| !quiet(f)));
    for (batch, firings) in &often {
        let with =
            |word: &str| firings.iter().filter(|f| f.outcome.as_deref() == Some(word)).count();
        let (all, well, missed) = (firings.len(), with("succeeded"), with("missed"));
        let title = firings.first().map_or("", |f| f.title.as_str());
        line(format!("{batch}  {all} firings, {well} succeeded, {missed} missed  {title}"));
    }
}

fn print_firings<'a>(firings: impl Iterator<Item = &'a FiringRow>) {
    let rows: Vec<Vec<String>> = firings
        .map(|f| {
            let word = f.outcome.clone().unwrap_or_else(|| f.state.clone());
            let why = f
                .reason
                .clone()
                .or_else(|| f.waiting_for.as_ref().map(|w| format!("waiting for {w}")));
            let moved = (f.due_at.to_jiff() != f.planned_at.to_jiff())
                .then(|| format!("moved from {}", hm(f.planned_at)));
            vec![
                hm(f.due_at),
                f.started_at.map(hm).unwrap_or_default(),
                f.ended_at.map(hm).unwrap_or_default(),
                f.batch_id.clone(),
                outcome(&word),
                f.run_id.map(|r| r.to_string()).unwrap_or_default(),
                duration(f.seconds),
                [Some(f.title.clone()), moved, why]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join(" · "),
            ]
        })
        .collect();
    table(&["DUE", "START", "END", "BATCH", "OUTCOME", "RUN", "TOOK", "TITLE"], &rows);
}

fn hm(at: look::Instant) -> String {
    at.to_jiff().to_zoned(yakin_engine::clock::tokyo()).strftime("%H:%M").to_string()
}

/// Open alerts.
pub async fn alerts(place: &Place, all: bool) -> anyhow::Result<End> {
    let alerts = look::alerts(&place.pool().await?, all).await?;
    if place.json {
        json(&alerts)?;
        return Ok(End::Done);
    }
    if alerts.is_empty() {
        line("no open alert");
        return Ok(End::Done);
    }
    let rows: Vec<Vec<String>> = alerts
        .iter()
        .map(|a| {
            let state = match (&a.resolved_at, &a.acknowledged_by) {
                (Some(_), _) => "resolved".to_owned(),
                (None, Some(who)) => format!("with {who}"),
                (None, None) => "open".to_owned(),
            };
            vec![
                a.id.to_string(),
                a.severity.clone(),
                a.rule.clone(),
                clock_text(a.opened_at.to_jiff()),
                state,
                a.message.clone(),
            ]
        })
        .collect();
    table(&["ALERT", "SEVERITY", "RULE", "SINCE (TOKYO)", "STATE", "MESSAGE"], &rows);
    Ok(End::Done)
}

/// The nodes that live, or were heard of within a day.
pub async fn nodes(place: &Place) -> anyhow::Result<End> {
    let nodes = look::nodes(&place.pool().await?).await?;
    if place.json {
        json(&nodes)?;
        return Ok(End::Done);
    }
    if nodes.is_empty() {
        line("no node was heard of within a day; `yakin serve` runs one");
        return Ok(End::Done);
    }
    let rows: Vec<Vec<String>> = nodes
        .iter()
        .map(|n| {
            vec![
                n.id.to_string(),
                n.state.clone(),
                n.roles.join(" "),
                n.version.clone(),
                clock_text(n.real_started.to_jiff()),
                n.running.to_string(),
                n.name.clone(),
            ]
        })
        .collect();
    table(&["NODE", "STATE", "ROLES", "VERSION", "SINCE (TOKYO)", "RUNNING", "NAME"], &rows);
    Ok(End::Done)
}
