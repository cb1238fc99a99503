//! Discounts, in their order: free quotas raise the allowance; percentages are taken from the undiscounted items they
//! name, at most 100 % of each; fixed amounts come last; what is left is never below zero.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::BillingError;
use super::input::{Discount, DiscountKind};
use super::money::{Currency, Exact, sum};
use super::priced::{Item, Line};
use super::words::Words;

/// The discounts that count in a month, in the order of their ids.
pub struct Discounts<'a>(Vec<(&'a Discount, Vec<Item>)>);

/// Those of `discounts` whose range covers `last_billed_day`.
pub fn counting(
    discounts: &[Discount],
    last_billed_day: Date,
) -> Result<Discounts<'_>, BillingError> {
    let mut counting: Vec<&Discount> = discounts
        .iter()
        .filter(|d| d.valid_from <= last_billed_day)
        .filter(|d| d.valid_to.is_none_or(|last| last_billed_day <= last))
        .collect();
    counting.sort_by_key(|d| d.discount_id);
    let named: Result<Vec<_>, _> = counting.into_iter().map(|d| Ok((d, items_of(d)?))).collect();
    named.map(Discounts)
}

/// The items a discount is for; a name that is none of ours is a mistake somebody has to mend.
fn items_of(discount: &Discount) -> Result<Vec<Item>, BillingError> {
    let named = |word: &String| {
        let known = Item::DISCOUNTABLE.into_iter().find(|item| item.word() == word);
        let id = discount.discount_id;
        known.ok_or_else(|| {
            BillingError::blocked(format!("discount {id} names unknown item '{word}'"))
        })
    };
    let mut items: Vec<Item> = match discount.items.is_empty() {
        true => Item::DISCOUNTABLE.to_vec(),
        false => discount.items.iter().map(named).collect::<Result<_, _>>()?,
    };
    items.sort();
    items.dedup();
    Ok(items)
}

impl Discounts<'_> {
    /// Units that free quotas add to the month's allowance of `item`.
    pub fn free(&self, item: Item) -> Result<Decimal, BillingError> {
        sum(self
            .of(DiscountKind::FreeQuota)
            .filter(|(_, i)| i.contains(&item))
            .map(|(d, _)| d.value))
    }

    /// The discount lines for `charged` lines.
    pub fn lines(
        &self,
        charged: &[Line],
        words: Words,
        currency: Currency,
        tax_rate: Decimal,
    ) -> Result<Vec<Line>, BillingError> {
        let mut ledger = Ledger::of(charged)?;
        let mut lines = Vec::new();
        for (discount, items) in self.of(DiscountKind::Percentage) {
            let taken = ledger.take_percent(items, discount.value)?;
            let amount = ledger.draw(currency.round(taken))?;
            let text = format!("{} ({}%)", discount.description, discount.value.normalize());
            lines.push((text, amount));
        }
        for (discount, items) in self.of(DiscountKind::FixedAmount) {
            let taken = ledger.take_amount(items, discount.value)?;
            let amount = ledger.draw(currency.round(taken))?;
            lines.push((discount.description.clone(), amount));
        }
        lines.retain(|(_, amount)| !amount.is_zero());
        Ok(lines
            .into_iter()
            .map(|(text, amount)| Line::single(Item::Discount, words, text, -amount, tax_rate))
            .collect())
    }

    fn of(&self, kind: DiscountKind) -> impl Iterator<Item = (&Discount, &[Item])> {
        self.0.iter().filter(move |(d, _)| d.kind == kind).map(|(d, items)| (*d, items.as_slice()))
    }
}

/// What is left to discount: per item exactly, and of the subtotal in rounded amounts.
struct Ledger {
    undiscounted: BTreeMap<Item, Decimal>,
    percent_left: BTreeMap<Item, Decimal>,
    left: BTreeMap<Item, Decimal>,
    subtotal: Decimal,
}

impl Ledger {
    fn of(charged: &[Line]) -> Result<Ledger, BillingError> {
        let mut undiscounted: BTreeMap<Item, Decimal> = BTreeMap::new();
        for line in charged.iter().filter(|line| Item::DISCOUNTABLE.contains(&line.item)) {
            let amount = undiscounted.entry(line.item).or_default();
            *amount = amount.plus(line.amount)?;
        }
        let subtotal = sum(undiscounted.values().copied())?;
        let percent_left = undiscounted.keys().map(|item| (*item, Decimal::ONE_HUNDRED)).collect();
        Ok(Ledger { left: undiscounted.clone(), undiscounted, percent_left, subtotal })
    }

    /// `percent` of each named item, as far as its hundred percent reach.
    fn take_percent(&mut self, items: &[Item], percent: Decimal) -> Result<Decimal, BillingError> {
        let mut taken = Decimal::ZERO;
        for item in items {
            let (Some(amount), Some(percent_left), Some(left)) = (
                self.undiscounted.get(item),
                self.percent_left.get_mut(item),
                self.left.get_mut(item),
            ) else {
                continue;
            };
            let percent = percent.min(*percent_left);
            *percent_left = percent_left.minus(percent)?;
            let part = amount.times(percent)?.over(100)?;
            *left = left.minus(part)?;
            taken = taken.plus(part)?;
        }
        Ok(taken)
    }

    /// Up to `amount` from the named items, in their order.
    fn take_amount(&mut self, items: &[Item], amount: Decimal) -> Result<Decimal, BillingError> {
        let mut wanted = amount;
        for item in items {
            if let Some(left) = self.left.get_mut(item) {
                let part = wanted.min(*left).max(Decimal::ZERO);
                *left = left.minus(part)?;
                wanted = wanted.minus(part)?;
            }
        }
        amount.minus(wanted)
    }

    /// Takes `amount` off the subtotal, which stays at or above zero; returns what was taken.
    fn draw(&mut self, amount: Decimal) -> Result<Decimal, BillingError> {
        let amount = amount.min(self.subtotal);
        self.subtotal = self.subtotal.minus(amount)?;
        Ok(amount)
    }
}
