//! How the service performed in a week (WEEKLY_002): hours of requests counted once and merged, compared with the week
//! before; the database week by week; the report of both, and what became of its files and mails.

pub mod analyse;
pub mod changes;
pub mod chapters;
pub mod database;
pub mod durations;
pub mod hours;
pub mod papers;
pub mod week;

pub use chapters::Report;
pub use week::Week;
