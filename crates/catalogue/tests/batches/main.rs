//! What each batch promises, proven on a PostgreSQL: one file a batch, named like its source.
#![allow(clippy::unwrap_used, clippy::panic)] // a test may fail

mod b006_token_invalidation;
mod b101_database_backup;
mod b101_sets;
mod b204_usage_aggregation;
mod b301_tenant_usage;
mod b302_documents;
mod b302_tenant_billing;
mod b401_notification_dispatch;
mod b402_notification_retry;
mod b406_email_delivery;
mod b506_session_management;
mod billing_world;
mod common;
mod daily_001_engineer_status;
mod daily_002_approach_figures;
mod daily_002_data_aggregation;
mod daily_003_daily_backup;
mod deliveries;
mod monthly_001_invoice_generation;
mod monthly_002_figures;
mod monthly_002_mails;
mod monthly_002_report_generation;
mod realtime_001_periodic_approach;
mod realtime_002_notification_delivery;
mod report_world;
mod vault;
mod weekly_001_weekly_maintenance;
mod weekly_002_performance_analysis;
