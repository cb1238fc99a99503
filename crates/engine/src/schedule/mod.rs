//! Firings: written ahead by the planner, started once by the starter.

pub mod cron;
pub mod planner;
pub mod starter;
