//! Restores a set's database into a new one, and counts: a backup is proven by its rows being back.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use yakin_adapters::archive::Opener;

use super::source::{Source, connect, count};
use super::verify::{read_through, same};
use super::{BackupError, DatabaseDump, Manifest, Result, TableRows};

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    pub tables: usize,
    pub rows: i64,
}

/// Restores one dump into the database `into`, which must not be there, and compares all row counts. On failure the new
/// database is dropped again.
pub async fn restore(
    source: &Source,
    opener: &Arc<Opener>,
    set: &Path,
    dump: &DatabaseDump,
    into: &str,
) -> Result<Restored> {
    let mut server = connect(&source.login, None).await?;
    let there: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(into)
            .fetch_one(&mut server)
            .await?;
    if there {
        return Err(BackupError::Refused(format!(
            "database '{into}' is there already, and a restore never goes over one: name a new one, then rename it"
        )));
    }
    create(&mut server, dump, into).await?;
    let restored = fill(source, opener, set, dump, into).await;
    if restored.is_err() {
        drop_database(&mut server, into).await?;
    }
    server.close().await?;
    restored
}

/// Restores every dump of a set into scratch databases, one after the other, each dropped again.
pub async fn restore_test(
    source: &Source,
    opener: &Arc<Opener>,
    set: &Path,
    manifest: &Manifest,
) -> Result<Restored> {
    let mut server = connect(&source.login, None).await?;
    drop_scratch(&mut server, &source.scratch).await?;
    let mut sum = Restored { tables: 0, rows: 0 };
    for (n, dump) in manifest.databases.iter().enumerate() {
        let into = format!("{}{}", source.scratch, n + 1);
        let restored = restore(source, opener, set, dump, &into).await?;
        drop_database(&mut server, &into).await?;
        sum = Restored { tables: sum.tables + restored.tables, rows: sum.rows + restored.rows };
    }
    server.close().await?;
    Ok(sum)
}

async fn create(server: &mut PgConnection, dump: &DatabaseDump, into: &str) -> Result<()> {
    let text = |value: &str| format!("'{}'", value.replace('\'', "''"));
    let sql = format!(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}",
        quoted(into),
        text(&dump.encoding),
        text(&dump.collate),
        text(&dump.ctype)
    );
    server.execute(AssertSqlSafe(sql)).await.map_err(|error| {
        let code = error.as_database_error().and_then(|e| e.code()).map(|c| c.into_owned());
        match code.as_deref() {
            Some("42501") => BackupError::Refused(
                "the backup's login may not make databases: ALTER ROLE … CREATEDB, or use a superuser"
                    .to_owned(),
            ),
            _ => BackupError::Sql(error),
        }
    })?;
    Ok(())
}

async fn fill(
    source: &Source,
    opener: &Arc<Opener>,
    set: &Path,
    dump: &DatabaseDump,
    into: &str,
) -> Result<Restored> {
    let (to, working) = source.tools.restore(&source.login, into, source.superuser)?;
    let path = set.join(&dump.file);
    let reading = read_through(opener, &path, to);
    let (sealed, restored) = tokio::join!(reading, working.ended());
    let sealed = sealed?;
    restored?;
    same(&dump.file, &dump.sealed, &sealed)?;
    let mut there = connect(&source.login, Some(into)).await?;
    let counted = count(&mut there).await?;
    there.close().await?;
    compare(dump, counted)
}

fn compare(dump: &DatabaseDump, counted: Vec<TableRows>) -> Result<Restored> {
    let by_name = |tables: &[TableRows]| -> BTreeMap<String, i64> {
        tables.iter().map(|t| (format!("{}.{}", t.schema, t.name), t.rows)).collect()
    };
    let (expected, found) = (by_name(&dump.tables), by_name(&counted));
    let tables = expected.keys().chain(found.keys());
    let differs = tables.clone().find(|t| expected.get(*t) != found.get(*t));
    if let Some(table) = differs {
        let text =
            |rows: Option<&i64>| rows.map_or("no such table".to_owned(), |r| format!("{r} rows"));
        return Err(BackupError::Unproven(format!(
            "{} of {}: {} came back, the manifest says {}",
            table,
            dump.name,
            text(found.get(table)),
            text(expected.get(table))
        )));
    }
    Ok(Restored { tables: found.len(), rows: found.values().sum() })
}

/// Scratch databases of tests that did not come to their end.
async fn drop_scratch(server: &mut PgConnection, scratch: &str) -> Result<()> {
    let left: Vec<String> =
        sqlx::query_scalar("SELECT datname::text FROM pg_database WHERE starts_with(datname, $1) ORDER BY 1 LIMIT 1000")
            .bind(scratch)
            .fetch_all(&mut *server)
            .await?;
    for name in left {
        drop_database(server, &name).await?;
    }
    Ok(())
}

async fn drop_database(server: &mut PgConnection, name: &str) -> Result<()> {
    let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name));
    server.execute(AssertSqlSafe(sql)).await?;
    Ok(())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
