//! BATCH-506 セッション管理バッチ: ends idle, over-age, surplus and orphaned sessions, reports suspicious
//! ones, removes old rows, and keeps the hour's session statistics of each tenant.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Deserialize;
use serde_json::json;
use yakin_domain::tokens::{self, Changed, Passes, Progress, SessionLimits};
use yakin_engine::prelude::*;

/// Live sessions over all tenants from which on the capacity is warned of.
const CAPACITY: i64 = 5_000;
/// Suspicious sessions judged per tenant and run, and how many of them the log names.
const SUSPICIOUS: i64 = 1_000;
const NAMED: usize = 50;
const PASSES: [Pass; 3] = [Pass::Expire, Pass::End, Pass::Remove];

pub struct SessionManagement;

#[derive(Debug, Deserialize)]
pub struct Params {
    session_timeout: i64,
    cleanup_batch_size: i64,
    max_concurrent_sessions: i64,
    max_session_age: i64,
}

impl Batch for SessionManagement {
    type Params = Params;
    const SPEC: Spec = Spec {
        id: "BATCH-506",
        slug: "session-management",
        title: "セッション管理バッチ",
        schedule: cron("50 * * * *"),
        catch_up: CatchUp::Latest,
        period: Period::None,
        window: None,
        deadline: Some(mins(55)),
        scope: Scope::EachTenant,
        phases: &[Phase::Finish],
        needs: &[],
        locks: &[tokens::STORE],
        overlap: Overlap::Forbid,
        queue: Queue::Default,
        priority: Priority::Medium,
        timeout: mins(10),
        retry: fixed(3, secs(10)),
        retry_by_cause: &[
            (Cause::Database, fixed(4, secs(10))),
            (Cause::LockConflict, fixed(4, secs(10))),
        ],
        severity: Severity::High,
        expected: mins(10),
        params: &[
            Param {
                name: "session_timeout",
                kind: Kind::Int(1, 31_536_000),
                default: Some("1800"),
                help: "idle limit in seconds",
            },
            Param {
                name: "cleanup_batch_size",
                kind: Kind::Int(1, 10_000),
                default: Some("1000"),
                help: "rows per transaction",
            },
            Param {
                name: "max_concurrent_sessions",
                kind: Kind::Int(1, 10_000),
                default: Some("10"),
                help: "live sessions a user may have",
            },
            Param {
                name: "max_session_age",
                kind: Kind::Int(1, 31_536_000),
                default: Some("86400"),
                help: "greatest age of a session in seconds, however busy it is",
            },
        ],
        approval: Approval::None,
        survives_database: false,
    };

    async fn roster(run: &PlatformRun, _: &Params) -> Result<Vec<i64>, Stop> {
        run.read(async |tx| {
            Ok(sqlx::query_scalar(include_str!("b506_roster.sql")).fetch_all(tx).await?)
        })
        .await
    }

    async fn tenant(run: &TenantRun, p: &Params) -> Outcome {
        let (limits, suspicious) = run
            .read(async |tx| {
                let limits = limits(tx, p).await?;
                let suspicious = suspicious(tx, run, &limits).await?;
                Ok((limits, suspicious))
            })
            .await?;
        report(run, &limits, &suspicious);
        let revoked =
            suspicious.iter().filter(|_| limits.revoke_suspicious).map(|s| s.token_id).collect();
        let rules = Rules { now: run.now(), limits, revoked };
        // an earlier attempt may have ended some of them already
        let ended_before = Progress::resumed(run.resume())?.total("SECURITY");
        let found = suspicious.len() as i64 + ended_before;
        let at = tokens::walk(run, &PASSES, &rules, p.cleanup_batch_size).await?;
        run.write(async |tx| {
            write_statistics(tx, run, found).await?;
            Ok(done(&at).count("suspicious", found))
        })
        .await
    }

    async fn finish(run: &PlatformRun, _: &Params, _: &Ended) -> Outcome {
        let now = run.now().to_sqlx();
        let (active, suspicious, tenants): (i64, i64, i64) = run
            .read(async |tx| {
                Ok(sqlx::query_as(include_str!("b506_totals.sql")).bind(now).fetch_one(tx).await?)
            })
            .await?;
        if active >= CAPACITY {
            run.warn("many live sessions", json!({"active": active, "limit": CAPACITY}));
        }
        if suspicious > 0 {
            run.warn("suspicious sessions", json!({"sessions": suspicious, "tenants": tenants}));
        }
        Ok(Done::default().count("active", active))
    }
}

#[derive(Clone, Debug, sqlx::FromRow)]
struct Limits {
    idle_seconds: i64,
    max_age_seconds: i64,
    max_per_user: i64,
    revoke_suspicious: bool,
}

async fn limits(tx: &mut Tx, p: &Params) -> Result<Limits, sqlx::Error> {
    sqlx::query_as(include_str!("b506_limits.sql"))
        .bind(p.session_timeout)
        .bind(p.max_session_age)
        .bind(p.max_concurrent_sessions)
        .fetch_one(tx)
        .await
}

#[derive(Clone, Debug, sqlx::FromRow)]
struct Suspicious {
    token_id: i64,
    user_id: Option<i64>,
    network: Option<String>,
    device_changed: bool,
}

async fn suspicious(
    tx: &mut Tx,
    run: &TenantRun,
    limits: &Limits,
) -> Result<Vec<Suspicious>, sqlx::Error> {
    sqlx::query_as(include_str!("b506_suspicious.sql"))
        .bind(run.now().to_sqlx())
        .bind(limits.idle_seconds)
        .bind(limits.max_age_seconds)
        .bind(SUSPICIOUS)
        .fetch_all(tx)
        .await
}

/// One log line a tenant: which sessions, whose, from where, and why. Never a value, a hash or a
/// fingerprint.
fn report(run: &TenantRun, limits: &Limits, found: &[Suspicious]) {
    if found.is_empty() {
        return;
    }
    let named = found.iter().take(NAMED).map(|s| {
        let why = if s.device_changed { "device changed" } else { "several networks" };
        json!({"session": s.token_id, "user": s.user_id, "network": s.network, "why": why})
    });
    let named: Vec<_> = named.collect();
    run.warn(
        "suspicious sessions",
        json!({"found": found.len(), "revoked": limits.revoke_suspicious, "sessions": named}),
    );
}

/// In this order, so that what is past its time takes no place among a user's sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Expire,
    End,
    Remove,
}

/// By what the tenant's sessions are judged.
struct Rules {
    now: Timestamp,
    limits: Limits,
    /// Suspicious sessions, where the policy lets them be revoked.
    revoked: Vec<i64>,
}

impl Passes for Rules {
    type Pass = Pass;

    async fn chunk(
        &self,
        pass: Pass,
        tx: &mut Tx,
        from: &Progress,
        size: i64,
    ) -> Result<Vec<Changed>, sqlx::Error> {
        let (idle, age) = (self.limits.idle_seconds, self.limits.max_age_seconds);
        match pass {
            Pass::Expire => {
                let past = SessionLimits { idle: Some(idle), age: Some(age) };
                tokens::expire_sessions(tx, self.now, past, from, size).await
            }
            Pass::Remove => tokens::remove_sessions(tx, self.now, from, size).await,
            Pass::End => {
                sqlx::query_as(include_str!("b506_end.sql"))
                    .bind(self.now.to_sqlx())
                    .bind(idle)
                    .bind(age)
                    .bind(self.limits.max_per_user)
                    .bind(&self.revoked)
                    .bind(from.token)
                    .bind(size)
                    .fetch_all(tx)
                    .await
            }
        }
    }
}

async fn write_statistics(
    tx: &mut Tx,
    run: &TenantRun,
    suspicious: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("b506_snapshot.sql"))
        .bind(run.now().to_sqlx())
        .bind(run.tenant())
        .bind(suspicious)
        .execute(&mut *tx)
        .await?;
    sqlx::query(include_str!("b506_flows.sql"))
        .bind(run.now().to_sqlx())
        .bind(run.tenant())
        .execute(tx)
        .await
        .map(|_| ())
}

fn done(at: &Progress) -> Done {
    Done::rows(at.rows())
        .count("expired", at.total("EXPIRED_SESSION"))
        .count("limit", at.total("LIMIT"))
        .count("admin", at.total("ADMIN"))
        .count("security", at.total("SECURITY"))
        .count("removed", at.total("REMOVED"))
}
