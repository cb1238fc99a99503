//! What can go wrong at the engine's edge, by what the caller can do about it.

use crate::params::ParamError;

/// An error of an engine call.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The database failed; usually worth another try.
    #[error("{doing}: {}", crate::outcome::database_message(source))]
    Database { doing: &'static str, source: sqlx::Error },
    /// The caller named something that is not there.
    #[error("{0}")]
    Unknown(String),
    /// What the caller wants does not go with how things stand now; later it may.
    #[error("{0}")]
    Conflict(String),
    /// What the caller gave may not be.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Param(#[from] ParamError),
}

impl EngineError {
    /// Something is not there; the reason says what there is.
    pub fn unknown(reason: impl Into<String>) -> EngineError {
        EngineError::Unknown(reason.into())
    }

    /// Not as things stand; the reason says how they stand.
    pub fn conflict(reason: impl Into<String>) -> EngineError {
        EngineError::Conflict(reason.into())
    }

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
