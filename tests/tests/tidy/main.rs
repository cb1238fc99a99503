//! The house's rules, read from its own text: time, SQL, lengths, names of machines, migrations, tables, documents.

mod batch_pages;
mod documents;
mod source;

use std::collections::BTreeMap;

use source::{SourceFile, all_files, rust_strings, sql_without_comments};

/// A longer file has more than one subject.
const MAX_LINES: usize = 400;

/// Where system time may be read besides `clock.rs`.
const MAY_READ_TIME: &[(&str, &str)] =
    &[("crates/testkit/src/lib.rs", "unique_name: a name for a test's database, no schedule time")];

/// Where a test may sleep.
const MAY_SLEEP: &[(&str, &str)] = &[(
    "crates/adapters/tests/private_postgres.rs",
    "what must not happen in another process has no signal",
)];

/// Where a statement may ask for the transaction's time.
const MAY_ASK_FOR_THE_PRESENT: &[(&str, &str)] = &[
    ("tests/tests/tidy/source.rs", "the words to look for"),
    ("crates/engine/tests/laws/pool.rs", "two answers that are alike tell an open transaction"),
];

fn excused(list: &[(&str, &str)], file: &SourceFile) -> bool {
    list.iter().any(|(path, _)| *path == file.path)
}

/// Fails with one line per finding.
fn refuse(rule: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

#[test]
fn only_the_clock_reads_the_systems_time() {
    // put together here, or this file would find itself
    let readers =
        [concat!("System", "Time::now"), concat!("Timestamp", "::now"), concat!("Zoned", "::now")];
    let mut found = Vec::new();
    for file in all_files().iter().filter(|f| f.is("rs") && f.path != "crates/engine/src/clock.rs")
    {
        for (number, line) in file.lines() {
            if readers.iter().any(|r| line.contains(r)) && !excused(MAY_READ_TIME, file) {
                found.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    refuse("times come in as parameters; take them from the Clock", found);
}

#[test]
fn no_statement_asks_the_server_for_the_present() {
    let mut found = Vec::new();
    for file in all_files().iter().filter(|f| !excused(MAY_ASK_FOR_THE_PRESENT, f)) {
        let statements = match file.extension() {
            "sql" => vec![(1, sql_without_comments(&file.text))],
            "rs" => rust_strings(&file.text),
            _ => continue,
        };
        for (first, sql) in statements {
            for (n, line) in sql.lines().enumerate() {
                if source::names_the_present(line) {
                    found.push(format!("{}:{}: {}", file.path, first + n, line.trim()));
                }
            }
        }
    }
    refuse("schedule time is a parameter; real time is clock_timestamp()", found);
}

#[test]
fn source_files_are_short() {
    let mut found = Vec::new();
    for file in all_files().iter().filter(|f| f.is("rs") && f.path.starts_with("crates/")) {
        let lines = file.text.lines().count();
        if file.path.contains("/src/") && lines > MAX_LINES {
            found.push(format!("{}: {lines} lines", file.path));
        }
    }
    refuse(&format!("over {MAX_LINES} lines: split it by subject"), found);
}

#[test]
fn nothing_is_left_for_later() {
    let marks = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[", "ignore")];
    let mut found = Vec::new();
    for file in all_files().iter().filter(|f| f.is("rs")) {
        for (number, line) in file.lines() {
            if marks.iter().any(|m| line.contains(m)) {
                found.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    refuse("a test that does not run, or code that is not there", found);
}

#[test]
fn tests_wait_for_signals_and_do_not_sleep() {
    let sleep = concat!("thread", "::sleep");
    let mut found = Vec::new();
    let tests = |f: &&SourceFile| {
        f.is("rs") && (f.path.contains("/tests/") || f.path.starts_with("tests/"))
    };
    for file in all_files().iter().filter(tests).filter(|f| !excused(MAY_SLEEP, f)) {
        for (number, line) in file.lines() {
            if line.contains(sleep) {
                found.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    refuse("sleeping makes a test slow and still unsure", found);
}

#[test]
fn no_registry_and_no_machine_is_named() {
    let names = [
        concat!("crates", ".io"),
        concat!("npm", "js.org"),
        concat!("pypi", ".org"),
        concat!("python", "hosted.org"),
        concat!("proxy.go", "lang.org"),
        concat!("deb.debian", ".org"),
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
    ];
    let mut found = Vec::new();
    for file in all_files().iter().filter(|f| f.path != "Cargo.lock") {
        for (number, line) in file.lines() {
            if names.iter().any(|n| line.contains(n)) {
                found.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    refuse("the repository must build wherever it is put", found);
}

#[test]
fn migrations_are_numbered_without_gap_or_double() {
    let files = all_files();
    let names: Vec<&str> =
        files.iter().filter_map(|f| f.path.strip_prefix("migrations/")).collect();
    let mut numbers = Vec::new();
    for name in &names {
        let number =
            name.split('_').next().filter(|n| n.len() == 4).and_then(|n| n.parse::<usize>().ok());
        let number = number.unwrap_or_else(|| panic!("migrations/{name}: expected NNNN_what.sql"));
        assert!(name.ends_with(".sql"), "migrations/{name}: expected NNNN_what.sql");
        numbers.push(number);
    }
    numbers.sort_unstable();
    assert!(!numbers.is_empty(), "no migration was found");
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>(), "numbers of {names:?}");
}

#[test]
fn an_advisory_locks_number_stands_for_one_thing() {
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in all_files().iter().filter(|f| f.is("rs") || f.is("sql")) {
        for (_, line) in file.lines().filter(|(_, line)| line.contains("pg_")) {
            for call in line.split("advisory_").skip(1) {
                let number = call.split_once('(').map_or("", |(_, rest)| rest);
                let number: String = number.chars().take_while(char::is_ascii_digit).collect();
                let known = files.entry(number.clone()).or_default();
                if !number.is_empty() && !known.contains(&file.path) {
                    known.push(file.path.clone());
                }
            }
        }
    }
    assert!(files.len() > 4, "the locks are not found: {files:?}");
    let twice = files.iter().filter(|(_, files)| files.len() > 1);
    let found = twice.map(|(number, files)| format!("{number}: {}", files.join(", "))).collect();
    refuse("two things under one lock wait for each other", found);
}

#[test]
fn every_table_is_explained_in_japanese() {
    let mut tables: BTreeMap<String, bool> = BTreeMap::new();
    for file in all_files().iter().filter(|f| f.path.starts_with("migrations/")) {
        tables.extend(source::tables(&file.text));
    }
    assert!(tables.len() > 40, "only {} tables were found", tables.len());
    let bare = tables.into_iter().filter(|(_, told)| !told).map(|(name, _)| name).collect();
    refuse("COMMENT ON TABLE with the Japanese word is missing", bare);
}

#[test]
fn every_statement_file_has_a_caller() {
    let files = all_files();
    let mut found = Vec::new();
    for sql in files.iter().filter(|f| f.is("sql") && f.path.starts_with("crates/")) {
        let (folder, name) = sql.path.rsplit_once('/').unwrap_or(("", &sql.path));
        let called = |f: &SourceFile| {
            f.is("rs")
                && f.path.starts_with(folder)
                && f.text.contains(&format!("include_str!(\"{name}\")"))
        };
        if !files.iter().any(called) {
            found.push(sql.path.clone());
        }
    }
    refuse("nobody includes this statement from beside it", found);
}
