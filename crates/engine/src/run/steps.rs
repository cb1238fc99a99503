//! Steps on the way, for work whose effects outside cannot be rolled back: each commits by itself where the attempt
//! still holds its job, and its rows carry the attempt's job and token.

use std::time::Duration;

use jiff::Timestamp;

use super::Attempt;
use crate::outcome::{Cause, Stop};
use crate::tx::Tx;

impl Attempt {
    /// The schedule time of this moment: for rates and stamps. What a run is about goes by [`Attempt::now`].
    pub fn at(&self) -> Timestamp {
        self.clock.now()
    }

    /// The job and the fencing token of this attempt, for rows that say who holds them (`yakin.attempt_holds`).
    pub fn token(&self) -> (i64, i64) {
        (self.job.id, self.job.token)
    }

    /// Carries out long work and tells every two seconds how far it is: (done, total).
    pub async fn telling<T>(
        &self,
        how_far: impl Fn() -> (i64, i64),
        work: impl Future<Output = T>,
    ) -> T {
        let mut beat = tokio::time::interval(Duration::from_secs(2));
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = beat.tick() => {
                    let (done, total) = how_far();
                    self.progress(done, total).await;
                }
            }
        }
    }

    /// Commits what `work` writes, where the fencing token still matches; else nothing, and the attempt ends. A dry
    /// run takes no steps: its work plans acts in [`Attempt::write`] instead.
    pub async fn step<T, F>(&self, work: F) -> Result<T, Stop>
    where
        F: AsyncFnOnce(&mut Tx) -> Result<T, Stop>,
    {
        if self.dry_run() {
            return Err(Stop::give_up(Cause::Defect, "a dry run took a step that would commit"));
        }
        let mut tx = self.begin_write().await?;
        let value = match work(&mut tx).await {
            Ok(value) => value,
            Err(stop) => {
                tx.rollback().await?;
                return Err(stop);
            }
        };
        self.keep_hold(&mut tx).await?;
        self.insert_follow_ups(&mut tx).await?;
        tx.commit().await?;
        Ok(value)
    }
}
