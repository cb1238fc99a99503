//! Restores a set's database into a new one, and counts: a backup is proven by its rows being back.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use yakin_adapters::archive::Opener;
use yakin_adapters::postgres_tools::Login;

use super::source::{RESTORING, Source, connect, count, is_there};
use super::verify::{read_through, same};
use super::{BackupError, DatabaseDump, Manifest, Result, TableRows};

/// The longest name of a database, in bytes.
const LONGEST_NAME: usize = 63;

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    pub tables: usize,
    pub rows: i64,
}

/// Restores one dump into the database `into`, which must not be there, and compares all row counts. Until they agree the
/// new database has another name, [`unfinished`] tells it; on failure, and where `stop` comes, it is dropped again.
pub async fn restore(
    source: &Source,
    opener: &Arc<Opener>,
    set: &Path,
    dump: &DatabaseDump,
    into: &str,
    stop: impl Future<Output = ()>,
) -> Result<Restored> {
    let half = half_name(into);
    let mut guard = connect(&source.login, None).await?;
    // for as long as this connection lasts
    let alone = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 0))");
    if !alone.bind(&half).fetch_one(&mut guard).await? {
        return Err(BackupError::Refused(format!("database '{into}' is being restored just now")));
    }
    if is_there(&mut guard, into).await? {
        return Err(taken(into));
    }
    // of one that was killed
    drop_database(&mut guard, &half).await?;
    let restored = make(source, opener, (set, dump), &half, stop).await?;
    if let Err(error) = rename(source, &half, into).await {
        drop_again(source, &half).await;
        return Err(error);
    }
    Ok(restored)
}

fn taken(into: &str) -> BackupError {
    BackupError::Refused(format!(
        "database '{into}' is there already, and a restore never goes over one: name a new one, then rename it"
    ))
}

/// What the database is called until it is whole.
fn half_name(into: &str) -> String {
    let room = LONGEST_NAME - RESTORING.len();
    let cut = (0..=into.len().min(room)).rev().find(|at| into.is_char_boundary(*at)).unwrap_or(0);
    format!("{RESTORING}{}", &into[..cut])
}

/// The databases of restores that go on, or did not come to their end.
pub async fn unfinished(login: &Login) -> Result<Vec<String>> {
    let mut server = connect(login, None).await?;
    let left = beginning_with(&mut server, RESTORING).await?;
    server.close().await?;
    Ok(left)
}

/// Restores every dump of a set into scratch databases, one after the other, each dropped again.
pub async fn restore_test(
    source: &Source,
    opener: &Arc<Opener>,
    set: &Path,
    manifest: &Manifest,
) -> Result<Restored> {
    drop_scratch(source).await?;
    let mut sum = Restored { tables: 0, rows: 0 };
    for (n, dump) in manifest.databases.iter().enumerate() {
        let into = format!("{}{}", source.scratch, n + 1);
        let restored = make(source, opener, (set, dump), &into, std::future::pending()).await?;
        drop_on(source, &into).await?;
        sum = Restored { tables: sum.tables + restored.tables, rows: sum.rows + restored.rows };
    }
    Ok(sum)
}

/// Makes a database of a dump; what does not come to its end is dropped again.
async fn make(
    source: &Source,
    opener: &Arc<Opener>,
    (set, dump): (&Path, &DatabaseDump),
    name: &str,
    stop: impl Future<Output = ()>,
) -> Result<Restored> {
    let mut server = connect(&source.login, None).await?;
    create(&mut server, dump, name).await?;
    // filling takes hours, in which a connection that waits may be lost
    server.close().await?;
    let filled = tokio::select! {
        filled = fill(source, opener, set, dump, name) => filled,
        () = stop => Err(BackupError::Interrupted),
    };
    if filled.is_err() {
        drop_again(source, name).await;
    }
    filled
}

async fn rename(source: &Source, from: &str, to: &str) -> Result<()> {
    let mut server = connect(&source.login, None).await?;
    let sql = format!("ALTER DATABASE {} RENAME TO {}", quoted(from), quoted(to));
    server.execute(AssertSqlSafe(sql)).await.map_err(|error| match code(&error).as_deref() {
        Some("42P04") => taken(to),
        _ => BackupError::Sql(error),
    })?;
    Ok(server.close().await?)
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
    server.execute(AssertSqlSafe(sql)).await.map_err(|error| match code(&error).as_deref() {
        Some("42501") => BackupError::Refused(
            "the backup's login may not make databases: ALTER ROLE … CREATEDB, or use a superuser"
                .to_owned(),
        ),
        _ => BackupError::Sql(error),
    })?;
    Ok(())
}

fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
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
async fn drop_scratch(source: &Source) -> Result<()> {
    let mut server = connect(&source.login, None).await?;
    for name in beginning_with(&mut server, &source.scratch).await? {
        drop_database(&mut server, &name).await?;
    }
    Ok(server.close().await?)
}

async fn beginning_with(server: &mut PgConnection, prefix: &str) -> Result<Vec<String>> {
    let names = sqlx::query_scalar(
        "SELECT datname::text FROM pg_database WHERE starts_with(datname, $1) ORDER BY 1 LIMIT 1000",
    );
    Ok(names.bind(prefix).fetch_all(server).await?)
}

/// After a failure, which is what people should read first; what stays although it should go is told beside it, and by
/// its name.
async fn drop_again(source: &Source, name: &str) {
    if let Err(error) = drop_on(source, name).await {
        tracing::warn!(%error, database = name, "an unfinished restore's database could not be dropped");
    }
}

async fn drop_on(source: &Source, name: &str) -> Result<()> {
    let mut server = connect(&source.login, None).await?;
    drop_database(&mut server, name).await?;
    Ok(server.close().await?)
}

async fn drop_database(server: &mut PgConnection, name: &str) -> Result<()> {
    let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name));
    server.execute(AssertSqlSafe(sql)).await?;
    Ok(())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_what_is_not_whole_fits_and_is_cut_between_letters() {
        assert_eq!(half_name("yakin"), "yakin_restoring_yakin");
        let long = half_name(&"復".repeat(21));
        assert_eq!(long, format!("yakin_restoring_{}", "復".repeat(15)));
    }
}
