//! What pricing yields: lines, their sum, one tax per rate, the total.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use super::BillingError;
use super::money::{Currency, Exact, sum};
use super::words::Words;

/// What a line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    Base,
    Api,
    Storage,
    Cpu,
    Memory,
    Bandwidth,
    /// Users beyond the plan's limit.
    Users,
    /// Engineers beyond the plan's limit.
    Engineers,
    Discount,
    Correction,
    /// Says something; amount 0.
    Note,
}

impl Item {
    /// The items a discount may name, in the order fixed amounts are taken from them.
    pub const DISCOUNTABLE: [Item; 6] =
        [Item::Base, Item::Api, Item::Storage, Item::Cpu, Item::Memory, Item::Bandwidth];

    /// Its word in tables and discounts.
    pub const fn word(self) -> &'static str {
        match self {
            Item::Base => "base",
            Item::Api => "api",
            Item::Storage => "storage",
            Item::Cpu => "cpu",
            Item::Memory => "memory",
            Item::Bandwidth => "bandwidth",
            Item::Users => "users",
            Item::Engineers => "engineers",
            Item::Discount => "discount",
            Item::Correction => "correction",
            Item::Note => "note",
        }
    }
}

/// One line. Its amount is rounded to the currency's minor unit; the quantity has at most 3 decimals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    pub item: Item,
    pub description: String,
    pub quantity: Decimal,
    pub unit: &'static str,
    pub unit_price: Decimal,
    pub amount: Decimal,
    pub tax_rate: Decimal,
}

impl Line {
    /// A line that is one piece at its amount.
    pub fn single(
        item: Item,
        words: Words,
        description: String,
        amount: Decimal,
        tax_rate: Decimal,
    ) -> Line {
        let (quantity, unit) = (Decimal::ONE, words.piece());
        Line { item, description, quantity, unit, unit_price: amount, amount, tax_rate }
    }

    /// A line that only says something.
    pub fn note(words: Words, description: String, tax_rate: Decimal) -> Line {
        Line::single(Item::Note, words, description, Decimal::ZERO, tax_rate)
    }
}

/// The tax of one rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tax {
    pub tax_rate: Decimal,
    pub taxable: Decimal,
    pub tax: Decimal,
}

/// A day's correction, as `app.usage_corrections` knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct CorrectionKey {
    pub usage_date: Date,
    pub revision: i32,
}

/// A price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Priced {
    pub currency: &'static str,
    pub lines: Vec<Line>,
    pub taxes: Vec<Tax>,
    pub subtotal: Decimal,
    pub tax: Decimal,
    pub total: Decimal,
    /// Corrections that this price settles.
    pub settles: Vec<CorrectionKey>,
}

impl Priced {
    /// Adds the lines up: tax is rounded down once per rate, on the sum of that rate's lines.
    pub fn of(currency: Currency, lines: Vec<Line>) -> Result<Priced, BillingError> {
        let zero = currency.round(Decimal::ZERO);
        let mut by_rate: BTreeMap<Decimal, Decimal> = BTreeMap::new();
        for line in &lines {
            let taxable = by_rate.entry(line.tax_rate).or_insert(zero);
            *taxable = taxable.plus(line.amount)?;
        }
        let taxes = by_rate
            .into_iter()
            .map(|(tax_rate, taxable)| {
                Ok(Tax { tax_rate, taxable, tax: currency.round_down(taxable.times(tax_rate)?) })
            })
            .collect::<Result<Vec<_>, BillingError>>()?;
        Priced::with_taxes(currency, lines, taxes)
    }

    /// Lines whose taxes are known already (a difference of two documents).
    pub fn with_taxes(
        currency: Currency,
        lines: Vec<Line>,
        taxes: Vec<Tax>,
    ) -> Result<Priced, BillingError> {
        let subtotal = currency.round(sum(lines.iter().map(|l| l.amount))?);
        let tax = currency.round(sum(taxes.iter().map(|t| t.tax))?);
        let total = subtotal.plus(tax)?;
        let currency = currency.code;
        Ok(Priced { currency, lines, taxes, subtotal, tax, total, settles: Vec::new() })
    }
}
