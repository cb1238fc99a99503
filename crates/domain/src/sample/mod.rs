//! `yakin sample`: a world of uneven Japanese tenants with two months of life, the same for the same seed. Bulk rows
//! come from `INSERT … SELECT` over hashes of (seed, place), never from `random()`. Faults stand in it on purpose
//! (`with_faults`): one tenant has a compute row with negative CPU seconds in the middle of the previous month, so
//! that day's usage is refused and its bill blocked; another changed on the 16th to a plan no price list knows; of a
//! third most assignments were entered with yesterday as their end, and the huge one has one that ends before it begins.

mod calendar;
mod cast;
mod chat;
mod discounts;
mod maker;
mod plans;
mod stored;
mod tenant;
mod words;

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::{Executor, PgConnection};
use yakin_adapters::keys::Keys;

use cast::Part;
pub use stored::store_some;
use tenant::Tenant;

/// The most tenants a sample may have.
pub const MOST_TENANTS: u32 = 5_000;
/// The most engineers in all.
pub const MOST_ENGINEERS: u32 = 1_000_000;
/// The most log rows in all.
pub const MOST_LOG_ROWS: u64 = 500_000_000;

/// Log rows per tenant where nothing else is asked for: 1.1 million with thirty tenants.
pub const USUAL_LOG_ROWS: u64 = 38_000;

/// What to make.
#[derive(Clone, Debug)]
pub struct SampleSpec {
    pub tenants: u32,
    /// Of all tenants together; at least one each.
    pub engineers: u32,
    /// Days of logs before today; by default back to the first of the previous month.
    pub days: Option<u32>,
    pub seed: u64,
    /// Rows of raw logs in all, roughly.
    pub log_rows: u64,
    /// The sample world's "now"; nothing in it is younger.
    pub as_of: Timestamp,
    pub with_faults: bool,
    /// Seals chat integrations; without keys no tenant has any.
    pub keys: Option<Arc<Keys>>,
}

impl SampleSpec {
    /// A sample with both faults and as many log rows as suit that many tenants.
    pub fn new(tenants: u32, engineers: u32, seed: u64, as_of: Timestamp) -> SampleSpec {
        let log_rows = u64::from(tenants) * USUAL_LOG_ROWS;
        SampleSpec {
            tenants,
            engineers,
            days: None,
            seed,
            log_rows,
            as_of,
            with_faults: true,
            keys: None,
        }
    }

    fn check(&self) -> Result<(), SampleError> {
        let wrong = |reason: String| Err(SampleError::Spec(reason));
        if !(1..=MOST_TENANTS).contains(&self.tenants) {
            return wrong(format!("{} tenants; expected 1 to {MOST_TENANTS}", self.tenants));
        }
        if !(self.tenants..=MOST_ENGINEERS).contains(&self.engineers) {
            let least = self.tenants;
            return wrong(format!(
                "{} engineers for {least} tenants; expected {least} to {MOST_ENGINEERS}",
                self.engineers
            ));
        }
        if self.days.is_some_and(|days| days > 366) {
            return wrong("logs of more than 366 days".to_owned());
        }
        if self.log_rows > MOST_LOG_ROWS {
            return wrong(format!("{} log rows; expected at most {MOST_LOG_ROWS}", self.log_rows));
        }
        Ok(())
    }
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SampleReport {
    pub tenants: i64,
    pub users: i64,
    pub engineers: i64,
    pub log_rows: i64,
    /// The tenant (code) whose usage of that day can never be complete.
    pub lacks_a_day: Option<(String, Date)>,
    /// The tenant (code) that cannot be billed: its plan is unknown.
    pub fails: Option<String>,
    /// The tenant (code) of which so many engineers would change their state that a person must confirm it.
    pub many_change: Option<String>,
    /// The tenant (code) with more than a third of all engineers.
    pub huge: String,
}

/// Why no sample was made.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    #[error("this database has {tenants} tenants already; a sample goes into an empty one")]
    NotEmpty { tenants: i64 },
    #[error("cannot make a sample of {0}")]
    Spec(String),
    #[error("making the sample's {making}: {source}")]
    Database { making: &'static str, source: sqlx::Error },
}

/// Fills an empty, migrated database with a sample, in one transaction. The login must be allowed to act as
/// `yakin_engine` (as `yakin migrate`'s login is). `progress` is told each step as it begins.
pub async fn generate(
    connection: &mut PgConnection,
    spec: &SampleSpec,
    mut progress: impl FnMut(&str),
) -> Result<SampleReport, SampleError> {
    spec.check()?;
    let (tenants, log_rows) = maker::fill(connection, spec, &mut progress).await?;
    progress("planner statistics");
    analyze(connection).await.map_err(database("planner statistics"))?;
    Ok(report(&tenants, log_rows, spec.with_faults))
}

/// With fewer, a bulk entry changes too few to be held.
const FEW_ENGINEERS: i64 = 40;

fn report(tenants: &[Tenant], log_rows: i64, faults: bool) -> SampleReport {
    let code = |found: Option<&Tenant>| found.map(|tenant| tenant.code.clone());
    let broken = tenants.iter().find_map(|t| t.broken_on.map(|day| (t.code.clone(), day)));
    SampleReport {
        tenants: tenants.len() as i64,
        users: tenants.iter().map(|tenant| tenant.users).sum(),
        engineers: tenants.iter().map(|tenant| tenant.engineers).sum(),
        log_rows,
        lacks_a_day: broken,
        fails: code(tenants.iter().find(|tenant| tenant.next_plan == Some(plans::UNKNOWN))),
        many_change: code(
            tenants
                .iter()
                .find(|t| faults && t.part == maker::BULK_ENTRY && t.engineers >= FEW_ENGINEERS),
        ),
        huge: code(tenants.iter().find(|tenant| tenant.part == Part::Huge)).unwrap_or_default(),
    }
}

fn database(making: &'static str) -> impl FnOnce(sqlx::Error) -> SampleError {
    move |source| SampleError::Database { making, source }
}

/// Planner statistics and the logs' block ranges, where the login owns the tables; else autovacuum does it soon.
async fn analyze(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let own: bool = sqlx::query_scalar(
        "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class
          WHERE relname = 'tenants' AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'app')",
    )
    .fetch_one(&mut *connection)
    .await?;
    if own {
        sqlx::query(include_str!("summarize.sql")).execute(&mut *connection).await?;
        connection.execute(include_str!("analyze.sql")).await?;
    }
    Ok(())
}
