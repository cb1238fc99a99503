//! The repository's text, and as much of Rust's and SQL's lexical rules as the checks need.

use std::path::{Path, PathBuf};

/// Folders that are not ours to read.
const SKIPPED: &[&str] = &[".git", "target", ".yakin", "node_modules"];

/// A text file of the repository.
pub struct SourceFile {
    /// From the root, with slashes.
    pub path: String,
    pub text: String,
}

impl SourceFile {
    /// What stands behind the last dot of its name.
    pub fn extension(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(_, e)| e)
    }

    /// Whether it is of this kind.
    pub fn is(&self, extension: &str) -> bool {
        self.extension() == extension
    }

    /// Its lines with their numbers.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(n, line)| (n + 1, line))
    }
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's root").to_owned()
}

/// All text files, in order of their paths.
pub fn all_files() -> Vec<SourceFile> {
    let mut files = Vec::new();
    collect(&root(), &root(), &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.len() > 100, "only {} files were found", files.len());
    files
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<SourceFile>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if SKIPPED.contains(&name.as_str()) || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            let path =
                path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
            files.push(SourceFile { path, text });
        }
    }
}

/// Kana and kanji.
pub fn is_japanese(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}')
}

/// The same text with `-- …` blanked; strings with two hyphens in them do not occur in our statements.
pub fn sql_without_comments(sql: &str) -> String {
    sql.lines()
        .map(|l| l.split_once("--").map_or(l, |(code, _)| code))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The tables a migration creates or comments on, and whether the comment has a Japanese word.
pub fn tables(migration: &str) -> Vec<(String, bool)> {
    let sql = sql_without_comments(migration);
    let words: Vec<&str> = sql.split_whitespace().collect();
    let created = words.windows(3).filter(|w| w[0] == "CREATE" && w[1] == "TABLE");
    let names =
        created.map(|w| w[2].trim_end_matches('(')).filter(|n| *n != "IF" && !n.contains('%'));
    let mut found: Vec<(String, bool)> = names.map(|name| (name.to_owned(), false)).collect();
    for line in sql.lines().filter_map(|l| l.trim().strip_prefix("COMMENT ON TABLE ")) {
        let (name, comment) = line.split_once(" IS ").unwrap_or((line, ""));
        found.push((name.to_owned(), comment.chars().any(is_japanese)));
    }
    found
}

/// Whether a statement's line takes the transaction's time from the server instead of a parameter.
pub fn names_the_present(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    let words = [
        "current_date",
        "current_timestamp",
        "localtimestamp",
        "transaction_timestamp()",
        "statement_timestamp()",
    ];
    let now = lower.match_indices("now()").any(|(at, _)| {
        let before = lower[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.'))
    });
    now || words.iter().any(|w| lower.contains(w))
}

/// The string literals of a Rust file, each with the line it begins on.
pub fn rust_strings(code: &str) -> Vec<(usize, String)> {
    let chars: Vec<char> = code.chars().collect();
    let (mut found, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let next = chars.get(at + 1).copied().unwrap_or(' ');
        let end = match (chars[at], next) {
            ('/', '/') => skip_until(&chars, at, |c| c[0] == '\n'),
            ('/', '*') => skip_until(&chars, at, |c| c.starts_with(&['*', '/'])) + 2,
            ('\'', '\\') => skip_until(&chars, at + 3, |c| c[0] == '\'') + 1,
            ('\'', _) if chars.get(at + 2) == Some(&'\'') => at + 3,
            ('"', _) => plain_string(&chars, at),
            ('r', '"' | '#') if raw_hashes(&chars, at + 1).is_some() => raw_string(&chars, at),
            _ => at + 1,
        };
        let end = end.min(chars.len());
        let token: String = chars[at..end].iter().collect();
        if token.len() > 1
            && (token.starts_with('"') || token.starts_with("r\"") || token.starts_with("r#"))
        {
            found.push((line, token.clone()));
        }
        line += token.matches('\n').count();
        at = end;
    }
    found
}

fn skip_until(chars: &[char], from: usize, ends: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|at| ends(&chars[*at..])).unwrap_or(chars.len())
}

fn plain_string(chars: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn raw_hashes(chars: &[char], from: usize) -> Option<usize> {
    let hashes = chars[from..].iter().take_while(|c| **c == '#').count();
    (chars.get(from + hashes) == Some(&'"')).then_some(hashes)
}

fn raw_string(chars: &[char], from: usize) -> usize {
    let hashes = raw_hashes(chars, from + 1).unwrap_or(0);
    let mut closing = vec!['"'];
    closing.extend(std::iter::repeat_n('#', hashes));
    skip_until(chars, from + hashes + 2, |c| c.starts_with(&closing)) + closing.len()
}

#[test]
fn strings_are_found_and_comments_are_not() {
    let code = "let a = '\"'; // \"no\"\nlet b = \"x \\\" y\"; /* \"no\" */ r#\"z \" w\"#; '\\''; \"last\"";
    let found: Vec<(usize, String)> = rust_strings(code);
    let texts: Vec<&str> = found.iter().map(|(_, s)| s.as_str()).collect();
    assert_eq!(texts, ["\"x \\\" y\"", "r#\"z \" w\"#", "\"last\""]);
    assert!(found.iter().all(|(line, _)| *line == 2));
}

#[test]
fn the_present_is_seen_in_statements_and_not_in_names() {
    for bad in ["SELECT now()", "x < NOW() - y", "DEFAULT current_timestamp", "(CURRENT_DATE)"] {
        assert!(names_the_present(bad), "{bad}");
    }
    for good in ["clock.now()", "clock_timestamp()", "virtual_now", "known()"] {
        assert!(!names_the_present(good), "{good}");
    }
}
