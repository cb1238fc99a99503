//! The machine: firing → run → job → attempt → ledger, all of it rows in one PostgreSQL. Knows no batch, no adapter,
//! no HTTP. Read `spec` and `batch` for what a batch is, `tx` and `run` for what its work may do, `engine` for the loop.

pub mod access;
pub mod batch;
pub mod clock;
pub mod database;
pub mod days;
pub mod engine;
pub mod error;
pub mod look;
pub mod node;
pub mod operate;
pub mod outcome;
mod own_connections;
pub mod params;
pub mod queue;
pub mod record;
pub mod registry;
mod resources;
mod restored;
pub mod run;
pub mod schedule;
pub mod sentinel;
pub mod spec;
pub mod tenant;
pub mod tx;
mod virtual_time;
pub mod worker;

/// What a batch file needs: `use yakin_engine::prelude::*`.
pub mod prelude {
    pub use crate::batch::{Batch, Ended};
    pub use crate::days::Days;
    pub use crate::outcome::{Cause, Done, Outcome, Stop};
    pub use crate::params::{Kind, Param};
    pub use crate::run::{PlatformRun, TenantRun};
    pub use crate::spec::*;
    pub use crate::tx::Tx;
}
