//! What can go wrong at the engine's edge, by what the caller can do about it.

use crate::params::ParamError;

/// An error of an engine call.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The database failed; usually worth another try.
    #[error("{doing}: {}", crate::outcome::database_message(source))]
    Database { doing: &'static str, source: sqlx::Error },
    /// The caller named something that is not there or may not be.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Param(#[from] ParamError),
}

impl EngineError {
    /// A refusal with its reason.
    pub fn refused(reason: impl Into<String>) -> EngineError {
        EngineError::Refused(reason.into())
    }
}

/// Names the operation a database error happened in.
pub trait Doing<T> {
    /// `doing` reads like "claiming jobs".
    fn doing(self, doing: &'static str) -> Result<T, EngineError>;
}

impl<T> Doing<T> for Result<T, sqlx::Error> {
    fn doing(self, doing: &'static str) -> Result<T, EngineError> {
        self.map_err(|source| EngineError::Database { doing, source })
    }
}
