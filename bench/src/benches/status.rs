//! DAILY_001 as it is, over 200,000 engineers; beside one bare UPDATE of the same states, and beside the loop that the
//! skillsheet specification shows, an update and a line of history for each row.

use std::time::Instant;

use anyhow::Context;
use jiff::civil::Date;
use sqlx::Row as _;
use yakin_engine::clock::Clock;
use yakin_engine::days::day_of;

use crate::measure::median;
use crate::product::Product;
use crate::report::{Report, Row};
use crate::server::Database;
use crate::world::World;

const TENANTS: usize = 100;
/// The loop is measured on one engineer of so many, and its time taken times that.
const LOOP_SHARE: usize = 20;

/// The states as one would write them first: no chains, no holds, no locks, no history.
const BARE: &str =
    "UPDATE app.engineers e SET status = j.judged
  FROM (SELECT e.tenant_id, e.engineer_id,
               CASE WHEN max(a.planned_end_on) IS NULL THEN 'waiting'
                    WHEN max(a.planned_end_on) <= date '{day}' + 90 THEN 'waiting_soon' ELSE 'working' END AS judged
          FROM app.engineers e
          LEFT JOIN app.assignments a ON (a.tenant_id, a.engineer_id) = (e.tenant_id, e.engineer_id)
               AND date '{day}' BETWEEN a.starts_on AND a.planned_end_on
         GROUP BY 1, 2) AS j
 WHERE (e.tenant_id, e.engineer_id) = (j.tenant_id, j.engineer_id) AND e.status <> j.judged";

/// Measures.
pub async fn run(world: &World) -> anyhow::Result<Report> {
    let engineers = world.size(200_000, 2_000);
    let today = day_of(Clock::real().now());
    let database = world.server.migrated("bench_status").await?;
    fill(&database, today, engineers).await?;
    let bare = bare(&database, today).await?;
    let (looped, changed) = row_by_row(&database, today).await?;
    let looped = looped * LOOP_SHARE as f64;
    anyhow::ensure!(changed > 0, "the loop changed nobody");
    let product = Product::new(world, &database, None)?;
    // a fifth of each tenant's engineers: below what would be held
    let ran = product.run(&database, "DAILY_001", &[]).await?;
    let told: i64 = database.one("SELECT count(*) FROM app.engineer_status_history").await?;
    anyhow::ensure!(
        told == engineers as i64 / 5,
        "{told} lines of history of {engineers} engineers"
    );
    product.close()?;
    world.server.drop(database).await?;

    let mut report = Report::default();
    let bare = Row::new("one bare UPDATE of the same states", bare, "s");
    let looped = Row::new("row by row, as the specification shows it", looped, "s");
    let row = Row::new("DAILY_001", ran.seconds, "s").cpu(ran.cpu_ms as f64 / TENANTS as f64);
    let row = row.beside(Some(&bare)).beside(Some(&looped));
    report.add(row.aim("< 30 s (the sheet's figure is for 50,000)", ran.seconds < 30.0));
    report.rows.extend([bare, looped]);
    report.note(format!(
        "{engineers} engineers of {TENANTS} tenants, a fifth of whom change; CPU per tenant. DAILY_001 writes history, \
         a notice to sales, ledger and completion with each tenant. The loop was measured on one engineer of \
         {LOOP_SHARE}, with one connection over a socket and a commit for each change, as the specification has it"
    ));
    Ok(report)
}

async fn fill(database: &Database, day: Date, engineers: usize) -> anyhow::Result<()> {
    let sql = include_str!("status.sql")
        .replace("{engineers}", &engineers.to_string())
        .replace("{tenants}", &TENANTS.to_string())
        .replace("{day}", &day.to_string());
    database.sql(sql).await?;
    database.quiet().await
}

/// Three times, each rolled back.
async fn bare(database: &Database, day: Date) -> anyhow::Result<f64> {
    let sql = BARE.replace("{day}", &day.to_string());
    let mut all = Vec::new();
    for _ in 0..3 {
        let mut tx = database.owner.begin().await?;
        let begun = Instant::now();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.clone())).execute(&mut *tx).await?;
        all.push(begun.elapsed().as_secs_f64());
        tx.rollback().await?;
    }
    // what was rolled back is not measured with the others
    database.quiet().await?;
    Ok(median(&all))
}

/// Reads those who work with an end in sight, and writes each of them alone; returns its seconds and the changes, which
/// it takes back.
async fn row_by_row(database: &Database, day: Date) -> anyhow::Result<(f64, usize)> {
    let begun = Instant::now();
    let day_text = day.to_string();
    let found = sqlx::query(
        "SELECT e.tenant_id, e.engineer_id, a.planned_end_on - $1::date AS days
           FROM app.engineers e JOIN app.assignments a USING (tenant_id, engineer_id)
          WHERE e.status = 'working' AND a.planned_end_on <= $1::date + 90 AND e.tenant_id % $2 = 0",
    )
    .bind(&day_text)
    .bind(LOOP_SHARE as i64)
    .fetch_all(&database.owner)
    .await
    .context("reading whom the loop is for")?;
    let mut connection = database.owner.acquire().await?;
    for row in &found {
        let (tenant, engineer, days): (i64, i64, i32) = (row.get(0), row.get(1), row.get(2));
        let status = if days <= 0 { "waiting" } else { "waiting_soon" };
        sqlx::query(
            "UPDATE app.engineers SET status = $3 WHERE tenant_id = $1 AND engineer_id = $2",
        )
        .bind(tenant)
        .bind(engineer)
        .bind(status)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "INSERT INTO app.engineer_status_history (tenant_id, engineer_id, status_on, from_status, to_status, reason,
                                                      run_id, changed_at)
             VALUES ($1, $2, $3::date, 'working', $4, CASE $4 WHEN 'waiting' THEN 'no_assignment' ELSE 'ends_soon' END,
                     0, clock_timestamp())",
        )
        .bind(tenant)
        .bind(engineer)
        .bind(&day_text)
        .bind(status)
        .execute(&mut *connection)
        .await?;
    }
    let took = begun.elapsed().as_secs_f64();
    drop(connection);
    database
        .sql(
            "TRUNCATE app.engineer_status_history;
             UPDATE app.engineers SET status = 'working' WHERE status <> 'working'",
        )
        .await?;
    database.quiet().await?;
    Ok((took, found.len()))
}
