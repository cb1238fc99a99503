//! Block 401-499: notices.

use std::sync::Arc;

use yakin_domain::delivery::digest::{Limits, digest, overview};
use yakin_domain::delivery::{Channel, Delivered, Outside, insert};
use yakin_engine::prelude::*;
use yakin_engine::registry::{AnyBatch, entry};

mod b401_notification_dispatch;
mod b402_notification_retry;
mod b406_email_delivery;

/// The block's list.
pub const BATCHES: &[fn() -> Arc<dyn AnyBatch>] = &[
    entry::<b401_notification_dispatch::NotificationDispatch>,
    entry::<b402_notification_retry::NotificationRetry>,
    entry::<b406_email_delivery::EmailDelivery>,
];

/// The tenants with rows of these channels that are due, or that an attempt was sending.
pub(crate) async fn tenants_with(
    run: &PlatformRun,
    channels: &[Channel],
    states: &[&str],
) -> Result<Vec<i64>, Stop> {
    let words: Vec<_> = channels.iter().map(|c| c.word()).collect();
    let now = jiff_sqlx::Timestamp::from(run.now());
    run.read(async |tx| {
        Ok(sqlx::query_scalar(include_str!("tenants_with.sql"))
            .bind(words)
            .bind(states)
            .bind(now)
            .fetch_all(tx)
            .await?)
    })
    .await
}

/// Ends a tenant's piece: what finally failed becomes its digest, what was done its counts. The digest is committed
/// first: it is due although a sender could not be used.
async fn told(run: &TenantRun, outside: &Outside, delivered: &Delivered) -> Outcome {
    run.step(async |tx| {
        let failed = digest(tx, outside, run.id(), run.at()).await?;
        insert(tx, &failed, run.at()).await
    })
    .await?;
    run.write(async |_| delivered.outcome()).await
}

/// Ends a run: what operators should know.
pub(crate) async fn overseen(run: &PlatformRun, channels: &[Channel], limits: Limits) -> Outcome {
    let seen =
        run.read(async |tx| overview(tx, channels, run.id(), run.at(), limits).await).await?;
    Ok(seen.tell(Done::default(), limits))
}
