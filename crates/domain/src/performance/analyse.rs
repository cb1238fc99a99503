//! From counted hours to the report's chapters.

use std::collections::{BTreeMap, HashMap};

use yakin_engine::days::clock_text;
use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

use super::changes::{Measured, Rules, changes};
use super::chapters::{
    Api, Caller, Chapter, Coverage, EndpointTiming, Errors, Group, HourTiming, Report, Responses,
    Timing, WeekLine, percent,
};
use super::database::Database;
use super::durations::Durations;
use super::hours::{self, CompanyDay, Endpoint, EndpointDay, Hour};
use super::week::Week;

const MOST_TIMED: usize = 100;
const MOST_GROUPS: usize = 10;
const MOST_MOVED: usize = 20;
const MOST_CALLERS: usize = 20;
const MOST_CHANGES: usize = 100;
/// The hours of a week, and those of a day.
const HOURS: usize = 168;
const DAY: usize = 24;

/// What the four weeks' hours hold; the last of each list is the week itself.
struct Loaded {
    week: Week,
    endpoints: Vec<Vec<Endpoint>>,
    with_data: Vec<i64>,
    hours: Vec<Hour>,
    companies: Vec<CompanyDay>,
    endpoint_days: Vec<EndpointDay>,
}

/// Reads the counted hours of the week and of the three before it, and makes its report.
pub async fn report(
    tx: &mut Tx,
    week: Week,
    database: Chapter<Database>,
    rules: Rules,
) -> Result<Report, Stop> {
    let (mut endpoints, mut with_data) = (Vec::new(), Vec::new());
    for back in (0..4).rev() {
        let days = week.back(back).0;
        endpoints.push(hours::endpoints(tx, days).await?);
        with_data.push(hours::with_data(tx, days).await?);
    }
    let hours = hours::hours(tx, week.0).await?;
    let companies = hours::companies(tx, week.0).await?;
    let endpoint_days = hours::endpoint_days(tx, week.0).await?;
    let loaded = Loaded { week, endpoints, with_data, hours, companies, endpoint_days };
    Ok(loaded.report(database, rules))
}

/// `GET /api/v1/engineers`; a call that told neither is `?`.
fn name(method: &str, endpoint: &str) -> String {
    match (method, endpoint) {
        ("", "") => "?".to_owned(),
        _ => format!("{method} {endpoint}").trim().to_owned(),
    }
}

fn measured(endpoint: &Endpoint) -> Measured {
    Measured {
        requests: endpoint.durations().count(),
        p95_ms: endpoint.durations().percentile(95).unwrap_or_default(),
        client_errors: endpoint.answered(400..=499).unsigned_abs(),
        server_errors: endpoint.answered(500..=599).unsigned_abs(),
    }
}

/// All endpoints of a week together.
fn whole(endpoints: &[Endpoint]) -> (Durations, Measured) {
    let mut durations = Durations::default();
    let (mut client_errors, mut server_errors) = (0, 0);
    for endpoint in endpoints {
        durations.merge(endpoint.durations());
        client_errors += endpoint.answered(400..=499).unsigned_abs();
        server_errors += endpoint.answered(500..=599).unsigned_abs();
    }
    let p95_ms = durations.percentile(95).unwrap_or_default();
    let requests = durations.count();
    (durations, Measured { requests, p95_ms, client_errors, server_errors })
}

impl Loaded {
    fn this(&self) -> &[Endpoint] {
        self.endpoints.last().map_or(&[], Vec::as_slice)
    }

    fn before(&self) -> &[Endpoint] {
        self.endpoints.iter().rev().nth(1).map_or(&[], Vec::as_slice)
    }

    fn report(&self, database: Chapter<Database>, rules: Rules) -> Report {
        let this = self.this();
        let (durations, _) = whole(this);
        let total_ms = this.iter().map(|e| e.total_ms).sum();
        let max_ms = this.iter().map(|e| e.max_ms).max();
        let impossible = self.hours.iter().map(|h| h.impossible).sum();
        let with_data = self.with_data.last().copied().unwrap_or_default();
        Report {
            week: self.week.iso(),
            first: self.week.0.start,
            last: self.week.last(),
            coverage: Coverage::of(HOURS as i64, with_data, impossible),
            total: Timing::of(&durations, Some(total_ms), max_ms),
            responses: self.responses(),
            errors: self.errors(),
            database,
            api: self.api(),
            weeks: self.weeks(),
            changes: self.changes(rules),
            change_percent: rules.percent,
            min_requests: rules.min_requests,
        }
    }

    /// The hour's place in the week.
    fn place(&self, hour: &Hour) -> usize {
        let seconds = hour.hour.as_second() - self.week.0.instants().0.as_second();
        usize::try_from(seconds / 3_600).unwrap_or(HOURS)
    }

    fn responses(&self) -> Responses {
        let p95 = |endpoints: &[Endpoint]| -> HashMap<String, Option<u32>> {
            let each = |e: &Endpoint| (name(&e.method, &e.endpoint), e.durations().percentile(95));
            endpoints.iter().map(each).collect()
        };
        let weeks: Vec<_> = self.endpoints.iter().map(|week| p95(week)).collect();
        let mut slowest: Vec<&Endpoint> = self.this().iter().collect();
        slowest.sort_by_key(|e| std::cmp::Reverse(e.total_ms));
        let timed = |e: &&Endpoint| {
            let endpoint = name(&e.method, &e.endpoint);
            let p95_weeks: Vec<Option<u32>> =
                weeks.iter().map(|week| week.get(&endpoint).copied().flatten()).collect();
            EndpointTiming {
                total_ms: e.total_ms,
                timing: Timing::of(e.durations(), Some(e.total_ms), Some(e.max_ms)),
                p95_before_ms: p95_weeks.iter().rev().nth(1).copied().flatten(),
                p95_weeks,
                endpoint,
            }
        };
        let mut by_hour = vec![Durations::default(); DAY];
        let mut hours = vec![None; HOURS];
        for hour in self.hours.iter().filter(|h| h.requests > 0) {
            let durations = hour.durations();
            let place = self.place(hour);
            by_hour[place % DAY].merge(durations);
            if let Some(slot) = hours.get_mut(place) {
                let (p50_ms, p95_ms) = (durations.percentile(50), durations.percentile(95));
                *slot = Some(HourTiming { requests: hour.requests, p50_ms, p95_ms });
            }
        }
        Responses {
            endpoints: slowest.iter().take(MOST_TIMED).map(timed).collect(),
            endpoints_in_all: slowest.len(),
            by_hour: by_hour.iter().map(|d| Timing::of(d, None, None)).collect(),
            hours,
        }
    }

    fn errors(&self) -> Errors {
        let groups = |endpoints: &[Endpoint]| -> BTreeMap<(u16, String), i64> {
            let mut groups = BTreeMap::new();
            for endpoint in endpoints {
                for (status, count) in endpoint.statuses().filter(|(s, _)| (400..600).contains(s)) {
                    *groups
                        .entry((status, name(&endpoint.method, &endpoint.endpoint)))
                        .or_default() += count;
                }
            }
            groups
        };
        let (this, before) = (groups(self.this()), groups(self.before()));
        let compared = !self.before().is_empty();
        let list = |of: &BTreeMap<(u16, String), i64>, without: &BTreeMap<_, _>, most: usize| {
            let mut found: Vec<Group> = of
                .iter()
                .filter(|(key, _)| !without.contains_key(*key))
                .map(|(key, count)| Group {
                    status: key.0,
                    endpoint: key.1.clone(),
                    count: *count,
                    before: before.get(key).copied().unwrap_or_default(),
                })
                .collect();
            found.sort_by_key(|g| std::cmp::Reverse(g.count));
            let in_all = found.len();
            found.truncate(most);
            (found, in_all)
        };
        let (new, new_in_all) =
            if compared { list(&this, &before, MOST_MOVED) } else { (Vec::new(), 0) };
        let (mut vanished, vanished_in_all) = list(&before, &this, MOST_MOVED);
        vanished.iter_mut().for_each(|group| group.count = 0);
        let (_, all) = whole(self.this());
        Errors {
            client_errors: i64::try_from(all.client_errors).unwrap_or(i64::MAX),
            server_errors: i64::try_from(all.server_errors).unwrap_or(i64::MAX),
            client_percent: percent(all.client_errors, all.requests),
            server_percent: percent(all.server_errors, all.requests),
            days: self.error_days(),
            groups: list(&this, &BTreeMap::new(), MOST_GROUPS).0,
            compared,
            new,
            new_in_all,
            vanished,
            vanished_in_all,
        }
    }

    fn error_days(&self) -> Vec<Option<(f64, f64)>> {
        let mut days = vec![(0_i64, 0_i64, 0_i64); 7];
        for hour in &self.hours {
            if let Some(day) = days.get_mut(self.place(hour) / DAY) {
                day.0 += hour.requests;
                day.1 += hour.client_errors;
                day.2 += hour.server_errors;
            }
        }
        days.into_iter()
            .map(|(requests, client, server)| {
                let share = |part: i64| percent(part.unsigned_abs(), requests.unsigned_abs());
                Some((share(client)?, share(server)?))
            })
            .collect()
    }

    fn api(&self) -> Api {
        let calls: i64 = self.hours.iter().map(|h| h.requests).sum();
        let rejections = |e: &Endpoint| e.answered(403..=403) + e.answered(429..=429);
        let rejected = self.this().iter().map(rejections).sum::<i64>();
        let peak = self.hours.iter().max_by_key(|h| (h.peak_minute_requests, -h.hour.as_second()));
        let peak = peak.filter(|h| h.peak_minute_requests > 0);
        let day = |date: jiff::civil::Date| (date - self.week.0.start).get_days();
        let mut endpoints: Vec<Caller> = self
            .this()
            .iter()
            .take(MOST_CALLERS)
            .map(|e| Caller {
                name: name(&e.method, &e.endpoint),
                calls: e.requests,
                rejected: rejections(e),
                server_errors: e.answered(500..=599),
                days: vec![0; 7],
            })
            .collect();
        for of in &self.endpoint_days {
            let named = name(&of.method, &of.endpoint);
            let caller = endpoints.iter_mut().find(|c| c.name == named);
            put(caller, day(of.usage_date), of.requests);
        }
        let mut companies: BTreeMap<&str, Caller> = BTreeMap::new();
        for of in &self.companies {
            let caller = companies.entry(&of.code).or_insert_with(|| Caller {
                name: of.name.clone(),
                calls: 0,
                rejected: 0,
                server_errors: 0,
                days: vec![0; 7],
            });
            caller.calls += of.requests;
            caller.rejected += of.rejected;
            caller.server_errors += of.server_errors;
            put(Some(caller), day(of.usage_date), of.requests);
        }
        let companies_in_all = companies.len();
        let mut companies: Vec<Caller> = companies.into_values().collect();
        companies.sort_by_key(|c| std::cmp::Reverse(c.calls));
        let of_companies: i64 = companies.iter().map(|c| c.calls).sum();
        companies.truncate(MOST_CALLERS);
        Api {
            calls,
            without_company: calls - of_companies,
            peak_minute: peak.and_then(Hour::peak_minute).map(clock_text),
            peak_minute_calls: peak.map_or(0, |h| h.peak_minute_requests),
            rejected,
            rejected_percent: percent(rejected.unsigned_abs(), calls.unsigned_abs()),
            endpoints,
            companies,
            companies_in_all,
        }
    }

    fn weeks(&self) -> Vec<WeekLine> {
        let weeks = self.endpoints.iter().zip(&self.with_data).zip((0..4).rev());
        weeks
            .map(|((endpoints, with_data), back)| {
                let (durations, all) = whole(endpoints);
                WeekLine {
                    week: self.week.back(back).iso(),
                    coverage_percent: Coverage::of(HOURS as i64, *with_data, 0).percent,
                    requests: all.requests,
                    p95_ms: durations.percentile(95),
                    client_percent: percent(all.client_errors, all.requests),
                    server_percent: percent(all.server_errors, all.requests),
                }
            })
            .collect()
    }

    fn changes(&self, rules: Rules) -> Vec<super::changes::Change> {
        let mut found = changes("", &whole(self.before()).1, &whole(self.this()).1, rules);
        let before: HashMap<String, Measured> =
            self.before().iter().map(|e| (name(&e.method, &e.endpoint), measured(e))).collect();
        let mut of_endpoints: Vec<_> = self
            .this()
            .iter()
            .flat_map(|e| {
                let endpoint = name(&e.method, &e.endpoint);
                let was = before.get(&endpoint).copied().unwrap_or_default();
                changes(&endpoint, &was, &measured(e), rules)
            })
            .collect();
        let worse = |percent: Option<f64>| percent.unwrap_or(f64::MAX);
        of_endpoints.sort_by(|a, b| worse(b.worse_percent).total_cmp(&worse(a.worse_percent)));
        found.extend(of_endpoints);
        found.truncate(MOST_CHANGES);
        found
    }
}

fn put(caller: Option<&mut Caller>, day: i32, calls: i64) {
    let slot = usize::try_from(day).ok();
    if let Some(slot) = slot.and_then(|day| caller?.days.get_mut(day)) {
        *slot += calls;
    }
}
