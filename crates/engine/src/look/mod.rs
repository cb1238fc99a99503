//! What people look at: read models that CLI, API and console share. Every list has an order and a limit.

mod catalogue;
mod firings;
mod machine;
mod moments;
mod people;
mod run_parts;
mod runs;

use serde::Serialize;
use sqlx::FromRow;
use sqlx::postgres::PgPool;
use utoipa::ToSchema;

pub use catalogue::*;
pub use firings::*;
pub use machine::*;
pub use moments::{Day, Instant};
pub use people::*;
pub use run_parts::*;
pub use runs::*;

use crate::error::{Doing, EngineError};

/// What waits for people, and whether the queue is worked off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, FromRow, ToSchema)]
pub struct Waiting {
    /// Nodes that live.
    pub nodes: i64,
    pub dead_letters: i64,
    /// Alerts that are open.
    pub alerts: i64,
    /// Jobs that have been ready for over five minutes.
    pub overdue: i64,
}

/// What waits at this moment.
pub async fn waiting(pool: &PgPool) -> Result<Waiting, EngineError> {
    let found = sqlx::query_as(include_str!("waiting.sql")).fetch_one(pool).await;
    found.doing("reading what waits")
}
