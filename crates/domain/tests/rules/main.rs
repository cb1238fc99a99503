//! The rules that batches share.
#![allow(clippy::unwrap_used, clippy::panic)] // a test may fail

mod billing_pricing;
mod billing_seats;
mod sample;
