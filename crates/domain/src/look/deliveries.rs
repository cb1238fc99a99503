//! Messages to recipients: whether each arrived. Recipients are masked; what was said is not shown.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::FromRow;
use sqlx::postgres::PgPool;
use utoipa::ToSchema;
use yakin_engine::error::{Doing, EngineError};
use yakin_engine::look::Instant;

use super::{Bound, begin};

/// A message to one recipient over one channel.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct DeliveryRow {
    pub delivery_id: i64,
    /// The tenant's code.
    #[schema(example = "aoba-joho")]
    pub tenant: String,
    /// email, slack, teams, line_works, webhook, sms or in_app.
    #[schema(example = "email")]
    pub channel: String,
    /// Masked.
    #[schema(example = "a***@example.com")]
    pub recipient: String,
    /// pending, sending, retry_wait, sent, failed, expired, cancelled or uncertain.
    #[schema(example = "failed")]
    pub state: String,
    /// What asked for it, such as invoice or notification.
    #[schema(example = "invoice")]
    pub source: String,
    pub source_id: i64,
    /// The batch whose run ended it.
    #[sqlx(skip)]
    #[schema(example = "BATCH-406")]
    pub batch_id: Option<String>,
    /// The run that ended it.
    pub ended_run: Option<i64>,
    pub attempts: i32,
    pub cause: Option<String>,
    /// What the other side said, with addresses masked.
    pub error: Option<String>,
    pub due_at: Instant,
    pub sent_at: Option<Instant>,
    pub created_at: Instant,
    /// Its place in the list: 2 failed or uncertain, 1 expired or open, 0 the others.
    #[serde(skip)]
    #[schema(ignore)]
    pub urgency: i32,
}

/// Which messages are wanted: failed and uncertain ones first, then expired and open ones, then the others; in each
/// the newest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeliveryFilter<'a> {
    /// Of the tenant of this code.
    pub tenant: Option<&'a str>,
    pub channel: Option<&'a str>,
    pub state: Option<&'a str>,
    /// Those behind this urgency and id.
    pub after: Option<(i32, i64)>,
    pub limit: i64,
}

/// The messages that are wanted.
pub async fn deliveries(
    pool: &PgPool,
    bound: Bound<'_>,
    filter: &DeliveryFilter<'_>,
) -> Result<Vec<DeliveryRow>, EngineError> {
    let doing = "reading deliveries";
    let mut tx = begin(pool, bound).await.doing(doing)?;
    let (urgency, id) = filter.after.unzip();
    let mut rows: Vec<DeliveryRow> = sqlx::query_as(include_str!("deliveries.sql"))
        .bind(bound)
        .bind(filter.tenant)
        .bind(filter.channel)
        .bind(filter.state)
        .bind(urgency)
        .bind(id)
        .bind(filter.limit.clamp(1, 10_000))
        .fetch_all(&mut tx)
        .await
        .doing(doing)?;
    tx.commit().await.doing(doing)?;
    let runs: Vec<i64> = rows.iter().filter_map(|r| r.ended_run).collect();
    let batches: Vec<(i64, String)> = sqlx::query_as(
        "SELECT id, batch_id FROM yakin.runs WHERE id = ANY ($1) ORDER BY id LIMIT 10000",
    )
    .bind(&runs)
    .fetch_all(pool)
    .await
    .doing(doing)?;
    let batches: HashMap<i64, String> = batches.into_iter().collect();
    for row in &mut rows {
        row.batch_id = row.ended_run.and_then(|run| batches.get(&run).cloned());
        row.error = row.error.take().map(|error| masked_text(&error, &row.recipient));
        row.recipient = masked(&row.recipient);
    }
    Ok(rows)
}

/// An address of which the owner knows it and nobody else: `a***@example.com`, `+81***78`, `C***`.
pub fn masked(recipient: &str) -> String {
    if let Some((name, domain)) = recipient.rsplit_once('@') {
        let first = name.chars().next().map_or_else(String::new, String::from);
        return format!("{first}***@{domain}");
    }
    let letters: Vec<char> = recipient.chars().collect();
    match letters.as_slice() {
        ['+', a, b, .., y, z] if letters.len() > 7 => format!("+{a}{b}***{y}{z}"),
        [first, ..] => format!("{first}***"),
        [] => "***".to_owned(),
    }
}

/// What the other side said, without the recipient and without anything that looks like an address.
fn masked_text(text: &str, recipient: &str) -> String {
    let text = match recipient {
        "" => text.to_owned(),
        recipient => text.replace(recipient, &masked(recipient)),
    };
    let of_address = |c: char| c.is_alphanumeric() || "._%+-@*".contains(c);
    let (mut out, mut word) = (String::with_capacity(text.len()), String::new());
    for c in text.chars().chain([' ']) {
        if of_address(c) {
            word.push(c);
            continue;
        }
        match word.contains('@') {
            true => out.push_str(&masked(&word)),
            false => out.push_str(&word),
        }
        word.clear();
        out.push(c);
    }
    out.pop();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_are_masked() {
        for (recipient, told) in [
            ("admin@aoba.example", "a***@aoba.example"),
            ("\"a@b\"@x.example", "\"***@x.example"),
            ("@x.example", "***@x.example"),
            ("+819012345678", "+81***78"),
            ("+8190", "+***"),
            ("C0123456", "C***"),
            ("青葉", "青***"),
            ("", "***"),
        ] {
            assert_eq!(masked(recipient), told);
        }
    }

    #[test]
    fn what_the_other_side_said_names_nobody() {
        let said =
            "550 <Admin@aoba.example>: user admin@aoba.example and hanako.sato@b.example unknown";
        let told = masked_text(said, "Admin@aoba.example");
        assert_eq!(
            told,
            "550 <A***@aoba.example>: user a***@aoba.example and h***@b.example unknown"
        );
        assert_eq!(masked_text("+819012345678 is barred", "+819012345678"), "+81***78 is barred");
        assert_eq!(masked_text("timeout", ""), "timeout");
    }
}
