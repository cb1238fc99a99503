//! Live events (SSE): one listener a node feeds all who watch; a client that comes back is told what it missed.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::sse::{Event as Sse, KeepAlive};
use axum::response::{IntoResponse, Sse as Stream};
use futures::stream;
use serde_json::json;
use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::broadcast;
use yakin_engine::error::EngineError;
use yakin_engine::record::events::{CHANNEL, Event, after, range};

use crate::app::App;
use crate::guard::By;
use crate::problem::Problem;
use crate::watchers::Place;

/// So many events wait for a slow client; one that falls further behind reads them from the database.
const WAITING: usize = 256;
/// So many are read at once.
const CHUNK: i64 = 500;
/// Without a word the listener looks so often.
const POLL: Duration = Duration::from_secs(5);

/// One listener for all who watch; it begins with the first of them and ends when none is left.
#[derive(Clone)]
pub struct Feed(Arc<Shared>);

struct Shared {
    pool: PgPool,
    told: broadcast::Sender<Arc<Event>>,
    listening: AtomicBool,
}

impl Feed {
    pub fn new(pool: PgPool) -> Feed {
        let (told, _) = broadcast::channel(WAITING);
        Feed(Arc::new(Shared { pool, told, listening: AtomicBool::new(false) }))
    }

    /// All events from now on, and those after `newest`, which was the newest a moment ago: a feed that begins with this
    /// watcher takes time to listen, and what comes meanwhile is told too.
    fn watch(&self, newest: i64) -> broadcast::Receiver<Arc<Event>> {
        let watching = self.0.told.subscribe();
        if !self.0.listening.swap(true, Ordering::SeqCst) {
            tokio::spawn(feed(self.0.clone(), newest));
        }
        watching
    }
}

async fn feed(shared: Arc<Shared>, newest: i64) {
    let mut last = newest;
    loop {
        if let Err(error) = listen(&shared, &mut last).await {
            tracing::warn!(%error, "listening for events broke; tried again in a second");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        if shared.told.receiver_count() == 0 {
            shared.listening.store(false, Ordering::SeqCst);
            // one who came at this very moment finds the flag down, or is seen here
            if shared.told.receiver_count() == 0 || shared.listening.swap(true, Ordering::SeqCst) {
                return;
            }
        }
    }
}

/// Tells what comes, until nobody watches.
async fn listen(shared: &Shared, last: &mut i64) -> Result<(), EngineError> {
    let broken = |source| EngineError::Database { doing: "listening for events", source };
    let mut listener = PgListener::connect_with(&shared.pool).await.map_err(broken)?;
    listener.listen(CHANNEL).await.map_err(broken)?;
    while shared.told.receiver_count() > 0 {
        let events = after(&shared.pool, *last, CHUNK).await?;
        for event in events {
            *last = event.id;
            // nobody there any more is seen by the loop
            let _ = shared.told.send(Arc::new(event));
        }
        if let Ok(heard) = tokio::time::timeout(POLL, listener.recv()).await {
            heard.map_err(broken)?;
        }
    }
    Ok(())
}

/// A client that watches: what it has been told, and what comes.
struct Watcher {
    /// It is one of its token's streams.
    _place: Place,
    pool: PgPool,
    last: i64,
    coming: broadcast::Receiver<Arc<Event>>,
    /// Read from the database and not told yet.
    missed: std::collections::VecDeque<Event>,
    /// Whether the database may hold more that it has missed.
    behind: bool,
    reset: Option<i64>,
}

impl Watcher {
    async fn next(&mut self) -> Option<Sse> {
        if let Some(oldest) = self.reset.take() {
            let told = json!({"oldest": oldest});
            return Some(Sse::default().event("reset").data(told.to_string()));
        }
        loop {
            if let Some(event) = self.missed.pop_front() {
                self.last = event.id;
                return Some(written(&event));
            }
            if self.behind {
                match after(&self.pool, self.last, CHUNK).await {
                    Ok(events) => {
                        self.behind = events.len() >= usize::try_from(CHUNK).unwrap_or(0);
                        self.missed = events.into();
                    }
                    // the stream ends; the client comes back with its Last-Event-ID
                    Err(error) => {
                        tracing::error!(%error, "a stream of events ended");
                        return None;
                    }
                }
                continue;
            }
            match self.coming.recv().await {
                Ok(event) if event.id > self.last => {
                    self.last = event.id;
                    return Some(written(&event));
                }
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => self.behind = true,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

fn written(event: &Event) -> Sse {
    let data = json!({"batch_id": event.batch_id, "data": event.data});
    Sse::default().id(event.id.to_string()).event(&event.kind).data(data.to_string())
}

/// Watch runs, firings and alerts live
///
/// Server-sent events `run`, `firing` and `alert`, each with its number. A client that comes back with `Last-Event-ID` is
/// told what it missed, up to a day; `reset` says that some of that is forgotten and the lists should be read anew. The
/// stream ends within a second when its token is revoked, expires or is changed. A token may have 16 streams on a node.
#[utoipa::path(get, path = "/admin/batch/events", tag = "runs",
    params(("Last-Event-ID" = Option<i64>, Header, description = "the last event that was seen", minimum = 0)),
    responses((status = 200, description = "events", body = String, content_type = "text/event-stream"),
              (status = 429, description = "too many calls, or streams of this token; `Retry-After` says how long to wait",
               body = Problem, content_type = "application/problem+json",
               headers(("Retry-After" = u64, description = "seconds")))))]
pub async fn stream(
    State(app): State<App>,
    by: By,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let seen = headers
        .get("last-event-id")
        .map(|v| v.to_str().ok().and_then(|v| v.parse::<i64>().ok()).filter(|n| *n >= 0));
    let seen = match seen {
        Some(None) => return Err(Problem::malformed("Last-Event-ID: expected an event's number")),
        Some(seen) => seen,
        None => None,
    };
    let place = app.watchers.enter(&by.0).await?;
    let ended = place.ended.clone();
    let (oldest, newest) = range(&app.engine.pool).await?;
    let coming = app.feed.watch(newest);
    let lost = seen.is_some_and(|seen| seen > newest || seen + 1 < oldest);
    let last = seen.filter(|_| !lost).unwrap_or(newest);
    let watcher = Watcher {
        _place: place,
        pool: app.engine.pool.clone(),
        last,
        coming,
        missed: Default::default(),
        behind: true,
        reset: lost.then_some(oldest),
    };
    let events = stream::unfold(watcher, async |mut watcher| {
        watcher.next().await.map(|event| (Ok::<_, Infallible>(event), watcher))
    });
    let closing = app.closing.clone();
    let over = async move {
        tokio::select! { () = closing.cancelled() => {}, () = ended.cancelled() => {} }
    };
    let events = futures::StreamExt::take_until(events, over);
    let stream = Stream::new(Box::pin(events)).keep_alive(KeepAlive::new());
    Ok(([("x-accel-buffering", HeaderValue::from_static("no"))], stream))
}
