//! A company's day, DAILY_002: people, logins, calls, mails, features, storage, and what was done with its engineers. What
//! BATCH-204 and 301 have recorded is taken over; only what they have not is counted, with the same statements.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use yakin_engine::days::{Days, after, day_of};
use yakin_engine::prelude::*;

use super::approaches::{self, APPROACHES};
use super::source::{Source, Strays};
use super::staging::{self, Staged};
use super::{resources, service};

/// The statement that names a day's companies: those that were there for a part of it.
pub const SCOPE: &str = include_str!("service_scope.sql");

const MAILS: Source = Source {
    name: "mails",
    logs: &[],
    sql: include_str!("mails.sql"),
    nothing: r#"{"mails_sent": 0}"#,
};
const ENGINEERS: Source = Source {
    name: "engineers",
    logs: &["engineer_activity_logs"],
    sql: include_str!("engineers.sql"),
    nothing: r#"{"profile_updates": 0, "sheets_viewed": 0, "sheets_downloaded": 0,
        "engineers_seen": 0, "profiles_changed": []}"#,
};

/// Stages the day for the companies in `scope`: one pass over each log of which some company has no record yet.
pub async fn stage(run: &PlatformRun, day: Date, scope: &[i64]) -> Result<Strays, Stop> {
    let (service, resources, storage): (i64, i64, i64) = run
        .read(async |tx| {
            Ok(sqlx::query_as(include_str!("company_missing.sql"))
                .bind(day.to_sqlx())
                .bind(scope)
                .fetch_one(tx)
                .await?)
        })
        .await?;
    let mut sources = vec![MAILS, ENGINEERS, APPROACHES];
    if service > 0 {
        sources.push(service::ACTIVITY);
    }
    if resources > 0 {
        sources.extend([resources::LOGINS, resources::FEATURES]);
    }
    if storage > 0 {
        sources.push(resources::STORAGE);
    }
    staging::stage_sources(run, day, scope, &sources).await
}

/// The logs from which a run would count companies' rows of `day`: those of companies without a whole row or, with
/// `recompute`, of all in `scope`; what BATCH-204 and 301 have recorded is read from nowhere.
pub async fn logs_read(
    run: &PlatformRun,
    day: Date,
    scope: &[i64],
    recompute: bool,
) -> Result<Vec<&'static str>, Stop> {
    let only = run.only_tenants().map(<[i64]>::to_vec);
    let (companies, service, resources): (i64, i64, i64) = run
        .read(async |tx| {
            Ok(sqlx::query_as(include_str!("company_counted.sql"))
                .bind(day.to_sqlx())
                .bind(scope)
                .bind(&only)
                .bind(recompute)
                .fetch_one(tx)
                .await?)
        })
        .await?;
    let read = [
        (companies, ENGINEERS),
        (service, service::ACTIVITY),
        (resources, resources::LOGINS),
        (resources, resources::FEATURES),
    ];
    let read = read.iter().filter(|(count, _)| *count > 0);
    Ok(read.flat_map(|(_, source)| source.logs).copied().collect())
}

/// What became of a company's day.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stored {
    /// Rows written: none where the day was there already.
    pub rows: i64,
    /// Figures that BATCH-204 or 301 had recorded.
    pub taken_over: i64,
    /// Events of offers whose recipient was never written to.
    pub strange: i64,
}

/// Writes the company's day where it differs. Counters of a day that is there are counted again only with `recompute`;
/// gauges once seen stay, missing ones are filled and, more than a day after, marked late.
pub async fn store(
    tx: &mut Tx,
    run: &TenantRun,
    staged: &[Staged],
    recompute: bool,
) -> Result<Stored, Stop> {
    let day = run.period().start;
    let (start, end) = Days::one(day).instants();
    let figures: Vec<&str> = staged.iter().map(|s| s.figures.as_str()).collect();
    let (written, taken_over): (i64, i64) = sqlx::query_as(include_str!("company_store.sql"))
        .bind(run.tenant())
        .bind(day.to_sqlx())
        .bind(run.id())
        .bind(&figures)
        .bind(recompute)
        .bind(run.now().to_sqlx())
        .bind(day_of(run.now()) > after(day, 1))
        .fetch_one(&mut *tx)
        .await?;
    let engineers = sqlx::query(include_str!("engineers_store.sql"))
        .bind(run.tenant())
        .bind(day.to_sqlx())
        .bind(run.id())
        .bind(&figures)
        .bind(recompute)
        .bind(start.to_sqlx())
        .bind(end.to_sqlx())
        .execute(&mut *tx)
        .await?;
    let offers = approaches::refresh(tx, run, day, &figures).await?;
    let rows = written + engineers.rows_affected() as i64 + offers.rows;
    Ok(Stored { rows, taken_over, strange: offers.strange })
}
