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

/// A tenant's month, priced contract by contract.
#[derive(Debug)]
pub struct Month<'a> {
    /// What can be issued.
    pub documents: Vec<(&'a SeatBill, Document)>,
    /// Contracts that a person must look at first, and why.
    pub review: Vec<(i64, String)>,
    /// Whether the tenant has other contracts than those in review.
    others: bool,
}

/// Prices each contract by itself: one that cannot be priced holds up no other.
pub fn month<'a>(loaded: &'a Loaded, issuer: &Issuer) -> Result<Month<'a>, BillingError> {
    let (mut documents, mut review) = (Vec::new(), loaded.review.clone());
    for bill in &loaded.bills {
        match document(bill, issuer) {
            Ok(document) => documents.push((bill, document)),
            Err(BillingError::Blocked(why)) => review.push((bill.input.contract.contract_id, why)),
            Err(error) => return Err(error),
        }
    }
    let others = !documents.is_empty() || !loaded.reused.is_empty();
    Ok(Month { documents, review, others })
}

impl Month<'_> {
    /// Why a person must look: one reason where it is all contracts' reason, else each contract with its own.
    pub fn why(&self) -> String {
        match self.review.split_first() {
            Some(((_, why), rest)) if !self.others && rest.iter().all(|(_, w)| w == why) => {
                why.clone()
            }
            _ => {
                let each = self.review.iter().map(|(id, why)| format!("contract {id}: {why}"));
                each.collect::<Vec<_>>().join("; ")
            }
        }
    }
}

/// SHA-256 (hex) of the recorded days in their order.
fn digest(input: &SeatInput) -> Result<String, BillingError> {
    let mut days = input.usage.clone();
    days.sort_by_key(|day| day.usage_date);
    let bytes = serde_json::to_vec(&days)?;
    Ok(hex::encode(Sha256::digest(bytes)))
}
