//! How the service performed in a week (WEEKLY_002): hours of requests counted once and merged, compared with the week
//! before; the database week by week; the report of both.

pub mod analyse;
pub mod changes;
pub mod chapters;
pub mod database;
pub mod durations;
pub mod hours;
pub mod week;

pub use chapters::Report;
pub use week::Week;

/// The report's key among those of the platform.
pub const PERFORMANCE: &str = "performance-week";
