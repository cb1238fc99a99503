#![allow(clippy::unwrap_used, clippy::panic)] // a test may fail
//! The admin API over its router: every route and error, who may, hostile calls, live events.

mod business;
mod common;
mod cron;
mod document;
mod events;
mod evidence;
mod firings;
mod hostile;
mod jobs;
mod operate;
mod pages;
mod papers;
mod readings;
mod roles;
mod runs;
mod server;
mod town;
