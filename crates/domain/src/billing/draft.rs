//! What an invoice would look like: the same paper, marked as a draft, from what has not been issued.

use jiff::civil::Date;
use yakin_engine::days::after;
use yakin_engine::outcome::Stop;

use super::issue::Document;
use super::paper::{Paper, PaperLine, PaperTax, Parties, Period, parties};

/// Stands where an issued invoice has its number.
const NUMBER: &str = "DRAFT";

/// The paper of a document as if it were issued on `issued_on`.
pub fn draft(document: &Document, issued_on: Date) -> Result<Paper, Stop> {
    let Parties { issuer, recipient, language } = parties(&document.snapshot, NUMBER)?;
    let (priced, period) = (&document.priced, document.period);
    let lines = priced.lines.iter().map(|line| PaperLine {
        item: line.item.word().to_owned(),
        description: line.description.clone(),
        quantity: line.quantity,
        unit: line.unit.to_owned(),
        unit_price: line.unit_price,
        amount: line.amount,
        tax_rate: line.tax_rate,
    });
    let taxes = priced.taxes.iter().rev();
    let taxes =
        taxes.map(|tax| PaperTax { rate: tax.tax_rate, taxable: tax.taxable, tax: tax.tax });
    Ok(Paper {
        language,
        draft: true,
        kind: "invoice".to_owned(),
        number: NUMBER.to_owned(),
        revision: document.revision,
        adjusts: None,
        issued_on,
        due_on: after(issued_on, document.payment_terms_days.into()),
        period: Period { first: period.start, last: after(period.end, -1) },
        issuer,
        recipient,
        currency: priced.currency.to_owned(),
        lines: lines.collect(),
        taxes: taxes.collect(),
        subtotal: priced.subtotal,
        tax: priced.tax,
        total: priced.total,
    })
}

/// Where a draft lies: `tenant/<code>/invoices/2026-10/draft-<contract>-<digest>.pdf`.
pub fn key(document: &Document, digest: &str) -> String {
    let Document { tenant_code, contract_id, period, .. } = document;
    let month = period.start.strftime("%Y-%m");
    format!("tenant/{tenant_code}/invoices/{month}/draft-{contract_id}-{digest}.pdf")
}
