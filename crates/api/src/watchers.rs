//! Streams that are open: how many each token has, and whether it is still what it was. One look-up tells of all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgPool;
use tokio_util::sync::CancellationToken;
use yakin_engine::access::{self, Caller};

use crate::problem::Problem;

/// The tokens of open streams are looked up so often: a revoked one's streams end within a second.
const LOOK: Duration = Duration::from_millis(500);
/// Where no look-up is answered for so long, all streams end: whose token is not known to be good is told nothing.
const ANSWER: Duration = Duration::from_secs(10);

/// The open streams of a node.
#[derive(Clone)]
pub struct Watchers(Arc<Inner>);

struct Inner {
    pool: PgPool,
    /// So many may a token have.
    each: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    streams: HashMap<u64, (Arc<Caller>, CancellationToken)>,
    next: u64,
    /// Whether their tokens are being looked up.
    judged: bool,
}

impl Inner {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of an open stream; it is free again when it is dropped.
pub struct Place {
    inner: Arc<Inner>,
    number: u64,
    /// Cancelled when the stream must end.
    pub ended: CancellationToken,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.inner.open().streams.remove(&self.number);
    }
}

impl Watchers {
    pub fn new(pool: PgPool, each: usize) -> Watchers {
        Watchers(Arc::new(Inner { pool, each, open: Mutex::default() }))
    }

    /// A place for a stream of this caller, whose token is looked up anew: a stream does not live on what was known of
    /// it a moment ago.
    pub async fn enter(&self, caller: &Arc<Caller>) -> Result<Place, Problem> {
        let place = self.place(caller)?;
        let good = access::good(&self.0.pool, &[caller.token]).await?;
        if good.first() == Some(caller) { Ok(place) } else { Err(Problem::unauthorized()) }
    }

    fn place(&self, caller: &Arc<Caller>) -> Result<Place, Problem> {
        let mut open = self.0.open();
        let each = self.0.each;
        if open.streams.values().filter(|(c, _)| c.token == caller.token).count() >= each {
            return Err(Problem::busy(format!(
                "token '{}' has {each} streams open, as many as one token may on a node",
                caller.name
            )));
        }
        let (number, ended) = (open.next, CancellationToken::new());
        open.next += 1;
        open.streams.insert(number, (caller.clone(), ended.clone()));
        if !std::mem::replace(&mut open.judged, true) {
            tokio::spawn(judge(self.0.clone()));
        }
        Ok(Place { inner: self.0.clone(), number, ended })
    }
}

/// Ends the streams of tokens that are no longer what they were, until none is open.
async fn judge(inner: Arc<Inner>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(tokens) = asked(&inner) else { return };
        let good = tokio::time::timeout(ANSWER, good(&inner.pool, &tokens)).await;
        let good = good.unwrap_or_else(|_| {
            tracing::error!("tokens could not be looked up; streams of events end");
            Vec::new()
        });
        // of those that came meanwhile it says nothing
        let open = inner.open();
        let known = open.streams.values().filter(|(c, _)| tokens.contains(&c.token));
        for (_, ended) in known.filter(|(c, _)| !good.contains(c)) {
            ended.cancel();
        }
    }
}

/// The tokens of all open streams; nothing where none is.
fn asked(inner: &Inner) -> Option<Vec<i64>> {
    let mut open = inner.open();
    open.judged = !open.streams.is_empty();
    let mut tokens: Vec<i64> = open.streams.values().map(|(c, _)| c.token).collect();
    tokens.sort_unstable();
    tokens.dedup();
    open.judged.then_some(tokens)
}

/// Those of the tokens that are good. A connection that broke while nobody used it is no verdict.
async fn good(pool: &PgPool, tokens: &[i64]) -> Vec<Caller> {
    let first = access::good(pool, tokens).await;
    let found = match first {
        Ok(good) => Ok(good),
        Err(_) => access::good(pool, tokens).await,
    };
    found.unwrap_or_else(|error| {
        tracing::error!(%error, "tokens could not be looked up; streams of events end");
        Vec::new()
    })
}
