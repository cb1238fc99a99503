//! What an invoice's document says: all of it from the frozen rows, so that it can be made again and is the same.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Value, json};
use yakin_adapters::storage::Stored;
use yakin_engine::days::{Days, after};
use yakin_engine::outcome::{Cause, Stop};
use yakin_engine::tx::Tx;

use super::issuer::Issuer;
use super::words::Words;
use crate::delivery::{Channel, NewDelivery, Templates, Urgency};
use crate::files;

/// The data of the document `invoice`: also kept as JSON beside it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Paper {
    pub language: String,
    /// Only a preview: the document says so.
    #[serde(skip_serializing_if = "is_false")]
    pub draft: bool,
    /// invoice or adjustment.
    pub kind: String,
    pub number: String,
    pub revision: i32,
    /// The number of the invoice that this one adjusts.
    pub adjusts: Option<String>,
    pub issued_on: Date,
    pub due_on: Date,
    pub period: Period,
    pub issuer: Issuer,
    pub recipient: Recipient,
    pub currency: String,
    pub lines: Vec<PaperLine>,
    pub taxes: Vec<PaperTax>,
    pub subtotal: Decimal,
    pub tax: Decimal,
    pub total: Decimal,
}

/// First and last day, both included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Period {
    pub first: Date,
    pub last: Date,
}

/// To whom it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recipient {
    pub name: String,
    pub address: String,
    /// The tenant's code.
    pub code: String,
}

/// A line as it is printed.
#[derive(Clone, Debug, PartialEq, Serialize, sqlx::FromRow)]
pub struct PaperLine {
    /// What it is for; a `note` prints only its description.
    pub item: String,
    pub description: String,
    pub quantity: Decimal,
    pub unit: String,
    pub unit_price: Decimal,
    pub amount: Decimal,
    pub tax_rate: Decimal,
}

/// Amount and tax of one rate.
#[derive(Clone, Debug, PartialEq, Serialize, sqlx::FromRow)]
pub struct PaperTax {
    pub rate: Decimal,
    pub taxable: Decimal,
    pub tax: Decimal,
}

/// Where an invoice stands on its way to the payer.
#[derive(Clone, Debug)]
pub struct Standing {
    pub paper: Paper,
    pub document_ready: bool,
    /// Held, and nobody has released it.
    pub held: bool,
    pub void: bool,
    pub billing_email: Option<String>,
    issued_period: Days,
}

fn is_false(value: &bool) -> bool {
    !value
}

#[derive(sqlx::FromRow)]
struct Row {
    number: String,
    kind: String,
    revision: i32,
    adjusts: Option<String>,
    state: String,
    currency: String,
    subtotal: Decimal,
    tax: Decimal,
    total: Decimal,
    issued_on: jiff_sqlx::Date,
    due_on: jiff_sqlx::Date,
    period_start: jiff_sqlx::Date,
    period_end: jiff_sqlx::Date,
    snapshot: Value,
    document_ready: bool,
    held: bool,
    billing_email: Option<String>,
}

/// Reads an invoice, as its tenant.
pub async fn read(tx: &mut Tx, invoice: i64) -> Result<Standing, Stop> {
    let row: Option<Row> =
        sqlx::query_as(include_str!("paper.sql")).bind(invoice).fetch_optional(&mut *tx).await?;
    let row = row.ok_or_else(|| {
        Stop::give_up(Cause::Data, format!("invoice {invoice} is not there for this tenant"))
    })?;
    let lines = sqlx::query_as(
        "SELECT item, description, quantity, unit, unit_price, amount, tax_rate FROM app.invoice_lines
          WHERE tenant_id = yakin.current_tenant() AND invoice_id = $1 ORDER BY line_no LIMIT 10000",
    )
    .bind(invoice)
    .fetch_all(&mut *tx)
    .await?;
    let taxes = sqlx::query_as(
        "SELECT tax_rate AS rate, taxable, tax FROM app.invoice_taxes
          WHERE tenant_id = yakin.current_tenant() AND invoice_id = $1 ORDER BY tax_rate DESC LIMIT 100",
    )
    .bind(invoice)
    .fetch_all(&mut *tx)
    .await?;
    standing(row, lines, taxes)
}

fn standing(row: Row, lines: Vec<PaperLine>, taxes: Vec<PaperTax>) -> Result<Standing, Stop> {
    let Parties { issuer, recipient, language } = parties(&row.snapshot, &row.number)?;
    let issued_period = Days { start: row.period_start.to_jiff(), end: row.period_end.to_jiff() };
    Ok(Standing {
        document_ready: row.document_ready,
        held: row.held,
        void: row.state == "void",
        billing_email: row.billing_email,
        paper: Paper {
            language,
            draft: false,
            kind: row.kind,
            number: row.number,
            revision: row.revision,
            adjusts: row.adjusts,
            issued_on: row.issued_on.to_jiff(),
            due_on: row.due_on.to_jiff(),
            period: Period { first: issued_period.start, last: after(issued_period.end, -1) },
            issuer,
            recipient,
            currency: row.currency,
            lines,
            taxes,
            subtotal: row.subtotal,
            tax: row.tax,
            total: row.total,
        },
        issued_period,
    })
}

/// From whom to whom.
pub(super) struct Parties {
    pub issuer: Issuer,
    pub recipient: Recipient,
    pub language: String,
}

pub(super) fn parties(snapshot: &Value, number: &str) -> Result<Parties, Stop> {
    let unreadable = |what: String| {
        Stop::give_up(Cause::Data, format!("the snapshot of {number} is unreadable: {what}"))
    };
    let issuer = serde_json::from_value(snapshot["issuer"].clone())
        .map_err(|e| unreadable(e.to_string()))?;
    let text = |key: &str| snapshot["payer"][key].as_str().map(str::to_owned);
    let name = text("billing_name").or_else(|| text("name"));
    let recipient = Recipient {
        name: name.ok_or_else(|| unreadable("no payer's name".to_owned()))?,
        address: text("billing_address").unwrap_or_default(),
        code: text("code").ok_or_else(|| unreadable("no payer's code".to_owned()))?,
    };
    let language = text("language").unwrap_or_else(|| "ja".to_owned());
    Ok(Parties { issuer, recipient, language })
}

impl Standing {
    /// Where its files lie: `tenant/<code>/invoices/2026-10/<number>.<ending>`.
    pub fn key(&self, ending: &str) -> String {
        let Paper { recipient, number, period, .. } = &self.paper;
        let month = period.first.strftime("%Y-%m");
        format!("tenant/{}/invoices/{month}/{number}.{ending}", recipient.code)
    }
}

/// Notes that the document is there: its files' rows, its key and digest on the invoice. Returns the PDF's file.
pub async fn ready(
    tx: &mut Tx,
    invoice: i64,
    standing: &Standing,
    (pdf, json): (&Stored, &Stored),
    (by, at): (&str, Timestamp),
) -> Result<i64, Stop> {
    files::record(tx, &standing.key("json"), "json", json, at).await?;
    let file = files::record(tx, &standing.key("pdf"), "pdf", pdf, at).await?;
    sqlx::query(
        "UPDATE app.invoices SET document_ready_at = $2, document_key = $3, document_sha256 = $4
          WHERE tenant_id = yakin.current_tenant() AND invoice_id = $1",
    )
    .bind(invoice)
    .bind(at.to_sqlx())
    .bind(standing.key("pdf"))
    .bind(&pdf.sha256)
    .execute(&mut *tx)
    .await?;
    super::issue::record(tx, invoice, "document", by, None, at).await?;
    Ok(file)
}

/// How long an undelivered invoice mail is tried.
const KEEP_DAYS: i64 = 30;

/// The mail that carries an invoice, as a delivery: from the operator, urgent, with the PDF.
pub async fn mail(
    tx: &mut Tx,
    invoice: i64,
    standing: &Standing,
    templates: &Templates,
    at: Timestamp,
) -> Result<NewDelivery, Stop> {
    let paper = &standing.paper;
    let to = standing.billing_email.as_deref().map(str::trim).filter(|a| !a.is_empty());
    let to = to.ok_or_else(|| {
        let code = &paper.recipient.code;
        let why = format!("tenant {code} has no billing_email: {} cannot be mailed", paper.number);
        Stop::give_up(Cause::Data, why)
    })?;
    let file: Option<i64> = sqlx::query_scalar(
        "SELECT file_id FROM app.files
          WHERE tenant_id = yakin.current_tenant() AND key = $1 AND deleted_at IS NULL",
    )
    .bind(standing.key("pdf"))
    .fetch_optional(tx)
    .await?;
    let file = file.ok_or_else(|| {
        Stop::give_up(Cause::Data, format!("the document of {} is not there", paper.number))
    })?;
    let words = Words::of(&paper.language);
    let data = json!({
        "number": paper.number,
        "month": words.month(standing.issued_period),
        "total": words.money(paper.total, &paper.currency),
        "due_on": paper.due_on,
        "recipient": paper.recipient,
        "issuer": paper.issuer,
    });
    let content = templates
        .render("invoice-issued", Channel::Email, &paper.language, &data)
        .map_err(|e| Stop::give_up(Cause::Data, format!("template invoice-issued: {e}")))?;
    Ok(NewDelivery {
        source: "invoice",
        source_id: invoice,
        channel: Channel::Email,
        recipient: to.to_owned(),
        sender: "platform",
        integration_id: None,
        setting_id: None,
        priority: Urgency::High,
        subject: content.subject,
        body: content.text,
        html: content.html,
        link: None,
        attachments: vec![file],
        due_at: at,
        expires_at: at + jiff::SignedDuration::from_hours(24 * KEEP_DAYS),
    })
}
