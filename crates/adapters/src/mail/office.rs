//! A relay in use: composes letters for it, opens sessions, and keeps a few unused ones for the
//! next.

use std::fmt;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::compose::{self, Letter, Mail};
use super::line::{Line, Target};
use super::relay::{Relay, Route, Settled};
use super::session::Session;
use super::{MailError, folder};
use crate::Answer;

/// Unused sessions kept for each relay.
const MOST_IDLE: usize = 4;

/// Sends mail through one relay. Clones share their unused sessions.
#[derive(Clone)]
pub struct Mailer(Arc<Office>);

pub(super) struct Office {
    relay: Relay,
    settled: Settled,
    idle: Mutex<Vec<(Instant, Line)>>,
    /// Numbers the files of a folder.
    pub filed: AtomicU64,
}

impl Mailer {
    /// Reads and checks the relay's configuration with its files; asks nobody.
    ///
    /// # Errors
    /// As [`Relay::check`].
    pub fn new(relay: Relay) -> Result<Mailer, MailError> {
        let settled = relay.settle()?;
        Ok(Mailer::with(relay, settled))
    }

    pub(super) fn with(relay: Relay, settled: Settled) -> Mailer {
        let (idle, filed) = (Mutex::default(), AtomicU64::new(0));
        Mailer(Arc::new(Office { relay, settled, idle, filed }))
    }

    /// A mail as it would go out, or why it cannot. Takes the same decisions as every later step,
    /// so that a bad mail is refused before anything is recorded as sent. Without `dkim` the same
    /// mail gives the same bytes; a signature carries the second in which it was made.
    ///
    /// # Errors
    /// [`MailError::Mail`] with the field, what is wrong with it and what was expected.
    pub fn compose(&self, mail: &Mail) -> Result<Letter, MailError> {
        compose::compose(mail, &self.0.settled, &self.0.relay.limits)
    }

    /// How many bytes of attachments a mail may have.
    pub fn attachment_bytes(&self) -> usize {
        self.0.relay.limits.attachment_bytes
    }

    /// A session that may carry letters: an unused one, or a new connection with TLS and login
    /// done.
    ///
    /// # Errors
    /// `Unreachable`, `Auth`, `Temporary` or `Throttled`: nothing of any letter was handed over.
    pub async fn session(&self) -> Result<Session, Answer> {
        let line = match (self.0.folder(), self.0.unused()) {
            (Some(folder), _) => {
                folder::make(folder).await?;
                None
            }
            (None, Some(line)) => Some(line),
            (None, None) => Some(self.0.open().await?),
        };
        Ok(Session::new(Arc::clone(&self.0), line))
    }

    /// Connects with TLS and login, and takes leave. Never sends; `Sent` says that letters would be
    /// taken.
    pub async fn probe(&self) -> Answer {
        let probed = match self.0.folder() {
            Some(folder) => folder::make(folder).await,
            None => match self.0.open().await {
                Ok(line) => {
                    line.quit().await;
                    Ok(())
                }
                Err(answer) => Err(answer),
            },
        };
        probed.map_or_else(|answer| answer, |()| Answer::Sent { receipt: None })
    }

    /// Takes leave of the relay on all unused sessions.
    pub async fn close(&self) {
        let unused = std::mem::take(&mut *self.0.idle());
        for (_, line) in unused {
            line.quit().await;
        }
    }
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mailer").field(&self.0.relay).finish()
    }
}

impl Office {
    pub fn folder(&self) -> Option<&Path> {
        match &self.settled.route {
            Route::Folder(folder) => Some(folder),
            Route::Server { .. } => None,
        }
    }

    pub async fn open(&self) -> Result<Line, Answer> {
        let Route::Server { host, port, security } = &self.settled.route else {
            let reason = "a folder has no connection".to_owned();
            return Err(Answer::Unreachable { reason });
        };
        let (port, security) = (*port, *security);
        let (tls, gate) = (self.settled.tls.as_ref(), self.settled.gate.as_ref());
        Line::open(Target { host, port, security, tls, gate, relay: &self.relay }).await
    }

    /// Keeps a line for the next session, unless there are enough.
    pub fn keep(&self, line: Line) {
        let mut idle = self.idle();
        self.forget_old(&mut idle);
        if idle.len() < MOST_IDLE {
            idle.push((Instant::now(), line));
        }
    }

    fn unused(&self) -> Option<Line> {
        let mut idle = self.idle();
        self.forget_old(&mut idle);
        idle.pop().map(|(_, line)| line)
    }

    fn forget_old(&self, idle: &mut Vec<(Instant, Line)>) {
        idle.retain(|(since, _)| since.elapsed() < self.relay.limits.idle);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Instant, Line)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
