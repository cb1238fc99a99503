//! The product as its users start it: real processes of `yakin` on a real PostgreSQL.
#![allow(clippy::unwrap_used)] // a test may fail

#[path = "../common/mod.rs"]
mod common;

mod access;
mod alert_mail;
mod api_tour;
mod backups;
mod command_line;
mod enemy;
mod evidence;
mod frozen_node;
mod killed_delivery;
mod log_files;
mod maintenance;
mod metrics;
mod owner;
mod report_list;
mod restores;
mod start_together;
mod stores;
mod two_nodes;
