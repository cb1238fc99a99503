//! Billing: from a contract's month to an issued invoice. [`price()`] (by usage, BATCH-302) and
//! [`seats::price()`] (by heads, MONTHLY_001) are pure; `load` reads what they need, `issue` writes what came out.

pub mod base;
pub mod contracts;
pub mod decide;
pub mod discount;
pub mod draft;
pub mod export;
pub mod hold;
pub mod input;
pub mod issue;
pub mod issuer;
pub mod load;
pub mod meter;
pub mod money;
pub mod number;
pub mod paper;
pub mod plan;
pub mod price;
pub mod priced;
pub mod seats;
pub mod tax;
pub mod usage;
pub mod words;

pub use contracts::{BillingEngine, payers};
pub use decide::decide;
pub use input::BillingInput;
pub use issue::{Document, Issued, document, issue};
pub use load::{Bill, Loaded, bind_usage, load};
pub use price::price;
pub use priced::{Item, Line, Priced};

use yakin_engine::outcome::{Cause, Stop};

/// Why something has no price, or may not be done.
#[derive(Debug, thiserror::Error)]
pub enum BillingError {
    /// Input is missing or contradicts itself; a person has to mend it.
    #[error("{0}")]
    Blocked(String),
    /// A figure does not fit 28 digits.
    #[error("a figure is too large to be computed exactly")]
    Overflow,
    /// A snapshot cannot be written or read.
    #[error("billing snapshot: {0}")]
    Snapshot(#[from] serde_json::Error),
}

impl BillingError {
    /// See [`BillingError::Blocked`].
    pub fn blocked(reason: impl Into<String>) -> BillingError {
        BillingError::Blocked(reason.into())
    }
}

impl From<BillingError> for Stop {
    fn from(error: BillingError) -> Stop {
        match error {
            BillingError::Blocked(reason) => Stop::blocked(reason),
            other => Stop::give_up(Cause::Data, other.to_string()),
        }
    }
}
