//! Invoices: searched, shown, their documents, and decisions about held ones. A token of some tenants sees theirs alone.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Deserialize;
use utoipa::IntoParams;
use yakin_domain::billing::decide;
use yakin_domain::delivery::Outside;
use yakin_domain::look::{self, InvoiceDetail, InvoiceFilter, InvoiceRow, PaperError};

use super::Said;
use super::runs::word;
use crate::app::App;
use crate::extract::{Asked, Body, Named, Why, day, name, text};
use crate::guard::By;
use crate::page::{self, Page};
use crate::problem::Problem;

/// The states of an invoice.
const STATES: &[&str] = &["draft", "issued", "paid", "overdue", "void"];

/// Which invoices; what is said must all be so.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct InvoicesQuery {
    /// Issued on this day or later.
    #[param(value_type = Option<String>, format = Date, example = "2026-10-01")]
    pub issued_from: Option<Date>,
    /// Issued on this day or earlier.
    #[param(value_type = Option<String>, format = Date, example = "2026-10-31")]
    pub issued_to: Option<Date>,
    /// Of this total (tax included) or more, in the invoice's currency.
    #[param(value_type = Option<String>, example = "10000")]
    pub amount_from: Option<Decimal>,
    /// Of this total (tax included) or less.
    #[param(value_type = Option<String>, example = "1000000")]
    pub amount_to: Option<Decimal>,
    /// The tenant's code, or a part of its name or billing name; wide and narrow, large and small letters are the same.
    #[param(max_length = 100, example = "青葉")]
    pub counterparty: Option<String>,
    /// Of this currency only.
    #[param(max_length = 3, example = "JPY")]
    pub currency: Option<String>,
    /// draft, issued, paid, overdue or void.
    #[param(example = "issued")]
    pub state: Option<String>,
    /// Only those that wait for a person's decision.
    #[serde(default)]
    pub held: bool,
    /// How many, 1 to 500; 50 unless said.
    #[param(minimum = 1, maximum = 500, example = 50)]
    pub limit: Option<i64>,
    /// The `next_cursor` of the page before.
    #[param(max_length = 400)]
    pub cursor: Option<String>,
}

impl InvoicesQuery {
    fn filter(&self, limit: i64) -> Result<InvoiceFilter<'_>, Problem> {
        let turned = |what: &str| Problem::malformed(format!("{what}_from is more than {what}_to"));
        let issued_from = day("issued_from", self.issued_from)?;
        let issued_to = day("issued_to", self.issued_to)?;
        if issued_from.zip(issued_to).is_some_and(|(from, to)| from > to) {
            return Err(turned("issued"));
        }
        if self.amount_from.zip(self.amount_to).is_some_and(|(from, to)| from > to) {
            return Err(turned("amount"));
        }
        Ok(InvoiceFilter {
            issued_from,
            issued_to,
            total_from: self.amount_from,
            total_to: self.amount_to,
            currency: text("currency", self.currency.as_deref(), 3)?,
            counterparty: text("counterparty", self.counterparty.as_deref(), 100)?,
            state: word(self.state.as_deref(), "state", STATES)?,
            held: self.held,
            tenant: None,
            before: page::key(self.cursor.as_deref())?,
            limit,
        })
    }
}

/// Invoices, newest first, by date, amount and counterparty in any combination
#[utoipa::path(get, path = "/admin/batch/invoices", tag = "tenants", params(InvoicesQuery),
    responses((status = 200, description = "the invoices", body = Page<InvoiceRow>)))]
pub async fn list(
    State(app): State<App>,
    by: By,
    Asked(query): Asked<InvoicesQuery>,
) -> Result<Json<Page<InvoiceRow>>, Problem> {
    let limit = page::limit(query.limit, 50)?;
    let filter = query.filter(limit + 1)?;
    let rows = look::invoices(&app.engine.pool, by.tenants(), &filter).await?;
    Ok(Json(Page::of(rows, limit, |invoice| invoice.invoice_id)))
}

/// One invoice: lines, taxes by rate, and what happened to it
#[utoipa::path(get, path = "/admin/batch/invoices/{number}", tag = "tenants",
    params(("number" = String, Path, description = "its number", example = "INV-202610-aoba-0001")),
    responses((status = 200, description = "the invoice", body = InvoiceDetail)))]
pub async fn show(
    State(app): State<App>,
    by: By,
    Named(number): Named<String>,
) -> Result<Json<InvoiceDetail>, Problem> {
    let number = name("invoice", &number)?;
    Ok(Json(look::invoice(&app.engine.pool, by.tenants(), number).await?))
}

/// An invoice's document
///
/// Its bytes are compared with the digest that was registered when it was made; `ETag` has it. It is there once it has
/// been made.
#[utoipa::path(get, path = "/admin/batch/invoices/{number}/document", tag = "tenants",
    params(("number" = String, Path, description = "its number", example = "INV-202610-aoba-0001")),
    responses((status = 200, description = "the document", body = String, content_type = "application/pdf",
               headers(("Content-Disposition" = String, description = "attachment, with the number as name"),
                       ("ETag" = String, description = "SHA-256, in hex"))),
              (status = 409, description = "what the storage has is not what was registered", body = Problem,
               content_type = "application/problem+json"),
              (status = 503, description = "no storage is configured, or it or the database does not answer", body = Problem,
               content_type = "application/problem+json")))]
pub async fn document(
    State(app): State<App>,
    by: By,
    Named(number): Named<String>,
) -> Result<Response, Problem> {
    let number = name("invoice", &number)?;
    let outside = app.engine.provided::<Outside>();
    let storage = outside.as_ref().and_then(|o| o.storage.as_deref());
    let paper = look::invoice_document(&app.engine.pool, by.tenants(), storage, number).await?;
    let named = format!("attachment; filename=\"{number}.pdf\"");
    // a number that is there is ASCII
    let named = HeaderValue::try_from(named).unwrap_or(HeaderValue::from_static("attachment"));
    let tag = HeaderValue::try_from(format!("\"{}\"", paper.sha256)).map_err(|error| {
        tracing::error!(%error, number, "a digest that is no header");
        Problem::defect()
    })?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/pdf")),
        (header::CONTENT_DISPOSITION, named),
        (header::ETAG, tag),
    ];
    Ok((headers, paper.bytes).into_response())
}

impl From<PaperError> for Problem {
    fn from(error: PaperError) -> Problem {
        match error {
            PaperError::Engine(error) => error.into(),
            PaperError::NotReady(_) => Problem::not_found(error.to_string()),
            PaperError::NoStorage => Problem::unavailable(error.to_string()),
            PaperError::Damaged { ref number, .. } => {
                tracing::error!(%error, "a document is damaged");
                Problem::conflict(format!(
                    "the document of invoice {number} in the storage is not the one that was registered; it is not \
                     handed out, and the node's log says more"
                ))
            }
            PaperError::Storage { .. } => {
                tracing::error!(%error, "a document could not be read");
                Problem::unavailable("the storage does not answer as it should; try again")
            }
        }
    }
}

/// Let a held invoice go: it is mailed and exported
#[utoipa::path(post, path = "/admin/batch/invoices/{number}/approve", tag = "tenants",
    params(("number" = String, Path, description = "its number", example = "INV-202610-aoba-0001")),
    request_body = Why,
    responses((status = 200, description = "it goes on its way", body = Said)))]
pub async fn approve(
    State(app): State<App>,
    by: By,
    Named(number): Named<String>,
    Body(why): Body<Why>,
) -> Result<Json<Said>, Problem> {
    decided(&app, &by, &number, &why, true).await?;
    Ok(Said::so(format!("invoice {number} is approved")))
}

/// Void a held invoice before anybody gets it
#[utoipa::path(post, path = "/admin/batch/invoices/{number}/reject", tag = "tenants",
    params(("number" = String, Path, description = "its number", example = "INV-202610-aoba-0001")),
    request_body = Why,
    responses((status = 200, description = "it is void", body = Said)))]
pub async fn reject(
    State(app): State<App>,
    by: By,
    Named(number): Named<String>,
    Body(why): Body<Why>,
) -> Result<Json<Said>, Problem> {
    decided(&app, &by, &number, &why, false).await?;
    Ok(Said::so(format!("invoice {number} is rejected and void")))
}

async fn decided(app: &App, by: &By, number: &str, why: &Why, agree: bool) -> Result<(), Problem> {
    let (act, engine) = (why.act(&by.0)?, &app.engine);
    let number = name("held invoice", number)?;
    let now = engine.clock.now();
    Ok(decide(&engine.pool, &engine.registry, number, agree, &act, now).await?)
}
