//! What the month would cost a tenant so far: the price module's own figures for the contract's
//! days up to and with a day, before tax, month by month whatever the billing cycle. Not
//! computable: no amount, but the reason.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use yakin_engine::days::Days;
use yakin_engine::prelude::*;

use crate::billing::input::Cycle;
use crate::billing::money::sum;
use crate::billing::{BillingInput, Loaded, load, price};

/// An amount, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Estimate {
    Amount { amount: Decimal, currency: String },
    Missing(String),
}

/// Computes the estimate of `day` again and writes it where it differs.
pub async fn refresh(tx: &mut Tx, tenant: i64, day: Date) -> Result<(), Stop> {
    let estimate = match load(tx, Days::month_of(day), false, false).await {
        Ok(loaded) => up_to(day, &loaded),
        Err(Stop::Blocked { reason }) => Estimate::Missing(reason),
        Err(stop) => return Err(stop),
    };
    let (amount, currency, missing) = match estimate {
        Estimate::Amount { amount, currency } => (Some(amount), Some(currency), None),
        Estimate::Missing(reason) => (None, None, Some(reason)),
    };
    sqlx::query(include_str!("estimate_store.sql"))
        .bind(tenant)
        .bind(day.to_sqlx())
        .bind(amount)
        .bind(currency)
        .bind(missing)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// The price of the month's days up to and with `day`.
pub fn up_to(day: Date, loaded: &Loaded) -> Estimate {
    let inputs: Vec<BillingInput> = loaded
        .bills
        .iter()
        .filter(|bill| bill.input.contract.starts_on <= day)
        .map(|bill| shortened(bill.input.clone(), day))
        .collect();
    let Some(first) = inputs.first() else {
        let why = match loaded.reused.is_empty() {
            true => "no contract of the month is priced by usage",
            false => "the month is billed already",
        };
        return Estimate::Missing(why.to_owned());
    };
    let currency = first.payer.currency.clone();
    let amounts: Result<Vec<Decimal>, _> =
        inputs.iter().map(|input| price(input).map(|priced| priced.subtotal)).collect();
    match amounts.and_then(sum) {
        Ok(amount) => Estimate::Amount { amount, currency },
        Err(error) => Estimate::Missing(error.to_string()),
    }
}

/// The same month as if the contract ended with `day` and were billed monthly, without what other
/// months left open.
fn shortened(input: BillingInput, day: Date) -> BillingInput {
    let mut input = input.alone();
    input.contract.ends_on = Some(input.contract.ends_on.map_or(day, |last| last.min(day)));
    input.payer.billing_cycle = Cycle::Monthly;
    input.released = false;
    input
}
