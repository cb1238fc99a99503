//! The server that is backed up: whether the login may read all of it, its databases, and one snapshot of each.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use yakin_adapters::postgres_tools::{Login, Tools};
use yakin_engine::database;

use super::{BackupError, Result, TableRows, WITHOUT_ROWS};

/// Scratch databases of restore tests begin so; they are never backed up.
const SCRATCH: &str = "yakin_restore_test_";

/// The server, looked at.
pub struct Source {
    pub login: Login,
    pub tools: Tools,
    /// Its version as it names itself.
    pub version: String,
    /// What tells its cluster from all others.
    pub cluster: String,
    pub superuser: bool,
    /// How the names of our restore tests' databases begin; another Yakin of this server has others.
    pub(super) scratch: String,
    /// In order of their names.
    pub databases: Vec<SourceDatabase>,
}

/// A database that can be dumped.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct SourceDatabase {
    pub name: String,
    /// On the server's disk.
    pub bytes: i64,
    pub encoding: String,
    pub collate: String,
    pub ctype: String,
}

#[derive(sqlx::FromRow)]
struct Server {
    version: String,
    number: i32,
    cluster: String,
    superuser: bool,
    sees_all: bool,
    login: String,
    database: i64,
}

impl Source {
    /// Looks at the server; `wanted` limits to these databases, empty means all but templates.
    pub async fn look(login: &Login, wanted: &[String]) -> Result<Source> {
        let mut connection = connect(login, None).await?;
        let server: Server =
            sqlx::query_as(include_str!("server.sql")).fetch_one(&mut connection).await?;
        if !server.sees_all {
            let login = server.login;
            return Err(BackupError::Refused(format!(
                "login '{login}' does not see all rows, its dump would lack some without saying so: ALTER ROLE \
                 \"{login}\" BYPASSRLS; GRANT pg_read_all_data TO \"{login}\"; or use a superuser"
            )));
        }
        let tools = Tools::find(u32::try_from(server.number / 10_000).unwrap_or(0)).await?;
        let mut databases: Vec<SourceDatabase> = sqlx::query_as(include_str!("databases.sql"))
            .bind(SCRATCH)
            .fetch_all(&mut connection)
            .await?;
        connection.close().await?;
        if let Some(unknown) = wanted.iter().find(|w| !databases.iter().any(|d| d.name == **w)) {
            let known: Vec<_> = databases.iter().map(|d| d.name.as_str()).collect();
            return Err(BackupError::Refused(format!(
                "there is no database '{unknown}', expected some of {}",
                known.join(", ")
            )));
        }
        databases.retain(|d| wanted.is_empty() || wanted.contains(&d.name));
        Ok(Source {
            login: login.clone(),
            tools,
            version: server.version,
            cluster: server.cluster,
            superuser: server.superuser,
            scratch: format!("{SCRATCH}{}_", server.database),
            databases,
        })
    }

    /// Their size on the server's disk together.
    pub fn bytes(&self) -> u64 {
        self.databases.iter().map(|d| u64::try_from(d.bytes).unwrap_or(0)).sum()
    }
}

/// A connection that may wait without being cut off.
pub(super) async fn connect(login: &Login, database: Option<&str>) -> Result<PgConnection> {
    let mut connection = database::connect_as_login(&login.url_with_password(database)).await?;
    connection
        .execute("SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0")
        .await?;
    Ok(connection)
}

/// One state of a database: what the dump and the counts both see.
pub(super) struct Snapshot {
    connection: PgConnection,
    pub name: String,
}

impl Snapshot {
    /// Takes it; it lasts until [`Snapshot::end`].
    pub async fn take(login: &Login, database: &str) -> Result<Snapshot> {
        let mut connection = connect(login, Some(database)).await?;
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let name =
            sqlx::query_scalar("SELECT pg_export_snapshot()").fetch_one(&mut connection).await?;
        Ok(Snapshot { connection, name })
    }

    /// Counts the rows of each table.
    pub async fn count(&mut self) -> Result<Vec<TableRows>> {
        count(&mut self.connection).await
    }

    pub async fn end(mut self) -> Result<()> {
        self.connection.execute("ROLLBACK").await?;
        Ok(self.connection.close().await?)
    }
}

/// The rows of each table of a database, as the connection sees them.
pub(super) async fn count(connection: &mut PgConnection) -> Result<Vec<TableRows>> {
    let tables: Vec<(String, String)> =
        sqlx::query_as(include_str!("tables.sql")).fetch_all(&mut *connection).await?;
    let mut counted = Vec::with_capacity(tables.len());
    for (schema, name) in tables {
        let without_rows = WITHOUT_ROWS.contains(&format!("{schema}.{name}").as_str());
        let rows = if without_rows {
            0
        } else {
            let quoted = [&schema, &name].map(|part| part.replace('"', "\"\""));
            let sql = format!("SELECT count(*) FROM ONLY \"{}\".\"{}\"", quoted[0], quoted[1]);
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *connection).await?
        };
        counted.push(TableRows { schema, name, rows, without_rows });
    }
    Ok(counted)
}
