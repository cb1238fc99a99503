//! What the documents say is there: commands, links; and no page grows past reading.

use std::collections::BTreeSet;

use crate::refuse;
use crate::source::{self, SourceFile, all_files, root};

const ARCHITECTURE_LINES: usize = 250;

fn documents() -> Vec<SourceFile> {
    all_files().into_iter().filter(|f| f.is("md")).collect()
}

/// Documents, and what operators read besides: the rules' runbooks.
fn read_by_operators() -> Vec<SourceFile> {
    let is_read = |f: &SourceFile| f.is("md") || f.path.ends_with(".rules.yml");
    all_files().into_iter().filter(is_read).collect()
}

/// The subcommands, from the enum that clap derives them from: its variants in kebab-case.
fn commands() -> BTreeSet<String> {
    let path = root().join("crates/cli/src/arguments.rs");
    let text = std::fs::read_to_string(path).expect("arguments.rs");
    let (_, body) = text.split_once("pub enum Command {").expect("the enum of commands");
    let (body, _) = body.split_once("\n}").expect("its end");
    let variants = body
        .lines()
        .filter_map(|l| l.strip_prefix("    "))
        .filter(|l| l.starts_with(|c: char| c.is_ascii_uppercase()));
    let mut names: BTreeSet<String> = variants
        .map(|v| kebab(v.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or("")))
        .collect();
    names.insert("help".to_owned());
    names
}

fn kebab(name: &str) -> String {
    let mut text = String::new();
    for (n, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && n > 0 {
            text.push('-');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

/// The code of a document: fenced blocks line by line, and spans between backticks.
fn code(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut fenced) = (Vec::new(), false);
    for (n, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            found.push((n + 1, line.to_owned()));
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(|span| (n + 1, span.to_owned())));
        }
    }
    found
}

/// The words that follow `yakin` as a command.
fn called(code: &str) -> Vec<String> {
    let words: Vec<&str> = code.split_whitespace().collect();
    let is_yakin = |w: &str| w == "yakin" || w.ends_with("/yakin") && !w.contains("://");
    let command =
        |w: &&str| w.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !w.starts_with('-');
    words
        .windows(2)
        .filter(|w| is_yakin(w[0]))
        .map(|w| w[1])
        .filter(command)
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_in_the_documents_exists() {
    let commands = commands();
    assert!(commands.contains("run-show") && commands.contains("stop-all"), "{commands:?}");
    let (mut unknown, mut seen) = (Vec::new(), 0);
    for file in read_by_operators() {
        for (line, code) in code(&file.text) {
            for name in called(&code) {
                seen += 1;
                if !commands.contains(&name) {
                    unknown.push(format!("{}:{line}: yakin {name}", file.path));
                }
            }
        }
    }
    assert!(seen > 50, "only {seen} commands were found in the documents");
    refuse("the documents name a command that is not there", unknown);
}

#[test]
fn every_table_stands_in_the_data_model() {
    let text = std::fs::read_to_string(root().join("docs/data-model.md")).expect("data-model.md");
    let mut missing = Vec::new();
    for file in all_files().iter().filter(|f| f.path.starts_with("migrations/")) {
        for (table, _) in source::tables(&file.text) {
            let name = table.rsplit('.').next().unwrap_or(&table).to_owned();
            if !text.contains(&format!("`{name}`")) {
                missing.push(table);
            }
        }
    }
    refuse("docs/data-model.md does not name this table", missing);
}

#[test]
fn the_example_in_contributing_is_the_tested_one() {
    let text = std::fs::read_to_string(root().join("CONTRIBUTING.md")).expect("CONTRIBUTING.md");
    for (fence, file) in [("rust", "waiting_soon.rs"), ("sql", "waiting_soon.sql")] {
        let tested =
            std::fs::read_to_string(root().join("tests/tests/example").join(file)).expect(file);
        let block = format!("```{fence}\n{}\n```", tested.trim_end());
        assert!(
            text.contains(&block),
            "CONTRIBUTING.md shows another text than tests/tests/example/{file}"
        );
    }
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut broken = Vec::new();
    for file in documents() {
        let folder = root().join(&file.path).parent().expect("a folder").to_owned();
        for (line, text) in file.lines() {
            for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let path = target.split('#').next().unwrap_or("");
                let outside = target.contains("://") || target.starts_with("mailto:");
                if !outside && !path.is_empty() && !folder.join(path).exists() {
                    broken.push(format!("{}:{line}: {target}", file.path));
                }
            }
        }
    }
    refuse("a link leads nowhere", broken);
}

#[test]
fn the_architecture_stays_readable_in_one_sitting() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let lines = text.lines().count();
    assert!(
        lines <= ARCHITECTURE_LINES,
        "ARCHITECTURE.md has {lines} lines, at most {ARCHITECTURE_LINES}"
    );
}
