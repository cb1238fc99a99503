//! What a tenant took up on a day: BATCH-301's view, built on BATCH-204's record and on the
//! storage, compute, network, feature and login logs.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use serde::Deserialize;
use serde_json::json;
use yakin_engine::prelude::*;

use super::source::{Source, refuse_impossible};
use super::staging::{self, Recipe, Staged};
use super::{alerts, estimate, kept};

/// The difference in money up to which costs are no anomaly, unless a run says otherwise.
pub const COST_FLOOR: i64 = 10_000;

/// Logins that succeeded.
pub const LOGINS: Source = Source {
    name: "logins",
    logs: &["login_logs"],
    sql: include_str!("logins.sql"),
    nothing: r#"{"logins": 0}"#,
};

/// What lay in the storage at the day's end.
pub const STORAGE: Source = Source {
    name: "storage",
    logs: &[],
    sql: include_str!("storage.sql"),
    nothing: r#"{"storage_bytes": 0, "storage_files": 0, "storage_owners": 0,
        "storage_document_bytes": 0, "storage_image_bytes": 0, "storage_other_bytes": 0,
        "last_upload_at": null}"#,
};

/// Uses of each feature.
pub const FEATURES: Source = Source {
    name: "features",
    logs: &["feature_usage_logs"],
    sql: include_str!("features.sql"),
    nothing: r#"{"feature_uses": 0, "feature_users": 0, "feature_seconds": 0, "features": []}"#,
};

/// Where the view comes from, beside BATCH-204.
pub const RECIPE: Recipe = Recipe {
    scope: include_str!("resource_scope.sql"),
    sources: &[
        LOGINS,
        STORAGE,
        Source {
            name: "compute",
            logs: &["compute_usage_logs"],
            sql: include_str!("compute.sql"),
            nothing: r#"{"cpu_seconds": 0, "cpu_percent_mean": null, "cpu_percent_peak": null,
                "memory_mb_seconds": 0, "memory_mb_peak": null, "processes": 0}"#,
        },
        Source {
            name: "network",
            logs: &["network_usage_logs"],
            sql: include_str!("network.sql"),
            nothing: r#"{"network_bytes_in": 0, "network_bytes_out": 0, "connections": 0,
                "connection_seconds_mean": null, "peak_bytes_per_second": null}"#,
        },
        FEATURES,
    ],
};

/// Which columns are refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    All,
    /// What BATCH-204 recorded, and logins.
    Api,
    Storage,
    Compute,
    Network,
    Feature,
}

impl Resource {
    fn takes(self, source: &str) -> bool {
        match self {
            Resource::All => true,
            Resource::Api => source == "logins",
            Resource::Storage => source == "storage",
            Resource::Compute => source == "compute",
            Resource::Network => source == "network",
            Resource::Feature => source == "features",
        }
    }
}

/// Refuses a day of which logs that would be read for `resource` are no longer kept: all, where some tenant has no row of
/// it yet.
pub async fn still_kept(run: &PlatformRun, day: Date, resource: Resource) -> Result<(), Stop> {
    let scope = staging::scope(run, day, RECIPE.scope).await?;
    let only = run.only_tenants().map(<[i64]>::to_vec);
    let whole: bool = run
        .read(async |tx| {
            Ok(sqlx::query_scalar(include_str!("resource_missing.sql"))
                .bind(day.to_sqlx())
                .bind(&scope)
                .bind(&only)
                .fetch_one(tx)
                .await?)
        })
        .await?;
    let read = RECIPE.sources.iter().filter(|source| whole || resource.takes(source.name));
    let logs: Vec<&str> = read.flat_map(|source| source.logs).copied().collect();
    kept::still_kept(run, day, &logs).await
}

/// One tenant's day to be written.
#[derive(Clone, Debug)]
pub struct TenantDay {
    pub tenant: i64,
    pub day: Date,
    /// Figures by source, as JSON objects; later ones win.
    pub figures: Vec<(String, String)>,
    /// The difference in money up to which costs are no anomaly.
    pub cost_floor: i64,
}

impl TenantDay {
    /// From what the run's prepare staged.
    pub fn staged(tenant: i64, day: Date, staged: Vec<Staged>, cost_floor: i64) -> TenantDay {
        let of_day = staged.into_iter().filter(|s| s.usage_date == day);
        TenantDay {
            tenant,
            day,
            figures: of_day.map(|s| (s.source, s.figures)).collect(),
            cost_floor,
        }
    }

    /// From the raw logs, read as the tenant, for a day that has a row: what came from logs that are no longer kept stays
    /// as it is recorded.
    pub async fn counted(run: &TenantRun, day: Date, cost_floor: i64) -> Result<TenantDay, Stop> {
        let mut figures = Vec::new();
        for source in RECIPE.sources {
            if !kept::gone(run, day, source.logs).await?.is_empty() {
                continue;
            }
            figures.push((source.name.to_owned(), source.nothing.to_owned()));
            for own in run.read(async |tx| source.count(tx, day).await).await? {
                refuse_impossible(day, own.impossible.as_deref())?;
                figures.push((source.name.to_owned(), own.figures));
            }
        }
        Ok(TenantDay { tenant: run.tenant(), day, figures, cost_floor })
    }

    fn layers(&self, resource: Resource) -> Vec<String> {
        let taken = self.figures.iter().filter(|(source, _)| resource.takes(source));
        taken.map(|(_, figures)| figures.clone()).collect()
    }
}

/// Writes the day where it differs, then its estimate and its alerts. Blocked while BATCH-204 has
/// no record of the day. A day without a row is written whole, whatever `resource` says; a billed
/// day stays as it is.
pub async fn store(tx: &mut Tx, run: &TenantRun, day: &TenantDay, resource: Resource) -> Outcome {
    let TenantDay { tenant, day: date, .. } = *day;
    let service: Option<(String, bool)> = sqlx::query_as(include_str!("from_service.sql"))
        .bind(tenant)
        .bind(date.to_sqlx())
        .fetch_optional(&mut *tx)
        .await?;
    let Some((service, billed)) = service else {
        return Err(Stop::blocked(format!("usage of {date} from BATCH-204 is missing")));
    };
    let resource = if recorded(tx, tenant, date).await? { resource } else { Resource::All };
    let mut layers = day.layers(resource);
    if matches!(resource, Resource::All | Resource::Api) {
        layers.push(service);
    }
    if billed {
        return left_alone(tx, run, day, &layers).await;
    }
    let rows = write(tx, run.id(), day, &layers).await?;
    estimate::refresh(tx, tenant, date).await?;
    let raised = alerts::raise(tx, run, date, day.cost_floor).await?;
    if !raised.is_empty() {
        let named: Vec<_> = raised.iter().map(|r| format!("{} {}", r.kind, r.level)).collect();
        run.warn("usage alerts", json!({"day": date.to_string(), "raised": named}));
    }
    Ok(Done::rows(rows + raised.len() as i64).count("alerts", raised.len()))
}

async fn recorded(tx: &mut Tx, tenant: i64, day: Date) -> Result<bool, Stop> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM app.tenant_usage_daily
                         WHERE tenant_id = $1 AND usage_date = $2)",
    )
    .bind(tenant)
    .bind(day.to_sqlx())
    .fetch_one(&mut *tx)
    .await?)
}

async fn write(tx: &mut Tx, run_id: i64, day: &TenantDay, layers: &[String]) -> Result<i64, Stop> {
    let stored = sqlx::query(include_str!("resource_store.sql"))
        .bind(day.tenant)
        .bind(day.day.to_sqlx())
        .bind(run_id)
        .bind(layers)
        .execute(&mut *tx)
        .await?;
    let features: i64 = sqlx::query_scalar(include_str!("features_store.sql"))
        .bind(day.tenant)
        .bind(day.day.to_sqlx())
        .bind(layers)
        .fetch_one(&mut *tx)
        .await?;
    Ok(stored.rows_affected() as i64 + features)
}

async fn left_alone(tx: &mut Tx, run: &TenantRun, day: &TenantDay, layers: &[String]) -> Outcome {
    let different: String = sqlx::query_scalar(include_str!("resource_differences.sql"))
        .bind(day.tenant)
        .bind(day.day.to_sqlx())
        .bind(layers)
        .fetch_one(&mut *tx)
        .await?;
    if !different.is_empty() {
        let figures = json!({"day": day.day.to_string(), "figures": different});
        run.warn("a billed day would be different today; it stays as it is", figures);
    }
    Ok(Done::default().count("billed_days_left", 1).reused())
}
