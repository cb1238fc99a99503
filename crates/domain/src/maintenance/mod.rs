//! Maintenance in steps that stand each for itself: indexes and old rows, log files, the cache, temporary files, health.
//! What a node has no configuration for is said, never guessed.

mod database;
mod files;
mod indexes;
mod outside;
mod results;
mod retention;

use std::collections::BTreeMap;
use std::path::PathBuf;

use yakin_adapters::Cache;
use yakin_adapters::postgres_tools::Login;
use yakin_engine::outcome::{Report, Stop};
use yakin_engine::run::PlatformRun;

pub use results::{Outcome, Row, begin, keep, reuse, rows};

/// What a node has to maintain things with.
#[derive(Debug, Default)]
pub struct Maintenance {
    /// A login with the rights of the schema's owner that sees statistics past row security.
    pub owner: Option<Login>,
    /// Folders of log files.
    pub logs: Vec<PathBuf>,
    /// Folders of temporary files that are ours alone.
    pub temp: Vec<PathBuf>,
    pub cache: Option<Cache>,
    /// Folders whose disks must have room.
    pub disks: Vec<PathBuf>,
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Database,
    Logs,
    Cache,
    Temp,
    Health,
}

impl Step {
    /// In the order they are taken.
    pub const ALL: [Step; 5] = [Step::Database, Step::Logs, Step::Cache, Step::Temp, Step::Health];

    /// Its name in tables and parameters.
    pub fn word(self) -> &'static str {
        match self {
            Step::Database => "database",
            Step::Logs => "logs",
            Step::Cache => "cache",
            Step::Temp => "temp",
            Step::Health => "health",
        }
    }

    /// Steps by their names with commas between them, or `all`.
    pub fn named(text: &str) -> Result<Vec<Step>, String> {
        if text.trim() == "all" {
            return Ok(Step::ALL.to_vec());
        }
        let named = text.split(',').map(|name| {
            let known = Step::ALL.into_iter().find(|step| step.word() == name.trim());
            known.ok_or_else(|| {
                let all = Step::ALL.map(Step::word).join(", ");
                format!("steps has '{}', expected all, or some of {all}", name.trim())
            })
        });
        let mut steps: Vec<Step> = named.collect::<Result<_, _>>()?;
        steps.sort();
        steps.dedup();
        Ok(steps)
    }
}

/// What a run asks for.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// From which share of empty room on an index is rebuilt.
    pub bloat_percent: i64,
    /// Never less than the policy `log_files`.
    pub archive_after_days: i64,
    pub delete_after_days: i64,
}

/// What a step did, counted while it does it.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub before: BTreeMap<String, i64>,
    pub after: BTreeMap<String, i64>,
    /// What this node has no configuration for, with how to mend that.
    pub missing: Vec<String>,
    /// What people should know.
    pub notes: Vec<Report>,
    /// Whether there was anything to do it with.
    pub configured: bool,
}

impl Tally {
    fn was(&mut self, name: &str, value: impl TryInto<i64>) {
        // a second attempt began with what the first had left: the first knows how it was before
        self.before.entry(name.to_owned()).or_insert(value.try_into().unwrap_or(i64::MAX));
    }

    fn is(&mut self, name: &str, value: impl TryInto<i64>) {
        self.after.insert(name.to_owned(), value.try_into().unwrap_or(i64::MAX));
    }

    fn add(&mut self, name: &str, value: impl TryInto<i64>) {
        *self.after.entry(name.to_owned()).or_default() += value.try_into().unwrap_or(i64::MAX);
    }

    fn lacks(&mut self, what: impl Into<String>) {
        self.missing.push(what.into());
    }

    fn tell(&mut self, subject: &str, message: impl Into<String>, short: bool) {
        let (subject, message) = (subject.to_owned(), message.into());
        self.notes.push(Report { subject, message, short });
    }
}

impl Maintenance {
    /// Logs in as the owner and says how large the database is; none where no login is configured.
    pub async fn check_owner(&self) -> Option<Result<i64, String>> {
        let login = self.owner.as_ref()?;
        let looked = async { indexes::Owner::connect(login).await?.bytes().await };
        Some(looked.await.map_err(|stop: Stop| stop.message()))
    }

    /// Carries a step out, or, in a dry run, counts what it would do; what was done until an error stays counted.
    pub async fn carry_out(
        &self,
        run: &PlatformRun,
        step: Step,
        rules: &Rules,
        tally: &mut Tally,
    ) -> Result<(), Stop> {
        match step {
            Step::Database => database::maintain(self, run, rules, tally).await,
            Step::Logs => files::logs(self, run, rules, tally).await,
            Step::Cache => outside::cache(self, run, tally).await,
            Step::Temp => files::temp(self, run, tally).await,
            Step::Health => outside::health(self, run, tally).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_taken_in_their_order_however_they_are_named() {
        assert_eq!(Step::named("health, logs,logs").unwrap(), [Step::Logs, Step::Health]);
        assert_eq!(Step::named("all").unwrap(), Step::ALL);
        assert!(Step::named("log").unwrap_err().contains("steps has 'log'"));
    }
}
