//! The month's usage day by day: complete or blocked, corrections counted in, and its digest.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};
use yakin_engine::days::Days;

use super::BillingError;
use super::input::{BillingInput, DailyUsage, UsageDifference};
use super::money::sum;

/// How many missing days a reason or note names.
pub(super) const NAMED_DAYS: usize = 5;

/// The usage of billed days, one entry a day.
#[derive(Clone, Debug, PartialEq)]
pub struct Usage {
    by_day: BTreeMap<Date, DailyUsage>,
    /// Days without a record that a person released: they count as zero.
    pub missing: Vec<Date>,
}

impl Usage {
    /// The sum of one measure over `days`.
    pub fn sum(
        &self,
        days: Days,
        measure: impl Fn(&DailyUsage) -> Decimal,
    ) -> Result<Decimal, BillingError> {
        sum(self.by_day.range(days.start..days.end).map(|(_, day)| measure(day)))
    }
}

/// The usage of each of `days`: a missing one blocks, unless the input is released.
pub fn complete(input: &BillingInput, days: Days) -> Result<Usage, BillingError> {
    let mut by_day = BTreeMap::new();
    for row in input.usage.iter().filter(|row| days.contains(row.usage_date)) {
        if by_day.insert(row.usage_date, row.clone()).is_some() {
            let why = format!("usage of {} is recorded twice", row.usage_date);
            return Err(BillingError::blocked(why));
        }
    }
    let missing: Vec<Date> = days.each().filter(|day| !by_day.contains_key(day)).collect();
    if !missing.is_empty() && !input.released {
        return Err(BillingError::blocked(format!("usage of {} is missing", named(&missing))));
    }
    by_day.extend(missing.iter().map(|day| (*day, nothing(*day))));
    for difference in input.differences.iter().filter(|d| days.contains(d.usage_date)) {
        if let Some(day) = by_day.get_mut(&difference.usage_date) {
            apply(day, difference)?;
        }
    }
    for day in by_day.values() {
        let used = [day.cpu_seconds, day.memory_mb_seconds];
        let counted = [day.api_calls, day.storage_bytes, day.network_bytes];
        if used.iter().any(|n| *n < Decimal::ZERO) || counted.iter().any(|n| *n < 0) {
            return Err(BillingError::blocked(format!("usage of {} is negative", day.usage_date)));
        }
    }
    Ok(Usage { by_day, missing })
}

/// Days as a reason names them: `2026-10-17, 2026-10-18`, a long list cut with the number left out.
pub fn named(days: &[Date]) -> String {
    let listed: Vec<String> = days.iter().take(NAMED_DAYS).map(Date::to_string).collect();
    match days.len().saturating_sub(NAMED_DAYS) {
        0 => listed.join(", "),
        more => format!("{} and {more} more days", listed.join(", ")),
    }
}

/// SHA-256 (hex) of the recorded usage rows in the order of days, each value in its shortest spelling.
pub fn digest(input: &BillingInput) -> Result<String, BillingError> {
    let mut rows: Vec<DailyUsage> = input.usage.clone();
    rows.sort_by_key(|row| row.usage_date);
    for row in &mut rows {
        row.cpu_seconds = row.cpu_seconds.normalize();
        row.memory_mb_seconds = row.memory_mb_seconds.normalize();
    }
    let bytes = serde_json::to_vec(&(rows, &input.differences))?;
    Ok(hex::encode(Sha256::digest(bytes)))
}

fn nothing(usage_date: Date) -> DailyUsage {
    DailyUsage {
        usage_date,
        api_calls: 0,
        storage_bytes: 0,
        cpu_seconds: Decimal::ZERO,
        memory_mb_seconds: Decimal::ZERO,
        network_bytes: 0,
    }
}

fn apply(day: &mut DailyUsage, difference: &UsageDifference) -> Result<(), BillingError> {
    let add = |have: i64, more: i64| have.checked_add(more).ok_or(BillingError::Overflow);
    day.api_calls = add(day.api_calls, difference.calls_difference)?;
    day.storage_bytes = add(day.storage_bytes, difference.storage_bytes_difference)?;
    Ok(())
}
