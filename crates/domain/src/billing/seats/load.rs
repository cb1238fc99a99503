//! Reads what a tenant's month is priced from by heads: everything as it stands now, frozen into a [`SeatInput`].

use jiff::ToSpan;
use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use yakin_engine::days::{Days, after};
use yakin_engine::outcome::{Cause, Stop};
use yakin_engine::tx::Tx;

use super::input::{Headcount, Proration, SNAPSHOT_FORMAT, SeatInput, SeatPlan};
use crate::billing::BillingError;
use crate::billing::contracts::{BillingEngine, documents, of_month};
use crate::billing::input::{Contract, Payer};
use crate::billing::load::{payer, tax_rates};
use crate::billing::plan::{billed_days_of, no_day_twice};

/// An invoice to be made for one contract.
#[derive(Clone, Debug)]
pub struct SeatBill {
    pub input: SeatInput,
    /// 0 for the first document of a contract and month.
    pub revision: i32,
    /// What stood in the month before: that month and its total.
    pub earlier: Option<(Days, Decimal)>,
}

/// A tenant's month, read.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The invoices to make.
    pub bills: Vec<SeatBill>,
    /// Contracts that a person must look at, and why: they get no invoice.
    pub review: Vec<(i64, String)>,
    /// Contracts that have their document already.
    pub reused: Vec<i64>,
    /// Invoices that are ready and whose mail nobody has asked for.
    pub unmailed: Vec<i64>,
}

#[derive(sqlx::FromRow)]
struct Signed {
    #[sqlx(flatten)]
    contract: Contract,
    proration: Proration,
}

/// What is read of a month.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub month: Days,
    /// Only this contract: also where what it had was voided.
    pub contract: Option<i64>,
    /// Missing days count as zero.
    pub released: bool,
    /// The invoice will be mailed: it needs an address to go to.
    pub mailed: bool,
    /// Also what has its document already (a preview of it).
    pub again: bool,
}

/// Reads the contracts of the month that are priced by heads; those with a document count as reused.
pub async fn load(tx: &mut Tx, wanted: Wanted) -> Result<Loaded, Stop> {
    let month = wanted.month;
    let signed: Vec<Signed> = of_month(tx, BillingEngine::Skillsheet, month).await?;
    let contracts: Vec<Contract> = signed.iter().map(|s| s.contract.clone()).collect();
    no_day_twice(&contracts, month)?;
    let standing = documents(tx, BillingEngine::Skillsheet, month).await?;
    let mut loaded = Loaded::default();
    for signed in signed {
        let id = signed.contract.contract_id;
        if wanted.contract.is_some_and(|only| only != id) {
            continue;
        }
        let before = standing.iter().find(|d| d.contract_id == id);
        // a voided one is made anew where a person names the contract
        let voided = before.is_some_and(|d| d.invoice_id.is_none());
        let anew = wanted.again || voided && wanted.contract.is_some();
        match before {
            Some(before) if !anew => {
                loaded.reused.push(id);
                loaded.unmailed.extend(before.invoice_id.filter(|_| before.unmailed));
            }
            _ => {
                let revision = before.map_or(0, |d| d.last_revision + 1);
                match bill(tx, wanted, signed, revision).await {
                    Ok(bill) => loaded.bills.push(bill),
                    Err(Stop::Blocked { reason }) => loaded.review.push((id, reason)),
                    Err(stop) => return Err(stop),
                }
            }
        }
    }
    Ok(loaded)
}

async fn bill(
    tx: &mut Tx,
    wanted: Wanted,
    signed: Signed,
    revision: i32,
) -> Result<SeatBill, Stop> {
    let Signed { contract, proration } = signed;
    let period = wanted.month;
    let days = billed_days_of(&contract, period)?;
    let payer = payer(tx).await?;
    addresses(tx, &payer, wanted.mailed).await?;
    let plan = plan(tx, &contract, days).await?;
    let usage = usage(tx, days).await?;
    let tax_rates = tax_rates(tx, &payer.country, period).await?;
    let month = Days::month_of(period.start.saturating_sub(1.months()));
    let before = documents(tx, BillingEngine::Skillsheet, month).await?;
    let same = before.into_iter().find(|d| d.contract_id == contract.contract_id);
    let earlier = same.and_then(|d| d.total).map(|total| (month, total));
    let released = wanted.released;
    let format = SNAPSHOT_FORMAT;
    let input =
        SeatInput { format, period, payer, contract, proration, plan, usage, tax_rates, released };
    Ok(SeatBill { input, revision, earlier })
}

/// An invoice states where its recipient is, and its mail has somewhere to go.
async fn addresses(tx: &mut Tx, payer: &Payer, mailed: bool) -> Result<(), Stop> {
    let code = &payer.code;
    let empty = |text: &Option<String>| text.as_deref().is_none_or(|t| t.trim().is_empty());
    if empty(&payer.billing_address) {
        return Err(BillingError::blocked(format!("tenant {code} has no billing_address")).into());
    }
    let email: Option<String> = sqlx::query_scalar(
        "SELECT billing_email FROM app.tenants WHERE tenant_id = yakin.current_tenant()",
    )
    .fetch_one(tx)
    .await?;
    if mailed && empty(&email) {
        return Err(BillingError::blocked(format!("tenant {code} has no billing_email")).into());
    }
    Ok(())
}

/// The plan of the last billed day, in the version of that day.
async fn plan(tx: &mut Tx, contract: &Contract, days: Days) -> Result<SeatPlan, Stop> {
    let (id, last) = (contract.contract_id, after(days.end, -1));
    let code: Option<String> = sqlx::query_scalar(
        "SELECT plan_code FROM app.contract_plans
          WHERE tenant_id = yakin.current_tenant() AND contract_id = $1 AND starts_on <= $2
          ORDER BY starts_on DESC LIMIT 1",
    )
    .bind(id)
    .bind(last.to_sqlx())
    .fetch_optional(&mut *tx)
    .await?;
    let code =
        code.ok_or_else(|| BillingError::blocked(format!("contract {id} has no plan on {last}")))?;
    let plan = sqlx::query_as(include_str!("plan.sql"))
        .bind(&code)
        .bind(last.to_sqlx())
        .fetch_optional(tx)
        .await?;
    let unknown = || BillingError::blocked(format!("plan '{code}' is unknown on {last}"));
    Ok(plan.ok_or_else(unknown)?)
}

async fn usage(tx: &mut Tx, days: Days) -> Result<Vec<Headcount>, Stop> {
    Ok(sqlx::query_as(include_str!("usage.sql"))
        .bind(days.start.to_sqlx())
        .bind(days.end.to_sqlx())
        .fetch_all(tx)
        .await?)
}

/// Whether the days are still what was priced: asked in the issuing transaction, before anything else in it.
pub async fn unchanged(tx: &mut Tx, input: &SeatInput) -> Result<(), Stop> {
    let days = billed_days_of(&input.contract, input.period)?;
    if usage(tx, days).await? == input.usage {
        return Ok(());
    }
    let why = format!("usage of {} changed while it was priced", input.period);
    Err(Stop::retry(Cause::LockConflict, why))
}
