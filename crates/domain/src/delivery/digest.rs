//! After a run: one mail per tenant about what finally failed, to its administrators and to operations; and what
//! operators should know of the run as a whole.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::{Value, json};
use yakin_engine::outcome::{Cause, Done, Stop};
use yakin_engine::tx::Tx;

use super::outside::Outside;
use super::{Channel, NewDelivery, Urgency};

/// Failures named in a digest; the rest is counted.
const NAMED: usize = 50;
/// How long an undelivered digest is tried.
const KEEP: jiff::SignedDuration = jiff::SignedDuration::from_hours(24 * 7);

#[derive(serde::Serialize, sqlx::FromRow)]
struct Failure {
    channel: String,
    recipient: String,
    subject: String,
    error: String,
}

/// Leaves what the run finally failed to deliver to the next digest.
pub async fn leave_untold(tx: &mut Tx, run: i64) -> Result<(), Stop> {
    sqlx::query(
        "UPDATE app.deliveries SET untold = true
          WHERE tenant_id = yakin.current_tenant() AND ended_run = $1 AND state IN ('failed', 'uncertain')
            AND source <> 'digest'",
    )
    .bind(run)
    .execute(tx)
    .await?;
    Ok(())
}

/// The digest of what the run finally failed to deliver for this tenant, and of what was left untold, as deliveries of
/// their own; none when nothing failed. Digests are not told of in digests.
pub async fn digest(
    tx: &mut Tx,
    outside: &Outside,
    run: i64,
    now: Timestamp,
) -> Result<Vec<NewDelivery>, Stop> {
    let failures: Vec<Failure> = sqlx::query_as(
        "WITH told AS (
             UPDATE app.deliveries SET untold = false
              WHERE tenant_id = yakin.current_tenant() AND state IN ('failed', 'uncertain') AND source <> 'digest'
                AND (ended_run = $1 OR untold)
             RETURNING delivery_id, channel, recipient, subject, error, state)
         SELECT channel, recipient, coalesce(subject, '') AS subject, coalesce(error, state) AS error
           FROM told ORDER BY delivery_id LIMIT 10000",
    )
    .bind(run)
    .fetch_all(&mut *tx)
    .await?;
    if failures.is_empty() {
        return Ok(Vec::new());
    }
    let (tenant, language): (String, String) =
        sqlx::query_as("SELECT name, language FROM app.tenants").fetch_one(&mut *tx).await?;
    let admins: Vec<String> = sqlx::query_scalar(
        "SELECT email FROM app.users WHERE tenant_id = yakin.current_tenant() AND role = 'admin'
            AND status = 'active' ORDER BY user_id LIMIT 20",
    )
    .fetch_all(&mut *tx)
    .await?;
    let (count, more) = (failures.len(), failures.len().saturating_sub(NAMED));
    let named: Vec<&Failure> = failures.iter().take(NAMED).collect();
    let data = json!({"tenant": {"name": tenant}, "count": count, "more": more, "failures": named});
    let mut wanted = Vec::new();
    for (language, to) in admins
        .iter()
        .map(|a| (language.as_str(), a))
        .chain(outside.operations.iter().map(|o| ("ja", o)))
    {
        wanted.push(mail(outside, language, to, &data, run, now)?);
    }
    Ok(wanted)
}

fn mail(
    outside: &Outside,
    language: &str,
    to: &str,
    data: &Value,
    run: i64,
    now: Timestamp,
) -> Result<NewDelivery, Stop> {
    let content = outside
        .templates
        .render("delivery-failures", Channel::Email, language, data)
        .map_err(|e| Stop::give_up(Cause::Data, format!("template delivery-failures: {e}")))?;
    Ok(NewDelivery {
        source: "digest",
        source_id: run,
        channel: Channel::Email,
        recipient: to.to_owned(),
        sender: "platform",
        integration_id: None,
        setting_id: None,
        priority: Urgency::Medium,
        subject: content.subject,
        body: content.text,
        html: content.html,
        link: None,
        attachments: Vec::new(),
        due_at: now,
        expires_at: now + KEEP,
    })
}

/// What a run of all tenants looks like from above.
#[derive(Clone, Debug, Default, sqlx::FromRow)]
pub struct Overview {
    pub attempts: i64,
    pub sent: i64,
    pub failed: i64,
    pub waiting: i64,
    /// Minutes since the oldest due row came due: high, any, and any that nobody has tried yet.
    pub oldest_high: Option<i64>,
    pub oldest: Option<i64>,
    pub oldest_untried: Option<i64>,
    /// Senders that rest now, and why.
    pub resting: Vec<String>,
}

/// When a run tells operators of failures and of rows that wait.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// So many percent of the ended deliveries may fail.
    pub failed_percent: i64,
    /// Counted over the last hour, whoever sent them; else over this run.
    pub by_hour: bool,
    /// How long a row may wait for its first attempt, in minutes; else the limits of hourly batches.
    pub untried_minutes: Option<i64>,
}

impl Limits {
    /// For a batch of each hour.
    pub const fn hourly(failed_percent: i64) -> Limits {
        Limits { failed_percent, by_hour: false, untried_minutes: None }
    }
}

/// Percentages say something from this many on.
const SAMPLE: i64 = 20;

/// Reads the overview of a run, as the platform.
pub async fn overview(
    tx: &mut Tx,
    channels: &[Channel],
    run: i64,
    now: Timestamp,
    limits: Limits,
) -> Result<Overview, Stop> {
    let words: Vec<_> = channels.iter().map(|c| c.word()).collect();
    let mut seen: Overview = sqlx::query_as(include_str!("overview.sql"))
        .bind(run)
        .bind(&words)
        .bind(now.to_sqlx())
        .fetch_one(&mut *tx)
        .await?;
    if limits.by_hour {
        (seen.sent, seen.failed) = sqlx::query_as(include_str!("last_hour.sql"))
            .bind(words)
            .bind(now.to_sqlx())
            .fetch_one(tx)
            .await?;
    }
    Ok(seen)
}

impl Overview {
    /// Tells what operators should know: too many failures, a backlog, rows that wait too long, senders that rest.
    pub fn tell(&self, mut done: Done, limits: Limits) -> Done {
        let ended = self.sent + self.failed;
        if ended >= SAMPLE && self.failed * 100 > ended * limits.failed_percent {
            let when = if limits.by_hour { " within an hour" } else { "" };
            let message = format!("{} of {ended} deliveries failed{when}", self.failed);
            done = done.report("failures", message);
        }
        if self.waiting > 1000 {
            done = done.report("backlog", format!("{} deliveries are due and wait", self.waiting));
        }
        let untried = limits.untried_minutes.is_some_and(|most| self.oldest_untried > Some(most));
        if untried || self.oldest_high > Some(70) || self.oldest > Some(130) {
            let minutes = self.oldest.unwrap_or_default();
            done = done.report("age", format!("the oldest due delivery waits {minutes} minutes"));
        }
        if !self.resting.is_empty() {
            done = done.report("senders", self.resting.join("; "));
        }
        done
    }
}
