//! What a node opens before it works: the storage and the keys; and whether the storage is the one all nodes share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use sqlx::PgPool;
use yakin_adapters::Cache;
use yakin_adapters::archive::{Opener, Sealer};
use yakin_adapters::keys::Keys;
use yakin_adapters::postgres_tools::Login;
use yakin_adapters::storage::{Storage, StorageError, StorageSettings};

use yakin_domain::backup::{Backups, Folder};
use yakin_domain::maintenance::Maintenance;

use crate::config::{Config, ConfigError};
use crate::place::{Place, hostname};

/// The configured storage; without one, the folder `files` beside a private database.
pub fn storage(config: &Config, data_dir: Option<&Path>) -> Result<Option<Storage>, ConfigError> {
    let beside = data_dir.map(|dir| StorageSettings {
        url: format!("file://{}", dir.join("files").display()),
        ..StorageSettings::default()
    });
    let opened = config.storage.clone().or(beside).as_ref().map(Storage::open).transpose();
    opened.map_err(|e| ConfigError(e.to_string()))
}

/// The configured keys.
pub fn keys(config: &Config) -> Result<Option<Keys>, ConfigError> {
    let read = config.keys.master_key_file.as_deref().map(Keys::read).transpose();
    read.map_err(|e| ConfigError(format!("keys.master_key_file: {e}")))
}

/// All that backing up needs, where `[backup]` is configured.
pub fn backups(place: &Place) -> Result<Option<Backups>, ConfigError> {
    let config = &place.config;
    let Some(backup) = &config.backup else { return Ok(None) };
    let recipients = Sealer::new(&config.keys.backup_recipients);
    let sealer = recipients.map_err(|e| ConfigError(format!("keys.backup_recipients: {e}")))?;
    let copy = backup.copy.as_ref().map(Storage::open).transpose();
    Ok(Some(Backups {
        folder: backup_folder(config)?,
        sealer,
        opener: opener(config)?,
        login: backup_login(place)?,
        copy: copy.map_err(|e| ConfigError(format!("[backup.copy] {e}")))?,
        files: storage(config, place.data_dir())?,
    }))
}

/// The folder of sets.
pub fn backup_folder(config: &Config) -> Result<Folder, ConfigError> {
    let Some(backup) = &config.backup else {
        let text = "no backups are configured: write [backup] with folder = \"/…\" into yakin.toml";
        return Err(ConfigError(text.to_owned()));
    };
    Folder::open(&backup.folder).map_err(|e| ConfigError(format!("backup.folder: {e}")))
}

/// Opens archives, where this host has the secret key.
pub fn opener(config: &Config) -> Result<Option<Arc<Opener>>, ConfigError> {
    let read = config.keys.backup_identity_file.as_deref().map(Opener::read).transpose();
    let read = read.map_err(|e| ConfigError(format!("keys.backup_identity_file: {e}")))?;
    Ok(read.map(Arc::new))
}

/// The backup's own login; a private database's is its superuser.
pub fn backup_login(place: &Place) -> Result<Login, ConfigError> {
    let url = match &place.config.database.backup_url {
        Some(url) => url,
        None if place.is_private() => &place.owner_url,
        None => {
            return Err(ConfigError(
                "database.backup_url is missing: backups have a login of their own, with BYPASSRLS and \
                 pg_read_all_data; see yakin.example.toml"
                    .to_owned(),
            ));
        }
    };
    Login::new(url).map_err(|e| ConfigError(format!("database.backup_url: {e}")))
}

/// What this node has for the weekly maintenance.
pub fn maintenance(place: &Place) -> Result<Maintenance, ConfigError> {
    let config = &place.config;
    let (own, more) = (config.log.dir.as_ref(), &config.maintenance);
    // a folder of temporary files is emptied: which one must not hang on where a node was started
    for dir in more.logs.iter().chain(&more.temp) {
        if !dir.is_absolute() || dir.parent().is_none() {
            let dir = dir.display();
            return Err(ConfigError(format!("[maintenance] has '{dir}', expected a path from /")));
        }
    }
    let logs = own.into_iter().chain(&more.logs).cloned().collect();
    let folders = [own.map(PathBuf::as_path), config.backup.as_ref().map(|b| b.folder.as_path())];
    let disks = folders.into_iter().flatten().chain(place.data_dir());
    let mut disks: Vec<PathBuf> = disks.map(Path::to_path_buf).collect();
    disks.push(std::env::temp_dir());
    Ok(Maintenance {
        owner: maintenance_login(place)?,
        logs,
        temp: more.temp.clone(),
        cache: cache(config)?,
        disks,
    })
}

/// The configured cache.
pub fn cache(config: &Config) -> Result<Option<Cache>, ConfigError> {
    config.cache.as_ref().map(Cache::open).transpose().map_err(|e| ConfigError(e.to_string()))
}

/// The login for indexes and statistics; a private database's is its superuser.
pub fn maintenance_login(place: &Place) -> Result<Option<Login>, ConfigError> {
    let own = Some(&place.owner_url).filter(|_| place.is_private());
    let url = place.config.database.maintenance_url.as_ref().or(own);
    let login = url.map(|url| Login::new(url)).transpose();
    login.map_err(|e| ConfigError(format!("database.maintenance_url: {e}")))
}

/// Refuses a storage that can never work, or a folder that is not the one the other nodes use. One that is only away or
/// full stops no node: the work that needs it is tried again.
pub async fn accept(storage: &Storage, pool: &PgPool) -> anyhow::Result<()> {
    let usable = match storage.check().await {
        Ok(()) if storage.is_folder() => refuse_unshared(storage, pool).await,
        other => other.map_err(Into::into),
    };
    let Err(error) = usable else {
        sweep(storage.clone());
        return Ok(());
    };
    match error.downcast::<StorageError>() {
        Ok(error @ (StorageError::Unreachable { .. } | StorageError::Full { .. })) => {
            tracing::warn!(%error, "the storage does not work; what needs it is tried again");
            Ok(())
        }
        Ok(error) => Err(ConfigError(error.to_string()).into()),
        Err(other) => Err(other),
    }
}

/// A folder carries a marker once a node has used it. One without a marker, while a node of another host is alive, is
/// most likely a folder of this host alone.
async fn refuse_unshared(storage: &Storage, pool: &PgPool) -> anyhow::Result<()> {
    if storage.marker().await?.is_some() {
        return Ok(());
    }
    let other: Option<String> = sqlx::query_scalar(
        "SELECT name FROM yakin.nodes
          WHERE real_ended IS NULL AND real_heartbeat > clock_timestamp() - interval '30 seconds'
            AND split_part(name, ' ', 1) <> $1 ORDER BY id LIMIT 1",
    )
    .bind(hostname())
    .fetch_optional(pool)
    .await
    .context("looking for nodes of other hosts")?;
    if let Some(other) = other {
        let (store, id) = (storage.identity(), Storage::new_id()?);
        let folder = store.trim_start_matches("file://");
        return Err(ConfigError(format!(
            "storage.url {store}: node '{other}' works on another host, and this folder was never used: mount the same \
             folder on every host, or use s3://; if it is the shared one and new, say so: echo {id} > {folder}/.yakin-store"
        ))
        .into());
    }
    match storage.mark(&Storage::new_id()?).await {
        // a node that started in the same moment has marked it
        Ok(()) | Err(StorageError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Clears what killed writers left; nothing waits for it.
fn sweep(storage: Storage) {
    tokio::spawn(async move {
        match storage.sweep().await {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "removed files whose writers were lost"),
            Err(error) => {
                tracing::warn!(%error, "looking for files whose writers were lost failed")
            }
        }
    });
}
