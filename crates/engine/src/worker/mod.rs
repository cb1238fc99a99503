//! Attempts: claimed jobs are executed, metered, and settled.

pub mod claims;
pub mod cost;
pub mod execute;
pub(crate) mod held;
pub mod pool;
pub mod settler;
