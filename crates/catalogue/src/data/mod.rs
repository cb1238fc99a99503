//! Block 101-199: data and backups.

use std::sync::Arc;

use yakin_engine::registry::{AnyBatch, entry};

mod b101_database_backup;

/// The block's list.
pub const BATCHES: &[fn() -> Arc<dyn AnyBatch>] = &[entry::<b101_database_backup::DatabaseBackup>];
