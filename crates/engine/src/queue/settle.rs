//! The end of an attempt, where its fencing token still matches: history, ledger, dead letter, next try.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::io::Write;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, Serializer};
use serde_json::{Value, json};
use sqlx::PgExecutor;

use super::Job;
use crate::outcome::{Cause, Done, Report, Stop};
use crate::record::logs::Kept;
use crate::spec::Spec;

/// One attempt's end, in the shape `yakin.settle` reads: fields that say nothing are left out, since thousands of these
/// are read at once.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Settlement {
    pub id: i64,
    pub token: i64,
    pub queue: String,
    #[serde(rename = "tenant_id")]
    pub tenant: i64,
    pub outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it is tried again; absent = the job is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// Failures so far by cause, for the next try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tried: Option<Value>,
    #[serde(skip_serializing_if = "is_default")]
    pub rows: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub counts: BTreeMap<String, i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<rust_decimal::Decimal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub reused: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub reports: Vec<Report>,
    /// CPU time the attempt took in this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<i64>,
    /// Resident memory of this process at the attempt's end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<i64>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Settlement {
    fn of(job: &Job) -> Settlement {
        Settlement {
            id: job.id,
            token: job.token,
            queue: job.queue.clone(),
            tenant: job.tenant,
            ..Settlement::default()
        }
    }

    /// The job is done.
    pub fn done(job: &Job, done: &Done, plan: Option<Value>) -> Settlement {
        Settlement {
            outcome: "done",
            rows: done.rows,
            counts: done.counts.clone(),
            amount: done.amount,
            currency: done.currency.clone(),
            reused: done.reused,
            reports: done.reports.clone(),
            plan,
            ..Settlement::of(job)
        }
    }

    /// The attempt stopped: another try, a dead letter, blocked, later or cancelled. No retry is planned past the
    /// job's deadline or the policy's last attempt.
    pub fn stopped(job: &Job, spec: &Spec, stop: &Stop, now: Timestamp) -> Settlement {
        let base = Settlement { error: Some(stop.message()), ..Settlement::of(job) };
        match stop {
            Stop::Retry { cause, .. } => {
                let (tried, failures) = count_failure(&job.tried, *cause);
                let next_at = next_try(job, spec, *cause, failures, now);
                let outcome = match (next_at, cause) {
                    (Some(_), Cause::Lost) => "lost",
                    (Some(_), _) => "retry",
                    (None, _) => "gave_up",
                };
                let dead = next_at.is_none();
                Settlement {
                    outcome,
                    cause: Some(cause.word()),
                    next_at,
                    tried: Some(tried),
                    fingerprint: dead.then(|| fingerprint(spec, *cause, &stop.message())),
                    ..base
                }
            }
            Stop::GiveUp { cause, .. } => Settlement {
                outcome: "gave_up",
                cause: Some(cause.word()),
                fingerprint: Some(fingerprint(spec, *cause, &stop.message())),
                ..base
            },
            Stop::Blocked { .. } => Settlement { outcome: "blocked", ..base },
            Stop::Later { at } => Settlement {
                outcome: "later",
                next_at: Some(*at),
                tried: Some(job.tried.clone()),
                ..base
            },
            Stop::Cancelled => Settlement { outcome: "cancelled", ..base },
        }
    }
}

/// Adds a failure of this cause; returns the new counts and how many of this cause there are now.
fn count_failure(tried: &Value, cause: Cause) -> (Value, u32) {
    let mut tried = tried.as_object().cloned().unwrap_or_default();
    let failures = tried.get(cause.word()).and_then(Value::as_u64).unwrap_or(0) + 1;
    tried.insert(cause.word().to_owned(), json!(failures));
    (Value::Object(tried), u32::try_from(failures).unwrap_or(u32::MAX))
}

fn next_try(
    job: &Job,
    spec: &Spec,
    cause: Cause,
    failures: u32,
    now: Timestamp,
) -> Option<Timestamp> {
    let policy = spec.retry_for(cause);
    if cause == Cause::Lost {
        // nothing was wrong with the work: at once, but not for ever
        return (failures < policy.attempts.max(3)).then_some(now);
    }
    // a lost worker is no fault of the work: it takes no attempt from the policy
    let lost = job.tried[Cause::Lost.word()].as_u64().unwrap_or(0);
    let attempts = u32::try_from(i64::from(job.attempt) - lost as i64).unwrap_or(u32::MAX);
    if failures >= policy.attempts || attempts >= spec.retry.attempts.max(policy.attempts) {
        return None;
    }
    let delay = jittered(policy.delay(failures), job.id, failures);
    let at = now.checked_add(delay).ok()?;
    job.deadline.is_none_or(|deadline| at <= deadline).then_some(at)
}

/// Up to a tenth longer, spread by job, so that a thousand failures do not come back in one instant.
fn jittered(delay: std::time::Duration, job: i64, failures: u32) -> std::time::Duration {
    let spread = (job as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(failures % 64) >> 54;
    delay + delay.mul_f64(spread as f64 / 1024.0 / 10.0)
}

/// One short name for "the same failure": batch, cause, and the message without its numbers and quoted values.
pub fn fingerprint(spec: &Spec, cause: Cause, message: &str) -> String {
    use sha2::{Digest, Sha256};
    let mut plain = String::new();
    let mut quoted = false;
    for c in message.chars() {
        match c {
            '\'' | '"' => quoted = !quoted,
            _ if quoted => {}
            '0'..='9' if plain.ends_with('#') => {}
            '0'..='9' => plain.push('#'),
            _ => plain.push(c),
        }
    }
    let digest = Sha256::digest(format!("{} {} {plain}", spec.id, cause.word()));
    hex::encode(&digest[..5])
}

/// Settles attempts and keeps their log lines, in one statement, which on a pool is a transaction of its own: nobody who
/// freezes leaves it open. Returns the ids whose token still matched; a transaction that ends with one of its own must
/// not commit when that is missing.
pub async fn settle(
    on: impl PgExecutor<'_>,
    results: &[impl Borrow<Settlement> + Serialize],
    lines: &[Kept],
    now: Timestamp,
) -> Result<Vec<i64>, sqlx::Error> {
    if results.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar(include_str!("settle.sql"))
        .bind(rows_of(results)?)
        .bind(now.to_sqlx())
        .bind(rows_of(lines)?)
        .fetch_one(on)
        .await
}

/// JSON that PostgreSQL takes: texts of outside systems may hold a NUL, which no text there can.
fn rows_of(rows: &[impl Serialize]) -> Result<String, sqlx::Error> {
    struct NoNul;
    impl Formatter for NoNul {
        fn write_char_escape<W: Write + ?Sized>(
            &mut self,
            writer: &mut W,
            escape: CharEscape,
        ) -> std::io::Result<()> {
            match escape {
                CharEscape::AsciiControl(0) => writer.write_all("\u{FFFD}".as_bytes()),
                other => CompactFormatter.write_char_escape(writer, other),
            }
        }
    }
    let mut text = Vec::with_capacity(rows.len() * 128);
    rows.serialize(&mut Serializer::with_formatter(&mut text, NoNul))
        .and_then(|()| String::from_utf8(text).map_err(serde::ser::Error::custom))
        .map_err(|e| sqlx::Error::Encode(e.into()))
}
