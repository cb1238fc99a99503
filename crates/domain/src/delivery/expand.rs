//! A message becomes delivery rows: one per recipient and channel, each once for ever.

use jiff::Timestamp;
use serde::Serialize;
use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

use super::{Channel, Urgency};

/// A delivery that is wanted. Its key is (tenant, source, source id, recipient, channel): asked for a second time,
/// nothing happens.
#[derive(Clone, Debug, Serialize)]
pub struct NewDelivery {
    /// notification, invoice, digest or approach.
    pub source: &'static str,
    pub source_id: i64,
    pub channel: Channel,
    /// An address, a channel's id, a user's number.
    pub recipient: String,
    /// Who speaks: the tenant over its own relay, or the operator (`platform`).
    pub sender: &'static str,
    pub integration_id: Option<i64>,
    pub setting_id: Option<i64>,
    #[serde(serialize_with = "rank")]
    pub priority: Urgency,
    pub subject: Option<String>,
    pub body: String,
    pub html: Option<String>,
    pub link: Option<String>,
    /// Files of the tenant, by `app.files.file_id`.
    pub attachments: Vec<i64>,
    pub due_at: Timestamp,
    pub expires_at: Timestamp,
}

fn rank<S: serde::Serializer>(urgency: &Urgency, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i16(*urgency as i16)
}

/// Writes the deliveries whose key is new, as the tenant; returns how many. In-app messages have arrived with their
/// row.
pub async fn insert(tx: &mut Tx, wanted: &[NewDelivery], now: Timestamp) -> Result<u64, Stop> {
    if wanted.is_empty() {
        return Ok(0);
    }
    let rows = serde_json::to_value(wanted)
        .map_err(|e| Stop::give_up(yakin_engine::outcome::Cause::Defect, e.to_string()))?;
    let inserted = sqlx::query(include_str!("insert.sql"))
        .bind(rows)
        .bind(jiff_sqlx::Timestamp::from(now))
        .execute(tx)
        .await?;
    Ok(inserted.rows_affected())
}
