//! The price of a contract's month. Pure: the same input gives the same bytes, today and in seven years.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use yakin_engine::days::after;

use super::BillingError;
use super::input::{BillingInput, Correction, UsageDifference};
use super::money::{Currency, Exact};
use super::priced::{CorrectionKey, Item, Line, Priced, Tax};
use super::words::Words;
use super::{base, discount, meter, plan, tax, usage};

/// Prices `input`: the month's lines and the corrections of earlier months or, for an adjustment, the difference to
/// what had been billed. Blocked when something is missing or contradictory; nothing is guessed.
pub fn price(input: &BillingInput) -> Result<Priced, BillingError> {
    let month = price_month(input)?;
    if let Some(before) = &input.adjusts {
        let mut priced = difference(input, &price_month(before)?, &month)?;
        priced.settles = keys(&input.differences);
        priced.settles.retain(|key| !keys(&before.differences).contains(key));
        return Ok(priced);
    }
    let mut priced = Priced { settles: keys(&input.differences), ..month };
    let mut corrections: Vec<&Correction> = input.corrections.iter().collect();
    corrections.sort_by_key(|c| (c.before.period.start, c.before.contract.contract_id));
    for correction in corrections {
        priced = with_correction(priced, correction)?;
    }
    Ok(priced)
}

/// The month alone: base fee, overage by segment, notes, discounts.
fn price_month(input: &BillingInput) -> Result<Priced, BillingError> {
    let currency = Currency::of(&input.payer.currency)?;
    let days = plan::billed_days(input)?;
    let segments = plan::segments(input, days)?;
    let rate = main_rate(input)?;
    let usage = usage::complete(input, days)?;
    let words = input.payer.words();
    let discounts = discount::counting(&input.discounts, last_day(input)?)?;

    let mut lines = base::lines(input, &segments, currency, rate)?;
    for segment in &segments {
        let free = |item| discounts.free(item);
        lines.extend(meter::lines(segment, input.period, &usage, words, free, currency, rate)?);
    }
    lines.extend(discounts.lines(&lines, words, currency, rate)?);
    if !usage.missing.is_empty() {
        lines.push(Line::note(words, missing_note(words, &usage.missing), rate));
    }
    Priced::of(currency, lines)
}

/// What an invoice says about released days; a long list is cut with the number of days left out.
pub(super) fn missing_note(words: Words, days: &[Date]) -> String {
    let named: Vec<String> = days.iter().take(usage::NAMED_DAYS).map(Date::to_string).collect();
    words.released_days(&named, days.len().saturating_sub(usage::NAMED_DAYS))
}

fn last_day(input: &BillingInput) -> Result<Date, BillingError> {
    Ok(after(plan::billed_days(input)?.end, -1))
}

fn main_rate(input: &BillingInput) -> Result<Decimal, BillingError> {
    tax::rate_on(&input.tax_rates, &input.payer.country, last_day(input)?)
}

/// Adds the line that settles an earlier month: the difference of its price with and without the corrections. A credit
/// larger than what is billed now waits, whole, for the next invoice: no invoice is below zero.
fn with_correction(priced: Priced, correction: &Correction) -> Result<Priced, BillingError> {
    let before = price_month(&correction.before)?;
    let after = price_month(&correction.before.with(&correction.differences))?;
    let words = correction.before.payer.words();
    let title = words.correction(correction.before.period);
    if before.currency != priced.currency {
        let (then, now) = (before.currency, priced.currency);
        return Err(BillingError::blocked(format!("{title} is in {then}, this invoice in {now}")));
    }
    let currency = Currency::of(priced.currency)?;
    let rate = main_rate(&correction.before)?;
    let amount = after.subtotal.minus(before.subtotal)?;
    let Priced { mut lines, mut settles, .. } = priced.clone();
    if !amount.is_zero() {
        lines.push(Line::single(Item::Correction, words, title.clone(), amount, rate));
    }
    let corrected = Priced::of(currency, lines)?;
    if amount < Decimal::ZERO && corrected.subtotal.min(corrected.total) < Decimal::ZERO {
        let Priced { mut lines, settles, .. } = priced;
        lines.push(Line::note(words, words.carried_over(&title, amount), rate));
        return Ok(Priced { settles, ..Priced::of(currency, lines)? });
    }
    settles.extend(keys(&correction.differences));
    Ok(Priced { settles, ..corrected })
}

/// `after` − `before`, by item and by rate; the taxes are differences too, so that both documents together say what
/// one right invoice would have said.
fn difference(
    input: &BillingInput,
    before: &Priced,
    after: &Priced,
) -> Result<Priced, BillingError> {
    let currency = Currency::of(after.currency)?;
    if before.currency != after.currency {
        let (then, now) = (before.currency, after.currency);
        let why = format!("{} was billed in {then} and is priced in {now} now", input.period);
        return Err(BillingError::blocked(why));
    }
    let mut amounts: BTreeMap<(Decimal, Item), Decimal> = BTreeMap::new();
    let mut taxes: BTreeMap<Decimal, (Decimal, Decimal)> = BTreeMap::new();
    for (priced, sign) in [(before, Decimal::NEGATIVE_ONE), (after, Decimal::ONE)] {
        for line in &priced.lines {
            let amount = amounts.entry((line.tax_rate, line.item)).or_default();
            *amount = amount.plus(line.amount.times(sign)?)?;
        }
        for tax in &priced.taxes {
            let (taxable, amount) = taxes.entry(tax.tax_rate).or_default();
            *taxable = taxable.plus(tax.taxable.times(sign)?)?;
            *amount = amount.plus(tax.tax.times(sign)?)?;
        }
    }
    let words = input.payer.words();
    let lines = amounts.into_iter().filter(|(_, amount)| !amount.is_zero());
    let lines = lines.map(|((rate, item), amount)| {
        Line::single(item, words, words.difference(input.period, item), amount, rate)
    });
    let taxes =
        taxes.into_iter().filter(|(_, (taxable, tax))| !taxable.is_zero() || !tax.is_zero());
    let taxes = taxes.map(|(tax_rate, (taxable, tax))| Tax { tax_rate, taxable, tax });
    Priced::with_taxes(currency, lines.collect(), taxes.collect())
}

fn keys(differences: &[UsageDifference]) -> Vec<CorrectionKey> {
    differences
        .iter()
        .map(|d| CorrectionKey { usage_date: d.usage_date, revision: d.revision })
        .collect()
}
