//! The durable queue: enqueue, claim in fair turns, heartbeat, settle, rescue. `job` rows are unfinished work only.

pub mod claim;
pub mod enqueue;
pub mod heartbeat;
pub mod rescue;
pub mod settle;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// Real seconds after which a silent worker's jobs are taken from it.
pub const LEASE_SECONDS: i32 = 30;
/// Real seconds between a node's heartbeats.
pub const HEARTBEAT_SECONDS: u64 = 10;

/// What a job does for its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    Prepare,
    Roster,
    Tenant,
    Global,
    Finish,
    FollowUp,
}

impl JobKind {
    /// Its word in the database.
    pub const fn word(self) -> &'static str {
        match self {
            JobKind::Prepare => "prepare",
            JobKind::Roster => "roster",
            JobKind::Tenant => "tenant",
            JobKind::Global => "global",
            JobKind::Finish => "finish",
            JobKind::FollowUp => "follow_up",
        }
    }

    fn of(word: &str) -> Option<JobKind> {
        [Self::Prepare, Self::Roster, Self::Tenant, Self::Global, Self::Finish, Self::FollowUp]
            .into_iter()
            .find(|k| k.word() == word)
    }
}

/// A claimed job: one attempt's worth.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: i64,
    pub token: i64,
    pub queue: String,
    pub tenant: i64,
    pub priority: i16,
    pub run: Option<i64>,
    pub batch: String,
    pub kind: JobKind,
    pub payload: Value,
    pub attempt: i32,
    /// Failures so far by cause.
    pub tried: Value,
    pub deadline: Option<Timestamp>,
    pub checkpoint: Option<Value>,
}

impl<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow> for Job {
    fn from_row(row: &'r sqlx::postgres::PgRow) -> Result<Job, sqlx::Error> {
        use sqlx::Row;
        let kind: &str = row.try_get("kind")?;
        let deadline: Option<jiff_sqlx::Timestamp> = row.try_get("deadline_at")?;
        Ok(Job {
            id: row.try_get("id")?,
            token: row.try_get("token")?,
            queue: row.try_get("queue")?,
            tenant: row.try_get("tenant_id")?,
            priority: row.try_get("priority")?,
            run: row.try_get("run_id")?,
            batch: row.try_get("batch_id")?,
            kind: JobKind::of(kind)
                .ok_or_else(|| sqlx::Error::Decode(format!("unknown job kind '{kind}'").into()))?,
            payload: row.try_get("payload")?,
            attempt: row.try_get("attempt")?,
            tried: row.try_get("tried")?,
            deadline: deadline.map(|d| d.to_jiff()),
            checkpoint: row.try_get("checkpoint")?,
        })
    }
}

impl Job {
    /// Whether it follows from work that has committed; it holds no run open.
    pub fn is_follow_up(&self) -> bool {
        self.kind == JobKind::FollowUp
    }

    /// The name of this attempt in `pg_stat_activity`, where a rescue finds it (`rescue_terminate.sql`).
    pub fn label(&self) -> String {
        format!("yakin job {} token {}", self.id, self.token)
    }
}
