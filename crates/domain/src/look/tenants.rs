//! Tenants: who they are, and how the nights were for one.

use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::FromRow;
use sqlx::postgres::PgPool;
use utoipa::ToSchema;
use yakin_engine::error::{Doing, EngineError};
use yakin_engine::look::{Day, Instant};

use super::invoices::{InvoiceFilter, InvoiceRow, invoices};
use super::{Bound, begin};

/// So many of its days of use are shown with a tenant.
const DAYS: i64 = 31;
/// So many of its invoices are shown with a tenant.
const INVOICES: i64 = 12;

/// A tenant.
#[derive(Clone, Debug, Serialize, FromRow, ToSchema)]
pub struct TenantRow {
    pub tenant_id: i64,
    #[schema(example = "aoba-joho")]
    pub code: String,
    #[schema(example = "株式会社青葉情報")]
    pub name: String,
    /// active, suspended or closed.
    #[schema(example = "active")]
    pub status: String,
}

/// A tenant's last ended piece of a batch.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct TenantBatchRow {
    #[schema(example = "BATCH-204")]
    pub batch_id: String,
    pub title: String,
    #[schema(example = 118)]
    pub run_id: i64,
    pub period_start: Option<Day>,
    /// The first day after it.
    pub period_end: Option<Day>,
    /// done, blocked, failed or cancelled.
    #[schema(example = "done")]
    pub state: String,
    /// The work had been done before.
    pub reused: bool,
    pub attempts: i32,
    pub rows_written: i64,
    #[schema(value_type = Option<String>, example = "45980")]
    pub amount: Option<Decimal>,
    pub currency: Option<String>,
    pub reason: Option<String>,
    pub ended_at: Option<Instant>,
}

/// A day of a tenant's use.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct UsageDayRow {
    pub usage_date: Day,
    pub calls: i64,
    pub client_errors: i64,
    pub server_errors: i64,
    pub storage_bytes: i64,
    pub files: i64,
    pub reports_completed: i64,
    pub sessions: i64,
    pub active_users: i64,
    /// provisional, final or billed.
    #[schema(example = "final")]
    pub state: String,
}

/// A tenant, and how the nights were for it.
#[derive(Debug, Serialize, ToSchema)]
pub struct TenantDetail {
    pub tenant: TenantRow,
    /// The last outcome of each batch; dry runs do not count.
    pub batches: Vec<TenantBatchRow>,
    /// Its newest days of use, at most 31.
    pub usage: Vec<UsageDayRow>,
    /// Its newest invoices, at most 12.
    pub invoices: Vec<InvoiceRow>,
}

/// Tenants by code, those after a code.
pub async fn tenants(
    pool: &PgPool,
    bound: Bound<'_>,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<TenantRow>, EngineError> {
    let doing = "reading tenants";
    let mut tx = begin(pool, bound).await.doing(doing)?;
    let rows = sqlx::query_as(
        "SELECT tenant_id, code, name, status FROM app.tenants
          WHERE ($1::bigint[] IS NULL OR tenant_id = ANY ($1)) AND ($2::text IS NULL OR code > $2)
          ORDER BY code LIMIT $3",
    )
    .bind(bound)
    .bind(after)
    .bind(limit.clamp(1, 10_000))
    .fetch_all(&mut tx)
    .await
    .doing(doing)?;
    tx.commit().await.doing(doing)?;
    Ok(rows)
}

/// The tenant of that code, with what became of it lately.
pub async fn tenant(
    pool: &PgPool,
    bound: Bound<'_>,
    code: &str,
) -> Result<TenantDetail, EngineError> {
    let doing = "reading a tenant";
    let mut tx = begin(pool, bound).await.doing(doing)?;
    let found: Option<TenantRow> = sqlx::query_as(
        "SELECT tenant_id, code, name, status FROM app.tenants
          WHERE ($1::bigint[] IS NULL OR tenant_id = ANY ($1)) AND code = $2",
    )
    .bind(bound)
    .bind(code)
    .fetch_optional(&mut tx)
    .await
    .doing(doing)?;
    let Some(tenant) = found else {
        tx.rollback().await.doing(doing)?;
        return Err(EngineError::unknown(format!("no tenant '{code}'")));
    };
    let usage = sqlx::query_as(
        "SELECT usage_date, calls, client_errors, server_errors, storage_bytes, files, reports_completed, sessions,
                active_users, state
           FROM app.usage_statistics WHERE tenant_id = $1 ORDER BY usage_date DESC LIMIT $2",
    )
    .bind(tenant.tenant_id)
    .bind(DAYS)
    .fetch_all(&mut tx)
    .await
    .doing(doing)?;
    tx.commit().await.doing(doing)?;
    let newest = InvoiceFilter {
        tenant: Some(tenant.tenant_id),
        limit: INVOICES,
        ..InvoiceFilter::default()
    };
    let invoices = invoices(pool, bound, &newest).await?;
    let batches = sqlx::query_as(include_str!("tenant_batches.sql"))
        .bind(tenant.tenant_id)
        .fetch_all(pool)
        .await
        .doing(doing)?;
    Ok(TenantDetail { tenant, batches, usage, invoices })
}
