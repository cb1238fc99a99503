//! Backup sets where the world does not stand still: databases that go, files that do not read, places that change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::vault::{Vault, folder_storage};
use yakin_adapters::archive::{Opener, Sealer};
use yakin_adapters::postgres_tools::Login;
use yakin_adapters::storage::Storage;
use yakin_domain::backup::{self, Asked, FilesManifest, Folder, Manifest, Source};
use yakin_testkit::day;

const MONDAY: &str = "2026-11-02";
const PAST: &str = "UPDATE app.backup_sets SET expires_on = '2026-11-01'";

fn opener(vault: &Vault) -> Arc<Opener> {
    Arc::new(Opener::read(&vault.identity).unwrap())
}

fn login(vault: &Vault) -> Login {
    Login::new(&vault.world.database.owner_url()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_between_look_and_dump_is_left_out_where_all_were_asked_for() {
    let vault = Vault::new("sets-gone").await;
    let name = vault.world.database.name();
    let (one, two) = (format!("{name}_a"), format!("{name}_b"));
    for new in [&one, &two] {
        vault.world.sql(&format!("CREATE DATABASE {new} TEMPLATE template0")).await;
    }
    let mut all = Source::look(&login(&vault), &[]).await.unwrap();
    all.databases.retain(|d| [&one, &two].contains(&&d.name));
    let named = Source::look(&login(&vault), std::slice::from_ref(&one)).await.unwrap();
    vault.world.sql(&format!("DROP DATABASE {one}")).await;

    let folder = Folder::open(&vault.folder).unwrap();
    let sealer = Sealer::new(&opener(&vault).recipients()).unwrap();
    let write = async |source: &Source, id: &str| {
        folder.begin(id).unwrap();
        let now = vault.world.clock.now();
        let passed = Arc::new(AtomicU64::new(0));
        let asked = Asked { id, date: day(MONDAY), begun_at: now, compress: true, passed };
        backup::write(source, &sealer, &folder, &asked, || now).await
    };
    let (manifest, _) = write(&all, "BKP_20261102_001").await.unwrap();
    let names: Vec<_> = manifest.databases.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, [&two]);
    let noted = serde_json::to_value(&manifest).unwrap();
    assert_eq!(noted["dropped_meanwhile"], serde_json::json!([one]));
    write(&named, "BKP_20261102_002").await.unwrap_err();
    all.measure().await.unwrap();
    let measured: Vec<_> = all.databases.iter().map(|d| (&d.name, d.bytes > 0)).collect();
    assert_eq!(measured, [(&two, true)]);
    vault.world.sql(&format!("DROP DATABASE {two}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_database_half_dropped_nor_one_half_restored_is_backed_up() {
    let vault = Vault::new("sets-half").await;
    let name = vault.world.database.name();
    let (half, restoring) = (format!("{name}_half"), format!("yakin_restoring_{name}"));
    vault.world.sql(&format!("CREATE DATABASE {half} TEMPLATE template0")).await;
    vault.world.sql(&format!("CREATE DATABASE {restoring} TEMPLATE template0")).await;
    let limit = format!("UPDATE pg_database SET datconnlimit = -2 WHERE datname = '{half}'");
    vault.world.sql(&limit).await;
    let source = Source::look(&login(&vault), &[]).await.unwrap();
    let found = |wanted: &str| source.databases.iter().any(|d| d.name == wanted);
    let seen = (found(name), found(&half), found(&restoring));
    for gone in [half, restoring] {
        vault.world.sql(&format!("DROP DATABASE {gone}")).await;
    }
    assert_eq!(seen, (true, false, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_an_extensions_own_settings_do_not_keep_a_set_from_being_proven() {
    let vault = Vault::new("sets-extension").await;
    vault
        .world
        .sql(
            "CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
             CREATE TABLE public.extension_settings AS SELECT 1 AS n;
             ALTER EXTENSION pg_stat_statements ADD TABLE public.extension_settings;
             UPDATE pg_extension SET extconfig = ARRAY['public.extension_settings'::regclass::oid], extcondition = ARRAY['']
              WHERE extname = 'pg_stat_statements'",
        )
        .await;
    let seen = vault.backup(MONDAY, &[]).await;
    assert_eq!((seen.outcome(), seen.count("verified")), ("succeeded", 1), "{:?}", seen.reason);
    let (manifest, _) = vault.set("BKP_20261102_001");
    let noted = serde_json::to_value(&manifest.databases[0]).unwrap();
    let own = serde_json::json!([{"schema": "public", "name": "extension_settings"}]);
    assert_eq!(noted["extension_tables"], own);
    let counted = manifest.databases[0].tables.iter().any(|t| t.name == "extension_settings");
    assert!(!counted, "its rows are the extension's business");
}

#[tokio::test(flavor = "multi_thread")]
async fn nights_of_one_database_do_not_push_out_the_sets_of_all() {
    let vault = Vault::new("sets-targets").await;
    let (place, name) = (vault.place().await, vault.world.database.name());
    vault
        .world
        .sql(&format!(
            "INSERT INTO app.backup_sets (backup_id, business_date, place, state, run_id, databases, begun_at, bytes,
                    compressed, recipients, manifest_sha256, expires_on, verified_at)
             SELECT 'BKP_2026100' || n || '_001', date '2026-10-01' + n, '{place}', 'verified', 0,
                    CASE WHEN n <= 3 THEN ARRAY['{name}', 'zz_other'] ELSE ARRAY['{name}'] END,
                    '2026-10-01', 1, true, '{{}}', '', '2026-11-01', '2026-10-01'
               FROM generate_series(1, 7) AS n"
        ))
        .await;
    let seen = vault.backup("2026-12-07", &[]).await;
    assert_eq!((seen.outcome(), seen.count("expired")), ("succeeded", 2), "{:?}", seen.reason);
    let kept: String = vault
        .world
        .one("SELECT string_agg(substring(backup_id FROM 5 FOR 8), ' ' ORDER BY 1) FROM app.backup_sets WHERE state = 'verified'")
        .await;
    assert_eq!(kept, "20261001 20261002 20261003 20261006 20261007 20261207");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_says_nothing_readable_of_itself_stops_no_night_and_is_neither_proven_nor_removed()
 {
    let vault = Vault::new("sets-unreadable").await;
    for date in [MONDAY, "2026-11-03", "2026-11-04"] {
        vault.backup(date, &[]).await;
    }
    let set = |id: &str| vault.folder.join(id);
    let manifest = std::fs::read_to_string(set("BKP_20261102_001/manifest.json")).unwrap();
    let newer = manifest.replace("\"format\": 1", "\"format\": 2");
    std::fs::write(set("BKP_20261102_001/manifest.json"), newer).unwrap();
    std::fs::write(set("BKP_20261103_001/proof.json"), "{\"verified_at").unwrap();
    vault.world.sql(PAST).await;
    let seen = vault.backup("2026-12-07", &[]).await;
    assert_eq!((seen.outcome(), seen.count("expired")), ("succeeded", 0), "{:?}", seen.reason);
    assert_eq!(
        vault.states().await,
        "BKP_20261102_001 written, BKP_20261103_001 written, BKP_20261104_001 verified, BKP_20261207_001 verified"
    );
    assert_eq!(vault.folders().len(), 4);
    let said = "SELECT metadata->>'sets' FROM yakin.run_logs WHERE level = 'warn' AND message LIKE 'sets do not say%'";
    let said: String = vault.world.one(said).await;
    assert!(said.contains("BKP_20261102_001") && said.contains("BKP_20261103_001"), "{said}");

    // mended, it counts again
    std::fs::write(set("BKP_20261102_001/manifest.json"), manifest).unwrap();
    vault.backup("2026-12-07", &[]).await;
    assert!(vault.states().await.starts_with("BKP_20261102_001 verified, "));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_written_anew_where_the_set_that_has_them_says_nothing_readable_of_itself() {
    let vault = Vault::new("sets-unreadable-files").await;
    std::fs::create_dir_all(&vault.files).unwrap();
    for (key, date) in [("a", MONDAY), ("b", "2026-11-03")] {
        std::fs::write(vault.files.join(key), key).unwrap();
        vault.daily(date, &[]).await;
    }
    std::fs::write(vault.folder.join("BKF_20261102_001/manifest.json"), "{").unwrap();
    let seen = vault.daily("2026-11-04", &[]).await;
    let archived = (seen.outcome(), seen.count("files_archived"));
    assert_eq!(archived, ("succeeded", 1), "{:?}", seen.reason);
    let states = vault.states().await;
    assert!(states.starts_with("BKF_20261102_001 written, "), "{states}");
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_101_does_not_give_up_a_set_of_files_whose_writer_was_killed_before_its_row() {
    let vault = Vault::new("sets-kinds").await;
    std::fs::create_dir_all(&vault.files).unwrap();
    std::fs::write(vault.files.join("a"), "1").unwrap();
    vault.daily(MONDAY, &[]).await;
    vault
        .world
        .sql("UPDATE app.backup_sets SET state = 'writing', bytes = NULL, verified_at = NULL WHERE kind = 'files'")
        .await;
    vault.backup("2026-11-03", &[]).await;
    let state = "SELECT state FROM app.backup_sets WHERE backup_id = 'BKF_20261102_001'";
    assert_eq!(vault.world.one::<String>(state).await, "writing");
    vault.daily("2026-11-04", &[]).await;
    assert_eq!(vault.world.one::<String>(state).await, "verified");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_says_where_its_copy_is_and_a_new_second_place_gets_the_last_days() {
    let places =
        std::env::temp_dir().join(format!("yakin-vault-{}-second-places", std::process::id()));
    let [first, second] = ["first", "second"].map(|name| folder_storage(&places.join(name)));
    let mut vault = Vault::with_copy("sets-copies", first.clone()).await;
    for date in ["2026-11-01", MONDAY] {
        let seen = vault.backup(date, &[]).await;
        assert_eq!(seen.count("copied"), 1, "{:?}", seen.reason);
    }
    // older than what a new place is given
    let old = "UPDATE app.backup_sets SET begun_at = begun_at - interval '8 days' WHERE backup_id = 'BKP_20261101_001'";
    vault.world.sql(old).await;
    vault.copy_to(second.clone());
    let seen = vault.backup("2026-11-03", &[]).await;
    assert_eq!((seen.outcome(), seen.count("copied")), ("succeeded", 1), "{:?}", seen.reason);
    let [first, second] = [first, second].map(|settings| Storage::open(&settings).unwrap());
    let there = backup::copied_sets(&second).await.unwrap();
    assert_eq!(there, ["BKP_20261102_001", "BKP_20261103_001"]);
    let told: String = vault
        .world
        .one("SELECT string_agg(copied_to, ' ' ORDER BY backup_id) FROM app.backup_sets")
        .await;
    let (first, second) = (first.identity(), second.identity());
    assert_eq!(told, format!("{first} {second} {second}"));
    std::fs::remove_dir_all(places).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_survives_a_server_that_cuts_idle_sessions_and_tells_its_first_fault() {
    let vault = Vault::new("sets-idle").await;
    vault.three_tables("x").await;
    vault.backup(MONDAY, &[]).await;
    let name = vault.world.database.name().to_owned();
    let (role, into) = (format!("cut_{name}"), format!("{name}_into"));
    vault
        .world
        .sql(&format!(
            "CREATE ROLE {role} SUPERUSER LOGIN; ALTER ROLE {role} SET idle_session_timeout = 30"
        ))
        .await;
    let login = Login::new(&vault.world.database.url(&role)).unwrap();
    let source = Source::look(&login, &[name]).await.unwrap();
    let (manifest, _) = vault.set("BKP_20261102_001");
    let (set, dump) = (vault.folder.join(&manifest.id), &manifest.databases[0]);
    let restore = async || {
        let stop = std::future::pending();
        backup::restore(&source, &opener(&vault), &set, dump, &into, stop).await
    };
    let restored = restore().await.unwrap();
    assert_eq!(restored.rows, dump.rows());
    vault.world.sql(&format!("DROP DATABASE {into}")).await;

    vault.flip(&manifest.id, &dump.file);
    let error = restore().await.unwrap_err();
    let is_left = format!("SELECT EXISTS (SELECT FROM pg_database WHERE datname LIKE '%{into}')");
    let is_left: bool = vault.world.one(&is_left).await;
    vault.world.sql(&format!("DROP DATABASE IF EXISTS {into}")).await;
    vault.world.sql(&format!("REASSIGN OWNED BY {role} TO postgres; DROP ROLE {role}")).await;
    assert!(error.is_damage(), "{error}");
    assert!(!is_left);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_does_not_clear_away_what_is_being_fetched() {
    let place = std::env::temp_dir().join(format!("yakin-vault-{}-fetched", std::process::id()));
    let vault = Vault::with_copy("sets-fetch", folder_storage(&place.join("copies"))).await;
    std::fs::create_dir_all(&vault.files).unwrap();
    vault.daily(MONDAY, &[]).await;
    let storage = Storage::open(&folder_storage(&place.join("copies"))).unwrap();
    let folder = Folder::open(&place.join("sets")).unwrap();
    // what a fetch that was killed has left is no hindrance
    std::fs::create_dir(place.join("sets/.fetching-BKP_20261102_001")).unwrap();
    let (stop, clears) = (Arc::new(AtomicBool::new(false)), folder.clone());
    let stopping = stop.clone();
    let clearing = std::thread::spawn(move || {
        let mut cleared = Vec::new();
        while !stopping.load(Ordering::Relaxed) {
            cleared.extend(clears.clear_unfinished().unwrap());
        }
        cleared
    });
    let dumped = backup::fetch::<Manifest>(&storage, &folder, "BKP_20261102_001").await;
    let files = backup::fetch::<FilesManifest>(&storage, &folder, "BKF_20261102_001").await;
    stop.store(true, Ordering::Relaxed);
    assert_eq!(clearing.join().unwrap(), Vec::<String>::new());
    assert_eq!((dumped.unwrap().id, files.unwrap().files), ("BKP_20261102_001".to_owned(), 0));
    assert!(backup::fetch::<Manifest>(&storage, &folder, "BKP_20261102_001").await.is_err());
    let mut left: Vec<_> =
        std::fs::read_dir(place.join("sets")).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["BKF_20261102_001", "BKP_20261102_001"]);
    std::fs::remove_dir_all(place).unwrap();
}
