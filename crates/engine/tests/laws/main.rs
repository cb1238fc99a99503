//! The laws, one file per theme: what the engine promises, shown on a real PostgreSQL with a clock moved by hand.

mod cancel;
mod catch_up;
mod common;
mod dead_letters;
mod fairness;
mod fencing;
mod firings;
mod lanes;
mod locks;
mod needs;
mod outcomes;
mod pool;
mod queue;
mod rescue;
