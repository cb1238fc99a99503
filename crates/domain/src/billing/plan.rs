//! From a contract to the segments of a month: stretches of billed days with one and the same version of a plan.

use jiff::civil::Date;
use yakin_engine::days::{Days, after};

use super::BillingError;
use super::input::{BillingInput, Contract, Plan};

/// Consecutive billed days under one version of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment<'a> {
    pub days: Days,
    pub plan: &'a Plan,
}

/// The days of `days` that the contract covers; empty when it covers none.
pub fn contract_days(contract: &Contract, days: Days) -> Days {
    let start = contract.starts_on.max(days.start);
    let end = contract.ends_on.map_or(days.end, |last| after(last, 1).min(days.end));
    Days { start, end: end.max(start) }
}

/// The billed days of the input's month: blocked when the contract's dates contradict each other or miss the month.
pub fn billed_days(input: &BillingInput) -> Result<Days, BillingError> {
    billed_days_of(&input.contract, input.period)
}

/// The days of a month that a contract is billed for; blocked as [`billed_days`] is.
pub fn billed_days_of(contract: &Contract, month: Days) -> Result<Days, BillingError> {
    let (id, starts_on) = (contract.contract_id, contract.starts_on);
    if let Some(ends_on) = contract.ends_on.filter(|last| *last < starts_on) {
        let why = format!("contract {id} ends on {ends_on}, before it starts on {starts_on}");
        return Err(BillingError::blocked(why));
    }
    if month != Days::month_of(month.start) {
        return Err(BillingError::blocked(format!("{month} is not a calendar month")));
    }
    let days = contract_days(contract, month);
    if days.count() == 0 {
        let why = format!("contract {id} covers no day of {month}");
        return Err(BillingError::blocked(why));
    }
    Ok(days)
}

/// Two contracts that both claim a day would bill its usage twice: blocked.
pub fn no_day_twice(contracts: &[Contract], month: Days) -> Result<(), BillingError> {
    let mut covered: Vec<(Days, i64)> =
        contracts.iter().map(|c| (contract_days(c, month), c.contract_id)).collect();
    covered.retain(|(days, _)| days.count() > 0);
    covered.sort_by_key(|(days, id)| (days.start, *id));
    for pair in covered.windows(2) {
        let ((first, a), (second, b)) = (pair[0], pair[1]);
        if second.start < first.end {
            let why = format!("contracts {a} and {b} both cover {}", second.start);
            return Err(BillingError::blocked(why));
        }
    }
    Ok(())
}

/// The segments of `days`, in order, together covering each day once.
pub fn segments(input: &BillingInput, days: Days) -> Result<Vec<Segment<'_>>, BillingError> {
    let mut segments: Vec<Segment<'_>> = Vec::new();
    for day in days.each() {
        let plan = plan_on(input, day)?;
        match segments.last_mut() {
            Some(segment) if std::ptr::eq(segment.plan, plan) => segment.days.end = after(day, 1),
            _ => segments.push(Segment { days: Days::one(day), plan }),
        }
    }
    Ok(segments)
}

fn plan_on(input: &BillingInput, day: Date) -> Result<&Plan, BillingError> {
    let change =
        input.plan_changes.iter().filter(|c| c.starts_on <= day).max_by_key(|c| c.starts_on);
    let Some(change) = change else {
        let id = input.contract.contract_id;
        return Err(BillingError::blocked(format!("contract {id} has no plan on {day}")));
    };
    let code = &change.plan_code;
    let version = input
        .plans
        .iter()
        .filter(|p| p.plan_code == *code && p.valid_from <= day)
        .max_by_key(|p| p.valid_from)
        .ok_or_else(|| BillingError::blocked(format!("plan '{code}' is unknown on {day}")))?;
    if version.currency != input.payer.currency {
        let (plan, payer) = (&version.currency, &input.payer.currency);
        let why = format!("plan '{code}' is priced in {plan}, the tenant pays in {payer}");
        return Err(BillingError::blocked(why));
    }
    Ok(version)
}
