//! Alerts: what is open, and who has taken it on.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use yakin_engine::look::{self, AlertKey, AlertRow};
use yakin_engine::operate::alerts;

use super::Said;
use crate::app::App;
use crate::extract::{Asked, Body, Named, Why};
use crate::guard::By;
use crate::page::{self, Page};
use crate::problem::Problem;

/// Which alerts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AlertsQuery {
    /// Also those resolved.
    #[serde(default)]
    pub all: bool,
    /// How many, 1 to 500; 200 unless said.
    #[param(minimum = 1, maximum = 500, example = 200)]
    pub limit: Option<i64>,
    /// The `next_cursor` of the page before.
    #[param(max_length = 400)]
    pub cursor: Option<String>,
}

/// Open alerts, the gravest first; then, where asked for, those resolved
#[utoipa::path(get, path = "/admin/batch/alerts", tag = "alerts", params(AlertsQuery),
    responses((status = 200, description = "the alerts", body = Page<AlertRow>)))]
pub async fn list(
    State(app): State<App>,
    Asked(query): Asked<AlertsQuery>,
) -> Result<Json<Page<AlertRow>>, Problem> {
    let limit = page::limit(query.limit, 200)?;
    let after: Option<AlertKey> = page::key(query.cursor.as_deref())?;
    let pool = &app.engine.pool;
    let alerts = look::alerts_after(pool, query.all, after.as_ref(), limit + 1).await?;
    Ok(Json(Page::of(alerts, limit, key)))
}

fn key(alert: &AlertRow) -> AlertKey {
    let resolved = alert.resolved_at.is_some();
    (resolved, alert.severity.clone(), alert.opened_at.to_jiff(), alert.id)
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
