//! What BATCH-006 and BATCH-506 share: when a session is past its time, how long a revoked row is
//! kept, and how a job walks the token store in chunks.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use yakin_engine::prelude::*;
use yakin_engine::run::Attempt;

/// The lock that every batch takes that writes the token store.
pub const STORE: Lock = exclusive("token-store");

/// What was done to the rows of one tenant in a chunk: `what` is the reason of the revocation,
/// `EXPIRED_SESSION` or `REMOVED`.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Changed {
    pub tenant_id: i64,
    pub what: String,
    pub rows: i64,
    pub last_token: i64,
}

/// How far a job is: the state of its checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Passes that are over.
    passes: usize,
    /// The key of the last row that the pass under way has changed.
    pub tenant: i64,
    pub token: i64,
    totals: BTreeMap<String, i64>,
}

impl Progress {
    /// Goes on where the last checkpoint stood, or begins.
    pub fn resumed(state: Option<Value>) -> Result<Progress, Stop> {
        let Some(state) = state else { return Ok(Progress::default()) };
        serde_json::from_value(state)
            .map_err(|e| Stop::give_up(Cause::Defect, format!("reading the checkpoint: {e}")))
    }

    /// Takes in a chunk for which up to `asked` rows were wanted, and returns how many it had.
    /// Fewer
    /// than asked for: the pass is over.
    fn advance(&mut self, chunk: &[Changed], asked: i64) -> i64 {
        for changed in chunk {
            *self.totals.entry(changed.what.clone()).or_default() += changed.rows;
            (self.tenant, self.token) =
                (self.tenant, self.token).max((changed.tenant_id, changed.last_token));
        }
        let rows = chunk.iter().map(|changed| changed.rows).sum();
        if rows < asked {
            (self.passes, self.tenant, self.token) = (self.passes + 1, 0, 0);
        }
        rows
    }

    /// Rows so far to which this was done.
    pub fn total(&self, what: &str) -> i64 {
        self.totals.get(what).copied().unwrap_or(0)
    }

    /// Rows so far.
    pub fn rows(&self) -> i64 {
        self.totals.values().sum()
    }
}

/// What a job does to the token store, pass by pass.
pub trait Passes: Sync {
    type Pass: Copy + Sync;

    /// Changes up to `size` rows of the pass that stand behind `from` in key order.
    fn chunk(
        &self,
        pass: Self::Pass,
        tx: &mut Tx,
        from: &Progress,
        size: i64,
    ) -> impl Future<Output = Result<Vec<Changed>, sqlx::Error>> + Send;
}

/// Does `passes` in order, in transactions of at most `size` rows, each committed with its
/// checkpoint; goes on where the last one stood.
pub async fn walk<W: Passes>(
    run: &Attempt,
    passes: &[W::Pass],
    work: &W,
    size: i64,
) -> Result<Progress, Stop> {
    let mut at = Progress::resumed(run.resume())?;
    while at.passes < passes.len() {
        at = run
            .checkpoint(async |tx| {
                let mut next = at.clone();
                let mut left = size;
                while left > 0 && next.passes < passes.len() {
                    let changed = work.chunk(passes[next.passes], tx, &next, left).await?;
                    left -= next.advance(&changed, left);
                }
                Ok((json!(next), next))
            })
            .await?;
    }
    Ok(at)
}

/// When a session is over, in seconds; without a limit only its own expiry ends it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionLimits {
    /// Since the last use.
    pub idle: Option<i64>,
    /// Since the sign-in.
    pub age: Option<i64>,
}

/// Lifetimes in seconds of tokens that have no expiry of their own.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    pub access: i64,
    pub refresh: i64,
}

/// Revokes up to `size` sessions past their time at `now`: reason EXPIRED, the value gone at once.
pub async fn expire_sessions(
    tx: &mut Tx,
    now: Timestamp,
    limits: SessionLimits,
    from: &Progress,
    size: i64,
) -> Result<Vec<Changed>, sqlx::Error> {
    sqlx::query_as(include_str!("expire_sessions.sql"))
        .bind(now.to_sqlx())
        .bind(limits.idle)
        .bind(limits.age)
        .bind(from.tenant)
        .bind(from.token)
        .bind(size)
        .fetch_all(tx)
        .await
}

/// Removes up to `size` access and refresh tokens that expired more than a day before `now`, and
/// writes their history.
pub async fn remove_tokens(
    tx: &mut Tx,
    now: Timestamp,
    lifetimes: Lifetimes,
    from: &Progress,
    size: i64,
) -> Result<Vec<Changed>, sqlx::Error> {
    remove(tx, now, &["ACCESS", "REFRESH"], Some(lifetimes), from, size).await
}

/// Removes up to `size` sessions that ended as long before `now` as the policies `ended_sessions` and
/// `security_sessions` keep them, and writes their history.
pub async fn remove_sessions(
    tx: &mut Tx,
    now: Timestamp,
    from: &Progress,
    size: i64,
) -> Result<Vec<Changed>, sqlx::Error> {
    remove(tx, now, &["SESSION"], None, from, size).await
}

async fn remove(
    tx: &mut Tx,
    now: Timestamp,
    types: &[&str],
    lifetimes: Option<Lifetimes>,
    from: &Progress,
    size: i64,
) -> Result<Vec<Changed>, sqlx::Error> {
    sqlx::query_as(include_str!("remove.sql"))
        .bind(now.to_sqlx())
        .bind(types)
        .bind(lifetimes.map(|l| l.access))
        .bind(lifetimes.map(|l| l.refresh))
        .bind(from.tenant)
        .bind(from.token)
        .bind(size)
        .fetch_all(tx)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(tenant_id: i64, what: &str, rows: i64, last_token: i64) -> Changed {
        Changed { tenant_id, what: what.to_owned(), rows, last_token }
    }

    #[test]
    fn a_full_chunk_goes_on_after_its_last_key_and_a_smaller_one_ends_the_pass() {
        let mut at = Progress::default();
        let full = [
            changed(1, "EXPIRED", 2, 90),
            changed(2, "EXPIRED", 2, 7),
            changed(2, "MALFORMED", 1, 12),
        ];
        assert_eq!(at.advance(&full, 5), 5);
        assert_eq!((at.passes, at.tenant, at.token), (0, 2, 12));
        assert_eq!(at.advance(&[changed(2, "EXPIRED", 1, 13)], 5), 1);
        assert_eq!((at.passes, at.tenant, at.token), (1, 0, 0));
        assert_eq!(
            (at.total("EXPIRED"), at.total("MALFORMED"), at.total("LIMIT"), at.rows()),
            (5, 1, 0, 6)
        );
    }

    #[test]
    fn progress_survives_its_way_through_a_checkpoint() {
        let mut at = Progress::default();
        at.advance(&[changed(3, "CASCADE", 4, 44)], 4);
        assert_eq!(Progress::resumed(Some(json!(at))), Ok(at));
        assert_eq!(Progress::resumed(None), Ok(Progress::default()));
        assert!(Progress::resumed(Some(json!({"passes": "two"}))).is_err());
    }
}
