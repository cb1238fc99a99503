//! The files of a night: what is new in the storage since the last proven set is archived, read back with all that the
//! set refers to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use yakin_adapters::storage::{Found, Storage};
use yakin_engine::outcome::{Cause, Done, Stop};

use super::super::files::{
    AskedFiles, Base, Earlier, FilesManifest, Part, Skipped, compare, look, read_list,
    verify_files, write_files,
};
use super::super::{BackupError, Backups, Proof, SetKind, Target, Whole, ledger};
use super::{Night, Set, megabytes};

/// Bytes of files after which a new archive is begun.
const PART_BYTES: u64 = 1 << 30;
/// How many skipped files the log names.
const NAMED: usize = 20;

/// The night's files.
pub struct Files<'a> {
    night: &'a Night<'a>,
    storage: &'a Storage,
    target: Target,
}

impl<'a> Night<'a> {
    /// The files, where a storage is configured.
    pub fn files(&'a self) -> Option<Files<'a>> {
        let storage = self.backups.files.as_ref()?;
        let target = Target::Files(storage.identity().to_owned());
        Some(Files { night: self, storage, target })
    }
}

/// What of `place` lies below `storage`, both by their URLs.
fn below<'p>(place: &'p str, storage: &str) -> Option<&'p str> {
    let rest = place.strip_prefix(storage)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

impl Files<'_> {
    /// What a real run would archive, for the plan.
    pub async fn look(&self) -> Result<serde_json::Value, Stop> {
        let found = self.found().await?;
        let base = self.base().await?.0.filter(|_| !self.night.rules.anew);
        let compared = compare(self.storage, self.earlier(base), found, false).await?;
        Ok(json!({
            "files_of": self.storage.identity(),
            "files": compared.kept.len() + compared.fresh.len(),
            "new_files": compared.fresh.len(),
            "new_bytes": compared.fresh_bytes(),
        }))
    }

    /// The night's set, written and read back. Where an archive does not read back, one whole set is written anew.
    pub async fn set(&self) -> Result<Set<FilesManifest>, Stop> {
        let (first, anew) = match self.night.there(&self.target).await? {
            Some(set) => (set, self.night.rules.anew),
            None => (self.write(self.night.rules.anew).await?, self.night.rules.anew),
        };
        match self.verified(first).await? {
            Ok(set) => Ok(set),
            Err(error) if anew => Err(error.into()),
            Err(error) => {
                let why = json!({"error": error.to_string()});
                self.night
                    .run
                    .warn("a set of files did not read back; a whole one is written", why);
                let mut second = self.write(true).await?;
                let text = format!(
                    "{error}: a whole set was written; the older ones that need it are proven no longer"
                );
                second.troubles.push(("damaged set", text));
                self.verified(second).await?.map_err(Stop::from)
            }
        }
    }

    fn earlier(&self, base: Option<Base>) -> Earlier<'_> {
        let Backups { folder, sealer, .. } = self.night.backups;
        Earlier { folder, recipients: sealer.recipients(), base }
    }

    /// All files of the storage, where no set lies among them: sets of sets would grow without end.
    async fn found(&self) -> Result<Vec<Found>, Stop> {
        let Backups { folder, copy, .. } = self.night.backups;
        let sets = format!("file://{}", folder.path().display());
        let inside = |place: &str| {
            let storage = self.storage.identity();
            Stop::from(BackupError::Refused(format!(
                "{place} lies in the storage {storage}: sets would be backed up into themselves; set another place in \
                 [backup]"
            )))
        };
        if below(&sets, self.storage.identity()).is_some() {
            return Err(inside(&sets));
        }
        let found = look(self.storage).await?;
        if let Some(copy) = copy
            && let Some(rest) = below(copy.identity(), self.storage.identity())
        {
            // buckets of two servers may have one name: the sets themselves tell
            let sets = SetKind::ALL.map(|kind| match rest {
                "" => format!("backups/{}", kind.prefix()),
                rest => format!("{rest}/backups/{}", kind.prefix()),
            });
            if found.iter().any(|f| sets.iter().any(|s| f.key.starts_with(s))) {
                return Err(inside(copy.identity()));
            }
        }
        Ok(found)
    }

    /// The newest proven set of this storage with its list, and how many files the newest one of all had. The list is
    /// sealed: where no key is, everything is written anew.
    async fn base(&self) -> Result<(Option<Base>, u64), Stop> {
        let folder = &self.night.backups.folder;
        let mut sets = folder.sets::<FilesManifest>()?.whole;
        sets.retain(|set| set.manifest.storage == self.storage.identity());
        let had = sets.last().map_or(0, |set| set.manifest.files);
        let Some(opener) = &self.night.backups.opener else { return Ok((None, had)) };
        for Whole { manifest, proof, .. } in sets.into_iter().rev() {
            let set = folder.set(&manifest.id);
            if proof.verified_at.is_none() {
                continue;
            }
            match read_list(opener, &set, &manifest).await {
                Ok((files, _)) => return Ok((Some(Base { manifest, files }), had)),
                Err(error) => {
                    let why = json!({"set": manifest.id, "error": error.to_string()});
                    self.night
                        .run
                        .warn("a set's list does not open; an older set is compared with", why);
                }
            }
        }
        Ok((None, had))
    }

    async fn write(&self, whole: bool) -> Result<Set<FilesManifest>, Stop> {
        let Night { run, backups, rules, date, .. } = self.night;
        let found = self.found().await?;
        let (base, had) = self.base().await?;
        self.refuse_an_empty_storage(&found, had)?;
        let base = base.filter(|_| !whole);
        let compared = compare(self.storage, self.earlier(base), found, true).await?;
        let bytes = compared.fresh_bytes();
        self.night.need_room(bytes)?;
        let id = self.night.number(&self.target).await?;
        let passed = Arc::new(AtomicU64::new(0));
        let asked = AskedFiles {
            id: &id,
            date: *date,
            begun_at: run.at(),
            compress: rules.compress,
            part_bytes: PART_BYTES,
            passed: passed.clone(),
        };
        let (storage, sealer, folder) = (self.storage, &backups.sealer, &backups.folder);
        let writing = write_files(storage, sealer, folder, &asked, compared, || run.at());
        let how_far = || (megabytes(passed.load(Ordering::Relaxed)), megabytes(bytes));
        match run.telling(how_far, writing).await {
            Ok((manifest, sum, skipped)) => {
                run.step(async |tx| ledger::written(tx, &manifest, &sum).await).await?;
                let mut set = Set::new(manifest, Proof::default());
                self.say_skipped(&mut set, &skipped);
                Ok(set)
            }
            Err(error) => Err(self.night.failed(&id, error).await?),
        }
    }

    /// A disk that is not mounted looks like a storage without files.
    fn refuse_an_empty_storage(&self, found: &[Found], had: u64) -> Result<(), Stop> {
        if !found.is_empty() || had == 0 || self.night.rules.anew {
            return Ok(());
        }
        Err(Stop::give_up(
            Cause::Storage,
            format!(
                "{} has no files, the set before had {had}: is it mounted? If they are really gone, run with full=true",
                self.storage.identity()
            ),
        ))
    }

    /// A file that went between list and reading is nobody's fault; one that does not read is for people.
    fn say_skipped(&self, set: &mut Set<FilesManifest>, skipped: &[Skipped]) {
        if skipped.is_empty() {
            return;
        }
        let named: Vec<_> = skipped.iter().take(NAMED).collect();
        let metadata = json!({"files": skipped.len(), "first": named});
        self.night.run.warn("files were skipped", metadata);
        let unreadable: Vec<_> = skipped.iter().filter(|s| !s.is_gone()).collect();
        if let Some(first) = unreadable.first() {
            let text = format!(
                "{} files could not be read and are not in {}; the first is {}: {}",
                unreadable.len(),
                set.manifest.id,
                first.key,
                first.skipped
            );
            set.troubles.push(("unreadable files", text));
        }
    }

    /// What does not read back: this set comes to nothing; an earlier one that it refers to is proven no longer.
    async fn verified(
        &self,
        mut set: Set<FilesManifest>,
    ) -> Result<Result<Set<FilesManifest>, BackupError>, Stop> {
        let Night { run, backups, rules, .. } = self.night;
        if !rules.verify || set.proof.verified_at.is_some() {
            return Ok(Ok(set));
        }
        let Some(opener) = &backups.opener else {
            set.troubles.push(("not verified", super::NO_IDENTITY.to_owned()));
            return Ok(Ok(set));
        };
        let id = set.manifest.id.clone();
        match verify_files(opener, &backups.folder, &set.manifest).await {
            Ok(()) => {
                set.proof.verified_at = Some(run.at());
                self.night.prove(&id, &set.proof).await?;
                Ok(Ok(set))
            }
            Err(damage) if !damage.error.is_damage() => Err(damage.error.into()),
            Err(damage) => {
                if damage.set != id {
                    self.night.unprove(&damage.set, &damage.error).await?;
                }
                let text = damage.error.to_string();
                self.night.failed(&id, damage.error).await?;
                Ok(Err(BackupError::Unproven(text)))
            }
        }
    }

    /// What the ledger and people are told.
    pub fn tell(&self, mut done: Done, set: &Set<FilesManifest>) -> Done {
        let manifest = &set.manifest;
        let own = |of: fn(&Part) -> u64| -> u64 { manifest.parts.iter().map(of).sum() };
        done.rows += i64::from(!set.reused);
        done = done
            .count("files", manifest.files)
            .count("file_bytes", manifest.file_bytes)
            .count("files_skipped", manifest.skipped);
        if !set.reused {
            done = done
                .count("files_archived", own(|p| p.files))
                .count("file_bytes_archived", own(|p| p.file_bytes));
        }
        self.night.tell(done, set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_below_a_storage_by_whole_names() {
        assert_eq!(below("s3://files/db", "s3://files"), Some("db"));
        assert_eq!(below("s3://files", "s3://files"), Some(""));
        assert_eq!(below("s3://files-2", "s3://files"), None);
        assert_eq!(below("file:///var/backups", "file:///var/lib/files"), None);
    }
}
