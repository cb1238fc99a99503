//! Outside systems, one file each: the real client, and beside it what tests need to stand in for
//! it.

pub mod answer;
pub mod archive;
pub mod cache;
pub mod chat;
pub mod excel;
pub mod keys;
pub mod line_works;
pub mod log_files;
pub mod mail;
pub mod open_files;
pub mod outgoing;
pub mod postgres_tools;
pub mod private_postgres;
pub mod secret;
pub mod slack;
pub mod sms;
pub mod storage;
pub mod teams;
pub mod temp_files;
pub mod webhook;

pub use answer::Answer;
pub use cache::{Cache, CacheSettings};
pub use chat::ChatMessage;
pub use keys::{Keys, KeysError};
pub use log_files::{LogFileSettings, LogFiles, LogFilesError};
pub use private_postgres::{PrivatePostgres, PrivatePostgresError};
pub use secret::Secret;
pub use storage::{Storage, StorageError, StorageSettings, Stored};
