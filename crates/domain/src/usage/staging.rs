//! What a run's prepare counted, kept until its tenants have written it: one row per tenant, day
//! and source.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use serde_json::json;
use yakin_engine::days::Days;
use yakin_engine::prelude::*;

use super::source::{Source, Strays, refuse_impossible};

/// Sources of a day, and the statement that names the tenants it is counted for ($1 to $3 as in
/// [`Source`]).
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    pub scope: &'static str,
    pub sources: &'static [Source],
}

impl Recipe {
    /// The logs that it reads.
    pub fn logs(&self) -> Vec<&'static str> {
        self.sources.iter().flat_map(|source| source.logs).copied().collect()
    }
}

/// Counts `day` by the recipe and stages it for every tenant in scope. Reports rows that belong to
/// none of them.
pub async fn stage(run: &PlatformRun, day: Date, recipe: Recipe) -> Result<Strays, Stop> {
    let scope = scope(run, day, recipe.scope).await?;
    stage_sources(run, day, &scope, recipe.sources).await
}

/// Counts `day` from these sources, one pass each, and stages it for the tenants in `scope`.
pub async fn stage_sources(
    run: &PlatformRun,
    day: Date,
    scope: &[i64],
    sources: &[Source],
) -> Result<Strays, Stop> {
    let mut strays = Strays::default();
    for (place, source) in sources.iter().enumerate() {
        run.progress(place as i64, sources.len() as i64).await;
        let counted = run.read(async |tx| source.count(tx, day).await).await?;
        let stray = source.balance(day, &counted, scope)?;
        if stray != Strays::default() {
            let (without, others) = (stray.without_tenant, stray.of_others);
            let rows = json!({"source": source.name, "day": day.to_string(),
                              "without": without, "others": others});
            run.warn("rows without a tenant, or of one that is not counted", rows);
        }
        strays.without_tenant += stray.without_tenant;
        strays.of_others += stray.of_others;
        run.stage(async |tx| {
            sqlx::query(include_str!("stage.sql"))
                .bind(run.id())
                .bind(day.to_sqlx())
                .bind(source.name)
                .bind(source.nothing)
                .bind(scope)
                .bind(counted.iter().map(|c| c.tenant_id).collect::<Vec<_>>())
                .bind(counted.iter().map(|c| c.figures.as_str()).collect::<Vec<_>>())
                .bind(counted.iter().map(|c| c.impossible.as_deref()).collect::<Vec<_>>())
                .execute(tx)
                .await?;
            Ok(())
        })
        .await?;
    }
    Ok(strays)
}

/// The tenants that a statement of scope names for `day`.
pub async fn scope(run: &PlatformRun, day: Date, sql: &'static str) -> Result<Vec<i64>, Stop> {
    let (start, end) = Days::one(day).instants();
    run.read(async |tx| {
        Ok(sqlx::query_scalar(sql)
            .bind(start.to_sqlx())
            .bind(end.to_sqlx())
            .bind(day.to_sqlx())
            .fetch_all(tx)
            .await?)
    })
    .await
}

/// Forgets what this run staged: before a new attempt, and at its end.
pub async fn clear(run: &PlatformRun) -> Result<(), Stop> {
    run.stage(async |tx| forget(tx, run).await).await
}

/// The same together with what a transaction writes.
pub async fn forget(tx: &mut Tx, run: &PlatformRun) -> Result<(), Stop> {
    sqlx::query("DELETE FROM staging.usage_figures WHERE run_id = $1")
        .bind(run.id())
        .execute(tx)
        .await?;
    Ok(())
}

/// The tenants for whom this run staged any day: one that has closed since may have late rows of a day before.
pub async fn roster(run: &PlatformRun) -> Result<Vec<i64>, Stop> {
    run.read(async |tx| {
        Ok(sqlx::query_scalar(
            "SELECT DISTINCT tenant_id FROM staging.usage_figures
              WHERE run_id = $1 ORDER BY tenant_id",
        )
        .bind(run.id())
        .fetch_all(tx)
        .await?)
    })
    .await
}

/// One source's figures of one day, of the tenant that asks.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Staged {
    #[sqlx(try_from = "jiff_sqlx::Date")]
    pub usage_date: Date,
    pub source: String,
    /// A JSON object.
    pub figures: String,
    pub impossible: Option<String>,
}

/// What was staged for this tenant, unless it holds an impossible value.
pub async fn of_tenant(run: &TenantRun) -> Result<Vec<Staged>, Stop> {
    let staged: Vec<Staged> = run
        .read(async |tx| {
            Ok(sqlx::query_as(
                "SELECT usage_date, source, figures::text AS figures, impossible
                   FROM staging.usage_figures
                  WHERE tenant_id = $1 AND run_id = $2 ORDER BY usage_date, source",
            )
            .bind(run.tenant())
            .bind(run.id())
            .fetch_all(tx)
            .await?)
        })
        .await?;
    staged.iter().try_for_each(|s| refuse_impossible(s.usage_date, s.impossible.as_deref()))?;
    Ok(staged)
}

/// The day a run counts, which must be over.
pub fn ended_day(run: &PlatformRun) -> Result<Date, Stop> {
    let period = run.period();
    if run.now() < period.instants().1 {
        return Err(Stop::give_up(
            Cause::Data,
            format!("{period} is not over yet; name an earlier day"),
        ));
    }
    Ok(period.start)
}
