//! The price of a month by heads: the sheet's figures to the yen, what must block, and the properties that hold for any
//! input.

use jiff::civil::{Date, date};
use proptest::prelude::*;
use rust_decimal::Decimal;
use yakin_domain::billing::input::{Contract, Cycle, Payer, TaxRate};
use yakin_domain::billing::seats::input::{Headcount, Proration, SNAPSHOT_FORMAT, SeatPlan};
use yakin_domain::billing::seats::{SeatInput, price};
use yakin_engine::days::Days;

fn heads(usage_date: Date, users: i64, engineers: i64) -> Headcount {
    Headcount { usage_date, users, engineers }
}

/// A company that pays 50,000 yen for 10 users and 100 engineers, and has as many.
fn june() -> SeatInput {
    let period = Days::month_of(date(2026, 6, 1));
    SeatInput {
        format: SNAPSHOT_FORMAT,
        period,
        payer: Payer {
            tenant_id: 1,
            code: "acme".to_owned(),
            name: "アクメ株式会社".to_owned(),
            country: "JP".to_owned(),
            currency: "JPY".to_owned(),
            language: "ja".to_owned(),
            billing_name: None,
            billing_address: Some("東京都".to_owned()),
            billing_cycle: Cycle::Monthly,
            payment_terms_days: 60,
        },
        contract: Contract { contract_id: 7, starts_on: date(2025, 1, 1), ends_on: None },
        proration: Proration::None,
        plan: SeatPlan {
            plan_code: "basic".to_owned(),
            valid_from: date(2020, 1, 1),
            name: "基本".to_owned(),
            currency: "JPY".to_owned(),
            base_fee: 50_000.into(),
            max_users: Some(10),
            price_per_user: 1_000.into(),
            max_engineers: Some(100),
            price_per_engineer: 500.into(),
        },
        usage: period.each().map(|day| heads(day, 10, 100)).collect(),
        tax_rates: vec![TaxRate {
            country: "JP".to_owned(),
            valid_from: date(2019, 10, 1),
            rate: "0.10".parse().unwrap(),
        }],
        released: false,
    }
}

/// Subtotal, tax, total.
fn figures(input: &SeatInput) -> (Decimal, Decimal, Decimal) {
    let priced = price(input).unwrap();
    (priced.subtotal, priced.tax, priced.total)
}

fn yen(subtotal: i64, tax: i64) -> (Decimal, Decimal, Decimal) {
    (subtotal.into(), tax.into(), (subtotal + tax).into())
}

#[test]
fn the_highest_day_of_each_kind_counts() {
    let mut input = june();
    assert_eq!(figures(&input), yen(50_000, 5_000));
    input.usage[3] = heads(date(2026, 6, 4), 13, 0);
    input.usage[20] = heads(date(2026, 6, 21), 0, 104);
    assert_eq!(figures(&input), yen(55_000, 5_500));
    input.plan.max_users = None;
    input.plan.max_engineers = None;
    assert_eq!(figures(&input), yen(50_000, 5_000));
}

#[test]
fn tax_is_rounded_down() {
    let mut input = june();
    input.plan.base_fee = 33_335.into();
    assert_eq!(figures(&input), yen(33_335, 3_333));
}

#[test]
fn a_prorated_base_is_rounded_down_and_the_heads_are_not_prorated() {
    let mut input = june();
    input.proration = Proration::Daily;
    input.contract.ends_on = Some(date(2026, 6, 20));
    input.plan.base_fee = 30_000.into();
    assert_eq!(figures(&input).0, 20_000.into());
    input.plan.base_fee = 50_000.into();
    assert_eq!(figures(&input).0, 33_333.into());
    input.usage[3] = heads(date(2026, 6, 4), 12, 0);
    // after the contract's last day nothing counts
    input.usage[25] = heads(date(2026, 6, 26), 999, 999);
    assert_eq!(figures(&input).0, 35_333.into());
    input.proration = Proration::None;
    assert_eq!(figures(&input).0, 52_000.into());
}

#[test]
fn cents_are_kept_and_english_says_heads() {
    let mut input = june();
    input.payer.currency = "USD".to_owned();
    input.payer.language = "en".to_owned();
    (input.plan.currency, input.plan.base_fee) = ("USD".to_owned(), "79.00".parse().unwrap());
    input.plan.price_per_user = "6.50".parse().unwrap();
    input.usage[3] = heads(date(2026, 6, 4), 13, 0);
    let priced = price(&input).unwrap();
    assert_eq!(
        (priced.subtotal.to_string(), priced.tax.to_string()),
        ("98.50".into(), "9.85".into())
    );
    assert_eq!(
        priced.lines[1].description,
        "Users over limit (peak 13 on 2026-06-04, included 10)"
    );
    assert_eq!(priced.lines[1].unit, "heads");
}

#[test]
fn what_is_missing_or_contradictory_blocks() {
    let blocked = |change: fn(&mut SeatInput)| {
        let mut input = june();
        change(&mut input);
        price(&input).unwrap_err().to_string()
    };
    let missing = blocked(|i| {
        i.usage.remove(16);
    });
    assert_eq!(missing, "usage of 2026-06-17 is missing");
    let all = blocked(|i| i.usage.clear());
    assert!(all.ends_with("2026-06-05 and 25 more days is missing"), "{all}");
    let twice = blocked(|i| i.usage.push(heads(date(2026, 6, 3), 1, 1)));
    assert_eq!(twice, "usage of 2026-06-03 is recorded twice");
    let coin = blocked(|i| i.plan.currency = "USD".to_owned());
    assert_eq!(coin, "plan 'basic' is priced in USD, the tenant pays in JPY");
    let rate = blocked(|i| i.tax_rates.clear());
    assert_eq!(rate, "no tax rate of JP on 2026-06-30");
    let late = blocked(|i| i.contract.starts_on = date(2026, 7, 1));
    assert_eq!(late, "contract 7 covers no day of 2026-06");
}

#[test]
fn released_days_count_as_zero_and_are_named() {
    let mut input = june();
    input.usage.remove(16);
    input.released = true;
    let priced = price(&input).unwrap();
    assert_eq!(priced.subtotal, 50_000.into());
    let note = &priced.lines.last().unwrap().description;
    assert_eq!(note, "2026-06-17 は利用記録がなく、承認により 0 として計算");
}

proptest! {
    #[test]
    fn a_price_is_its_formula_and_the_snapshot_keeps_it(
        fee in 0i64..5_000_000,
        peaks in prop::collection::vec((0i64..500, 0i64..5_000), 30),
        limits in (prop::option::of(0i32..400), prop::option::of(0i32..4_000)),
        prices in (0i64..10_000, 0i64..10_000),
    ) {
        let mut input = june();
        input.plan.base_fee = fee.into();
        (input.plan.max_users, input.plan.max_engineers) = limits;
        (input.plan.price_per_user, input.plan.price_per_engineer) = (prices.0.into(), prices.1.into());
        for (day, (users, engineers)) in input.usage.iter_mut().zip(&peaks) {
            (day.users, day.engineers) = (*users, *engineers);
        }
        let over = |peak: i64, limit: Option<i32>| limit.map_or(0, |l| (peak - i64::from(l)).max(0));
        let users = over(peaks.iter().map(|p| p.0).max().unwrap(), limits.0);
        let engineers = over(peaks.iter().map(|p| p.1).max().unwrap(), limits.1);
        let subtotal = fee + users * prices.0 + engineers * prices.1;
        prop_assert_eq!(figures(&input), yen(subtotal, subtotal / 10));
        let again: SeatInput = serde_json::from_str(&serde_json::to_string(&input).unwrap()).unwrap();
        prop_assert_eq!(price(&again).unwrap(), price(&input).unwrap());
    }
}
