//! BATCH-101: what a set holds and proves, what becomes of old ones, and what happens when the disk, the second place or a
//! byte fails.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::vault::Vault;
use sqlx::AssertSqlSafe;
use yakin_adapters::archive::Opener;
use yakin_adapters::postgres_tools::Tools;
use yakin_adapters::storage::Storage;
use yakin_domain::backup::{self, Folder, Manifest, Proof};
use yakin_testkit::seaweed::Seaweed;

/// A Sunday; its sets stay 90 days.
const SUNDAY: &str = "2026-11-01";
const MARK: &str = "ひみつの文字列-a7c1f3";

#[tokio::test(flavor = "multi_thread")]
async fn a_set_holds_one_state_of_a_database_that_is_written_to_and_comes_back_row_for_row() {
    let vault = Vault::new("whole").await;
    vault.three_tables(MARK).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (owner, stopping) = (vault.world.database.owner.clone(), stop.clone());
    let inserting = tokio::spawn(async move {
        let mut inserted = 0;
        while !stopping.load(Ordering::Relaxed) {
            let sql = "INSERT INTO public.busy SELECT g, 'later' FROM generate_series(1, 20) g";
            sqlx::query(sql).execute(&owner).await.unwrap();
            inserted += 20;
        }
        inserted
    });
    let seen = vault.backup(SUNDAY, &[("restore_test", "always")]).await;
    stop.store(true, Ordering::Relaxed);
    let inserted: i64 = inserting.await.unwrap();
    assert_eq!(seen.outcome(), "succeeded", "{:?}", seen.reason);
    assert_eq!((seen.count("verified"), seen.count("databases")), (1, 1));
    // the restore test compared every table: what came back is what the snapshot counted
    assert_eq!(seen.count("rows_restored"), seen.count("rows_dumped"));

    let (manifest, proof) = vault.set("BKP_20261101_001");
    let rows = |table: &str| crate::vault::rows(&manifest, "public", table);
    assert!((1000..=1000 + inserted).contains(&rows("busy")), "{}", rows("busy"));
    assert_eq!((rows("empty"), rows("seven")), (0, 7));
    assert!(proof.verified_at.is_some() && proof.recovery_tested_at.is_some());
    assert!(manifest.globals.passwords);
    let state: String = vault.world.one("SELECT state FROM app.backup_sets").await;
    assert_eq!(state, "verified");
    let left: i64 = vault
        .world
        .one("SELECT count(*) FROM pg_database WHERE datname LIKE 'yakin_restore_test_%' || (SELECT oid FROM pg_database WHERE datname = current_database()) || '_%'")
        .await;
    assert_eq!(left, 0, "scratch databases");

    // neither the data nor a password's hash lies there in the clear
    let all = vault.all_bytes();
    for plain in [MARK.as_bytes(), b"SCRAM-SHA-256$", b"CREATE TABLE"] {
        assert!(!all.windows(plain.len()).any(|w| w == plain));
    }
    bare_tools_restore(&vault, &manifest).await;
}

/// `age -d | zstd -d | pg_restore`, as an operator without Yakin would.
async fn bare_tools_restore(vault: &Vault, manifest: &Manifest) {
    let owner = &vault.world.database.owner;
    let bare = format!("{}_bare", vault.world.database.name());
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {bare} TEMPLATE template0")))
        .execute(owner)
        .await
        .unwrap();
    let file = vault.folder.join(&manifest.id).join(&manifest.databases[0].file);
    let pg_restore =
        std::path::Path::new(&std::env::var("YAKIN_PG_BIN").unwrap()).join("pg_restore");
    let line = format!(
        "set -o pipefail; age -d -i '{}' '{}' | zstd -d | '{}' --exit-on-error --dbname='{}'",
        vault.identity.display(),
        file.display(),
        pg_restore.display(),
        vault.url_of(&bare)
    );
    let done = Command::new("bash").args(["-c", &line]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let there = sqlx::PgPool::connect(&vault.url_of(&bare)).await.unwrap();
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM public.busy").fetch_one(&there).await.unwrap();
    assert_eq!(rows, crate::vault::rows(manifest, "public", "busy"));
    let jobs: i64 =
        sqlx::query_scalar("SELECT count(*) FROM yakin.jobs").fetch_one(&there).await.unwrap();
    assert_eq!(jobs, 0, "the queue's rows stay out");
    there.close().await;
    sqlx::query(AssertSqlSafe(format!("DROP DATABASE {bare} WITH (FORCE)")))
        .execute(owner)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_is_found_and_the_set_is_written_anew() {
    let vault = Vault::new("flipped").await;
    vault.backup("2026-11-02", &[]).await;
    vault.backup(SUNDAY, &[("verify_backup", "false")]).await;
    let (manifest, _) = vault.set("BKP_20261101_001");
    vault.flip("BKP_20261101_001", &manifest.databases[0].file);

    let tools = Tools::find(15).await.unwrap();
    let opener = Arc::new(Opener::read(&vault.identity).unwrap());
    let set = vault.folder.join(&manifest.id);
    let error = backup::verify(&tools, &opener, &set, &manifest).await.unwrap_err();
    assert!(error.is_damage(), "{error}");

    // the next run takes the set for one that its own earlier attempt wrote
    let next = "SELECT max(id) + 1 FROM yakin.runs";
    let sql = format!(
        "UPDATE app.backup_sets SET run_id = ({next}) WHERE backup_id = 'BKP_20261101_001'"
    );
    vault.world.sql(&sql).await;
    let seen = vault.backup(SUNDAY, &[]).await;
    assert_eq!((seen.outcome(), seen.count("verified")), ("succeeded", 1), "{:?}", seen.reason);
    assert_eq!(
        vault.states().await,
        "BKP_20261101_001 failed, BKP_20261101_002 verified, BKP_20261102_001 verified"
    );
    let error: String =
        vault.world.one("SELECT error FROM app.backup_sets WHERE state = 'failed'").await;
    assert!(error.contains("is not what was written"), "{error}");
    assert_eq!(vault.folders(), ["BKP_20261101_002", "BKP_20261102_001"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_sets_go_but_never_the_newest_three_that_are_proven() {
    let vault = Vault::new("retention").await;
    let place = vault.place().await;
    // 2026-09-22 to 2026-10-31: each day's set, those of Sundays for 90 days
    vault
        .world
        .sql(&format!(
            "INSERT INTO app.backup_sets (backup_id, business_date, place, state, run_id, databases, begun_at, bytes,
                    compressed, recipients, manifest_sha256, expires_on, verified_at)
             SELECT 'BKP_' || to_char(d, 'YYYYMMDD') || '_001', d, '{place}', 'verified', 0, '{{}}', d, 1, true, '{{}}', '',
                    d::date + CASE extract(isodow FROM d) WHEN 7 THEN 90 ELSE 30 END, d
               FROM generate_series(date '2026-09-22', date '2026-10-31', interval '1 day') AS d"
        ))
        .await;
    let seen = vault.backup("2026-11-01", &[]).await;
    assert_eq!(seen.outcome(), "succeeded", "{:?}", seen.reason);
    // of ten days before 2026-10-02, one is a Sunday
    assert_eq!(seen.count("expired"), 9);
    let kept: String = vault
        .world
        .one(
            "SELECT string_agg(to_char(business_date, 'MM-DD'), ' ' ORDER BY 1)
                FROM app.backup_sets WHERE state = 'verified' AND business_date < '2026-10-03'",
        )
        .await;
    assert_eq!(kept, "09-27 10-02");

    // five weeks in which no set came to its end: all but three are past their day, and three stay
    vault.world.sql("DELETE FROM app.backup_sets WHERE business_date < '2026-10-29'").await;
    vault.world.sql("UPDATE app.backup_sets SET expires_on = '2026-11-20'").await;
    let seen = vault.backup("2026-12-07", &[]).await;
    assert_eq!(seen.count("expired"), 2);
    assert_eq!(
        vault.states().await,
        "BKP_20261029_001 expired, BKP_20261030_001 expired, BKP_20261031_001 verified, BKP_20261101_001 verified, \
         BKP_20261207_001 verified"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_leaves_nothing_and_two_runs_of_a_day_count_up() {
    let vault = Vault::new("twice").await;
    let plan = vault.world.dry_run("BATCH-101", Some(SUNDAY), &vault.only()).await;
    assert_eq!(plan.outcome(), "succeeded", "{:?}", plan.reason);
    assert!(plan.plan.unwrap().to_string().contains(vault.world.database.name()));
    assert_eq!((vault.folders().len(), vault.states().await.as_str()), (0, ""));

    vault.backup("2026-11-04", &[]).await;
    let again = vault.backup("2026-11-04", &[]).await;
    assert_eq!((again.outcome(), again.rows_written), ("succeeded", 0), "the day has its set");
    let now = [("compress", "false"), ("backup_type", "full")];
    let second = vault.backup("2026-11-04", &now).await;
    assert_eq!(second.outcome(), "succeeded", "{:?}", second.reason);
    assert_eq!(vault.states().await, "BKP_20261104_001 verified, BKP_20261104_002 verified");
    assert_eq!(second.count("rows_restored"), 0, "a Wednesday, no restore test");
    let refused = vault.backup(SUNDAY, &[("backup_type", "incremental")]).await;
    assert!(refused.reason.unwrap().contains("an incremental dump does not exist"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_it_fails_before_it_writes_and_a_disk_that_fills_leaves_no_half_of_a_set() {
    let Some(vault) = Vault::on_a_small_disk("full", "2m").await else { return };
    let seen = vault.backup(SUNDAY, &[]).await;
    assert_eq!(seen.outcome(), "failed");
    let reason = seen.reason.unwrap();
    assert!(reason.contains("has 2 MB free") && reason.contains("make room"), "{reason}");
    assert_eq!((vault.folders().len(), vault.states().await.as_str()), (0, ""));
    vault.world.engine.watch_step().await.unwrap();
    let alert: String = vault
        .world
        .one("SELECT severity FROM yakin.alerts WHERE batch_id = 'BATCH-101' AND rule = 'run_failed'")
        .await;
    assert_eq!(alert, "critical");

    // the set before was small, so the room seems enough; then random bytes come
    let (place, name) = (vault.place().await, vault.world.database.name());
    vault
        .world
        .sql(&format!(
            "INSERT INTO app.backup_sets (backup_id, business_date, place, state, run_id, databases, begun_at, bytes,
                    compressed, recipients, manifest_sha256, expires_on)
             VALUES ('BKP_20261031_001', '2026-10-31', '{place}', 'written', 0, ARRAY['{name}'], '2026-10-31', 1000, true,
                     '{{}}', '', '2026-12-31');
             CREATE TABLE public.noise AS
             SELECT (SELECT string_agg(gen_random_uuid()::text, '') FROM generate_series(1, 300 + g * 0)) AS bytes
               FROM generate_series(1, 600) AS g"
        ))
        .await;
    let seen = vault.backup("2026-11-02", &[]).await;
    assert_eq!(seen.outcome(), "open", "tried again");
    let error: String =
        vault.world.one("SELECT error FROM yakin.job_history WHERE outcome = 'retry'").await;
    assert!(error.contains("No space left on device"), "{error}");
    assert_eq!(vault.states().await, "BKP_20261031_001 written, BKP_20261102_001 failed");
    assert_eq!(vault.folders().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_was_killed_is_cleared_away_and_one_that_ended_in_time_is_taken_up() {
    let vault = Vault::new("killed").await;
    vault.backup("2026-11-02", &[]).await;
    // killed in mid-dump
    let half = vault.folder.join("BKP_20261103_001");
    std::fs::create_dir(&half).unwrap();
    std::fs::write(half.join("01-yakin.dump.zst.age.partial"), "half").unwrap();
    // killed between the manifest and the row
    let next = "SELECT max(id) + 1 FROM yakin.runs";
    vault
        .world
        .sql(&format!(
            "INSERT INTO app.backup_sets (backup_id, business_date, place, run_id, databases, begun_at, compressed,
                    recipients, expires_on)
             SELECT 'BKP_20261103_001', '2026-11-03', place, run_id, databases, begun_at, true, recipients, expires_on
               FROM app.backup_sets;
             UPDATE app.backup_sets SET state = 'writing', bytes = NULL, verified_at = NULL, run_id = ({next})
              WHERE backup_id = 'BKP_20261102_001'"
        ))
        .await;
    std::fs::remove_file(vault.folder.join("BKP_20261102_001/proof.json")).unwrap();
    let seen = vault.backup("2026-11-02", &[]).await;
    assert_eq!((seen.outcome(), seen.count("verified")), ("succeeded", 1), "{:?}", seen.reason);
    assert_eq!(vault.states().await, "BKP_20261102_001 verified, BKP_20261103_001 failed");
    assert_eq!(vault.folders(), ["BKP_20261102_001"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_place_gets_a_copy_that_can_be_fetched_and_its_loss_makes_the_run_partial() {
    let weed = Seaweed::start("b101").await;
    let vault = Vault::with_copy("copy", crate::vault::bucket(weed.s3, None)).await;
    let seen = vault.backup("2026-11-02", &[]).await;
    assert_eq!((seen.outcome(), seen.count("copied")), ("succeeded", 1), "{:?}", seen.reason);
    let storage = Storage::open(&crate::vault::bucket(weed.s3, None)).unwrap();
    assert_eq!(backup::copied_sets(&storage).await.unwrap(), ["BKP_20261102_001"]);

    let elsewhere = vault.folder.with_extension("elsewhere");
    let other = Folder::open(&elsewhere).unwrap();
    let manifest: Manifest = backup::fetch(&storage, &other, "BKP_20261102_001").await.unwrap();
    let opener = Arc::new(Opener::read(&vault.identity).unwrap());
    let tools = Tools::find(15).await.unwrap();
    backup::verify(&tools, &opener, &elsewhere.join(&manifest.id), &manifest).await.unwrap();
    std::fs::remove_dir_all(&elsewhere).unwrap();

    // a set past its day goes from both places
    vault.world.sql("UPDATE app.backup_sets SET expires_on = '2026-11-02'").await;
    for day in ["2026-11-04", "2026-11-05", "2026-11-06"] {
        let seen = vault.backup(day, &[]).await;
        assert_eq!((seen.outcome(), seen.count("copied")), ("succeeded", 1), "{:?}", seen.reason);
    }
    let left = backup::copied_sets(&storage).await.unwrap();
    assert_eq!(left, ["BKP_20261104_001", "BKP_20261105_001", "BKP_20261106_001"]);

    let refused = Vault::with_copy("refused", crate::vault::bucket(weed.s3, Some("wrong"))).await;
    let seen = refused.backup(SUNDAY, &[]).await;
    assert_eq!((seen.outcome(), seen.count("copied")), ("partial", 0));
    let reason = seen.reason.unwrap();
    assert!(reason.contains("BKP_20261101_001 has no copy in s3://"), "{reason}");
    assert_eq!(refused.states().await, "BKP_20261101_001 verified");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_does_not_see_all_is_refused_and_one_without_superuser_backs_up_without_passwords()
 {
    let vault = Vault::new("login").await;
    let login = format!("backup_{}", vault.world.database.name());
    vault.world.sql(&format!("CREATE ROLE {login} LOGIN")).await;
    let seen = vault.backup_as(&login, SUNDAY, &[]).await;
    let reason = seen.reason.unwrap();
    assert!(reason.contains("does not see all rows") && reason.contains("BYPASSRLS"), "{reason}");

    vault
        .world
        .sql(&format!("ALTER ROLE {login} BYPASSRLS CREATEDB; GRANT pg_read_all_data TO {login}"))
        .await;
    let seen = vault.backup_as(&login, "2026-11-02", &[("restore_test", "always")]).await;
    assert_eq!(seen.outcome(), "succeeded", "{:?}", seen.reason);
    assert_eq!(seen.count("rows_restored"), seen.count("rows_dumped"));
    let (manifest, _) = vault.set("BKP_20261102_001");
    assert!(!manifest.globals.passwords, "and the manifest says so");
    vault.world.sql(&format!("DROP OWNED BY {login}; DROP ROLE {login}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_secret_key_a_set_is_written_but_said_to_be_unproven() {
    let vault = Vault::without_identity("unproven").await;
    let seen = vault.backup(SUNDAY, &[]).await;
    assert_eq!((seen.outcome(), seen.count("verified")), ("partial", 0));
    assert!(seen.reason.unwrap().contains("the set is not proven"));
    assert_eq!(vault.states().await, "BKP_20261101_001 written");
    assert_eq!(vault.set("BKP_20261101_001").1, Proof::default());
}
