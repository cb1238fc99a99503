//! Backups with the program as an operator has it: made, listed, verified, restored; and a node killed at it.

use std::path::Path;

use crate::common::{Node, Site, tell, until};
use jiff::civil::{Date, date};
use sqlx::AssertSqlSafe;
use yakin_engine::clock::Clock;
use yakin_engine::engine::Engine;
use yakin_engine::operate::runs::{Wanted, start};
use yakin_engine::schedule::planner::register;
use yakin_testkit::{BEGIN, act, instant};

fn params(site: &Site) -> Vec<(String, String)> {
    vec![("databases".to_owned(), site.database.name().to_owned())]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_backs_up_looks_verifies_and_restores_into_a_new_database() {
    let site = Site::new().await;
    site.add_backups();
    let only = format!("databases={}", site.database.name());
    let none = tell(site.command(&["backup", "list"]));
    assert!(none.out.contains("`yakin run BATCH-101` writes one"), "{}", none.out);

    let run = ["run", "BATCH-101", "--date", "2026-11-01", "--param", &only];
    let told = tell(site.command(&run));
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    let listed = tell(site.command(&["backup", "list"]));
    assert!(listed.out.contains("BKP_20261101_001"), "{}", listed.out);
    let verified = tell(site.command(&["backup", "verify", "BKP_20261101_001"]));
    assert!(verified.out.contains("BKP_20261101_001 is whole: 1 databases"), "{}", verified.out);
    let missing = tell(site.command(&["backup", "verify", "BKP_20261101_007"]));
    assert_eq!(missing.code, 2);
    assert!(missing.err.contains("`yakin backup list` names them"), "{}", missing.err);

    let new = format!("{}_back", site.database.name());
    let restore =
        ["backup", "restore", "BKP_20261101_001", "--into", &new, "--reason", "a rehearsal"];
    let told = tell(site.command(&restore));
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    assert!(told.out.contains("as the manifest says"), "{}", told.out);
    let again = tell(site.command(&restore));
    assert_ne!(again.code, 0);
    assert!(again.err.contains("a restore never goes over one"), "{}", again.err);
    let audited: i64 = site
        .one("SELECT count(*) FROM yakin.audit WHERE action IN ('verify backup', 'restore backup')")
        .await;
    assert_eq!(audited, 2);

    the_first_node_ends_what_was_open(&site, &new).await;
    let drop = format!("DROP DATABASE {new} WITH (FORCE)");
    sqlx::query(AssertSqlSafe(drop)).execute(&site.database.owner).await.unwrap();
}

/// The backup's own run was open in its snapshot.
async fn the_first_node_ends_what_was_open(site: &Site, new: &str) {
    let url = site.database.url("yakin_engine").replace(site.database.name(), new);
    let pool = yakin_engine::database::connect(&url, 4).await.unwrap();
    let open = "SELECT count(*) FROM yakin.runs WHERE state = 'running'";
    let before: i64 = sqlx::query_scalar(open).fetch_one(&pool).await.unwrap();
    assert_eq!(before, 1);
    let registry = yakin_catalogue::registry().unwrap();
    for _ in 0..2 {
        let clock = Clock::at(instant(BEGIN));
        Engine::join(pool.clone(), clock, registry.clone(), "back", &["work"]).await.unwrap();
    }
    let (outcome, reason): (String, String) =
        sqlx::query_as("SELECT outcome, reason FROM yakin.runs ORDER BY id DESC LIMIT 1")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(outcome, "failed");
    assert!(reason.starts_with("interrupted: the database was restored"), "{reason}");
    let said = "SELECT count(*) FROM yakin.audit WHERE action = 'end interrupted runs'";
    let said: i64 = sqlx::query_scalar(said).fetch_one(&pool).await.unwrap();
    assert_eq!(said, 1, "once");
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_in_mid_dump_leaves_nothing_that_the_next_does_not_clear() {
    let site = Site::new().await;
    site.add_backups();
    site.sql("CREATE TABLE public.noise AS SELECT gen_random_uuid() AS u FROM generate_series(1, 800000)")
        .await;
    let dump = "BKP_20261031_001";
    let _second = kill_while_it_writes(&site, ("BATCH-101", date(2026, 10, 31)), dump).await;
    let states: String = site
        .one("SELECT string_agg(backup_id || ' ' || state, ', ' ORDER BY 1) FROM app.backup_sets")
        .await;
    assert_eq!(states, "BKP_20261031_001 failed, BKP_20261031_002 verified");
    let dumping: i64 = site
        .one(
            "SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'yakin backup'",
        )
        .await;
    assert_eq!(dumping, 0, "no pg_dump of the killed node goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_backs_files_up_too_and_restores_them_into_a_new_folder() {
    let site = Site::new().await;
    site.configure(&format!("[storage]\nurl = \"file://{}\"\n", site.dir.join("store").display()));
    site.add_backups();
    std::fs::create_dir_all(site.dir.join("store/tenant/aoba")).unwrap();
    std::fs::write(site.dir.join("store/tenant/aoba/a.pdf"), "one").unwrap();
    let only = format!("databases={}", site.database.name());
    let told = tell(site.command(&["run", "DAILY_003", "--date", "2026-10-31", "--param", &only]));
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    let listed = tell(site.command(&["backup", "list"])).out;
    assert!(listed.contains("BKP_20261031_001  1 database"), "{listed}");
    assert!(listed.contains("BKF_20261031_001  1 file"), "{listed}");
    let verified = tell(site.command(&["backup", "verify", "BKF_20261031_001"]));
    assert!(verified.out.contains("BKF_20261031_001 is whole: 1 files"), "{}", verified.out);

    let into = site.dir.join("back");
    let back = into.to_str().unwrap();
    let wrong = tell(site.command(&[
        "backup",
        "restore",
        "BKF_20261031_001",
        "--into",
        "x",
        "--reason",
        "r",
    ]));
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("--files-into DIR"), "{}", wrong.err);
    let restore =
        ["backup", "restore", "BKF_20261031_001", "--files-into", back, "--reason", "a rehearsal"];
    let told = tell(site.command(&restore));
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    assert_eq!(std::fs::read_to_string(into.join("tenant/aoba/a.pdf")).unwrap(), "one");
    let again = tell(site.command(&restore));
    assert!(again.code != 0 && again.err.contains("is not empty"), "{}", again.err);
    let audited =
        "SELECT count(*) FROM yakin.audit WHERE action IN ('verify backup', 'restore backup')";
    assert_eq!(site.one::<i64>(audited).await, 2);

    // an archive that lost a byte loses its files, and says which
    let archive = site.dir.join("sets/BKF_20261031_001/files-0001.tar.zst.age");
    let mut bytes = std::fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&archive, bytes).unwrap();
    let verified = tell(site.command(&["backup", "verify", "BKF_20261031_001"]));
    assert!(verified.code != 0 && verified.err.contains("is not proven"), "{}", verified.err);
    std::fs::remove_dir_all(&into).unwrap();
    let told = tell(site.command(&restore));
    assert_eq!(told.code, 3, "{}{}", told.out, told.err);
    assert!(told.out.contains("lost: tenant/aoba/a.pdf"), "{}", told.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_in_mid_archive_leaves_the_databases_set_which_the_next_takes_up() {
    let site = Site::new().await;
    let store = site.dir.join("store");
    site.configure(&format!("[storage]\nurl = \"file://{}\"\n", store.display()));
    site.add_backups();
    std::fs::create_dir_all(&store).unwrap();
    let mut noise = 88172645463325252_u64;
    let mut next = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise.to_le_bytes()
    };
    let bytes: Vec<u8> = (0..12_000_000).flat_map(|_| next()).collect();
    std::fs::write(store.join("large"), &bytes).unwrap();
    let files = "BKF_20261030_001";
    let _second = kill_while_it_writes(&site, ("DAILY_003", date(2026, 10, 30)), files).await;
    let states: String = site
        .one("SELECT string_agg(backup_id || ' ' || state, ', ' ORDER BY backup_id) FROM app.backup_sets")
        .await;
    assert_eq!(
        states,
        "BKF_20261030_001 failed, BKF_20261030_002 verified, BKP_20261030_001 verified"
    );
}

/// Runs a batch of a day on a node that is killed while it writes this set; another node, which is given back, ends the
/// run, and nothing of the set is left.
async fn kill_while_it_writes(site: &Site, (batch, day): (&str, Date), set: &str) -> Node {
    let registry = yakin_catalogue::registry().unwrap();
    let (pool, now) = (&site.database.owner, instant(BEGIN));
    register(pool, &registry, now).await.unwrap();
    let wanted = Wanted { date: Some(day), params: params(site), ..Wanted::default() };
    let run = start(pool, &registry, batch, wanted, "operator", &act(), now).await.unwrap();
    let node = site.serve().await;
    let first = site.dir.join("sets").join(set);
    until("a set is being written", 60, async || has_partial(&first)).await;
    let killed = node.id;
    node.kill();
    assert!(first.is_dir() && !first.join("manifest.json").exists());

    site.expire_leases(&[killed]).await;
    let second = site.serve().await;
    assert_eq!(site.outcome(run).await, "succeeded");
    assert!(!first.exists());
    second
}

fn has_partial(set: &Path) -> bool {
    let files = std::fs::read_dir(set).into_iter().flatten().flatten();
    files.map(|f| f.file_name()).any(|name| name.to_string_lossy().ends_with(".partial"))
}
