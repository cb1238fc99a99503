//! What became of the engineers in a month: changes of state, waits, profiles and skillsheets, assignments that end soon.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use yakin_engine::days::{after, day_of};
use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

use super::month::Months;
use super::words::{Say, Words};
use super::{Cell, Chapter, Compared, Part, Report, Table};

#[derive(Clone, Debug, sqlx::FromRow)]
struct Month {
    #[sqlx(try_from = "jiff_sqlx::Date")]
    first: Date,
    days: i64,
    profile_updates: i64,
    sheets_viewed: i64,
    sheets_downloaded: i64,
    status_changes: i64,
}

#[derive(Clone, Debug, sqlx::FromRow)]
struct Flow {
    #[sqlx(try_from = "jiff_sqlx::Date")]
    first: Date,
    from_status: String,
    to_status: String,
    changes: i64,
}

#[derive(Clone, Debug, sqlx::FromRow)]
struct Bench {
    #[sqlx(try_from = "jiff_sqlx::Date")]
    first: Date,
    waits: i64,
    mean_days: Option<Decimal>,
}

#[derive(Clone, Debug, sqlx::FromRow)]
struct Company {
    code: String,
    name: String,
    to_waiting: i64,
    from_waiting: i64,
    within_30: i64,
    within_60: i64,
    within_90: i64,
}

/// The report and what its cover says is missing.
pub async fn report(
    tx: &mut Tx,
    months: &Months,
    (words, now): (Words, jiff::Timestamp),
) -> Result<(Report, Option<String>), Stop> {
    let starts = months.starts();
    let rows: Vec<Month> = sqlx::query_as(include_str!("engineers_months.sql"))
        .bind(&starts)
        .fetch_all(&mut *tx)
        .await?;
    let rows = months.pick(&rows, |m| m.first);
    let flows: Vec<Flow> = sqlx::query_as(include_str!("engineers_flows.sql"))
        .bind(&starts)
        .fetch_all(&mut *tx)
        .await?;
    let waits: Vec<Bench> = sqlx::query_as(include_str!("engineers_bench.sql"))
        .bind(&starts)
        .fetch_all(&mut *tx)
        .await?;
    let waits = months.pick(&waits, |w| w.first);
    let companies: Vec<Company> = sqlx::query_as(include_str!("engineers_companies.sql"))
        .bind(months.this.start.to_sqlx())
        .bind(months.this.end.to_sqlx())
        .fetch_all(&mut *tx)
        .await?;
    let measured = rows[0].as_ref().map_or(0, |m| m.days);
    let gone = months.this.count() - measured;
    let missing = (gone > 0).then(|| words.days_without(gone, months.this.count()));
    let report = Report {
        words,
        title: words.say(Say::EngineerReport).to_owned(),
        about: words.say(Say::WholeService).to_owned(),
        addressed: false,
        period: words.month(months.this),
        made_on: day_of(now),
        facts: vec![(words.say(Say::Period).to_owned(), Cell::text(words.from_to(months.this)))],
        notes: missing.iter().cloned().collect(),
        chapters: vec![
            activity(words, &rows),
            states(words, months, &rows, &flows, &waits),
            ending(words, months, &companies),
        ],
    };
    Ok((report, missing))
}

fn activity(words: Words, rows: &[Option<Month>; 3]) -> Chapter {
    let of = |figure: fn(&Month) -> i64| {
        rows.each_ref().map(|m| m.as_ref().map_or(Cell::Missing, |m| Cell::Count(figure(m))))
    };
    let mut table = Compared::new(words);
    table.row(words.say(Say::DaysRecorded), of(|m| m.days));
    table.row(words.say(Say::ProfileUpdates), of(|m| m.profile_updates));
    table.row(words.say(Say::SheetsViewed), of(|m| m.sheets_viewed));
    table.row(words.say(Say::SheetsDownloaded), of(|m| m.sheets_downloaded));
    table.row(words.say(Say::StatusChanges), of(|m| m.status_changes));
    Chapter { title: words.say(Say::Activity).to_owned(), parts: vec![table.table()] }
}

fn states(
    words: Words,
    months: &Months,
    rows: &[Option<Month>; 3],
    flows: &[Flow],
    waits: &[Option<Bench>; 3],
) -> Chapter {
    let mut table = Compared::new(words);
    let mut kinds: Vec<(&str, &str)> =
        flows.iter().map(|f| (f.from_status.as_str(), f.to_status.as_str())).collect();
    kinds.dedup();
    for kind in kinds {
        let of: Vec<Flow> = flows
            .iter()
            .filter(|f| (f.from_status.as_str(), f.to_status.as_str()) == kind)
            .cloned()
            .collect();
        let of = months.pick(&of, |f| f.first);
        let label = format!("{} → {}", words.status(kind.0), words.status(kind.1));
        table.row(&label, [0, 1, 2].map(|n| observed(rows, n, of[n].as_ref().map(|f| f.changes))));
    }
    table.row(
        words.say(Say::WaitsEnded),
        [0, 1, 2].map(|n| observed(rows, n, waits[n].as_ref().map(|w| w.waits))),
    );
    let mean = |w: &Option<Bench>| Cell::number(w.as_ref().and_then(|w| w.mean_days), 1);
    table.row(words.say(Say::BenchDays), waits.each_ref().map(mean));
    let note = Part::Note(words.say(Say::BenchNote).to_owned());
    Chapter { title: words.say(Say::States).to_owned(), parts: vec![table.table(), note] }
}

/// No change in a month that was observed is zero; of one that was not, nothing is known.
fn observed(rows: &[Option<Month>; 3], n: usize, count: Option<i64>) -> Cell {
    match (count, &rows[n]) {
        (Some(count), _) => Cell::Count(count),
        (None, Some(_)) => Cell::Count(0),
        (None, None) => Cell::Missing,
    }
}

fn ending(words: Words, months: &Months, companies: &[Company]) -> Chapter {
    let head = [
        Say::CompanyCode,
        Say::CompanyName,
        Say::ToWaiting,
        Say::FromWaiting,
        Say::Within30,
        Say::Within60,
        Say::Within90,
    ];
    let figures = |c: &Company| {
        [c.to_waiting, c.from_waiting, c.within_30, c.within_60, c.within_90].map(Cell::Count)
    };
    let mut rows: Vec<Vec<Cell>> = companies
        .iter()
        .map(|c| [Cell::text(&c.code), Cell::text(&c.name)].into_iter().chain(figures(c)).collect())
        .collect();
    let sum = |of: fn(&Company) -> i64| Cell::Count(companies.iter().map(of).sum());
    rows.push(vec![
        Cell::text(words.say(Say::Sum)),
        Cell::text(""),
        sum(|c| c.to_waiting),
        sum(|c| c.from_waiting),
        sum(|c| c.within_30),
        sum(|c| c.within_60),
        sum(|c| c.within_90),
    ]);
    let table = Table { head: head.map(|h| words.say(h).to_owned()).to_vec(), rows, summed: true };
    let last = after(months.this.end, 89);
    let note = Part::Note(words.ending_between(months.this.end, last));
    Chapter { title: words.say(Say::Ending).to_owned(), parts: vec![note, Part::Table(table)] }
}
