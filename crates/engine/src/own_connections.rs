//! Connections that the machine keeps for itself: work cannot use them up, their plans stay warm, and an answer that is
//! lost on the way holds nobody up for ever.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgPool;

/// A few connections, made anew when one of them does not answer.
#[derive(Debug)]
pub(crate) struct OwnConnections {
    present: Mutex<PgPool>,
    most: u32,
}

impl OwnConnections {
    /// At most `most` connections to where `pool` goes, opened when they are needed.
    pub fn like(pool: &PgPool, most: u32) -> OwnConnections {
        OwnConnections { present: Mutex::new(fresh(pool, most)), most }
    }

    /// Those of this moment.
    pub fn now(&self) -> PgPool {
        self.present.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Carries out a step over these connections. Where the answer does not come within `limit` (a host that died, a
    /// firewall that forgot the connection: nobody tells the one who waits), the step fails like one whose connection
    /// broke, and what comes next goes over new connections.
    pub async fn within<T>(
        &self,
        limit: Duration,
        step: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        if let Ok(done) = tokio::time::timeout(limit, step).await {
            return done;
        }
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        *present = fresh(&present, self.most);
        let told = format!("no answer of the database within {} s", limit.as_secs());
        Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, told)))
    }
}

fn fresh(like: &PgPool, most: u32) -> PgPool {
    let options = like.options().clone().max_connections(most);
    options.connect_lazy_with(like.connect_options().as_ref().clone())
}
