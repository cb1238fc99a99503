//! The database week by week: what it looked like when the week had ended, and what changed since the week before.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use yakin_engine::days::clock_text;
use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

use super::chapters::percent;
use super::week::Week;

/// A smaller index is not worth a word, in bytes.
pub const LEAST_INDEX_BYTES: i64 = 10 << 20;
/// An index is unused when nobody scanned it for so many weeks.
const UNUSED_WEEKS: i64 = 4;
const MOST_STATEMENTS: usize = 20;
const MOST_TABLES: usize = 10;
const MOST_INDEXES: usize = 50;

/// What the database looked like at a moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub tables: Vec<Table>,
    /// Those that may be left out: neither unique nor small.
    pub indexes: Vec<Index>,
    pub hits: i64,
    pub reads: i64,
    /// When the statistics began, in seconds since 1970.
    pub stats_reset: Option<i64>,
    /// None where no extension counts them.
    pub statements: Option<Vec<Statement>>,
}

/// A table with its partitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    pub name: String,
    pub bytes: i64,
    pub live: i64,
    pub dead: i64,
}

/// An index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    pub name: String,
    pub on_table: String,
    pub bytes: i64,
    pub scans: i64,
}

/// A statement, its constants replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    pub id: String,
    pub query: String,
    pub calls: i64,
    pub total_ms: f64,
    pub rows: i64,
}

/// The report's chapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Database {
    /// `2026-10-26 05:00`.
    pub taken_at: String,
    /// The snapshot it is compared with; none at the first.
    pub since: Option<String>,
    pub statements: Statements,
    /// Blocks found in PostgreSQL's memory.
    pub cache_hit_percent: Option<f64>,
    /// The largest ten.
    pub largest: Vec<Growth>,
    /// Those with most dead rows.
    pub dead: Vec<Dead>,
    /// None while there are too few snapshots to say so.
    pub unused: Option<Vec<Index>>,
}

/// What is known of statements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statements {
    /// No extension counts them.
    NotConfigured,
    /// The largest by time in all, and by time of a call.
    Known { by_total: Vec<Statement>, by_mean: Vec<Statement> },
}

/// A table's size, and what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Growth {
    pub name: String,
    pub bytes: i64,
    pub before: Option<i64>,
}

/// A table's dead rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dead {
    pub name: String,
    pub live: i64,
    pub dead: i64,
    pub percent: Option<f64>,
}

/// A snapshot and when it was taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    pub at: Timestamp,
    pub snapshot: Snapshot,
}

/// Takes the week's snapshot, where it is not there and the week has ended less than seven days ago: one taken later
/// would show another week's end. Returns whether it did.
pub async fn take(tx: &mut Tx, week: Week, (run, now): (i64, Timestamp)) -> Result<bool, Stop> {
    let end = week.0.instants().1;
    if now < end || now >= end + SignedDuration::from_hours(24 * 7) {
        return Ok(false);
    }
    if find(tx, week).await?.is_some() {
        return Ok(false);
    }
    let figures: serde_json::Value = sqlx::query_scalar(include_str!("snapshot.sql"))
        .bind(LEAST_INDEX_BYTES)
        .fetch_one(&mut *tx)
        .await?;
    let taken = sqlx::query(
        "INSERT INTO app.database_weeks (week_end, taken_at, figures, run_id) VALUES ($1, $2, $3, $4)
         ON CONFLICT (week_end) DO NOTHING",
    )
    .bind(week.0.end.to_sqlx())
    .bind(now.to_sqlx())
    .bind(figures)
    .bind(run)
    .execute(tx)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// The snapshot at the end of a week.
pub async fn find(tx: &mut Tx, week: Week) -> Result<Option<Taken>, Stop> {
    let found: Option<(jiff_sqlx::Timestamp, Json<Snapshot>)> =
        sqlx::query_as("SELECT taken_at, figures FROM app.database_weeks WHERE week_end = $1")
            .bind(week.0.end.to_sqlx())
            .fetch_optional(tx)
            .await?;
    Ok(found.map(|(at, json)| Taken { at: at.to_jiff(), snapshot: json.0 }))
}

/// The chapter of a week, or why there is none.
pub async fn chapter(tx: &mut Tx, week: Week) -> Result<Result<Database, String>, Stop> {
    let Some(now) = find(tx, week).await? else {
        let why =
            format!("no snapshot of the database was taken in the week after {}", week.last());
        return Ok(Err(why));
    };
    let before = find(tx, week.back(1)).await?;
    let long_before = find(tx, week.back(UNUSED_WEEKS)).await?;
    Ok(Ok(compare(&now, before.as_ref(), long_before.as_ref())))
}

/// What changed between snapshots.
fn compare(now: &Taken, before: Option<&Taken>, long_before: Option<&Taken>) -> Database {
    let this = &now.snapshot;
    let counts = |of: &Snapshot| (of.hits.max(0).unsigned_abs(), of.reads.max(0).unsigned_abs());
    let (hits, reads) = counts(this);
    // counters that began anew since count from there
    let (was_hits, was_reads) =
        before.filter(|b| continues(b, now)).map_or((0, 0), |b| counts(&b.snapshot));
    let (hits, reads) = (hits.saturating_sub(was_hits), reads.saturating_sub(was_reads));
    let size = |name: &str| {
        let tables = before.map(|b| &b.snapshot.tables)?;
        tables.iter().find(|t| t.name == name).map(|t| t.bytes)
    };
    let mut dead: Vec<&Table> = this.tables.iter().filter(|t| t.dead > 0).collect();
    dead.sort_by_key(|t| std::cmp::Reverse(t.dead));
    Database {
        taken_at: clock_text(now.at),
        since: before.map(|b| clock_text(b.at)),
        statements: statements(this, before.map(|b| &b.snapshot)),
        cache_hit_percent: percent(hits, hits + reads),
        largest: this
            .tables
            .iter()
            .take(MOST_TABLES)
            .map(|t| Growth { name: t.name.clone(), bytes: t.bytes, before: size(&t.name) })
            .collect(),
        dead: dead
            .into_iter()
            .take(MOST_TABLES)
            .map(|t| Dead {
                name: t.name.clone(),
                live: t.live,
                dead: t.dead,
                percent: percent(t.dead.unsigned_abs(), (t.live + t.dead).unsigned_abs()),
            })
            .collect(),
        unused: long_before.filter(|b| continues(b, now)).map(|b| unused(this, &b.snapshot)),
    }
}

/// Whether the later snapshot's counters go on from the earlier's.
fn continues(before: &Taken, now: &Taken) -> bool {
    let (was, is) = (&before.snapshot, &now.snapshot);
    was.stats_reset == is.stats_reset && was.hits <= is.hits && was.reads <= is.reads
}

/// Those that were there then and have not been scanned since.
fn unused(now: &Snapshot, before: &Snapshot) -> Vec<Index> {
    let still = |index: &&Index| {
        before.indexes.iter().any(|b| b.name == index.name && b.scans == index.scans)
    };
    now.indexes.iter().filter(still).take(MOST_INDEXES).cloned().collect()
}

/// Calls and time since the snapshot before; a statement whose counters began anew counts from there.
fn statements(now: &Snapshot, before: Option<&Snapshot>) -> Statements {
    let Some(all) = &now.statements else { return Statements::NotConfigured };
    let earlier = before.and_then(|b| b.statements.as_deref()).unwrap_or_default();
    let mut since: Vec<Statement> = all
        .iter()
        .map(|s| match earlier.iter().find(|e| e.id == s.id && e.calls <= s.calls) {
            Some(was) => Statement {
                calls: s.calls - was.calls,
                total_ms: (s.total_ms - was.total_ms).max(0.0),
                rows: s.rows - was.rows,
                ..s.clone()
            },
            None => s.clone(),
        })
        .filter(|s| s.calls > 0)
        .collect();
    let mean = |s: &Statement| s.total_ms / s.calls.max(1) as f64;
    since.sort_by(|a, b| b.total_ms.total_cmp(&a.total_ms));
    let by_total = since.iter().take(MOST_STATEMENTS).cloned().collect();
    since.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
    since.truncate(MOST_STATEMENTS);
    Statements::Known { by_total, by_mean: since }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(id: &str, calls: i64, total_ms: f64) -> Statement {
        Statement { id: id.to_owned(), query: format!("SELECT {id}"), calls, total_ms, rows: calls }
    }

    fn index(name: &str, scans: i64) -> Index {
        Index { name: name.to_owned(), on_table: "t".to_owned(), bytes: LEAST_INDEX_BYTES, scans }
    }

    fn taken(day: i64, snapshot: Snapshot) -> Taken {
        Taken { at: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * day), snapshot }
    }

    #[test]
    fn statements_are_what_happened_since_the_snapshot_before() {
        let of = |list: Vec<Statement>| Snapshot { statements: Some(list), ..Snapshot::default() };
        let before = of(vec![
            statement("a", 100, 1_000.0),
            statement("b", 10, 10.0),
            statement("c", 9, 9.0),
        ]);
        let now = of(vec![
            statement("a", 150, 1_100.0),
            statement("b", 10, 10.0),
            statement("c", 4, 400.0),
            statement("d", 1, 50.0),
        ]);
        let Statements::Known { by_total, by_mean } = statements(&now, Some(&before)) else {
            unreachable!("statements were counted")
        };
        let told: Vec<_> = by_total.iter().map(|s| (s.id.as_str(), s.calls, s.total_ms)).collect();
        // b was not called, c began anew
        assert_eq!(told, [("c", 4, 400.0), ("a", 50, 100.0), ("d", 1, 50.0)]);
        assert_eq!(by_mean.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["c", "d", "a"]);
        assert_eq!(statements(&Snapshot::default(), None), Statements::NotConfigured);
    }

    #[test]
    fn an_index_is_unused_when_four_weeks_did_not_scan_it() {
        let of = |list: Vec<Index>| Snapshot { indexes: list, ..Snapshot::default() };
        let before = taken(0, of(vec![index("idle", 7), index("busy", 7)]));
        let now = taken(28, of(vec![index("idle", 7), index("busy", 8), index("young", 0)]));
        let found = compare(&now, None, Some(&before)).unused.unwrap();
        assert_eq!(found.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["idle"]);
        assert_eq!(compare(&now, None, None).unused, None);
        let mut anew = now.clone();
        anew.snapshot.stats_reset = Some(1);
        assert_eq!(compare(&anew, None, Some(&before)).unused, None);
    }

    #[test]
    fn growth_and_cache_hits_are_differences() {
        let table = |bytes| Table { name: "app.t".to_owned(), bytes, live: 90, dead: 10 };
        let of = |bytes, hits, reads| Snapshot {
            tables: vec![table(bytes)],
            hits,
            reads,
            ..Snapshot::default()
        };
        let (before, now) = (taken(0, of(100, 1_000, 1_000)), taken(7, of(250, 1_990, 1_010)));
        let chapter = compare(&now, Some(&before), None);
        assert_eq!(chapter.cache_hit_percent, Some(99.0));
        assert_eq!((chapter.largest[0].bytes, chapter.largest[0].before), (250, Some(100)));
        assert_eq!((chapter.dead[0].dead, chapter.dead[0].percent), (10, Some(10.0)));
        assert_eq!(compare(&now, None, None).largest[0].before, None);
    }
}
