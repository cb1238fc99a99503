//! The steps of BATCH-101: each does its work outside of a transaction, then commits what it did.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use serde_json::json;
use yakin_domain::backup::ledger::{self, Begin};
use yakin_domain::backup::{
    self, Asked, BackupError, Backups, Manifest, Proof, Restored, Source, copy, remove_copy, verify,
};
use yakin_engine::days::after;
use yakin_engine::prelude::*;

use super::b101_database_backup::Params;

/// How long the sets of Sundays stay, in days.
const SUNDAYS: i64 = 90;
const MB: u64 = 1_000_000;

/// One run's work.
pub(super) struct Night<'a> {
    run: &'a PlatformRun,
    params: &'a Params,
    backups: &'a Backups,
    source: Source,
    date: Date,
    names: Vec<String>,
}

/// A set on its way from written to proven.
pub(super) struct Set {
    manifest: Manifest,
    proof: Proof,
    tested: Option<Restored>,
    /// What could not be done, for people.
    troubles: Vec<(&'static str, String)>,
}

impl<'a> Night<'a> {
    /// Looks at the server.
    pub(super) async fn begin(
        run: &'a PlatformRun,
        params: &'a Params,
        backups: &'a Backups,
    ) -> Result<Night<'a>, Stop> {
        let wanted: Vec<String> = match params.databases.trim() {
            "all" => Vec::new(),
            names => names.split(',').map(|n| n.trim().to_owned()).collect(),
        };
        let source = Source::look(&backups.login, &wanted).await?;
        let names = source.databases.iter().map(|d| d.name.clone()).collect();
        Ok(Night { run, params, backups, source, date: run.period().start, names })
    }

    fn place(&self) -> &str {
        &self.source.cluster
    }

    /// Twice the last set must fit; before there is one, all that the databases take.
    pub(super) async fn need_room(&self) -> Result<(), Stop> {
        let needed = self.needed().await?;
        let folder = &self.backups.folder;
        let free = folder.room()?.free;
        if free < needed {
            let folder = folder.path().display().to_string();
            return Err(BackupError::Room { folder, free: free / MB, needed: needed / MB }.into());
        }
        Ok(())
    }

    async fn needed(&self) -> Result<u64, Stop> {
        let last = self.size_before(None).await?;
        Ok(last.map_or(self.source.bytes(), |bytes| bytes.saturating_mul(2)))
    }

    async fn size_before(&self, but: Option<&str>) -> Result<Option<u64>, Stop> {
        let read =
            async |tx: &mut Tx| ledger::size_before(tx, self.place(), &self.names, but).await;
        let bytes = self.run.read(read).await?;
        Ok(bytes.and_then(|b| u64::try_from(b).ok()))
    }

    /// What a real run would do.
    pub(super) async fn plan(&self) -> Outcome {
        let room = self.backups.folder.room()?;
        let needed = self.needed().await?;
        self.run
            .write(async |tx| {
                for database in &self.source.databases {
                    tx.plan(json!({"dump": database.name, "database_bytes": database.bytes}));
                }
                let folder = self.backups.folder.path();
                tx.plan(json!({"folder": folder, "free_bytes": room.free, "needed_bytes": needed}));
                Ok(Done::default().count("databases", self.names.len()))
            })
            .await
    }

    /// The night's set, written and read back. One that does not read back is written once more.
    pub(super) async fn set(&self) -> Result<Set, Stop> {
        self.backups.folder.claim(self.place())?;
        let first = match self.take_up().await? {
            Some(begun) => begun,
            None => self.write().await?,
        };
        let id = first.manifest.id.clone();
        match self.verified(first).await {
            Err(Stop::GiveUp { cause: Cause::Data, message }) => {
                self.run.warn(
                    "a set did not read back; written anew",
                    json!({"set": id, "error": message}),
                );
                let second = self.write().await?;
                self.verified(second).await
            }
            other => other,
        }
    }

    /// A whole set that an earlier attempt of this run wrote. On the way, what others left unfinished is cleared, and
    /// whole sets that the rows do not know are taken into them.
    async fn take_up(&self) -> Result<Option<Set>, Stop> {
        let folder = &self.backups.folder;
        let cleared = folder.clear_unfinished()?;
        if !cleared.is_empty() {
            self.run.info("cleared what was left unfinished", json!({"sets": cleared}));
        }
        let sets = folder.sets()?;
        let (place, at, run) = (self.place(), self.run.at(), self.run.id());
        let mine = self
            .run
            .step(async |tx| {
                for (manifest, sum) in &sets {
                    let expires_on = after(manifest.date, self.keep_days(manifest.date));
                    ledger::adopt(tx, (manifest, sum), place, run, expires_on).await?;
                    let proof = Proof::read(&folder.set(&manifest.id))?;
                    ledger::proven(tx, &manifest.id, &proof, self.copy_name()).await?;
                }
                ledger::interrupted(tx, place, at).await?;
                ledger::of_run(tx, run).await
            })
            .await?;
        let Some((manifest, _)) = sets.into_iter().find(|(m, _)| Some(&m.id) == mine.as_ref())
        else {
            return Ok(None);
        };
        let proof = Proof::read(&folder.set(&manifest.id))?;
        Ok(Some(Set { manifest, proof, tested: None, troubles: Vec::new() }))
    }

    fn copy_name(&self) -> &str {
        self.backups.copy.as_ref().map_or("", |copy| copy.identity())
    }

    async fn write(&self) -> Result<Set, Stop> {
        let id = self.number().await?;
        let passed = Arc::new(AtomicU64::new(0));
        let asked = Asked {
            id: &id,
            date: self.date,
            begun_at: self.run.at(),
            compress: self.params.compress,
            passed: passed.clone(),
        };
        let (sealer, folder) = (&self.backups.sealer, &self.backups.folder);
        let writing = backup::write(&self.source, sealer, folder, &asked, || self.run.at());
        let total = megabytes(self.source.bytes());
        let how_far = || (megabytes(passed.load(Ordering::Relaxed)).min(total), total);
        match self.run.telling(how_far, writing).await {
            Ok((manifest, sum)) => {
                self.run.step(async |tx| ledger::written(tx, &manifest, &sum).await).await?;
                Ok(Set { manifest, proof: Proof::default(), tested: None, troubles: Vec::new() })
            }
            Err(error) => Err(self.failed(&id, error).await?),
        }
    }

    /// Draws the set's number, and makes its folder.
    async fn number(&self) -> Result<String, Stop> {
        let begin = Begin {
            date: self.date,
            place: self.place(),
            run: self.run.id(),
            databases: self.names.clone(),
            compressed: self.params.compress,
            recipients: self.backups.sealer.recipients(),
            expires_on: after(self.date, self.keep_days(self.date)),
            at: self.run.at(),
            number_known: self.backups.folder.highest(self.date)?,
        };
        let id = self.run.step(async |tx| ledger::begin(tx, &begin).await).await?;
        if !self.backups.folder.begin(&id)? {
            return Err(Stop::retry(Cause::Storage, format!("{id} has a folder already")));
        }
        Ok(id)
    }

    fn keep_days(&self, date: Date) -> i64 {
        let days = self.params.retention_days;
        if date.weekday() == Weekday::Sunday { days.max(SUNDAYS) } else { days }
    }

    /// Leaves nothing of a set that came to nothing but its row.
    async fn failed(&self, id: &str, error: BackupError) -> Result<Stop, Stop> {
        self.backups.folder.remove(id)?;
        let (message, at) = (error.to_string(), self.run.at());
        self.run.step(async |tx| ledger::failed(tx, id, &message, at).await).await?;
        Ok(error.into())
    }

    async fn verified(&self, mut set: Set) -> Result<Set, Stop> {
        if !self.params.verify_backup || set.proof.verified_at.is_some() {
            return Ok(set);
        }
        let Some(opener) = &self.backups.opener else {
            let text = "no keys.backup_identity_file on this node: the set is not proven, and no old one is removed";
            set.troubles.push(("not verified", text.to_owned()));
            return Ok(set);
        };
        let folder = self.backups.folder.set(&set.manifest.id);
        let proving = verify(&self.source.tools, opener, &folder, &set.manifest);
        if let Err(error) = proving.await {
            return Err(match error.is_damage() {
                true => self.failed(&set.manifest.id, error).await?,
                false => error.into(),
            });
        }
        set.proof.verified_at = Some(self.run.at());
        self.prove(&set).await?;
        Ok(set)
    }

    async fn prove(&self, set: &Set) -> Result<(), Stop> {
        set.proof.write(&self.backups.folder.set(&set.manifest.id))?;
        let to = self.copy_name();
        self.run.step(async |tx| ledger::proven(tx, &set.manifest.id, &set.proof, to).await).await
    }

    /// Restores the set into scratch databases, where it is due.
    pub(super) async fn restore_test(&self, set: &mut Set) -> Result<(), Stop> {
        let due = match self.params.restore_test.as_str() {
            "always" => true,
            "weekly" => self.date.weekday() == Weekday::Sunday,
            _ => false,
        };
        let Some(opener) = self.backups.opener.as_ref().filter(|_| due) else { return Ok(()) };
        if set.proof.recovery_tested_at.is_some() {
            return Ok(());
        }
        let folder = self.backups.folder.set(&set.manifest.id);
        match backup::restore_test(&self.source, opener, &folder, &set.manifest).await {
            Ok(restored) => {
                set.tested = Some(restored);
                set.proof.recovery_tested_at = Some(self.run.at());
                self.prove(set).await
            }
            // rows that do not come back are no backup
            Err(error) if error.is_damage() => Err(self.failed(&set.manifest.id, error).await?),
            // the set is proven to read; that this server has no room or right for a test is for people
            Err(error) => {
                set.troubles.push(("restore test", format!("the restore test failed: {error}")));
                Ok(())
            }
        }
    }

    /// Old sets go when the night's is proven: files first, then the row.
    pub(super) async fn expire(&self, set: &Set) -> Result<usize, Stop> {
        if set.proof.verified_at.is_none() {
            return Ok(0);
        }
        let read = async |tx: &mut Tx| ledger::expired(tx, self.place(), self.date).await;
        let expired = self.run.read(read).await?;
        for id in &expired {
            if let Some(copy) = &self.backups.copy {
                remove_copy(copy, id).await?;
            }
            self.backups.folder.remove(id)?;
            self.run.step(async |tx| ledger::expire(tx, id).await).await?;
        }
        Ok(expired.len())
    }

    /// The second place. When it fails, the set stays and the run ends partial.
    pub(super) async fn copy(&self, set: &mut Set) -> Result<(), Stop> {
        let Some(storage) = self.backups.copy.as_ref().filter(|_| set.proof.copied_at.is_none())
        else {
            return Ok(());
        };
        let folder = self.backups.folder.set(&set.manifest.id);
        match copy(storage, &folder, &set.manifest).await {
            Ok(()) => {
                set.proof.copied_at = Some(self.run.at());
                self.prove(set).await
            }
            Err(error) => {
                let text =
                    format!("{} has no copy in {}: {error}", set.manifest.id, storage.identity());
                set.troubles.push(("copy", text));
                Ok(())
            }
        }
    }

    /// What the ledger and people are told.
    pub(super) async fn told(&self, set: &Set, expired: usize) -> Result<Done, Stop> {
        let (manifest, contents) = (&set.manifest, set.manifest.contents());
        let rows: i64 = manifest.databases.iter().map(|d| d.rows()).sum();
        let mut done = Done::rows(1)
            .count("databases", manifest.databases.len())
            .count("rows_dumped", rows)
            .count("bytes", contents.bytes)
            .count("plain_bytes", contents.plain_bytes)
            .count("verified", usize::from(set.proof.verified_at.is_some()))
            .count("expired", expired);
        if let Some(tested) = set.tested {
            done = done.count("rows_restored", tested.rows);
        }
        if self.backups.copy.is_some() {
            done = done.count("copied", usize::from(set.proof.copied_at.is_some()));
        }
        for (subject, message) in &set.troubles {
            done = done.short(subject, message);
        }
        self.unusual(done, &manifest.id, contents.bytes).await
    }

    async fn unusual(&self, mut done: Done, id: &str, bytes: u64) -> Result<Done, Stop> {
        if let Some(before) = self.size_before(Some(id)).await?
            && bytes.abs_diff(before) * 10 > before * 3
        {
            let text = format!("{id} is {} MB, the one before it {} MB", bytes / MB, before / MB);
            done = done.report("size", text);
        }
        let used = self.backups.folder.room()?.used_percent();
        if used > 80 {
            let text =
                format!("the disk of {} is {used} % full", self.backups.folder.path().display());
            done = done.report("disk", text);
        }
        let month_ago = self.run.now().checked_sub((30 * 24).hours()).unwrap_or(self.run.now());
        let read = async |tx: &mut Tx| ledger::failures(tx, self.place(), month_ago).await;
        let (failed, all) = self.run.read(read).await?;
        if failed * 20 > all {
            done = done.report("success rate", format!("{failed} of {all} sets of 30 days failed"));
        }
        Ok(done)
    }
}

fn megabytes(bytes: u64) -> i64 {
    i64::try_from(bytes / MB).unwrap_or(i64::MAX)
}
