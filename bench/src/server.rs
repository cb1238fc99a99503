//! The durable PostgreSQL of a run: a fresh database for each bench, and plain access to it.

use std::str::FromStr;

use anyhow::Context;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use yakin_engine::database;

/// The server that `scripts/bench` started.
pub struct Server {
    options: PgConnectOptions,
    /// Its first process, whose children are all others.
    pub process: u32,
}

/// A database of one's own.
pub struct Database {
    options: PgConnectOptions,
    name: String,
    /// As superuser.
    pub owner: PgPool,
}

impl Server {
    /// From what `scripts/bench` told.
    pub fn from_environment() -> anyhow::Result<Server> {
        let told = |key: &str| {
            std::env::var(key).with_context(|| format!("{key} is not set; use scripts/bench"))
        };
        let options = PgConnectOptions::from_str(&told("YAKIN_BENCH_DATABASE_URL")?)?;
        let process = told("YAKIN_BENCH_SERVER_PID")?.parse().context("YAKIN_BENCH_SERVER_PID")?;
        Ok(Server { options: options.disable_statement_logging(), process })
    }

    /// An empty database.
    pub async fn empty(&self, name: &str) -> anyhow::Result<Database> {
        let mut admin = self.options.connect().await.context("the bench's server")?;
        for act in ["DROP DATABASE IF EXISTS", "CREATE DATABASE"] {
            let force = if act.starts_with("DROP") { " WITH (FORCE)" } else { "" };
            admin.execute(AssertSqlSafe(format!("{act} {name}{force}"))).await?;
        }
        admin.close().await?;
        let options = self.options.clone().database(name);
        let owner = PgPoolOptions::new().max_connections(4).connect_with(options.clone()).await?;
        Ok(Database { options, name: name.to_owned(), owner })
    }

    /// A database with Yakin's schema.
    pub async fn migrated(&self, name: &str) -> anyhow::Result<Database> {
        let database = self.empty(name).await?;
        database::migrate(&database.url("postgres")).await?;
        Ok(database)
    }

    /// Forgets a database.
    pub async fn drop(&self, database: Database) -> anyhow::Result<()> {
        database.owner.close().await;
        let mut admin = self.options.connect().await?;
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", database.name);
        admin.execute(AssertSqlSafe(sql)).await?;
        Ok(admin.close().await?)
    }
}

impl Database {
    /// Its URL for a login.
    pub fn url(&self, login: &str) -> String {
        self.options.clone().username(login).to_url_lossy().to_string()
    }

    /// A pool as nodes have it.
    pub async fn engine_pool(&self) -> anyhow::Result<PgPool> {
        Ok(database::connect(&self.url("yakin_engine"), 8).await?)
    }

    /// Statements as superuser; several may stand behind each other.
    pub async fn sql(&self, sql: impl Into<String>) -> anyhow::Result<()> {
        let sql = sql.into();
        let first = sql.trim().chars().take(80).collect::<String>();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.owner).await.context(first)?;
        Ok(())
    }

    /// One value as superuser.
    pub async fn one<T>(&self, sql: &str) -> anyhow::Result<T>
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        let value = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&self.owner).await;
        value.with_context(|| sql.to_owned())
    }

    /// Nothing of what was loaded before is still to be written or counted while it is measured.
    pub async fn quiet(&self) -> anyhow::Result<()> {
        self.sql("VACUUM ANALYZE").await?;
        self.sql("CHECKPOINT").await
    }
}
