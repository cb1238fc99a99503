//! What several batches share: billing, usage, tokens; and the sample world.

pub mod billing;
pub mod sample;
pub mod tokens;
pub mod usage;
