//! The laws, one file per theme: what the engine promises, shown on a real PostgreSQL with a clock moved by hand.

mod catch_up;
mod common;
mod firings;
mod locks;
mod needs;
