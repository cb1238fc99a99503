//! What people do: every act takes a reason and stands in the audit, in the same transaction. CLI, API and console
//! call these functions and nothing else.

pub mod alerts;
pub mod dead;
pub mod firings;
pub mod nodes;
pub mod runs;
pub mod settings;
pub mod switches;

use jiff::Timestamp;
use serde_json::Value;
use sqlx::postgres::PgPool;

use crate::error::{Doing, EngineError};
use crate::queue::enqueue::insert_follow_ups;
use crate::record::audit::{Act, record};
use crate::spec::Spec;
use crate::tx::{Role, Tx};

/// An act of a person on business rows of `spec`'s batch: `work` as `role`, the follow-up jobs it asks for, and the
/// audit line, in one transaction.
pub async fn audited<T, F>(
    pool: &PgPool,
    role: Role,
    spec: &Spec,
    (act, action, subject): (&Act, &str, &str),
    now: Timestamp,
    work: F,
) -> Result<T, EngineError>
where
    F: AsyncFnOnce(&mut Tx) -> Result<T, EngineError>,
{
    let doing = "recording an act";
    let mut tx = Tx::begin(pool, role, "", false).await.doing(doing)?;
    let done = async {
        let done = work(&mut tx).await?;
        tx.become_engine().await.doing(doing)?;
        insert_follow_ups(&mut tx, spec, None, now).await.doing(doing)?;
        let details = Value::Object(Default::default());
        record(&mut tx, act, action, subject, details).await.doing(doing)?;
        Ok(done)
    };
    let done = done.await;
    end(tx, doing, done).await
}

/// Commits what was done; rolls back what was refused.
async fn end<T>(
    tx: Tx,
    doing: &'static str,
    done: Result<T, EngineError>,
) -> Result<T, EngineError> {
    match done {
        Ok(done) => tx.commit().await.doing(doing).map(|()| done),
        Err(error) => {
            tx.rollback().await.doing(doing)?;
            Err(error)
        }
    }
}

/// Acts on a batch come one after the other, beside its starter's.
async fn lock_batch(tx: &mut Tx, id: &str, doing: &'static str) -> Result<(), EngineError> {
    sqlx::query("SELECT FROM yakin.batches WHERE id = $1 FOR UPDATE")
        .bind(id)
        .execute(tx.inner().doing(doing)?)
        .await
        .doing(doing)
        .map(|_| ())
}
