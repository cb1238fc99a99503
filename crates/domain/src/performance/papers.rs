//! What was made of the platform's own reports, and the mails that carry them: each once for its report, period and
//! format or recipient.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use yakin_adapters::storage::Stored;
use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

/// The weekly report's key.
pub const PERFORMANCE: &str = "performance-week";

/// A file of the platform's own.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Paper {
    pub format: String,
    pub key: String,
    pub size_bytes: i64,
}

/// The files that were made of a report.
pub async fn made(tx: &mut Tx, report: &str, first: Date) -> Result<Vec<Paper>, Stop> {
    Ok(sqlx::query_as(
        "SELECT format, key, size_bytes FROM app.platform_files
          WHERE report_key = $1 AND period_start = $2 ORDER BY format LIMIT 10",
    )
    .bind(report)
    .bind(first.to_sqlx())
    .fetch_all(tx)
    .await?)
}

/// Registers a stored file of a report; returns whether it is new.
pub async fn register(
    tx: &mut Tx,
    (report, first, format): (&str, Date, &str),
    (key, stored): (&str, &Stored),
    (run, at): (i64, Timestamp),
) -> Result<bool, Stop> {
    let new = sqlx::query(
        "INSERT INTO app.platform_files (report_key, period_start, format, key, size_bytes, sha256, run_id, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
    )
    .bind(report)
    .bind(first.to_sqlx())
    .bind(format)
    .bind(key)
    .bind(i64::try_from(stored.size).unwrap_or(i64::MAX))
    .bind(&stored.sha256)
    .bind(run)
    .bind(at.to_sqlx())
    .execute(tx)
    .await?;
    Ok(new.rows_affected() == 1)
}

/// A report's mail to one recipient.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    pub report: &'a str,
    pub first: Date,
    pub recipient: &'a str,
}

/// Asks for a mail; returns whether it was not asked for before.
pub async fn ask(
    tx: &mut Tx,
    letter: Letter<'_>,
    (run, at): (i64, Timestamp),
) -> Result<bool, Stop> {
    let new = sqlx::query(
        "INSERT INTO app.platform_mails (report_key, period_start, recipient, run_id, created_at)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(letter.report)
    .bind(letter.first.to_sqlx())
    .bind(letter.recipient)
    .bind(run)
    .bind(at.to_sqlx())
    .execute(tx)
    .await?;
    Ok(new.rows_affected() == 1)
}

/// What an attempt finds of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is this attempt's to send.
    Ours,
    /// It was sent, or will not be.
    Over,
    /// An attempt died while it was on the wire: it may have arrived.
    Uncertain,
}

/// Takes a mail right before its request leaves. One that a dead attempt held becomes uncertain.
pub async fn take(
    tx: &mut Tx,
    letter: Letter<'_>,
    (job, token): (i64, i64),
) -> Result<Taken, Stop> {
    let state: Option<String> = sqlx::query_scalar(
        "UPDATE app.platform_mails
            SET state = CASE state WHEN 'sending' THEN 'uncertain' ELSE 'sending' END,
                job_id = CASE state WHEN 'pending' THEN $4 END, token = CASE state WHEN 'pending' THEN $5 END
          WHERE (report_key, period_start, recipient) = ($1, $2, $3) AND state IN ('pending', 'sending')
         RETURNING state",
    )
    .bind(letter.report)
    .bind(letter.first.to_sqlx())
    .bind(letter.recipient)
    .bind(job)
    .bind(token)
    .fetch_optional(tx)
    .await?;
    Ok(match state.as_deref() {
        Some("sending") => Taken::Ours,
        Some(_) => Taken::Uncertain,
        None => Taken::Over,
    })
}

/// Records what became of a mail: pending (to be tried again), sent, failed or uncertain.
pub async fn settle(
    tx: &mut Tx,
    letter: Letter<'_>,
    (state, error): (&str, Option<&str>),
    at: Timestamp,
) -> Result<(), Stop> {
    sqlx::query(
        "UPDATE app.platform_mails
            SET state = $4, error = left($5, 1000), job_id = NULL, token = NULL,
                sent_at = CASE $4 WHEN 'sent' THEN $6::timestamptz END
          WHERE (report_key, period_start, recipient) = ($1, $2, $3) AND state = 'sending'",
    )
    .bind(letter.report)
    .bind(letter.first.to_sqlx())
    .bind(letter.recipient)
    .bind(state)
    .bind(error)
    .bind(at.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}
