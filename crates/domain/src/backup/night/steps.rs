//! What sets of both kinds go through: taken up or reused, numbered, copied.

use std::sync::Arc;

use serde_json::json;
use yakin_adapters::archive;
use yakin_adapters::storage::Storage;
use yakin_engine::outcome::{Cause, Stop};
use yakin_engine::tx::Tx;

use super::super::ledger::{self, Begin, Reusable};
use super::super::{
    BackupError, Described, Proof, Result as Backed, SetKind, Target, Whole, blocking, copy,
    unprove,
};
use super::{COPY_DAYS, Night, Set, YOUNG_HOURS};

impl Night<'_> {
    /// A whole set that an earlier attempt of this run wrote, or one of another run that does as well.
    pub(super) async fn there<M: Described>(
        &self,
        target: &Target,
    ) -> Result<Option<Set<M>>, Stop> {
        self.tidy::<M>().await?;
        let run = self.run.id();
        let mine =
            self.run.read(async |tx: &mut Tx| ledger::of_run(tx, run, M::KIND).await).await?;
        if let Some(id) = mine
            && let Some(set) = self.backups.folder.readable::<M>(&id)?
        {
            return Ok(Some(Set::new(set.manifest, set.proof)));
        }
        if self.rules.anew { Ok(None) } else { self.reused(target).await }
    }

    /// The business date's set by another run: young, proven, and byte by byte what its manifest says.
    async fn reused<M: Described>(&self, target: &Target) -> Result<Option<Set<M>>, Stop> {
        let recipients = self.backups.sealer.recipients();
        let wanted = Reusable {
            place: self.place(),
            target,
            date: self.date,
            recipients: &recipients,
            since: self.ago(YOUNG_HOURS),
        };
        let found = self.run.read(async |tx: &mut Tx| ledger::reusable(tx, &wanted).await).await?;
        let Some(id) = found else { return Ok(None) };
        let folder = &self.backups.folder;
        let Some(Whole { manifest, proof, .. }) = folder.readable::<M>(&id)? else {
            return Ok(None);
        };
        if let Err(error) = digests(&folder.set(&id), &manifest).await {
            let why = json!({"set": id, "error": error.to_string()});
            self.run.warn("the night's set is not what was written; a new one is made", why);
            self.doubt(&id, error).await?;
            return Ok(None);
        }
        let until = self.keep_until(self.date);
        self.run.step(async |tx| ledger::keep_until(tx, &id, until).await).await?;
        Ok(Some(Set { reused: true, ..Set::new(manifest, proof) }))
    }

    /// A set whose bytes are not what was written. One of files stays for what others need of it.
    pub(super) async fn doubt(&self, id: &str, error: BackupError) -> Result<(), Stop> {
        match SetKind::of(id) {
            Some(SetKind::Files) => self.unprove(id, &error).await,
            _ if error.is_damage() => self.failed(id, error).await.map(|_| ()),
            _ => Err(error.into()),
        }
    }

    /// Draws the set's number, and makes its folder.
    pub(super) async fn number(&self, target: &Target) -> Result<String, Stop> {
        let begin = Begin {
            date: self.date,
            place: self.place(),
            run: self.run.id(),
            target,
            compressed: self.rules.compress,
            recipients: self.backups.sealer.recipients(),
            expires_on: self.keep_until(self.date),
            at: self.run.at(),
            number_known: self.backups.folder.highest(target.kind(), self.date)?,
        };
        let id = self.run.step(async |tx| ledger::begin(tx, &begin).await).await?;
        if !self.backups.folder.begin(&id)? {
            return Err(Stop::retry(Cause::Storage, format!("{id} has a folder already")));
        }
        Ok(id)
    }

    /// The second place: this set, and those of the last days that did not come there. When it fails, the sets stay, and
    /// the run ends partial.
    pub async fn copy<M: Described>(&self, set: &mut Set<M>) -> Result<(), Stop> {
        let Some(storage) = self.backups.copy.as_ref().filter(|_| self.rules.copy) else {
            return Ok(());
        };
        let (place, since) = (self.place(), self.ago(COPY_DAYS * 24));
        let places = (place, storage.identity());
        let read = async |tx: &mut Tx| ledger::without_copy(tx, places, M::KIND, since).await;
        let mut missing = self.run.read(read).await?;
        // what it refers to goes before it: a copy that lacks some is none
        missing.extend(set.manifest.refers_to());
        missing.retain(|id| id != set.manifest.id());
        missing.sort_unstable();
        missing.dedup();
        missing.push(set.manifest.id().to_owned());
        for id in missing {
            if let Err(error) = self.copy_one::<M>(storage, &id).await {
                let text = format!("{id} has no copy in {}: {error}", storage.identity());
                set.troubles.push(("copy", text));
                let is_needed = set.manifest.refers_to().contains(&id);
                if is_needed || matches!(error, CopyError::Backup(BackupError::Storage(_))) {
                    break;
                }
            }
        }
        set.proof = Proof::read(&self.backups.folder.set(set.manifest.id()))?;
        Ok(())
    }

    async fn copy_one<M: Described>(&self, storage: &Storage, id: &str) -> Result<(), CopyError> {
        let folder = &self.backups.folder;
        let Some(Whole { manifest, proof, .. }) = folder.readable::<M>(id)? else { return Ok(()) };
        if proof.is_copied_to(storage.identity()) {
            return Ok(());
        }
        copy(storage, &folder.set(id), &manifest).await?;
        let (at, to) = (self.run.at(), storage.identity().to_owned());
        let proof = Proof { copied_at: Some(at), copied_to: Some(to), ..proof };
        self.prove(id, &proof).await.map_err(CopyError::Stop)
    }

    /// A set of files that does not read back, and all that need its archives, are proven no longer.
    pub(super) async fn unprove(&self, id: &str, error: &BackupError) -> Result<(), Stop> {
        let doubted = unprove(&self.backups.folder, id)?;
        let text = error.to_string();
        self.run.warn("sets are proven no longer", json!({"sets": doubted, "error": text}));
        self.run.step(async |tx| ledger::unproven(tx, &doubted, &text).await).await
    }
}

/// Why a copy did not come to be.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error("{}", .0.message())]
    Stop(Stop),
}

/// Each archive's size and digest, as it lies there, is what the manifest says.
async fn digests<M: Described>(set: &std::path::Path, manifest: &M) -> Backed<()> {
    let (set, manifest) = (set.to_owned(), Arc::new(manifest.clone()));
    blocking(move || {
        for (file, sealed) in manifest.archives() {
            let path = set.join(file);
            let failed = |source| BackupError::File { path: path.display().to_string(), source };
            if !path.try_exists().map_err(failed)? {
                let text = format!("{file} of {} is not there", manifest.id());
                return Err(BackupError::Unproven(text));
            }
            let found = archive::digest(&path)?;
            if found != (sealed.bytes, sealed.sha256.clone()) {
                let text = format!(
                    "{file} of {} has another digest than its manifest says",
                    manifest.id()
                );
                return Err(BackupError::Unproven(text));
            }
        }
        Ok(())
    })
    .await
}
