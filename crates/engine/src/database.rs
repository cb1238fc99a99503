//! Connections: one pool per node, wearing the engine's role, with the sessions' safety settings; and migrations.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, Executor, PgConnection};

/// The oldest PostgreSQL Yakin runs on.
pub const OLDEST_POSTGRES: i32 = 15;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations");

/// Why the database cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("the database URL cannot be read: {0}; expected postgres://user@host/database")]
    Url(String),
    #[error(
        "cannot reach PostgreSQL at {place}: {reason}; check that it runs and that DATABASE_URL is right"
    )]
    Unreachable { place: String, reason: String },
    #[error("PostgreSQL is version {found}; Yakin needs {OLDEST_POSTGRES} or newer")]
    TooOld { found: String },
    #[error("the database is not migrated ({have} of {want} steps); run `yakin migrate`")]
    NotMigrated { have: i64, want: i64 },
    #[error(
        "the database was migrated by a newer Yakin (step {found}, this one knows {known}); use that version"
    )]
    Newer { found: i64, known: i64 },
    #[error(
        "login '{login}' may not act as yakin_engine; as its owner run: GRANT yakin_engine TO \"{login}\""
    )]
    MissingRole { login: String },
    #[error("migrating: {0}")]
    Migrating(String),
    #[error("{}", crate::outcome::database_message(.0))]
    Sql(#[from] sqlx::Error),
}

fn options(url: &str) -> Result<PgConnectOptions, DatabaseError> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        let scheme = url.split("://").next().filter(|s| s.len() < url.len()).unwrap_or("nothing");
        return Err(DatabaseError::Url(format!("it begins with {scheme}")));
    }
    let options = PgConnectOptions::from_str(url).map_err(|e| DatabaseError::Url(e.to_string()))?;
    Ok(options.application_name("yakin").options([
        ("client_connection_check_interval", "10s"),
        ("tcp_user_timeout", "30s"),
        ("idle_in_transaction_session_timeout", "60s"),
        ("timezone", "Asia/Tokyo"),
    ]))
}

fn unreachable(url: &str, error: sqlx::Error) -> DatabaseError {
    let code = error.as_database_error().and_then(|e| e.code());
    if let (Some("42501"), Ok(options)) = (code.as_deref(), PgConnectOptions::from_str(url)) {
        return DatabaseError::MissingRole { login: options.get_username().to_owned() };
    }
    let place = PgConnectOptions::from_str(url).map_or_else(
        |_| "?".to_owned(),
        |o| match o.get_socket() {
            Some(dir) => format!("{} (socket)", dir.display()),
            None => format!("{}:{}", o.get_host(), o.get_port()),
        },
    );
    DatabaseError::Unreachable { place, reason: error.to_string() }
}

/// A pool of at most `size` connections, each acting as `yakin_engine`.
pub async fn connect(url: &str, size: u32) -> Result<PgPool, DatabaseError> {
    check(url).await?;
    PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(Duration::from_secs(10))
        .max_lifetime(Duration::from_secs(1800))
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute("SET ROLE yakin_engine").await.map(|_| ()) })
        })
        .connect_with(options(url)?)
        .await
        .map_err(|e| unreachable(url, e))
}

/// One connection as the login itself: for migrations, sample data, `doctor`.
pub async fn connect_as_login(url: &str) -> Result<PgConnection, DatabaseError> {
    PgConnection::connect_with(&options(url)?).await.map_err(|e| unreachable(url, e))
}

/// Checks version, migrations and rights, so that a start fails with one clear sentence.
async fn check(url: &str) -> Result<(), DatabaseError> {
    let mut connection = connect_as_login(url).await?;
    refuse_old(&mut connection).await?;
    let want = MIGRATIONS.iter().map(|m| m.version).max().unwrap_or(0);
    let (login, may): (String, Option<bool>) = sqlx::query_as(
        "SELECT session_user::text, (SELECT pg_has_role(session_user, oid, 'MEMBER') FROM pg_roles
                                      WHERE rolname = 'yakin_engine')",
    )
    .fetch_one(&mut connection)
    .await?;
    match may {
        None => return Err(DatabaseError::NotMigrated { have: 0, want }),
        Some(false) => return Err(DatabaseError::MissingRole { login }),
        Some(true) => connection.execute("SET ROLE yakin_engine").await?,
    };
    let have = applied(&mut connection).await?;
    if have < want {
        return Err(DatabaseError::NotMigrated { have, want });
    }
    let oldest: i32 = sqlx::query_scalar("SELECT oldest_binary FROM yakin.compatibility")
        .fetch_one(&mut connection)
        .await?;
    if i64::from(oldest) > want {
        return Err(DatabaseError::Newer { found: have, known: want });
    }
    connection.close().await?;
    Ok(())
}

async fn refuse_old(connection: &mut PgConnection) -> Result<(), DatabaseError> {
    let (number, text): (i32, String) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::integer, current_setting('server_version')",
    )
    .fetch_one(&mut *connection)
    .await?;
    if number / 10_000 < OLDEST_POSTGRES {
        return Err(DatabaseError::TooOld { found: text });
    }
    Ok(())
}

async fn applied(connection: &mut PgConnection) -> Result<i64, DatabaseError> {
    // not by to_regclass: that is an error where the schema may not be used
    let there: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                         WHERE n.nspname = 'yakin' AND c.relname = 'schema_version')",
    )
    .fetch_one(&mut *connection)
    .await?;
    if !there {
        return Ok(0);
    }
    Ok(sqlx::query_scalar("SELECT step FROM yakin.schema_version")
        .fetch_one(&mut *connection)
        .await?)
}

/// Brings the database to this binary's schema; returns (before, after). Two at once are safe: one waits.
pub async fn migrate(owner_url: &str) -> Result<(i64, i64), DatabaseError> {
    let mut connection = connect_as_login(owner_url).await?;
    refuse_old(&mut connection).await?;
    connection.execute("SELECT pg_advisory_lock(7284412)").await?;
    let before = applied(&mut connection).await?;
    let known = MIGRATIONS.iter().map(|m| m.version).max().unwrap_or(0);
    if before > known {
        return Err(DatabaseError::Newer { found: before, known });
    }
    connection.execute("CREATE SCHEMA IF NOT EXISTS yakin").await?;
    connection.execute("SET search_path = yakin, pg_catalog").await?;
    MIGRATIONS.run_direct(None, &mut connection, false).await.map_err(|e| match e {
        sqlx::migrate::MigrateError::VersionMissing(found) => DatabaseError::Newer { found, known },
        sqlx::migrate::MigrateError::VersionMismatch(step) => DatabaseError::Migrating(format!(
            "step {step} differs from what was applied here: the migration file was changed after its release"
        )),
        other => DatabaseError::Migrating(other.to_string()),
    })?;
    // one row that says how far, readable without the migrator's own table
    connection
        .execute(
            "CREATE OR REPLACE VIEW yakin.schema_version AS
             SELECT coalesce(max(version), 0) AS step FROM yakin._sqlx_migrations WHERE success;
             GRANT SELECT ON yakin.schema_version TO yakin_engine;",
        )
        .await?;
    let after = applied(&mut connection).await?;
    connection.close().await?;
    Ok((before, after))
}

/// A short name for exactly this set of migrations.
pub fn schema_fingerprint() -> String {
    use sha2::{Digest, Sha256};
    let mut digest = Sha256::new();
    for migration in MIGRATIONS.iter() {
        digest.update(migration.sql.as_str());
    }
    hex::encode(&digest.finalize()[..6])
}
