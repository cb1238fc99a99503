//! What an attempt may end in: done, or one of the ways to stop.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// The result of a phase of work.
pub type Outcome = Result<Done, Stop>;

/// What was done, for the ledger.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Rows written.
    pub rows: i64,
    /// Named counts, such as `invoices` or `revoked`.
    pub counts: BTreeMap<String, i64>,
    /// An amount of money in `currency`.
    pub amount: Option<Decimal>,
    /// ISO 4217 code of `amount`.
    pub currency: Option<String>,
    /// The work had been done before; nothing was done twice.
    pub reused: bool,
    /// What people should be told; kept of prepare, finish and global work.
    #[serde(default)]
    pub reports: Vec<Report>,
}

/// Something a batch wants people to know: an alert at the batch's severity, open until a later run of the batch ends
/// without saying it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What it is about, the same words each time.
    pub subject: String,
    pub message: String,
    /// Whether a part of the work is missing: the run ends partial.
    #[serde(default)]
    pub short: bool,
}

impl Done {
    /// Work that wrote `rows` rows.
    pub fn rows(rows: impl TryInto<i64>) -> Done {
        Done { rows: rows.try_into().unwrap_or(i64::MAX), ..Done::default() }
    }

    /// Adds a named count.
    pub fn count(mut self, name: &str, count: impl TryInto<i64>) -> Done {
        *self.counts.entry(name.to_owned()).or_default() += count.try_into().unwrap_or(i64::MAX);
        self
    }

    /// Says how much money this was about.
    pub fn amount(mut self, amount: Decimal, currency: &str) -> Done {
        self.amount = Some(amount);
        self.currency = Some(currency.to_owned());
        self
    }

    /// Tells people; see [`Report`].
    pub fn report(self, subject: &str, message: impl Into<String>) -> Done {
        self.tell(subject, message.into(), false)
    }

    /// Tells people that a part of the work is missing; the run ends partial with the message as its reason.
    pub fn short(self, subject: &str, message: impl Into<String>) -> Done {
        self.tell(subject, message.into(), true)
    }

    fn tell(mut self, subject: &str, message: String, short: bool) -> Done {
        self.reports.push(Report { subject: subject.to_owned(), message, short });
        self
    }

    /// Says that it had been done before.
    pub fn reused(mut self) -> Done {
        self.reused = true;
        self
    }
}

/// Why something went wrong; retry policies are chosen by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The database was away or refused.
    Database,
    /// A row or table was locked by somebody else for too long.
    LockConflict,
    /// The attempt took longer than its timeout.
    Timeout,
    /// A receiver or resource is overloaded.
    Overload,
    /// File or object storage failed.
    Storage,
    /// An outside system could not be reached.
    Network,
    /// The data is wrong; trying again will not help.
    Data,
    /// The worker vanished.
    Lost,
    /// A panic or another defect of the code.
    Defect,
}

impl Cause {
    /// The word for it in tables and logs.
    pub fn word(self) -> &'static str {
        match self {
            Cause::Database => "database",
            Cause::LockConflict => "lock_conflict",
            Cause::Timeout => "timeout",
            Cause::Overload => "overload",
            Cause::Storage => "storage",
            Cause::Network => "network",
            Cause::Data => "data",
            Cause::Lost => "lost",
            Cause::Defect => "defect",
        }
    }
}

/// Why an attempt did not end as done.
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// Try again as the retry policy of the cause says; when it is spent, give up.
    Retry { cause: Cause, message: String },
    /// Do not try again: a dead letter for a person.
    GiveUp { cause: Cause, message: String },
    /// Input is missing; this tenant waits for a person, without a dead letter.
    Blocked { reason: String },
    /// Not now; uses no attempt.
    Later { at: Timestamp },
    /// An operator cancelled the run.
    Cancelled,
}

impl Stop {
    /// See [`Stop::Retry`].
    pub fn retry(cause: Cause, message: impl Into<String>) -> Stop {
        Stop::Retry { cause, message: message.into() }
    }

    /// See [`Stop::GiveUp`].
    pub fn give_up(cause: Cause, message: impl Into<String>) -> Stop {
        Stop::GiveUp { cause, message: message.into() }
    }

    /// See [`Stop::Blocked`].
    pub fn blocked(reason: impl Into<String>) -> Stop {
        Stop::Blocked { reason: reason.into() }
    }

    /// See [`Stop::Later`].
    pub fn later(at: Timestamp) -> Stop {
        Stop::Later { at }
    }

    /// What a person reads.
    pub fn message(&self) -> String {
        match self {
            Stop::Retry { message, .. } | Stop::GiveUp { message, .. } => message.clone(),
            Stop::Blocked { reason } => reason.clone(),
            Stop::Later { at } => format!("later, at {}", crate::days::clock_text(*at)),
            Stop::Cancelled => "cancelled".to_owned(),
        }
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Stop {
        let code = error.as_database_error().and_then(|e| e.code()).map(|c| c.into_owned());
        let message = database_message(&error);
        if let sqlx::Error::ColumnDecode { .. } = error {
            // a value that the work cannot take (24:00, infinity) is the same the next time
            return Stop::give_up(Cause::Data, message);
        }
        match code.as_deref() {
            Some("55P03" | "40001" | "40P01") => Stop::retry(Cause::LockConflict, message),
            Some("57014") => Stop::retry(Cause::Timeout, message),
            Some("53100") => {
                Stop::retry(Cause::Storage, format!("the database's disk is full: {message}"))
            }
            // data exceptions, violated constraints, refused rights: the same statement fails the same way again
            Some(c) if matches!(&c[..2], "22" | "23" | "42" | "P0") => {
                Stop::give_up(Cause::Data, message)
            }
            _ => Stop::retry(Cause::Database, message),
        }
    }
}

/// The error's message, with detail, table and constraint where PostgreSQL names them; row values stay out.
pub fn database_message(error: &sqlx::Error) -> String {
    let Some(database) = error.as_database_error() else { return error.to_string() };
    let mut message = database.message().to_owned();
    if let Some(table) = database.table() {
        message.push_str(&format!(" (table {table}"));
        if let Some(constraint) = database.constraint() {
            message.push_str(&format!(", constraint {constraint}"));
        }
        message.push(')');
    }
    message
}
