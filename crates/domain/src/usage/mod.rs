//! Usage: what each tenant did and took up on a day. BATCH-204 records the service (calls, reports,
//! sessions, files), BATCH-301 the resource view built on it, DAILY_002 the company's and the
//! service's day, which takes over what those two have recorded. Each source is read by one grouped
//! pass over the day for all tenants (`staging`), then each tenant's rows are written as that
//! tenant, only where they differ.

pub mod alerts;
pub mod approaches;
pub mod company;
pub mod estimate;
pub mod kept;
pub mod resources;
pub mod service;
pub mod source;
pub mod staging;
pub mod system;

/// The raw logs, in partitions of a month by `created_at`; a name is its table's and its class's in the policies of
/// retention.
pub const LOGS: [&str; 8] = [
    "api_call_logs",
    "login_logs",
    "report_generation_logs",
    "user_sessions",
    "compute_usage_logs",
    "network_usage_logs",
    "feature_usage_logs",
    "engineer_activity_logs",
];
