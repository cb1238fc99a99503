//! Base + heads beyond the limits at their peak of the month. Pure: the same input gives the same bytes.

use jiff::civil::Date;
use rust_decimal::Decimal;
use yakin_engine::days::{Days, after};

use super::input::{Headcount, Proration, SeatInput};
use crate::billing::base::share;
use crate::billing::money::{Currency, Exact, half_up};
use crate::billing::plan::billed_days_of;
use crate::billing::price::missing_note;
use crate::billing::usage::named;
use crate::billing::{BillingError, Item, Line, Priced, tax};

/// Prices a month. Blocked when something is missing or contradictory; nothing is guessed.
pub fn price(input: &SeatInput) -> Result<Priced, BillingError> {
    let days = billed_days_of(&input.contract, input.period)?;
    let currency = Currency::of(&input.payer.currency)?;
    if input.plan.currency != currency.code {
        let (code, plan) = (&input.plan.plan_code, &input.plan.currency);
        let why =
            format!("plan '{code}' is priced in {plan}, the tenant pays in {}", currency.code);
        return Err(BillingError::blocked(why));
    }
    let rate = tax::rate_on(&input.tax_rates, &input.payer.country, after(days.end, -1))?;
    let missing = missing(input, days)?;

    let mut lines = vec![base(input, days, currency, rate)?];
    for seat in seats(input) {
        lines.extend(extra(input, days, &seat, currency, rate)?);
    }
    if !missing.is_empty() {
        let words = input.payer.words();
        lines.push(Line::note(words, missing_note(words, &missing), rate));
    }
    Priced::of(currency, lines)
}

/// The billed days without a record: they block, unless a person released them.
fn missing(input: &SeatInput, days: Days) -> Result<Vec<Date>, BillingError> {
    let recorded = |day: &Date| input.usage.iter().filter(|u| u.usage_date == *day).count();
    if let Some(day) = days.each().find(|day| recorded(day) > 1) {
        return Err(BillingError::blocked(format!("usage of {day} is recorded twice")));
    }
    let missing: Vec<Date> = days.each().filter(|day| recorded(day) == 0).collect();
    if !missing.is_empty() && !input.released {
        return Err(BillingError::blocked(format!("usage of {} is missing", named(&missing))));
    }
    Ok(missing)
}

fn base(
    input: &SeatInput,
    days: Days,
    currency: Currency,
    tax_rate: Decimal,
) -> Result<Line, BillingError> {
    let (fee, words) = (input.plan.base_fee, input.payer.words());
    let (months, amount) = match input.proration {
        Proration::None => (Decimal::ONE, currency.round(fee)),
        // multiplied before it is divided: no digit is lost before the rounding that decides
        Proration::Daily => {
            let exact = fee.times(days.count())?.over(input.period.count())?;
            (share(days, input.period)?, currency.round_down(exact))
        }
    };
    Ok(Line {
        item: Item::Base,
        description: words.base(&input.plan.name, &days.to_string()),
        quantity: half_up(months, 3).normalize(),
        unit: words.unit(Item::Base),
        unit_price: fee,
        amount,
        tax_rate,
    })
}

/// One kind of head.
struct Seat {
    item: Item,
    limit: Option<i32>,
    unit_price: Decimal,
    heads: fn(&Headcount) -> i64,
}

fn seats(input: &SeatInput) -> [Seat; 2] {
    let plan = &input.plan;
    [
        Seat {
            item: Item::Users,
            limit: plan.max_users,
            unit_price: plan.price_per_user,
            heads: |day| day.users,
        },
        Seat {
            item: Item::Engineers,
            limit: plan.max_engineers,
            unit_price: plan.price_per_engineer,
            heads: |day| day.engineers,
        },
    ]
}

/// The line of the heads beyond the limit; none within it, or without a limit.
fn extra(
    input: &SeatInput,
    days: Days,
    seat: &Seat,
    currency: Currency,
    tax_rate: Decimal,
) -> Result<Option<Line>, BillingError> {
    let counted = input.usage.iter().filter(|day| days.contains(day.usage_date));
    // of several days with the peak, the first
    let peak = counted
        .map(|day| ((seat.heads)(day), day.usage_date))
        .max_by_key(|(heads, day)| (*heads, std::cmp::Reverse(*day)));
    let (Some((heads, day)), Some(limit)) = (peak, seat.limit) else { return Ok(None) };
    let over = heads - i64::from(limit);
    if over <= 0 {
        return Ok(None);
    }
    let (quantity, words) = (Decimal::from(over), input.payer.words());
    Ok(Some(Line {
        item: seat.item,
        description: words.seats(seat.item, (heads, day), limit),
        quantity,
        unit: words.unit(seat.item),
        unit_price: seat.unit_price,
        amount: currency.round(quantity.times(seat.unit_price)?),
        tax_rate,
    }))
}
