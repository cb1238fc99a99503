//! The databases of a night: a set is dumped, read back, at times restored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::civil::Weekday;
use serde_json::json;
use yakin_engine::outcome::{Cause, Done, Stop};
use yakin_engine::tx::Tx;

use super::super::{
    self as backup, Asked, DatabaseDump, Described, Manifest, Proof, Target, ledger, verify,
};
use super::{MB, Night, RestoreTest, Set, megabytes};

/// The night's databases.
pub struct Databases<'a> {
    night: &'a Night<'a>,
    names: Vec<String>,
    target: Target,
}

impl<'a> Databases<'a> {
    pub(super) fn of(night: &'a Night<'a>) -> Databases<'a> {
        let names: Vec<String> = night.source.databases.iter().map(|d| d.name.clone()).collect();
        Databases { night, target: Target::Databases(names.clone()), names }
    }

    /// Twice the last set must fit; before there is one, all that the databases take.
    pub async fn need_room(&self) -> Result<(), Stop> {
        self.night.need_room(self.needed().await?)
    }

    async fn needed(&self) -> Result<u64, Stop> {
        let last = self.size_before(None).await?;
        Ok(last.map_or(self.night.source.bytes(), |bytes| bytes.saturating_mul(2)))
    }

    async fn size_before(&self, but: Option<&str>) -> Result<Option<u64>, Stop> {
        let place = self.night.place();
        let read = async |tx: &mut Tx| ledger::size_before(tx, place, &self.names, but).await;
        let bytes = self.night.run.read(read).await?;
        Ok(bytes.and_then(|b| u64::try_from(b).ok()))
    }

    /// What a real run would do, into the plan.
    pub async fn plan(&self, tx: &mut Tx, done: Done) -> Result<Done, Stop> {
        let Night { source, backups, .. } = self.night;
        for database in &source.databases {
            tx.plan(json!({"dump": database.name, "database_bytes": database.bytes}));
        }
        let (room, needed) = (backups.folder.room()?, self.needed().await?);
        let folder = backups.folder.path();
        tx.plan(json!({"folder": folder, "free_bytes": room.free, "needed_bytes": needed}));
        Ok(done.count("databases", self.names.len()))
    }

    /// The night's set, written and read back, tested where that is due. One that does not read back is written once
    /// more.
    pub async fn set(&self) -> Result<Set<Manifest>, Stop> {
        let first = match self.night.there(&self.target).await? {
            Some(set) => set,
            None => self.write().await?,
        };
        let id = first.manifest.id.clone();
        let mut set = match self.verified(first).await {
            Err(Stop::GiveUp { cause: Cause::Data, message }) => {
                let why = json!({"set": id, "error": message});
                self.night.run.warn("a set did not read back; written anew", why);
                let second = self.write().await?;
                self.verified(second).await?
            }
            other => other?,
        };
        self.restore_test(&mut set).await?;
        Ok(set)
    }

    async fn write(&self) -> Result<Set<Manifest>, Stop> {
        let Night { run, backups, source, rules, date, .. } = self.night;
        self.need_room().await?;
        let id = self.night.number(&self.target).await?;
        let passed = Arc::new(AtomicU64::new(0));
        let asked = Asked {
            id: &id,
            date: *date,
            begun_at: run.at(),
            compress: rules.compress,
            passed: passed.clone(),
        };
        let writing = backup::write(source, &backups.sealer, &backups.folder, &asked, || run.at());
        let total = megabytes(source.bytes());
        let how_far = || (megabytes(passed.load(Ordering::Relaxed)).min(total), total);
        match run.telling(how_far, writing).await {
            Ok((manifest, sum)) => {
                if !manifest.dropped_meanwhile.is_empty() {
                    let gone = json!({"databases": manifest.dropped_meanwhile});
                    run.warn("databases were dropped before they could be dumped", gone);
                }
                run.step(async |tx| ledger::written(tx, &manifest, &sum).await).await?;
                Ok(Set::new(manifest, Proof::default()))
            }
            Err(error) => Err(self.night.failed(&id, error).await?),
        }
    }

    async fn verified(&self, mut set: Set<Manifest>) -> Result<Set<Manifest>, Stop> {
        let Night { run, backups, source, rules, .. } = self.night;
        if !rules.verify || set.proof.verified_at.is_some() {
            return Ok(set);
        }
        let Some(opener) = &backups.opener else {
            set.troubles.push(("not verified", super::NO_IDENTITY.to_owned()));
            return Ok(set);
        };
        let folder = backups.folder.set(&set.manifest.id);
        if let Err(error) = verify(&source.tools, opener, &folder, &set.manifest).await {
            return Err(match error.is_damage() {
                true => self.night.failed(&set.manifest.id, error).await?,
                false => error.into(),
            });
        }
        set.proof.verified_at = Some(run.at());
        self.night.prove(&set.manifest.id, &set.proof).await?;
        Ok(set)
    }

    /// Restores the set into scratch databases, where it is due.
    async fn restore_test(&self, set: &mut Set<Manifest>) -> Result<(), Stop> {
        let Night { run, backups, source, rules, date, .. } = self.night;
        let due = match rules.restore_test {
            RestoreTest::Always => true,
            RestoreTest::Weekly => date.weekday() == Weekday::Sunday,
            RestoreTest::Never => false,
        };
        let Some(opener) = backups.opener.as_ref().filter(|_| due) else { return Ok(()) };
        if set.proof.recovery_tested_at.is_some() {
            return Ok(());
        }
        let id = set.manifest.id.clone();
        match backup::restore_test(source, opener, &backups.folder.set(&id), &set.manifest).await {
            Ok(restored) => {
                set.tested = Some(restored);
                set.proof.recovery_tested_at = Some(run.at());
                self.night.prove(&id, &set.proof).await
            }
            // rows that do not come back are no backup
            Err(error) if error.is_damage() => Err(self.night.failed(&id, error).await?),
            // the set is proven to read; that this server has no room or right for a test is for people
            Err(error) => {
                set.troubles.push(("restore test", format!("the restore test failed: {error}")));
                Ok(())
            }
        }
    }

    /// What the ledger and people are told.
    pub fn tell(&self, mut done: Done, set: &Set<Manifest>) -> Done {
        let (manifest, contents) = (&set.manifest, set.manifest.contents());
        let rows: i64 = manifest.databases.iter().map(DatabaseDump::rows).sum();
        done.rows += i64::from(!set.reused);
        done = done
            .count("databases", manifest.databases.len())
            .count("rows_dumped", rows)
            .count("bytes", contents.bytes)
            .count("plain_bytes", contents.plain_bytes);
        if let Some(tested) = set.tested {
            done = done.count("rows_restored", tested.rows);
        }
        self.night.tell(done, set)
    }

    /// Tells people what differs from the set before, and from the month.
    pub async fn tell_of_the_unusual(
        &self,
        mut done: Done,
        set: &Set<Manifest>,
    ) -> Result<Done, Stop> {
        let (id, bytes) = (&set.manifest.id, set.manifest.contents().bytes);
        if let Some(before) = self.size_before(Some(id)).await?
            && bytes.abs_diff(before) * 10 > before * 3
        {
            let text = format!("{id} is {} MB, the one before it {} MB", bytes / MB, before / MB);
            done = done.report("size", text);
        }
        let (place, month_ago) = (self.night.place(), self.night.ago(30 * 24));
        let read = async |tx: &mut Tx| ledger::failures(tx, place, month_ago).await;
        let (failed, all) = self.night.run.read(read).await?;
        if failed * 20 > all {
            done = done.report("success rate", format!("{failed} of {all} sets of 30 days failed"));
        }
        Ok(done)
    }
}
