//! What a node opens before it works: the storage and the keys; and whether the storage is the one all nodes share.

use std::path::Path;

use anyhow::Context;
use sqlx::PgPool;
use yakin_adapters::keys::Keys;
use yakin_adapters::storage::{Storage, StorageError, StorageSettings};

use crate::config::{Config, ConfigError};
use crate::place::hostname;

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
