//! DAILY_003: what the night's sets of files hold and refer to, what BATCH-101 finds, and what happens when a dump, an
//! archive, a file or the storage fails.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::vault::Vault;
use yakin_adapters::archive::Opener;
use yakin_adapters::storage::Storage;
use yakin_domain::backup::files::{read_list, restore_files, verify_files};
use yakin_domain::backup::{self, FilesManifest, Folder, Proof, Source};
use yakin_testkit::seaweed::Seaweed;

const MONDAY: &str = "2026-11-02";
const MARK: &str = "ひみつの文字列-a7c1f3";

/// A key of over a hundred bytes, which tar writes in another way.
fn long_key() -> String {
    format!("tenant/青葉情報/skillsheets/{}.pdf", "経歴書".repeat(20))
}

fn put(vault: &Vault, key: &str, bytes: &[u8]) {
    let path = vault.files.join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// All files below a folder, by key.
fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![root.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let key = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.insert(key, std::fs::read(path).unwrap());
            }
        }
    }
    found
}

fn opener(vault: &Vault) -> Arc<Opener> {
    Arc::new(Opener::read(&vault.identity).unwrap())
}

fn files_set(vault: &Vault, id: &str) -> FilesManifest {
    Folder::open(&vault.folder).unwrap().manifest::<FilesManifest>(id).unwrap().expect(id).0
}

/// What a set gives back.
async fn restored(vault: &Vault, id: &str) -> BTreeMap<String, Vec<u8>> {
    let into = vault.folder.with_extension("back");
    let folder = Folder::open(&vault.folder).unwrap();
    let back = restore_files(&opener(vault), &folder, &files_set(vault, id), &into).await.unwrap();
    assert_eq!(back.lost, []);
    let found = tree(&into);
    std::fs::remove_dir_all(into).unwrap();
    found
}

fn refers(vault: &Vault, id: &str) -> Vec<String> {
    files_set(vault, id).refers_to.into_iter().map(|r| r.set).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_and_files_come_back_as_they_were_whatever_changed_since() {
    let vault = Vault::new("daily-back").await;
    vault.three_tables(MARK).await;
    put(&vault, "tenant/aoba/a.txt", MARK.as_bytes());
    put(&vault, "tenant/midori/empty.txt", b"");
    put(&vault, &long_key(), &vec![7; 300_000]);
    let (before, hash) =
        (tree(&vault.files), "SELECT md5(string_agg(n || word, ',' ORDER BY n)) FROM public.seven");
    let rows: String = vault.world.one(hash).await;

    let seen = vault.daily(MONDAY, &[]).await;
    assert_eq!(seen.outcome(), "succeeded", "{:?}", seen.reason);
    let counts =
        ["databases", "verified", "files", "files_archived", "file_bytes"].map(|c| seen.count(c));
    assert_eq!(counts, [1, 2, 3, 3, 300_000 + MARK.len() as i64]);
    assert_eq!(vault.states().await, "BKF_20261102_001 verified, BKP_20261102_001 verified");
    let all = vault.all_bytes();
    for plain in [MARK.as_bytes(), "経歴書".as_bytes(), b"tenant/", b"CREATE TABLE"] {
        assert!(!all.windows(plain.len()).any(|w| w == plain), "neither contents nor names");
    }

    vault.world.sql("UPDATE public.seven SET word = 'changed'").await;
    std::fs::remove_dir_all(vault.files.join("tenant")).unwrap();
    assert_eq!(restored(&vault, "BKF_20261102_001").await, before);
    let scratch = format!("{}_scratch", vault.world.database.name());
    let (manifest, _) = vault.set("BKP_20261102_001");
    let login =
        yakin_adapters::postgres_tools::Login::new(&vault.world.database.owner_url()).unwrap();
    let source = Source::look(&login, &[vault.world.database.name().to_owned()]).await.unwrap();
    let set = vault.folder.join(&manifest.id);
    let (dump, pending) = (&manifest.databases[0], std::future::pending());
    backup::restore(&source, &opener(&vault), &set, dump, &scratch, pending).await.unwrap();
    let there = sqlx::PgPool::connect(&vault.url_of(&scratch)).await.unwrap();
    let back: String = sqlx::query_scalar(hash).fetch_one(&there).await.unwrap();
    there.close().await;
    assert_eq!(back, rows);
    vault.world.sql(&format!("DROP DATABASE {scratch} WITH (FORCE)")).await;
    bare_tools_restore(&vault, &before);
}

/// `age -d | zstd -d | tar -x`, as an operator without Yakin would.
fn bare_tools_restore(vault: &Vault, before: &BTreeMap<String, Vec<u8>>) {
    let into = vault.folder.with_extension("bare");
    std::fs::create_dir(&into).unwrap();
    let file = vault.folder.join("BKF_20261102_001/files-0001.tar.zst.age");
    let line = format!(
        "set -o pipefail; age -d -i '{}' '{}' | zstd -d | tar -x -C '{}'",
        vault.identity.display(),
        file.display(),
        into.display()
    );
    let done = Command::new("bash").args(["-c", &line]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(tree(&into), *before);
    std::fs::remove_dir_all(into).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn unchanged_files_are_referred_to_and_each_set_gives_its_own_day_back() {
    let vault = Vault::new("daily-steps").await;
    let sizes =
        [("a/same", 1000), ("a/touched", 900), ("a/also", 300), ("a/grows", 1), ("a/goes", 1)];
    for (key, size) in sizes {
        put(&vault, key, &vec![b'1'; size]);
    }
    let first_day = tree(&vault.files);
    assert_eq!(vault.daily(MONDAY, &[]).await.outcome(), "succeeded");

    put(&vault, "a/grows", b"33");
    put(&vault, "b/new", b"5");
    put(&vault, "a/touched", &[b'1'; 900]);
    std::fs::remove_file(vault.files.join("a/goes")).unwrap();
    let second_day = tree(&vault.files);
    let plan = vault.world.dry_run("DAILY_003", Some("2026-11-03"), &vault.only()[..1]).await;
    let plan = plan.plan.unwrap().to_string();
    assert!(plan.contains("\"new_files\":3"), "what only time tells is not read: {plan}");
    let seen = vault.daily("2026-11-03", &[]).await;
    assert_eq!((seen.count("files"), seen.count("files_archived")), (5, 2), "{:?}", seen.reason);
    assert_eq!(refers(&vault, "BKF_20261103_001"), ["BKF_20261102_001"]);
    assert_eq!(restored(&vault, "BKF_20261102_001").await, first_day);
    assert_eq!(restored(&vault, "BKF_20261103_001").await, second_day);

    // a set of which less than half is used any more is not referred to, so that it can go one day
    for gone in ["a/touched", "a/also"] {
        std::fs::remove_file(vault.files.join(gone)).unwrap();
    }
    let seen = vault.daily("2026-11-04", &[]).await;
    assert_eq!(
        (seen.count("files"), seen.count("files_archived")),
        (3, 1),
        "the one of the first day"
    );
    assert_eq!(refers(&vault, "BKF_20261104_001"), ["BKF_20261103_001"]);
    let whole = vault.daily("2026-11-05", &[("full", "true")]).await;
    assert_eq!((whole.outcome(), whole.count("files_archived")), ("succeeded", 3));
    assert!(refers(&vault, "BKF_20261105_001").is_empty());
    assert_eq!(restored(&vault, "BKF_20261104_001").await, tree(&vault.files));
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_101_finds_the_nights_set_and_another_run_changes_nothing() {
    let vault = Vault::new("daily-reused").await;
    put(&vault, "a", b"1");
    let first = vault.daily(MONDAY, &[]).await;
    assert_eq!((first.outcome(), first.count("reused")), ("succeeded", 0));
    let both = "BKF_20261102_001 verified, BKP_20261102_001 verified";
    let expires =
        "SELECT string_agg(expires_on::text, ' ' ORDER BY backup_id) FROM app.backup_sets";

    let after = vault.backup(MONDAY, &[("retention_days", "60")]).await;
    assert_eq!((after.outcome(), after.rows_written), ("succeeded", 0), "{:?}", after.reason);
    assert_eq!(vault.states().await, both);
    assert_eq!(vault.world.one::<String>(expires).await, "2026-12-02 2027-01-01", "the longer one");
    let again = vault.daily(MONDAY, &[]).await;
    assert_eq!((again.outcome(), again.rows_written), ("succeeded", 0));
    assert_eq!(vault.states().await, both);
    assert_eq!(
        vault.world.one::<String>(expires).await,
        "2026-12-02 2027-01-01",
        "never shortened"
    );
    assert_eq!((after.count("reused"), again.count("reused")), (1, 2));

    // asked for by hand; older than six hours; not what was written
    let asked = vault.backup(MONDAY, &[("backup_type", "full")]).await;
    assert_eq!((asked.rows_written, vault.folders().len()), (1, 3));
    vault.world.set_clock("2026-12-08T07:00:01+09:00");
    let late = vault.daily(MONDAY, &[]).await;
    assert_eq!((late.rows_written, vault.folders().len()), (2, 5));
    let (manifest, _) = vault.set("BKP_20261102_003");
    vault.flip("BKP_20261102_003", &manifest.databases[0].file);
    let seen = vault.backup(MONDAY, &[]).await;
    assert_eq!((seen.outcome(), seen.rows_written), ("succeeded", 1), "{:?}", seen.reason);
    assert!(vault.states().await.contains("BKP_20261102_003 failed, BKP_20261102_004 verified"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_is_killed_leaves_no_set_and_the_old_one_where_it_was() {
    let vault = Vault::new("daily-killed").await;
    put(&vault, "a", b"1");
    vault.daily(MONDAY, &[]).await;
    vault.world.sql("UPDATE app.backup_sets SET expires_on = '2026-11-03'").await;
    vault.world.sql("CREATE TABLE public.noise AS SELECT gen_random_uuid() AS u FROM generate_series(1, 200000)").await;
    let (stop, pool) = (Arc::new(AtomicBool::new(false)), vault.world.database.owner.clone());
    let stopping = stop.clone();
    let killing = tokio::spawn(async move {
        let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                     WHERE application_name = 'yakin backup' AND datname = current_database()";
        let mut killed = 0_i64;
        while !stopping.load(Ordering::Relaxed) {
            killed += sqlx::query_scalar::<_, i64>(kill).fetch_one(&pool).await.unwrap();
        }
        killed
    });
    let seen = vault.daily("2026-12-08", &[]).await;
    assert_eq!(seen.outcome(), "open", "the second attempt comes 30 s later");
    vault.world.set_clock("2026-12-08T01:02:00+09:00");
    vault.world.settle().await;
    stop.store(true, Ordering::Relaxed);
    assert!(killing.await.unwrap() >= 2);
    let seen = vault.world.seen(seen.id).await;
    assert_eq!(seen.outcome(), "failed");
    assert!(vault.folders() == ["BKF_20261102_001", "BKP_20261102_001"], "{:?}", vault.folders());
    assert!(
        vault.states().await.starts_with("BKF_20261102_001 verified, BKP_20261102_001 verified, ")
    );
    vault.world.engine.watch_step().await.unwrap();
    let alert =
        "SELECT severity FROM yakin.alerts WHERE batch_id = 'DAILY_003' AND rule = 'run_failed'";
    assert_eq!(vault.world.one::<String>(alert).await, "critical");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_weeks_of_failures_three_sets_of_each_kind_stay_and_what_they_refer_to() {
    let vault = Vault::new("daily-kept").await;
    put(&vault, "a", b"one that never changes");
    for day in 2..8 {
        put(&vault, &format!("day/{day}"), b"x");
        let seen = vault.daily(&format!("2026-11-0{day}"), &[]).await;
        assert_eq!(seen.outcome(), "succeeded", "{:?}", seen.reason);
    }
    // five weeks later all are past their day; nothing is removed where nothing is proven
    vault.world.set_clock("2027-03-01T01:00:00+09:00");
    let seen = vault.daily("2027-03-01", &[("keep_at_least", "3")]).await;
    assert_eq!((seen.outcome(), seen.count("verified")), ("succeeded", 2), "{:?}", seen.reason);
    let kept: Vec<String> =
        vault.folders().into_iter().filter(|id| id.starts_with("BKP_")).collect();
    assert_eq!(kept, ["BKP_20261106_001", "BKP_20261107_001", "BKP_20270301_001"]);
    // the first set of files holds what never changed, the others a day each
    let kept: Vec<String> =
        vault.folders().into_iter().filter(|id| id.starts_with("BKF_")).collect();
    assert_eq!(kept.len(), 7, "{kept:?}");
    assert_eq!(seen.count("expired"), 4);

    // a whole set lets go of them, once three of its kind are proven
    vault.world.set_clock("2027-09-03T01:00:00+09:00");
    for day in 1..4 {
        vault.daily(&format!("2027-09-0{day}"), &[("full", "true")]).await;
    }
    let kept: Vec<String> =
        vault.folders().into_iter().filter(|id| id.starts_with("BKF_")).collect();
    assert_eq!(kept, ["BKF_20270901_001", "BKF_20270902_001", "BKF_20270903_001"]);
    assert_eq!(restored(&vault, "BKF_20270901_001").await, tree(&vault.files));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_no_longer_reads_back_is_found_and_a_whole_set_is_written() {
    let vault = Vault::new("daily-rot").await;
    put(&vault, "a", &vec![9; 100_000]);
    vault.daily(MONDAY, &[]).await;
    put(&vault, "b", b"2");
    vault.daily("2026-11-03", &[]).await;
    assert_eq!(refers(&vault, "BKF_20261103_001"), ["BKF_20261102_001"]);
    vault.flip("BKF_20261102_001", "files-0001.tar.zst.age");
    let folder = Folder::open(&vault.folder).unwrap();
    let second = files_set(&vault, "BKF_20261103_001");
    let damage = verify_files(&opener(&vault), &folder, &second).await.unwrap_err();
    assert_eq!(damage.set, "BKF_20261102_001");
    assert!(damage.error.is_damage(), "{}", damage.error);

    let seen = vault.daily("2026-11-04", &[]).await;
    assert_eq!(seen.outcome(), "partial");
    let reason = seen.reason.unwrap();
    assert!(reason.contains("a whole set was written"), "{reason}");
    assert!(
        vault.states().await.starts_with(
            "BKF_20261102_001 written, BKF_20261103_001 written, BKF_20261104_001 failed, BKF_20261104_002 verified"
        ),
        "{}",
        vault.states().await
    );
    assert_eq!(vault.set_proof("BKF_20261103_001"), Proof::default());
    assert!(refers(&vault, "BKF_20261104_002").is_empty());
    assert_eq!(restored(&vault, "BKF_20261104_002").await, tree(&vault.files));

    // of a damaged set comes back what is sound
    let into = vault.folder.with_extension("rest");
    let back = restore_files(&opener(&vault), &folder, &second, &into).await.unwrap();
    let lost: Vec<_> = back.lost.iter().map(|l| l.key.as_str()).collect();
    assert_eq!((back.files, lost), (1, vec!["a"]));
    assert_eq!(tree(&into).into_keys().collect::<Vec<_>>(), ["b"]);
    let again = restore_files(&opener(&vault), &folder, &second, &into).await.unwrap_err();
    assert!(again.to_string().contains("is not empty"), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_is_skipped_and_listed_and_too_many_fail_the_run() {
    let vault = Vault::new("daily-unreadable").await;
    for n in 0..150 {
        put(&vault, &format!("files/{n:03}"), format!("{n}").as_bytes());
    }
    let broken = Unreadable::over(&[vault.files.join("files/007")]);
    let Some(broken) = broken else { return };
    let seen = vault.daily(MONDAY, &[]).await;
    assert_eq!(
        (seen.outcome(), seen.count("files"), seen.count("files_skipped")),
        ("partial", 149, 1)
    );
    let reason = seen.reason.unwrap();
    assert!(
        reason.contains("1 files could not be read") && reason.contains("files/007"),
        "{reason}"
    );
    let set = files_set(&vault, "BKF_20261102_001");
    let (files, skipped) =
        read_list(&opener(&vault), &vault.folder.join(&set.id), &set).await.unwrap();
    assert_eq!((files.len(), skipped[0].key.as_str()), (149, "files/007"));
    assert_eq!(restored(&vault, &set.id).await.len(), 149);

    let more = Unreadable::over(&[vault.files.join("files/008"), vault.files.join("files/009")]);
    let seen = vault.daily("2026-11-03", &[("full", "true")]).await;
    drop((broken, more));
    assert_eq!(seen.outcome(), "open", "tried once more");
    let error = "SELECT error FROM yakin.job_history WHERE outcome = 'retry'";
    let error: String = vault.world.one(error).await;
    assert!(error.contains("3 of 150 files could not be read, over 1 in 100"), "{error}");
    assert!(vault.states().await.contains("BKF_20261103_001 failed, BKP_20261102_001 verified"));
    vault.world.set_clock("2026-12-08T01:02:00+09:00");
    vault.world.settle().await;
    let seen = vault.world.seen(seen.id).await;
    assert_eq!((seen.outcome(), seen.count("files")), ("succeeded", 150), "{:?}", seen.reason);
    assert_eq!(seen.rows_written, 2, "the databases' set of the first attempt is taken up");
    assert!(vault.states().await.contains("BKP_20261103_001 verified"));
    assert!(!vault.states().await.contains("BKP_20261103_002"));
}

/// Files whose bytes end before their size says.
struct Unreadable(Vec<std::path::PathBuf>);

impl Unreadable {
    fn over(files: &[std::path::PathBuf]) -> Option<Unreadable> {
        const SHORT: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
        for file in files {
            let done = Command::new("mount").args(["--bind", SHORT]).arg(file).output();
            if !done.is_ok_and(|o| o.status.success()) {
                eprintln!("skipped: only root may lay a file over another");
                return None;
            }
        }
        Some(Unreadable(files.to_vec()))
    }
}

impl Drop for Unreadable {
    fn drop(&mut self) {
        for file in &self.0 {
            let _ = Command::new("umount").arg(file).status();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_writes_nothing_an_empty_storage_is_refused_and_shrinking_is_told() {
    let vault = Vault::new("daily-empty").await;
    for n in 0..4 {
        put(&vault, &format!("f{n}"), &vec![b'x'; 10_000]);
    }
    let params = [("databases", vault.world.database.name())];
    let plan = vault.world.dry_run("DAILY_003", Some(MONDAY), &params).await;
    assert_eq!((plan.outcome(), plan.count("files")), ("succeeded", 4), "{:?}", plan.reason);
    assert!(plan.plan.unwrap().to_string().contains("new_bytes"));
    assert_eq!((vault.folders().len(), vault.states().await.as_str()), (0, ""));

    vault.daily(MONDAY, &[]).await;
    for n in 1..4 {
        std::fs::remove_file(vault.files.join(format!("f{n}"))).unwrap();
    }
    let seen = vault.daily("2026-11-03", &[]).await;
    assert_eq!(seen.outcome(), "succeeded", "{:?}", seen.reason);
    vault.world.engine.watch_step().await.unwrap();
    let told = "SELECT message FROM yakin.alerts WHERE batch_id = 'DAILY_003' AND message LIKE '%usual of seven days%'";
    let told: String = vault.world.one(told).await;
    assert!(
        told.contains("BKF_20261103_001 has 10 kB of files; the usual of seven days is 40 kB"),
        "{told}"
    );

    std::fs::remove_file(vault.files.join("f0")).unwrap();
    let seen = vault.daily("2026-11-04", &[]).await;
    assert_eq!(seen.outcome(), "failed");
    let reason = seen.reason.unwrap();
    assert!(reason.contains("is it mounted?"), "{reason}");
    let seen = vault.daily("2026-11-04", &[("full", "true")]).await;
    assert_eq!((seen.outcome(), seen.count("files")), ("succeeded", 0), "{:?}", seen.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_tell_nothing_without_the_key_and_no_password_stands_in_the_process_list() {
    let weed = Seaweed::start("daily").await;
    let vault = Vault::with_copy("daily-copy", crate::vault::bucket(weed.s3, None)).await;
    vault.three_tables(MARK).await;
    put(&vault, "tenant/aoba/a", MARK.as_bytes());
    let seen = vault.daily(MONDAY, &[("offsite", "false")]).await;
    assert_eq!((seen.outcome(), seen.count("copied")), ("succeeded", 0), "{:?}", seen.reason);
    put(&vault, "tenant/aoba/b", b"2");
    let stop = Arc::new(AtomicBool::new(false));
    let watching = watch_command_lines(stop.clone());
    let seen = vault.daily("2026-11-03", &[]).await;
    stop.store(true, Ordering::Relaxed);
    let lines = watching.join().unwrap();
    assert!(lines.iter().any(|l| l.contains("pg_dump")), "{lines:?}");
    assert!(!lines.iter().any(|l| l.contains("hunter2")), "{lines:?}");
    assert_eq!((seen.outcome(), seen.count("copied")), ("succeeded", 2), "{:?}", seen.reason);

    // what did not come there the night before has come now, the set that is referred to among it
    let storage = Storage::open(&crate::vault::bucket(weed.s3, None)).unwrap();
    let copies = backup::copied_sets(&storage).await.unwrap();
    assert_eq!(
        copies,
        ["BKF_20261102_001", "BKF_20261103_001", "BKP_20261102_001", "BKP_20261103_001"]
    );
    for found in storage.list("", None, 100).await.unwrap() {
        let bytes = storage.get(&found.key, 10 << 20).await.unwrap();
        for plain in [MARK.as_bytes(), b"tenant/aoba", b"CREATE TABLE"] {
            assert!(!bytes.windows(plain.len()).any(|w| w == plain), "{}", found.key);
        }
    }
    let elsewhere = vault.folder.with_extension("elsewhere");
    let other = Folder::open(&elsewhere).unwrap();
    for id in ["BKF_20261102_001", "BKF_20261103_001"] {
        backup::fetch::<FilesManifest>(&storage, &other, id).await.unwrap();
    }
    let manifest = files_set(&vault, "BKF_20261103_001");
    verify_files(&opener(&vault), &other, &manifest).await.unwrap();
    std::fs::remove_dir_all(elsewhere).unwrap();
}

/// The command lines of PostgreSQL's programs that run until it is told to stop.
fn watch_command_lines(stop: Arc<AtomicBool>) -> std::thread::JoinHandle<Vec<String>> {
    std::thread::spawn(move || {
        let mut lines = std::collections::BTreeSet::new();
        while !stop.load(Ordering::Relaxed) {
            for entry in std::fs::read_dir("/proc").unwrap().flatten() {
                let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                if line.contains("pg_dump") || line.contains("pg_restore") {
                    lines.insert(line);
                }
            }
        }
        lines.into_iter().collect()
    })
}
