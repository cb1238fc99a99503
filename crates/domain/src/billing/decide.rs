//! `yakin approve|reject INVOICE`: a held invoice goes on, or becomes void; on the record.

use jiff::Timestamp;
use serde_json::json;
use sqlx::postgres::PgPool;
use yakin_engine::error::{Doing, EngineError};
use yakin_engine::operate::audited;
use yakin_engine::record::audit::Act;
use yakin_engine::registry::Registry;
use yakin_engine::tenant::PLATFORM;
use yakin_engine::tx::{Role, Tx};

use super::hold::{Released, reject, release};

/// Releases (`agree`) or voids the held invoice of that number. A released one is mailed (once its document is there)
/// and exported by follow-up jobs of the batch that issued it.
pub async fn decide(
    pool: &PgPool,
    registry: &Registry,
    number: &str,
    agree: bool,
    act: &Act,
    at: Timestamp,
) -> Result<(), EngineError> {
    let doing = "deciding about an invoice";
    let not_held = || {
        EngineError::unknown(format!(
            "no held invoice '{number}'; expected a number such as INV-202610-aoba-0001"
        ))
    };
    let batch = issuing_batch(pool, number).await?.ok_or_else(not_held)?;
    let spec = registry.find(&batch).map_err(EngineError::Unknown)?.spec();
    let action = if agree { "approve" } else { "reject" };
    audited(pool, Role::Platform, spec, (act, action, number), at, async |tx| {
        if !agree {
            let voided = reject(tx, number, &act.actor, &act.reason, at).await.doing(doing)?;
            return if voided { Ok(()) } else { Err(not_held()) };
        }
        let released = release(tx, number, &act.actor, &act.reason, at).await.doing(doing)?;
        let Released { tenant_id, invoice_id, run_id, document_ready } =
            released.ok_or_else(not_held)?;
        if document_ready {
            tx.follow_up_of(run_id, "mail", tenant_id, json!({"invoice": invoice_id}));
        }
        tx.follow_up_of(run_id, "export", PLATFORM, json!({}));
        Ok(())
    })
    .await
}

/// The batch whose run issued the invoice of that number.
async fn issuing_batch(pool: &PgPool, number: &str) -> Result<Option<String>, EngineError> {
    let doing = "looking for an invoice";
    let mut tx = Tx::begin(pool, Role::Platform, "", true).await.doing(doing)?;
    let run: Option<i64> = sqlx::query_scalar("SELECT run_id FROM app.invoices WHERE number = $1")
        .bind(number)
        .fetch_optional(&mut tx)
        .await
        .doing(doing)?;
    tx.rollback().await.doing(doing)?;
    sqlx::query_scalar("SELECT batch_id FROM yakin.runs WHERE id = $1")
        .bind(run)
        .fetch_optional(pool)
        .await
        .doing(doing)
}
