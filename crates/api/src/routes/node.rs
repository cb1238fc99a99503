//! This node: metrics for Prometheus, whether it is alive and ready, and the document with its reader.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use utoipa::openapi::OpenApi;
use yakin_engine::record::metrics::classic;

use crate::app::App;
use crate::problem::Problem;

/// A planner that is silent for longer is not healthy.
const PLANNER_SILENT_SECONDS: f64 = 120.0;

/// The document and its reader, written once.
#[derive(Clone)]
pub struct Text {
    json: Arc<str>,
    page: Arc<str>,
}

impl Text {
    pub fn of(document: &OpenApi) -> Text {
        // the document is made of texts: it always can be written
        let mut value = serde_json::to_value(document).unwrap_or_default();
        crate::examples::give(&mut value);
        Text { json: value.to_string().into(), page: crate::reader::page(&value).into() }
    }
}

/// Prometheus metrics
///
/// OpenMetrics for who asks for it, as Prometheus does; the classic format for everyone else.
#[utoipa::path(get, path = "/metrics", tag = "node",
    responses((status = 200, description = "the metrics", content(
        (String = "text/plain"), (String = "application/openmetrics-text")))))]
pub async fn metrics(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    let accepts = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let behind = app.engine.planner_behind();
    let text = app.engine.metrics.text(&app.engine.pool, behind).await.map_err(|error| {
        tracing::error!(%error, "reading metrics failed");
        Problem::unavailable("the database does not answer")
    })?;
    let (kind, text) = if accepts.contains("application/openmetrics-text") {
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", text)
    } else {
        ("text/plain; version=0.0.4; charset=utf-8", classic(&text))
    };
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// Whether the node is alive
///
/// It is not when its planner has been silent for two minutes.
#[utoipa::path(get, path = "/healthz", tag = "node",
    responses((status = 200, description = "it is", body = String, content_type = "text/plain", example = "ok\n")))]
pub async fn healthz(State(app): State<App>) -> Result<&'static str, Problem> {
    let planner = app.engine.planner_behind();
    if planner > PLANNER_SILENT_SECONDS {
        return Err(Problem::unavailable(format!(
            "the planner has been silent for {planner:.0} s"
        )));
    }
    Ok("ok\n")
}

/// Whether the node can answer
///
/// It can while its database does, which is asked once a second.
#[utoipa::path(get, path = "/readyz", tag = "node",
    responses((status = 200, description = "it can", body = String, content_type = "text/plain", example = "ready\n")))]
pub async fn readyz(State(app): State<App>) -> Result<&'static str, Problem> {
    match app.database_answers().await {
        true => Ok("ready\n"),
        false => Err(Problem::unavailable("the database does not answer")),
    }
}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "node",
    responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json")))]
pub async fn openapi(Extension(text): Extension<Text>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], text.json.to_string())
}

/// This document, to read
#[utoipa::path(get, path = "/docs", tag = "node",
    responses((status = 200, description = "a page", body = String, content_type = "text/html")))]
pub async fn reader(Extension(text): Extension<Text>) -> impl IntoResponse {
    let policy = HeaderValue::from_static(
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    );
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(text.page.to_string()))
}
