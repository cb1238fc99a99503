//! What `yakin doctor` says of backups.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use yakin_domain::backup::{
    Backups, Described, FilesManifest, Folder, Manifest, Source, unfinished,
};
use yakin_engine::clock::Clock;

use super::doctor::{Checks, Standing};
use super::stores;
use crate::config::Config;
use crate::place::Place;

const NAME: &str = "backups";
/// Backups older than this, in hours, are too old.
const OLDEST_HOURS: f64 = 50.0;

/// Folder, keys, login, second place, and the age of the newest set that is proven.
pub async fn backups(checks: &mut Checks, place: &Place) {
    let backups = match stores::backups(place) {
        Ok(Some(backups)) => backups,
        Ok(None) => {
            let found = "not configured: nothing is backed up";
            let mend = "yakin keys backup, then [backup] in yakin.toml";
            return checks.add(NAME, Standing::Warning, found, mend);
        }
        Err(error) => {
            return checks.add(NAME, Standing::Bad, error.to_string(), "see yakin.example.toml");
        }
    };
    match Source::look(&backups.login, &[]).await {
        Ok(source) => {
            let (n, mb) = (source.databases.len(), source.bytes() / 1_000_000);
            let tools = source.tools.major;
            let found = format!("{n} databases, {mb} MB, pg_dump {tools}");
            checks.add(NAME, Standing::Good, found, "");
        }
        Err(error) => checks.add(NAME, Standing::Bad, error.to_string(), "see the message"),
    }
    if let Ok(left) = unfinished(&backups.login).await
        && !left.is_empty()
    {
        let found = format!("of restores that go on or were killed: {}", left.join(", "));
        let mend = "where no restore goes on: DROP DATABASE, or restore again into the same name";
        checks.add("restores", Standing::Warning, found, mend);
    }
    newest::<Manifest>(checks, &backups.folder, "backup set", "BATCH-101");
    if backups.files.is_some() {
        newest::<FilesManifest>(checks, &backups.folder, "backup of files", "DAILY_003");
    }
    keys(checks, &place.config, &backups);
    if let Some(copy) = &backups.copy {
        match copy.check().await {
            Ok(()) => checks.add("backup copy", Standing::Good, copy.identity(), ""),
            Err(error) => {
                checks.add("backup copy", Standing::Bad, error.to_string(), "see the message")
            }
        }
    }
}

/// The newest set of a kind that is proven, and whether it is young enough.
fn newest<M: Described>(checks: &mut Checks, folder: &Folder, name: &'static str, batch: &str) {
    let sets = match folder.sets::<M>() {
        Ok(sets) => sets,
        Err(error) => {
            return checks.add(name, Standing::Bad, error.to_string(), "see the message");
        }
    };
    if let Some(first) = sets.unreadable.first() {
        let ids: Vec<_> = sets.unreadable.iter().map(|set| set.id.as_str()).collect();
        let found = format!("unreadable: {}: {}", ids.join(", "), first.error);
        let mend = "a newer Yakin reads it, or `yakin backup fetch` brings it back once its folder is moved away";
        checks.add(name, Standing::Warning, found, mend);
    }
    let newest = sets.whole.iter().rev().find(|set| set.proof.verified_at.is_some());
    match newest.map(|set| &set.manifest) {
        Some(manifest) => {
            let id = manifest.id();
            let now = Clock::real().now();
            let age = now.duration_since(manifest.begun_at()).as_secs_f64() / 3600.0;
            let standing = if age > OLDEST_HOURS { Standing::Warning } else { Standing::Good };
            let mend = format!("look at `yakin runs {batch}`");
            checks.add(name, standing, format!("{id} is proven, {age:.0} h old"), mend);
        }
        None => {
            let found =
                format!("no proven set of {} in {}", M::KIND.word(), folder.path().display());
            checks.add(name, Standing::Warning, found, format!("yakin run {batch}"));
        }
    }
}

/// Keys that lie where the backups lie are lost with them, or stolen with them.
fn keys(checks: &mut Checks, config: &Config, backups: &Backups) {
    const NAME: &str = "backup keys";
    let disk = |path: &Path| std::fs::metadata(path).map(|meta| meta.dev()).ok();
    let folder = disk(backups.folder.path());
    let files = [&config.keys.backup_identity_file, &config.keys.master_key_file];
    let beside = files.into_iter().flatten().find(|f| disk(f).is_some() && disk(f) == folder);
    if let Some(file) = beside {
        let found = format!("{} shares a disk with the backups", file.display());
        let mend = "keep keys on another disk or machine: who loses one must not lose both";
        return checks.add(NAME, Standing::Warning, found, mend);
    }
    let Some(opener) = &backups.opener else {
        let found = "no keys.backup_identity_file here: sets are not read back on this node";
        let mend = "run `yakin backup verify SET` where the key is";
        return checks.add(NAME, Standing::Warning, found, mend);
    };
    let (own, sealed_for) = (opener.recipients(), backups.sealer.recipients());
    if own.iter().any(|r| sealed_for.contains(r)) {
        checks.add(NAME, Standing::Good, format!("{} recipients", sealed_for.len()), "");
    } else {
        let found = "keys.backup_identity_file is of none of keys.backup_recipients";
        let mend = "add its recipient: the first line of the file names it";
        checks.add(NAME, Standing::Bad, found, mend);
    }
}
