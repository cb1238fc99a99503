//! Block 501-599: monitoring and maintenance.

use std::sync::Arc;

use yakin_engine::registry::{AnyBatch, entry};

mod b506_session_management;

/// The block's list.
pub const BATCHES: &[fn() -> Arc<dyn AnyBatch>] =
    &[entry::<b506_session_management::SessionManagement>];
