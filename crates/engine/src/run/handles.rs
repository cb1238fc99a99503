//! The two handles that work is given: one tenant's piece, or all tenants together.

use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::Attempt;
use crate::look::Waiting;
use crate::outcome::{Cause, Stop};
use crate::record::quiet;
use crate::tx::Tx;

/// A tenant's piece of a run, behind the tenant's wall.
#[derive(Clone, Debug)]
pub struct TenantRun(pub(crate) Arc<Attempt>);

/// A phase of a run for all tenants together.
#[derive(Clone, Debug)]
pub struct PlatformRun(pub(crate) Arc<Attempt>);

impl Deref for TenantRun {
    type Target = Attempt;
    fn deref(&self) -> &Attempt {
        &self.0
    }
}

impl Deref for PlatformRun {
    type Target = Attempt;
    fn deref(&self) -> &Attempt {
        &self.0
    }
}

impl TenantRun {
    /// The tenant's id.
    pub fn tenant(&self) -> i64 {
        self.0.job.tenant
    }
}

impl PlatformRun {
    /// All tenants that are not closed: the usual roster.
    pub async fn open_tenants(&self) -> Result<Vec<i64>, Stop> {
        self.read(async |tx| {
            Ok(sqlx::query_scalar(
                "SELECT tenant_id FROM app.tenants WHERE status <> 'closed' ORDER BY 1",
            )
            .fetch_all(tx)
            .await?)
        })
        .await
    }

    /// What waits for people, and whether the queue is worked off.
    pub async fn waiting(&self) -> Result<Waiting, Stop> {
        let found = crate::look::waiting(&self.0.pool).await;
        found.map_err(|e| Stop::retry(Cause::Database, e.to_string()))
    }

    /// Removes up to `most` runs that came to nothing before an instant, with their firings and attempts; says how many
    /// (in a dry run how many it would).
    pub async fn remove_quiet_runs(&self, before: Timestamp, most: i64) -> Result<i64, Stop> {
        let pool = &self.0.pool;
        Ok(match self.dry_run() {
            true => quiet::count(pool, before, most).await?,
            false => quiet::remove(pool, before, most).await?,
        })
    }

    /// Writes intermediate results into `staging`, also in a dry run, where the fencing token still matches; touching
    /// `app` is refused.
    pub async fn stage<T, F>(&self, work: F) -> Result<T, Stop>
    where
        F: AsyncFnOnce(&mut Tx) -> Result<T, Stop>,
    {
        let mut tx = self.begin_write().await?;
        tx.count_from_here().await?;
        let staged = work(&mut tx).await;
        let touched = match &staged {
            Ok(_) => tx.row_effects().await?,
            Err(_) => json!({}),
        };
        if touched.as_object().is_some_and(|tables| !tables.is_empty()) {
            tx.rollback().await?;
            return Err(Stop::give_up(
                Cause::Defect,
                format!("staging wrote outside staging: {touched}"),
            ));
        }
        match staged {
            Ok(value) => {
                self.keep_hold(&mut tx).await?;
                tx.commit().await?;
                Ok(value)
            }
            Err(stop) => {
                tx.rollback().await?;
                Err(stop)
            }
        }
    }
}
