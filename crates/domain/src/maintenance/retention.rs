//! Rows past their keep: by the one table of policies, in chunks of a thousand, whole months of logs at once. What a law
//! keeps (invoices, delivery keys, the audit) has no policy and is never touched.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use jiff_sqlx::ToSqlx;
use serde_json::json;
use sqlx::AssertSqlSafe;
use yakin_engine::days::{Days, day_of, midnight};
use yakin_engine::outcome::Stop;
use yakin_engine::run::PlatformRun;
use yakin_engine::tx::Tx;

use super::Tally;
use crate::tokens::{self, Changed, Passes, Progress};
use crate::usage::LOGS;

/// Rows a transaction removes.
const CHUNK: i64 = 1_000;
/// The most rows a plan counts of a class.
const COUNTED: i64 = 100_000;

/// Tables with the column of their age, and whose rows an index finds: each tenant's, or the service's own.
const ROWS: [(&str, &str, Whose); 4] = [
    ("session_stat_hourly", "hour", Whose::Tenants),
    ("token_counts_hourly", "hour", Whose::Tenants),
    ("token_revocations", "removed_at", Whose::Tenants),
    ("availability_probes", "probed_at", Whose::Service),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Tenants,
    Service,
}

/// How long a class of data is kept.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Policy {
    pub data_class: String,
    pub archive_after_days: Option<i32>,
    pub delete_after_days: Option<i32>,
}

/// All policies.
pub async fn policies(tx: &mut Tx) -> Result<Vec<Policy>, sqlx::Error> {
    sqlx::query_as(
        "SELECT data_class, archive_after_days, delete_after_days FROM app.retention_policies
          ORDER BY data_class LIMIT 1000",
    )
    .fetch_all(tx)
    .await
}

/// Rows removed by table, for statistics to be taken anew.
pub type Removed = Vec<(&'static str, i64)>;

/// Removes what is past its keep; in a dry run counts it.
pub async fn remove(run: &PlatformRun, tally: &mut Tally) -> Result<Removed, Stop> {
    let policies = run.read(async |tx| Ok(policies(tx).await?)).await?;
    let past = |class: &str| {
        let policy = policies.iter().find(|p| p.data_class == class)?;
        run.now().checked_sub((24 * i64::from(policy.delete_after_days?)).hours()).ok()
    };
    let mut removed = Removed::new();
    for log in LOGS {
        if let Some(before) = past(log) {
            removed.push((log, remove_log(run, log, before, tally).await?));
        }
    }
    for (table, column, whose) in ROWS {
        if let Some(before) = past(table) {
            let rows = remove_rows(run, (table, column), whose, before, tally).await?;
            removed.push((table, rows));
        }
    }
    if let Some(before) = past("quiet_runs") {
        remove_quiet_runs(run, before, tally).await?;
    }
    let walked = tokens::walk(run, &[()], &Ended(run.now()), CHUNK).await?;
    // the job's checkpoint counts on from an earlier attempt
    tally.is("sessions_removed", walked.rows());
    removed.push(("tokens", walked.rows()));
    Ok(removed)
}

/// Sessions that have ended, by the rule BATCH-506 removes them by. Rows that it holds are left to it.
struct Ended(Timestamp);

impl Passes for Ended {
    type Pass = ();

    async fn chunk(
        &self,
        (): (),
        tx: &mut Tx,
        from: &Progress,
        size: i64,
    ) -> Result<Vec<Changed>, sqlx::Error> {
        tokens::remove_sessions(tx, self.0, from, size).await
    }
}

/// The ledger's runs that came to nothing; what removes them also says which those are.
async fn remove_quiet_runs(
    run: &PlatformRun,
    before: Timestamp,
    tally: &mut Tally,
) -> Result<(), Stop> {
    if run.dry_run() {
        tally.add("quiet_runs_past_keep", run.remove_quiet_runs(before, COUNTED).await?);
        return Ok(());
    }
    loop {
        let runs = run.remove_quiet_runs(before, CHUNK).await?;
        tally.add("quiet_runs_removed", runs);
        if runs < CHUNK {
            return Ok(());
        }
    }
}

async fn remove_log(
    run: &PlatformRun,
    log: &'static str,
    before: Timestamp,
    tally: &mut Tally,
) -> Result<i64, Stop> {
    let newest = day_of(before).first_of_month();
    let months = run.read(async |tx| Ok(months(tx, log, newest).await?)).await?;
    let mut removed = 0;
    for (month, rows) in months {
        let days = Days::month_of(month);
        if run.dry_run() {
            tally.add("rows_past_keep", counted(run, log, &days, before).await?);
        } else if midnight(days.end) <= before {
            let now = run.now().to_sqlx();
            let gone: bool = run
                .step(async |tx| {
                    Ok(sqlx::query_scalar("SELECT app.drop_expired_month($1, $2, $3)")
                        .bind(log)
                        .bind(month.to_sqlx())
                        .bind(now)
                        .fetch_one(tx)
                        .await?)
                })
                .await?;
            tally.add(if gone { "months_dropped" } else { "months_in_use" }, 1);
            removed += if gone { rows } else { 0 };
        } else {
            let rows = remove_of_month(run, log, &days, before).await?;
            tally.add("rows_removed", rows);
            removed += rows;
        }
    }
    Ok(removed)
}

/// The months a log has, up to the one that the limit falls in, with the rows that statistics tell of.
async fn months(tx: &mut Tx, log: &str, newest: Date) -> Result<Vec<(Date, i64)>, sqlx::Error> {
    let rows: Vec<(jiff_sqlx::Date, i64)> = sqlx::query_as(include_str!("log_months.sql"))
        .bind(log)
        .bind(newest.to_sqlx())
        .fetch_all(tx)
        .await?;
    Ok(rows.into_iter().map(|(month, rows)| (month.to_jiff(), rows)).collect())
}

async fn counted(
    run: &PlatformRun,
    log: &str,
    days: &Days,
    before: Timestamp,
) -> Result<i64, Stop> {
    let (begin, _) = days.instants();
    let sql = format!(
        "SELECT count(*) FROM (SELECT FROM app.{log} WHERE created_at >= $1 AND created_at < $2 LIMIT $3) AS old"
    );
    let end = days.instants().1.min(before);
    run.read(async |tx| {
        let rows = sqlx::query_scalar(AssertSqlSafe(sql.as_str()));
        Ok(rows.bind(begin.to_sqlx()).bind(end.to_sqlx()).bind(COUNTED).fetch_one(tx).await?)
    })
    .await
}

/// Goes through one month's partition in the order its rows lie in, until a pass finds nothing more.
async fn remove_of_month(
    run: &PlatformRun,
    log: &str,
    days: &Days,
    before: Timestamp,
) -> Result<i64, Stop> {
    let sql = include_str!("remove_log_chunk.sql").replace("{log}", log);
    let (begin, mut removed, mut from, mut of_pass) = (days.instants().0, 0, FIRST.to_owned(), 0);
    loop {
        let (rows, last): (i64, Option<String>) = run
            .step(async |tx| {
                Ok(sqlx::query_as(AssertSqlSafe(sql.as_str()))
                    .bind(begin.to_sqlx())
                    .bind(before.to_sqlx())
                    .bind(&from)
                    .bind(CHUNK)
                    .fetch_one(tx)
                    .await?)
            })
            .await?;
        removed += rows;
        of_pass += rows;
        match last.filter(|_| rows == CHUNK) {
            Some(last) => from = last,
            None if of_pass == 0 => return Ok(removed),
            None => (from, of_pass) = (FIRST.to_owned(), 0),
        }
        run.progress(removed, removed).await;
    }
}

/// Where a table's rows begin.
const FIRST: &str = "(0,0)";

/// Tenant by tenant, where they have the rows: that is how the indexes find old ones.
async fn remove_rows(
    run: &PlatformRun,
    (table, column): (&str, &str),
    whose: Whose,
    before: Timestamp,
    tally: &mut Tally,
) -> Result<i64, Stop> {
    let tenant = if whose == Whose::Tenants { "tenant_id" } else { "0::bigint" };
    let named = |sql: &str| {
        let sql = sql.replace("{table}", table).replace("{column}", column);
        sql.replace("{tenant}", tenant)
    };
    let tenants: Vec<i64> = run
        .read(async |tx| {
            let all = "SELECT tenant_id FROM app.tenants WHERE $1
                        UNION ALL SELECT 0::bigint WHERE NOT $1 ORDER BY tenant_id";
            let tenants = sqlx::query_scalar(all).bind(whose == Whose::Tenants);
            Ok(tenants.fetch_all(tx).await?)
        })
        .await?;
    let (delete, mut removed) = (named(include_str!("remove_rows_chunk.sql")), 0);
    for tenant in tenants {
        if run.dry_run() {
            let sql = named(
                "SELECT count(*) FROM (SELECT FROM app.{table}
                  WHERE {tenant} = $1 AND {column} < $2 LIMIT $3) AS old",
            );
            let rows: i64 = run
                .read(async |tx| {
                    let rows = sqlx::query_scalar(AssertSqlSafe(sql.as_str()));
                    Ok(rows.bind(tenant).bind(before.to_sqlx()).bind(COUNTED).fetch_one(tx).await?)
                })
                .await?;
            tally.add("rows_past_keep", rows);
            continue;
        }
        loop {
            let rows = run
                .step(async |tx| {
                    let chunk = sqlx::query(AssertSqlSafe(delete.as_str()));
                    let chunk = chunk.bind(tenant).bind(before.to_sqlx()).bind(CHUNK);
                    Ok(chunk.execute(tx).await?.rows_affected())
                })
                .await?;
            removed += i64::try_from(rows).unwrap_or(i64::MAX);
            if rows < CHUNK.unsigned_abs() {
                break;
            }
        }
    }
    if removed > 0 {
        run.info("rows past their keep removed", json!({"table": table, "rows": removed}));
    }
    tally.add("rows_removed", removed);
    Ok(removed)
}
