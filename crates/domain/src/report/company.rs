//! A company's month: users and engineers, use of the service, standing offers, storage, features, and each day.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use yakin_engine::days::{Days, day_of};
use yakin_engine::outcome::Stop;
use yakin_engine::run::{PlatformRun, TenantRun};
use yakin_engine::tx::Tx;

use super::funnel::{self, Funnel};
use super::month::{Months, named};
use super::words::{Say, Words};
use super::{Cell, Chapter, Compared, Part, Report, Series, Table};

/// Its key in the registry.
pub const KEY: &str = "company-monthly";

/// The company itself.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Company {
    pub code: String,
    pub name: String,
    pub language: String,
}

/// A month's figures. Null where nothing was measured.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Month {
    #[sqlx(try_from = "jiff_sqlx::Date")]
    pub first: Date,
    pub days: i64,
    pub late_days: i64,
    pub users_end: Option<i64>,
    pub users_peak: Option<i64>,
    pub active_users_mean: Option<Decimal>,
    pub active_users: Option<i64>,
    pub engineers_end: Option<i64>,
    pub engineers_peak: Option<i64>,
    pub active_engineers_mean: Option<Decimal>,
    pub logins: Option<i64>,
    pub mails_sent: Option<i64>,
    pub api_calls: Option<i64>,
    pub storage_peak: Option<Decimal>,
    pub storage_mean: Option<Decimal>,
    pub storage_end: Option<Decimal>,
}

/// What standing offers came to in a month.
#[derive(Clone, Debug, sqlx::FromRow)]
struct Offers {
    #[sqlx(try_from = "jiff_sqlx::Date")]
    first: Date,
    offers: i64,
    engineers: i64,
    without_match: i64,
}

#[derive(Clone, Debug, sqlx::FromRow)]
struct Day {
    #[sqlx(try_from = "jiff_sqlx::Date")]
    day: Date,
    active_users: Option<i64>,
    logins: Option<i64>,
    mails_sent: Option<i64>,
    api_calls: Option<i64>,
    storage_bytes: Option<i64>,
    whole: bool,
    expected: bool,
}

#[derive(Clone, Debug, sqlx::FromRow)]
struct Feature {
    feature: String,
    uses: i64,
    uses_before: Option<i64>,
}

/// Everything a company's report is made of.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub company: Company,
    months: [Option<Month>; 3],
    offers: [Option<Offers>; 3],
    funnel: Funnel,
    days: Vec<Day>,
    features: Vec<Feature>,
}

/// The companies in force in a month.
pub async fn in_force(run: &PlatformRun, month: Days) -> Result<Vec<i64>, Stop> {
    run.read(async |tx| {
        Ok(sqlx::query_scalar(include_str!("in_force.sql"))
            .bind(month.start.to_sqlx())
            .bind(month.end.to_sqlx())
            .fetch_all(tx)
            .await?)
    })
    .await
}

/// Counts the month's distinct users of the companies whose figure is not there yet, in one pass over each log, and
/// stages it; returns how many companies.
pub async fn stage_users(run: &PlatformRun, month: Days) -> Result<usize, Stop> {
    let unknown: Vec<i64> = run
        .read(async |tx| {
            Ok(sqlx::query_scalar(include_str!("users_unknown.sql"))
                .bind(month.start.to_sqlx())
                .bind(month.end.to_sqlx())
                .fetch_all(tx)
                .await?)
        })
        .await?;
    if unknown.is_empty() {
        return Ok(0);
    }
    let (start, end) = month.instants();
    run.stage(async |tx| {
        // what an earlier attempt staged
        crate::usage::staging::forget(tx, run).await?;
        sqlx::query(include_str!("month_users.sql"))
            .bind(start.to_sqlx())
            .bind(end.to_sqlx())
            .bind(run.id())
            .bind(month.start.to_sqlx())
            .bind(&unknown)
            .execute(tx)
            .await?;
        Ok(unknown.len())
    })
    .await
}

/// The month's distinct users that this run staged for the tenant. None where they are known already, or where a single
/// day is recorded with more: then the month's events are not all there any more, and nothing is guessed.
pub async fn staged_users(run: &TenantRun, month: Days) -> Result<Option<i64>, Stop> {
    run.read(async |tx| {
        Ok(sqlx::query_scalar(include_str!("staged_users.sql"))
            .bind(run.id())
            .bind(month.start.to_sqlx())
            .bind(month.end.to_sqlx())
            .fetch_optional(tx)
            .await?)
    })
    .await
}

/// Keeps the month's distinct users, once; returns rows written.
pub async fn keep_users(tx: &mut Tx, month: Days, users: i64, run: i64) -> Result<u64, Stop> {
    let kept = sqlx::query(
        "INSERT INTO app.company_usage_monthly (tenant_id, month, active_users, run_id)
         VALUES (yakin.current_tenant(), $1, $2, $3) ON CONFLICT (tenant_id, month) DO NOTHING",
    )
    .bind(month.start.to_sqlx())
    .bind(users)
    .bind(run)
    .execute(tx)
    .await?;
    Ok(kept.rows_affected())
}

/// Who the company is, as the tenant.
pub async fn company(tx: &mut Tx) -> Result<Company, Stop> {
    Ok(sqlx::query_as("SELECT code, name, language FROM app.tenants").fetch_one(tx).await?)
}

/// Reads the company's months, as the tenant. Blocked where not one day of the month was recorded.
pub async fn load(tx: &mut Tx, months: &Months, users: Option<i64>) -> Result<Loaded, Stop> {
    let company = company(tx).await?;
    let (start, end) = (months.this.start.to_sqlx(), months.this.end.to_sqlx());
    let rows: Vec<Month> = sqlx::query_as(include_str!("company_months.sql"))
        .bind(months.starts())
        .fetch_all(&mut *tx)
        .await?;
    let mut rows = months.pick(&rows, |m| m.first);
    let Some(this) = &mut rows[0] else {
        let why = format!("no day of {} is recorded (DAILY_002)", months.this);
        return Err(Stop::blocked(why));
    };
    this.active_users = this.active_users.or(users);
    let offers: Vec<Offers> = sqlx::query_as(include_str!("company_offers.sql"))
        .bind(months.starts())
        .fetch_all(&mut *tx)
        .await?;
    let days = sqlx::query_as(include_str!("company_days.sql"))
        .bind(start)
        .bind(end)
        .fetch_all(&mut *tx)
        .await?;
    let features = sqlx::query_as(include_str!("company_features.sql"))
        .bind(start)
        .bind(end)
        .bind(months.before.start.to_sqlx())
        .fetch_all(&mut *tx)
        .await?;
    let funnel = funnel::load(tx, months).await?;
    let offers = months.pick(&offers, |o| o.first);
    Ok(Loaded { company, months: rows, offers, funnel, days, features })
}

impl Loaded {
    /// The days that should be there and are not, or not whole.
    fn incomplete(&self) -> Vec<Date> {
        self.days.iter().filter(|d| d.expected && !d.whole).map(|d| d.day).collect()
    }

    /// What the cover says is missing, in the company's language.
    pub fn missing(&self) -> Option<String> {
        let days = self.incomplete();
        let words = Words::of(&self.company.language);
        (!days.is_empty()).then(|| words.incomplete_days(days.len(), &named(&days)))
    }

    /// The report.
    pub fn report(&self, months: &Months, now: jiff::Timestamp) -> Report {
        let words = Words::of(&self.company.language);
        let late = self.months[0].as_ref().map_or(0, |m| m.late_days);
        let late = (late > 0).then(|| words.late_gauges(late));
        Report {
            words,
            title: words.say(Say::CompanyReport).to_owned(),
            about: self.company.name.clone(),
            addressed: true,
            period: words.month(months.this),
            made_on: day_of(now),
            facts: self.facts(words, months),
            notes: self.missing().into_iter().chain(late).collect(),
            chapters: vec![
                self.people(words),
                self.use_of(words),
                self.offers(words),
                self.storage(words),
                self.features(words),
                self.each_day(words),
            ],
        }
    }

    fn facts(&self, words: Words, months: &Months) -> Vec<(String, Cell)> {
        let measured = self.days.iter().filter(|d| d.whole).count();
        let expected = self.days.iter().filter(|d| d.expected).count();
        vec![
            (words.say(Say::CompanyCode).to_owned(), Cell::text(&self.company.code)),
            (words.say(Say::Period).to_owned(), Cell::text(words.from_to(months.this))),
            (
                words.say(Say::DaysMeasured).to_owned(),
                Cell::text(format!("{measured} / {expected}")),
            ),
        ]
    }

    /// A figure of each of the three months.
    fn of(&self, figure: impl Fn(&Month) -> Cell) -> [Cell; 3] {
        self.months.each_ref().map(|m| m.as_ref().map_or(Cell::Missing, &figure))
    }

    /// Offers of a month that was not observed at all are unknown, not zero.
    fn of_offers(&self, figure: impl Fn(&Offers) -> Cell) -> [Cell; 3] {
        [0, 1, 2].map(|n| match (&self.months[n], &self.offers[n]) {
            (Some(_), Some(offers)) => figure(offers),
            _ => Cell::Missing,
        })
    }

    fn people(&self, words: Words) -> Chapter {
        let mut rows = Compared::new(words);
        rows.row(words.say(Say::DaysRecorded), self.of(|m| Cell::Count(m.days)));
        rows.row(words.say(Say::UsersEnd), self.of(|m| Cell::count(m.users_end)));
        rows.row(words.say(Say::UsersPeak), self.of(|m| Cell::count(m.users_peak)));
        rows.row(words.say(Say::ActiveUsers), self.of(|m| Cell::count(m.active_users)));
        rows.row(words.say(Say::ActiveMean), self.of(|m| Cell::number(m.active_users_mean, 1)));
        rows.row(words.say(Say::EngineersEnd), self.of(|m| Cell::count(m.engineers_end)));
        rows.row(words.say(Say::EngineersPeak), self.of(|m| Cell::count(m.engineers_peak)));
        rows.row(
            words.say(Say::WorkingMean),
            self.of(|m| Cell::number(m.active_engineers_mean, 1)),
        );
        let series = self.series(words.say(Say::ActiveByDay), |d| d.active_users);
        Chapter { title: words.say(Say::People).to_owned(), parts: vec![rows.table(), series] }
    }

    fn use_of(&self, words: Words) -> Chapter {
        let mut rows = Compared::new(words);
        rows.row(words.say(Say::Logins), self.of(|m| Cell::count(m.logins)));
        rows.row(words.say(Say::ApiCalls), self.of(|m| Cell::count(m.api_calls)));
        rows.row(words.say(Say::Mails), self.of(|m| Cell::count(m.mails_sent)));
        let series = self.series(words.say(Say::LoginsByDay), |d| d.logins);
        Chapter { title: words.say(Say::Use).to_owned(), parts: vec![rows.table(), series] }
    }

    fn offers(&self, words: Words) -> Chapter {
        let mut rows = Compared::new(words);
        rows.row(words.say(Say::Offers), self.of_offers(|o| Cell::Count(o.offers)));
        rows.row(words.say(Say::Offered), self.of_offers(|o| Cell::Count(o.engineers)));
        rows.row(words.say(Say::NoMatch), self.of_offers(|o| Cell::Count(o.without_match)));
        let mut parts = vec![rows.table()];
        parts.extend(self.funnel.parts(words));
        Chapter { title: words.say(Say::OffersTitle).to_owned(), parts }
    }

    fn storage(&self, words: Words) -> Chapter {
        let mut rows = Compared::new(words);
        rows.row(words.say(Say::StoragePeak), self.of(|m| Cell::megabytes(m.storage_peak)));
        rows.row(words.say(Say::StorageMean), self.of(|m| Cell::megabytes(m.storage_mean)));
        rows.row(words.say(Say::StorageEnd), self.of(|m| Cell::megabytes(m.storage_end)));
        let note = Part::Note(words.say(Say::Megabytes).to_owned());
        Chapter { title: words.say(Say::Storage).to_owned(), parts: vec![rows.table(), note] }
    }

    fn features(&self, words: Words) -> Chapter {
        let head = [Say::Rank, Say::Feature, Say::Uses, Say::UsesBefore];
        let rows = self.features.iter().zip(1..).map(|(f, rank)| {
            // a month that was recorded did not use it; one that was not is unknown
            let before = f.uses_before.or(self.months[1].as_ref().map(|_| 0));
            vec![
                Cell::Count(rank),
                Cell::text(&f.feature),
                Cell::Count(f.uses),
                Cell::count(before),
            ]
        });
        let table = Table {
            head: head.map(|h| words.say(h).to_owned()).to_vec(),
            rows: rows.collect(),
            summed: false,
        };
        let parts = if self.features.is_empty() {
            vec![Part::Note(words.say(Say::NoFeatures).to_owned())]
        } else {
            vec![Part::Table(table)]
        };
        Chapter { title: words.say(Say::Features).to_owned(), parts }
    }

    fn each_day(&self, words: Words) -> Chapter {
        let head =
            [Say::Day, Say::ActiveUsers, Say::Logins, Say::ApiCalls, Say::Mails, Say::StorageDay];
        let rows = self.days.iter().map(|d| {
            vec![
                Cell::Day(d.day),
                Cell::count(d.active_users),
                Cell::count(d.logins),
                Cell::count(d.api_calls),
                Cell::count(d.mails_sent),
                Cell::megabytes(d.storage_bytes.map(Decimal::from)),
            ]
        });
        let table = Table {
            head: head.map(|h| words.say(h).to_owned()).to_vec(),
            rows: rows.collect(),
            summed: false,
        };
        Chapter { title: words.say(Say::EachDay).to_owned(), parts: vec![Part::Table(table)] }
    }

    fn series(&self, title: &str, value: impl Fn(&Day) -> Option<i64>) -> Part {
        let points = self.days.iter().map(|d| (d.day, value(d).map(Decimal::from)));
        Part::Series(Series { title: title.to_owned(), points: points.collect() })
    }
}
