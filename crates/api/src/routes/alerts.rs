//! Alerts: what is open, and who has taken it on.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use yakin_engine::look::{self, AlertRow};
use yakin_engine::operate::alerts;

use super::Said;
use crate::app::App;
use crate::extract::{Asked, Body, Named, Why};
use crate::guard::By;
use crate::page::Page;
use crate::problem::Problem;

/// Which alerts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AlertsQuery {
    /// Also those resolved.
    #[serde(default)]
    pub all: bool,
}

/// Open alerts, the gravest first; at most 1,000
#[utoipa::path(get, path = "/admin/batch/alerts", tag = "alerts", params(AlertsQuery),
    responses((status = 200, description = "the alerts", body = Page<AlertRow>)))]
pub async fn list(
    State(app): State<App>,
    Asked(query): Asked<AlertsQuery>,
) -> Result<Json<Page<AlertRow>>, Problem> {
    Ok(Json(Page::whole(look::alerts(&app.engine.pool, query.all).await?)))
}

/// Take an alert on: it reminds nobody any more
#[utoipa::path(post, path = "/admin/batch/alerts/{alert}/acknowledge", tag = "alerts",
    params(("alert" = i64, Path, description = "its number", example = 5)),
    request_body = Why,
    responses((status = 200, description = "it is yours", body = Said),
              (status = 409, description = "it is resolved, or somebody else's", body = Problem,
               content_type = "application/problem+json")))]
pub async fn acknowledge(
    State(app): State<App>,
    by: By,
    Named(alert): Named<i64>,
    Body(why): Body<Why>,
) -> Result<Json<Said>, Problem> {
    let act = why.act(&by.0)?;
    alerts::acknowledge(&app.engine.pool, alert, &act, app.engine.clock.now()).await?;
    Ok(Said::so(format!("alert {alert} is acknowledged")))
}
