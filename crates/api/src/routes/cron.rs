//! `/api/cron/{batchId}`: a batch started from outside, by a signed body (`x-vercel-signature`) or the cron secret.

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use subtle::ConstantTimeEq;
use utoipa::ToSchema;
use yakin_engine::clock::Clock;
use yakin_engine::operate::runs::Once;
use yakin_engine::record::audit::Act;

use super::jobs::{Accepted, Execute, Parameters, begin, request as asked};
use crate::app::App;
use crate::extract::{Named, bytes, digest, once, read};
use crate::guard::{bearer, peer};
use crate::problem::Problem;

/// A signed body is good for so long before and after its `createdAt`, in seconds.
const WINDOW_SECONDS: i64 = 300;

/// What a call says.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"createdAt": 1767225600000_i64, "batchId": "BATCH-204"}))]
pub struct Trigger {
    /// When the body was signed, in milliseconds since 1970; a signed body must say it.
    #[serde(rename = "createdAt")]
    pub created_at: Option<i64>,
    /// The batch it is for, by id or slug: whoever signs for several batches at one instant says it, so that each has a
    /// body and a signature of its own.
    #[serde(rename = "batchId")]
    #[schema(max_length = 200)]
    pub batch_id: Option<String>,
    /// As for `execute`.
    pub parameters: Parameters,
}

/// Run a batch from a cron of outside
///
/// Either the body is signed: `x-vercel-signature` is the HMAC-SHA1 of the body under the cron secret, in hex, and
/// `createdAt` lies within five minutes of now; the same body starts one run, however often it comes; for another
/// batch it is refused. Or the cron secret itself is the bearer; then an `Idempotency-Key` keeps repeated calls from starting a second run.
#[utoipa::path(post, path = "/api/cron/{batchId}", tag = "jobs",
    params(("batchId" = String, Path, description = "id or slug", example = "BATCH-204"),
           ("Idempotency-Key" = Option<String>, Header, description = "one key for one request", max_length = 200)),
    security(("cron" = []), ("signature" = [])),
    // whoever carries the secret need say nothing more
    request_body = Option<Trigger>,
    responses((status = 202, description = "the run has been started, now or by the same call before", body = Accepted,
               headers(("Location" = String, description = "the run"))),
              (status = 401, description = "neither signed nor with the secret, or signed too long ago",
               body = Problem, content_type = "application/problem+json"),
              (status = 409, description = "a run is open that it may not overlap",
               body = Problem, content_type = "application/problem+json")))]
pub async fn trigger(
    State(app): State<App>,
    Named(batch): Named<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<impl IntoResponse, Problem> {
    let from = peer(request.extensions());
    let body = bytes(request, &app).await?;
    let signed = match proof(&app, &headers, &body) {
        Ok(signed) => signed,
        Err(problem) => {
            app.stranger(from)?;
            return Err(problem);
        }
    };
    let said: Option<Trigger> = if body.is_empty() { None } else { read(&body)? };
    let trigger = said.unwrap_or_default();
    let id = app.batch(&batch)?;
    if let Some(other) = trigger.batch_id.filter(|said| app.batch(said).ok() != Some(id)) {
        return Err(Problem::refused(format!("batchId: the body is for '{other}', not for {id}")));
    }
    let wanted = Execute { parameters: trigger.parameters, reason: None };
    let once = match signed {
        Some(signature) => {
            fresh(trigger.created_at, Clock::real().now())?;
            // one key for all batches: taken for another one, the proof is a replay
            let caller = "cron signature".to_owned();
            Some(Once { caller, key: signature, request: digest(&asked(id, &wanted)) })
        }
        None => once(&headers, &format!("cron secret, {id}"), &asked(id, &wanted))?,
    };
    let act = Act { actor: "cron".to_owned(), reason: "triggered over /api/cron".to_owned() };
    let begun = begin(&app, None, &batch, wanted.parameters, once, &act).await?;
    Accepted::at(&app, &batch, begun)
}

/// Whether the call proves that it knows the secret; with the signature where it is signed.
fn proof(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<Option<String>, Problem> {
    let secret = app.settings.cron_secret.as_deref().ok_or_else(|| {
        Problem::unsigned("no cron secret is configured; set [api] cron_secret_file")
    })?;
    if let Some(signature) = headers.get("x-vercel-signature") {
        let told = signature.to_str().ok().and_then(unhex).ok_or_else(|| {
            Problem::unsigned("x-vercel-signature: expected 40 hexadecimal digits")
        })?;
        let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes())
            .map_err(|_| Problem::unsigned("the cron secret cannot be used"))?;
        mac.update(body);
        return match mac.verify_slice(&told) {
            Ok(()) => Ok(Some(hex::encode(told))),
            Err(_) => Err(Problem::unsigned("x-vercel-signature does not fit the body")),
        };
    }
    match bearer(headers) {
        Some(told) if bool::from(told.as_bytes().ct_eq(secret.as_bytes())) => Ok(None),
        Some(_) => Err(Problem::unsigned("the bearer is not the cron secret")),
        None => Err(Problem::unsigned(
            "expected x-vercel-signature, or Authorization: Bearer with the cron secret",
        )),
    }
}

/// Refuses a body that was signed long ago, or will be.
fn fresh(created_at: Option<i64>, now: Timestamp) -> Result<(), Problem> {
    let created = created_at.ok_or_else(|| {
        Problem::unsigned("createdAt is missing; a signed body says when it was signed, in ms")
    })?;
    let behind = now.as_millisecond().saturating_sub(created).saturating_abs();
    if behind > WINDOW_SECONDS * 1000 {
        return Err(Problem::unsigned(format!(
            "createdAt lies {} s from this node's clock, expected at most {WINDOW_SECONDS}",
            behind / 1000
        )));
    }
    Ok(())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    hex::decode(text).ok().filter(|bytes| bytes.len() == 20)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail
    use super::*;

    #[test]
    fn a_signed_body_is_good_for_five_minutes_either_way() {
        let now: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
        let at = |seconds: i64| Some(now.as_millisecond() + seconds * 1000);
        assert!(fresh(at(-300), now).is_ok() && fresh(at(300), now).is_ok());
        for wrong in [at(-301), at(301), None, Some(i64::MIN), Some(i64::MAX)] {
            assert!(fresh(wrong, now).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_signature_is_forty_hexadecimal_digits() {
        assert_eq!(unhex(&"0F".repeat(20)).unwrap(), [15; 20]);
        for wrong in ["", "0f", &"0".repeat(41), &"g".repeat(40), &"é".repeat(20)] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }
}
