//! Outside systems, one file each: the real client, and beside it what tests need to stand in for
//! it.

pub mod answer;
pub mod private_postgres;
pub mod secret;

pub use answer::Answer;
pub use private_postgres::{PrivatePostgres, PrivatePostgresError};
pub use secret::Secret;
