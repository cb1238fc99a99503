//! The weekly maintenance as an operator sets it up: what the doctor says of login, folders and cache, what stops a
//! command, and a run by hand.

use crate::common::{Site, tell};
use yakin_testkit::redis::{PASSWORD, Redis};

/// What the doctor says of a thing: its standing, and what he found.
fn doctor(site: &Site, name: &str) -> (String, String) {
    let told = tell(site.command(&["doctor", "--json"]));
    let shown = [&told.out, &told.err].into_iter().any(|text| text.contains(PASSWORD));
    assert!(!shown, "a password is shown nowhere");
    let checks: Vec<serde_json::Value> = serde_json::from_str(&told.out).expect("JSON");
    let check = checks.iter().find(|c| c["name"] == name).unwrap_or_else(|| panic!("{checks:?}"));
    let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
    (text("standing"), text("found"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_tries_the_owners_login_and_the_cache() {
    let (site, redis) = (Site::new().await, Redis::start());
    let (standing, found) = doctor(&site, "maintenance");
    assert!(standing == "warning" && found.contains("no index is rebuilt"), "{found}");
    assert!(doctor(&site, "cache").1.contains("none is configured"));

    let file = site.dir.join("yakin.toml");
    let set = |login: &str, more: &str| {
        let database = format!("[database]\nmaintenance_url = {login:?}");
        let config = crate::common::CONFIG.replacen("[database]", &database, 1);
        std::fs::write(&file, config + more).expect("configuration");
    };
    set(&site.database.url("yakin_engine"), "");
    let (standing, found) = doctor(&site, "maintenance");
    assert!(standing == "bad" && found.contains("BYPASSRLS"), "{found}");

    let (logs, temp) = (site.dir.join("logs"), site.dir.join("temp"));
    for dir in [&logs, &temp] {
        std::fs::create_dir(dir).expect("folder");
    }
    let more = format!(
        "[cache]\nurl = {:?}\nprefix = \"app:\"\n[maintenance]\nlogs = [{logs:?}]\ntemp = [{temp:?}]\n",
        redis.url(PASSWORD)
    );
    set(&site.owner_url(None), &more);
    let (standing, found) = doctor(&site, "maintenance");
    assert!(standing == "good" && found.contains("may rebuild"), "{found}");
    assert_eq!(doctor(&site, "cache").0, "good");
    let told = tell(site.command(&["run", "WEEKLY_001", "--date", "2026-11-01", "--json"]));
    assert_eq!(told.code, 0, "{} {}", told.out, told.err);
    let steps = "SELECT string_agg(step || ' ' || outcome, ', ' ORDER BY step) FROM app.maintenance_results";
    assert_eq!(
        site.one::<String>(steps).await,
        "cache done, database done, health done, logs done, temp done"
    );

    set(&site.owner_url(None), "[maintenance]\ntemp = [\"temp\"]\n");
    let (standing, found) = doctor(&site, "maintenance");
    assert!(standing == "bad" && found.contains("expected a path from /"), "{found}");
    let told = tell(site.command(&["run", "WEEKLY_001", "--date", "2026-11-01"]));
    assert_eq!(told.code, 2, "{}", told.err);
}
