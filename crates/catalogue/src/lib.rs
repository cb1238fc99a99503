//! The catalogue: every batch of the two specifications that is real, one file each, a list per block.

pub mod data;
mod invoice_documents;
pub mod monitor;
pub mod notify;
mod performance_papers;
pub mod report;
mod report_documents;
pub mod skillsheet;
pub mod system;
pub mod tenant;

use std::sync::Arc;

use yakin_engine::registry::{AnyBatch, Registry};

/// What a batch file needs.
pub mod batch {
    pub use yakin_engine::prelude::*;
}

/// All batches, block by block.
pub fn all() -> Vec<Arc<dyn AnyBatch>> {
    [
        system::BATCHES,
        data::BATCHES,
        report::BATCHES,
        tenant::BATCHES,
        notify::BATCHES,
        monitor::BATCHES,
        skillsheet::BATCHES,
    ]
    .into_iter()
    .flatten()
    .map(|entry| entry())
    .collect()
}

/// The checked catalogue.
pub fn registry() -> Result<Registry, String> {
    Registry::new(all())
}
