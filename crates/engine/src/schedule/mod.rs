//! Firings: written ahead by the planner, started once by the starter, or written and started for what arrives.

pub mod arrivals;
pub mod cron;
pub mod planner;
pub mod starter;
