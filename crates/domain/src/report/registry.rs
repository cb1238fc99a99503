//! What was made: a report is made once for its key, owner, month and format, and stays as it is.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use yakin_adapters::storage::Stored;
use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

use crate::files;

/// The two forms of a report, as files end.
pub const FORMATS: [&str; 2] = ["pdf", "xlsx"];

/// A form of a report that was made for a tenant.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Made {
    pub report_id: i64,
    pub format: String,
    pub file_id: i64,
    pub key: String,
    pub size_bytes: i64,
    /// What its cover says is missing.
    pub incomplete: Option<String>,
}

/// What was made of a tenant's report, as the tenant.
pub async fn made(tx: &mut Tx, report: &str, first: Date) -> Result<Vec<Made>, Stop> {
    Ok(sqlx::query_as(
        "SELECT report_id, format, file_id, f.key, f.size_bytes, incomplete
           FROM app.reports JOIN app.files f USING (tenant_id, file_id)
          WHERE tenant_id = yakin.current_tenant() AND report_key = $1 AND period_start = $2 ORDER BY format LIMIT 10",
    )
    .bind(report)
    .bind(first.to_sqlx())
    .fetch_all(tx)
    .await?)
}

/// A file that was stored for a report.
#[derive(Clone, Debug)]
pub struct NewForm {
    pub report: &'static str,
    pub first: Date,
    pub format: &'static str,
    pub key: String,
    pub stored: Stored,
    /// What its cover says is missing.
    pub incomplete: Option<String>,
}

/// Registers a form of a tenant's report with its file, as the tenant; returns whether it is new.
pub async fn register(
    tx: &mut Tx,
    form: &NewForm,
    (run, at): (i64, Timestamp),
) -> Result<bool, Stop> {
    let file = files::record(tx, &form.key, form.format, &form.stored, at).await?;
    let new = sqlx::query(
        "INSERT INTO app.reports (tenant_id, report_key, period_start, format, file_id, incomplete, run_id, created_at)
         VALUES (yakin.current_tenant(), $1, $2, $3, $4, left($5, 1000), $6, $7)
         ON CONFLICT (tenant_id, report_key, period_start, format) DO NOTHING",
    )
    .bind(form.report)
    .bind(form.first.to_sqlx())
    .bind(form.format)
    .bind(file)
    .bind(&form.incomplete)
    .bind(run)
    .bind(at.to_sqlx())
    .execute(tx)
    .await?;
    Ok(new.rows_affected() == 1)
}

/// A form of one of the service's own reports.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct PlatformMade {
    pub format: String,
    pub key: String,
    pub size_bytes: i64,
    pub incomplete: Option<String>,
}

/// What was made of one of the service's own reports, as the platform.
pub async fn platform_made(
    tx: &mut Tx,
    report: &str,
    first: Date,
) -> Result<Vec<PlatformMade>, Stop> {
    Ok(sqlx::query_as(
        "SELECT format, key, size_bytes, incomplete FROM app.platform_reports
          WHERE report_key = $1 AND period_start = $2 ORDER BY format LIMIT 10",
    )
    .bind(report)
    .bind(first.to_sqlx())
    .fetch_all(tx)
    .await?)
}

/// Registers a form of one of the service's own reports; returns whether it is new.
pub async fn register_platform(
    tx: &mut Tx,
    form: &NewForm,
    (run, at): (i64, Timestamp),
) -> Result<bool, Stop> {
    let new = sqlx::query(
        "INSERT INTO app.platform_reports (report_key, period_start, format, key, size_bytes, sha256, incomplete, run_id,
                                           created_at)
         VALUES ($1, $2, $3, $4, $5, $6, left($7, 1000), $8, $9)
         ON CONFLICT DO NOTHING",
    )
    .bind(form.report)
    .bind(form.first.to_sqlx())
    .bind(form.format)
    .bind(&form.key)
    .bind(i64::try_from(form.stored.size).unwrap_or(i64::MAX))
    .bind(&form.stored.sha256)
    .bind(&form.incomplete)
    .bind(run)
    .bind(at.to_sqlx())
    .execute(tx)
    .await?;
    Ok(new.rows_affected() == 1)
}
