//! What a call brings: its body, its query, its path. Whatever is wrong with them is told with its place.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use jiff::civil::Date;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use yakin_engine::access::Caller;
use yakin_engine::operate::runs::Once;
use yakin_engine::record::audit::Act;

use crate::problem::Problem;

/// A body may be so long, in bytes.
pub const LONGEST_BODY: usize = 64 * 1024;
/// A name in a path may be so long, in characters.
const LONGEST_NAME: usize = 200;
/// A reason may be so long, in characters.
const LONGEST_REASON: usize = 500;

/// A JSON body; an empty one stands for `{}`.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Problem> {
        let kind =
            request.headers().get(CONTENT_TYPE).map(|v| v.to_str().unwrap_or("?").to_owned());
        let bytes = bytes(request, state).await?;
        if bytes.is_empty() {
            return read(b"{}").map(Body);
        }
        let kind = kind.unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(Problem::media_type(format!(
                "Content-Type is '{kind}', expected application/json"
            )));
        }
        read(&bytes).map(Body)
    }
}

/// The whole body, within its bound.
pub async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejected| {
        if rejected.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return Problem::too_large(format!("a body may have {LONGEST_BODY} bytes"));
        }
        Problem::malformed(format!("the body could not be read: {}", rejected.body_text()))
    })
}

/// JSON text as a value of `T`; what does not fit is named by its path.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    // a struct could be read of a list as well, field by field: no document of ours says so
    let list = text.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[');
    if list && serde_json::from_slice::<IgnoredAny>(text).is_ok() {
        return Err(Problem::refused("the body is a list, expected an object"));
    }
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.into_inner());
        match inner.classify() {
            serde_json::error::Category::Data if path == "." => Problem::refused(inner.to_string()),
            serde_json::error::Category::Data => Problem::refused(format!("{path}: {inner}")),
            _ => Problem::malformed(format!("the body is no JSON: {inner}")),
        }
    })?;
    json.end().map_err(|e| Problem::malformed(format!("the body is no JSON: {e}")))?;
    Ok(value)
}

/// The query of a call.
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Asked<T>, Problem> {
        let asked = Query::<T>::from_request_parts(parts, state).await;
        asked.map(|Query(asked)| Asked(asked)).map_err(|e| Problem::malformed(e.body_text()))
    }
}

/// A piece of the path; one that cannot be is not found.
pub struct Named<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Named<T>, Problem> {
        let named = Path::<T>::from_request_parts(parts, state).await;
        named.map(|Path(named)| Named(named)).map_err(|e| Problem::not_found(e.body_text()))
    }
}

/// The `Idempotency-Key` of a call that may come again, with what it asks for; without one, each call is its own.
pub fn once(
    headers: &HeaderMap,
    caller: &str,
    request: &impl Serialize,
) -> Result<Option<Once>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().map(str::trim).filter(|k| (1..=200).contains(&k.len()));
    let key = key.ok_or_else(|| {
        Problem::malformed("Idempotency-Key: expected 1 to 200 characters of ASCII")
    })?;
    let (caller, key) = (caller.to_owned(), key.to_owned());
    Ok(Some(Once { caller, key, request: digest(request) }))
}

/// SHA-256 of what is asked for.
pub fn digest(request: &impl Serialize) -> [u8; 32] {
    // a request that was read can be written
    Sha256::digest(serde_json::to_vec(request).unwrap_or_default()).into()
}

/// Why something is done; it stands in the audit.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "prices are being checked"}))]
pub struct Why {
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = r"\S",
        example = "prices are being checked"
    )]
    pub reason: String,
}

impl Why {
    /// The caller's act with this reason.
    pub fn act(&self, caller: &Caller) -> Result<Act, Problem> {
        Ok(crate::app::act(caller, reason(&self.reason)?))
    }
}

/// A reason that may stand in the audit.
pub fn reason(text: &str) -> Result<&str, Problem> {
    let reason = text.trim();
    if reason.is_empty() {
        return Err(Problem::refused("reason: it is empty; say why, it stands in the audit"));
    }
    if reason.chars().count() > LONGEST_REASON || reason.contains('\0') {
        return Err(Problem::refused(format!(
            "reason: expected at most {LONGEST_REASON} characters of text"
        )));
    }
    Ok(reason)
}

/// What something is called in a path; a name that cannot be is not there.
pub fn name<'a>(what: &str, text: &'a str) -> Result<&'a str, Problem> {
    if text.contains('\0') || text.chars().count() > LONGEST_NAME {
        return Err(Problem::not_found(format!("no such {what}")));
    }
    Ok(text)
}

/// A text of a query that can be looked for; blanks around it do not count.
pub fn text<'a>(
    name: &str,
    asked: Option<&'a str>,
    longest: usize,
) -> Result<Option<&'a str>, Problem> {
    let Some(text) = asked.map(str::trim) else { return Ok(None) };
    if text.is_empty() || text.contains('\0') || text.chars().count() > longest {
        return Err(Problem::malformed(format!(
            "{name}: expected 1 to {longest} characters of text"
        )));
    }
    Ok(Some(text))
}

/// A day of a query that the database knows.
pub fn day(name: &str, asked: Option<Date>) -> Result<Option<Date>, Problem> {
    asked.map(|day| known(name, day)).transpose().map_err(Problem::malformed)
}

/// A day that the database knows; otherwise what is wrong with it.
pub fn known(name: &str, day: Date) -> Result<Date, String> {
    match day.year() {
        1.. => Ok(day),
        _ => Err(format!("{name} is {day}, expected a day such as 2026-10-31")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        #[serde(rename = "n")]
        _n: u8,
    }

    #[test]
    fn what_does_not_fit_is_named_and_what_is_no_json_is_malformed() {
        let told = |text: &[u8]| read::<Wanted>(text).unwrap_err();
        assert_eq!(told(b"{\"n\": 300}").status(), StatusCode::UNPROCESSABLE_ENTITY);
        let detail = |text: &[u8]| serde_json::to_value(told(text)).unwrap()["detail"].to_string();
        assert!(detail(b"{\"n\": 300}").contains("n: invalid value: integer `300`"));
        assert!(detail(b"{\"m\": 1}").contains("unknown field `m`"));
        for broken in [&b"{"[..], b"{\"n\": 1} {}", b"\xff", b"[1,", b"nul"] {
            assert_eq!(told(broken).status(), StatusCode::BAD_REQUEST, "{broken:?}");
        }
        assert_eq!(told(b"{\"n\": 1} x").status(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn a_reason_says_something() {
        assert_eq!(reason("  because ").unwrap(), "because");
        for wrong in ["", "  \n", "a\0b"] {
            assert!(reason(wrong).is_err());
        }
        assert!(reason(&"あ".repeat(500)).is_ok());
        assert!(reason(&"あ".repeat(501)).is_err());
    }
}
