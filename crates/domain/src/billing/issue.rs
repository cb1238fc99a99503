//! Issuing: a priced document becomes rows and gets its number, all in one transaction with the job's completion.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use yakin_engine::days::{Days, after};
use yakin_engine::outcome::{Cause, Stop};
use yakin_engine::tx::Tx;

use super::issuer::Issuer;
use super::load::Bill;
use super::{BillingError, Priced, number, price, usage};

/// An invoice, or an adjustment of one, ready to be issued.
#[derive(Clone, Debug)]
pub struct Document {
    pub tenant_code: String,
    pub contract_id: i64,
    pub period: Days,
    pub revision: i32,
    /// The invoice it adjusts; none for an invoice.
    pub adjusts: Option<i64>,
    pub priced: Priced,
    /// What the price can be computed from again.
    pub snapshot: Value,
    pub usage_digest: String,
    pub payment_terms_days: i32,
    /// Why document, mail and export wait for a person.
    pub hold: Option<String>,
}

/// A document that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    pub invoice_id: i64,
    pub number: String,
}

/// Prices a bill; `None` when an adjustment would change nothing. The snapshot holds the input and, beside it, the
/// issuer as it is today: all that the document says.
pub fn document(bill: &Bill, issuer: &Issuer) -> Result<Option<Document>, BillingError> {
    let input = &bill.input;
    let priced = price(input)?;
    if bill.adjusts.is_some() && priced.lines.is_empty() && priced.taxes.is_empty() {
        return Ok(None);
    }
    let hold = match &bill.earlier {
        Some((month, total)) => deviation(priced.total, *month, *total),
        None => None,
    };
    let mut snapshot = serde_json::to_value(input)?;
    snapshot["issuer"] = serde_json::to_value(issuer)?;
    Ok(Some(Document {
        tenant_code: input.payer.code.clone(),
        contract_id: input.contract.contract_id,
        period: input.period,
        revision: bill.revision,
        adjusts: bill.adjusts,
        snapshot,
        usage_digest: usage::digest(input)?,
        payment_terms_days: input.payer.payment_terms_days,
        priced,
        hold,
    }))
}

/// Why a total more than 50 % away from the earlier one is held; `None` within 50 %.
pub fn deviation(total: Decimal, month: Days, earlier: Decimal) -> Option<String> {
    let away = total.checked_sub(earlier)?;
    if away.abs().checked_mul(Decimal::TWO)? <= earlier.abs() {
        return None;
    }
    let percent = away
        .checked_mul(Decimal::ONE_HUNDRED)
        .and_then(|d| d.checked_div(earlier.abs()))
        .map(|p| format!(" ({:+}%)", p.round_dp(1).normalize()))
        .unwrap_or_default();
    Some(format!("total {total} differs by more than 50% from {earlier} of {month}{percent}"))
}

/// Draws the number and writes the document. Somebody else's document under the same key is a retry, which will find
/// it there; nothing is written twice and no number is lost.
pub async fn issue(
    tx: &mut Tx,
    document: &Document,
    run_id: i64,
    actor: &str,
    at: Timestamp,
) -> Result<Issued, Stop> {
    let number = number::draw(tx, &document.tenant_code, document.period.start).await?;
    let issued_on = yakin_engine::days::day_of(at);
    let invoice_id = insert(tx, document, &number, run_id, issued_on, at).await?;
    sqlx::query(include_str!("insert_lines.sql"))
        .bind(invoice_id)
        .bind(json!(document.priced.lines))
        .execute(&mut *tx)
        .await?;
    sqlx::query(include_str!("insert_taxes.sql"))
        .bind(invoice_id)
        .bind(json!(document.priced.taxes))
        .execute(&mut *tx)
        .await?;
    settle_corrections(tx, document, invoice_id).await?;
    record(tx, invoice_id, "issued", actor, None, at).await?;
    if let Some(reason) = &document.hold {
        record(tx, invoice_id, "held", actor, Some(reason), at).await?;
    }
    Ok(Issued { invoice_id, number })
}

async fn insert(
    tx: &mut Tx,
    document: &Document,
    number: &str,
    run_id: i64,
    issued_on: Date,
    at: Timestamp,
) -> Result<i64, Stop> {
    let priced = &document.priced;
    let inserted = sqlx::query_scalar(include_str!("insert_invoice.sql"))
        .bind(document.contract_id)
        .bind(document.period.start.to_sqlx())
        .bind(document.period.end.to_sqlx())
        .bind(document.revision)
        .bind(document.adjusts)
        .bind(number)
        .bind(priced.currency)
        .bind(priced.subtotal)
        .bind(priced.tax)
        .bind(priced.total)
        .bind(issued_on.to_sqlx())
        .bind(after(issued_on, document.payment_terms_days.into()).to_sqlx())
        .bind(&document.usage_digest)
        .bind(&document.snapshot)
        .bind(document.hold.as_ref().map(|_| at.to_sqlx()))
        .bind(&document.hold)
        .bind(run_id)
        .fetch_one(&mut *tx)
        .await;
    inserted.map_err(|error: sqlx::Error| match error.as_database_error() {
        Some(e) if e.is_unique_violation() => {
            let (contract, period) = (document.contract_id, document.period);
            let message = format!("another run issued {period} of contract {contract} meanwhile");
            Stop::retry(Cause::LockConflict, message)
        }
        _ => error.into(),
    })
}

async fn settle_corrections(tx: &mut Tx, document: &Document, invoice_id: i64) -> Result<(), Stop> {
    let settles = &document.priced.settles;
    let (days, revisions): (Vec<_>, Vec<_>) =
        settles.iter().map(|key| (key.usage_date.to_sqlx(), key.revision)).unzip();
    let settled = sqlx::query(include_str!("settle_corrections.sql"))
        .bind(invoice_id)
        .bind(days)
        .bind(revisions)
        .execute(&mut *tx)
        .await?;
    if settled.rows_affected() != settles.len() as u64 {
        return Err(Stop::retry(
            Cause::LockConflict,
            "another invoice settled a correction meanwhile",
        ));
    }
    Ok(())
}

pub(super) async fn record(
    tx: &mut Tx,
    invoice_id: i64,
    event: &str,
    actor: &str,
    reason: Option<&str>,
    at: Timestamp,
) -> Result<(), Stop> {
    sqlx::query(
        "INSERT INTO app.invoice_events (tenant_id, invoice_id, happened_at, event, actor, reason)
         VALUES (yakin.current_tenant(), $1, $2, $3, $4, $5)",
    )
    .bind(invoice_id)
    .bind(at.to_sqlx())
    .bind(event)
    .bind(actor)
    .bind(reason)
    .execute(tx)
    .await?;
    Ok(())
}
