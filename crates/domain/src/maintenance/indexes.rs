//! What only the owner may do: indexes rebuilt beside their use, and statistics. No statement here runs inside a
//! transaction, and none waits for a lock for more than five seconds.

use std::time::{Duration, Instant};

use jiff_sqlx::ToSqlx;
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use yakin_adapters::postgres_tools::Login;
use yakin_engine::database;
use yakin_engine::outcome::{Cause, Stop, database_message};
use yakin_engine::run::PlatformRun;

use super::results::week;
use super::retention::Removed;
use super::{Rules, Tally};

/// How long indexes are rebuilt, in all.
const TIME: Duration = Duration::from_secs(90 * 60);
/// Smaller indexes are left alone, in bytes.
const SMALLEST: i64 = 10_000_000;
/// After so many weeks in a row people are told of an index that was skipped.
const WEEKS: i64 = 4;

/// A connection of the owner's.
pub struct Owner(PgConnection);

/// An index that is invalid, or has more empty room than it should.
#[derive(Debug, sqlx::FromRow)]
struct Index {
    name: String,
    valid: bool,
    bytes: i64,
    bloat_percent: Option<i32>,
}

/// What an index came to.
enum Fate {
    Rebuilt(i64),
    Skipped(String),
    NoTime,
}

impl Owner {
    /// Logs in; a login that does not see all statistics is refused, because to it no index would look bloated.
    pub async fn connect(login: &Login) -> Result<Owner, Stop> {
        let connected = database::connect_as_login(&login.url_with_password(None)).await;
        let mut connection = connected
            .map_err(|e| Stop::retry(Cause::Database, format!("database.maintenance_url: {e}")))?;
        connection
            .execute(
                "SET lock_timeout = '5s'; SET statement_timeout = '90min';
                 SET application_name = 'yakin maintenance'",
            )
            .await?;
        let (login, may): (String, bool) =
            sqlx::query_as(include_str!("owner.sql")).fetch_one(&mut connection).await?;
        if !may {
            return Err(Stop::give_up(
                Cause::Data,
                format!(
                    "database.maintenance_url: login '{login}' needs the owner's rights and BYPASSRLS: ALTER ROLE \
                     \"{login}\" BYPASSRLS; GRANT <owner> TO \"{login}\""
                ),
            ));
        }
        Ok(Owner(connection))
    }

    /// The size of the database.
    pub async fn bytes(&mut self) -> Result<i64, Stop> {
        let size = sqlx::query_scalar("SELECT pg_database_size(current_database())");
        Ok(size.fetch_one(&mut self.0).await?)
    }

    /// Indexes, then statistics; in a dry run what would be rebuilt.
    pub async fn care(
        &mut self,
        run: &PlatformRun,
        rules: &Rules,
        tally: &mut Tally,
    ) -> Result<(), Stop> {
        if !run.dry_run() {
            self.clear_left_over(run, tally).await?;
        }
        let found: Vec<Index> = sqlx::query_as(include_str!("bloated.sql"))
            .bind(rules.bloat_percent)
            .bind(SMALLEST)
            .fetch_all(&mut self.0)
            .await?;
        let taken: Vec<String> = run
            .read(async |tx| {
                let of_week = "SELECT index_name FROM app.index_rebuilds WHERE week = $1 ORDER BY 1 LIMIT 10000";
                let week = week(run.period().start).to_sqlx();
                Ok(sqlx::query_scalar(of_week).bind(week).fetch_all(tx).await?)
            })
            .await?;
        let found: Vec<Index> = found.into_iter().filter(|i| !taken.contains(&i.name)).collect();
        tally.was("indexes_bloated", found.len());
        if run.dry_run() {
            for index in &found {
                run.info(
                    "would rebuild an index",
                    json!({"index": index.name, "bytes": index.bytes}),
                );
            }
            return Ok(());
        }
        self.rebuild_all(run, &found, tally).await?;
        tell_of_skipped(run, tally).await?;
        let stale: Vec<String> =
            sqlx::query_scalar(include_str!("stale.sql")).fetch_all(&mut self.0).await?;
        tally.add("tables_analysed", self.analyse(&stale).await?);
        Ok(())
    }

    /// What rebuilds that were cut off left behind. One that is under way just now holds its lock: then it stays.
    async fn clear_left_over(&mut self, run: &PlatformRun, tally: &mut Tally) -> Result<(), Stop> {
        let left: Vec<String> =
            sqlx::query_scalar(include_str!("left_over.sql")).fetch_all(&mut self.0).await?;
        for name in left {
            let sql = AssertSqlSafe(format!("DROP INDEX CONCURRENTLY IF EXISTS {name}"));
            match self.0.execute(sql).await {
                Ok(_) => tally.add("left_over_dropped", 1),
                Err(e) if is_lock_timeout(&e) => {
                    tally.add("left_over_locked", 1);
                    run.warn("a left-over index is in use and stays", json!({"index": name}));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn rebuild_all(
        &mut self,
        run: &PlatformRun,
        found: &[Index],
        tally: &mut Tally,
    ) -> Result<(), Stop> {
        let (began, mut freed, mut rebuilt) = (Instant::now(), 0, 0);
        for (n, index) in found.iter().enumerate() {
            run.progress(n.try_into().unwrap_or(0), found.len().try_into().unwrap_or(0)).await;
            let fate = match TIME.checked_sub(began.elapsed()) {
                Some(left) if left > Duration::from_secs(1) => self.rebuild(index, left).await?,
                _ => Fate::NoTime,
            };
            match &fate {
                Fate::Rebuilt(after) => {
                    rebuilt += i64::from(index.valid);
                    freed += index.bytes - after;
                    tally.add("indexes_rebuilt", 1);
                    tally.add("index_bytes_before", index.bytes);
                    tally.add("index_bytes_after", *after);
                }
                Fate::Skipped(reason) => {
                    tally.add("indexes_skipped", 1);
                    run.warn(
                        "an index waits for next week",
                        json!({"index": index.name, "reason": reason}),
                    );
                    self.clear_left_over(run, tally).await?;
                }
                Fate::NoTime => {
                    tally.add("indexes_left", found.len() - n);
                    run.warn("time for indexes is over", json!({"left": found.len() - n}));
                    self.clear_left_over(run, tally).await?;
                    break;
                }
            }
            keep(run, index, &fate).await?;
        }
        if rebuilt > 0 && freed <= 0 {
            let text = format!(
                "{rebuilt} indexes that looked bloated were rebuilt, and nothing was freed"
            );
            tally.tell("indexes", text, false);
        }
        Ok(())
    }

    async fn rebuild(&mut self, index: &Index, left: Duration) -> Result<Fate, Stop> {
        let limit = AssertSqlSafe(format!("SET statement_timeout = {}", left.as_millis()));
        self.0.execute(limit).await?;
        let sql = AssertSqlSafe(format!("REINDEX INDEX CONCURRENTLY {}", index.name));
        let done = self.0.execute(sql).await;
        self.0.execute("SET statement_timeout = '90min'").await?;
        match done {
            Ok(_) => {}
            Err(e) if is_lock_timeout(&e) => {
                return Ok(Fate::Skipped("locked for over 5 s".into()));
            }
            Err(e) if code(&e).as_deref() == Some("57014") => return Ok(Fate::NoTime),
            // gone meanwhile, or its rows contradict it: nothing that the other indexes should wait for
            Err(e) if code(&e).is_some_and(|c| ["42", "23", "22"].contains(&&c[..2])) => {
                return Ok(Fate::Skipped(database_message(&e)));
            }
            Err(error) => return Err(error.into()),
        }
        let size = sqlx::query_scalar("SELECT pg_relation_size($1::regclass)").bind(&index.name);
        Ok(Fate::Rebuilt(size.fetch_one(&mut self.0).await?))
    }

    /// Takes statistics; says of how many tables.
    async fn analyse(&mut self, tables: &[String]) -> Result<i64, Stop> {
        let mut analysed = 0;
        for table in tables {
            match self.0.execute(AssertSqlSafe(format!("ANALYZE {table}"))).await {
                Ok(_) => analysed += 1,
                // its own vacuum is at work, or it is gone
                Err(e) if is_lock_timeout(&e) || code(&e).as_deref() == Some("42P01") => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(analysed)
    }

    /// Takes statistics again of tables that lost a twentieth of their rows or more.
    pub async fn analyse_after(&mut self, removed: &Removed) -> Result<i64, Stop> {
        let (names, rows): (Vec<&str>, Vec<i64>) =
            removed.iter().filter(|(_, rows)| *rows > 0).copied().unzip();
        let shrunk: Vec<String> = sqlx::query_scalar(include_str!("shrunk.sql"))
            .bind(names)
            .bind(rows)
            .fetch_all(&mut self.0)
            .await?;
        self.analyse(&shrunk).await
    }
}

async fn keep(run: &PlatformRun, index: &Index, fate: &Fate) -> Result<(), Stop> {
    let (after, reason) = match fate {
        Fate::Rebuilt(after) => (Some(*after), None),
        Fate::Skipped(reason) => (None, Some(reason.as_str())),
        Fate::NoTime => return Ok(()),
    };
    run.step(async |tx| {
        sqlx::query(include_str!("keep_rebuild.sql"))
            .bind(&index.name)
            .bind(week(run.period().start).to_sqlx())
            .bind(index.bloat_percent)
            .bind(index.bytes)
            .bind(after)
            .bind(reason)
            .bind(run.id())
            .bind(run.at().to_sqlx())
            .execute(tx)
            .await?;
        Ok(())
    })
    .await
}

async fn tell_of_skipped(run: &PlatformRun, tally: &mut Tally) -> Result<(), Stop> {
    let week = week(run.period().start).to_sqlx();
    let skipped: Vec<String> = run
        .read(async |tx| {
            let sql = sqlx::query_scalar(include_str!("skipped_weeks.sql")).bind(week).bind(WEEKS);
            Ok(sql.fetch_all(tx).await?)
        })
        .await?;
    if !skipped.is_empty() {
        let text = format!("skipped {WEEKS} weeks running: {}", skipped.join(", "));
        tally.tell("skipped indexes", text, false);
    }
    Ok(())
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|e| e.code()).map(|code| code.into_owned())
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some("55P03")
}
