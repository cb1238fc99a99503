//! The ledger: runs and their tenants, log lines, plans of dry runs, performance, alerts, audit.

pub mod advance;
pub mod alert_messages;
pub mod alerts;
pub mod audit;
pub mod events;
pub mod logs;
pub mod metrics;
pub mod performance;
pub mod plan;
pub(crate) mod quiet;
pub(crate) mod roster;
pub mod runs;
pub mod start;
