//! Block 201-299: reports and aggregation.

use std::sync::Arc;

use yakin_engine::registry::{AnyBatch, entry};

mod b204_usage_aggregation;

/// The block's list.
pub const BATCHES: &[fn() -> Arc<dyn AnyBatch>] =
    &[entry::<b204_usage_aggregation::UsageAggregation>];
