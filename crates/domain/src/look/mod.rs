//! What people look at of tenants' business: read models that CLI, API and console share. Every list has an order and
//! a limit; a caller who is bound to tenants sees theirs alone.

mod backups;
mod deliveries;
mod document;
mod invoices;
mod reports;
mod tenants;

use sqlx::postgres::PgPool;
use yakin_engine::tx::{Role, Tx};

pub use backups::*;
pub use deliveries::*;
pub use document::*;
pub use invoices::*;
pub use reports::*;
pub use tenants::*;

/// The tenants that a caller is bound to; `None` = all.
pub type Bound<'a> = Option<&'a [i64]>;

/// A read-only transaction for that caller. One tenant's caller stands behind row security; for the others the
/// statements' own `tenant_id = ANY` is the wall, which each of them has.
async fn begin(pool: &PgPool, bound: Bound<'_>) -> Result<Tx, sqlx::Error> {
    let role = match bound {
        Some([one]) => Role::Tenant(*one),
        _ => Role::Platform,
    };
    Tx::begin(pool, role, "", true).await
}
