//! Block 301-399: tenants.

use std::sync::Arc;

use yakin_engine::registry::{AnyBatch, entry};

mod b301_tenant_usage;
mod b302_tenant_billing;

/// The block's list.
pub const BATCHES: &[fn() -> Arc<dyn AnyBatch>] = &[
    entry::<b301_tenant_usage::TenantUsageAggregation>,
    entry::<b302_tenant_billing::TenantBilling>,
];
