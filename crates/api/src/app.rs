//! What all routes share: the engine, the settings, who asked a moment ago, and how often each may ask.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use yakin_engine::access::{self, Caller};
use yakin_engine::engine::Engine;
use yakin_engine::error::EngineError;
use yakin_engine::record::audit::Act;

use crate::problem::Problem;
use crate::together::Together;
use crate::watchers::Watchers;

/// A token that was good is not looked up again for so long: a revoked one is refused after it.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// So many tokens are remembered; whose is not is a stranger until it has been looked up.
const REMEMBERED: usize = 1000;
/// What a probe learned of the database is told to those who probe within so long after it.
const LEARNED: Duration = Duration::from_secs(1);
/// A probe waits so long for the database.
const PROBE: Duration = Duration::from_secs(5);

/// How the API is set up.
#[derive(Clone)]
pub struct Settings {
    /// The secret that `/api/cron` calls are signed with, or carry as bearer.
    pub cron_secret: Option<Arc<str>>,
    /// Calls a second that one token may make.
    pub calls_a_second: NonZeroU32,
    /// Calls a second from one address that carry no token known to be good.
    pub strangers_a_second: NonZeroU32,
    /// A client that takes nothing of its answer for so long is cut off.
    pub patience: Duration,
    /// Connections at once; the next one waits.
    pub connections: usize,
    /// Streams of events that one token may have open on a node.
    pub streams_a_token: usize,
    /// What reads whole tables for a call is ended by the database after so long; less than an answer may take.
    pub longest_reading: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            cron_secret: None,
            calls_a_second: NonZeroU32::MIN.saturating_add(99),
            strangers_a_second: NonZeroU32::MIN.saturating_add(199),
            patience: Duration::from_secs(30),
            connections: 1024,
            streams_a_token: 16,
            longest_reading: Duration::from_secs(25),
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let secret = if self.cron_secret.is_some() { "set" } else { "none" };
        write!(f, "cron secret {secret}, {} calls a second", self.calls_a_second)
    }
}

/// Whose tokens were good, by their digests, and when.
type Trusted = HashMap<[u8; 32], (Arc<Caller>, Instant)>;

/// See [`App`].
pub(crate) struct Shared {
    pub engine: Arc<Engine>,
    pub settings: Settings,
    pub feed: crate::routes::events::Feed,
    pub watchers: Watchers,
    /// How batches stand: asked for most.
    pub standings: Together,
    /// Places for packages of evidence.
    pub packages: Arc<Semaphore>,
    /// Cancelled when the node stops: streams end then.
    pub closing: CancellationToken,
    /// One at a time reads whole tables.
    whole: Arc<Semaphore>,
    trusted: Mutex<Trusted>,
    /// Whether the database answered, and when that was learned.
    answers: tokio::sync::Mutex<Option<(bool, Instant)>>,
    callers: DefaultKeyedRateLimiter<i64>,
    strangers: DefaultKeyedRateLimiter<IpAddr>,
}

/// What the routes hold.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

impl std::ops::Deref for App {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    pub fn new(engine: Arc<Engine>, settings: Settings) -> App {
        let callers = RateLimiter::keyed(Quota::per_second(settings.calls_a_second));
        let strangers = RateLimiter::keyed(Quota::per_second(settings.strangers_a_second));
        let feed = crate::routes::events::Feed::new(engine.pool.clone());
        let watchers = Watchers::new(engine.pool.clone(), settings.streams_a_token);
        App(Arc::new(Shared {
            engine,
            settings,
            feed,
            watchers,
            standings: Together::default(),
            packages: Arc::new(Semaphore::new(crate::routes::evidence::AT_A_TIME)),
            closing: CancellationToken::new(),
            whole: Arc::new(Semaphore::new(1)),
            trusted: Mutex::default(),
            answers: tokio::sync::Mutex::default(),
            callers,
            strangers,
        }))
    }

    /// Whose token this is, at the pace of that token; one that is not known to have been good goes at its address's.
    /// A token is looked up once a second.
    pub async fn caller(&self, token: &str, from: IpAddr) -> Result<Arc<Caller>, Problem> {
        let key: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let known = self.trusted(|trusted| trusted.get(&key).cloned());
        match &known {
            Some((caller, _)) => self.pace(caller)?,
            None => self.stranger(from)?,
        }
        if let Some((caller, at)) = &known
            && at.elapsed() < TRUSTED_FOR
        {
            return Ok(caller.clone());
        }
        let Some(caller) = access::caller(&self.engine.pool, token).await?.map(Arc::new) else {
            self.trusted(|trusted| trusted.remove(&key));
            return Err(Problem::unauthorized());
        };
        if known.is_none() {
            self.pace(&caller)?;
        }
        self.trusted(|trusted| remember(trusted, key, caller.clone()));
        Ok(caller)
    }

    /// Refuses a caller who asks too often.
    fn pace(&self, caller: &Caller) -> Result<(), Problem> {
        self.callers.check_key(&caller.token).map_err(too_many)
    }

    /// Whether the database answers. All who probe at once are told what one of them learned.
    pub async fn database_answers(&self) -> bool {
        let mut last = self.answers.lock().await;
        if let Some((answers, _)) = last.filter(|(_, at)| at.elapsed() < LEARNED) {
            return answers;
        }
        let asked = sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(&self.engine.pool);
        let answers = match tokio::time::timeout(PROBE, asked).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => {
                tracing::error!(%error, "not ready");
                false
            }
            Err(_) => {
                tracing::error!("not ready: no answer for {} s", PROBE.as_secs());
                false
            }
        };
        *last = Some((answers, Instant::now()));
        answers
    }

    /// Refuses an address that comes too often without a token that is known to be good.
    pub fn stranger(&self, from: IpAddr) -> Result<(), Problem> {
        if self.strangers.len() > 10_000 {
            self.strangers.retain_recent();
        }
        self.strangers.check_key(&from).map_err(too_many)
    }

    /// The place of a call that reads whole tables: one at a time on a node.
    pub fn whole(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.whole.clone().try_acquire_owned().map_err(|_| {
            Problem::busy(
                "this node reads whole tables for another call; it does so for one at a time",
            )
        })
    }

    /// The id of the batch of that id or slug.
    pub fn batch(&self, name: &str) -> Result<&'static str, Problem> {
        let found = self.engine.registry.find(name);
        Ok(found.map_err(EngineError::Unknown)?.spec().id)
    }

    fn trusted<T>(&self, f: impl FnOnce(&mut Trusted) -> T) -> T {
        f(&mut self.trusted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Remembers a good token; where there are too many, the one that was looked up longest ago is forgotten.
fn remember(trusted: &mut Trusted, key: [u8; 32], caller: Arc<Caller>) {
    if trusted.len() >= REMEMBERED && !trusted.contains_key(&key) {
        let oldest = trusted.iter().min_by_key(|(_, (_, at))| *at).map(|(key, _)| *key);
        oldest.and_then(|oldest| trusted.remove(&oldest));
    }
    trusted.insert(key, (caller, Instant::now()));
}

fn too_many(until: NotUntil<<DefaultClock as Clock>::Instant>) -> Problem {
    Problem::too_many(until.wait_time_from(DefaultClock::default().now()))
}

/// Does what holds a place to its end, also when its caller leaves: the place is free when nothing goes on any more.
pub(crate) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(work).await.map_err(|error| {
        tracing::error!(%error, "a call broke off");
        Problem::defect()
    })
}

/// A caller's act, for the audit.
pub(crate) fn act(caller: &Caller, reason: &str) -> Act {
    Act { actor: format!("token:{}", caller.name), reason: reason.trim().to_owned() }
}
