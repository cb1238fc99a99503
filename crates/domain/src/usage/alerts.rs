//! Quota and cost alerts: one per crossing. API and cost once a month and level; storage again
//! after it had fallen five points below the level.

use jiff::ToSpan;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use serde_json::json;
use yakin_engine::days::{Days, after, day_of};
use yakin_engine::prelude::*;

use crate::delivery::Urgency;
use crate::delivery::ask::{Audience, NewNotice, ask};

/// Days for which operations are told of a critical crossing, and how many are named.
const TOLD_DAYS: i64 = 3;
const TOLD: usize = 50;

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

/// A crossing that was raised.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Raised {
    pub kind: String,
    pub level: String,
    /// With one decimal.
    pub percent: String,
    audience: Vec<String>,
}

/// Raises what `day` crosses and re-arms what fell back, and asks that the tenant's people be told; returns what was
/// raised.
pub async fn raise(
    tx: &mut Tx,
    run: &TenantRun,
    day: Date,
    cost_floor: i64,
) -> Result<Vec<Raised>, Stop> {
    let percents: Vec<Decimal> = LEVELS.iter().map(|l| Decimal::from(l.percent)).collect();
    let raised: Vec<Raised> = sqlx::query_as(include_str!("alerts.sql"))
        .bind(run.tenant())
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
        .await?;
    tell(tx, run, day, &raised).await?;
    Ok(raised)
}

/// Of two levels of a kind at once only the higher is told, and nothing of a month that is over.
async fn tell(tx: &mut Tx, run: &TenantRun, day: Date, raised: &[Raised]) -> Result<(), Stop> {
    let over = Days::month_of(day) != Days::month_of(after(day_of(run.now()), -1));
    for alert in raised {
        let higher = raised.iter().any(|r| r.kind == alert.kind && r.level == "critical");
        if alert.kind != "storage" && over || alert.level == "warning" && higher {
            continue;
        }
        for audience in alert.audience.iter().filter_map(|word| audience(word)) {
            let urgency = if alert.level == "critical" { Urgency::High } else { Urgency::Medium };
            let data = json!({"kind": alert.kind, "level": alert.level, "percent": alert.percent,
                              "day": day.to_string()});
            let notice = NewNotice { key: "usage-alert", audience, urgency, data };
            ask(tx, &notice, run.now()).await?;
        }
    }
    Ok(())
}

/// Who of the tenant's people is meant; operations are none of them.
fn audience(word: &str) -> Option<Audience> {
    match word {
        "tenant_admin" => Some(Audience::Admin),
        "sales" => Some(Audience::Sales),
        _ => None,
    }
}

/// What operations are told of: (subject, message) for each critical level that a tenant crossed within the last three
/// days, the newest first.
pub async fn for_operations(run: &PlatformRun) -> Result<Vec<(String, String)>, Stop> {
    let since = after(day_of(run.now()), -TOLD_DAYS);
    let crossed: Vec<(String, String, String, String)> = run
        .read(async |tx| {
            Ok(sqlx::query_as(include_str!("alerts_critical.sql"))
                .bind(since.to_sqlx())
                .fetch_all(tx)
                .await?)
        })
        .await?;
    let named = crossed.iter().take(TOLD).map(|(kind, tenant, percent, day)| {
        let subject = format!("{kind} of {tenant}");
        let message = format!("{subject} has reached {percent} % of its limit ({day})");
        (subject, message)
    });
    let more = crossed.len().saturating_sub(TOLD);
    let rest = (more > 0).then(|| ("limits".to_owned(), format!("{more} more limits are reached")));
    Ok(named.chain(rest).collect())
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
