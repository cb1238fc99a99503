//! The skillsheet specification's jobs: daily, weekly, monthly and real-time work of an engineer-skillsheet service.

use std::sync::Arc;

use yakin_engine::registry::AnyBatch;

/// The block's list.
pub const BATCHES: &[fn() -> Arc<dyn AnyBatch>] = &[];
