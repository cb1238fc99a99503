//! The batches: what each says of itself, and what operators set over it.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;
use yakin_engine::look::{self, BatchRow};
use yakin_engine::operate::settings;

use super::Said;
use crate::app::{App, act};
use crate::extract::{Body, Named, reason};
use crate::guard::By;
use crate::page::Page;
use crate::problem::Problem;

/// All batches
#[utoipa::path(get, path = "/admin/batch/catalogue", tag = "catalogue",
    responses((status = 200, description = "specification, next firing and last outcome of each", body = Page<BatchRow>)))]
pub async fn list(State(app): State<App>) -> Result<Json<Page<BatchRow>>, Problem> {
    Ok(Json(Page::whole(look::batches(&app.engine.pool).await?)))
}

/// One batch
#[utoipa::path(get, path = "/admin/batch/catalogue/{batch}", tag = "catalogue",
    params(("batch" = String, Path, description = "id or slug", example = "BATCH-204")),
    responses((status = 200, description = "its specification, parameters and settings", body = BatchRow)))]
pub async fn show(
    State(app): State<App>,
    Named(batch): Named<String>,
) -> Result<Json<BatchRow>, Problem> {
    let id = app.batch(&batch)?;
    let known = look::batch(&app.engine.pool, id).await?;
    known.map(Json).ok_or_else(|| Problem::not_found(format!("no node knows {id} yet")))
}

/// What to set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"key": "timeout", "value": "7200", "reason": "month end is large"}))]
pub struct Setting {
    /// enabled, schedule, timeout, attempts, expected or severity.
    #[schema(example = "timeout")]
    pub key: String,
    /// An empty one takes the setting back to the specification's.
    #[schema(example = "7200")]
    pub value: String,
    #[schema(min_length = 1, max_length = 500, pattern = r"\S", example = "month end is large")]
    pub reason: String,
}

/// Set something over a batch's specification
///
/// All nodes take it at once. Another schedule withdraws the firings that were planned and plans anew.
#[utoipa::path(post, path = "/admin/batch/catalogue/{batch}/settings", tag = "catalogue",
    params(("batch" = String, Path, description = "id or slug", example = "BATCH-204")),
    request_body = Setting,
    responses((status = 200, description = "it is set", body = Said)))]
pub async fn set(
    State(app): State<App>,
    by: By,
    Named(batch): Named<String>,
    Body(setting): Body<Setting>,
) -> Result<Json<Said>, Problem> {
    let act = act(&by.0, reason(&setting.reason)?);
    let (engine, now) = (&app.engine, app.engine.clock.now());
    let id = app.batch(&batch)?;
    let Setting { key, value, .. } = setting;
    if value.contains('\0') || value.len() > 1000 {
        return Err(Problem::refused("value: expected at most 1,000 bytes of text"));
    }
    settings::set(&engine.pool, &engine.registry, id, &key, &value, &act, now).await?;
    let value = if value.is_empty() { "the specification's" } else { &value };
    Ok(Said::so(format!("{id} {key} is now {value}")))
}
