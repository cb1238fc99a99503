//! Completions without rows of their own go to the database in batches, one statement for many. While the database is
//! away they wait for it, as long as the leases may last.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::PgPool;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::outcome::{Cause, Stop};
use crate::own_connections::OwnConnections;
use crate::queue::LEASE_SECONDS;
use crate::queue::settle::{Settlement, settle};
use crate::record::logs::Kept;
use crate::run::Attempt;

/// At most so many in one statement; and so many more may wait for it.
const BATCH: usize = 500;
/// What is not answered by then is written again, over another connection, while the leases still hold.
const ANSWER: Duration = Duration::from_secs(10);
/// Between two tries while the database is away.
const AGAIN: Duration = Duration::from_millis(500);

struct Item {
    settlement: Settlement,
    attempt: Option<Arc<Attempt>>,
    told: oneshot::Sender<bool>,
}

/// Hands settlements to the task that writes them.
#[derive(Clone, Debug)]
pub struct Settler(mpsc::Sender<Item>);

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.settlement.fmt(f)
    }
}

impl Settler {
    /// Starts the writing task; it ends when the last handle is dropped.
    pub(crate) fn start(connections: Arc<OwnConnections>, clock: Clock) -> Settler {
        let (sender, mut receiver) = mpsc::channel::<Item>(BATCH);
        tokio::spawn(async move {
            let mut items = Vec::with_capacity(BATCH);
            while receiver.recv_many(&mut items, BATCH).await > 0 {
                let settled = write_when_there(&connections, &clock, &items).await;
                for item in items.drain(..) {
                    let _ = item.told.send(settled.contains(&item.settlement.id));
                }
            }
        });
        Settler(sender)
    }

    /// Hands in an attempt's end; the answer is `false` when the token no longer matched (or the database failed). It
    /// waits while a thousand ends or so are not written yet.
    pub async fn hand_in(
        &self,
        settlement: Settlement,
        attempt: Option<Arc<Attempt>>,
    ) -> impl Future<Output = bool> + use<> {
        let (told, answer) = oneshot::channel();
        let sent = self.0.send(Item { settlement, attempt, told }).await;
        async move { sent.is_ok() && answer.await.unwrap_or(false) }
    }
}

/// Writes, and tries again while the database is away: what is known already would else be found out by rescue, half a
/// minute later, as a lost worker. The tokens keep a second writing from doing anything twice.
async fn write_when_there(connections: &OwnConnections, clock: &Clock, items: &[Item]) -> Vec<i64> {
    let (begun, leases) =
        (Instant::now(), Duration::from_secs(LEASE_SECONDS.unsigned_abs().into()));
    loop {
        let pool = connections.now();
        let error = match connections.within(ANSWER, write(&pool, clock, items)).await {
            Ok(settled) => return settled,
            Err(error) => error,
        };
        let (jobs, told) = (items.len(), error.to_string());
        let away = matches!(
            Stop::from(error),
            Stop::Retry { cause: Cause::Database | Cause::LockConflict, .. }
        );
        if !away || begun.elapsed() >= leases {
            // the leases run out and the jobs are rescued: nothing is lost
            tracing::error!(error = told, jobs, "settling jobs failed");
            return Vec::new();
        }
        tracing::warn!(error = told, jobs, "settling jobs failed; tried again");
        tokio::time::sleep(AGAIN).await;
    }
}

async fn write(pool: &PgPool, clock: &Clock, items: &[Item]) -> Result<Vec<i64>, sqlx::Error> {
    let settlements: Vec<&Settlement> = items.iter().map(|i| &i.settlement).collect();
    let attempts = items.iter().filter_map(|i| i.attempt.as_ref());
    let lines: Vec<Kept> = attempts.flat_map(|a| a.lines.kept()).collect();
    settle(pool, &settlements, &lines, clock.now()).await
}
