//! Restores with the program as an operator has it: on a server that has changed since, killed in the midst, and of a set
//! that is damaged.

use std::process::{Child, Stdio};

use crate::common::{Site, tell, until};
use rustix::process::{Pid, Signal, kill_process};

const SET: &str = "BKP_20261101_001";

/// A site with a set of its database.
async fn backed_up(site: &Site) {
    site.add_backups();
    let only = format!("databases={}", site.database.name());
    let told = tell(site.command(&[
        "run",
        "BATCH-101",
        "--date",
        "2026-11-01",
        "--param",
        &only,
        "--param",
        "restore_test=never",
    ]));
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
}

fn restore<'a>(into: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["backup", "restore", SET, "--into", into, "--reason", "a rehearsal"], more].concat()
}

async fn is_there(site: &Site, database: &str) -> bool {
    site.one(&format!("SELECT EXISTS (SELECT FROM pg_database WHERE datname = '{database}')")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_went_since_hinder_a_restore_only_where_the_database_names_them() {
    let site = Site::new().await;
    let name = site.database.name().to_owned();
    let (login, reader) = (format!("{name}_login"), format!("{name}_reader"));
    site.sql(&format!(
        "CREATE ROLE {login} LOGIN; CREATE ROLE {reader}; CREATE TABLE public.notes (n int); GRANT SELECT ON public.notes TO {reader}"
    ))
    .await;
    backed_up(&site).await;
    site.sql(&format!("DROP ROLE {login}")).await;
    let (first, second) = (format!("{name}_first"), format!("{name}_second"));
    let told = tell(site.command(&restore(&first, &[])));
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);

    site.sql(&format!("DROP DATABASE {first}; ")).await;
    site.sql(&format!("DROP OWNED BY {reader}; DROP ROLE {reader}")).await;
    let told = tell(site.command(&restore(&second, &[])));
    assert_eq!(told.code, 2, "{}{}", told.out, told.err);
    let refused = format!("this server has no role {reader}, which {name} names");
    assert!(told.err.contains(&refused) && told.err.contains(&login), "{}", told.err);
    let told = tell(site.command(&restore(&second, &["--with-roles"])));
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    assert!(told.out.contains("made the roles") && told.out.contains(&login), "{}", told.out);
    site.sql(&format!("DROP DATABASE {second}")).await;
    site.sql(&format!("DROP ROLE {login}; DROP ROLE {reader}")).await;
}

/// A restore that goes on: pg_restore is at its database.
async fn restoring(site: &Site, into: &str) -> Child {
    let mut command = site.command(&restore(into, &[]));
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    until("pg_restore fills the database", 60, async || working(site, into).await).await;
    child
}

async fn working(site: &Site, into: &str) -> bool {
    site.one(&format!(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname LIKE '%{into}' AND application_name = 'yakin backup')"
    ))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_does_not_come_to_its_end_leaves_no_database_of_its_name() {
    let site = Site::new().await;
    site.sql("CREATE TABLE public.noise AS SELECT gen_random_uuid() AS u FROM generate_series(1, 800000)")
        .await;
    backed_up(&site).await;
    let into = format!("{}_into", site.database.name());
    let half = format!("yakin_restoring_{into}");

    let mut killed = restoring(&site, &into).await;
    assert!(is_there(&site, &half).await && !is_there(&site, &into).await);
    killed.kill().unwrap();
    killed.wait().unwrap();
    until("pg_restore ends", 60, async || !working(&site, &into).await).await;
    assert!(is_there(&site, &half).await && !is_there(&site, &into).await);
    let told = tell(site.command(&["doctor"]));
    assert!(told.out.contains(&half), "{}{}", told.out, told.err);

    // the next one begins anew; Ctrl-C ends it and leaves nothing
    let interrupted = restoring(&site, &into).await;
    let again = tell(site.command(&restore(&into, &[])));
    assert!(again.code != 0 && again.err.contains("is being restored"), "{}", again.err);
    kill_process(Pid::from_child(&interrupted), Signal::INT).unwrap();
    let ended = interrupted.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.code().is_some_and(|code| code != 0), "{:?} {said}", ended.status);
    assert!(said.contains("interrupted"), "{said}");
    assert!(!is_there(&site, &half).await && !is_there(&site, &into).await);

    let told = tell(site.command(&restore(&into, &[])));
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    assert!(!is_there(&site, &half).await && is_there(&site, &into).await);
    site.sql(&format!("DROP DATABASE {into}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_that_an_operator_finds_is_written_down_and_a_set_that_cannot_be_read_is_listed() {
    let site = Site::new().await;
    backed_up(&site).await;
    let set = site.dir.join("sets").join(SET);
    let manifest = std::fs::read_to_string(set.join("manifest.json")).unwrap();
    let told: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let archive = set.join(told["databases"][0]["file"].as_str().unwrap());
    let mut bytes = std::fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&archive, bytes).unwrap();
    let verified = tell(site.command(&["backup", "verify", SET]));
    assert!(verified.code != 0 && verified.err.contains("is not proven"), "{}", verified.err);
    let proof = std::fs::read_to_string(set.join("proof.json")).unwrap();
    let proof: serde_json::Value = serde_json::from_str(&proof).unwrap();
    assert_eq!(proof["verified_at"], serde_json::Value::Null);
    let row = "SELECT state || ' ' || error FROM app.backup_sets";
    let row: String = site.one(row).await;
    assert!(row.starts_with("written ") && row.contains("is not what was written"), "{row}");
    let audited = "SELECT count(*) FROM yakin.audit WHERE action = 'verify backup'";
    assert_eq!(site.one::<i64>(audited).await, 1);

    // pg_restore must be as new as the pg_dump that wrote the set
    let mut newer = told.clone();
    newer["tools"] = 99.into();
    std::fs::write(set.join("manifest.json"), newer.to_string()).unwrap();
    let into = format!("{}_into", site.database.name());
    let told = tell(site.command(&restore(&into, &[])));
    assert!(told.code != 0 && told.err.contains("version 99 or newer"), "{}", told.err);

    std::fs::write(set.join("manifest.json"), "{").unwrap();
    let listed = tell(site.command(&["backup", "list"]));
    assert_eq!(listed.code, 0, "{}", listed.err);
    assert!(listed.out.contains(&format!("{SET}  unreadable")), "{}", listed.out);
    let listed = tell(site.command(&["backup", "list", "--json"]));
    let listed: serde_json::Value = serde_json::from_str(&listed.out).unwrap();
    assert!(listed[0]["unreadable"].as_str().unwrap().contains("manifest.json"), "{listed}");
    let doctor = tell(site.command(&["doctor"]));
    assert!(doctor.out.contains("unreadable"), "{}{}", doctor.out, doctor.err);
}
