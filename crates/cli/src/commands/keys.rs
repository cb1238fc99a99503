//! `yakin keys`: the master keys that tenants' credentials are sealed with, and the key pair of backups. Needs no
//! database.

use std::path::{Path, PathBuf};

use yakin_adapters::archive;
use yakin_adapters::keys::{Keys, KeysError};

use crate::arguments::{Arguments, MasterKeys};
use crate::config::Config;
use crate::output::{End, UsageError, json, line};

/// Makes a key file, or adds a key to it.
pub fn keys(arguments: &Arguments, act: &MasterKeys) -> anyhow::Result<End> {
    let config = Config::read(arguments.config.as_deref())?;
    let configured = config.keys.master_key_file;
    let (MasterKeys::Init { file } | MasterKeys::Rotate { file }) = act else {
        return backup(arguments, act);
    };
    let Some(path) = file.clone().or_else(|| configured.clone()) else {
        let text =
            "which key file? give --file FILE, or write [keys] master_key_file into yakin.toml";
        return Err(UsageError(text.to_owned()).into());
    };
    let made = match act {
        MasterKeys::Init { .. } => Keys::init(&path),
        _ => Keys::rotate(&path),
    };
    let id = made.map_err(told)?;
    if arguments.json {
        json(&serde_json::json!({"file": path, "key": id}))?;
        return Ok(End::Done);
    }
    match act {
        MasterKeys::Init { .. } => said_of_init(&path, &id, configured.as_ref()),
        _ => {
            line(format!("key {id} was put first in {}", path.display()));
            line("The older keys stay: they open what they sealed.");
            line("Back the file up again, copy it to every node, then restart the nodes.");
        }
    }
    Ok(End::Done)
}

/// The key pair of backups.
fn backup(arguments: &Arguments, act: &MasterKeys) -> anyhow::Result<End> {
    let MasterKeys::Backup { file } = act else { return Ok(End::Done) };
    let recipient = archive::init(file).map_err(|e| UsageError(e.to_string()))?;
    if arguments.json {
        json(&serde_json::json!({"file": file, "recipient": recipient}))?;
        return Ok(End::Done);
    }
    line(format!("the secret key is in {} (mode 0600)", file.display()));
    line("Keep it on another machine and on paper: without it no backup can be opened, by nobody.");
    line("Then write into yakin.toml of every node:");
    line("  [keys]");
    line(format!("  backup_recipients = [{recipient:?}]"));
    line("and only where backups are read back and restored:");
    line(format!("  backup_identity_file = {:?}", file.display().to_string()));
    Ok(End::Done)
}

fn said_of_init(path: &Path, id: &str, configured: Option<&PathBuf>) {
    line(format!("key {id} is in {} (mode 0600)", path.display()));
    line("Back it up now, apart from the database: without it no tenant's credential can be read,");
    line("and who has both can read all. Every node needs the same file.");
    if configured.is_none_or(|c| c != path) {
        line("Then write into yakin.toml of every node:");
        line("  [keys]");
        line(format!("  master_key_file = {:?}", path.display().to_string()));
    }
}

/// A file that cannot be used so is a mistake of use; a disk that fails is not.
fn told(error: KeysError) -> anyhow::Error {
    match error {
        KeysError::File { .. } | KeysError::Random => error.into(),
        other => UsageError(other.to_string()).into(),
    }
}
