//! A night's sets, as every batch that backs up makes them: one per target and business date, whoever comes first. Each
//! step does its work outside of a transaction, then commits what it did.

mod databases;
mod files;
mod steps;

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use serde_json::json;
use yakin_engine::days::after;
use yakin_engine::outcome::{Done, Stop};
use yakin_engine::run::PlatformRun;
use yakin_engine::tx::Tx;

use super::{
    BackupError, Backups, Described, Proof, Restored, SetKind, Sets, Source, Unreadable, Whole,
    ledger, remove_copy, retention,
};

pub use databases::Databases;
pub use files::Files;

/// How long the sets of Sundays stay, in days.
const SUNDAYS: i64 = 90;
/// A set older than this is no longer the night's.
const YOUNG_HOURS: i64 = 6;
/// A set that has no copy is copied by a later run within so many days.
const COPY_DAYS: i64 = 7;
const MB: u64 = 1_000_000;
const NO_IDENTITY: &str =
    "no keys.backup_identity_file on this node: the set is not proven, and no old one is removed";

/// When sets are restored into scratch databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreTest {
    Never,
    /// Those of Sundays.
    Weekly,
    Always,
}

/// What a batch asks of the night.
#[derive(Clone, Debug)]
pub struct Rules {
    /// By name; empty means all.
    pub databases: Vec<String>,
    pub keep_days: i64,
    /// The newest so many proven sets never go.
    pub keep_at_least: usize,
    pub compress: bool,
    /// Read everything back.
    pub verify: bool,
    pub restore_test: RestoreTest,
    /// Copy to the second place.
    pub copy: bool,
    /// Write new and whole sets, whatever there is.
    pub anew: bool,
}

impl Rules {
    /// Names with commas between them; none for `all`.
    pub fn names(text: &str) -> Vec<String> {
        match text.trim() {
            "all" => Vec::new(),
            names => names.split(',').map(|n| n.trim().to_owned()).collect(),
        }
    }
}

/// One run's night.
pub struct Night<'a> {
    run: &'a PlatformRun,
    backups: &'a Backups,
    rules: Rules,
    source: Source,
    date: Date,
}

/// A set on its way from written to proven.
pub struct Set<M> {
    pub manifest: M,
    pub proof: Proof,
    /// Another run had made it.
    pub reused: bool,
    tested: Option<Restored>,
    /// What could not be done, for people.
    troubles: Vec<(&'static str, String)>,
}

impl<M> Set<M> {
    fn new(manifest: M, proof: Proof) -> Set<M> {
        Set { manifest, proof, reused: false, tested: None, troubles: Vec::new() }
    }
}

impl<'a> Night<'a> {
    /// Looks at the server.
    pub async fn begin(
        run: &'a PlatformRun,
        backups: &'a Backups,
        rules: Rules,
    ) -> Result<Night<'a>, Stop> {
        let source = Source::look(&backups.login, &rules.databases).await?;
        Ok(Night { run, backups, rules, source, date: run.period().start })
    }

    /// The databases.
    pub fn databases(&self) -> Databases<'_> {
        Databases::of(self)
    }

    fn place(&self) -> &str {
        &self.source.cluster
    }

    fn keep_until(&self, date: Date) -> Date {
        let days = self.rules.keep_days;
        after(date, if date.weekday() == Weekday::Sunday { days.max(SUNDAYS) } else { days })
    }

    /// Refuses to begin where so many bytes do not fit.
    fn need_room(&self, needed: u64) -> Result<(), Stop> {
        let folder = &self.backups.folder;
        let free = folder.room()?.free;
        if free < needed {
            let folder = folder.path().display().to_string();
            return Err(BackupError::Room { folder, free: free / MB, needed: needed / MB }.into());
        }
        Ok(())
    }

    /// Clears what others left unfinished, and takes whole sets that the rows do not know into them.
    async fn tidy<M: Described>(&self) -> Result<(), Stop> {
        let folder = &self.backups.folder;
        folder.claim(self.place())?;
        let cleared = folder.clear_unfinished()?;
        if !cleared.is_empty() {
            self.run.info("cleared what was left unfinished", json!({"sets": cleared}));
        }
        let Sets { whole, unreadable } = folder.sets::<M>()?;
        if let Some(first) = unreadable.first() {
            let sets: Vec<_> = unreadable.iter().map(|set| &set.id).collect();
            let what = json!({"sets": sets, "first": first.error.to_string()});
            self.run.warn("sets do not say what they are; they stay, and prove nothing", what);
        }
        let (place, at, run) = (self.place(), self.run.at(), self.run.id());
        self.run
            .step(async |tx| {
                for Whole { manifest, sum, proof } in &whole {
                    let expires_on = self.keep_until(manifest.date());
                    ledger::adopt(tx, (manifest, sum), place, run, expires_on).await?;
                    ledger::proven(tx, manifest.id(), proof).await?;
                }
                for Unreadable { id, error } in &unreadable {
                    let ids = std::slice::from_ref(id);
                    ledger::unproven(tx, ids, &error.to_string()).await?;
                }
                ledger::interrupted(tx, place, M::KIND, at).await
            })
            .await
    }

    /// Leaves nothing of a set that came to nothing but its row.
    async fn failed(&self, id: &str, error: BackupError) -> Result<Stop, Stop> {
        self.backups.folder.remove(id)?;
        let at = self.run.at();
        self.run.step(async |tx| ledger::failed(tx, id, &error.to_string(), at).await).await?;
        Ok(error.into())
    }

    async fn prove(&self, id: &str, proof: &Proof) -> Result<(), Stop> {
        proof.write(&self.backups.folder.set(id))?;
        self.run.step(async |tx| ledger::proven(tx, id, proof).await).await
    }

    /// Old sets of a kind go when the night's is proven: files first, then the row. Says how many.
    pub async fn expire<M: Described>(&self, set: &Set<M>, done: Done) -> Result<Done, Stop> {
        if set.proof.verified_at.is_none() {
            return Ok(done);
        }
        let kind = M::KIND;
        let (place, today) = (self.place(), self.date);
        let read = async |tx: &mut Tx| ledger::kept(tx, place, kind, today).await;
        let mut sets = self.run.read(read).await?;
        let unreadable = self.backups.folder.sets::<M>()?.unreadable;
        // a person looks at them first
        for set in sets.iter_mut().filter(|set| unreadable.iter().any(|u| u.id == set.id)) {
            set.past = false;
        }
        let mut expired = 0;
        for id in retention::to_go(&sets, self.rules.keep_at_least) {
            if let Some(copy) = &self.backups.copy
                && let Err(error) = remove_copy(copy, id).await
            {
                let text = format!("{id} is past its day and stays: removing its copy: {error}");
                return Ok(done.count("expired", expired).short("copy", text));
            }
            self.backups.folder.remove(id)?;
            self.run.step(async |tx| ledger::expire(tx, id).await).await?;
            expired += 1;
        }
        Ok(done.count("expired", expired))
    }

    /// What is said of a set of either kind.
    fn tell<M: Described>(&self, done: Done, set: &Set<M>) -> Done {
        let mut done = done
            .count("verified", usize::from(set.proof.verified_at.is_some()))
            .count("reused", usize::from(set.reused));
        if let Some(copy) = self.backups.copy.as_ref().filter(|_| self.rules.copy) {
            let is_copied = set.proof.is_copied_to(copy.identity());
            done = done.count("copied", usize::from(is_copied));
        }
        set.troubles.iter().fold(done, |done, (subject, message)| done.short(subject, message))
    }

    /// Tells people of a disk that fills up.
    pub fn tell_of_the_disk(&self, done: Done) -> Result<Done, Stop> {
        let used = self.backups.folder.room()?.used_percent();
        if used <= 80 {
            return Ok(done);
        }
        let folder = self.backups.folder.path().display();
        Ok(done.report("disk", format!("the disk of {folder} is {used} % full")))
    }

    /// Tells people of a set of less than half the usual size of seven days.
    pub async fn tell_of_shrinking<M: Described>(
        &self,
        done: Done,
        set: &Set<M>,
    ) -> Result<Done, Stop> {
        let (manifest, contents) = (&set.manifest, set.manifest.contents());
        let bytes = match M::KIND {
            SetKind::Databases => contents.bytes,
            SetKind::Files => contents.plain_bytes,
        };
        let week_ago = self.ago(7 * 24);
        let (place, target) = (self.place(), manifest.target());
        let read =
            async |tx: &mut Tx| ledger::median(tx, place, &target, manifest.id(), week_ago).await;
        let usual = self.run.read(read).await?.and_then(|b| u64::try_from(b).ok());
        let Some(usual) = usual.filter(|usual| bytes.saturating_mul(2) < *usual) else {
            return Ok(done);
        };
        let (id, kind) = (manifest.id(), M::KIND.word());
        let text = format!(
            "{id} has {} kB of {kind}; the usual of seven days is {} kB",
            bytes / 1000,
            usual / 1000
        );
        Ok(done.report(&format!("size of {kind}"), text))
    }

    /// Schedule time, so many hours ago.
    fn ago(&self, hours: i64) -> jiff::Timestamp {
        self.run.at().checked_sub(hours.hours()).unwrap_or(self.run.at())
    }
}

fn megabytes(bytes: u64) -> i64 {
    i64::try_from(bytes / MB).unwrap_or(i64::MAX)
}
