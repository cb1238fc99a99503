//! What a batch itself wants to say to a tenant's people: a notification, which BATCH-401 expands with the others.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::{Value, json};
use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

use super::Urgency;

/// Whom a notification is for where it names no user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    Admin,
    Sales,
}

impl Audience {
    /// Its word in tables.
    pub const fn word(self) -> &'static str {
        match self {
            Audience::Admin => "admin",
            Audience::Sales => "sales",
        }
    }
}

/// A notification that a batch asks for.
#[derive(Clone, Debug)]
pub struct NewNotice {
    /// The kind of message: its template.
    pub key: &'static str,
    pub audience: Audience,
    pub urgency: Urgency,
    /// What the template is filled with.
    pub data: Value,
}

/// Asks for it in the tenant's own transaction, due at once. A batch that commits twice asks twice: ask for it
/// together with what it tells.
pub async fn ask(tx: &mut Tx, notice: &NewNotice, now: Timestamp) -> Result<(), Stop> {
    tx.plan(json!({"tell": notice.audience.word(), "of": notice.key}));
    sqlx::query(
        "INSERT INTO app.notifications (tenant_id, key, priority, audience, data, scheduled_at, created_at)
         VALUES (yakin.current_tenant(), $1, $2, $3, $4, $5, $5)",
    )
    .bind(notice.key)
    .bind(notice.urgency.word())
    .bind(notice.audience.word())
    .bind(&notice.data)
    .bind(now.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}
