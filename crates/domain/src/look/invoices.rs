//! Invoices, found by date, amount and counterparty in any combination: the three keys by which the law on electronic
//! books wants them searchable.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::FromRow;
use sqlx::postgres::PgPool;
use utoipa::ToSchema;
use yakin_engine::error::{Doing, EngineError};
use yakin_engine::look::{Day, Instant};

use super::{Bound, begin};

/// An invoice or an adjustment.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct InvoiceRow {
    pub invoice_id: i64,
    #[schema(example = "INV-202610-aoba-0001")]
    pub number: String,
    /// invoice or adjustment.
    #[schema(example = "invoice")]
    pub kind: String,
    /// The number of the invoice that it adjusts.
    pub adjusts: Option<String>,
    /// The counterparty's code.
    #[schema(example = "aoba-joho")]
    pub tenant: String,
    /// The counterparty as the invoice names it.
    #[schema(example = "株式会社青葉情報")]
    pub counterparty: String,
    /// draft, issued, paid, overdue or void.
    #[schema(example = "issued")]
    pub state: String,
    pub period_start: Day,
    /// The first day after it.
    pub period_end: Day,
    pub issued_on: Option<Day>,
    pub due_on: Option<Day>,
    #[schema(example = "JPY")]
    pub currency: String,
    #[schema(value_type = String, example = "45980")]
    pub subtotal: Decimal,
    #[schema(value_type = String, example = "4598")]
    pub tax: Decimal,
    #[schema(value_type = String, example = "50578")]
    pub total: Decimal,
    /// Waits for a person's decision.
    pub held: bool,
    pub held_reason: Option<String>,
    pub released_by: Option<String>,
    pub document_ready: bool,
    /// SHA-256 of the document as it was registered.
    pub document_sha256: Option<String>,
    pub sent_at: Option<Instant>,
    pub exported_at: Option<Instant>,
    /// The run that issued it.
    pub run_id: i64,
}

/// A line of an invoice.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct InvoiceLineRow {
    pub line_no: i32,
    #[schema(example = "base")]
    pub item: String,
    pub description: String,
    #[schema(value_type = String, example = "1")]
    pub quantity: Decimal,
    pub unit: String,
    #[schema(value_type = String, example = "50000")]
    pub unit_price: Decimal,
    #[schema(value_type = String, example = "50000")]
    pub amount: Decimal,
    #[schema(value_type = String, example = "0.10")]
    pub tax_rate: Decimal,
}

/// What one tax rate comes to.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct InvoiceTaxRow {
    #[schema(value_type = String, example = "0.10")]
    pub tax_rate: Decimal,
    #[schema(value_type = String, example = "45980")]
    pub taxable: Decimal,
    #[schema(value_type = String, example = "4598")]
    pub tax: Decimal,
}

/// What happened to an invoice.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct InvoiceEventRow {
    pub happened_at: Instant,
    #[schema(example = "issued")]
    pub event: String,
    pub actor: String,
    pub reason: Option<String>,
}

/// An invoice with all that belongs to it.
#[derive(Debug, Serialize, ToSchema)]
pub struct InvoiceDetail {
    pub invoice: InvoiceRow,
    pub lines: Vec<InvoiceLineRow>,
    /// By rate, the highest first.
    pub taxes: Vec<InvoiceTaxRow>,
    /// Oldest first, at most 1,000.
    pub events: Vec<InvoiceEventRow>,
}

/// Which invoices are wanted, newest first; what is set must all be so.
#[derive(Clone, Copy, Debug, Default)]
pub struct InvoiceFilter<'a> {
    /// Issued on this day or later.
    pub issued_from: Option<Date>,
    /// Issued on this day or earlier.
    pub issued_to: Option<Date>,
    /// Of at least this total.
    pub total_from: Option<Decimal>,
    /// Of at most this total.
    pub total_to: Option<Decimal>,
    pub currency: Option<&'a str>,
    /// The tenant's code, or a part of its name, of its billing name, or of the name on the invoice; wide and narrow
    /// letters, large and small ones are the same.
    pub counterparty: Option<&'a str>,
    pub state: Option<&'a str>,
    /// Only those that wait for a decision.
    pub held: bool,
    /// Only this tenant's.
    pub tenant: Option<i64>,
    /// Those with a lower id.
    pub before: Option<i64>,
    pub limit: i64,
}

/// The invoices that are wanted.
pub async fn invoices(
    pool: &PgPool,
    bound: Bound<'_>,
    filter: &InvoiceFilter<'_>,
) -> Result<Vec<InvoiceRow>, EngineError> {
    let doing = "reading invoices";
    let mut tx = begin(pool, bound).await.doing(doing)?;
    let rows = sqlx::query_as(concat!(
        include_str!("invoice.sql"),
        " WHERE ",
        include_str!("invoice_visible.sql"),
        include_str!("invoices_wanted.sql")
    ))
    .bind(bound)
    .bind(filter.issued_from.map(ToSqlx::to_sqlx))
    .bind(filter.issued_to.map(ToSqlx::to_sqlx))
    .bind(filter.total_from)
    .bind(filter.total_to)
    .bind(filter.currency)
    .bind(filter.counterparty)
    .bind(filter.state)
    .bind(filter.held)
    .bind(filter.before)
    .bind(filter.limit.clamp(1, 10_000))
    .bind(filter.tenant)
    .fetch_all(&mut tx)
    .await
    .doing(doing)?;
    tx.commit().await.doing(doing)?;
    Ok(rows)
}

/// The invoice of that number, with its lines, taxes and events.
pub async fn invoice(
    pool: &PgPool,
    bound: Bound<'_>,
    number: &str,
) -> Result<InvoiceDetail, EngineError> {
    let doing = "reading an invoice";
    let mut tx = begin(pool, bound).await.doing(doing)?;
    let found: Option<InvoiceRow> = sqlx::query_as(concat!(
        include_str!("invoice.sql"),
        " WHERE ",
        include_str!("invoice_visible.sql"),
        " AND i.number = $2"
    ))
    .bind(bound)
    .bind(number)
    .fetch_optional(&mut tx)
    .await
    .doing(doing)?;
    let Some(invoice) = found else {
        tx.rollback().await.doing(doing)?;
        return Err(no_invoice(number));
    };
    let lines = sqlx::query_as(
        "SELECT line_no, item, description, quantity, unit, unit_price, amount, tax_rate FROM app.invoice_lines
          WHERE (tenant_id, invoice_id) = (SELECT tenant_id, invoice_id FROM app.invoices WHERE number = $1)
          ORDER BY line_no LIMIT 10000",
    );
    let lines = lines.bind(number).fetch_all(&mut tx).await.doing(doing)?;
    let taxes = sqlx::query_as(
        "SELECT tax_rate, taxable, tax FROM app.invoice_taxes
          WHERE (tenant_id, invoice_id) = (SELECT tenant_id, invoice_id FROM app.invoices WHERE number = $1)
          ORDER BY tax_rate DESC LIMIT 100",
    );
    let taxes = taxes.bind(number).fetch_all(&mut tx).await.doing(doing)?;
    let events = sqlx::query_as(
        "SELECT happened_at, event, actor, reason FROM app.invoice_events
          WHERE (tenant_id, invoice_id) = (SELECT tenant_id, invoice_id FROM app.invoices WHERE number = $1)
            -- whether and why people looked at it first is not the tenant's
            AND ($2 OR event NOT IN ('held', 'released', 'rejected'))
          ORDER BY event_id LIMIT 1000",
    );
    let events = events.bind(number).bind(bound.is_none()).fetch_all(&mut tx).await.doing(doing)?;
    tx.commit().await.doing(doing)?;
    Ok(InvoiceDetail { invoice, lines, taxes, events })
}

/// What is said of a number that is none of the caller's.
pub(super) fn no_invoice(number: &str) -> EngineError {
    EngineError::unknown(format!(
        "no invoice '{number}'; expected a number such as INV-202610-aoba-0001"
    ))
}
