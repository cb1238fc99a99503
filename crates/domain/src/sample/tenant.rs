//! One tenant of the sample with all that its rows are made from; the SQL reads these fields from JSON by name.

use jiff::ToSpan;
use jiff::civil::Date;
use serde::Serialize;
use yakin_engine::days::{Days, after};

use super::calendar::{Calendar, busyness, total_busyness};
use super::cast::{Gift, Part, company, dice, parts, roll, sizes};
use super::plans::{Level, UNKNOWN};
use super::words::PLACE;
use super::{SampleSpec, USUAL_LOG_ROWS};

const GB: i64 = 1 << 30;
/// Of all log rows but compute and network (one an hour and tenant): API calls, in percent.
const API_PERCENT: i64 = 82;

#[derive(Debug, Serialize)]
pub(super) struct Tenant {
    #[serde(skip)]
    pub part: Part,
    #[serde(skip)]
    pub gift: Option<Gift>,
    #[serde(skip)]
    pub level: Level,
    /// Place in the cast, from 0.
    pub n: i64,
    pub tenant_id: i64,
    pub code: String,
    pub name: String,
    pub holding_id: Option<i64>,
    pub status: &'static str,
    pub status_since: Option<Date>,
    pub country: &'static str,
    pub currency: &'static str,
    pub language: &'static str,
    pub billing_address: String,
    pub payment_terms_days: i64,
    pub billing_cycle: &'static str,
    pub created_on: Date,
    pub starts_on: Date,
    pub ends_on: Option<Date>,
    pub plan: &'static str,
    pub next_plan: Option<&'static str>,
    pub next_plan_from: Option<Date>,
    pub storage_limit_mb: Option<i64>,
    pub api_limit: Option<i64>,
    pub engineers: i64,
    pub users: i64,
    /// Users who were there before the logs begin and still are: those who act in them.
    pub established: i64,
    pub departments: i64,
    pub positions: i64,
    pub projects: i64,
    pub first_user: i64,
    pub first_department: i64,
    pub first_position: i64,
    pub first_project: i64,
    /// Days with traffic: from, and up to but not including.
    pub busy_from: Date,
    pub busy_until: Date,
    /// Hours by which working time is later than in Tokyo.
    pub hour_shift: i64,
    /// API calls on a mean day, in thousandths.
    pub traffic: i64,
    pub month_calls: i64,
    /// API calls of a month if the sample had the usual number of log rows: the plan fits these, however few are made.
    #[serde(skip)]
    usual_calls: i64,
    /// Means of an hour.
    pub cpu_ms: i64,
    pub memory_mb: i64,
    pub network_bytes: i64,
    pub storage_bytes: i64,
    pub files: i64,
    /// Has a contract that is billed by heads besides the one by usage.
    pub by_heads: bool,
    /// The day with an impossible compute row.
    pub broken_on: Option<Date>,
    /// First billed day of the month before the previous one, if it has an invoice.
    pub invoiced_from: Option<Date>,
}

/// The whole cast with its contracts, sizes and volumes.
pub(super) fn tenants(spec: &SampleSpec, calendar: &Calendar) -> Vec<Tenant> {
    let parts = parts(spec.seed, spec.tenants as usize);
    let sizes = sizes(spec.seed, &parts, i64::from(spec.engineers));
    let mut abroad = 0;
    let mut tenants: Vec<Tenant> = parts
        .iter()
        .zip(sizes)
        .enumerate()
        .map(|(n, ((part, gift), engineers))| {
            let american = *part == Part::Dollars;
            abroad += usize::from(american);
            let named = company(spec.seed, if american { abroad } else { n }, american);
            let mut tenant = begin(spec, n, *part, *gift, engineers, named);
            tenant.sign(spec, calendar);
            tenant
        })
        .collect();
    spread_traffic(spec, calendar, &mut tenants);
    for tenant in &mut tenants {
        tenant.consume(spec, calendar);
    }
    tenants
}

fn begin(
    spec: &SampleSpec,
    n: usize,
    part: Part,
    gift: Option<Gift>,
    engineers: i64,
    (code, name): (String, String),
) -> Tenant {
    let american = part == Part::Dollars;
    let users = engineers * 7 / 10 + 2 + roll(spec.seed, "users", n, 3);
    let number = |topic, below| 1 + roll(spec.seed, topic, n, below);
    let place = PLACE[(dice(spec.seed, "place", n) % PLACE.len() as u64) as usize];
    let billing_address = if american {
        format!("{} Example Street, Springfield, US", 100 * number("block", 90))
    } else {
        format!("{place}{}-{}-{}", number("block", 6), number("street", 20), number("house", 30))
    };
    Tenant {
        part,
        gift,
        level: Level::Light,
        n: n as i64,
        tenant_id: 0,
        code,
        name,
        holding_id: None,
        status: "active",
        status_since: None,
        country: if american { "US" } else { "JP" },
        currency: if american { "USD" } else { "JPY" },
        language: if american { "en" } else { "ja" },
        billing_address,
        payment_terms_days: [30, 30, 30, 45, 60][(dice(spec.seed, "terms", n) % 5) as usize],
        billing_cycle: match part {
            Part::Quarterly => "quarterly",
            Part::Annual => "annual",
            _ => "monthly",
        },
        created_on: Date::MIN,
        starts_on: Date::MIN,
        ends_on: None,
        plan: "",
        next_plan: None,
        next_plan_from: None,
        storage_limit_mb: None,
        api_limit: None,
        engineers,
        users,
        established: users - users / 12,
        departments: (1 + engineers / 25).min(10),
        positions: if engineers < 10 { 2 } else { 6 },
        projects: 1 + engineers / 6,
        first_user: 0,
        first_department: 0,
        first_position: 0,
        first_project: 0,
        busy_from: Date::MIN,
        busy_until: Date::MIN,
        hour_shift: if american { 13 } else { 0 },
        traffic: 0,
        month_calls: 0,
        usual_calls: 0,
        cpu_ms: 0,
        memory_mb: 0,
        network_bytes: 0,
        storage_bytes: 0,
        files: 0,
        by_heads: false,
        broken_on: None,
        invoiced_from: None,
    }
}

impl Tenant {
    /// Dates: contract, status, days with traffic, the earlier invoice and the faults.
    fn sign(&mut self, spec: &SampleSpec, calendar: &Calendar) {
        let n = self.n as usize;
        let (previous, earlier) = (calendar.previous, calendar.earlier);
        let months_ago = |months: i64| previous.start.saturating_sub(months.months());
        self.starts_on = match self.part {
            Part::Jumped => after(earlier.end, -10),
            Part::Starts => calendar.of_previous(10),
            Part::Quarterly => months_ago(6),
            Part::Annual => months_ago(12),
            _ => months_ago(4 + roll(spec.seed, "months", n, 36)),
        };
        self.created_on = after(self.starts_on, -5 - roll(spec.seed, "created", n, 20));
        match self.part {
            Part::Ends => self.ends_on = Some(calendar.of_previous(20)),
            Part::Closed => self.ends_on = Some(after(earlier.start, -1)),
            _ => {}
        }
        (self.status, self.status_since) = match self.part {
            Part::Suspended => ("suspended", Some(calendar.of_previous(15))),
            Part::LongSuspended => ("suspended", Some(after(earlier.start, -20))),
            Part::Closed => ("closed", Some(earlier.start)),
            _ => ("active", None),
        };
        let stops = [self.status_since, self.ends_on.map(|day| after(day, 1))];
        let until = stops.into_iter().flatten().fold(calendar.logs.end, Date::min);
        self.busy_from = self.starts_on.max(calendar.logs.start);
        self.busy_until = until.max(self.busy_from);
        if spec.with_faults && self.part == Part::LacksADay {
            let day = calendar.of_previous(17).max(calendar.logs.start);
            self.broken_on = previous.contains(day).then_some(day);
        }
        let billed = self.starts_on < earlier.end
            && self.billing_cycle == "monthly"
            && self.part != Part::Closed
            && !(self.part == Part::Ordinary && roll(spec.seed, "unbilled", n, 8) == 0);
        self.invoiced_from = billed.then_some(self.starts_on.max(earlier.start));
    }

    /// API calls that the earlier invoice is for.
    pub fn earlier_calls(&self, earlier: Days) -> i64 {
        let whole = self.invoiced_from == Some(earlier.start) && self.part != Part::LongSuspended;
        if whole { self.month_calls * 19 / 20 } else { 0 }
    }

    fn busy(&self) -> Days {
        Days { start: self.busy_from, end: self.busy_until }
    }

    /// What it buys and how much of that it uses: mostly less than is included, now and then a little more.
    fn consume(&mut self, spec: &SampleSpec, calendar: &Calendar) {
        let n = self.n as usize;
        self.level = match self.part {
            Part::Downgrades => Level::Standard,
            Part::Upgrades => Level::Light,
            _ => Level::for_calls(self.month_calls.max(self.usual_calls)),
        };
        let plan = self.level.plan(self.currency);
        self.plan = plan.plan_code;
        (self.next_plan, self.next_plan_from) = match self.part {
            Part::Downgrades => (Some("light"), Some(calendar.of_previous(16))),
            Part::Upgrades => (Some("standard"), Some(calendar.of_previous(31))),
            Part::Fails if spec.with_faults => (Some(UNKNOWN), Some(calendar.of_previous(16))),
            _ => (None, None),
        };
        let percent = |topic| match (self.part, roll(spec.seed, topic, n, 5)) {
            (Part::Downgrades, _) => 30,
            (Part::Huge, _) => 113,
            (_, 0) => 104 + roll(spec.seed, topic, n + 1, 30),
            _ => 35 + roll(spec.seed, topic, n + 1, 60),
        };
        let hours = calendar.hours();
        self.cpu_ms = plan.included_cpu_hours * 3_600_000 / hours * percent("cpu") / 100;
        self.memory_mb =
            (plan.included_memory_gb_hours * 1024 / hours * percent("memory") / 100).max(1);
        self.network_bytes = plan.included_bandwidth_gb * GB / hours / 100 * percent("network");
        self.storage_bytes = plan.included_storage_gb * GB / 100 * percent("storage");
        self.files = (self.engineers * 8 + 12).max(self.storage_bytes / (40 << 20));
        let fill = match self.part {
            Part::Jumped => 84,
            Part::Holding => 97,
            _ => 40 + roll(spec.seed, "fill", n, 35),
        };
        self.storage_limit_mb = (roll(spec.seed, "limited", n, 4) != 0 || fill > 80)
            .then_some((self.storage_bytes >> 20) * 100 / fill);
        let limited = self.storage_limit_mb.is_some();
        self.api_limit = match self.part {
            Part::LacksADay => Some(self.month_calls.max(1) * 100 / 88),
            Part::Starts => Some(self.month_calls.max(1) * 100 / 60),
            _ if roll(spec.seed, "limited", n, 4) == 1 => Some(self.month_calls.max(1) * 2),
            _ => None,
        };
        // a second contract has no limits: it must not lift those of the first
        self.by_heads = !limited && self.api_limit.is_none() && self.ends_on.is_none();
    }
}

/// Shares the API calls among the tenants by size and liveliness, over the days on which each is busy.
fn spread_traffic(spec: &SampleSpec, calendar: &Calendar, tenants: &mut [Tenant]) {
    let hourly: i64 = tenants.iter().map(|tenant| tenant.busy().count() * 24 * 2).sum();
    let wanted = i64::try_from(spec.log_rows).unwrap_or(i64::MAX);
    let calls = (wanted - hourly).max(wanted / 2) / 100 * API_PERCENT;
    let usual =
        i128::from(spec.tenants) * i128::from(USUAL_LOG_ROWS) * i128::from(API_PERCENT) / 100;
    let weight = |tenant: &Tenant| {
        let lively = 60 + roll(spec.seed, "lively", tenant.n as usize, 80);
        i128::from((tenant.engineers + 2) * lively)
    };
    let weights = tenants.iter().map(weight).sum::<i128>().max(1);
    let parts = |tenant: &Tenant| weight(tenant) * i128::from(total_busyness(tenant.busy()));
    let all = tenants.iter().map(parts).sum::<i128>().max(1);
    let logged =
        Days { start: calendar.previous.start.max(calendar.logs.start), ..calendar.previous };
    let month = i128::from(total_busyness(logged));
    for tenant in tenants {
        tenant.traffic = (i128::from(calls) * 100_000 * weight(tenant) / all) as i64;
        tenant.month_calls = (i128::from(tenant.traffic) * month / 100_000) as i64;
        tenant.usual_calls = (usual * weight(tenant) / weights) as i64;
    }
}

/// The days with logs and how busy they are, as the two arrays the SQL takes.
pub(super) fn log_days(calendar: &Calendar) -> (Vec<String>, Vec<i32>) {
    calendar.logs.each().map(|day| (day.to_string(), busyness(day))).unzip()
}
