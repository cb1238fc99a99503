//! Documents, made by real child processes and read back by tools that others wrote.
#![allow(clippy::unwrap_used, clippy::panic)] // a test may fail

mod charts;
mod children;
mod common;
mod invoice;
mod report;
mod templates;
