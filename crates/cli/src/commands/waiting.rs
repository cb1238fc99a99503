//! What waits for a person, with the commands that help: tenants' pieces and held invoices.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::postgres::PgPool;
use yakin_engine::look::{self, WaitingRow};
use yakin_engine::tx::{Role, Tx};

use crate::output::grouped;

/// A tenant's piece that failed or is blocked.
#[derive(Serialize)]
pub struct Waiting {
    #[serde(flatten)]
    row: WaitingRow,
    code: Option<String>,
}

impl Waiting {
    /// What it is and why it waits.
    pub fn line(&self) -> String {
        let row = &self.row;
        let who = self.code.clone().unwrap_or_else(|| row.tenant_id.to_string());
        let why = row.reason.as_deref().unwrap_or("");
        format!("{} run {}: {who} {}: {why}", row.batch_id, row.run_id, row.state)
    }

    /// The command that goes on with it.
    pub fn hint(&self) -> String {
        let (run, held) = (self.row.run_id, self.row.reason.as_deref());
        match (&self.code, held.is_some_and(|reason| reason.starts_with("held:"))) {
            (Some(code), true) => format!(
                "if it is right: yakin unblock {run} --tenant {code} --reason '…'; after mending: yakin rerun {run} --failed"
            ),
            _ => format!("after mending: yakin rerun {run} --failed"),
        }
    }
}

/// What of the runs since an instant waits.
pub async fn waiting(pool: &PgPool, since: Timestamp) -> anyhow::Result<Vec<Waiting>> {
    let rows = look::pieces_waiting(pool, since).await?;
    let tenants = yakin_engine::tenant::all(pool).await?;
    let code =
        |row: &WaitingRow| tenants.iter().find(|t| t.id == row.tenant_id).map(|t| t.code.clone());
    Ok(rows.into_iter().map(|row| Waiting { code: code(&row), row }).collect())
}

/// An invoice that waits for approval.
#[derive(Serialize, sqlx::FromRow)]
pub struct Held {
    number: String,
    total: rust_decimal::Decimal,
    held_reason: Option<String>,
}

impl Held {
    /// What it is and why it is held.
    pub fn line(&self) -> String {
        let why = self.held_reason.as_deref().unwrap_or("");
        format!("held invoice {} of {}: {why}", self.number, grouped(self.total))
    }

    /// The commands that decide.
    pub fn hint(&self) -> String {
        let number = &self.number;
        format!("yakin approve {number} --reason '…'     or     yakin reject {number} --reason '…'")
    }
}

/// All invoices that are held. (At most 100.)
pub async fn held_invoices(pool: &PgPool) -> anyhow::Result<Vec<Held>> {
    let mut tx = Tx::begin(pool, Role::Platform, "", true).await?;
    let held = sqlx::query_as(
        "SELECT number, total, held_reason FROM app.invoices
          WHERE held_at IS NOT NULL AND released_by IS NULL AND state = 'issued' ORDER BY number LIMIT 100",
    )
    .fetch_all(&mut tx)
    .await?;
    tx.commit().await?;
    Ok(held)
}
