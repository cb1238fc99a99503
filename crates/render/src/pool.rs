//! A bounded number of children that start when needed, are reused, and end when idle.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::message::{self, Setup};
use crate::process::Process;
use crate::{RenderError, Settings};

/// A child may have this much address space; layout of a long document takes some hundred MiB.
const MEMORY_BYTES: u64 = 3 << 29;
/// A child may use the processor so much longer than it may take.
const CPU_GRACE_SECONDS: u64 = 2;

/// Children, and what is needed to start one.
pub struct Pool {
    program: PathBuf,
    setup: Vec<u8>,
    limit: Duration,
    idle: Duration,
    permits: Semaphore,
    children: Mutex<Children>,
}

#[derive(Default)]
struct Children {
    /// The one used last is the last one.
    idle: Vec<(Instant, Process)>,
    /// Process ids of those at work.
    busy: Vec<u32>,
    /// Whether a task watches `idle`.
    watched: bool,
}

impl Pool {
    /// A pool without children yet.
    pub fn new(settings: &Settings) -> Result<Pool, RenderError> {
        let setup = Setup {
            fonts: settings.fonts.clone(),
            memory_bytes: MEMORY_BYTES,
            cpu_seconds: settings.timeout.as_secs() + CPU_GRACE_SECONDS,
        };
        let setup = message::encode(&setup, &[])
            .map_err(|error| RenderError::Settings(format!("the fonts' folders: {error}")))?;
        Ok(Pool {
            program: settings.program.clone(),
            setup,
            limit: settings.timeout,
            idle: settings.idle,
            permits: Semaphore::new(settings.children),
            children: Mutex::default(),
        })
    }

    /// Asks a child when one is free. One that hangs or dies is not used again.
    pub async fn ask(
        self: &Arc<Pool>,
        document: &str,
        request: &[u8],
    ) -> Result<Vec<u8>, RenderError> {
        let permit = self.permits.acquire().await;
        let _permit = permit.map_err(|error| RenderError::Stopped(error.to_string()))?;
        let mut process = self.child(document)?;
        let busy = Busy::new(self, &process);
        let document = document.to_owned();
        match timeout(self.limit, process.ask(request)).await {
            Err(_) => {
                process.kill().await;
                Err(RenderError::Timeout { document, limit: self.limit })
            }
            Ok(Err(error)) => {
                let death = process.inquest(&error).await;
                let (ended, what_it_said) = (death.ended, death.said);
                Err(RenderError::Child { document, ended, what_it_said })
            }
            Ok(Ok(answer)) => {
                drop(busy);
                self.give_back(process);
                Ok(answer)
            }
        }
    }

    /// The process ids of the children that live.
    pub fn living(&self) -> Vec<u32> {
        let children = self.children();
        let idle = children.idle.iter().filter_map(|(_, process)| process.id());
        idle.chain(children.busy.iter().copied()).collect()
    }

    /// The child that was used last and still lives, or a new one.
    fn child(&self, document: &str) -> Result<Process, RenderError> {
        let idle = || self.children().idle.pop().map(|(_, process)| process);
        let mut living =
            std::iter::from_fn(idle).filter_map(|mut child| child.is_alive().then_some(child));
        if let Some(process) = living.next() {
            return Ok(process);
        }
        Process::start(&self.program, &self.setup).map_err(|error| RenderError::Child {
            document: document.to_owned(),
            ended: format!("could not be started from {}: {error}", self.program.display()),
            what_it_said: String::new(),
        })
    }

    /// Keeps a child for the next document, and sees to it that somebody ends it if there is none.
    fn give_back(self: &Arc<Pool>, process: Process) {
        let mut children = self.children();
        children.idle.push((Instant::now(), process));
        if !std::mem::replace(&mut children.watched, true) {
            tokio::spawn(watch(Arc::downgrade(self), self.idle));
        }
    }

    /// Takes out the children that were idle for long enough; and says how long the next one has,
    /// or that none is left to watch.
    fn take_idle(&self) -> (Vec<Process>, Option<Duration>) {
        let mut children = self.children();
        let old =
            children.idle.iter().take_while(|(since, _)| since.elapsed() >= self.idle).count();
        let ended = children.idle.drain(..old).map(|(_, process)| process).collect();
        let next =
            children.idle.first().map(|(since, _)| self.idle.saturating_sub(since.elapsed()));
        children.watched = next.is_some();
        (ended, next)
    }

    fn children(&self) -> MutexGuard<'_, Children> {
        // nothing can be half done under it
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends idle children until there is none, or no pool.
async fn watch(pool: Weak<Pool>, idle: Duration) {
    let mut wait = idle;
    loop {
        tokio::time::sleep(wait).await;
        let Some(pool) = pool.upgrade() else { return };
        let (ended, next) = pool.take_idle();
        drop(pool);
        for process in ended {
            process.kill().await;
        }
        match next {
            Some(next) => wait = next,
            None => return,
        }
    }
}

/// Says that a child is at work; no longer, when the caller goes away in the middle.
struct Busy<'a> {
    pool: &'a Pool,
    id: Option<u32>,
}

impl Busy<'_> {
    fn new<'a>(pool: &'a Pool, process: &Process) -> Busy<'a> {
        let id = process.id();
        pool.children().busy.extend(id);
        Busy { pool, id }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let id = self.id;
        self.pool.children().busy.retain(|busy| Some(*busy) != id);
    }
}
