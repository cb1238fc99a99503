//! What several batches share: billing, deliveries, files, health, maintenance, usage, tokens; what people look at
//! and what auditors get; and the sample world.

pub mod approach;
pub mod backup;
pub mod billing;
pub mod delivery;
pub mod evidence;
pub mod files;
pub mod health;
pub mod look;
pub mod maintenance;
pub mod performance;
pub mod report;
pub mod sample;
pub mod tokens;
pub mod usage;
