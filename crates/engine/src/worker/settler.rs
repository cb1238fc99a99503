//! Completions without rows of their own go to the database in batches, one statement for many.

use std::sync::Arc;

use sqlx::postgres::PgPool;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::queue::settle::{Settlement, settle};
use crate::queue::settling_label;
use crate::run::Attempt;
use crate::tx::{Role, Tx};

/// At most so many in one transaction.
const BATCH: usize = 500;

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
    pub fn start(pool: PgPool, clock: Clock, node: i64) -> Settler {
        let (sender, mut receiver) = mpsc::channel::<Item>(BATCH);
        tokio::spawn(async move {
            let mut items = Vec::with_capacity(BATCH);
            while receiver.recv_many(&mut items, BATCH).await > 0 {
                let settled = match write(&pool, &clock, node, &items).await {
                    Ok(settled) => settled,
                    Err(error) => {
                        // the leases run out and the jobs are rescued: nothing is lost
                        tracing::error!(%error, jobs = items.len(), "settling jobs failed");
                        Vec::new()
                    }
                };
                for item in items.drain(..) {
                    let _ = item.told.send(settled.contains(&item.settlement.id));
                }
            }
        });
        Settler(sender)
    }

    /// Settles; `false` when the token no longer matched (or the database failed).
    pub async fn settle(&self, settlement: Settlement, attempt: Option<Arc<Attempt>>) -> bool {
        let (told, answer) = oneshot::channel();
        let sent = self.0.send(Item { settlement, attempt, told }).await;
        sent.is_ok() && answer.await.unwrap_or(false)
    }
}

async fn write(
    pool: &PgPool,
    clock: &Clock,
    node: i64,
    items: &[Item],
) -> Result<Vec<i64>, sqlx::Error> {
    let settlements: Vec<Settlement> = items.iter().map(|i| i.settlement.clone()).collect();
    let mut tx = Tx::begin(pool, Role::Engine, &settling_label(node), false).await?;
    let settled = settle(&mut tx, &settlements, clock.now()).await?;
    for attempt in items.iter().filter_map(|i| i.attempt.as_ref()) {
        attempt.lines.store(&mut tx).await?;
    }
    tx.commit().await?;
    Ok(settled)
}
