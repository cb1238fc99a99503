//! What an invoice is computed from, frozen: the JSON of [`BillingInput`] is `invoices.snapshot`, and pricing it again
//! gives the same bytes for as long as the invoice is kept.

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use yakin_engine::days::Days;

use super::words::Words;

/// The form of the snapshot written today.
pub const SNAPSHOT_FORMAT: u32 = 1;

/// One contract's month with everything its price depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BillingInput {
    /// See [`SNAPSHOT_FORMAT`].
    pub format: u32,
    /// A calendar month.
    pub period: Days,
    pub payer: Payer,
    pub contract: Contract,
    pub plan_changes: Vec<PlanChange>,
    pub plans: Vec<Plan>,
    pub usage: Vec<DailyUsage>,
    /// Corrections of days of this month that are part of this price.
    pub differences: Vec<UsageDifference>,
    pub discounts: Vec<Discount>,
    pub tax_rates: Vec<TaxRate>,
    /// A person released the missing usage days: they count as zero.
    pub released: bool,
    /// Earlier months whose usage was corrected since they were billed; each becomes a line of its own.
    pub corrections: Vec<Correction>,
    /// For an adjustment document: what had been billed; the price is the difference to it.
    pub adjusts: Option<Box<BillingInput>>,
}

impl BillingInput {
    /// The month alone, without what other months or documents added: what a later difference is measured against.
    pub fn alone(mut self) -> BillingInput {
        self.corrections.clear();
        self.adjusts = None;
        self
    }

    /// The same month with these differences counted in (those already in it only once).
    pub fn with(&self, differences: &[UsageDifference]) -> BillingInput {
        let mut input = self.clone();
        input.differences.extend(differences.iter().filter(|d| !self.holds(d)).cloned());
        input.differences.sort_by_key(|d| (d.usage_date, d.revision));
        input
    }

    fn holds(&self, difference: &UsageDifference) -> bool {
        let key = |d: &UsageDifference| (d.usage_date, d.revision);
        self.differences.iter().any(|d| key(d) == key(difference))
    }
}

/// The tenant as the invoice names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct Payer {
    pub tenant_id: i64,
    pub code: String,
    pub name: String,
    pub country: String,
    pub currency: String,
    pub language: String,
    pub billing_name: Option<String>,
    pub billing_address: Option<String>,
    pub billing_cycle: Cycle,
    pub payment_terms_days: i32,
}

impl Payer {
    /// The language of its documents.
    pub fn words(&self) -> Words {
        Words::of(&self.language)
    }
}

/// How often the base fee is billed, in advance; overage is monthly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Cycle {
    Monthly,
    Quarterly,
    Annual,
}

impl Cycle {
    /// Its length in months.
    pub fn months(self) -> i32 {
        match self {
            Cycle::Monthly => 1,
            Cycle::Quarterly => 3,
            Cycle::Annual => 12,
        }
    }
}

/// The contract: first day and last day, inclusive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct Contract {
    pub contract_id: i64,
    #[sqlx(try_from = "jiff_sqlx::Date")]
    pub starts_on: Date,
    #[sqlx(try_from = "MaybeDate")]
    pub ends_on: Option<Date>,
}

/// The plan of a contract from a day on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct PlanChange {
    #[sqlx(try_from = "jiff_sqlx::Date")]
    pub starts_on: Date,
    pub plan_code: String,
}

/// One version of a plan: what a month costs, includes, and costs beyond that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct Plan {
    pub plan_code: String,
    #[sqlx(try_from = "jiff_sqlx::Date")]
    pub valid_from: Date,
    pub name: String,
    pub currency: String,
    pub base_fee: Decimal,
    pub included_api_calls: i64,
    pub api_rate_per_1000: Decimal,
    pub included_storage_gb: Decimal,
    pub storage_rate_per_gb: Decimal,
    pub included_cpu_hours: Decimal,
    pub cpu_rate_per_hour: Decimal,
    pub included_memory_gb_hours: Decimal,
    pub memory_rate_per_gb_hour: Decimal,
    pub included_bandwidth_gb: Decimal,
    pub bandwidth_rate_per_gb: Decimal,
}

/// What was used on one day, as BATCH-301 recorded it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct DailyUsage {
    #[sqlx(try_from = "jiff_sqlx::Date")]
    pub usage_date: Date,
    pub api_calls: i64,
    /// At the end of the day: a gauge.
    pub storage_bytes: i64,
    pub cpu_seconds: Decimal,
    pub memory_mb_seconds: Decimal,
    /// In and out together.
    pub network_bytes: i64,
}

/// One correction of a day that had been billed; revisions of a day add up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct UsageDifference {
    #[sqlx(try_from = "jiff_sqlx::Date")]
    pub usage_date: Date,
    pub revision: i32,
    pub calls_difference: i64,
    pub storage_bytes_difference: i64,
}

/// A discount of the tenant; it counts in a month whose last billed day lies in its range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct Discount {
    pub discount_id: i64,
    pub kind: DiscountKind,
    /// The items it is for; none = all.
    pub items: Vec<String>,
    /// Percent (10 = 10 %), an amount of money, or free units a month.
    pub value: Decimal,
    pub description: String,
    #[sqlx(try_from = "jiff_sqlx::Date")]
    pub valid_from: Date,
    /// Inclusive.
    #[sqlx(try_from = "MaybeDate")]
    pub valid_to: Option<Date>,
}

/// What a discount does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum DiscountKind {
    FreeQuota,
    Percentage,
    FixedAmount,
}

/// A tax rate from a day on, as a fraction (0.10 = 10 %).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct TaxRate {
    pub country: String,
    #[sqlx(try_from = "jiff_sqlx::Date")]
    pub valid_from: Date,
    pub rate: Decimal,
}

/// An earlier month as it was billed, and the differences found since.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Correction {
    pub before: BillingInput,
    pub differences: Vec<UsageDifference>,
}

/// A nullable date column.
#[derive(sqlx::Type)]
#[sqlx(transparent)]
struct MaybeDate(Option<jiff_sqlx::Date>);

impl From<MaybeDate> for Option<Date> {
    fn from(date: MaybeDate) -> Option<Date> {
        date.0.map(Date::from)
    }
}
