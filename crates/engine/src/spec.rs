//! A batch's specification: a constant at the top of its file, every field written out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::outcome::Cause;
use crate::params::Param;

/// When a batch fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Schedule {
    /// Five fields, in the zone Asia/Tokyo.
    Cron(&'static str),
    /// Every so many seconds, counted from the epoch; never pauses at clock changes.
    Interval(u32),
    /// At once, when something of this topic arrives for tenants: their pieces alone, one of a tenant's at a time.
    Arrivals(&'static str),
    /// By a person only.
    Manual,
}

/// A schedule in cron's five fields.
pub const fn cron(fields: &'static str) -> Schedule {
    Schedule::Cron(fields)
}

/// The rule that gives a run its period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Period {
    /// Works on no period (housekeeping "as of now").
    None,
    /// The day of the firing.
    Day,
    DayBefore,
    WeekBefore,
    MonthBefore,
}

/// The hours (Asia/Tokyo) in which a run may start, as minutes after midnight; may pass midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    pub from_minute: u16,
    pub until_minute: u16,
}

/// The window from `h1:m1` until `h2:m2`.
pub const fn window(h1: u16, m1: u16, h2: u16, m2: u16) -> Option<Window> {
    Some(Window { from_minute: h1 * 60 + m1, until_minute: h2 * 60 + m2 })
}

/// What becomes of firings that came due while nothing ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum CatchUp {
    /// The newest is started, older ones are missed.
    Latest,
    /// Each, in order.
    Every,
    /// None: marked missed when over a minute late.
    None,
}

/// For whom a run works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Scope {
    Global,
    EachTenant,
}

/// A phase a batch has, beyond its tenants' (or its global) work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Phase {
    Prepare,
    Finish,
}

/// Another batch whose work must be there first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Need {
    pub batch: &'static str,
    pub days: NeedDays,
    /// A hard need skips the run when its deadline passes; a soft one lets it go on and says so.
    pub hard: bool,
    /// How long after the firing is due it may wait.
    pub wait: Duration,
}

/// Which periods of the needed batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum NeedDays {
    /// The same period.
    Same,
    /// Every day of this run's period.
    EveryDay,
    /// The last day of this run's period.
    LastDay,
}

/// A hard need of the same period.
pub const fn same(batch: &'static str, wait: Duration) -> Need {
    Need { batch, days: NeedDays::Same, hard: true, wait }
}

/// A hard need of every day of the period.
pub const fn every_day(batch: &'static str, wait: Duration) -> Need {
    Need { batch, days: NeedDays::EveryDay, hard: true, wait }
}

/// A named lock that a run holds from start to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Lock {
    pub name: &'static str,
    pub exclusive: bool,
}

/// Alone with this name.
pub const fn exclusive(name: &'static str) -> Lock {
    Lock { name, exclusive: true }
}

/// What happens when a firing is due while a run of the batch is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Overlap {
    /// Skipped (overlap).
    Forbid,
    /// Waits its turn.
    Queue,
    Allow,
}

/// Where jobs wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Queue {
    Default,
    /// Backups and reports.
    Heavy,
    Notify,
    /// Never starved by the others.
    Monitor,
}

impl Queue {
    /// All of them.
    pub const ALL: [Queue; 4] = [Queue::Default, Queue::Heavy, Queue::Notify, Queue::Monitor];

    /// Its name in the database, metrics and commands.
    pub const fn name(self) -> &'static str {
        match self {
            Queue::Default => "default",
            Queue::Heavy => "heavy",
            Queue::Notify => "notify",
            Queue::Monitor => "monitor",
        }
    }
}

/// Order within a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Priority {
    Highest = 0,
    High = 10,
    Medium = 20,
    Low = 30,
}

/// One scale for alerts and batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }

    /// The severity of that word.
    pub fn of(word: &str) -> Option<Severity> {
        [Severity::Info, Severity::Medium, Severity::High, Severity::Critical]
            .into_iter()
            .find(|s| s.word() == word)
    }
}

/// How the delay grows: fixed = base · linear = base × n · exponential = base × 2^(n−1), n = failures so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Backoff {
    Fixed,
    Linear,
    Exponential,
}

/// A retry policy. Attempts count the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Retry {
    pub attempts: u32,
    pub backoff: Backoff,
    pub base: Duration,
    pub cap: Duration,
}

/// `attempts` in all, waiting base × 2^(n−1) up to `cap`.
pub const fn exponential(attempts: u32, base: Duration, cap: Duration) -> Retry {
    Retry { attempts, backoff: Backoff::Exponential, base, cap }
}

/// `attempts` in all, waiting `base` each time.
pub const fn fixed(attempts: u32, base: Duration) -> Retry {
    Retry { attempts, backoff: Backoff::Fixed, base, cap: base }
}

/// `attempts` in all, waiting base × n up to `cap`.
pub const fn linear(attempts: u32, base: Duration, cap: Duration) -> Retry {
    Retry { attempts, backoff: Backoff::Linear, base, cap }
}

impl Retry {
    /// The delay after failure number `failures` (1 = the first), without jitter.
    pub fn delay(&self, failures: u32) -> Duration {
        let failures = failures.max(1);
        let delay = match self.backoff {
            Backoff::Fixed => self.base,
            Backoff::Linear => self.base.saturating_mul(failures),
            Backoff::Exponential => self.base.saturating_mul(2u32.saturating_pow(failures - 1)),
        };
        delay.min(self.cap)
    }
}

/// Whether a second person must agree before a run starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Approval {
    None,
    SecondPerson,
}

/// Seconds, minutes and hours as durations in constants.
pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
/// See [`secs`].
pub const fn mins(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}
/// See [`secs`].
pub const fn hours(n: u64) -> Duration {
    Duration::from_secs(n * 3600)
}

/// What a batch is. The id is the literal string of the specification.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spec {
    pub id: &'static str,
    pub slug: &'static str,
    /// The Japanese title of the specification.
    pub title: &'static str,
    pub schedule: Schedule,
    pub catch_up: CatchUp,
    pub period: Period,
    /// Limits starts; `None` = any time.
    pub window: Option<Window>,
    /// How long after the due instant retries may still be planned; `None` = the window's end, or a day.
    pub deadline: Option<Duration>,
    pub scope: Scope,
    pub phases: &'static [Phase],
    pub needs: &'static [Need],
    pub locks: &'static [Lock],
    pub overlap: Overlap,
    pub queue: Queue,
    pub priority: Priority,
    /// Per attempt.
    pub timeout: Duration,
    pub retry: Retry,
    /// Narrower policies for some causes.
    pub retry_by_cause: &'static [(Cause, Retry)],
    pub severity: Severity,
    /// The longest duration that surprises nobody.
    pub expected: Duration,
    pub params: &'static [Param],
    pub approval: Approval,
    /// Runs from the node's last known timetable when PostgreSQL is gone.
    pub survives_database: bool,
}

impl Spec {
    /// Whether the batch has that phase.
    pub fn has(&self, phase: Phase) -> bool {
        self.phases.contains(&phase)
    }

    /// The policy for `cause`.
    pub fn retry_for(&self, cause: Cause) -> Retry {
        self.retry_by_cause.iter().find(|(c, _)| *c == cause).map_or(self.retry, |(_, r)| *r)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_follow_the_specifications_formulas() {
        let status = exponential(3, secs(5), secs(60));
        assert_eq!([1, 2, 3, 4, 5, 40].map(|n| status.delay(n).as_secs()), [5, 10, 20, 40, 60, 60]);
        let invoice = linear(5, secs(10), secs(300));
        assert_eq!([1, 2, 30, 31].map(|n| invoice.delay(n).as_secs()), [10, 20, 300, 300]);
        assert_eq!([1, 9].map(|n| fixed(2, secs(30)).delay(n).as_secs()), [30, 30]);
    }
}
