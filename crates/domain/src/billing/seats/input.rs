//! What an invoice by heads is computed from, frozen: the JSON of [`SeatInput`] is `invoices.snapshot`.

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use yakin_engine::days::Days;

use crate::billing::input::{Contract, Payer, TaxRate};

/// The form of the snapshot written today.
pub const SNAPSHOT_FORMAT: u32 = 1;

/// One contract's month with everything its price depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeatInput {
    /// See [`SNAPSHOT_FORMAT`].
    pub format: u32,
    /// A calendar month.
    pub period: Days,
    pub payer: Payer,
    pub contract: Contract,
    pub proration: Proration,
    /// The plan and its version on the last billed day.
    pub plan: SeatPlan,
    /// The recorded days.
    pub usage: Vec<Headcount>,
    pub tax_rates: Vec<TaxRate>,
    /// A person released the missing days: they count as zero.
    pub released: bool,
}

/// Whether the base fee is a part of itself where a contract does not cover the whole month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Proration {
    /// The whole fee for any day of the month.
    None,
    /// By days, rounded down.
    Daily,
}

/// What a plan says about heads. No limit is unlimited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct SeatPlan {
    pub plan_code: String,
    #[sqlx(try_from = "jiff_sqlx::Date")]
    pub valid_from: Date,
    pub name: String,
    pub currency: String,
    pub base_fee: Decimal,
    pub max_users: Option<i32>,
    pub price_per_user: Decimal,
    pub max_engineers: Option<i32>,
    pub price_per_engineer: Decimal,
}

/// Registered heads of a day, as DAILY_002 recorded them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct Headcount {
    #[sqlx(try_from = "jiff_sqlx::Date")]
    pub usage_date: Date,
    pub users: i64,
    pub engineers: i64,
}
