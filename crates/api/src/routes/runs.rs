//! Runs: list, one, its tenants, its log, its performance. A token of some tenants sees the runs that were asked for
//! those alone.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use yakin_engine::look::{self, LogRow, PerformanceRow, RunFilter, RunRow, RunTenantRow};

use crate::app::App;
use crate::extract::{Asked, Named};
use crate::guard::By;
use crate::page::{self, Page, PageQuery};
use crate::problem::Problem;

/// Which runs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RunsQuery {
    /// Of this batch only, by id or slug.
    #[param(example = "BATCH-204")]
    pub batch: Option<String>,
    /// waiting, running or ended.
    #[param(example = "ended")]
    pub state: Option<String>,
    /// succeeded, partial, failed, skipped or cancelled.
    #[param(example = "partial")]
    pub outcome: Option<String>,
    /// How many, 1 to 500; 50 unless said.
    #[param(minimum = 1, maximum = 500, example = 50)]
    pub limit: Option<i64>,
    /// The `next_cursor` of the page before.
    #[param(max_length = 400)]
    pub cursor: Option<String>,
}

/// Runs, newest first
#[utoipa::path(get, path = "/admin/batch/runs", tag = "runs", params(RunsQuery),
    responses((status = 200, description = "the runs", body = Page<RunRow>),
              (status = 404, description = "no such batch", body = Problem, content_type = "application/problem+json")))]
pub async fn list(
    State(app): State<App>,
    by: By,
    Asked(query): Asked<RunsQuery>,
) -> Result<Json<Page<RunRow>>, Problem> {
    let batch = query.batch.as_deref().map(|b| app.batch(b)).transpose()?;
    let limit = page::limit(query.limit, 50)?;
    let filter = RunFilter {
        batch,
        state: word(query.state.as_deref(), "state", &["waiting", "running", "ended"])?,
        outcome: word(
            query.outcome.as_deref(),
            "outcome",
            &["succeeded", "partial", "failed", "skipped", "cancelled"],
        )?,
        tenants: by.tenants(),
        before: page::key(query.cursor.as_deref())?,
        limit: limit + 1,
    };
    let mut runs = look::runs_of(&app.engine.pool, &filter).await?;
    if by.tenants().is_some() {
        look::without_phases(&app.engine.pool, &mut runs).await?;
    }
    Ok(Json(Page::of(runs, limit, |run| run.id)))
}

/// One of these words, or none.
pub fn word<'a>(
    asked: Option<&'a str>,
    name: &str,
    words: &[&str],
) -> Result<Option<&'a str>, Problem> {
    match asked {
        Some(word) if !words.contains(&word) => {
            Err(Problem::malformed(format!("{name} is '{word}', expected {}", words.join(", "))))
        }
        other => Ok(other),
    }
}

/// A run that the caller may see, as far as it may.
pub async fn visible(app: &App, by: &By, run: i64) -> Result<RunRow, Problem> {
    let mut row = look::run(&app.engine.pool, run).await?;
    let seen = by.tenants().is_none_or(|scope| {
        row.only_tenants.as_ref().is_some_and(|of| of.iter().all(|t| scope.contains(t)))
    });
    if seen {
        if by.tenants().is_some() {
            look::without_phases(&app.engine.pool, std::slice::from_mut(&mut row)).await?;
        }
        Ok(row)
    } else {
        Err(Problem::not_found(format!("no run {run}; `yakin runs` lists them")))
    }
}

/// One run
///
/// Of a dry run, with its plan.
#[utoipa::path(get, path = "/admin/batch/runs/{run}", tag = "runs",
    params(("run" = i64, Path, description = "its number", example = 118)),
    responses((status = 200, description = "the run", body = RunRow)))]
pub async fn show(
    State(app): State<App>,
    by: By,
    Named(run): Named<i64>,
) -> Result<Json<RunRow>, Problem> {
    visible(&app, &by, run).await.map(Json)
}

/// A run's tenants, troubled ones first
#[utoipa::path(get, path = "/admin/batch/runs/{run}/tenants", tag = "runs",
    params(("run" = i64, Path, description = "its number", example = 118), PageQuery),
    responses((status = 200, description = "how it ended for each", body = Page<RunTenantRow>)))]
pub async fn tenants(
    State(app): State<App>,
    by: By,
    Named(run): Named<i64>,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<RunTenantRow>>, Problem> {
    visible(&app, &by, run).await?;
    let limit = query.limit()?;
    let after = query.key()?;
    let rows = look::run_tenants_after(&app.engine.pool, run, after, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |t| (t.rank, t.tenant_id))))
}

/// How much of a log.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// The newest so many lines, 1 to 500; 100 unless said.
    #[param(minimum = 1, maximum = 500, example = 100)]
    pub limit: Option<i64>,
}

/// The newest lines of a run's log, oldest first
///
/// A token of some tenants gets the lines of their pieces alone, and of a run what it did for them.
#[utoipa::path(get, path = "/admin/batch/runs/{run}/logs", tag = "runs",
    params(("run" = i64, Path, description = "its number", example = 118), LogQuery),
    responses((status = 200, description = "lines", body = Page<LogRow>)))]
pub async fn logs(
    State(app): State<App>,
    by: By,
    Named(run): Named<i64>,
    Asked(query): Asked<LogQuery>,
) -> Result<Json<Page<LogRow>>, Problem> {
    visible(&app, &by, run).await?;
    let limit = page::limit(query.limit, 100)?;
    let lines = look::run_logs(&app.engine.pool, run, by.tenants(), limit).await?;
    Ok(Json(Page::whole(lines)))
}

/// What a run cost, beside earlier ones
///
/// There once it has ended.
#[utoipa::path(get, path = "/admin/batch/runs/{run}/performance", tag = "runs",
    params(("run" = i64, Path, description = "its number", example = 118)),
    responses((status = 200, description = "time, processor and memory", body = PerformanceRow)))]
pub async fn performance(
    State(app): State<App>,
    by: By,
    Named(run): Named<i64>,
) -> Result<Json<PerformanceRow>, Problem> {
    visible(&app, &by, run).await?;
    let found = look::performance(&app.engine.pool, run).await?;
    found.map(Json).ok_or_else(|| Problem::not_found(format!("run {run} has no figures (yet)")))
}
