//! The price of a month: the sheet's figures to the yen, what must block, and the properties that hold for any input.

use jiff::civil::{Date, date};
use proptest::prelude::*;
use rust_decimal::Decimal;
use yakin_domain::billing::input::*;
use yakin_domain::billing::money::Currency;
use yakin_domain::billing::words::Words;
use yakin_domain::billing::{BillingError, BillingInput, Item, Line, Priced, plan, price, usage};
use yakin_engine::days::Days;

const GB: i64 = 1024 * 1024 * 1024;

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn basic_plan(code: &str, base_fee: i64) -> Plan {
    Plan {
        plan_code: code.to_owned(),
        valid_from: date(2020, 1, 1),
        name: code.to_owned(),
        currency: "JPY".to_owned(),
        base_fee: base_fee.into(),
        included_api_calls: 100_000,
        api_rate_per_1000: 120.into(),
        included_storage_gb: 100.into(),
        storage_rate_per_gb: 50.into(),
        included_cpu_hours: 10.into(),
        cpu_rate_per_hour: 30.into(),
        included_memory_gb_hours: 10.into(),
        memory_rate_per_gb_hour: 5.into(),
        included_bandwidth_gb: 10.into(),
        bandwidth_rate_per_gb: 8.into(),
    }
}

fn quiet_day(usage_date: Date) -> DailyUsage {
    DailyUsage {
        usage_date,
        api_calls: 0,
        storage_bytes: 0,
        cpu_seconds: Decimal::ZERO,
        memory_mb_seconds: Decimal::ZERO,
        network_bytes: 0,
    }
}

/// A tenant that pays 50,000 yen a month since 2025 and used nothing.
fn quiet(month: Days) -> BillingInput {
    BillingInput {
        format: SNAPSHOT_FORMAT,
        period: month,
        payer: Payer {
            tenant_id: 1,
            code: "acme".to_owned(),
            name: "アクメ株式会社".to_owned(),
            country: "JP".to_owned(),
            currency: "JPY".to_owned(),
            language: "ja".to_owned(),
            billing_name: None,
            billing_address: None,
            billing_cycle: Cycle::Monthly,
            payment_terms_days: 30,
        },
        contract: Contract { contract_id: 7, starts_on: date(2025, 1, 1), ends_on: None },
        plan_changes: vec![PlanChange {
            starts_on: date(2025, 1, 1),
            plan_code: "basic".to_owned(),
        }],
        plans: vec![basic_plan("basic", 50_000)],
        usage: month.each().map(quiet_day).collect(),
        differences: vec![],
        discounts: vec![],
        tax_rates: vec![TaxRate {
            country: "JP".to_owned(),
            valid_from: date(2019, 10, 1),
            rate: dec("0.10"),
        }],
        released: false,
        corrections: vec![],
        adjusts: None,
    }
}

fn june() -> BillingInput {
    quiet(Days::month_of(date(2026, 6, 1)))
}

fn discount(id: i64, kind: DiscountKind, items: &[&str], value: i64) -> Discount {
    Discount {
        discount_id: id,
        kind,
        items: items.iter().map(|i| (*i).to_owned()).collect(),
        value: value.into(),
        description: format!("割引{id}"),
        valid_from: date(2026, 1, 1),
        valid_to: None,
    }
}

fn difference(usage_date: Date, calls: i64) -> UsageDifference {
    UsageDifference {
        usage_date,
        revision: 1,
        calls_difference: calls,
        storage_bytes_difference: 0,
    }
}

fn of(priced: &Priced, item: Item) -> Vec<&Line> {
    priced.lines.iter().filter(|l| l.item == item).collect()
}

fn amounts(priced: &Priced, item: Item) -> Vec<Decimal> {
    of(priced, item).iter().map(|l| l.amount).collect()
}

fn yen(amounts: &[i64]) -> Vec<Decimal> {
    amounts.iter().map(|a| Decimal::from(*a)).collect()
}

fn blocked(input: &BillingInput) -> String {
    match price(input) {
        Err(BillingError::Blocked(reason)) => reason,
        other => panic!("expected blocked, got {other:?}"),
    }
}

// The sheet's figures ----------------------------------------------------------------------------------------------

#[test]
fn the_sheets_example_costs_50_578_yen() {
    let mut input = june();
    for (index, day) in input.usage.iter_mut().enumerate() {
        day.api_calls = 3_450; // 103,500 in 30 days
        day.storage_bytes = if index < 15 { 100 * GB } else { 120 * GB };
    }
    input.discounts = vec![discount(1, DiscountKind::Percentage, &["base"], 10)];
    let priced = price(&input).unwrap();
    assert_eq!(amounts(&priced, Item::Base), yen(&[50_000]));
    assert_eq!(amounts(&priced, Item::Api), yen(&[480]));
    assert_eq!(amounts(&priced, Item::Storage), yen(&[500]));
    assert_eq!(amounts(&priced, Item::Discount), yen(&[-5_000]));
    assert_eq!((priced.subtotal, priced.tax), (45_980.into(), 4_598.into()));
    assert_eq!(priced.total, 50_578.into());
}

#[test]
fn a_contract_from_the_16th_of_june_pays_half_the_base() {
    let mut input = june();
    input.contract.starts_on = date(2026, 6, 16);
    input.usage.retain(|day| day.usage_date >= date(2026, 6, 16)); // only contract days are asked for
    assert_eq!(amounts(&price(&input).unwrap(), Item::Base), yen(&[25_000]));
}

#[test]
fn a_line_of_half_a_yen_is_rounded_up() {
    let mut input = june();
    input.plans[0].base_fee = 50_001.into();
    input.contract.starts_on = date(2026, 6, 16); // 25,000.5
    assert_eq!(amounts(&price(&input).unwrap(), Item::Base), yen(&[25_001]));
}

#[test]
fn tax_is_rounded_down_once_on_the_sum() {
    let taxed = |amounts: &[i64]| {
        let line = |a: &i64| {
            Line::single(Item::Base, Words::Japanese, String::new(), (*a).into(), dec("0.1"))
        };
        Priced::of(Currency::of("JPY").unwrap(), amounts.iter().map(line).collect()).unwrap()
    };
    assert_eq!(taxed(&[45_985]).tax, 4_598.into());
    let thrice = taxed(&[105, 105, 105]);
    assert_eq!(thrice.tax, 31.into(), "each line on its own would make 30");
    assert_eq!(thrice.total, 346.into());
}

#[test]
fn each_rate_is_rounded_on_its_own() {
    let line = |a: i64, rate| {
        Line::single(Item::Base, Words::Japanese, String::new(), a.into(), dec(rate))
    };
    let lines = vec![line(105, "0.10"), line(105, "0.1"), line(99, "0.08")];
    let priced = Priced::of(Currency::of("JPY").unwrap(), lines).unwrap();
    let taxes: Vec<_> = priced.taxes.iter().map(|t| (t.taxable, t.tax)).collect();
    assert_eq!(taxes, [(99.into(), 7.into()), (210.into(), 21.into())]);
}

// Base fee, segments, cycles ---------------------------------------------------------------------------------------

#[test]
fn a_plan_change_makes_two_segments_with_their_own_fee_and_quota() {
    let mut input = june();
    input.plans.push(Plan { included_api_calls: 200_000, ..basic_plan("pro", 90_000) });
    input
        .plan_changes
        .push(PlanChange { starts_on: date(2026, 6, 11), plan_code: "pro".to_owned() });
    input.usage[0].api_calls = 33_334; // basic: 10/30 of 100,000 = 33,333.33… → one started thousand
    input.usage[10].api_calls = 133_333; // pro: 20/30 of 200,000 = 133,333.33… → within
    let priced = price(&input).unwrap();
    assert_eq!(amounts(&priced, Item::Base), [Decimal::from(16_667), Decimal::from(60_000)]);
    assert_eq!(amounts(&priced, Item::Api), yen(&[120]));
}

#[test]
fn the_same_plan_recorded_twice_is_no_change() {
    let mut input = june();
    input
        .plan_changes
        .push(PlanChange { starts_on: date(2026, 6, 11), plan_code: "basic".to_owned() });
    assert_eq!(price(&input).unwrap(), price(&june()).unwrap());
}

#[test]
fn a_new_price_list_counts_from_its_day() {
    let mut input = june();
    let newer = Plan { valid_from: date(2026, 6, 16), ..basic_plan("basic", 60_000) };
    input.plans.push(newer);
    assert_eq!(amounts(&price(&input).unwrap(), Item::Base), yen(&[25_000, 30_000]));
}

#[test]
fn half_a_month_of_storage_above_the_quota_costs_half() {
    let mut input = june();
    input.contract.starts_on = date(2026, 6, 16);
    for day in &mut input.usage {
        day.storage_bytes = 120 * GB;
    }
    let priced = price(&input).unwrap();
    let storage = of(&priced, Item::Storage);
    assert_eq!((storage[0].quantity, storage[0].amount), (10.into(), 500.into()));
    assert!(storage[0].description.contains("平均 120 GB、無料枠 100 GB"), "{storage:?}");
}

#[test]
fn flows_are_summed_and_billed_to_three_decimals() {
    let mut input = june();
    input.usage[3].cpu_seconds = dec("39600.9"); // 11.00025 h − 10 h → 1.000
    input.usage[4].memory_mb_seconds = Decimal::from(12 * 1024 * 3600); // 12 GB-h − 10
    input.usage[5].network_bytes = 10 * GB + GB / 2;
    let priced = price(&input).unwrap();
    let line = |item| {
        let line = of(&priced, item)[0];
        (line.quantity, line.amount)
    };
    assert_eq!(line(Item::Cpu), (Decimal::ONE, 30.into()));
    assert_eq!(line(Item::Memory), (2.into(), 10.into()));
    assert_eq!(line(Item::Bandwidth), (dec("0.5"), 4.into()));
}

#[test]
fn the_last_call_of_the_quota_is_free_and_the_next_starts_a_thousand() {
    let mut input = june();
    input.usage[0].api_calls = 100_000;
    assert!(of(&price(&input).unwrap(), Item::Api).is_empty());
    input.usage[0].api_calls = 100_001;
    assert_eq!(amounts(&price(&input).unwrap(), Item::Api), yen(&[120]));
    input.usage[0].api_calls = 101_001;
    assert_eq!(amounts(&price(&input).unwrap(), Item::Api), yen(&[240]));
}

#[test]
fn longer_cycles_pay_the_base_in_the_month_that_starts_one() {
    let quarterly = |starts_on, ends_on| {
        let mut input = june();
        input.payer.billing_cycle = Cycle::Quarterly;
        input.contract = Contract { contract_id: 7, starts_on, ends_on };
        input.usage[0].api_calls = 100_001;
        amounts(&price(&input).unwrap(), Item::Base)
    };
    assert_eq!(
        quarterly(date(2026, 3, 10), None),
        yen(&[50_000, 100_000]),
        "June starts the second quarter"
    );
    assert_eq!(quarterly(date(2026, 4, 1), None), [], "only overage in between");
    assert_eq!(quarterly(date(2026, 6, 16), None), yen(&[25_000, 100_000]), "first month pro rata");
    let july_15 = Some(date(2026, 7, 15));
    assert_eq!(
        quarterly(date(2026, 6, 1), july_15),
        yen(&[50_000, 24_194]),
        "15/31 of July, no August"
    );

    let june_20 = Some(date(2026, 6, 20));
    assert_eq!(quarterly(date(2026, 6, 1), june_20), yen(&[33_333]), "nothing ahead of its end");

    let mut annual = june();
    annual.payer.billing_cycle = Cycle::Annual;
    annual.contract.starts_on = date(2025, 6, 1);
    assert_eq!(amounts(&price(&annual).unwrap(), Item::Base), yen(&[50_000, 550_000]));
}

#[test]
fn dollars_have_cents() {
    let mut input = june();
    input.payer.currency = "USD".to_owned();
    input.payer.country = "US".to_owned();
    input.tax_rates[0].country = "US".to_owned();
    input.plans[0].currency = "USD".to_owned();
    input.plans[0].base_fee = dec("99.99");
    input.contract.starts_on = date(2026, 6, 20); // 11 days: 36.663
    let priced = price(&input).unwrap();
    assert_eq!(priced.subtotal.to_string(), "36.66");
    assert_eq!(priced.tax.to_string(), "3.66");
}

// Discounts --------------------------------------------------------------------------------------------------------

#[test]
fn free_quotas_then_percentages_then_fixed_amounts() {
    let mut input = june();
    input.usage[0].api_calls = 103_500;
    input.discounts = vec![
        discount(1, DiscountKind::FixedAmount, &[], 1_000),
        discount(2, DiscountKind::Percentage, &["base"], 20),
        discount(3, DiscountKind::FreeQuota, &["api"], 2_000),
    ];
    let priced = price(&input).unwrap();
    assert_eq!(amounts(&priced, Item::Api), yen(&[240]), "1,500 over: two started thousands");
    assert_eq!(amounts(&priced, Item::Discount), yen(&[-10_000, -1_000]));
    assert_eq!(priced.subtotal, 39_240.into());
}

#[test]
fn percentages_stop_at_a_hundred_and_never_compound() {
    let mut input = june();
    input.discounts = vec![
        discount(1, DiscountKind::Percentage, &["base"], 60),
        discount(2, DiscountKind::Percentage, &[], 60),
        discount(3, DiscountKind::FixedAmount, &[], 500),
    ];
    let priced = price(&input).unwrap();
    assert_eq!(amounts(&priced, Item::Discount), yen(&[-30_000, -20_000]));
    assert_eq!((priced.subtotal, priced.total), (0.into(), 0.into()));
}

#[test]
fn an_item_given_away_leaves_the_others_to_pay() {
    let mut input = june();
    input.usage[0].api_calls = 103_500;
    input.discounts = vec![
        discount(1, DiscountKind::Percentage, &["base"], 60),
        discount(2, DiscountKind::Percentage, &["base"], 60),
    ];
    assert_eq!(price(&input).unwrap().subtotal, 480.into());
}

#[test]
fn two_halves_rounded_up_take_no_more_than_the_whole() {
    let mut input = june();
    input.plans[0].base_fee = 5.into();
    let half = |id| discount(id, DiscountKind::Percentage, &["base"], 50);
    input.discounts = vec![half(1), half(2)];
    assert_eq!(amounts(&price(&input).unwrap(), Item::Discount), yen(&[-3, -2]));
}

#[test]
fn a_fixed_amount_takes_no_more_than_its_items_cost() {
    let mut input = june();
    input.usage[0].api_calls = 103_500;
    input.discounts = vec![discount(1, DiscountKind::FixedAmount, &["api"], 9_999)];
    assert_eq!(amounts(&price(&input).unwrap(), Item::Discount), yen(&[-480]));
}

#[test]
fn a_discount_counts_if_its_range_covers_the_last_billed_day() {
    let with = |from, to| {
        let mut input = june();
        let mut tenth = discount(1, DiscountKind::Percentage, &["base"], 10);
        (tenth.valid_from, tenth.valid_to) = (from, to);
        input.discounts = vec![tenth];
        input.contract.ends_on = Some(date(2026, 6, 20));
        !of(&price(&input).unwrap(), Item::Discount).is_empty()
    };
    assert!(with(date(2026, 6, 20), None));
    assert!(!with(date(2026, 6, 21), None), "the month's end is not the last billed day");
    assert!(with(date(2026, 1, 1), Some(date(2026, 6, 20))));
    assert!(!with(date(2026, 1, 1), Some(date(2026, 6, 19))));
}

// What blocks ------------------------------------------------------------------------------------------------------

#[test]
fn a_missing_day_blocks_and_a_release_counts_it_as_zero() {
    let mut input = quiet(Days::month_of(date(2026, 10, 1)));
    input.usage.retain(|day| day.usage_date != date(2026, 10, 17));
    assert_eq!(blocked(&input), "usage of 2026-10-17 is missing");
    input.released = true;
    let priced = price(&input).unwrap();
    assert_eq!(priced.total, 55_000.into());
    assert!(of(&priced, Item::Note)[0].description.starts_with("2026-10-17 は"));
    input.usage.clear();
    input.released = false;
    assert_eq!(
        blocked(&input),
        "usage of 2026-10-01, 2026-10-02, 2026-10-03, 2026-10-04, 2026-10-05 and 26 more days is missing"
    );
}

#[test]
fn what_is_unknown_or_contradictory_blocks_even_when_released() {
    let with = |mend: &dyn Fn(&mut BillingInput)| {
        let mut input = june();
        input.released = true;
        mend(&mut input);
        blocked(&input)
    };
    assert_eq!(with(&|i| i.plans.clear()), "plan 'basic' is unknown on 2026-06-01");
    assert_eq!(with(&|i| i.plan_changes.clear()), "contract 7 has no plan on 2026-06-01");
    assert_eq!(
        with(&|i| {
            i.contract.starts_on = date(2026, 6, 10);
            i.plan_changes[0].starts_on = date(2026, 6, 12);
        }),
        "contract 7 has no plan on 2026-06-10"
    );
    assert_eq!(with(&|i| i.payer.currency = "EUR".to_owned()), "currency 'EUR' is unknown");
    assert_eq!(
        with(&|i| i.payer.currency = "USD".to_owned()),
        "plan 'basic' is priced in JPY, the tenant pays in USD"
    );
    assert_eq!(with(&|i| i.payer.country = "DE".to_owned()), "no tax rate of DE on 2026-06-30");
    assert_eq!(
        with(&|i| i.contract.ends_on = Some(date(2024, 12, 31))),
        "contract 7 ends on 2024-12-31, before it starts on 2025-01-01"
    );
    assert_eq!(
        with(&|i| i.contract.starts_on = date(2026, 7, 1)),
        "contract 7 covers no day of 2026-06"
    );
    assert_eq!(
        with(&|i| i.usage.push(quiet_day(date(2026, 6, 3)))),
        "usage of 2026-06-03 is recorded twice"
    );
    assert_eq!(with(&|i| i.usage[2].api_calls = -1), "usage of 2026-06-03 is negative");
    assert_eq!(
        with(&|i| i.discounts = vec![discount(4, DiscountKind::Percentage, &["bsae"], 10)]),
        "discount 4 names unknown item 'bsae'"
    );
}

#[test]
fn two_contracts_may_follow_each_other_and_not_overlap() {
    let contract = |contract_id, starts_on, ends_on| Contract { contract_id, starts_on, ends_on };
    let first = contract(1, date(2025, 1, 1), Some(date(2026, 6, 15)));
    let month = Days::month_of(date(2026, 6, 1));
    let next = contract(2, date(2026, 6, 16), None);
    assert!(plan::no_day_twice(&[next, first.clone()], month).is_ok());
    let early = contract(2, date(2026, 6, 15), None);
    let reason = plan::no_day_twice(&[early, first], month).unwrap_err().to_string();
    assert_eq!(reason, "contracts 1 and 2 both cover 2026-06-15");
}

// Corrections and adjustments --------------------------------------------------------------------------------------

fn september() -> BillingInput {
    let mut input = quiet(Days::month_of(date(2026, 9, 1)));
    input.usage[0].api_calls = 100_500; // one started thousand
    input
}

#[test]
fn a_correction_of_an_earlier_month_is_a_line_of_its_own() {
    let mut input = quiet(Days::month_of(date(2026, 10, 1)));
    let before = september();
    let differences = vec![difference(date(2026, 9, 3), 1_000)];
    input.corrections = vec![Correction { before, differences }];
    let priced = price(&input).unwrap();
    let line = of(&priced, Item::Correction)[0];
    assert_eq!((line.description.as_str(), line.amount), ("2026-09 利用量訂正", 120.into()));
    assert_eq!(priced.subtotal, 50_120.into());
    assert_eq!(priced.settles.len(), 1);
}

#[test]
fn a_correction_bears_the_rate_of_the_month_it_corrects() {
    let mut input = quiet(Days::month_of(date(2026, 10, 1)));
    input.tax_rates.push(TaxRate {
        country: "JP".to_owned(),
        valid_from: date(2026, 10, 1),
        rate: dec("0.12"),
    });
    let differences = vec![difference(date(2026, 9, 3), 1_000)];
    input.corrections = vec![Correction { before: september(), differences }];
    let priced = price(&input).unwrap();
    let taxes: Vec<_> = priced.taxes.iter().map(|t| (t.taxable, t.tax)).collect();
    assert_eq!(taxes, [(120.into(), 12.into()), (50_000.into(), 6_000.into())]);
}

#[test]
fn a_credit_larger_than_the_invoice_waits_for_the_next() {
    let mut input = quiet(Days::month_of(date(2026, 10, 1)));
    let mut before = september();
    before.usage[0].api_calls = 1_000_000;
    let differences = vec![difference(date(2026, 9, 1), -900_000)];
    input.corrections = vec![Correction { before, differences }];
    let priced = price(&input).unwrap();
    assert_eq!((priced.subtotal, priced.settles.len()), (50_000.into(), 0));
    assert_eq!(of(&priced, Item::Note)[0].description, "2026-09 利用量訂正 -108000 は次回に繰越");
    input.plans[0].base_fee = 200_000.into();
    let priced = price(&input).unwrap();
    assert_eq!((priced.subtotal, priced.settles.len()), (92_000.into(), 1));
}

#[test]
fn a_second_correction_of_a_day_is_measured_from_the_first() {
    let first = difference(date(2026, 9, 3), 400); // 900 over: still one started thousand
    let second = UsageDifference { revision: 2, ..first.clone() };
    let line = |before: BillingInput, difference: &UsageDifference| {
        let mut input = quiet(Days::month_of(date(2026, 11, 1)));
        input.corrections = vec![Correction { before, differences: vec![difference.clone()] }];
        amounts(&price(&input).unwrap(), Item::Correction)
    };
    assert_eq!(line(september(), &first), []);
    assert_eq!(line(september().with(std::slice::from_ref(&first)), &second), yen(&[120]));
}

#[test]
fn an_adjustment_is_the_difference_and_both_documents_make_the_right_one() {
    let before = september();
    let mut right = september();
    right.plans[0].base_fee = 49_995.into();
    right.discounts = vec![discount(1, DiscountKind::Percentage, &["api"], 50)];
    let mut adjusting = right.clone();
    adjusting.adjusts = Some(Box::new(before.clone()));
    let (billed, adjustment, right) =
        (price(&before).unwrap(), price(&adjusting).unwrap(), price(&right).unwrap());
    assert_eq!(adjustment.subtotal, (-65).into());
    assert_eq!(amounts(&adjustment, Item::Base), yen(&[-5]));
    assert_eq!(amounts(&adjustment, Item::Discount), yen(&[-60]));
    assert_eq!(billed.subtotal + adjustment.subtotal, right.subtotal);
    assert_eq!(billed.tax + adjustment.tax, right.tax);
    let mut same = before.clone();
    same.adjusts = Some(Box::new(before));
    assert!(price(&same).unwrap().lines.is_empty());
}

#[test]
fn a_correction_of_the_own_month_is_settled_by_its_adjustment() {
    let before = september();
    let mut after = before.with(&[difference(date(2026, 9, 3), 1_000)]);
    after.adjusts = Some(Box::new(before));
    let priced = price(&after).unwrap();
    assert_eq!((priced.subtotal, priced.settles.len()), (120.into(), 1));
}

// Properties -------------------------------------------------------------------------------------------------------

#[derive(Debug, Clone)]
struct Month {
    input: BillingInput,
}

fn days_of_usage(month: Days) -> impl Strategy<Value = Vec<DailyUsage>> {
    let day = (0..20_000i64, 0..200 * GB, 0..90_000i64, 0..90_000_000i64, 0..GB);
    prop::collection::vec(day, usize::try_from(month.count()).unwrap()).prop_map(move |rows| {
        let dated = month.each().zip(rows);
        dated
            .map(|(usage_date, (api_calls, storage_bytes, cpu, memory, network_bytes))| {
                DailyUsage {
                    usage_date,
                    api_calls,
                    storage_bytes,
                    cpu_seconds: Decimal::new(cpu, 1),
                    memory_mb_seconds: Decimal::new(memory, 2),
                    network_bytes,
                }
            })
            .collect()
    })
}

fn discounts() -> impl Strategy<Value = Vec<Discount>> {
    let words = prop::sample::subsequence(
        vec!["base", "api", "storage", "cpu", "memory", "bandwidth"],
        0..=6,
    );
    let kind = prop_oneof![
        Just(DiscountKind::FreeQuota),
        Just(DiscountKind::Percentage),
        Just(DiscountKind::FixedAmount),
    ];
    let one = (kind, words, 0..130i64, 0..120_000i64);
    prop::collection::vec(one, 0..6).prop_map(|all| {
        let numbered = all.into_iter().enumerate();
        numbered
            .map(|(id, (kind, items, percent, amount))| {
                let value = if kind == DiscountKind::Percentage { percent } else { amount };
                discount(id as i64, kind, &items, value)
            })
            .collect()
    })
}

/// Any month with a contract that may start or end in it, one to three plans, usage and discounts.
fn months() -> impl Strategy<Value = Month> {
    (1i8..=12, 0..=2usize)
        .prop_flat_map(|(month, changes)| {
            let month = Days::month_of(date(2026, month, 1));
            let fees = prop::collection::vec(0..200_000i64, changes);
            let cuts = prop::collection::vec(1..=28i8, changes);
            let range = (1..=14i8, 15..=28i8, any::<[bool; 2]>());
            (Just(month), days_of_usage(month), discounts(), fees, cuts, range)
        })
        .prop_map(|(month, usage, discounts, fees, cuts, (from, to, open))| {
            let mut input = quiet(month);
            (input.usage, input.discounts) = (usage, discounts);
            for (index, (fee, day)) in fees.iter().zip(cuts).enumerate() {
                let plan_code = format!("plan{index}");
                input.plans.push(basic_plan(&plan_code, *fee));
                let starts_on = date(2026, month.start.month(), day);
                input.plan_changes.retain(|c| c.starts_on != starts_on);
                input.plan_changes.push(PlanChange { starts_on, plan_code });
            }
            if !open[0] {
                input.contract.starts_on = date(2026, month.start.month(), from);
            }
            if !open[1] {
                input.contract.ends_on = Some(date(2026, month.start.month(), to));
            }
            Month { input }
        })
}

proptest! {
    #[test]
    fn lines_make_the_subtotal_and_tax_is_rounded_once(month in months()) {
        let priced = price(&month.input).unwrap();
        let sum: Decimal = priced.lines.iter().map(|l| l.amount).sum();
        prop_assert_eq!(priced.subtotal, sum);
        prop_assert_eq!(priced.total, priced.subtotal + priced.tax);
        prop_assert_eq!(priced.taxes.len(), 1);
        prop_assert_eq!(priced.tax, (sum * dec("0.1")).floor());
        prop_assert!(priced.lines.iter().all(|l| l.amount.scale() == 0 && l.quantity.scale() <= 3));
        let charged = priced.lines.iter().filter(|l| l.item != Item::Discount && l.item != Item::Base);
        for line in charged {
            let exact = line.quantity * line.unit_price;
            prop_assert!((line.amount - exact).abs() <= dec("0.5"), "{:?}", line);
        }
    }

    #[test]
    fn nothing_is_negative_but_a_discount(month in months()) {
        let priced = price(&month.input).unwrap();
        prop_assert!(priced.subtotal >= Decimal::ZERO && priced.tax >= Decimal::ZERO);
        let negative = |l: &&Line| l.amount < Decimal::ZERO && l.item != Item::Discount;
        prop_assert_eq!(priced.lines.iter().find(negative), None);
    }

    #[test]
    fn a_month_split_into_equal_plans_costs_the_whole(
        month in months(), cuts in prop::collection::btree_set(1..=28i8, 0..10), fee in 0..100_000i64,
    ) {
        let mut input = month.input;
        input.plans = vec![basic_plan("basic", fee)];
        input.plan_changes.truncate(1);
        input.plan_changes[0] = PlanChange { starts_on: date(2020, 1, 1), plan_code: "basic".to_owned() };
        let whole = amounts(&price(&input).unwrap(), Item::Base).into_iter().sum::<Decimal>();
        for day in cuts {
            let plan_code = format!("same{day}");
            input.plans.push(basic_plan(&plan_code, fee));
            let starts_on = date(2026, input.period.start.month(), day);
            input.plan_changes.push(PlanChange { starts_on, plan_code });
        }
        let parts = amounts(&price(&input).unwrap(), Item::Base).into_iter().sum::<Decimal>();
        prop_assert_eq!(whole, parts);
    }

    #[test]
    fn the_base_never_differs_from_its_share_by_more_than_half_a_yen(month in months()) {
        let mut input = month.input;
        input.plan_changes.truncate(1);
        input.plan_changes[0] = PlanChange { starts_on: date(2020, 1, 1), plan_code: "basic".to_owned() };
        let days = plan::billed_days(&input).unwrap().count();
        let base = amounts(&price(&input).unwrap(), Item::Base);
        let error = base[0] * Decimal::from(input.period.count()) - Decimal::from(50_000 * days);
        prop_assert!(error.abs() * Decimal::TWO <= Decimal::from(input.period.count()));
    }

    #[test]
    fn the_order_in_which_rows_are_read_does_not_matter(month in months(), seed in any::<u64>()) {
        let mut shuffled = month.input.clone();
        let turn = |n: usize| if n == 0 { 0 } else { usize::try_from(seed % 97).unwrap() % n };
        let n = turn(shuffled.usage.len());
        shuffled.usage.rotate_left(n);
        let n = turn(shuffled.discounts.len());
        shuffled.discounts.rotate_left(n);
        shuffled.plans.reverse();
        shuffled.plan_changes.reverse();
        prop_assert_eq!(price(&shuffled).unwrap(), price(&month.input).unwrap());
        prop_assert_eq!(usage::digest(&shuffled).unwrap(), usage::digest(&month.input).unwrap());
    }

    #[test]
    fn more_discount_never_costs_more(month in months(), percent in 0..100i64) {
        let mut input = month.input;
        let without = price(&input).unwrap().subtotal;
        input.discounts.push(discount(99, DiscountKind::Percentage, &[], percent));
        let with = price(&input).unwrap();
        let roundings = Decimal::from(of(&with, Item::Discount).len()); // half a yen each, here and there
        prop_assert!(with.subtotal <= without + roundings, "{} > {without}", with.subtotal);
    }

    #[test]
    fn a_snapshot_read_back_prices_to_the_same_bytes(month in months()) {
        let first = serde_json::to_vec(&price(&month.input).unwrap()).unwrap();
        // through a value whose keys are sorted, as jsonb keeps them
        let stored = serde_json::to_value(&month.input).unwrap().to_string();
        let read: BillingInput = serde_json::from_str(&stored).unwrap();
        prop_assert_eq!(&read, &month.input);
        prop_assert_eq!(serde_json::to_vec(&price(&read).unwrap()).unwrap(), first);
    }

    #[test]
    fn an_invoice_and_its_adjustment_make_the_right_invoice(wrong in months(), fee in 0..90_000i64) {
        let before = wrong.input;
        let mut after = before.clone();
        after.plans[0].base_fee = fee.into();
        after.discounts.truncate(1);
        let right = price(&after).unwrap();
        after.adjusts = Some(Box::new(before.clone()));
        let (billed, adjustment) = (price(&before).unwrap(), price(&after).unwrap());
        prop_assert_eq!(billed.subtotal + adjustment.subtotal, right.subtotal);
        prop_assert_eq!(billed.total + adjustment.total, right.total);
        let sum: Decimal = adjustment.lines.iter().map(|l| l.amount).sum();
        prop_assert_eq!(adjustment.subtotal, sum);
    }
}
