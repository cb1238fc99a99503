//! The weekly report's chapter on the database.

use yakin_domain::performance::chapters::Chapter as Found;
use yakin_domain::performance::database::{Database, Statement, Statements};

use super::paper::{Cell, Chapter, Part};
use super::words::Words;

/// Fewer dead rows are no reason to look.
const FEW_DEAD: i64 = 1_000;
/// Letters of a statement that a table shows.
const SHOWN: usize = 140;

/// The chapter, or why it is missing.
pub fn chapter(database: &Found<Database>, words: Words) -> Chapter {
    let title = words.say("データベース", "Database").to_owned();
    let parts = match database {
        Found::Here(database) => parts(database, words),
        Found::Missing(why) => {
            let text = words.say("この章は作成できませんでした", "This chapter is missing");
            vec![Part::text(format!("{text}: {why}"))]
        }
    };
    Chapter { title, parts }
}

fn parts(database: &Database, words: Words) -> Vec<Part> {
    let since = match &database.since {
        Some(since) => format!("{since} – {}", database.taken_at),
        None => format!(
            "{} {}",
            database.taken_at,
            words.say(
                "(最初の控え。増減は次の週から分かります)",
                "(the first snapshot: growth is known from the next week on)"
            ),
        ),
    };
    let mut parts = vec![Part::text(format!(
        "{}: {since} · {}: {}",
        words.say("控え", "Snapshot"),
        words.say("キャッシュ的中率", "Found in cache"),
        words.percent(database.cache_hit_percent),
    ))];
    parts.extend(tables(database, words));
    parts.push(Part::heading(words.say("使われていない索引", "Unused indexes")));
    parts.push(unused(database, words));
    parts.extend(statements(&database.statements, words));
    parts
}

fn tables(database: &Database, words: Words) -> Vec<Part> {
    let (table, size) = (words.say("表", "Table"), words.say("大きさ", "Size"));
    let largest = database.largest.iter().map(|t| {
        let growth = t.before.map_or_else(
            || words.nothing(),
            |before| {
                format!(
                    "{}{}",
                    if t.bytes >= before { "+" } else { "" },
                    words.megabytes(t.bytes - before)
                )
            },
        );
        vec![Cell::of(&t.name), Cell::of(words.megabytes(t.bytes)), Cell::of(growth)]
    });
    let mut parts = vec![
        Part::heading(words.say("大きい表", "Largest tables")),
        Part::table(
            &[table, size, words.say("前の週から", "Since the week before")],
            largest.collect(),
        ),
    ];
    if !database.dead.is_empty() {
        let dead = database.dead.iter().map(|t| {
            vec![
                Cell::of(&t.name),
                Cell::of(words.count(t.live)),
                Cell::of(words.count(t.dead)),
                Cell::flagged(
                    words.percent(t.percent),
                    t.dead >= FEW_DEAD && t.percent.is_some_and(|p| p >= 20.0),
                ),
            ]
        });
        parts.push(Part::heading(words.say("不要行", "Dead rows")));
        let names = [
            table,
            words.say("有効行", "Live"),
            words.say("不要行", "Dead"),
            words.say("割合", "Share"),
        ];
        parts.push(Part::table(&names, dead.collect()));
    }
    parts
}

fn unused(database: &Database, words: Words) -> Part {
    match database.unused.as_deref() {
        None => Part::text(words.say(
            "4 週前の控えがないため、まだ分かりません。",
            "Not known yet: there is no snapshot of four weeks ago, or the statistics began anew since.",
        )),
        Some([]) => Part::text(words.say(
            "4 週のあいだ使われなかった索引 (10 MB 以上、一意でないもの) はありません。",
            "No index (10 MB or more, not unique) went without a scan for four weeks.",
        )),
        Some(found) => {
            let rows = found.iter().map(|i| {
                vec![Cell::of(&i.name), Cell::of(&i.on_table), Cell::of(words.megabytes(i.bytes))]
            });
            let names = [words.say("索引", "Index"), words.say("表", "Table"), words.say("大きさ", "Size")];
            Part::table(&names, rows.collect())
        }
    }
}

fn statements(statements: &Statements, words: Words) -> Vec<Part> {
    match statements {
        Statements::NotConfigured => vec![
            Part::heading(words.say("SQL 文", "Statements")),
            Part::text(words.say(
                "設定されていません。文ごとの統計には、shared_preload_libraries = 'pg_stat_statements' で起動した PostgreSQL と、このデータベースでの CREATE EXTENSION pg_stat_statements が要ります。",
                "Not configured. Figures of statements need a PostgreSQL started with shared_preload_libraries = 'pg_stat_statements', and CREATE EXTENSION pg_stat_statements in this database.",
            )),
        ],
        Statements::Known { by_total, by_mean } => vec![
            Part::heading(words.say("合計時間の大きい文", "Statements by time in all")),
            list(by_total, words),
            Part::heading(words.say("1 回あたりの時間の大きい文", "Statements by time of a call")),
            list(by_mean, words),
        ],
    }
}

fn list(statements: &[Statement], words: Words) -> Part {
    let names = [
        words.say("文", "Statement"),
        words.say("回数", "Calls"),
        words.say("合計", "In all"),
        words.say("平均", "Mean"),
    ];
    let rows = statements.iter().map(|s| {
        let query: String = s.query.split_whitespace().collect::<Vec<_>>().join(" ");
        let shown: String = query.chars().take(SHOWN).collect();
        let more = if shown.len() < query.len() { "…" } else { "" };
        vec![
            Cell::of(format!("{shown}{more}")),
            Cell::of(words.count(s.calls)),
            Cell::of(words.time(s.total_ms)),
            Cell::of(words.time(s.total_ms / s.calls.max(1) as f64)),
        ]
    });
    Part::table(&names, rows.collect())
}
