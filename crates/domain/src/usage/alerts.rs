//! Quota and cost alerts: one per crossing. API and cost once a month and level; storage again
//! after it had fallen five points below the level.

use jiff::ToSpan;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use yakin_engine::prelude::*;

struct Level {
    kind: &'static str,
    level: &'static str,
    /// Raised above it.
    percent: i64,
    /// Who is told, comma-separated.
    audience: &'static str,
    text: Text,
}

/// What people read, in the tenant's language; takes the percentage and the day.
struct Text {
    ja: &'static str,
    en: &'static str,
}

const STORAGE: Text = Text {
    ja: "ストレージが契約容量の %s %% に達しました (%s)",
    en: "storage has reached %s %% of the contract (%s)",
};
const API: Text = Text {
    ja: "今月の API 呼び出しが上限の %s %% に達しました (%s)",
    en: "this month's API calls have reached %s %% of the limit (%s)",
};
const COST: Text = Text {
    ja: "今月の見込額が前月同期の %s %% です (%s)",
    en: "this month's estimated cost is %s %% of the same days a month earlier (%s)",
};

const fn level(
    kind: &'static str,
    level: &'static str,
    percent: i64,
    audience: &'static str,
    text: Text,
) -> Level {
    Level { kind, level, percent, audience, text }
}

const LEVELS: [Level; 5] = [
    level("storage", "warning", 80, "tenant_admin", STORAGE),
    level("storage", "critical", 95, "tenant_admin,operations", STORAGE),
    level("api", "warning", 80, "tenant_admin", API),
    level("api", "critical", 95, "tenant_admin,operations", API),
    level("cost", "warning", 200, "tenant_admin,sales", COST),
];

/// Raises what `day` crosses and re-arms what fell back; returns what was raised, as `storage
/// warning`.
pub async fn raise(
    tx: &mut Tx,
    tenant: i64,
    day: Date,
    cost_floor: i64,
) -> Result<Vec<String>, Stop> {
    let percents: Vec<Decimal> = LEVELS.iter().map(|l| Decimal::from(l.percent)).collect();
    Ok(sqlx::query_scalar(include_str!("alerts.sql"))
        .bind(tenant)
        .bind(day.to_sqlx())
        .bind(day.first_of_month().to_sqlx())
        .bind(month_before(day).to_sqlx())
        .bind(Decimal::from(cost_floor))
        .bind(LEVELS.map(|l| l.kind).as_slice())
        .bind(LEVELS.map(|l| l.level).as_slice())
        .bind(percents)
        .bind(LEVELS.map(|l| l.audience).as_slice())
        .bind(LEVELS.map(|l| l.text.ja).as_slice())
        .bind(LEVELS.map(|l| l.text.en).as_slice())
        .fetch_all(&mut *tx)
        .await?)
}

/// The same day of the month before, or its last one.
fn month_before(day: Date) -> Date {
    day.saturating_sub(1.month())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn the_last_days_of_a_long_month_are_set_against_the_last_day_of_a_short_one() {
        assert_eq!(month_before(date(2026, 10, 17)), date(2026, 9, 17));
        assert_eq!(month_before(date(2026, 3, 31)), date(2026, 2, 28));
    }
}
