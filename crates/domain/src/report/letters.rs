//! The mails that carry the service's own reports to those who run it: no tenant's, so they are sent here, each once. One
//! that failed, or whose attempt died while it was under way, is sent again only where a person requeues its job.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use serde::Deserialize;
use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

/// Who gets the service's own reports, as configured.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Management {
    /// Addresses.
    pub recipients: Vec<String>,
    /// ja or en.
    pub language: String,
}

impl Default for Management {
    fn default() -> Management {
        Management { recipients: Vec::new(), language: "ja".to_owned() }
    }
}

impl Management {
    /// What cannot be used: key and what was expected.
    pub fn mistake(&self) -> Option<String> {
        if !matches!(self.language.as_str(), "ja" | "en") {
            return Some(format!("reports.language is '{}', expected ja or en", self.language));
        }
        let wrong =
            self.recipients.iter().find(|r| !r.contains('@') || r.contains(char::is_control));
        let wrong = wrong.map(|r| r.escape_debug());
        wrong.map(|r| format!("reports.recipients holds '{r}', expected an address"))
    }
}

/// A mail: a report and a recipient.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    pub report: &'a str,
    pub first: Date,
    pub recipient: &'a str,
}

/// What was found when a mail was to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is this attempt's to send.
    Ours,
    /// It was sent, or another attempt has it.
    Over,
    /// An attempt died while it sent.
    Uncertain,
}

/// Asks for a mail, once; returns whether it is new.
pub async fn ask(
    tx: &mut Tx,
    letter: Letter<'_>,
    (run, at): (i64, Timestamp),
) -> Result<bool, Stop> {
    let asked = sqlx::query(
        "INSERT INTO app.platform_report_mails (report_key, period_start, recipient, run_id, created_at)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(letter.report)
    .bind(letter.first.to_sqlx())
    .bind(letter.recipient)
    .bind(run)
    .bind(at.to_sqlx())
    .execute(tx)
    .await?;
    Ok(asked.rows_affected() == 1)
}

/// Takes a mail for this attempt.
pub async fn take(
    tx: &mut Tx,
    letter: Letter<'_>,
    (job, token): (i64, i64),
) -> Result<Taken, Stop> {
    let found: Option<(String, bool)> = sqlx::query_as(
        "SELECT state, state = 'sending' AND NOT yakin.attempt_holds(job_id, token) AS is_lost
           FROM app.platform_report_mails
          WHERE report_key = $1 AND period_start = $2 AND recipient = $3 FOR UPDATE",
    )
    .bind(letter.report)
    .bind(letter.first.to_sqlx())
    .bind(letter.recipient)
    .fetch_optional(&mut *tx)
    .await?;
    let (state, taken) = match found {
        Some((state, _)) if matches!(state.as_str(), "pending" | "failed" | "uncertain") => {
            ("sending", Taken::Ours)
        }
        Some((_, true)) => ("uncertain", Taken::Uncertain),
        _ => return Ok(Taken::Over),
    };
    let holder = (state == "sending").then_some((job, token));
    set(tx, letter, Change { state, holder, error: None, sent: None }).await?;
    Ok(taken)
}

/// Notes what became of a mail: `sent`, `pending` again, `failed` or `uncertain`.
pub async fn settle(
    tx: &mut Tx,
    letter: Letter<'_>,
    (state, error): (&str, Option<&str>),
    at: Timestamp,
) -> Result<(), Stop> {
    let sent = (state == "sent").then_some(at);
    set(tx, letter, Change { state, holder: None, error, sent }).await
}

/// What becomes of a mail's row.
struct Change<'a> {
    state: &'a str,
    /// Job and token of the attempt that sends it.
    holder: Option<(i64, i64)>,
    error: Option<&'a str>,
    sent: Option<Timestamp>,
}

async fn set(tx: &mut Tx, letter: Letter<'_>, change: Change<'_>) -> Result<(), Stop> {
    let Change { state, holder, error, sent } = change;
    sqlx::query(
        "UPDATE app.platform_report_mails
            SET state = $4, job_id = $5, token = $6, error = left($7, 1000), sent_at = $8
          WHERE report_key = $1 AND period_start = $2 AND recipient = $3",
    )
    .bind(letter.report)
    .bind(letter.first.to_sqlx())
    .bind(letter.recipient)
    .bind(state)
    .bind(holder.map(|h| h.0))
    .bind(holder.map(|h| h.1))
    .bind(error)
    .bind(sent.map(|at| at.to_sqlx()))
    .execute(tx)
    .await?;
    Ok(())
}
