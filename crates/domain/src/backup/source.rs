//! The server that is backed up: whether the login may read all of it, its databases, and one snapshot of each.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use yakin_adapters::postgres_tools::{Login, Tools};
use yakin_engine::database;

use super::{BackupError, Result, TableName, TableRows, WITHOUT_ROWS};

/// Scratch databases of restore tests begin so; they are never backed up.
const SCRATCH: &str = "yakin_restore_test_";
/// Databases that a restore has not brought to its end begin so; neither are they.
pub(super) const RESTORING: &str = "yakin_restoring_";
/// What would cut a connection off that waits for a dump or a restore; servers before 17 know only three.
const WAIT: &str = "SELECT set_config(name, '0', false) FROM pg_settings
                     WHERE name IN ('idle_in_transaction_session_timeout', 'idle_session_timeout', 'statement_timeout',
                                    'transaction_timeout')";

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
    /// Whether all databases were asked for, and not some by name.
    pub(super) all: bool,
    /// In order of their names.
    pub databases: Vec<SourceDatabase>,
}

/// A database that can be dumped.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct SourceDatabase {
    pub name: String,
    /// On the server's disk.
    #[sqlx(default)]
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
    /// Looks at the server and its databases; `wanted` limits to these, empty means all but templates.
    pub async fn look(login: &Login, wanted: &[String]) -> Result<Source> {
        let mut source = Source::reach(login, 0).await?;
        source.all = wanted.is_empty();
        let mut connection = connect(login, None).await?;
        let known: Vec<SourceDatabase> = sqlx::query_as(include_str!("databases.sql"))
            .bind([SCRATCH, RESTORING])
            .fetch_all(&mut connection)
            .await?;
        connection.close().await?;
        let names: Vec<String> = known.iter().map(|d| d.name.clone()).collect();
        source.databases = known;
        source.databases.retain(|d| source.all || wanted.contains(&d.name));
        source.measure().await?;
        if let Some(none) = wanted.iter().find(|w| !source.databases.iter().any(|d| d.name == **w))
        {
            return Err(BackupError::Refused(format!(
                "there is no database '{none}', expected some of {}",
                names.join(", ")
            )));
        }
        Ok(source)
    }

    /// Reaches the server without a look at its databases, with programs that are at least its major and this one.
    pub async fn reach(login: &Login, tools_major: u32) -> Result<Source> {
        let mut connection = connect(login, None).await?;
        let server: Server =
            sqlx::query_as(include_str!("server.sql")).fetch_one(&mut connection).await?;
        connection.close().await?;
        if !server.sees_all {
            let login = server.login;
            return Err(BackupError::Refused(format!(
                "login '{login}' does not see all rows, its dump would lack some without saying so: ALTER ROLE \
                 \"{login}\" BYPASSRLS; GRANT pg_read_all_data TO \"{login}\"; or use a superuser"
            )));
        }
        let major = u32::try_from(server.number / 10_000).unwrap_or(0);
        let tools = Tools::find(major.max(tools_major)).await?;
        Ok(Source {
            login: login.clone(),
            tools,
            version: server.version,
            cluster: server.cluster,
            superuser: server.superuser,
            scratch: format!("{SCRATCH}{}_", server.database),
            all: false,
            databases: Vec::new(),
        })
    }

    /// Whether a database is gone. What cannot be asked is taken to be there.
    pub(super) async fn has_lost(&self, database: &str) -> bool {
        let ask = async {
            let mut connection = connect(&self.login, None).await?;
            let there = is_there(&mut connection, database).await?;
            connection.close().await?;
            Ok::<_, BackupError>(there)
        };
        ask.await.is_ok_and(|there| !there)
    }

    /// Asks for the databases' sizes. One that went since the look is left out.
    pub async fn measure(&mut self) -> Result<()> {
        let mut connection = connect(&self.login, None).await?;
        let mut measured = Vec::with_capacity(self.databases.len());
        for database in std::mem::take(&mut self.databases) {
            let size = sqlx::query_scalar("SELECT pg_database_size($1::text::name)");
            match size.bind(&database.name).fetch_one(&mut connection).await {
                Ok(bytes) => measured.push(SourceDatabase { bytes, ..database }),
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.databases = measured;
        Ok(connection.close().await?)
    }

    /// Their size on the server's disk together.
    pub fn bytes(&self) -> u64 {
        self.databases.iter().map(|d| u64::try_from(d.bytes).unwrap_or(0)).sum()
    }
}

/// Whether it is said of a database that there is none.
fn is_gone(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code());
    matches!(code.as_deref(), Some("3D000" | "42704"))
}

/// Whether the server has a database of this name.
pub(super) async fn is_there(connection: &mut PgConnection, database: &str) -> Result<bool> {
    let there = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)";
    Ok(sqlx::query_scalar(there).bind(database).fetch_one(connection).await?)
}

/// A connection that may wait without being cut off.
pub(super) async fn connect(login: &Login, database: Option<&str>) -> Result<PgConnection> {
    let mut connection = database::connect_as_login(&login.url_with_password(database)).await?;
    connection.execute(WAIT).await?;
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

    /// The roles without which the dump does not come back.
    pub async fn roles(&mut self) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar(include_str!("roles.sql")).fetch_all(&mut self.connection).await?)
    }

    /// Tables of extensions whose rows the dump carries.
    pub async fn extension_tables(&mut self) -> Result<Vec<TableName>> {
        let tables = sqlx::query_as(include_str!("extension_tables.sql"));
        Ok(tables.fetch_all(&mut self.connection).await?)
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
