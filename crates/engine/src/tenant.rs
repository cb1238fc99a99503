//! The directory of tenants: every engine statement that acts as `yakin_platform` stands in this file.

use sqlx::Executor;
use sqlx::postgres::PgPool;

use crate::error::{Doing, EngineError};
use crate::tx::{Role, Tx};

/// The lane and ledger key of work that belongs to no tenant.
pub const PLATFORM: i64 = 0;

/// A tenant as people name it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Tenant {
    pub id: i64,
    pub code: String,
    pub name: String,
    pub status: String,
}

/// All tenants in order of their ids. (Bounded by the number of customers; ids and names only.)
pub async fn all(pool: &PgPool) -> Result<Vec<Tenant>, EngineError> {
    let doing = "reading the tenants";
    let mut tx = Tx::begin(pool, Role::Platform, "", true).await.doing(doing)?;
    let rows: Vec<(i64, String, String, String)> =
        sqlx::query_as("SELECT tenant_id, code, name, status FROM app.tenants ORDER BY tenant_id")
            .fetch_all(&mut tx)
            .await
            .doing(doing)?;
    tx.commit().await.doing(doing)?;
    Ok(rows.into_iter().map(|(id, code, name, status)| Tenant { id, code, name, status }).collect())
}

/// So many tenants are named at once.
const MOST_CODES: usize = 1000;
/// No code is longer, in characters; what is, is compared with none.
const LONGEST_CODE: usize = 63;

/// Refuses more codes than may be named, and what is too long to be one.
pub fn check_codes(codes: &[String]) -> Result<(), EngineError> {
    if codes.len() > MOST_CODES {
        let named = codes.len();
        return Err(EngineError::refused(format!(
            "{named} tenants are named; at most {MOST_CODES} may be"
        )));
    }
    let long = |code: &&String| code.chars().count() > LONGEST_CODE;
    codes.iter().find(long).map_or(Ok(()), |code| {
        let begins: String = code.chars().take(20).collect();
        Err(EngineError::refused(format!(
            "tenant '{begins}…' has {} characters; a code has at most {LONGEST_CODE}",
            code.chars().count()
        )))
    })
}

/// The ids of tenants named by code; an unknown code is refused with the nearest ones.
pub async fn by_codes(pool: &PgPool, codes: &[String]) -> Result<Vec<i64>, EngineError> {
    check_codes(codes)?;
    let known = all(pool).await?;
    codes
        .iter()
        .map(|code| {
            known.iter().find(|t| t.code == *code).map(|t| t.id).ok_or_else(|| {
                let near = crate::registry::nearest(code, known.iter().map(|t| t.code.as_str()));
                EngineError::unknown(format!("unknown tenant '{code}'{near}"))
            })
        })
        .collect()
}

/// Tries `yakin.attempt_holds` with a running job, as work does, and rolls it back. When the function does not see the
/// job, it would take every attempt for dead: then its owner is named.
pub async fn blind_to_attempts(pool: &PgPool) -> Result<Option<String>, EngineError> {
    let doing = "trying yakin.attempt_holds";
    let mut tx = Tx::engine(pool).await.doing(doing)?;
    let job: i64 = sqlx::query_scalar(
        "INSERT INTO yakin.jobs (queue, tenant_id, state, priority, batch_id, kind, run_at, token, lease_until)
         VALUES ('default', 0, 'running', 0, 'none', 'global', clock_timestamp(), 1, clock_timestamp()) RETURNING id",
    )
    .fetch_one(tx.inner().doing(doing)?)
    .await
    .doing(doing)?;
    tx.inner()
        .doing(doing)?
        .execute("SET LOCAL ROLE yakin_platform; SET LOCAL yakin.tenant = ''")
        .await
        .doing(doing)?;
    let blind: Option<String> = sqlx::query_scalar(
        "SELECT CASE WHEN NOT yakin.attempt_holds($1, 1) THEN pg_get_userbyid(proowner)::text END
           FROM pg_proc WHERE oid = 'yakin.attempt_holds(bigint, bigint)'::regprocedure",
    )
    .bind(job)
    .fetch_one(&mut tx)
    .await
    .doing(doing)?;
    tx.rollback().await.doing(doing)?;
    Ok(blind)
}

/// The tables of staging.
async fn staging(pool: &PgPool) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname = 'staging' AND c.relkind = 'r' ORDER BY 1",
    )
    .fetch_all(pool)
    .await
}

/// Empties the staging of a run that has ended.
pub(crate) async fn clear_staging(pool: &PgPool, run: i64) -> Result<(), sqlx::Error> {
    let tables = staging(pool).await?;
    let mut tx = Tx::begin(pool, Role::Platform, "", false).await?;
    for table in tables {
        let sql = sqlx::AssertSqlSafe(format!("DELETE FROM {table} WHERE run_id = $1"));
        sqlx::query(sql).bind(run).execute(&mut tx).await?;
    }
    tx.commit().await
}

/// Empties the staging of runs that have ended and could not be cleared then.
pub async fn sweep_staging(pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut runs: Vec<i64> = Vec::new();
    let mut tx = Tx::begin(pool, Role::Platform, "", true).await?;
    for table in staging(pool).await? {
        let sql =
            sqlx::AssertSqlSafe(format!("SELECT DISTINCT run_id FROM {table} ORDER BY run_id"));
        runs.extend(sqlx::query_scalar::<_, i64>(sql).fetch_all(&mut tx).await?);
    }
    tx.rollback().await?;
    let ended: Vec<i64> = sqlx::query_scalar(
        "SELECT DISTINCT id FROM unnest($1::bigint[]) AS id
          WHERE NOT EXISTS (SELECT FROM yakin.runs r WHERE r.id = id.id AND r.state <> 'ended') ORDER BY id",
    )
    .bind(runs)
    .fetch_all(pool)
    .await?;
    for run in ended {
        clear_staging(pool, run).await?;
    }
    Ok(())
}
