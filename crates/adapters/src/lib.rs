//! Outside systems, one file each: the real client, and beside it what tests need to stand in for
//! it.

pub mod private_postgres;

pub use private_postgres::{PrivatePostgres, PrivatePostgresError};
