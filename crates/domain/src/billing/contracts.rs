//! Which contracts a billing engine takes: exactly its own. What another engine has issued of a contract's month counts
//! as issued all the same.

use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use serde_json::Value;
use yakin_engine::days::Days;
use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

use super::input::BillingInput;

/// Who bills a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BillingEngine {
    /// BATCH-302, by usage.
    Saas,
    /// MONTHLY_001, by heads.
    Skillsheet,
}

impl BillingEngine {
    /// Its word in `app.contracts`.
    pub const fn word(self) -> &'static str {
        match self {
            BillingEngine::Saas => "saas",
            BillingEngine::Skillsheet => "skillsheet",
        }
    }

    /// The batch that bills by it.
    pub const fn batch(self) -> &'static str {
        match self {
            BillingEngine::Saas => "BATCH-302",
            BillingEngine::Skillsheet => "MONTHLY_001",
        }
    }
}

/// The tenants with a contract of `month` that `engine` bills, as the platform.
pub async fn payers(tx: &mut Tx, engine: BillingEngine, month: Days) -> Result<Vec<i64>, Stop> {
    Ok(sqlx::query_scalar(include_str!("payers.sql"))
        .bind(month.start.to_sqlx())
        .bind(month.end.to_sqlx())
        .bind(engine.word())
        .fetch_all(tx)
        .await?)
}

/// The tenant's contracts of `month` that `engine` bills, as rows of `T`.
pub(super) async fn of_month<T>(
    tx: &mut Tx,
    engine: BillingEngine,
    month: Days,
) -> Result<Vec<T>, Stop>
where
    T: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow> + Send + Unpin,
{
    Ok(sqlx::query_as(include_str!("load_contracts.sql"))
        .bind(month.start.to_sqlx())
        .bind(month.end.to_sqlx())
        .bind(engine.word())
        .fetch_all(tx)
        .await?)
}

/// What stands of a contract's month.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Documents {
    pub contract_id: i64,
    pub last_revision: i32,
    pub total: Option<Decimal>,
    pub invoice_id: Option<i64>,
    pub number: Option<String>,
    pub snapshot: Option<Value>,
    pub held: bool,
    /// The newest document waits for its mail: it is made, neither held nor void, and nobody has asked for its mail.
    pub unmailed: bool,
}

impl Documents {
    /// The input that a usage-priced document was computed from.
    pub fn billed(&self) -> Option<BillingInput> {
        self.snapshot.clone().and_then(|s| serde_json::from_value::<BillingInput>(s).ok())
    }
}

/// What stands of `month`, for each contract that `engine` bills.
pub(super) async fn documents(
    tx: &mut Tx,
    engine: BillingEngine,
    month: Days,
) -> Result<Vec<Documents>, Stop> {
    Ok(sqlx::query_as(include_str!("load_documents.sql"))
        .bind(month.start.to_sqlx())
        .bind(engine.word())
        .fetch_all(tx)
        .await?)
}
