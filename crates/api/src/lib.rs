//! What a node answers over HTTP: metrics for Prometheus, and whether it is alive and ready.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use yakin_engine::engine::Engine;
use yakin_engine::record::metrics::classic;

/// A planner that is silent for longer is not healthy.
const PLANNER_SILENT_SECONDS: f64 = 120.0;

/// The node's routes.
pub fn router(engine: Arc<Engine>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(engine)
}

/// OpenMetrics for who asks for it, as Prometheus does; the classic format for everyone else.
async fn metrics(State(engine): State<Arc<Engine>>, headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let (kind, text) = match engine.metrics.text(&engine.pool).await {
        Ok(text) if accepts.contains("application/openmetrics-text") => {
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", text)
        }
        Ok(text) => ("text/plain; version=0.0.4; charset=utf-8", classic(&text)),
        Err(error) => {
            tracing::error!(%error, "reading metrics failed");
            let told = (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n");
            return told.into_response();
        }
    };
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

async fn healthz(State(engine): State<Arc<Engine>>) -> Response {
    let planner = engine.planner_behind();
    if planner > PLANNER_SILENT_SECONDS {
        let text = format!("the planner has been silent for {planner:.0} s\n");
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    "ok\n".into_response()
}

async fn readyz(State(engine): State<Arc<Engine>>) -> Response {
    match sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(&engine.pool).await {
        Ok(_) => "ready\n".into_response(),
        Err(error) => {
            tracing::error!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response()
        }
    }
}

/// Answers on `listener` until `stop`, then lets open requests end.
pub async fn serve(
    listener: TcpListener,
    engine: Arc<Engine>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, router(engine)).with_graceful_shutdown(stop.cancelled_owned()).await
}
