//! BATCH-204, 301 and 302 as they are, over 1,000 tenants and 10 million rows of one day; 204
//! beside one bare GROUP BY.

use std::time::Instant;

use anyhow::Context;
use jiff::civil::Date;
use sqlx::AssertSqlSafe;
use yakin_engine::clock::Clock;
use yakin_engine::days::{Days, after, day_of};

use crate::measure::median;
use crate::product::{Product, Ran};
use crate::report::{Report, Row};
use crate::server::Database;
use crate::world::World;

/// A tenant may add so many milliseconds to the bare statement.
const TENANT_MS: f64 = 2.0;

/// The same figures of a call log as the batch's, as one would write them first.
const SAME: &str = "SELECT tenant_id, count(*), count(DISTINCT user_id),
       count(*) FILTER (WHERE response_status BETWEEN 200 AND 399),
       count(*) FILTER (WHERE response_status BETWEEN 400 AND 499),
       count(*) FILTER (WHERE response_status BETWEEN 500 AND 599),
       sum(response_ms), avg(response_ms), max(response_ms),
       percentile_disc(0.95) WITHIN GROUP (ORDER BY response_ms), sum(request_bytes), sum(response_bytes)
  FROM app.api_call_logs WHERE created_at >= '{start}' AND created_at < '{end}' GROUP BY tenant_id";

/// Sums and counts alone: no distinct users, no percentile.
const SUMS: &str =
    "SELECT tenant_id, count(*), count(*) FILTER (WHERE response_status >= 400), sum(response_ms),
       max(response_ms), sum(request_bytes), sum(response_bytes)
  FROM app.api_call_logs WHERE created_at >= '{start}' AND created_at < '{end}' GROUP BY tenant_id";

/// Measures.
pub async fn run(world: &World) -> anyhow::Result<Report> {
    let (tenants, rows) = (world.size(1000, 20), world.size(10_000_000, 20_000));
    let yesterday = after(day_of(Clock::real().now()), -1);
    let database = world.server.migrated("bench_usage").await?;
    fill(&database, yesterday, tenants, rows).await?;
    let product = Product::new(world, &database, None)?;
    let (same, sums) =
        (bare(&database, SAME, yesterday).await?, bare(&database, SUMS, yesterday).await?);
    let date = yesterday.to_string();
    let usage = product.run(&database, "BATCH-204", &["--date", &date]).await?;
    let resources = product.run(&database, "BATCH-301", &["--date", &date]).await?;
    let billing = product.run(&database, "BATCH-302", &[]).await?;
    let invoices: i64 = database.one("SELECT count(*) FROM app.invoices").await?;
    let documents: i64 = database
        .one("SELECT count(*) FROM app.invoices WHERE document_ready_at IS NOT NULL")
        .await?;
    anyhow::ensure!(
        (invoices, documents) == (tenants as i64, tenants as i64),
        "{invoices} invoices and {documents} documents of {tenants} tenants"
    );
    product.close()?;
    world.server.drop(database).await?;

    let mut report = Report::default();
    let same = Row::new("one bare GROUP BY of the same figures", same, "s");
    let sums = Row::new("one bare GROUP BY, sums and counts alone", sums, "s");
    let limit = same.value * 1.2 + tenants as f64 * TENANT_MS / 1000.0;
    let row = ran("BATCH-204", usage, tenants).beside(Some(&same)).beside(Some(&sums));
    let met = usage.seconds <= limit;
    report
        .add(row.aim(format!("≤ 1.2 × the same figures + 2 ms a tenant, here {limit:.1} s"), met));
    report.rows.extend([same, sums]);
    report.add(ran("BATCH-301", resources, tenants));
    report.add(ran("BATCH-302: priced and issued", billing, tenants));
    let what = "BATCH-302: with its documents stored";
    report.add(Row::new(what, billing.with_follow_ups, "s"));
    let whole = tenants as f64 / billing.with_follow_ups;
    report.add(Row::new("BATCH-302: invoices with documents", whole, "a second"));
    report.note(format!(
        "{tenants} tenants, {rows} API rows, a fiftieth as many sessions, 30 days of usage to bill each; CPU per \
         tenant. 302's documents are made while it prices: its first figure holds part of them"
    ));
    Ok(report)
}

fn ran(what: &str, ran: Ran, tenants: usize) -> Row {
    Row::new(what, ran.seconds, "s").cpu(ran.cpu_ms as f64 / tenants as f64)
}

async fn bare(database: &Database, sql: &str, day: Date) -> anyhow::Result<f64> {
    let (start, end) = Days::one(day).instants();
    let sql = sql.replace("{start}", &start.to_string()).replace("{end}", &end.to_string());
    let mut all = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        // the rows are fetched: under a count(*) the planner would leave the figures out
        let groups = sqlx::raw_sql(AssertSqlSafe(sql.clone())).fetch_all(&database.owner).await?;
        anyhow::ensure!(!groups.is_empty(), "the bare statement found no tenant");
        all.push(begun.elapsed().as_secs_f64());
    }
    Ok(median(&all))
}

/// Tenants with a plan, a day's logs, and the month before as BATCH-301 leaves it.
pub(super) async fn fill(
    database: &Database,
    yesterday: Date,
    tenants: usize,
    rows: usize,
) -> anyhow::Result<()> {
    let month = |date: Date| date.first_of_month();
    let this = month(day_of(Clock::real().now()));
    let last = month(after(this, -1));
    let (start, _) = Days::one(yesterday).instants();
    let values = [
        ("{tenants}", tenants.to_string()),
        ("{rows}", rows.to_string()),
        ("{day}", start.to_string()),
        ("{first}", last.to_string()),
        ("{last}", after(this, -1).to_string()),
        ("{this}", this.to_string()),
        ("{day_month}", month(yesterday).to_string()),
    ];
    let mut sql = include_str!("usage.sql").to_owned();
    for (name, value) in &values {
        sql = sql.replace(name, value);
    }
    // the parts one by one, so that an error names its own
    for part in sql.split("-- next\n") {
        database.sql(part).await.with_context(|| "filling".to_owned())?;
    }
    database.quiet().await
}
