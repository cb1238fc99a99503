//! The transaction that work is handed: wears a role and a tenant, and can neither change them nor commit.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde_json::{Value, json};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgPool, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{AssertSqlSafe, Either, Execute, Executor, Postgres, SqlStr};

/// Who a transaction acts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The engine itself: its own tables, no tenant's.
    Engine,
    /// One tenant, behind row security.
    Tenant(i64),
    /// All tenants: prepare, finish, global batches and the statements of `tenant.rs`.
    Platform,
}

/// A job that is inserted together with the transaction.
#[derive(Clone, Debug)]
pub struct FollowUp {
    /// The run it belongs to; `None` = that of the attempt.
    pub run: Option<i64>,
    pub name: String,
    pub tenant: i64,
    pub payload: Value,
}

/// An open transaction. Dropped without an end, it closes its connection: the server rolls back, and no pool ever
/// hands out a connection inside somebody else's transaction.
#[derive(Debug)]
pub struct Tx {
    connection: Option<PoolConnection<Postgres>>,
    role: Role,
    pub(crate) follow_ups: Vec<FollowUp>,
    pub(crate) planned: Vec<Value>,
    counted: RowCounts,
}

/// Rows inserted, updated and deleted by table.
type RowCounts = BTreeMap<String, [i64; 3]>;

impl Tx {
    /// Begins as `role`. `label` names the attempt in `pg_stat_activity`, where a rescue finds exactly this backend.
    pub async fn begin(
        pool: &PgPool,
        role: Role,
        label: &str,
        read_only: bool,
    ) -> Result<Tx, sqlx::Error> {
        let mut sql = String::from(if read_only { "BEGIN READ ONLY" } else { "BEGIN" });
        if !label.is_empty() {
            debug_assert!(label.bytes().all(|b| b.is_ascii_alphanumeric() || b" -".contains(&b)));
            sql.push_str(&format!("; SET LOCAL application_name = '{label}'"));
        }
        sql.push_str(&wear(role));
        let pool = pool.clone();
        // In a task of its own: a caller that is cancelled here must not leave a half-begun connection behind.
        let begun = tokio::spawn(async move {
            let mut idle = pool.num_idle();
            loop {
                let mut tx = Tx {
                    connection: Some(pool.acquire().await?),
                    role,
                    follow_ups: Vec::new(),
                    planned: Vec::new(),
                    counted: RowCounts::new(),
                };
                match sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(tx.inner()?).await {
                    Ok(_) => return Ok(tx),
                    // a connection that broke while nobody used it is no failure of the work
                    Err(error) if idle > 0 && is_broken(&error) => idle -= 1,
                    Err(error) => return Err(error),
                }
            }
        });
        begun.await.map_err(|e| sqlx::Error::Protocol(format!("beginning a transaction: {e}")))?
    }

    /// An engine transaction.
    pub async fn engine(pool: &PgPool) -> Result<Tx, sqlx::Error> {
        Tx::begin(pool, Role::Engine, "", false).await
    }

    /// From here on the server itself ends a statement after so long: one that nobody waits for any more goes on until
    /// then, though its caller has left.
    pub async fn limit(&mut self, longest: Duration) -> Result<(), sqlx::Error> {
        // nothing at all would be no limit
        let milliseconds = longest.as_millis().max(1);
        let limit = AssertSqlSafe(format!("SET LOCAL statement_timeout = {milliseconds}"));
        self.inner()?.execute(limit).await.map(|_| ())
    }

    /// Inserts a follow-up job of this batch together with the transaction.
    pub fn follow_up(&mut self, name: &str, tenant: i64, payload: Value) {
        self.planned.push(json!({"follow_up": name, "tenant": tenant}));
        self.follow_ups.push(FollowUp { run: None, name: name.to_owned(), tenant, payload });
    }

    /// The same for an earlier run of the batch, when a person's act lets it go on.
    pub fn follow_up_of(&mut self, run: i64, name: &str, tenant: i64, payload: Value) {
        self.follow_up(name, tenant, payload);
        if let Some(added) = self.follow_ups.last_mut() {
            added.run = Some(run);
        }
    }

    /// Notes an act outside that a real run would carry out; it stands in a dry run's plan.
    pub fn plan(&mut self, act: Value) {
        self.planned.push(act);
    }

    /// The engine's own access, past the guard.
    pub(crate) fn inner(&mut self) -> Result<&mut sqlx::PgConnection, sqlx::Error> {
        self.connection.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// Goes on as the engine, after checking that the work still wore what it was given.
    pub(crate) async fn become_engine(&mut self) -> Result<(), sqlx::Error> {
        let (expected, tenant) = match self.role {
            Role::Engine => return Ok(()),
            Role::Tenant(id) => ("yakin_tenant", id.to_string()),
            Role::Platform => ("yakin_platform", String::new()),
        };
        // CASE looks first, and changes the role after
        let kept: bool = sqlx::query_scalar(
            "SELECT CASE WHEN current_user = $1 AND coalesce(current_setting('yakin.tenant', true), '') = $2
                         THEN set_config('role', 'yakin_engine', true) IS NOT NULL ELSE false END",
        )
        .bind(expected)
        .bind(tenant)
        .fetch_one(self.inner()?)
        .await?;
        if !kept {
            return Err(sqlx::Error::Protocol(
                "the work changed its role or tenant: refused".into(),
            ));
        }
        self.role = Role::Engine;
        Ok(())
    }

    /// Row effects count from here on. (The server's counters may still hold those of earlier transactions of this
    /// connection, which it reports about once a second.)
    pub(crate) async fn count_from_here(&mut self) -> Result<(), sqlx::Error> {
        self.counted = self.row_counts().await?;
        Ok(())
    }

    /// Rows inserted, updated and deleted since [`Tx::count_from_here`], by table: `{"app.invoices": {"inserted": 1, …}}`.
    pub(crate) async fn row_effects(&mut self) -> Result<Value, sqlx::Error> {
        let mut effects = serde_json::Map::new();
        for (table, now) in self.row_counts().await? {
            let before = self.counted.get(&table).copied().unwrap_or_default();
            let [inserted, updated, deleted] = [0, 1, 2].map(|i| now[i] - before[i]);
            if inserted + updated + deleted > 0 {
                effects.insert(
                    table,
                    json!({"inserted": inserted, "updated": updated, "deleted": deleted}),
                );
            }
        }
        Ok(effects.into())
    }

    async fn row_counts(&mut self) -> Result<RowCounts, sqlx::Error> {
        let rows: Vec<(String, i64, i64, i64)> =
            sqlx::query_as(include_str!("tx_row_counts.sql")).fetch_all(self.inner()?).await?;
        Ok(rows.into_iter().map(|(table, i, u, d)| (table, [i, u, d])).collect())
    }

    /// Commits and gives the connection back.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.end("COMMIT").await
    }

    /// Rolls back and gives the connection back.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, how: &'static str) -> Result<(), sqlx::Error> {
        self.inner()?.execute(how).await?;
        drop(self.connection.take()); // clean: back to the pool
        Ok(())
    }
}

/// Whether the connection is gone: cut, or ended by the server as it stops.
fn is_broken(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code());
    matches!(error, sqlx::Error::Io(_)) || matches!(code.as_deref(), Some("57P01" | "57P02"))
}

fn wear(role: Role) -> String {
    match role {
        // short by law, so a node that freezes inside one holds nobody up for long
        Role::Engine => "; SET LOCAL idle_in_transaction_session_timeout = '10s'".to_owned(),
        Role::Tenant(id) => {
            format!("; SET LOCAL ROLE yakin_tenant; SET LOCAL yakin.tenant = '{id}'")
        }
        Role::Platform => "; SET LOCAL ROLE yakin_platform; SET LOCAL yakin.tenant = ''".to_owned(),
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            connection.close_on_drop();
        }
    }
}

static FIRST_WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    vec!["SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "MERGE", "VALUES", "LOCK"]
});

/// Ways to the settings that begin with an allowed word: the function, the view that calls it on UPDATE, and names
/// spelled in escapes.
const BACK_DOORS: [&str; 3] = ["set_config", "pg_settings", "u&\""];

/// Refuses statements that could change the role, the tenant or the transaction.
fn guard(role: Role, sql: &str) -> Result<(), sqlx::Error> {
    if role == Role::Engine {
        return Ok(());
    }
    let bare =
        sql.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with("--")).unwrap_or("");
    let word =
        bare.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or("").to_ascii_uppercase();
    let lower = sql.to_ascii_lowercase();
    if !FIRST_WORDS.contains(&word.as_str()) || BACK_DOORS.iter().any(|d| lower.contains(d)) {
        return Err(sqlx::Error::Protocol(format!(
            "work may only read and write rows, not '{}'",
            bare.chars().take(40).collect::<String>()
        )));
    }
    Ok(())
}

/// Takes a query apart and puts it together again as a single prepared statement that passed the guard.
fn checked<'q, E: Execute<'q, Postgres>>(
    role: Role,
    mut query: E,
) -> Result<(SqlStr, Option<PgArguments>), sqlx::Error> {
    let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
    let sql = query.sql();
    guard(role, sql.as_str())?;
    Ok((sql, Some(arguments.unwrap_or_default())))
}

impl<'c> Executor<'c> for &'c mut Tx {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        match checked(self.role, query).and_then(|q| Ok((self.inner()?, q))) {
            Ok((connection, query)) => connection.fetch_many(query),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        match checked(self.role, query).and_then(|q| Ok((self.inner()?, q))) {
            Ok((connection, query)) => connection.fetch_optional(query),
            Err(error) => Box::pin(async { Err(error) }),
        }
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        match guard(self.role, sql.as_str()).and_then(|()| self.inner()) {
            Ok(connection) => connection.prepare_with(sql, parameters),
            Err(error) => Box::pin(async { Err(error) }),
        }
    }

    fn describe<'e>(
        self,
        sql: SqlStr,
    ) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        match guard(self.role, sql.as_str()).and_then(|()| self.inner()) {
            Ok(connection) => connection.describe(sql),
            Err(error) => Box::pin(async { Err(error) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_may_read_and_write_rows_and_nothing_else() {
        let tenant = Role::Tenant(1);
        for good in
            ["SELECT 1", "  with x AS (SELECT 1) SELECT 1", "-- why\nINSERT INTO t VALUES (1)"]
        {
            assert!(guard(tenant, good).is_ok(), "{good}");
        }
        for bad in [
            "COMMIT",
            "SET ROLE yakin_platform",
            "reset role",
            "SELECT set_config('role', 'x', true)",
            "UPDATE pg_settings SET setting = 'x' WHERE name = 'role'",
            "DO $$ BEGIN END $$",
            "SAVEPOINT a",
            "",
        ] {
            assert!(guard(tenant, bad).is_err(), "{bad}");
        }
    }
}
