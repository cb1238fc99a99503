//! The files of deploy/prometheus as their own tools judge them, and what each alert must say.

use std::path::PathBuf;
use std::process::Command;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus")
}

/// A file's text.
pub fn shipped(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The first of these programs that is on PATH.
pub fn program(names: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut found = names.iter().flat_map(|name| dirs.iter().map(move |dir| dir.join(name)));
    found.find(|file| file.is_file()).unwrap_or_else(|| {
        panic!("{names:?} is not on PATH: install Prometheus and Alertmanager, or run scripts/test, which does")
    })
}

/// Runs a tool in the folder of the files; what it says when it is content.
fn judged(tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(program(&[tool])).args(arguments).current_dir(folder()).output();
    let output = output.expect("starting a tool");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {arguments:?}: {said}\n{err}");
    said
}

/// The alerts of the rules: their names and what stands in them.
fn alerts(rules: &str) -> Vec<(String, String)> {
    let blocks = rules.split("- alert: ").skip(1);
    let alerts = blocks.map(|block| {
        let (name, body) = block.split_once('\n').expect("a name");
        (name.trim().to_owned(), body.to_owned())
    });
    alerts.collect()
}

fn severity(block: &str) -> &str {
    let line = block.lines().find_map(|l| l.trim().strip_prefix("severity: "));
    line.expect("a severity")
}

/// The names of our metrics in the rules' expressions.
pub fn metrics_in(rules: &str) -> Vec<String> {
    let is_ours = |word: &&str| word.starts_with("batch_") || word.starts_with("yakin_");
    let mut names: Vec<String> = expressions(rules)
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(is_ours)
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    names
}

/// What stands behind each `expr:`, on its line or, behind `>-`, on the deeper ones below.
fn expressions(rules: &str) -> String {
    let (mut text, mut folded) = (String::new(), None);
    for line in rules.lines() {
        let depth = line.len() - line.trim_start().len();
        if let Some(expression) = line.trim_start().strip_prefix("expr:") {
            folded = (expression.trim() == ">-").then_some(depth);
            text.push_str(expression);
        } else if folded.is_some_and(|above| depth > above) {
            text.push_str(line);
        } else {
            folded = None;
        }
        text.push('\n');
    }
    text
}

#[test]
fn rules_routes_and_samples_are_accepted_by_their_tools() {
    let said = judged("promtool", &["check", "rules", "yakin.rules.yml"]);
    let count = shipped("yakin.rules.yml").matches("expr:").count();
    assert!(said.contains(&format!("{count} rules found")), "{said}");
    judged("promtool", &["check", "config", "prometheus.yml"]);
    judged("amtool", &["check-config", "alertmanager.yml"]);
}

#[test]
fn each_rule_fires_when_it_should_and_not_when_it_should_not() {
    judged("promtool", &["test", "rules", "yakin.rules.test.yml"]);
    let tests = shipped("yakin.rules.test.yml");
    for (name, _) in alerts(&shipped("yakin.rules.yml")) {
        let line = format!("alertname: {name}\n");
        let cases = tests.split(&line).skip(1);
        let (quiet, loud): (Vec<&str>, Vec<&str>) =
            cases.partition(|case| case.trim_start().starts_with("exp_alerts: []"));
        assert!(!loud.is_empty(), "no test in which {name} fires");
        assert!(!quiet.is_empty() || name == "YakinWatchdog", "no test in which {name} is quiet");
    }
}

#[test]
fn each_alert_says_what_is_wrong_in_two_languages_and_which_command_helps() {
    let rules = shipped("yakin.rules.yml");
    let alerts = alerts(&rules);
    assert!(alerts.len() > 10, "only {} alerts were found", alerts.len());
    for (name, block) in alerts {
        assert!(["critical", "warning", "none"].contains(&severity(&block)), "{name}");
        let said = |key: &str| {
            let line = block.lines().find_map(|l| l.trim().strip_prefix(&format!("{key}: ")));
            line.unwrap_or_else(|| panic!("{name} has no {key}")).to_owned()
        };
        assert!(said("summary").is_ascii() && said("description").is_ascii(), "{name}");
        assert!(
            said("summary_ja").chars().any(|c| matches!(c, 'ぁ'..='ヿ' | '一'..='鿿')),
            "{name}"
        );
        assert!(said("runbook").contains("`yakin "), "{name}: {}", said("runbook"));
    }
}

#[test]
fn each_alert_reaches_the_receiver_of_its_severity() {
    for (name, block) in alerts(&shipped("yakin.rules.yml")) {
        let severity = severity(&block);
        let receiver = if severity == "none" { "heartbeat" } else { severity };
        judged(
            "amtool",
            &[
                "config",
                "routes",
                "test",
                "--config.file=alertmanager.yml",
                &format!("--verify.receivers={receiver}"),
                &format!("alertname={name}"),
                &format!("severity={severity}"),
                "job=yakin",
            ],
        );
    }
}

#[test]
fn metrics_are_found_in_expressions_and_nowhere_else() {
    let rules = "# yakin_no\n- record: a:yakin_no:b\n  expr: sum by (x) (yakin_one{a=\"b\"})\n- alert: Yakin\n  \
                 expr: >-\n    batch_two_total > 1\n      or yakin_one\n  labels:\n    a: yakin_no\n";
    assert_eq!(metrics_in(rules), ["batch_two_total", "yakin_one"]);
}
