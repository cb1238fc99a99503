//! `yakin approve|reject INVOICE`: a held invoice goes on, or becomes void; on the record.

use jiff::Timestamp;
use sqlx::postgres::PgPool;
use yakin_engine::error::{Doing, EngineError};
use yakin_engine::operate::audited;
use yakin_engine::record::audit::Act;
use yakin_engine::tx::Role;

use super::hold::{Decided, reject, release};

/// Releases (`agree`) or voids the held invoice of that number.
pub async fn decide(
    pool: &PgPool,
    number: &str,
    agree: bool,
    act: &Act,
    at: Timestamp,
) -> Result<(), EngineError> {
    let action = if agree { "approve" } else { "reject" };
    audited(pool, Role::Platform, act, action, number, async |tx| {
        let decided = if agree {
            release(tx, number, &act.actor, &act.reason, at).await
        } else {
            reject(tx, number, &act.actor, &act.reason, at).await
        };
        match decided.doing("deciding about an invoice")? {
            Decided::Done => Ok(()),
            Decided::NotHeld => Err(EngineError::refused(format!(
                "no held invoice '{number}'; expected a number such as INV-202610-aoba-0001"
            ))),
        }
    })
    .await
}
