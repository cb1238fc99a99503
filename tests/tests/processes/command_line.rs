//! The command line as a user has it: what it says, and with which exit code, when things are right and wrong.

use std::process::Command;

use crate::common::{CONFIG, Site, Told, tell};
use jiff::civil::date;
use serde_json::Value;

impl Site {
    fn yakin(&self, arguments: &[&str]) -> Told {
        tell(self.command(arguments))
    }

    /// Expects success and gives stdout.
    fn good(&self, arguments: &[&str]) -> String {
        let told = self.yakin(arguments);
        assert_eq!((told.code, told.err.as_str()), (0, ""), "{arguments:?}: {}", told.out);
        told.out
    }

    /// Expects success and gives stdout as JSON.
    fn json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.push("--json");
        let out = self.good(&all);
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{arguments:?}: {e}\n{out}"))
    }

    /// Expects an exit code and one sentence on stderr that says all of this.
    fn bad(&self, code: i32, arguments: &[&str], says: &[&str]) {
        refused(tell(self.command(arguments)), code, says, &format!("{arguments:?}"));
    }
}

fn refused(told: Told, code: i32, says: &[&str], what: &str) {
    assert_eq!(told.code, code, "{what}: {} {}", told.err, told.out);
    for words in says {
        assert!(told.err.contains(words), "{what}: expected '{words}' in: {}", told.err);
    }
    let lines = told.err.trim_end().lines().count();
    assert_eq!(lines, 1, "{what}: one sentence, not {lines} lines: {}", told.err);
    assert!(
        !told.err.contains("password") && !told.err.contains("postgres://yakin"),
        "{}",
        told.err
    );
}

/// Lines of a table fit 100 columns.
fn fits(out: &str) {
    for line in out.lines() {
        let width: usize = line.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
        // ambiguous signs (· … –) count one in truth
        let narrow = line.chars().filter(|c| "·…–—ÀÉ".contains(*c)).count();
        assert!(width - narrow <= 100, "{} columns: {line}", width - narrow);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_of_use_end_with_two_and_say_what_was_expected() {
    let site = Site::with_sample(2).await;
    let tenant: String = site.one("SELECT min(code) FROM app.tenants").await;
    let reason = ["--reason", "test"];
    let bad = |arguments: &[&str], says: &[&str]| site.bad(2, arguments, says);
    let bad_act = |arguments: &[&str], says: &[&str]| {
        site.bad(2, &[arguments, &reason[..]].concat(), says);
    };
    bad(&["run", "BATCH-205"], &["unknown batch 'BATCH-205'", "BATCH-204", "yakin catalogue"]);
    bad(&["show", "tenant-usage-agregation"], &["unknown batch", "did you mean"]);
    bad(&["runs", "BATCH-999x"], &["unknown batch"]);
    let near = format!("{tenant}x");
    let run = ["run", "BATCH-204", "--date", "2026-10-20"];
    bad(&[&run[..], &["--tenant", &near]].concat(), &["unknown tenant", "did you mean", &tenant]);
    bad(&["run", "BATCH-204", "--date", "2026-13-01"], &["2026-13-01", "YYYY-MM-DD"]);
    bad(&["run", "BATCH-204", "--date", "yesterday"], &["yesterday", "YYYY-MM-DD"]);
    bad(&["run", "BATCH-204", "--date", "2026-10-20..2026-10-01"], &["ends before it begins"]);
    bad(&["run", "BATCH-204", "--date", "2020-01-01..2026-10-01"], &["at most 400"]);
    bad(&["run", "BATCH-204", "--date", "2026-11-20"], &["lies in the future"]);
    bad(&["run", "BATCH-006", "--date", "2026-10-20"], &["works on no period"]);
    bad(&["run", "BATCH-006", "--tenant", &tenant], &["all tenants at once"]);
    bad(&[&run[..], &["--param", "speed=3"]].concat(), &["has no parameter 'speed'"]);
    bad(&[&run[..], &["--param", "speed"]].concat(), &["'speed' is no KEY=VALUE"]);
    bad(
        &["run", "BATCH-006", "--param", "batch_size=many"],
        &["batch_size", "'many'", "whole number"],
    );
    bad(&["run", "BATCH-006", "--param", "batch_size=0"], &["batch_size", "from 1 to 10000"]);
    bad(&[&run[..], &["--reason", "  "]].concat(), &["--reason is empty"]);
    bad(&["timetable", "--date", "tomorrow"], &["tomorrow", "YYYY-MM-DD"]);
    bad_act(&["set", "BATCH-302", "schedule=61 * * * *"], &["61"]);
    bad_act(&["set", "BATCH-302", "schedule=often"], &["often"]);
    bad_act(
        &["set", "BATCH-302", "timeuot=60"],
        &["unknown key 'timeuot'", "did you mean timeout"],
    );
    bad_act(&["set", "BATCH-302", "timeout=0"], &["timeout is '0'", "seconds from 1 to 86400"]);
    bad_act(&["set", "BATCH-302", "enabled=maybe"], &["enabled is 'maybe'", "true or false"]);
    bad_act(&["set", "BATCH-302", "severity=info"], &["severity is 'info'"]);
    bad_act(&["set", "BATCH-302", "timeout"], &["no KEY=VALUE"]);
    bad(&["set", "BATCH-302", "timeout=60", "--reason", ""], &["--reason is empty"]);
    bad_act(&["hold", "BATCH-302", "soon"], &["'soon' is no instant", "2026-11-01 02:00"]);
    bad_act(&["hold", "BATCH-302", "2026-11-01 02:17"], &["no firing at", "yakin timetable"]);
    bad_act(&["pause", "defualt"], &["defualt"]);
    bad_act(&["cancel", "4711"], &["run 4711 is not open"]);
    bad_act(&["approve", "4711"], &["run 4711 does not wait"]);
    bad_act(&["approve", "INV-209901-x-0001"], &["INV-209901-x-0001"]);
    bad_act(&["dead", "requeue", "nothing"], &["no dead letter 'nothing'"]);
    bad_act(&["rerun", "4711"], &["no run 4711"]);
    bad(&["run-show", "4711"], &["4711"]);
    bad(&["serve", "--roles", "plan,dance"], &["unknown role 'dance'", "plan, work, api"]);
    bad(&["serve", "--listen", "127.0.0.1:0"], &["virtual time"]);
    let nothing_begun: i64 = site.one("SELECT count(*) FROM yakin.runs").await;
    assert_eq!(nothing_begun, 0);
    let nothing_told: i64 = site.one("SELECT count(*) FROM yakin.audit").await;
    assert_eq!(nothing_told, 0);

    // the parser's own mistakes
    for arguments in
        [&["run"][..], &["dance"], &["set", "BATCH-302", "timeout=60"], &["run-show", "x"]]
    {
        let told = site.yakin(arguments);
        assert_eq!(told.code, 2, "{arguments:?}: {}", told.err);
        assert!(told.err.contains("error:"), "{}", told.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_is_named_by_file_and_key() {
    let site = Site::new().await;
    let configured = |text: &str, says: &[&str]| {
        std::fs::write(site.dir.join("yakin.toml"), text).expect("configuration");
        site.bad(2, &["runs"], &[&["configuration", "yakin.toml"], says].concat());
    };
    configured("[databse]\nurl = 'x'\n", &["databse"]);
    configured("[database]\nconections = 4\n", &["database", "conections"]);
    configured("[database]\nconnections = 'many'\n", &["database.connections"]);
    configured("[database]\nconnections = 2\n", &["database.connections is 2", "4 to 500"]);
    configured(
        &CONFIG.replace("T9700110012005", "T1234567890123"),
        &["registration_number", "T1234567890123"],
    );
    std::fs::write(site.dir.join("yakin.toml"), "listen = \n").expect("configuration");
    let told = site.yakin(&["runs"]);
    assert!(told.code == 2 && told.err.contains("yakin.toml"), "{}", told.err);
    assert!(told.err.contains("line 1, column 10"), "{}", told.err); // and shows the place
    site.bad(2, &["runs", "--config", "elsewhere.toml"], &["elsewhere.toml", "yakin.example.toml"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_used_is_told_in_one_sentence() {
    let site = Site::new().await;
    let with = |url: &str| {
        let mut command = site.command(&["runs"]);
        command.env("DATABASE_URL", url);
        command
    };
    let bad = |command: Command, says: &[&str]| refused(tell(command), 2, says, "runs");
    bad(with("postgres://nobody@127.0.0.1:1/none"), &["cannot reach PostgreSQL at 127.0.0.1:1"]);
    bad(with("mysql://x/y"), &["postgres://user@host/database"]);

    let name: String = site.one("SELECT current_database()::text").await;
    let empty = format!("{name}_empty");
    site.sql(&format!("CREATE DATABASE {empty}")).await;
    bad(with(&site.owner_url(Some(&empty))), &["not migrated", "yakin migrate"]);
    site.sql(&format!("DROP DATABASE {empty} WITH (FORCE)")).await;

    let login = format!("{name}_guest");
    site.sql(&format!("CREATE ROLE {login} LOGIN; GRANT USAGE ON SCHEMA yakin TO {login}; GRANT SELECT ON yakin.schema_version TO {login}")).await;
    let guest = with(&site.database.url(&login));
    let told = tell(guest);
    site.sql(&format!("DROP OWNED BY {login}; DROP ROLE {login}")).await;
    let grant = format!("GRANT yakin_engine TO \"{login}\"");
    refused(told, 2, &["may not act as yakin_engine", &grant], "a guest");

    site.sql("UPDATE yakin.compatibility SET oldest_binary = 9999").await;
    site.bad(2, &["runs"], &["newer Yakin"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_end_with_their_code_and_show_themselves() {
    let site = Site::with_sample(3).await;
    let out = site.good(&["run", "BATCH-204", "--date", "2026-10-20"]);
    assert!(out.starts_with("run 1 2026-10-20: succeeded") && out.contains("tenants 3/3"), "{out}");
    let out = site.good(&["run", "BATCH-301", "--date", "2026-10-20", "--dry-run"]);
    assert!(out.contains("(dry run)"), "{out}");
    let usage: i64 = site
        .one("SELECT count(*) FROM app.tenant_usage_daily WHERE usage_date = '2026-10-20'")
        .await;
    assert_eq!(usage, 0, "a dry run writes nothing");
    let row = site.json(&["run", "BATCH-301", "--date", "2026-10-20"]);
    assert_eq!((&row["outcome"], &row["tenants_done"]), (&"succeeded".into(), &3.into()));

    // 3: some tenants, not all
    site.sql("UPDATE app.compute_usage_logs SET cpu_seconds = -1 WHERE tenant_id = (SELECT min(tenant_id) FROM app.tenants)").await;
    let told = site.yakin(&["run", "BATCH-204", "--date", "2026-10-21"]);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    let told = site.yakin(&["run", "BATCH-301", "--date", "2026-10-21"]);
    assert_eq!(told.code, 3, "{}{}", told.out, told.err);
    assert!(told.out.contains("partial"), "{}", told.out);

    // 1: no issuer, no invoice
    std::fs::write(site.dir.join("yakin.toml"), "").expect("configuration");
    let told = site.yakin(&["run", "BATCH-302", "--date", "2026-10-01"]);
    assert_eq!(told.code, 1, "{}{}", told.out, told.err);
    assert!(
        told.out.contains("failed") && told.out.contains("[issuer] is not configured"),
        "{}",
        told.out
    );

    for arguments in [
        &["catalogue"][..],
        &["show", "BATCH-302"],
        &["timetable"],
        &["timetable", "--date", "2026-11-01"],
        &["runs"],
        &["run-show", "1"],
        &["run-show", "4"],
        &["run-show", "5"],
        &["alerts"],
        &["alerts", "--all"],
        &["audit"],
        &["dead", "list"],
    ] {
        let out = site.good(arguments);
        assert!(!out.trim().is_empty(), "{arguments:?} says nothing");
        if !["show", "run-show"].contains(&arguments[0]) {
            fits(&out);
        }
        site.json(arguments);
    }
    let dead = site.json(&["dead", "list"]);
    let letters = dead.as_array().expect("letters");
    let batches: Vec<_> = letters.iter().map(|l| l["batch_id"].as_str().expect("batch")).collect();
    assert!(
        batches.len() == 2 && batches.contains(&"BATCH-301") && batches.contains(&"BATCH-302"),
        "{dead}"
    );
    for letter in letters {
        let group = letter["fingerprint"].as_str().expect("group");
        assert!(
            site.good(&["dead", "show", group]).contains(letter["error"].as_str().expect("error"))
        );
        site.good(&["dead", "discard", group, "--reason", "known"]);
    }
    assert_eq!(site.json(&["dead", "list"]), Value::Array(vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn firings_are_held_released_moved_and_bypassed_on_the_record() {
    let site = Site::new().await;
    let firing = |due: &str| -> Value {
        let day = site.json(&["timetable", "--date", "2026-11-01"]);
        let found = day.as_array().expect("firings").iter().find(|f| {
            f["batch_id"] == "BATCH-006"
                && f["planned_at"].as_str().is_some_and(|p| p.starts_with(due))
        });
        found.unwrap_or_else(|| panic!("no firing {due}: {day}")).clone()
    };
    // 03:30 in Tokyo
    let due = "2026-10-31T18:30";
    assert_eq!(firing(due)["state"], "planned");
    let act = |act: &str, times: &[&str]| {
        let why = format!("why {act}");
        let arguments = [&[act, "BATCH-006"], times, &["--reason", &why]].concat();
        site.good(&arguments)
    };
    assert!(act("hold", &["2026-11-01 03:30"]).contains("yakin release BATCH-006"));
    assert_eq!(firing(due)["state"], "held");
    act("release", &["2026-11-01 03:30"]);
    assert_eq!(firing(due)["state"], "planned");
    act("move", &["2026-11-01 03:30", "2026-11-01 04:10"]);
    assert!(firing(due)["due_at"].as_str().is_some_and(|d| d.starts_with("2026-10-31T19:10")));
    let past = ["move", "BATCH-006", "2026-11-01 04:10", "2026-10-01 04:10", "--reason", "x"];
    site.bad(2, &past, &["is past"]);
    act("bypass", &["2026-11-01 04:10"]);
    assert_eq!(firing(due)["outcome"], "bypassed");
    site.bad(2, &["hold", "BATCH-006", "2026-11-01 04:10", "--reason", "x"], &["is ended"]);
    site.good(&["set", "BATCH-302", "timeout=7200", "--reason", "month end"]);
    assert!(site.good(&["show", "BATCH-302"]).contains("timeout = 7200"));
    site.good(&["set", "BATCH-302", "timeout=", "--reason", "as before"]);
    site.good(&["pause", "heavy", "--reason", "disk"]);
    site.good(&["resume", "heavy", "--reason", "disk is new"]);
    site.good(&["stop-all", "--reason", "fire"]);
    site.good(&["resume-all", "--reason", "out"]);

    let audit = site.json(&["audit"]);
    let told: Vec<(&str, &str)> = audit
        .as_array()
        .expect("lines")
        .iter()
        .rev()
        .map(|a| (a["action"].as_str().expect("action"), a["reason"].as_str().expect("reason")))
        .collect();
    assert_eq!(
        told[..4],
        [
            ("hold", "why hold"),
            ("release", "why release"),
            ("move", "why move"),
            ("bypass", "why bypass")
        ]
    );
    assert_eq!(told.len(), 10, "{told:?}");
    assert!(audit.as_array().expect("lines").iter().all(|a| a["actor"] == "tester"), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_an_earlier_node_left_is_not_started_twice() {
    let site = Site::with_sample(2).await;
    let run = site.start("BATCH-204", date(2026, 10, 20)).await; // nobody works it
    let says = format!("run {run} of BATCH-204 is still open");
    site.bad(2, &["run", "BATCH-204", "--date", "2026-10-21"], &[&says]);
    site.good(&["cancel", &run.to_string(), "--reason", "not wanted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn help_and_completions_need_no_database() {
    let site = Site::new().await;
    let plain = |arguments: &[&str]| {
        let mut command = site.command(arguments);
        command.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none");
        let told = tell(command);
        assert_eq!((told.code, told.err.as_str()), (0, ""), "{arguments:?}");
        told.out
    };
    for shell in ["bash", "zsh", "fish"] {
        assert!(plain(&["completions", shell]).contains("timetable"), "{shell}");
    }
    assert!(plain(&["--version"]).starts_with("yakin "));
    let help = plain(&["--help"]);
    assert!(help.contains("Exit codes") && help.contains("yakin demo"), "{help}");
    for command in ["run", "set", "hold", "serve", "dead", "approve"] {
        assert!(plain(&[command, "--help"]).contains("Usage:"));
    }
}
