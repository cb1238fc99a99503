//! Tenants, and how the nights were for one. A token of some tenants sees those alone.

use axum::Json;
use axum::extract::State;
use yakin_domain::look::{self, TenantDetail, TenantRow};

use crate::app::App;
use crate::extract::{Asked, Named, name};
use crate::guard::By;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;

/// Tenants, by code
#[utoipa::path(get, path = "/admin/batch/tenants", tag = "tenants", params(PageQuery),
    responses((status = 200, description = "the tenants", body = Page<TenantRow>)))]
pub async fn list(
    State(app): State<App>,
    by: By,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<TenantRow>>, Problem> {
    let limit = query.limit()?;
    let after: Option<String> = query.key()?;
    let rows = look::tenants(&app.engine.pool, by.tenants(), after.as_deref(), limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |tenant| tenant.code.clone())))
}

/// One tenant: each batch's last outcome, its newest days of use, its newest invoices
#[utoipa::path(get, path = "/admin/batch/tenants/{tenant}", tag = "tenants",
    params(("tenant" = String, Path, description = "its code", example = "aoba-joho")),
    responses((status = 200, description = "the tenant", body = TenantDetail)))]
pub async fn show(
    State(app): State<App>,
    by: By,
    Named(tenant): Named<String>,
) -> Result<Json<TenantDetail>, Problem> {
    let code = name("tenant", &tenant)?;
    Ok(Json(look::tenant(&app.engine.pool, by.tenants(), code).await?))
}
