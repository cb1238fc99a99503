//! A world that backs its own database, and the files of a folder of its own, up into a folder of the test's.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use yakin_adapters::Secret;
use yakin_adapters::archive::{self, Opener, Sealer};
use yakin_adapters::postgres_tools::Login;
use yakin_adapters::storage::{Storage, StorageSettings};
use yakin_domain::backup::{Backups, Folder, Manifest, Proof};
use yakin_testkit::seaweed::{ACCESS_KEY, BUCKET, SECRET_KEY};
use yakin_testkit::{Seen, World};

pub struct Vault {
    pub world: World,
    pub folder: PathBuf,
    pub identity: PathBuf,
    /// The storage that is backed up.
    pub files: PathBuf,
    recipient: String,
    mounted: bool,
}

impl Vault {
    pub async fn new(name: &str) -> Vault {
        Vault::made(name, None, true, None).await
    }

    pub async fn with_copy(name: &str, copy: StorageSettings) -> Vault {
        Vault::made(name, Some(copy), true, None).await
    }

    pub async fn without_identity(name: &str) -> Vault {
        Vault::made(name, None, false, None).await
    }

    /// On a file system of this size; none where this user may not mount.
    pub async fn on_a_small_disk(name: &str, size: &str) -> Option<Vault> {
        let vault = Vault::made(name, None, true, Some(size)).await;
        vault.mounted.then_some(vault)
    }

    async fn made(
        name: &str,
        copy: Option<StorageSettings>,
        opens: bool,
        size: Option<&str>,
    ) -> Vault {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let batches = yakin_catalogue::all()
            .into_iter()
            .filter(|b| ["BATCH-101", "DAILY_003"].contains(&b.spec().id));
        let world = World::at("2026-12-08T01:00:00+09:00", batches.collect()).await;
        let base = std::env::temp_dir().join(format!("yakin-vault-{}-{name}", std::process::id()));
        let (folder, identity, files) =
            (base.join("sets"), base.join("identity"), base.join("files"));
        std::fs::create_dir_all(&folder).unwrap();
        let mounted = size.is_some_and(|size| mount(&folder, size));
        let recipient = archive::init(&identity).unwrap();
        let mut vault = Vault { world, folder, identity, files, recipient, mounted };
        vault.provide(copy, opens);
        vault
    }

    fn provide(&mut self, copy: Option<StorageSettings>, opens: bool) {
        let backups = Backups {
            folder: Folder::open(&self.folder).unwrap(),
            sealer: Sealer::new(std::slice::from_ref(&self.recipient)).unwrap(),
            opener: opens.then(|| Arc::new(Opener::read(&self.identity).unwrap())),
            login: Login::new(&with_password(&self.world.database.owner_url())).unwrap(),
            copy: copy.map(|settings| Storage::open(&settings).unwrap()),
            files: Some(Storage::open(&folder_storage(&self.files)).unwrap()),
        };
        Arc::get_mut(&mut self.world.engine).unwrap().provide(backups);
    }

    /// From now on copies go to another place.
    pub fn copy_to(&mut self, copy: StorageSettings) {
        self.provide(Some(copy), true);
    }

    /// Only this test's database: the server has those of others.
    pub fn only(&self) -> Vec<(&str, &str)> {
        vec![("databases", self.world.database.name()), ("restore_test", "never")]
    }

    /// Runs the batch for a day.
    pub async fn backup(&self, date: &str, params: &[(&str, &str)]) -> Seen {
        let mut all = self.only();
        all.extend_from_slice(params);
        self.world.run("BATCH-101", Some(date), &all).await
    }

    /// Runs DAILY_003 for a day.
    pub async fn daily(&self, date: &str, params: &[(&str, &str)]) -> Seen {
        let mut all = vec![("databases", self.world.database.name())];
        all.extend_from_slice(params);
        self.world.run("DAILY_003", Some(date), &all).await
    }

    /// The same with another login.
    pub async fn backup_as(&self, login: &str, date: &str, params: &[(&str, &str)]) -> Seen {
        let pool = self.world.database.engine_pool(8).await;
        let registry = self.world.engine.registry.clone();
        let clock = self.world.clock.clone();
        let engine =
            yakin_engine::engine::Engine::join(pool, clock, registry, "other", &["plan", "work"]);
        let mut engine = engine.await.unwrap();
        engine.provide(Backups {
            folder: Folder::open(&self.folder).unwrap(),
            sealer: Sealer::new(std::slice::from_ref(&self.recipient)).unwrap(),
            opener: Some(Arc::new(Opener::read(&self.identity).unwrap())),
            login: Login::new(&self.world.database.url(login)).unwrap(),
            copy: None,
            files: None,
        });
        let mut all = self.only();
        all.extend_from_slice(params);
        let wanted = yakin_engine::operate::runs::Wanted {
            date: Some(yakin_testkit::day(date)),
            params: all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..Default::default()
        };
        let (act, now) = (yakin_testkit::act(), engine.clock.now());
        let run = yakin_engine::operate::runs::start(
            &engine.pool,
            &engine.registry,
            "BATCH-101",
            wanted,
            "operator",
            &act,
            now,
        );
        let run = run.await.unwrap();
        loop {
            let ended = engine.plan_step().await.unwrap();
            let worked = yakin_engine::worker::pool::work_until_empty(&engine).await.unwrap();
            if ended.is_empty() && worked == 0 {
                return self.world.seen(run).await;
            }
        }
    }

    pub async fn three_tables(&self, mark: &str) {
        self.world
            .sql(&format!(
                "CREATE TABLE public.busy (n bigint, word text); CREATE TABLE public.empty (n bigint);
                 CREATE TABLE public.seven (n bigint, word text);
                 INSERT INTO public.busy SELECT g, 'x' FROM generate_series(1, 1000) g;
                 INSERT INTO public.seven SELECT g, '{mark}' FROM generate_series(1, 7) g"
            ))
            .await;
    }

    /// What tells this cluster from others.
    pub async fn place(&self) -> String {
        self.world.one("SELECT system_identifier::text FROM pg_control_system()").await
    }

    pub fn set(&self, id: &str) -> (Manifest, Proof) {
        let set = self.folder.join(id);
        let (manifest, _) = Manifest::read(&set).unwrap().expect(id);
        (manifest, Proof::read(&set).unwrap())
    }

    /// What is proven of a set of either kind.
    pub fn set_proof(&self, id: &str) -> Proof {
        Proof::read(&self.folder.join(id)).unwrap()
    }

    /// The rows' states in order of their ids.
    pub async fn states(&self) -> String {
        let all =
            "SELECT coalesce(string_agg(backup_id || ' ' || state, ', ' ORDER BY backup_id), '')
                     FROM app.backup_sets";
        self.world.one(all).await
    }

    /// The sets' folders that are there.
    pub fn folders(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).unwrap().map(|e| e.unwrap().file_name());
        let names = entries.map(|name| name.to_string_lossy().into_owned());
        let mut sets: Vec<_> = names.filter(|name| name.starts_with("BK")).collect();
        sets.sort();
        sets
    }

    /// Every byte of every file.
    pub fn all_bytes(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for set in self.folders() {
            for file in std::fs::read_dir(self.folder.join(set)).unwrap() {
                all.extend(std::fs::read(file.unwrap().path()).unwrap());
            }
        }
        all
    }

    /// Changes a byte in the middle of a file.
    pub fn flip(&self, set: &str, file: &str) {
        let path = self.folder.join(set).join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }

    /// The superuser's URL on another database.
    pub fn url_of(&self, database: &str) -> String {
        Login::new(&self.world.database.owner_url()).unwrap().url(Some(database))
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg(&self.folder).status();
        }
        let _ = std::fs::remove_dir_all(self.folder.parent().unwrap());
    }
}

fn mount(folder: &Path, size: &str) -> bool {
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]).arg(folder);
    let mounted = mount.output().is_ok_and(|o| o.status.success());
    if !mounted {
        eprintln!("skipped: only root may mount a file system that is small enough to be full");
    }
    mounted
}

/// One that the test server does not ask for, and nobody may see.
fn with_password(url: &str) -> String {
    url.replacen("postgres@", "postgres:hunter2@", 1)
}

/// A folder as a storage.
pub fn folder_storage(folder: &Path) -> StorageSettings {
    let url = format!("file://{}", folder.display());
    StorageSettings { url, ..StorageSettings::default() }
}

/// The test server's bucket; with a wrong secret, when one is given.
pub fn bucket(address: SocketAddr, wrong: Option<&str>) -> StorageSettings {
    StorageSettings {
        url: format!("s3://{BUCKET}/db"),
        endpoint: Some(format!("http://{address}")),
        access_key_id: Some(ACCESS_KEY.to_owned()),
        secret_access_key: Some(Secret::new(wrong.unwrap_or(SECRET_KEY))),
        allow_http: true,
        ..StorageSettings::default()
    }
}

/// Rows of a table by the manifest.
pub fn rows(manifest: &Manifest, schema: &str, table: &str) -> i64 {
    let mut tables = manifest.databases.iter().flat_map(|d| &d.tables);
    tables.find(|t| t.schema == schema && t.name == table).expect(table).rows
}
