//! Log lines: one JSON object a line to stdout at once, and kept with the run when the attempt ends.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::queue::Job;
use crate::run::RunFacts;
use crate::spec::Spec;

/// Lines kept per attempt; further ones are counted.
pub const LINES_PER_ATTEMPT: usize = 200;
const MESSAGE_CHARS: usize = 500;

/// How serious a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    /// Its word in the specification's log format.
    pub const fn word(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}

/// The lines of one attempt.
#[derive(Debug)]
pub struct Lines {
    slug: &'static str,
    run: i64,
    tenant: i64,
    job: i64,
    attempt: i32,
    token: i64,
    kept: Mutex<(Vec<Line>, usize)>,
}

#[derive(Debug)]
struct Line {
    at: Timestamp,
    level: Level,
    message: String,
    metadata: Value,
}

impl Lines {
    pub(crate) fn new(spec: &'static Spec, facts: &RunFacts, job: &Job) -> Lines {
        let kept = Mutex::default();
        Lines {
            slug: spec.slug,
            run: facts.id,
            tenant: job.tenant,
            job: job.id,
            attempt: job.attempt,
            token: job.token,
            kept,
        }
    }

    pub(crate) fn write(&self, level: Level, message: String, metadata: Value, at: Timestamp) {
        let message: String = message.chars().take(MESSAGE_CHARS).collect();
        macro_rules! emit {
            ($level:ident) => {
                tracing::event!(
                    target: "yakin::run", tracing::Level::$level, jobName = self.slug, jobId = %self.job,
                    run = self.run, tenant = self.tenant, attempt = self.attempt, metadata = %metadata, "{message}"
                )
            };
        }
        match level {
            Level::Debug => emit!(DEBUG),
            Level::Info => emit!(INFO),
            Level::Warn => emit!(WARN),
            Level::Error => emit!(ERROR),
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0.len() < LINES_PER_ATTEMPT {
            kept.0.push(Line { at, level, message, metadata });
        } else {
            kept.1 += 1;
        }
    }

    /// The lines so far, as the database keeps them.
    pub(crate) fn kept(&self) -> Vec<Kept> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (lines, dropped) = &*kept;
        let mut rows: Vec<Kept> = (1..)
            .zip(lines)
            .map(|(no, line)| Kept {
                run_id: self.run,
                tenant_id: self.tenant,
                job_id: self.job,
                attempt: self.attempt,
                token: self.token,
                line: no,
                logged_at: line.at,
                level: line.level.word(),
                message: line.message.clone(),
                metadata: line.metadata.clone(),
            })
            .collect();
        if let (Some(last), true) = (rows.last_mut(), *dropped > 0) {
            last.message.push_str(&format!(" (and {dropped} lines more were not kept)"));
        }
        rows
    }
}

/// A row of `yakin.run_logs`.
#[derive(Debug, Serialize)]
pub struct Kept {
    run_id: i64,
    tenant_id: i64,
    job_id: i64,
    attempt: i32,
    token: i64,
    line: i32,
    logged_at: Timestamp,
    level: &'static str,
    message: String,
    metadata: Value,
}
