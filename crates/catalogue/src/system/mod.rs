//! Block 001-099: platform and system management.

use std::sync::Arc;

use yakin_engine::registry::{AnyBatch, entry};

mod b006_token_invalidation;

/// The block's list.
pub const BATCHES: &[fn() -> Arc<dyn AnyBatch>] =
    &[entry::<b006_token_invalidation::TokenInvalidation>];
