//! The specifications' routes, in their own words (camelCase): a batch is a job there, its slug the job's name.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::postgres::PgPool;
use utoipa::{IntoParams, ToSchema};
use yakin_engine::look::{self, Day, Instant, RunFilter, RunRow};
use yakin_engine::operate::runs::{Begun, Once, Wanted, start_once};
use yakin_engine::record::audit::Act;
use yakin_engine::spec::Scope;
use yakin_engine::tenant;

use crate::app::{App, act};
use crate::extract::{Asked, Body, Named, known, once, reason};
use crate::guard::By;
use crate::page::{self, Page};
use crate::problem::Problem;

/// What to run.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"parameters": {"dryRun": false, "targetDate": "2024-01-01"}}))]
pub struct Execute {
    pub parameters: Parameters,
    /// Why; it stands in the audit.
    #[schema(min_length = 1, max_length = 500, pattern = r"\S")]
    pub reason: Option<String>,
}

/// How to run it. Beside these, the batch's own parameters by name (`GET /admin/batch/catalogue/{batch}` lists them).
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub struct Parameters {
    /// Plan only: the same code, nothing written, nothing sent.
    #[serde(rename = "dryRun")]
    pub dry_run: bool,
    /// Any day of the period to work on; without it, the period that is due today.
    #[serde(rename = "targetDate")]
    #[schema(value_type = Option<String>, format = Date, example = "2024-01-01")]
    pub target_date: Option<Date>,
    /// Codes of the only tenants to work for; without them, all.
    #[schema(max_items = 1000, example = json!(["aoba-joho"]))]
    pub tenants: Vec<String>,
    #[serde(flatten)]
    #[schema(value_type = BTreeMap<String, Scalar>)]
    pub others: BTreeMap<String, Value>,
}

/// A parameter's value.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes values in the document")]
enum Scalar {
    Text(String),
    Number(i64),
    Truth(bool),
}

/// A run that was asked for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    #[schema(example = 118)]
    pub run_id: i64,
    #[schema(example = "usage-aggregation")]
    pub job_name: &'static str,
    #[schema(example = "BATCH-204")]
    pub batch_id: &'static str,
    /// An earlier call under the same key had started it.
    pub repeated: bool,
}

impl Accepted {
    /// 202 with where the run can be looked at.
    pub fn at(app: &App, batch: &str, begun: Begun) -> Result<impl IntoResponse + use<>, Problem> {
        let id = app.batch(batch)?;
        let job_name = app.engine.registry.get(id).map_or(id, |b| b.spec().slug);
        let accepted =
            Accepted { run_id: begun.run, job_name, batch_id: id, repeated: begun.repeated };
        let location = [(header::LOCATION, format!("/admin/batch/runs/{}", begun.run))];
        Ok((StatusCode::ACCEPTED, location, Json(accepted)))
    }
}

/// Run a batch now
///
/// The run goes through the same queue as at night. Under an `Idempotency-Key` a repeated call starts no second run; the
/// key is kept for seven days. A dry run's plan stands in the run once it has ended.
#[utoipa::path(post, path = "/admin/batch/jobs/{jobName}/execute", tag = "jobs",
    params(("jobName" = String, Path, description = "slug or id", example = "usage-aggregation"),
           ("Idempotency-Key" = Option<String>, Header, description = "one key for one request", max_length = 200)),
    // without one: the period that is due, for all
    request_body = Option<Execute>,
    responses((status = 202, description = "the run has been started", body = Accepted,
               headers(("Location" = String, description = "the run"))),
              (status = 409, description = "a run is open that it may not overlap, or the key came with another request",
               body = Problem, content_type = "application/problem+json")))]
pub async fn execute(
    State(app): State<App>,
    by: By,
    Named(job): Named<String>,
    headers: HeaderMap,
    Body(wanted): Body<Option<Execute>>,
) -> Result<impl IntoResponse, Problem> {
    let wanted = wanted.unwrap_or_default();
    let why = wanted.reason.as_deref().map(reason).transpose()?.unwrap_or("started over HTTP");
    let act = act(&by.0, why);
    let once = once(&headers, &act.actor, &request(app.batch(&job)?, &wanted))?;
    let begun = begin(&app, by.tenants(), &job, wanted.parameters, once, &act).await?;
    Accepted::at(&app, &job, begun)
}

/// What is asked for, whatever name the batch was called by.
pub fn request<'a>(batch: &'static str, wanted: &'a Execute) -> impl Serialize + use<'a> {
    (batch, &wanted.parameters)
}

/// Starts the run; a caller of some tenants runs for those, or some of those.
pub async fn begin(
    app: &App,
    scope: Option<&[i64]>,
    job: &str,
    parameters: Parameters,
    once: Option<Once>,
    act: &Act,
) -> Result<Begun, Problem> {
    let engine = &app.engine;
    let id = app.batch(job)?;
    let global = engine.registry.get(id).is_some_and(|b| b.spec().scope == Scope::Global);
    if global && scope.is_some() {
        return Err(Problem::forbidden(format!(
            "{id} works for all tenants at once; the token is for some tenants only"
        )));
    }
    let tenants = wanted_tenants(app, scope, &parameters.tenants).await?;
    let params =
        parameters.others.iter().map(|(name, value)| Ok((name.clone(), text(name, value)?)));
    let day = |day| known("parameters.targetDate", day).map_err(Problem::refused);
    let wanted = Wanted {
        date: parameters.target_date.map(day).transpose()?,
        tenants,
        params: params.collect::<Result<_, Problem>>()?,
        dry_run: parameters.dry_run,
    };
    let now = engine.clock.now();
    Ok(start_once(&engine.pool, &engine.registry, (id, wanted), once.as_ref(), act, now).await?)
}

/// The tenants of these codes; a caller of some tenants finds those alone, and is told the same of another's code as of
/// one that nobody has.
async fn wanted_tenants(
    app: &App,
    scope: Option<&[i64]>,
    codes: &[String],
) -> Result<Vec<i64>, Problem> {
    let pool = &app.engine.pool;
    let Some(scope) = scope else { return Ok(tenant::by_codes(pool, codes).await?) };
    if codes.is_empty() {
        return Ok(scope.to_vec());
    }
    tenant::check_codes(codes)?;
    let known = tenant::all(pool).await?;
    let mine = |code: &String| {
        let found = known.iter().find(|t| t.code == *code && scope.contains(&t.id));
        found.map(|t| t.id).ok_or_else(|| Problem::not_found(format!("unknown tenant '{code}'")))
    };
    codes.iter().map(mine).collect()
}

/// A parameter as an operator would type it.
fn text(name: &str, value: &Value) -> Result<String, Problem> {
    match value {
        Value::String(text) if !text.contains('\0') => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        _ => {
            Err(Problem::refused(format!("parameters.{name}: expected text, a number or a truth")))
        }
    }
}

/// A run in the specifications' words.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobRun {
    pub run_id: i64,
    /// waiting, running, or how it ended: succeeded, partial, failed, skipped, cancelled.
    #[schema(example = "succeeded")]
    pub status: String,
    /// Why it waits, or why it ended so.
    pub reason: Option<String>,
    /// firing, operator, api or rerun.
    #[schema(example = "firing")]
    pub trigger: String,
    /// The first day of its period.
    pub target_date: Option<Day>,
    pub dry_run: bool,
    pub requested_by: String,
    /// The run's "now", in schedule time.
    pub started_at: Instant,
    /// Seconds it took, or has taken so far.
    pub duration: Option<f64>,
    pub tenants_total: i32,
    pub tenants_done: i32,
    pub tenants_blocked: i32,
    pub tenants_failed: i32,
    pub rows_written: i64,
}

impl From<RunRow> for JobRun {
    fn from(run: RunRow) -> JobRun {
        JobRun {
            run_id: run.id,
            status: run.outcome.unwrap_or(run.state),
            reason: run.reason.or(run.waiting_for),
            trigger: run.trigger,
            target_date: run.period_start,
            dry_run: run.dry_run,
            requested_by: run.requested_by,
            started_at: run.run_at,
            duration: run.seconds,
            tenants_total: run.tenants_total,
            tenants_done: run.tenants_done,
            tenants_blocked: run.tenants_blocked,
            tenants_failed: run.tenants_failed,
            rows_written: run.rows_written,
        }
    }
}

/// How a batch stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobStatus {
    #[schema(example = "usage-aggregation")]
    pub job_name: String,
    #[schema(example = "BATCH-204")]
    pub batch_id: String,
    pub title: String,
    pub enabled: bool,
    /// idle, waiting or running.
    #[schema(example = "idle")]
    pub status: &'static str,
    /// When it is planned next.
    pub next_due: Option<Instant>,
    /// The newest run that has not ended.
    pub current_run: Option<JobRun>,
    /// The newest run that has.
    pub last_run: Option<JobRun>,
}

/// How a batch stands
#[utoipa::path(get, path = "/admin/batch/jobs/{jobName}/status", tag = "jobs",
    params(("jobName" = String, Path, description = "slug or id", example = "usage-aggregation")),
    responses((status = 200, description = "its newest runs and its next firing", body = JobStatus)))]
pub async fn status(
    State(app): State<App>,
    Named(job): Named<String>,
) -> Result<impl IntoResponse, Problem> {
    let id = app.batch(&job)?;
    let engine = app.engine.clone();
    let body = app.standings.read(id, move || async move {
        let text = serde_json::to_vec(&standing(&engine.pool, id).await?);
        text.map(Bytes::from).map_err(|error| {
            tracing::error!(%error, "a batch's status is no JSON");
            Problem::defect()
        })
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], body.await?))
}

async fn standing(pool: &PgPool, id: &str) -> Result<JobStatus, Problem> {
    let standing = look::standing(pool, id).await?;
    let (current, last) = (standing.current, standing.last);
    let status = match &current {
        Some(run) if run.state == "waiting" => "waiting",
        Some(_) => "running",
        None => "idle",
    };
    Ok(JobStatus {
        job_name: standing.slug,
        batch_id: id.to_owned(),
        title: standing.title,
        enabled: standing.enabled,
        status,
        next_due: standing.next_due,
        current_run: current.map(JobRun::from),
        last_run: last.map(JobRun::from),
    })
}

/// Which runs of a batch.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    /// How many, 1 to 500; 100 unless said.
    #[param(minimum = 1, maximum = 500, example = 100)]
    pub limit: Option<i64>,
    /// The `next_cursor` of the page before.
    #[param(max_length = 400)]
    pub cursor: Option<String>,
}

/// A batch's runs, newest first
#[utoipa::path(get, path = "/admin/batch/jobs/{jobName}/history", tag = "jobs",
    params(("jobName" = String, Path, description = "slug or id", example = "usage-aggregation"), HistoryQuery),
    responses((status = 200, description = "its runs", body = Page<JobRun>)))]
pub async fn history(
    State(app): State<App>,
    Named(job): Named<String>,
    Asked(query): Asked<HistoryQuery>,
) -> Result<Json<Page<JobRun>>, Problem> {
    let id = app.batch(&job)?;
    let limit = page::limit(query.limit, 100)?;
    let before = page::key(query.cursor.as_deref())?;
    let filter = RunFilter { batch: Some(id), before, limit: limit + 1, ..RunFilter::default() };
    let runs = look::runs_of(&app.engine.pool, &filter).await?;
    let runs: Vec<JobRun> = runs.into_iter().map(JobRun::from).collect();
    Ok(Json(Page::of(runs, limit, |run| run.run_id)))
}
