//! Usage: what each tenant did and took up on a day. BATCH-204 records the service (calls, reports,
//! sessions, files), BATCH-301 the resource view built on it, DAILY_002 the company's and the
//! service's day, which takes over what those two have recorded. Each source is read by one grouped
//! pass over the day for all tenants (`staging`), then each tenant's rows are written as that
//! tenant, only where they differ.

pub mod alerts;
pub mod company;
pub mod estimate;
pub mod resources;
pub mod service;
pub mod source;
pub mod staging;
pub mod system;
