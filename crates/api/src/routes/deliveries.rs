//! Messages to recipients: whether each arrived. What they say, and to whom exactly, is not shown here.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use yakin_domain::look::{self, DeliveryFilter, DeliveryRow};

use super::runs::word;
use crate::app::App;
use crate::extract::{Asked, text};
use crate::guard::By;
use crate::page::{self, Page};
use crate::problem::Problem;

const CHANNELS: &[&str] = &["email", "slack", "teams", "line_works", "webhook", "sms", "in_app"];
const STATES: &[&str] =
    &["pending", "sending", "retry_wait", "sent", "failed", "expired", "cancelled", "uncertain"];

/// Which messages.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DeliveriesQuery {
    /// Of the tenant of this code only.
    #[param(max_length = 31, example = "aoba-joho")]
    pub tenant: Option<String>,
    /// email, slack, teams, line_works, webhook, sms or in_app.
    #[param(example = "email")]
    pub channel: Option<String>,
    /// pending, sending, retry_wait, sent, failed, expired, cancelled or uncertain.
    #[param(example = "failed")]
    pub state: Option<String>,
    /// How many, 1 to 500; 50 unless said.
    #[param(minimum = 1, maximum = 500, example = 50)]
    pub limit: Option<i64>,
    /// The `next_cursor` of the page before.
    #[param(max_length = 400)]
    pub cursor: Option<String>,
}

/// Messages, those that failed or are uncertain first, in each the newest
///
/// Recipients are masked; neither texts nor attachments are shown.
#[utoipa::path(get, path = "/admin/batch/deliveries", tag = "tenants",
    params(DeliveriesQuery),
    responses((status = 200, description = "the messages", body = Page<DeliveryRow>)))]
pub async fn list(
    State(app): State<App>,
    by: By,
    Asked(query): Asked<DeliveriesQuery>,
) -> Result<Json<Page<DeliveryRow>>, Problem> {
    let limit = page::limit(query.limit, 50)?;
    let after: Option<(i32, i64)> = page::key(query.cursor.as_deref())?;
    let filter = DeliveryFilter {
        tenant: text("tenant", query.tenant.as_deref(), 31)?,
        channel: word(query.channel.as_deref(), "channel", CHANNELS)?,
        state: word(query.state.as_deref(), "state", STATES)?,
        after,
        limit: limit + 1,
    };
    let rows = look::deliveries(&app.engine.pool, by.tenants(), &filter).await?;
    Ok(Json(Page::of(rows, limit, |d| (d.urgency, d.delivery_id))))
}
