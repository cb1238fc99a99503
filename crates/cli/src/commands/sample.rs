//! `yakin sample`: an uneven world to try things on.

use sqlx::Connection;
use yakin_domain::sample::{SampleSpec, generate};
use yakin_engine::clock::Clock;
use yakin_engine::database;

use crate::arguments::Sample;
use crate::output::{End, grouped, line};
use crate::place::Place;

/// Generates the sample world, as of now.
pub async fn sample(place: &Place, sample: &Sample) -> anyhow::Result<End> {
    let mut spec =
        SampleSpec::new(sample.tenants, sample.engineers, sample.seed, Clock::real().now());
    spec.days = sample.days;
    spec.with_faults = !sample.without_faults;
    if let Some(rows) = sample.log_rows {
        spec.log_rows = rows;
    }
    let mut connection = database::connect_as_login(&place.owner_url).await?;
    let quiet = place.json;
    let report = generate(&mut connection, &spec, |step| {
        if !quiet {
            eprintln!("  {step}");
        }
    })
    .await?;
    connection.close().await?;
    if place.json {
        crate::output::json(&report)?;
    } else {
        line(format!(
            "{} tenants, {} users, {} engineers, {} log rows",
            report.tenants,
            report.users,
            report.engineers,
            grouped(report.log_rows)
        ));
        if let Some((code, day)) = &report.lacks_a_day {
            line(format!("on purpose: {code} lacks {day}"));
        }
        if let Some(code) = &report.fails {
            line(format!("on purpose: {code} cannot be billed"));
        }
        if let Some(code) = &report.many_change {
            line(format!("on purpose: most engineers of {code} would change their state at once"));
        }
    }
    Ok(End::Done)
}
