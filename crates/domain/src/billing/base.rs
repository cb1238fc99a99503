//! The base fee: pro rata by contract days, in advance for the whole cycle in the month that starts one.

use rust_decimal::Decimal;
use yakin_engine::days::{Days, after};

use super::BillingError;
use super::input::BillingInput;
use super::money::{Currency, Exact, half_up};
use super::plan::{Segment, contract_days};
use super::priced::{Item, Line};

/// The lines of the base fee: one per segment of the month, and one for the rest of a longer cycle. Amounts are
/// differences of the rounded running total, so that the parts of a split month add up to the whole.
pub fn lines(
    input: &BillingInput,
    segments: &[Segment<'_>],
    currency: Currency,
    rate: Decimal,
) -> Result<Vec<Line>, BillingError> {
    let Some(last) = segments.last() else { return Ok(Vec::new()) };
    if !starts_cycle(input) {
        return Ok(Vec::new());
    }
    let words = input.payer.words();
    let mut lines = Vec::new();
    let (mut exact, mut billed) = (Decimal::ZERO, Decimal::ZERO);
    let mut add = |months: Decimal, segment: &Segment<'_>, when: String| {
        exact = exact.plus(segment.plan.base_fee.times(months)?)?;
        let amount = currency.round(exact).minus(billed)?;
        billed = billed.plus(amount)?;
        lines.push(Line {
            item: Item::Base,
            description: words.base(&segment.plan.name, &when),
            quantity: half_up(months, 3).normalize(),
            unit: words.unit(Item::Base),
            unit_price: segment.plan.base_fee,
            amount,
            tax_rate: rate,
        });
        Ok::<(), BillingError>(())
    };
    for segment in segments {
        let share = share(segment.days, input.period)?;
        add(share, segment, segment.days.to_string())?;
    }
    let ahead = rest_of_cycle(input);
    if let (Some(first), Some(final_month)) = (ahead.first(), ahead.last()) {
        let mut months = Decimal::ZERO;
        for month in &ahead {
            months = months.plus(share(contract_days(&input.contract, *month), *month)?)?;
        }
        add(months, last, words.in_advance(*first, *final_month))?;
    }
    Ok(lines)
}

/// `days` as a part of their month.
pub fn share(days: Days, month: Days) -> Result<Decimal, BillingError> {
    Decimal::from(days.count()).over(month.count())
}

/// Whether the billed month starts a cycle, counted in calendar months from the contract's first.
fn starts_cycle(input: &BillingInput) -> bool {
    let months = |date: jiff::civil::Date| i32::from(date.year()) * 12 + i32::from(date.month());
    let elapsed = months(input.period.start) - months(input.contract.starts_on);
    elapsed.rem_euclid(input.payer.billing_cycle.months()) == 0
}

/// The later months of the cycle that the contract still touches.
fn rest_of_cycle(input: &BillingInput) -> Vec<Days> {
    let mut month = input.period;
    let later = (1..input.payer.billing_cycle.months()).map(|_| {
        month = Days::month_of(after(month.end, 0));
        month
    });
    later.filter(|month| contract_days(&input.contract, *month).count() > 0).collect()
}
