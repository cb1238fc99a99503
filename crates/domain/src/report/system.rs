//! The service's month as a whole, for those who run it: companies, people, requests and how they were answered.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use yakin_engine::days::day_of;
use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

use super::month::{Months, named};
use super::words::{Say, Words};
use super::{Cell, Chapter, Compared, Part, Report, Series, Table};

/// How many companies a cover names.
const NAMED: usize = 20;

#[derive(Clone, Debug, sqlx::FromRow)]
struct Month {
    #[sqlx(try_from = "jiff_sqlx::Date")]
    first: Date,
    days: i64,
    companies_end: Option<i64>,
    users_end: Option<i64>,
    users_peak: Option<i64>,
    active_users_mean: Option<Decimal>,
    active_users: Option<i64>,
    engineers_end: Option<i64>,
    engineers_peak: Option<i64>,
    requests: Option<i64>,
    server_errors: Option<i64>,
    response_ms_mean: Option<Decimal>,
    response_ms_p95_highest: Option<i64>,
    logins: Option<i64>,
    api_calls: Option<i64>,
    mails_sent: Option<i64>,
    probes: Option<i64>,
    probes_good: Option<i64>,
}

#[derive(Clone, Debug, sqlx::FromRow)]
struct Day {
    #[sqlx(try_from = "jiff_sqlx::Date")]
    day: Date,
    active_users: Option<i64>,
    requests: Option<i64>,
    server_errors: Option<i64>,
    error_percent: Option<Decimal>,
    response_ms_p95: Option<i64>,
    probes: Option<i64>,
    probes_good: Option<i64>,
    whole: bool,
}

#[derive(Clone, Debug, sqlx::FromRow)]
struct Company {
    code: String,
    name: String,
    users_peak: Option<i64>,
    engineers_peak: Option<i64>,
    active_users: Option<i64>,
    logins: Option<i64>,
    api_calls: Option<i64>,
    storage_peak: Option<Decimal>,
    is_new: bool,
    is_lost: bool,
    failed: bool,
}

/// The report and what its cover says is missing; `failed` are the companies whose own report could not be made.
pub async fn report(
    tx: &mut Tx,
    months: &Months,
    failed: &[i64],
    (words, now): (Words, jiff::Timestamp),
) -> Result<(Report, Option<String>), Stop> {
    let (start, end) = (months.this.start.to_sqlx(), months.this.end.to_sqlx());
    let rows: Vec<Month> = sqlx::query_as(include_str!("system_months.sql"))
        .bind(months.starts())
        .fetch_all(&mut *tx)
        .await?;
    let rows = months.pick(&rows, |m| m.first);
    let days: Vec<Day> = sqlx::query_as(include_str!("system_days.sql"))
        .bind(start)
        .bind(end)
        .fetch_all(&mut *tx)
        .await?;
    let companies: Vec<Company> = sqlx::query_as(include_str!("system_companies.sql"))
        .bind(start)
        .bind(end)
        .bind(failed)
        .fetch_all(&mut *tx)
        .await?;
    let notes = notes(words, &days, &companies);
    let missing = (!notes.is_empty()).then(|| notes.join(" / "));
    let report = Report {
        words,
        title: words.say(Say::SystemReport).to_owned(),
        about: words.say(Say::WholeService).to_owned(),
        addressed: false,
        period: words.month(months.this),
        made_on: day_of(now),
        facts: facts(words, months, &companies),
        notes,
        chapters: vec![
            people(words, &rows, &days),
            requests(words, &rows, &days),
            each_company(words, &companies),
            each_day(words, &days),
        ],
    };
    Ok((report, missing))
}

fn notes(words: Words, days: &[Day], companies: &[Company]) -> Vec<String> {
    let missing: Vec<Date> = days.iter().filter(|d| !d.whole).map(|d| d.day).collect();
    let failed: Vec<&str> =
        companies.iter().filter(|c| c.failed).map(|c| c.code.as_str()).collect();
    let days =
        (!missing.is_empty()).then(|| words.incomplete_days(missing.len(), &named(&missing)));
    let without = (!failed.is_empty()).then(|| {
        let first = &failed[..failed.len().min(NAMED)];
        words.without_report(failed.len(), &first.join(", "), failed.len() - first.len())
    });
    days.into_iter().chain(without).collect()
}

fn facts(words: Words, months: &Months, companies: &[Company]) -> Vec<(String, Cell)> {
    let count = |which: fn(&Company) -> bool| {
        Cell::Count(companies.iter().filter(|c| which(c)).count() as i64)
    };
    let names = |which: fn(&Company) -> bool| {
        let of: Vec<&str> =
            companies.iter().filter(|c| which(c)).take(NAMED).map(|c| c.name.as_str()).collect();
        Cell::text(if of.is_empty() { "0".to_owned() } else { of.join("、") })
    };
    vec![
        (words.say(Say::Period).to_owned(), Cell::text(words.from_to(months.this))),
        (words.say(Say::CompaniesInForce).to_owned(), count(|_| true)),
        (words.say(Say::CompaniesNew).to_owned(), names(|c| c.is_new)),
        (words.say(Say::CompaniesLost).to_owned(), names(|c| c.is_lost)),
    ]
}

fn of(rows: &[Option<Month>; 3], figure: impl Fn(&Month) -> Cell) -> [Cell; 3] {
    rows.each_ref().map(|m| m.as_ref().map_or(Cell::Missing, &figure))
}

fn people(words: Words, rows: &[Option<Month>; 3], days: &[Day]) -> Chapter {
    let mut table = Compared::new(words);
    table.row(words.say(Say::DaysRecorded), of(rows, |m| Cell::Count(m.days)));
    table.row(words.say(Say::CompaniesEnd), of(rows, |m| Cell::count(m.companies_end)));
    table.row(words.say(Say::UsersEnd), of(rows, |m| Cell::count(m.users_end)));
    table.row(words.say(Say::UsersPeak), of(rows, |m| Cell::count(m.users_peak)));
    table.row(words.say(Say::ActiveUsers), of(rows, |m| Cell::count(m.active_users)));
    table.row(words.say(Say::ActiveMean), of(rows, |m| Cell::number(m.active_users_mean, 1)));
    table.row(words.say(Say::EngineersEnd), of(rows, |m| Cell::count(m.engineers_end)));
    table.row(words.say(Say::EngineersPeak), of(rows, |m| Cell::count(m.engineers_peak)));
    table.row(words.say(Say::Logins), of(rows, |m| Cell::count(m.logins)));
    table.row(words.say(Say::Mails), of(rows, |m| Cell::count(m.mails_sent)));
    let series = series(words.say(Say::ActiveByDay), days, |d| d.active_users);
    Chapter { title: words.say(Say::People).to_owned(), parts: vec![table.table(), series] }
}

fn requests(words: Words, rows: &[Option<Month>; 3], days: &[Day]) -> Chapter {
    let share = |m: &Month| {
        let requests = Decimal::from(m.requests?);
        let errors = Decimal::from(m.server_errors?) * Decimal::ONE_HUNDRED;
        (requests > Decimal::ZERO).then(|| errors / requests)
    };
    let mut table = Compared::new(words);
    table.row(words.say(Say::Requests), of(rows, |m| Cell::count(m.requests)));
    table.row(words.say(Say::OfThemCompanies), of(rows, |m| Cell::count(m.api_calls)));
    table.row(words.say(Say::ServerErrors), of(rows, |m| Cell::count(m.server_errors)));
    table.row(words.say(Say::ErrorShare), of(rows, |m| Cell::percent(share(m))));
    table.row(words.say(Say::ResponseMean), of(rows, |m| Cell::number(m.response_ms_mean, 1)));
    table.row(words.say(Say::ResponseWorst), of(rows, |m| Cell::count(m.response_ms_p95_highest)));
    table.row(words.say(Say::Probes), of(rows, |m| Cell::count(m.probes)));
    table.row(words.say(Say::Uptime), of(rows, |m| uptime(m.probes_good, m.probes)));
    let series = series(words.say(Say::RequestsByDay), days, |d| d.requests);
    let probed = rows[0].as_ref().is_some_and(|m| m.probes.is_some());
    let note = if probed { Say::UptimeNote } else { Say::UptimeMissing };
    let note = Part::Note(words.say(note).to_owned());
    Chapter { title: words.say(Say::Answers).to_owned(), parts: vec![table.table(), series, note] }
}

fn uptime(good: Option<i64>, all: Option<i64>) -> Cell {
    let share = |(good, all): (i64, i64)| {
        (all > 0).then(|| Decimal::from(good) * Decimal::ONE_HUNDRED / Decimal::from(all))
    };
    Cell::uptime(good.zip(all).and_then(share))
}

fn series(title: &str, days: &[Day], value: impl Fn(&Day) -> Option<i64>) -> Part {
    let points = days.iter().map(|d| (d.day, value(d).map(Decimal::from)));
    Part::Series(Series { title: title.to_owned(), points: points.collect() })
}

fn table(words: Words, head: &[Say], rows: Vec<Vec<Cell>>) -> Part {
    let head = head.iter().map(|h| words.say(*h).to_owned()).collect();
    Part::Table(Table { head, rows, summed: false })
}

fn each_company(words: Words, companies: &[Company]) -> Chapter {
    let head = [
        Say::CompanyCode,
        Say::CompanyName,
        Say::UsersPeak,
        Say::ActiveUsers,
        Say::EngineersPeak,
        Say::Logins,
        Say::ApiCalls,
        Say::StoragePeak,
    ];
    let rows = companies.iter().map(|c| {
        vec![
            Cell::text(&c.code),
            Cell::text(&c.name),
            Cell::count(c.users_peak),
            Cell::count(c.active_users),
            Cell::count(c.engineers_peak),
            Cell::count(c.logins),
            Cell::count(c.api_calls),
            Cell::megabytes(c.storage_peak),
        ]
    });
    let parts = vec![table(words, &head, rows.collect())];
    Chapter { title: words.say(Say::EachCompany).to_owned(), parts }
}

fn each_day(words: Words, days: &[Day]) -> Chapter {
    let head = [
        Say::Day,
        Say::ActiveUsers,
        Say::Requests,
        Say::ServerErrors,
        Say::ErrorShare,
        Say::ResponseDay,
        Say::Uptime,
    ];
    let rows = days.iter().map(|d| {
        vec![
            Cell::Day(d.day),
            Cell::count(d.active_users),
            Cell::count(d.requests),
            Cell::count(d.server_errors),
            Cell::percent(d.error_percent),
            Cell::count(d.response_ms_p95),
            uptime(d.probes_good, d.probes),
        ]
    });
    let parts = vec![table(words, &head, rows.collect())];
    Chapter { title: words.say(Say::EachDay).to_owned(), parts }
}
