//! Overage: what was used beyond the included quota, segment by segment, each quota pro rata by days.

use rust_decimal::Decimal;
use yakin_engine::days::Days;

use super::BillingError;
use super::input::{DailyUsage, Plan};
use super::money::{Currency, Exact, half_up, started};
use super::plan::Segment;
use super::priced::{Item, Line};
use super::usage::Usage;
use super::words::Words;

/// 1,024³ bytes.
const GB: i64 = 1024 * 1024 * 1024;
/// Seconds of an hour.
const HOUR: i64 = 3600;
/// MB-seconds of a GB-hour.
const GB_HOUR: i64 = 1024 * 3600;

/// Something metered: how much of the daily measure makes a unit, and what a plan says about it.
struct Meter {
    item: Item,
    size: i64,
    /// A gauge is averaged over days, a flow is summed.
    gauge: bool,
    measure: fn(&DailyUsage) -> Decimal,
    included: fn(&Plan) -> Decimal,
    rate: fn(&Plan) -> Decimal,
}

const METERS: [Meter; 5] = [
    Meter {
        item: Item::Api,
        size: 1,
        gauge: false,
        measure: |day| day.api_calls.into(),
        included: |plan| plan.included_api_calls.into(),
        rate: |plan| plan.api_rate_per_1000,
    },
    Meter {
        item: Item::Storage,
        size: GB,
        gauge: true,
        measure: |day| day.storage_bytes.into(),
        included: |plan| plan.included_storage_gb,
        rate: |plan| plan.storage_rate_per_gb,
    },
    Meter {
        item: Item::Cpu,
        size: HOUR,
        gauge: false,
        measure: |day| day.cpu_seconds,
        included: |plan| plan.included_cpu_hours,
        rate: |plan| plan.cpu_rate_per_hour,
    },
    Meter {
        item: Item::Memory,
        size: GB_HOUR,
        gauge: false,
        measure: |day| day.memory_mb_seconds,
        included: |plan| plan.included_memory_gb_hours,
        rate: |plan| plan.memory_rate_per_gb_hour,
    },
    Meter {
        item: Item::Bandwidth,
        size: GB,
        gauge: false,
        measure: |day| day.network_bytes.into(),
        included: |plan| plan.included_bandwidth_gb,
        rate: |plan| plan.bandwidth_rate_per_gb,
    },
];

/// The lines of one segment's overage. `free` gives what free quotas add to an item's allowance of a whole month.
pub fn lines(
    segment: &Segment<'_>,
    month: Days,
    usage: &Usage,
    words: Words,
    free: impl Fn(Item) -> Result<Decimal, BillingError>,
    currency: Currency,
    tax_rate: Decimal,
) -> Result<Vec<Line>, BillingError> {
    let mut lines = Vec::new();
    for meter in &METERS {
        let allowance = (meter.included)(segment.plan).plus(free(meter.item)?)?;
        let over = over(meter, segment, month, usage, allowance)?;
        // The API is sold per started thousand, the rest proportionally.
        let quantity = match meter.item {
            Item::Api => started(over.over(1000)?),
            _ => half_up(over, 3),
        };
        if quantity <= Decimal::ZERO {
            continue;
        }
        let unit_price = (meter.rate)(segment.plan);
        lines.push(Line {
            item: meter.item,
            description: describe(meter, words, segment, month, usage, allowance)?,
            quantity: quantity.normalize(),
            unit: words.unit(meter.item),
            unit_price,
            amount: currency.round(quantity.times(unit_price)?),
            tax_rate,
        });
    }
    Ok(lines)
}

/// Units beyond the allowance, exact but for one division. Use × days of the month is set against allowance × days of
/// the segment: for a flow the quota is pro rata; for a gauge, use summed over days ÷ days of the month is the average
/// × the segment's share of the month, so that half a month of 20 GB too much costs half of a month's.
fn over(
    meter: &Meter,
    segment: &Segment<'_>,
    month: Days,
    usage: &Usage,
    allowance: Decimal,
) -> Result<Decimal, BillingError> {
    let used = usage.sum(segment.days, meter.measure)?;
    let used = if meter.gauge { used } else { used.times(month.count())? };
    let allowed = allowance.times(meter.size)?.times(segment.days.count())?;
    used.minus(allowed)?.over(Decimal::from(meter.size).times(month.count())?)
}

fn describe(
    meter: &Meter,
    words: Words,
    segment: &Segment<'_>,
    month: Days,
    usage: &Usage,
    allowance: Decimal,
) -> Result<String, BillingError> {
    let used = usage.sum(segment.days, meter.measure)?.over(meter.size)?;
    let days = segment.days;
    let (used, allowed) = match meter.gauge {
        true => (used.over(days.count())?, allowance),
        false => (used, allowance.times(days.count())?.over(month.count())?),
    };
    let (used, allowed) = (half_up(used, 3).normalize(), half_up(allowed, 3).normalize());
    Ok(words.metered(meter.item, days, meter.gauge, used, allowed))
}
