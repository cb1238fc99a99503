//! Chat integrations of the sample's tenants, their (made-up) credentials sealed like real ones. Only where nothing
//! leaves the machine: a demo whose outgoing calls go into a folder.

use serde_json::{Value, json};
use sqlx::PgConnection;
use yakin_adapters::keys::Keys;

use super::tenant::Tenant;
use crate::delivery::senders::context;

/// Every third tenant has Slack, every third a Teams workflow.
pub(super) async fn integrate(
    connection: &mut PgConnection,
    tenants: &[Tenant],
    keys: &Keys,
) -> Result<(), sqlx::Error> {
    for tenant in tenants {
        let (channel, name, credentials, rate) = match tenant.n % 3 {
            1 => ("slack", "社内Slack", slack(tenant), 60),
            2 => ("teams", "社内Teams", teams(tenant), 30),
            _ => continue,
        };
        // the seal names the row, so the row is there first
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO app.integrations (tenant_id, channel, name, credentials, key_id, rate_per_minute)
             VALUES ($1, $2, $3, '', '', $4) RETURNING integration_id",
        )
        .bind(tenant.tenant_id)
        .bind(channel)
        .bind(name)
        .bind(rate)
        .fetch_one(&mut *connection)
        .await?;
        let sealed = keys
            .seal(credentials.to_string().as_bytes(), &context(tenant.tenant_id, id))
            .map_err(|e| sqlx::Error::Encode(e.to_string().into()))?;
        sqlx::query(
            "UPDATE app.integrations SET credentials = $3, key_id = $4
              WHERE (tenant_id, integration_id) = ($1, $2)",
        )
        .bind(tenant.tenant_id)
        .bind(id)
        .bind(sealed.bytes)
        .bind(sealed.key_id)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

fn slack(tenant: &Tenant) -> Value {
    json!({"token": format!("xoxb-sample-{}", tenant.code)})
}

fn teams(tenant: &Tenant) -> Value {
    json!({"webhooks": {"general": format!("https://teams.example/workflows/{}", tenant.code)}})
}
