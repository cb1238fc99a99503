//! What a night's report says: timetable, what each batch did, invoices, and what waits for a person.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::postgres::PgPool;
use yakin_domain::sample::SampleReport;
use yakin_engine::look::{self, AlertRow, FiringRow};
use yakin_engine::tx::{Role, Tx};

use super::waiting::{Held, Waiting, held_invoices, waiting};
use super::watch::print_timetable;
use crate::output::{grouped, line, paint, table};

/// A night, told.
#[derive(Serialize)]
pub struct Summary {
    timetable: Vec<FiringRow>,
    batches: Vec<BatchNight>,
    invoices: Vec<InvoiceSum>,
    held: Vec<Held>,
    waiting: Vec<Waiting>,
    alerts: Vec<AlertRow>,
    purposes: Vec<String>,
}

#[derive(Serialize, sqlx::FromRow)]
struct BatchNight {
    batch_id: String,
    title: String,
    runs: i64,
    done: i64,
    blocked: i64,
    failed: i64,
    rows: i64,
    yen: Option<rust_decimal::Decimal>,
    counts: serde_json::Value,
}

#[derive(Serialize, sqlx::FromRow)]
struct InvoiceSum {
    /// Who issued them.
    batch_id: String,
    currency: String,
    invoices: i64,
    subtotal: rust_decimal::Decimal,
    tax: rust_decimal::Decimal,
    total: rust_decimal::Decimal,
}

/// Gathers the night between two instants of schedule time.
pub async fn summary(
    pool: &PgPool,
    begin: Timestamp,
    end: Timestamp,
    sample: &SampleReport,
) -> anyhow::Result<Summary> {
    use jiff_sqlx::ToSqlx;
    let batches = sqlx::query_as(include_str!("night_batches.sql"))
        .bind(begin.to_sqlx())
        .fetch_all(pool)
        .await?;
    let mut tx = Tx::begin(pool, Role::Platform, "", true).await?;
    let (runs, issuers): (Vec<i64>, Vec<String>) =
        billing_runs(pool, begin).await?.into_iter().unzip();
    let invoices = sqlx::query_as(
        "SELECT batch_id, currency, count(*) AS invoices, sum(subtotal) AS subtotal, sum(tax) AS tax,
                sum(total) AS total
           FROM app.invoices JOIN unnest($1::bigint[], $2::text[]) AS run (run_id, batch_id) USING (run_id)
          GROUP BY batch_id, currency ORDER BY batch_id, currency",
    )
    .bind(runs)
    .bind(issuers)
    .fetch_all(&mut tx)
    .await?;
    tx.commit().await?;
    let mut purposes = Vec::new();
    if let Some((code, day)) = &sample.lacks_a_day {
        purposes.push(format!(
            "{code} lacks {day}: a row of its logs is impossible, and nothing is guessed"
        ));
    }
    if let Some(code) = &sample.fails {
        purposes.push(format!("{code} cannot be billed: its plan is in no price list"));
    }
    if let Some(code) = &sample.many_change {
        purposes.push(format!(
            "{code} is held: most of its engineers would change their state at once, a person must confirm it"
        ));
    }
    // the last minute included
    let timetable =
        look::timetable(pool, begin, end.checked_add(jiff::SignedDuration::from_mins(1))?).await?;
    Ok(Summary {
        timetable,
        batches,
        invoices,
        held: held_invoices(pool).await?,
        waiting: waiting(pool, begin).await?,
        alerts: look::alerts(pool, false).await?,
        purposes,
    })
}

/// The night's runs that issue invoices, with their batches.
async fn billing_runs(pool: &PgPool, begin: Timestamp) -> anyhow::Result<Vec<(i64, String)>> {
    use jiff_sqlx::ToSqlx;
    Ok(sqlx::query_as(
        "SELECT id, batch_id FROM yakin.runs
          WHERE batch_id IN ('BATCH-302', 'MONTHLY_001') AND run_at >= $1 ORDER BY id",
    )
    .bind(begin.to_sqlx())
    .fetch_all(pool)
    .await?)
}

/// Prints the night.
pub fn print(night: &Summary) {
    heading("The timetable, planned and actual");
    print_timetable(&night.timetable);
    heading("What each batch did");
    for b in &night.batches {
        let yen = b.yen.map(|y| format!(" · {} yen", grouped(y))).unwrap_or_default();
        let tenants = match b.done + b.blocked + b.failed {
            0 => String::new(),
            _ => format!(" · tenants done {}, blocked {}, failed {}", b.done, b.blocked, b.failed),
        };
        line(format!("{}  {}", paint(&b.batch_id, "1"), b.title));
        line(format!("  {}{tenants} · {} rows{yen}", plural(b.runs, "run"), grouped(b.rows)));
        let counts = b.counts.as_object().into_iter().flatten();
        let counts: Vec<String> = counts
            .filter(|(_, v)| v.as_i64() != Some(0))
            .map(|(k, v)| format!("{k} {}", grouped(v)))
            .collect();
        for part in counts.chunks(6) {
            line(format!("  {}", part.join(" · ")));
        }
    }
    heading("Invoices");
    let rows: Vec<Vec<String>> = night
        .invoices
        .iter()
        .map(|i| {
            vec![
                i.batch_id.clone(),
                i.currency.clone(),
                i.invoices.to_string(),
                grouped(i.subtotal),
                grouped(i.tax),
                grouped(i.total),
            ]
        })
        .collect();
    table(&["BATCH", "CURRENCY", "INVOICES", "SUBTOTAL", "TAX", "TOTAL"], &rows);
    people(night);
}

fn people(night: &Summary) {
    heading("What waits for a person");
    for purpose in &night.purposes {
        line(format!("(on purpose: {purpose})"));
    }
    for held in &night.held {
        line(held.line());
        line(format!("    {}", held.hint()));
    }
    for row in &night.waiting {
        line(row.line());
        line(format!("    {}", row.hint()));
    }
    for alert in &night.alerts {
        line(format!("alert {} {}: {}", alert.severity, alert.rule, alert.message));
    }
    if night.held.is_empty() && night.waiting.is_empty() && night.alerts.is_empty() {
        line("nothing");
    }
}

fn plural(n: i64, what: &str) -> String {
    format!("{} {what}{}", grouped(n), if n == 1 { "" } else { "s" })
}

fn heading(text: &str) {
    line(format!("\n{}", paint(text, "1;36")));
}
