//! MONTHLY_002 as it is for 1,000 companies, a PDF and a workbook each; beside the same document rendered alone.

use anyhow::Context;
use serde_json::Value;
use yakin_engine::clock::Clock;
use yakin_engine::days::{after, day_of};

use super::documents::{CHILDREN, rendered, sample};
use crate::product::Product;
use crate::report::{Report, Row};
use crate::world::World;

/// Measures.
pub async fn run(world: &World) -> anyhow::Result<Report> {
    let (tenants, alone) = (world.size(1000, 10), world.size(400, 4));
    let last = after(day_of(Clock::real().now()).first_of_month(), -1);
    let database = world.server.migrated("bench_reports").await?;
    let sql = include_str!("reports.sql")
        .replace("{tenants}", &tenants.to_string())
        .replace("{first}", &last.first_of_month().to_string())
        .replace("{last}", &last.to_string());
    database.sql(sql).await?;
    database.quiet().await?;
    let product = Product::new(world, &database, None)?;
    let date = last.to_string();
    let words =
        ["--date", date.as_str(), "--param", "reports=company", "--param", "send_mail=false"];
    let ran = product.run(&database, "MONTHLY_002", &words).await?;
    let made: i64 = database.one("SELECT count(*) FROM app.reports").await?;
    anyhow::ensure!(made == 2 * tenants as i64, "{made} files of {tenants} companies");
    product.close()?;
    world.server.drop(database).await?;

    let mut report = Report::default();
    let data = sample("report").context("the report's sample")?;
    let (rate, cpu) =
        rendered(world, "report", alone, |first, n| company(data.clone(), first + 2 * n)).await?;
    let alone = Row::new(format!("its sample alone, {CHILDREN} children"), rate, "PDFs/s").cpu(cpu);
    let row = Row::new(
        "MONTHLY_002, PDF and workbook",
        tenants as f64 / ran.with_follow_ups,
        "companies/s",
    );
    report.add(row.cpu(ran.cpu_ms as f64 / tenants as f64).beside(Some(&alone)));
    report.add(alone);
    report.note(format!(
        "{tenants} companies, a month of 20 people each; figures read, both forms made, stored and registered; no mail. \
         The sample has more chapters than these companies' reports"
    ));
    Ok(report)
}

/// The sample with figures of its own, as companies' reports have: a child keeps what it has laid out.
fn company(mut data: Value, number: usize) -> Value {
    data["about"] = format!("株式会社{number}").into();
    data["facts"][0][1] = format!("t{number}").into();
    let parts = &mut data["chapters"][0]["parts"];
    for (no, row) in parts[0]["rows"].as_array_mut().into_iter().flatten().enumerate() {
        row[1] = (100 * number + no).to_string().into();
    }
    for (no, point) in parts[1]["points"].as_array_mut().into_iter().flatten().enumerate() {
        point[1] = format!("0.{:03}", (number + 37 * no) % 1000).into();
    }
    data
}
