//! The skillsheet specification's jobs: daily, weekly, monthly and real-time work of an engineer-skillsheet service.

use std::sync::Arc;

use yakin_engine::registry::{AnyBatch, entry};

mod daily_001_engineer_status;
mod daily_002_data_aggregation;
mod daily_003_daily_backup;
mod monthly_001_invoice_generation;
mod monthly_002_company;
mod monthly_002_platform;
mod monthly_002_report_generation;
mod realtime_001_periodic_approach;
mod realtime_002_notification_delivery;
mod weekly_001_weekly_maintenance;
mod weekly_002_performance_analysis;

/// The block's list.
pub const BATCHES: &[fn() -> Arc<dyn AnyBatch>] = &[
    entry::<daily_001_engineer_status::EngineerStatus>,
    entry::<daily_002_data_aggregation::DataAggregation>,
    entry::<daily_003_daily_backup::DailyBackup>,
    entry::<monthly_001_invoice_generation::MonthlyInvoiceGeneration>,
    entry::<monthly_002_report_generation::MonthlyReportGeneration>,
    entry::<realtime_001_periodic_approach::PeriodicApproachDelivery>,
    entry::<realtime_002_notification_delivery::NotificationDelivery>,
    entry::<weekly_001_weekly_maintenance::WeeklyMaintenance>,
    entry::<weekly_002_performance_analysis::PerformanceAnalysis>,
];
