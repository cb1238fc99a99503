//! BATCH-006 トークン無効化バッチ: revokes dead access and refresh tokens, blanks their values, and
//! removes them a day after their expiry with a history that can be audited.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Deserialize;
use serde_json::json;
use yakin_domain::tokens::{self, Changed, Lifetimes, Passes, Progress, SessionLimits};
use yakin_engine::prelude::*;

pub struct TokenInvalidation;

#[derive(Debug, Deserialize)]
pub struct Params {
    access_token_ttl: i64,
    refresh_token_ttl: i64,
    batch_size: i64,
    cleanup_expired_sessions: bool,
}

impl Batch for TokenInvalidation {
    type Params = Params;
    const SPEC: Spec = Spec {
        id: "BATCH-006",
        slug: "token-invalidation",
        title: "トークン無効化バッチ",
        schedule: cron("30 * * * *"),
        catch_up: CatchUp::Latest,
        period: Period::None,
        window: None,
        deadline: Some(mins(55)),
        scope: Scope::Global,
        phases: &[],
        needs: &[],
        locks: &[tokens::STORE],
        overlap: Overlap::Forbid,
        queue: Queue::Default,
        priority: Priority::High,
        timeout: mins(15),
        retry: exponential(4, secs(30), secs(120)),
        retry_by_cause: &[
            (Cause::LockConflict, fixed(6, secs(10))),
            (Cause::Overload, fixed(3, secs(60))),
        ],
        severity: Severity::High,
        expected: mins(15),
        params: &[
            Param {
                name: "access_token_ttl",
                kind: Kind::Int(1, 31_536_000),
                default: Some("3600"),
                help: "lifetime in seconds of an access token without an expiry of its own",
            },
            Param {
                name: "refresh_token_ttl",
                kind: Kind::Int(1, 315_360_000),
                default: Some("2592000"),
                help: "lifetime in seconds of a refresh token without an expiry of its own",
            },
            Param {
                name: "batch_size",
                kind: Kind::Int(1, 10_000),
                default: Some("1000"),
                help: "rows per transaction",
            },
            Param {
                name: "cleanup_expired_sessions",
                kind: Kind::Bool,
                default: Some("true"),
                help: "also revoke sessions past their own expiry, as BATCH-506 would",
            },
        ],
        approval: Approval::None,
        survives_database: false,
    };

    async fn global(run: &PlatformRun, p: &Params) -> Outcome {
        let lifetimes = Lifetimes { access: p.access_token_ttl, refresh: p.refresh_token_ttl };
        let rules = Rules { now: run.now(), lifetimes };
        let at = tokens::walk(run, passes(p), &rules, p.batch_size).await?;
        if !run.dry_run() {
            warn_of_the_unusual(run, &at).await?;
        }
        run.write(async |_| Ok(done(&at))).await
    }
}

/// In this order, so that a token long past its expiry is revoked and removed by one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Expire,
    Cascade,
    Remove,
    Sessions,
}

fn passes(p: &Params) -> &'static [Pass] {
    const ALL: [Pass; 4] = [Pass::Expire, Pass::Cascade, Pass::Remove, Pass::Sessions];
    if p.cleanup_expired_sessions { &ALL } else { &ALL[..3] }
}

/// By what the tokens are judged.
struct Rules {
    now: Timestamp,
    lifetimes: Lifetimes,
}

impl Passes for Rules {
    type Pass = Pass;

    /// The rows and their counts, in one transaction.
    async fn chunk(
        &self,
        pass: Pass,
        tx: &mut Tx,
        from: &Progress,
        size: i64,
    ) -> Result<Vec<Changed>, sqlx::Error> {
        let chunk = match pass {
            Pass::Expire => self.expire(tx, from, size).await?,
            Pass::Cascade => self.cascade(tx, from, size).await?,
            Pass::Remove => tokens::remove_tokens(tx, self.now, self.lifetimes, from, size).await?,
            Pass::Sessions => {
                // not counted here: BATCH-506 owns them and finds their ends in the rows
                let own_expiry = SessionLimits::default();
                return tokens::expire_sessions(tx, self.now, own_expiry, from, size).await;
            }
        };
        count(tx, self.now, &chunk).await?;
        Ok(chunk)
    }
}

impl Rules {
    async fn expire(
        &self,
        tx: &mut Tx,
        from: &Progress,
        size: i64,
    ) -> Result<Vec<Changed>, sqlx::Error> {
        sqlx::query_as(include_str!("b006_expire.sql"))
            .bind(self.now.to_sqlx())
            .bind(self.lifetimes.access)
            .bind(self.lifetimes.refresh)
            .bind(from.tenant)
            .bind(from.token)
            .bind(size)
            .fetch_all(tx)
            .await
    }

    async fn cascade(
        &self,
        tx: &mut Tx,
        from: &Progress,
        size: i64,
    ) -> Result<Vec<Changed>, sqlx::Error> {
        sqlx::query_as(include_str!("b006_cascade.sql"))
            .bind(self.now.to_sqlx())
            .bind(self.lifetimes.access)
            .bind(from.tenant)
            .bind(from.token)
            .bind(size)
            .fetch_all(tx)
            .await
    }
}

async fn count(tx: &mut Tx, now: Timestamp, chunk: &[Changed]) -> Result<(), sqlx::Error> {
    if chunk.is_empty() {
        return Ok(());
    }
    sqlx::query(include_str!("b006_count.sql"))
        .bind(now.to_sqlx())
        .bind(chunk.iter().map(|c| c.tenant_id).collect::<Vec<_>>())
        .bind(chunk.iter().map(|c| c.what.as_str()).collect::<Vec<_>>())
        .bind(chunk.iter().map(|c| c.rows).collect::<Vec<_>>())
        .execute(tx)
        .await
        .map(|_| ())
}

/// Warns when removals are half away from what this hour usually sees, or when over 5 % of the rows
/// were malformed.
async fn warn_of_the_unusual(run: &PlatformRun, at: &Progress) -> Result<(), Stop> {
    let now = run.now().to_sqlx();
    let (removed, median): (i64, Option<i64>) = run
        .read(async |tx| {
            Ok(sqlx::query_as(include_str!("b006_usual.sql")).bind(now).fetch_one(tx).await?)
        })
        .await?;
    if let Some(median) = median.filter(|m| *m >= 100 && (removed - m).abs() * 2 > *m) {
        run.warn("removals differ from the usual", json!({"removed": removed, "usual": median}));
    }
    let malformed = at.total("MALFORMED");
    if malformed * 20 > at.rows() {
        run.warn("malformed tokens", json!({"malformed": malformed, "rows": at.rows()}));
    }
    Ok(())
}

fn done(at: &Progress) -> Done {
    Done::rows(at.rows())
        .count("revoked", at.total("EXPIRED"))
        .count("malformed", at.total("MALFORMED"))
        .count("cascaded", at.total("CASCADE"))
        .count("removed", at.total("REMOVED"))
        .count("sessions", at.total("EXPIRED_SESSION"))
}
