//! The delivery rows of one tenant: what is due, what this attempt takes, what became of it. Each function is one
//! statement of a step or of a read.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use yakin_adapters::Answer;
use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

use super::policy::{After, Before, Rules, most_retries};
use super::{Channel, Urgency};

/// A sender with rows that are due.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct DueSender {
    pub channel: String,
    /// tenant or platform.
    pub sender: String,
    pub integration_id: Option<i64>,
    pub rows: i64,
}

/// A row this attempt has taken.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Row {
    pub delivery_id: i64,
    pub source: String,
    pub source_id: i64,
    pub channel: String,
    pub recipient: String,
    pub priority: i16,
    pub subject: Option<String>,
    pub body: String,
    pub html: Option<String>,
    pub link: Option<String>,
    pub attachments: Vec<i64>,
    pub attempts: i32,
    pub deferrals: i32,
    pub cause: Option<String>,
    due_at: jiff_sqlx::Timestamp,
    created_at: jiff_sqlx::Timestamp,
}

impl Row {
    /// What the policy judges by.
    pub fn before(&self, channel: Channel) -> Before<'_> {
        Before {
            channel,
            high: self.priority == Urgency::High as i16,
            attempts: self.attempts,
            deferrals: self.deferrals,
            cause: self.cause.as_deref(),
        }
    }

    /// When it was written: the date of its mail, the same at each attempt.
    pub fn created_at(&self) -> Timestamp {
        self.created_at.to_jiff()
    }
}

/// Which rows a run is for.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    pub channels: &'a [Channel],
    /// pending for first attempts, retry_wait for later ones.
    pub states: &'a [&'static str],
    pub urgencies: &'a [Urgency],
    /// The instant the run stands for, to the minute: rows due by then.
    pub slot: Timestamp,
    /// Only what this notification became.
    pub notification: Option<i64>,
}

impl Selection<'_> {
    fn words(&self) -> Vec<&'static str> {
        self.channels.iter().map(|c| c.word()).collect()
    }

    fn ranks(&self) -> Vec<i16> {
        self.urgencies.iter().map(|u| *u as i16).collect()
    }
}

/// Ends what is not to be sent any more, and frees what dead attempts left, as often as the rules allow.
pub async fn clear(
    tx: &mut Tx,
    channels: &[Channel],
    rules: Rules,
    run: i64,
    now: Timestamp,
) -> Result<(), Stop> {
    let words: Vec<_> = channels.iter().map(|c| c.word()).collect();
    let most: Vec<i32> = channels.iter().map(|c| most_retries(*c, rules)).collect();
    sqlx::query(include_str!("clear.sql"))
        .bind(now.to_sqlx())
        .bind(words)
        .bind(run)
        .bind(most)
        .execute(tx)
        .await?;
    Ok(())
}

/// The senders with due rows, the most urgent first.
pub async fn due_senders(tx: &mut Tx, which: &Selection<'_>) -> Result<Vec<DueSender>, Stop> {
    Ok(sqlx::query_as(include_str!("due_senders.sql"))
        .bind(which.words())
        .bind(which.states)
        .bind(which.slot.to_sqlx())
        .bind(which.ranks())
        .bind(which.notification)
        .fetch_all(tx)
        .await?)
}

/// The ids of a sender's next rows, locked for this transaction.
pub async fn due_rows(
    tx: &mut Tx,
    sender: &DueSender,
    which: &Selection<'_>,
    limit: i64,
) -> Result<Vec<i64>, Stop> {
    Ok(sqlx::query_scalar(include_str!("due_rows.sql"))
        .bind(&sender.channel)
        .bind(&sender.sender)
        .bind(sender.integration_id)
        .bind(which.states)
        .bind(which.slot.to_sqlx())
        .bind(which.ranks())
        .bind(which.notification)
        .bind(limit)
        .fetch_all(tx)
        .await?)
}

/// Takes rows for the attempt (job, token); they come in sending order.
pub async fn take(tx: &mut Tx, ids: &[i64], (job, token): (i64, i64)) -> Result<Vec<Row>, Stop> {
    let mut rows: Vec<Row> = sqlx::query_as(include_str!("take_rows.sql"))
        .bind(ids)
        .bind(job)
        .bind(token)
        .fetch_all(tx)
        .await?;
    rows.sort_by_key(|r| (r.priority, r.due_at.to_jiff(), r.delivery_id));
    Ok(rows)
}

/// Gives back what the attempt took and did not begin.
pub async fn leave(tx: &mut Tx, (job, token): (i64, i64)) -> Result<(), Stop> {
    sqlx::query(include_str!("leave_rows.sql")).bind(job).bind(token).execute(tx).await?;
    Ok(())
}

/// Takes the mark back of a row that was refused for now and is tried again in the same attempt: it is known not to be on
/// its way.
pub async fn off_wire(tx: &mut Tx, id: i64, (job, token): (i64, i64)) -> Result<(), Stop> {
    let unmarked = sqlx::query(
        "UPDATE app.deliveries SET on_wire_at = NULL
          WHERE tenant_id = yakin.current_tenant() AND (delivery_id, job_id, token) = ($1, $2, $3)",
    )
    .bind(id)
    .bind(job)
    .bind(token)
    .execute(tx)
    .await?;
    held(unmarked.rows_affected() == 1, id)
}

/// An attempt at a row, ended.
#[derive(Clone, Debug)]
pub struct Ended {
    pub id: i64,
    /// How often it was tried in this attempt.
    pub tries: i16,
    pub answer: Answer,
    pub after: After,
    /// The address has no mailbox: nothing is sent to it any more.
    pub suppress: bool,
    pub at: Timestamp,
}

/// Records an attempt (the row, its history, a suppressed address, a sent invoice), and marks another row right before its
/// request leaves: one statement, since each letter waits for it.
pub async fn turn(
    tx: &mut Tx,
    ended: Option<&Ended>,
    mark: Option<(i64, Timestamp)>,
    (job, token): (i64, i64),
    run: i64,
) -> Result<(), Stop> {
    let receipt = ended.and_then(|ended| match &ended.answer {
        Answer::Sent { receipt } => receipt.as_deref(),
        _ => None,
    });
    let reason = ended.map(|ended| ended.answer.reason()).filter(|r| !r.is_empty());
    let (recorded, marked): (i64, i64) = sqlx::query_as(include_str!("turn.sql"))
        .bind(ended.map(|e| e.id))
        .bind(job)
        .bind(token)
        .bind(ended.map(|e| e.after.state))
        .bind(ended.map(|e| e.after.attempts))
        .bind(ended.map(|e| e.after.deferrals))
        .bind(ended.and_then(|e| e.after.due_at).map(|d| d.to_sqlx()))
        .bind(ended.and_then(|e| e.after.cause))
        .bind(reason)
        .bind(receipt)
        .bind(ended.map(|e| e.at.to_sqlx()))
        .bind(run)
        .bind(ended.map(|e| e.answer.word()))
        .bind(ended.is_some_and(|e| e.suppress))
        .bind(ended.map(|e| e.tries))
        .bind(mark.map(|(id, _)| id))
        .bind(mark.map(|(_, at)| at.to_sqlx()))
        .fetch_one(tx)
        .await?;
    if let Some(ended) = ended {
        held(recorded == 1, ended.id)?;
    }
    mark.map_or(Ok(()), |(id, _)| held(marked == 1, id))
}

/// A row that this attempt took and does not hold any more was freed by another, which took this one for dead.
fn held(still: bool, id: i64) -> Result<(), Stop> {
    if still {
        return Ok(());
    }
    let message = format!("delivery {id} was taken over by another attempt");
    Err(Stop::retry(yakin_engine::outcome::Cause::LockConflict, message))
}

/// Has the tenant's rows sent from then on, by the batch that waits for them (REALTIME_002).
pub async fn announce(tx: &mut Tx, at: Timestamp) -> Result<(), Stop> {
    sqlx::query("SELECT yakin.announce('deliveries', $1)").bind(at.to_sqlx()).execute(tx).await?;
    Ok(())
}

/// What the run did for this tenant, from its history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Totals {
    pub attempted: i64,
    pub sent: i64,
    pub failed: i64,
    pub uncertain: i64,
    pub expired: i64,
    pub cancelled: i64,
    pub put_off: i64,
    pub left_due: i64,
}

impl Totals {
    /// Adds another selection's.
    pub fn add(&mut self, other: Totals) {
        self.attempted += other.attempted;
        self.sent += other.sent;
        self.failed += other.failed;
        self.uncertain += other.uncertain;
        self.expired += other.expired;
        self.cancelled += other.cancelled;
        self.put_off += other.put_off;
        self.left_due += other.left_due;
    }
}

/// Counts what a run did, and what is still due for it.
pub async fn totals(tx: &mut Tx, which: &Selection<'_>, run: i64) -> Result<Totals, Stop> {
    Ok(sqlx::query_as(include_str!("totals.sql"))
        .bind(run)
        .bind(which.words())
        .bind(which.states)
        .bind(which.slot.to_sqlx())
        .bind(which.ranks())
        .bind(which.notification)
        .fetch_one(tx)
        .await?)
}
