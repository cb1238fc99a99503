//! The price list of the sample: three levels in yen (one of them in two versions) and the same three in dollars.

use serde::Serialize;

/// A plan that no price list knows: what the tenant that fails on purpose has changed to.
pub(super) const UNKNOWN: &str = "legacy-2019";

/// How much a customer buys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Light,
    Standard,
    Enterprise,
}

impl Level {
    /// The level whose allowance fits so many API calls a month, with modest excess.
    pub fn for_calls(calls: i64) -> Level {
        match calls {
            ..8_000 => Level::Light,
            8_000..100_000 => Level::Standard,
            _ => Level::Enterprise,
        }
    }

    /// The newest list entry of this level in a currency.
    pub fn plan(self, currency: &str) -> &'static Plan {
        match (self, currency) {
            (Level::Light, "JPY") => &PLANS[0],
            (Level::Standard, "JPY") => &PLANS[2],
            (Level::Enterprise, "JPY") => &PLANS[3],
            (Level::Light, _) => &PLANS[4],
            (Level::Standard, _) => &PLANS[5],
            (Level::Enterprise, _) => &PLANS[6],
        }
    }
}

/// One entry of the price list; decimals are text, so that no float comes near money.
#[derive(Debug, Serialize)]
pub(super) struct Plan {
    pub plan_code: &'static str,
    pub valid_from: &'static str,
    pub name: &'static str,
    pub currency: &'static str,
    pub base_fee: &'static str,
    pub included_api_calls: i64,
    pub api_rate_per_1000: &'static str,
    pub included_storage_gb: i64,
    pub storage_rate_per_gb: &'static str,
    pub included_cpu_hours: i64,
    pub cpu_rate_per_hour: &'static str,
    pub included_memory_gb_hours: i64,
    pub memory_rate_per_gb_hour: &'static str,
    pub included_bandwidth_gb: i64,
    pub bandwidth_rate_per_gb: &'static str,
    pub max_users: Option<i32>,
    pub price_per_user: &'static str,
    pub max_engineers: Option<i32>,
    pub price_per_engineer: &'static str,
}

const LIGHT: Plan = Plan {
    plan_code: "light",
    valid_from: "2023-04-01",
    name: "ライト",
    currency: "JPY",
    base_fee: "9800",
    included_api_calls: 5_000,
    api_rate_per_1000: "300",
    included_storage_gb: 1,
    storage_rate_per_gb: "200",
    included_cpu_hours: 20,
    cpu_rate_per_hour: "60",
    included_memory_gb_hours: 40,
    memory_rate_per_gb_hour: "12",
    included_bandwidth_gb: 5,
    bandwidth_rate_per_gb: "30",
    max_users: Some(10),
    price_per_user: "800",
    max_engineers: Some(20),
    price_per_engineer: "300",
};

const STANDARD: Plan = Plan {
    plan_code: "standard",
    valid_from: "2025-04-01",
    name: "スタンダード",
    base_fee: "98000",
    included_api_calls: 50_000,
    api_rate_per_1000: "250",
    included_storage_gb: 20,
    storage_rate_per_gb: "150",
    included_cpu_hours: 200,
    cpu_rate_per_hour: "150",
    included_memory_gb_hours: 500,
    memory_rate_per_gb_hour: "30",
    included_bandwidth_gb: 100,
    bandwidth_rate_per_gb: "25",
    max_users: Some(150),
    price_per_user: "600",
    max_engineers: Some(200),
    price_per_engineer: "200",
    ..LIGHT
};

const ENTERPRISE: Plan = Plan {
    plan_code: "enterprise",
    name: "エンタープライズ",
    base_fee: "980000",
    included_api_calls: 300_000,
    api_rate_per_1000: "200",
    included_storage_gb: 200,
    storage_rate_per_gb: "100",
    included_cpu_hours: 2_000,
    cpu_rate_per_hour: "120",
    included_memory_gb_hours: 5_000,
    memory_rate_per_gb_hour: "25",
    included_bandwidth_gb: 1_000,
    bandwidth_rate_per_gb: "20",
    max_users: None,
    price_per_user: "0",
    max_engineers: None,
    price_per_engineer: "0",
    ..LIGHT
};

/// All entries of the list.
pub(super) const PLANS: [Plan; 7] = [
    LIGHT,
    Plan { valid_from: "2023-04-01", base_fee: "88000", ..STANDARD },
    STANDARD,
    ENTERPRISE,
    Plan {
        plan_code: "light-usd",
        name: "Light",
        currency: "USD",
        base_fee: "79.00",
        api_rate_per_1000: "2.40",
        storage_rate_per_gb: "1.60",
        cpu_rate_per_hour: "0.50",
        memory_rate_per_gb_hour: "0.10",
        bandwidth_rate_per_gb: "0.24",
        price_per_user: "6.50",
        price_per_engineer: "2.50",
        ..LIGHT
    },
    Plan {
        plan_code: "standard-usd",
        name: "Standard",
        currency: "USD",
        base_fee: "790.00",
        api_rate_per_1000: "2.00",
        storage_rate_per_gb: "1.20",
        cpu_rate_per_hour: "1.20",
        memory_rate_per_gb_hour: "0.24",
        bandwidth_rate_per_gb: "0.20",
        price_per_user: "5.00",
        price_per_engineer: "1.60",
        ..STANDARD
    },
    Plan {
        plan_code: "enterprise-usd",
        name: "Enterprise",
        currency: "USD",
        base_fee: "7900.00",
        api_rate_per_1000: "1.60",
        storage_rate_per_gb: "0.80",
        cpu_rate_per_hour: "0.95",
        memory_rate_per_gb_hour: "0.20",
        bandwidth_rate_per_gb: "0.16",
        ..ENTERPRISE
    },
];
