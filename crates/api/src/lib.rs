//! What a node answers over HTTP: the admin API, the specifications' triggers, metrics and health. A route says what it
//! takes and gives; what it does stands in `operate`, `look` and the domain, where the command line finds it, too.

mod app;
mod document;
mod examples;
mod extract;
mod guard;
mod page;
mod problem;
mod reader;
mod routes;
mod server;
mod together;
mod watchers;

use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use yakin_engine::engine::Engine;

pub use app::Settings;

/// The node's routes.
pub fn router(engine: Arc<Engine>, settings: Settings) -> Router {
    routes::router(app::App::new(engine, settings))
}

/// Answers on `listener` until `stop`, then lets open requests end.
pub async fn serve(
    listener: TcpListener,
    engine: Arc<Engine>,
    settings: Settings,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let app = app::App::new(engine, settings);
    let (closing, settings) = (app.closing.clone(), app.settings.clone());
    server::serve(listener, routes::router(app), &settings, stop, closing).await
}
