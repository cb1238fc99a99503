//! The laws, one file per theme: what the engine promises, shown on a real PostgreSQL with a clock moved by hand.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests may fail the test

mod alerts;
mod arrivals;
mod audit;
mod cancel;
mod catch_up;
mod chain;
mod common;
mod dead_letters;
mod dry_run;
mod events;
mod fairness;
mod fencing;
mod firings;
mod holds;
mod lanes;
mod ledger;
mod locks;
mod migrations;
mod needs;
mod outcomes;
mod partitions;
mod performance;
mod pool;
mod queue;
mod reclaimed;
mod rescue;
mod sentinel;
mod serving;
mod silence;
mod smoke;
mod snapshot;
mod tenancy;
mod time;
mod virtual_time;
