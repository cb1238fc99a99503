//! Which tax rate an invoice bears. How tax is rounded stands with [`super::priced::Priced::of`].

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::BillingError;
use super::input::TaxRate;

/// The rate valid in `country` on the last billed day; an unknown one is never guessed.
pub fn rate_on(rates: &[TaxRate], country: &str, day: Date) -> Result<Decimal, BillingError> {
    rates
        .iter()
        .filter(|r| r.country == country && r.valid_from <= day)
        .max_by_key(|r| r.valid_from)
        .map(|r| r.rate.normalize())
        .ok_or_else(|| BillingError::blocked(format!("no tax rate of {country} on {day}")))
}
