//! The second way to price a month: a base fee, and the heads (users, engineers) beyond the plan's limits at their
//! daily peak. [`price()`] is pure; tax, numbers, rows, documents and holds are those of every invoice.

pub mod input;
pub mod load;
pub mod price;

pub use input::SeatInput;
pub use load::{Loaded, SeatBill, Wanted, load, unchanged};
pub use price::price;

use sha2::{Digest, Sha256};

use super::BillingError;
use super::issue::{Document, deviation};
use super::issuer::Issuer;

/// Days from the issue of an invoice to its due date, whatever the tenant's other terms.
pub const DUE_DAYS: i32 = 30;

/// Prices a bill. The snapshot holds the input and, beside it, the issuer as it is today: all that the document says.
pub fn document(bill: &SeatBill, issuer: &Issuer) -> Result<Document, BillingError> {
    let input = &bill.input;
    let priced = price(input)?;
    let hold = match &bill.earlier {
        Some((month, total)) => deviation(priced.total, *month, *total),
        None => None,
    };
    let mut snapshot = serde_json::to_value(input)?;
    snapshot["issuer"] = serde_json::to_value(issuer)?;
    Ok(Document {
        tenant_code: input.payer.code.clone(),
        contract_id: input.contract.contract_id,
        period: input.period,
        revision: bill.revision,
        adjusts: None,
        snapshot,
        usage_digest: digest(input)?,
        payment_terms_days: DUE_DAYS,
        priced,
        hold,
    })
}

/// SHA-256 (hex) of the recorded days in their order.
fn digest(input: &SeatInput) -> Result<String, BillingError> {
    let mut days = input.usage.clone();
    days.sort_by_key(|day| day.usage_date);
    let bytes = serde_json::to_vec(&days)?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}
