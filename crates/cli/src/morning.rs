//! The morning's report to those who run Yakin: what ran, what did not, what waits for a person, with the commands.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sqlx::postgres::PgPool;
use tokio_util::sync::CancellationToken;
use yakin_domain::delivery::Channel;
use yakin_engine::clock::tokyo;
use yakin_engine::days::clock_text;
use yakin_engine::engine::Engine;
use yakin_engine::look::{self, AlertRow, FiringRow, OutcomeRow};
use yakin_engine::operate::dead::{self, DeadLetter};
use yakin_engine::record::alert_messages::{has_morning, insert_morning};

use crate::commands::waiting::{Held, Waiting, held_invoices, waiting};
use crate::config::{Config, ConfigError};

/// How often a node looks whether it is time.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A report that could not be written in the morning is not written in the afternoon.
const UNTIL: SignedDuration = SignedDuration::from_hours(4);
/// What a report tells of.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Lines of a kind; the rest is counted.
const NAMED: usize = 20;

/// When the report is written, and on which routes it goes.
pub struct Mornings {
    at: Time,
    routes: Vec<String>,
}

impl Mornings {
    /// As configured; none where it is off or nobody gets it.
    pub fn new(config: &Config) -> Result<Option<Mornings>, ConfigError> {
        let at = config.operations.morning.trim();
        if at == "off" {
            return Ok(None);
        }
        let at = Time::strptime("%H:%M", at).map_err(|_| {
            ConfigError(format!(
                "operations.morning is '{at}', expected a time of day such as \"08:30\", or \"off\""
            ))
        })?;
        let routes: Vec<String> = config
            .alerts
            .iter()
            .filter(|r| r.morning.unwrap_or(r.channel == Channel::Email))
            .map(|r| r.name.clone())
            .collect();
        Ok((!routes.is_empty()).then_some(Mornings { at, routes }))
    }

    /// Writes each morning's report when it is time, until told to stop. All planning nodes do; it is written once.
    pub async fn watch(self, engine: Arc<Engine>, stop: CancellationToken) {
        let mut told = None;
        while !stop.is_cancelled() {
            match self.look(&engine, told).await {
                Ok(day) => told = day,
                Err(error) => {
                    tracing::warn!(
                        "the morning's report could not be written, tried again: {error:#}"
                    );
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Writes the report if it is time; returns the day that has been told.
    async fn look(&self, engine: &Engine, told: Option<Date>) -> anyhow::Result<Option<Date>> {
        let now = engine.clock.now();
        let local = now.to_zoned(tokyo());
        let due = local.date().to_datetime(self.at).to_zoned(tokyo())?.timestamp();
        let day = local.date();
        if told == Some(day) || now < due || now >= due + UNTIL {
            return Ok(told);
        }
        if !has_morning(&engine.pool, &self.routes, day).await? {
            let morning = Morning::gather(&engine.pool, due).await?;
            let said = (morning.subject(), morning.text());
            insert_morning(&engine.pool, &self.routes, day, (&said.0, &said.1), now).await?;
        }
        Ok(Some(day))
    }
}

/// A morning, told.
#[derive(Serialize)]
pub struct Morning {
    day: String,
    from: String,
    until: String,
    outcomes: Vec<OutcomeRow>,
    /// Firings that did not succeed, and those still under way.
    unsettled: Vec<FiringRow>,
    waiting: Vec<Waiting>,
    held: Vec<Held>,
    dead: Vec<DeadLetter>,
    alerts: Vec<AlertRow>,
}

impl Morning {
    /// Gathers the 24 hours before `until`, and what waits then.
    pub async fn gather(pool: &PgPool, until: Timestamp) -> anyhow::Result<Morning> {
        let from = until - DAY;
        let fired = look::timetable(pool, from, until).await?;
        let well = |f: &FiringRow| match f.outcome.as_deref() {
            Some("succeeded" | "withdrawn" | "bypassed") => true,
            // of looks that came due together the newest counts
            Some("missed") => f.reason.as_deref().is_some_and(|r| r.starts_with("superseded")),
            _ => false,
        };
        Ok(Morning {
            day: until.to_zoned(tokyo()).date().to_string(),
            from: clock_text(from),
            until: clock_text(until),
            outcomes: look::outcomes(pool, from, until).await?,
            unsettled: fired.into_iter().filter(|f| !well(f)).collect(),
            waiting: waiting(pool, from).await?,
            held: held_invoices(pool).await?,
            dead: dead::waiting(pool, None).await?,
            alerts: look::alerts(pool, false).await?,
        })
    }

    /// How many things wait for a person.
    fn things(&self) -> usize {
        self.waiting.len() + self.held.len() + self.dead.len() + self.alerts.len()
    }

    /// The report's subject.
    pub fn subject(&self) -> String {
        let (day, firings) = (&self.day, self.outcomes.iter().map(|o| o.firings).sum::<i64>());
        let trouble = self.unsettled.iter().filter(|f| f.outcome.is_some()).count();
        let ran = match (firings, trouble) {
            (0, _) => "nothing was due".to_owned(),
            (_, 0) => format!("all {firings} firings went well"),
            _ => format!("{trouble} of {firings} firings did not go well"),
        };
        match self.things() {
            0 => format!("{day}: {ran}, nothing waits"),
            n => format!("{day}: {n} waiting for a person, {ran}"),
        }
    }

    /// The report, as plain text.
    pub fn text(&self) -> String {
        let mut lines = vec![format!("From {} until {}.", self.from, self.until), String::new()];
        lines.push("What ran".to_owned());
        let mut batches: Vec<&str> = self.outcomes.iter().map(|o| o.batch_id.as_str()).collect();
        batches.dedup();
        for batch in batches {
            let of: Vec<&OutcomeRow> =
                self.outcomes.iter().filter(|o| o.batch_id == batch).collect();
            let counts: Vec<String> =
                of.iter().map(|o| format!("{} {}", o.firings, o.outcome)).collect();
            let title = of.first().map_or("", |o| o.title.as_str());
            lines.push(format!("  {batch}  {title}: {}", counts.join(", ")));
        }
        if self.outcomes.is_empty() {
            lines.push("  nothing was due".to_owned());
        }
        section(&mut lines, "What did not", &self.unsettled, |f| {
            let outcome = f.outcome.as_deref().unwrap_or(&f.state);
            let why = [f.reason.as_deref(), f.waiting_for.as_deref()].into_iter().flatten().next();
            let why = why.map(|w| format!(": {w}")).unwrap_or_default();
            let at = clock_text(f.due_at.to_jiff());
            let mut said = vec![format!("{}  {} of {at} {outcome}{why}", f.batch_id, f.title)];
            said.extend(f.run_id.map(|run| format!("yakin run-show {run}")));
            said
        });
        section(&mut lines, "What waits for a person", &self.waiting, |w| vec![w.line(), w.hint()]);
        section(&mut lines, "Held invoices", &self.held, |h| vec![h.line(), h.hint()]);
        section(&mut lines, "Dead letters", &self.dead, |d| {
            let said = format!("{} {}: {}", d.batch_id, d.cause, d.error);
            vec![
                said,
                format!("yakin dead show {}; after mending: yakin dead requeue {}", d.id, d.id),
            ]
        });
        section(&mut lines, "Open alerts", &self.alerts, |a| {
            vec![format!("{} {} {}: {}", a.severity, a.rule, a.subject, a.message)]
        });
        if self.things() == 0 {
            lines.extend([String::new(), "Nothing waits for a person.".to_owned()]);
        }
        lines.extend([
            String::new(),
            "Now: yakin morning · yakin timetable · yakin alerts".to_owned(),
        ]);
        lines.join("\n") + "\n"
    }
}

/// A heading and its lines, the first of each thing and below it what to do; nothing where there is nothing.
fn section<T>(
    lines: &mut Vec<String>,
    heading: &str,
    things: &[T],
    say: impl Fn(&T) -> Vec<String>,
) {
    if things.is_empty() {
        return;
    }
    lines.extend([String::new(), format!("{heading} ({})", things.len())]);
    for thing in things.iter().take(NAMED) {
        let mut said = say(thing).into_iter();
        lines.extend(said.next().map(|first| format!("  {first}")));
        lines.extend(said.map(|next| format!("      {next}")));
    }
    if things.len() > NAMED {
        lines.push(format!("  and {} more", things.len() - NAMED));
    }
}
