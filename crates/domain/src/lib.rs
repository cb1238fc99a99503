//! What several batches share: billing, deliveries, files, health, maintenance, usage, tokens; and the sample world.

pub mod approach;
pub mod backup;
pub mod billing;
pub mod delivery;
pub mod files;
pub mod health;
pub mod maintenance;
pub mod performance;
pub mod report;
pub mod sample;
pub mod tokens;
pub mod usage;
