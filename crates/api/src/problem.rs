//! Answers that are no success, as RFC 9457 `application/problem+json`. None carries SQL, a secret or a path of ours.

use std::borrow::Cow;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use yakin_engine::error::EngineError;

/// What went wrong, and how to mend it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({"type": "urn:yakin:problem:not-found", "title": "not found", "status": 404,
                          "detail": "no run 4711; `yakin runs` lists them"}))]
pub struct Problem {
    /// `urn:yakin:problem:…`; it stays the same for one kind of problem.
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What was wrong with this call, and what was expected.
    detail: String,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

impl Problem {
    fn new(
        status: StatusCode,
        kind: &str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Problem {
        Problem {
            kind: format!("urn:yakin:problem:{kind}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// The call cannot be read: not JSON, no such form of a query.
    pub fn malformed(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "malformed", "malformed request", detail)
    }

    /// No token, or none that is good.
    pub fn unauthorized() -> Problem {
        let detail = "expected `Authorization: Bearer yakin_…`; `yakin token create` makes a token";
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "who are you?", detail)
    }

    /// A signature or secret of `/api/cron` that does not fit.
    pub fn unsigned(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNAUTHORIZED, "unsigned", "not signed", detail)
    }

    /// A good token that may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "forbidden", "not allowed", detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not-found", "not found", detail)
    }

    pub fn method(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "method not allowed", detail)
    }

    /// Not as things stand now.
    pub fn conflict(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, "conflict", "conflict", detail)
    }

    pub fn too_large(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "body too large", detail)
    }

    pub fn media_type(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "not JSON", detail)
    }

    /// The call can be read, and what it says may not be.
    pub fn refused(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", "refused", detail)
    }

    /// Too many calls; with how long to wait.
    pub fn too_many(wait: Duration) -> Problem {
        let seconds = wait.as_secs().max(1);
        let detail = format!("too many calls; try again in {seconds} s");
        let status = StatusCode::TOO_MANY_REQUESTS;
        let problem = Problem::new(status, "too-many", "too many requests", detail);
        Problem { retry_after: Some(wait), ..problem }
    }

    /// What this node does for so many at a time only is being done for others.
    pub fn busy(detail: impl Into<String>) -> Problem {
        let wait = Duration::from_secs(5);
        let detail = format!("{}; try again in {} s", detail.into(), wait.as_secs());
        Problem { detail, ..Problem::too_many(wait) }
    }

    /// Something this node needs is not there now.
    pub fn unavailable(detail: impl Into<String>) -> Problem {
        let problem = Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "not available now",
            detail,
        );
        Problem { retry_after: Some(Duration::from_secs(5)), ..problem }
    }

    /// A defect of ours; it stands in the log.
    pub fn defect() -> Problem {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "defect",
            "a defect of Yakin's",
            "it stands in the node's log",
        )
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Problem {
        match error {
            EngineError::Database { ref source, .. } if beyond(source) => {
                tracing::warn!(%error, "a call was refused");
                Problem::malformed("a value lies beyond what the database can hold")
            }
            EngineError::Database { ref source, .. } if code(source).as_deref() == Some(ENDED) => {
                tracing::warn!(%error, "a call was ended");
                Problem::unavailable(
                    "it took too long, and the database ended it; what reads whole tables (`yakin evidence`, \
                     `yakin audit verify`) takes the time it needs on the command line",
                )
            }
            EngineError::Database { .. } => {
                tracing::error!(%error, "a call failed");
                Problem::unavailable("the database does not answer as it should; try again")
            }
            EngineError::Unknown(detail) => Problem::not_found(detail),
            EngineError::Conflict(detail) => Problem::conflict(detail),
            EngineError::Refused(_) | EngineError::Param(_) => Problem::refused(error.to_string()),
        }
    }
}

/// SQLSTATEs of values that are out of range: numbers, instants, characters.
const BEYOND: [&str; 4] = ["22003", "22008", "22021", "22P05"];

/// SQLSTATE of a statement that the server ended: its time was over.
const ENDED: &str = "57014";

fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(|e| e.code())
}

fn beyond(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| BEYOND.contains(&code.as_ref()))
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, wait) = (self.status(), self.retry_after);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = wait {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}
