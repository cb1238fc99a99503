//! The routes: which there are, and who may. One file per resource.

mod alerts;
mod audit;
mod backups;
mod catalogue;
mod cron;
mod dead_letters;
mod deliveries;
pub mod events;
pub mod evidence;
mod firings;
mod invoices;
mod jobs;
mod node;
mod queue;
mod reports;
mod run_acts;
mod runs;
mod switches;
mod tenants;

use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use yakin_engine::access::Role;

use crate::app::App;
use crate::document;
use crate::extract::LONGEST_BODY;
use crate::guard::{Rule, behind, slow_strangers};
use crate::problem::Problem;

/// A call is answered within this time, or told that it could not be; a stream begins within it.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// All routes, those of the document that describes them among them.
pub fn router(app: App) -> Router {
    let rule = |role, scoped| Rule { role, scoped };
    let (router, mut document) = OpenApiRouter::with_openapi(document::begin())
        .merge(open(&app))
        .merge(behind(rule(Role::Viewer, false), &app, viewers()))
        .merge(behind(rule(Role::Viewer, true), &app, tenants_viewers()))
        .merge(behind(rule(Role::Operator, false), &app, operators()))
        .merge(behind(rule(Role::Operator, true), &app, tenants_operators()))
        .merge(behind(rule(Role::Admin, false), &app, admins()))
        .split_for_parts();
    document::name_operations(&mut document);
    let text = node::Text::of(&document);
    router
        .fallback(async || Problem::not_found("there is no such path; /openapi.json lists them"))
        .method_not_allowed_fallback(async || {
            Problem::method("this path takes other methods; see `Allow` and /openapi.json")
        })
        .layer(Extension(text))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(axum::middleware::from_fn(without_nul))
        .layer(axum::middleware::from_fn(in_time))
        .layer(CatchPanicLayer::custom(|_| Problem::defect().into_response()))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
        .layer(SetResponseHeaderLayer::overriding(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .with_state(app)
}

/// Without a token: what scrapers and probes ask, the document, and calls that carry their own proof.
fn open(app: &App) -> OpenApiRouter<App> {
    let mut group = OpenApiRouter::new()
        .routes(routes!(node::metrics))
        .routes(routes!(node::openapi))
        .routes(routes!(node::reader))
        .routes(routes!(cron::trigger));
    document::operations(group.get_openapi_mut()).for_each(document::say_usual);
    let group =
        group.route_layer(axum::middleware::from_fn_with_state(app.clone(), slow_strangers));
    group.merge(probes())
}

/// What watches over nodes: answered at any pace, since a flood of strangers must not make a node look dead.
fn probes() -> OpenApiRouter<App> {
    let mut group =
        OpenApiRouter::new().routes(routes!(node::healthz)).routes(routes!(node::readyz));
    document::operations(group.get_openapi_mut()).for_each(document::say_usual);
    group
}

fn viewers() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(jobs::status))
        .routes(routes!(jobs::history))
        .routes(routes!(catalogue::list))
        .routes(routes!(catalogue::show))
        .routes(routes!(firings::list))
        .routes(routes!(queue::queues))
        .routes(routes!(queue::jobs))
        .routes(routes!(queue::nodes))
        .routes(routes!(dead_letters::groups))
        .routes(routes!(dead_letters::show))
        .routes(routes!(alerts::list))
        .routes(routes!(switches::overview))
        .routes(routes!(audit::list))
        .routes(routes!(audit::verify))
        .routes(routes!(backups::list))
        .routes(routes!(evidence::month))
        .routes(routes!(events::stream))
}

fn tenants_viewers() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(runs::list))
        .routes(routes!(runs::show))
        .routes(routes!(runs::tenants))
        .routes(routes!(runs::logs))
        .routes(routes!(runs::performance))
        .routes(routes!(tenants::list))
        .routes(routes!(tenants::show))
        .routes(routes!(invoices::list))
        .routes(routes!(invoices::show))
        .routes(routes!(invoices::document))
        .routes(routes!(deliveries::list))
        .routes(routes!(reports::list))
}

fn operators() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(firings::hold))
        .routes(routes!(firings::release))
        .routes(routes!(firings::bypass))
        .routes(routes!(firings::r#move))
        .routes(routes!(run_acts::approve))
        .routes(routes!(run_acts::reject))
        .routes(routes!(run_acts::unblock))
        .routes(routes!(queue::pause))
        .routes(routes!(queue::resume))
        .routes(routes!(queue::drain))
        .routes(routes!(dead_letters::requeue))
        .routes(routes!(dead_letters::discard))
        .routes(routes!(alerts::acknowledge))
        .routes(routes!(invoices::approve))
        .routes(routes!(invoices::reject))
}

fn tenants_operators() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(jobs::execute))
        .routes(routes!(run_acts::rerun))
        .routes(routes!(run_acts::cancel))
}

fn admins() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(catalogue::set))
        .routes(routes!(switches::stop_all))
        .routes(routes!(switches::resume_all))
}

/// PostgreSQL's texts hold no NUL: nothing that is asked for has one in its name.
async fn without_nul(request: Request, next: Next) -> Response {
    let uri = request.uri();
    if uri.path().contains("%00") {
        return Problem::not_found("the path holds a NUL; nothing is named so").into_response();
    }
    if uri.query().is_some_and(|query| query.contains("%00")) {
        return Problem::malformed("the query holds a NUL").into_response();
    }
    next.run(request).await
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_TIME, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let told = format!("no answer within {} s; try again", ANSWER_TIME.as_secs());
            Problem::unavailable(told).into_response()
        }
    }
}

/// What was done, in one sentence.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Said {
    #[schema(example = "run 118 is told to stop")]
    pub done: String,
}

impl Said {
    pub fn so(done: impl Into<String>) -> axum::Json<Said> {
        axum::Json(Said { done: done.into() })
    }
}

/// A run that was started.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Started {
    #[schema(example = 118)]
    pub run_id: i64,
}

impl Started {
    /// 202 with where the run can be looked at.
    pub fn at(run_id: i64) -> impl IntoResponse {
        let at = [(header::LOCATION, format!("/admin/batch/runs/{run_id}"))];
        (axum::http::StatusCode::ACCEPTED, at, axum::Json(Started { run_id }))
    }
}
