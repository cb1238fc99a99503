//! `yakin backup verify|restore|fetch` of a set of files. The folder is enough: database and storage may be gone.

use std::path::Path;

use anyhow::anyhow;
use yakin_domain::backup::files::{restore_files, verify_files};
use yakin_domain::backup::{Described, FilesManifest, fetch};
use yakin_engine::record::audit::Act;

use super::backup::{Noted, doubt, find, folder, megabytes, note, opener, prove, second_place};
use crate::arguments::Arguments;
use crate::config::Config;
use crate::output::{End, grouped, line};

/// How many lost files are named.
const NAMED: usize = 20;

/// Reads all archives that hold files of the set.
pub async fn verify(arguments: &Arguments, config: &Config, set: &str) -> anyhow::Result<End> {
    let (folder, manifest) = find::<FilesManifest>(config, set)?;
    if let Err(damage) = verify_files(&opener(config)?, &folder, &manifest).await {
        doubt(arguments, &folder, (set, &damage.set), &damage.error).await;
        return Err(
            anyhow!(damage.error).context(format!("{set} is not proven, by {}", damage.set))
        );
    }
    prove(arguments, &folder, set).await?;
    line(format!(
        "{set} is whole: {} files, {} MB; every byte was read, also in the {} sets that it refers to",
        grouped(manifest.files),
        megabytes(manifest.file_bytes),
        manifest.refers_to.len()
    ));
    Ok(End::Done)
}

/// Restores the files into an empty folder.
pub async fn restore(
    arguments: &Arguments,
    config: &Config,
    (set, into): (&str, &Path),
    act: &Act,
) -> anyhow::Result<End> {
    let (folder, manifest) = find::<FilesManifest>(config, set)?;
    let (files, mb) = (grouped(manifest.files), megabytes(manifest.file_bytes));
    line(format!("restoring {files} files of {set} ({mb} MB) …"));
    let restored = restore_files(&opener(config)?, &folder, &manifest, into).await?;
    let subject = format!("{set} into {}", into.display());
    note(arguments, act, "restore backup", &subject, Noted::Act).await;
    let (came, place) = (grouped(restored.files), into.display());
    line(format!("{came} files are in {place}, each with the digest that the list says"));
    if restored.lost.is_empty() {
        line(
            "Nothing uses them yet. To go over to them: stop the nodes, point storage.url at the folder, or copy them",
        );
        line("into the bucket under the same keys; start the nodes.");
        return Ok(End::Done);
    }
    for lost in restored.lost.iter().take(NAMED) {
        line(format!("lost: {}: {}", lost.key, lost.why));
    }
    line(format!("{} files are lost; another set may have them", grouped(restored.lost.len())));
    Ok(End::Partial)
}

/// Brings the set back, and the earlier ones whose archives it needs.
pub async fn fetch_set(config: &Config, set: &str) -> anyhow::Result<End> {
    let (storage, folder) = (second_place(config)?, folder(config)?);
    let manifest = match folder.manifest::<FilesManifest>(set)? {
        Some((manifest, _)) => manifest,
        None => fetch::<FilesManifest>(&storage, &folder, set).await?,
    };
    for needed in manifest.refers_to() {
        if folder.manifest::<FilesManifest>(&needed)?.is_none() {
            fetch::<FilesManifest>(&storage, &folder, &needed).await?;
            line(format!("{needed} is in {}", folder.set(&needed).display()));
        }
    }
    line(format!("{} is in {}", manifest.id, folder.set(set).display()));
    Ok(End::Done)
}
