//! Reads what a tenant's month is priced from: everything as it stands now, frozen into a [`BillingInput`].

use jiff::ToSpan;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use yakin_engine::days::Days;
use yakin_engine::outcome::{Cause, Stop};
use yakin_engine::tx::Tx;

use super::BillingError;
use super::contracts::{self, BillingEngine, Documents};
use super::input::*;
use super::plan::{contract_days, no_day_twice};

/// A document to be made for one contract.
#[derive(Clone, Debug)]
pub struct Bill {
    pub input: BillingInput,
    /// 0 for the first document of a contract and month.
    pub revision: i32,
    /// The invoice that this document adjusts.
    pub adjusts: Option<i64>,
    /// What stood a billing cycle earlier: that month and its total.
    pub earlier: Option<(Days, Decimal)>,
}

/// A tenant's month, read.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The documents to make.
    pub bills: Vec<Bill>,
    /// Contracts that have their document already.
    pub reused: Vec<i64>,
    /// Earlier months with corrections that cannot be settled here, and why.
    pub left_open: Vec<(Days, String)>,
}

/// Reads the contracts of `month` that are priced by usage. With `again`, contracts that were billed get a document
/// for the difference, and voided ones a new invoice; without, they count as reused.
pub async fn load(tx: &mut Tx, month: Days, released: bool, again: bool) -> Result<Loaded, Stop> {
    let contracts = contracts::of_month(tx, BillingEngine::Saas, month).await?;
    no_day_twice(&contracts, month)?;
    let standing = documents(tx, month).await?;
    let mut loaded = Loaded::default();
    for contract in contracts {
        let before = standing.iter().find(|d| d.contract_id == contract.contract_id);
        match before {
            Some(_) if !again => loaded.reused.push(contract.contract_id),
            _ => loaded.bills.push(bill(tx, month, contract, before, released).await?),
        }
    }
    if let Some(invoice) = loaded.bills.iter_mut().find(|b| b.adjusts.is_none()) {
        let (corrections, left_open) =
            corrections(tx, month, &invoice.input.payer.currency).await?;
        invoice.input.corrections = corrections;
        loaded.left_open = left_open;
    }
    Ok(loaded)
}

async fn bill(
    tx: &mut Tx,
    month: Days,
    contract: Contract,
    before: Option<&Documents>,
    released: bool,
) -> Result<Bill, Stop> {
    let mut input = input(tx, month, contract, released).await?;
    let days = contract_days(&input.contract, month);
    input.differences = differences(tx, days, false).await?;
    let revision = before.map_or(0, |d| d.last_revision + 1);
    if let Some(invoice) = before.filter(|d| d.invoice_id.is_some()) {
        let number = invoice.number.clone().unwrap_or_default();
        if invoice.held {
            let why = format!("invoice {number} is held: approve or reject it first");
            return Err(BillingError::blocked(why).into());
        }
        let Some(billed) = invoice.billed() else {
            let why =
                format!("invoice {number} has no snapshot that an adjustment could start from");
            return Err(BillingError::blocked(why).into());
        };
        if let Some(number) = settled_by_held(tx, days).await? {
            let why = format!(
                "invoice {number}, which settles corrections of these days, is held: approve or reject it first"
            );
            return Err(BillingError::blocked(why).into());
        }
        // What invoices of other months settled since is billed, too: it counts on both sides.
        let settled = differences(tx, days, true).await?;
        input = input.with(&settled);
        input.released |= billed.released;
        input.adjusts = Some(Box::new(billed.alone().with(&settled)));
        let adjusts = invoice.invoice_id;
        return Ok(Bill { input, revision, adjusts, earlier: None });
    }
    let earlier = earlier(tx, &input).await?;
    Ok(Bill { input, revision, adjusts: None, earlier })
}

/// What was billed a cycle earlier (for monthly cycles the month before).
async fn earlier(tx: &mut Tx, input: &BillingInput) -> Result<Option<(Days, Decimal)>, Stop> {
    let months = input.payer.billing_cycle.months();
    let month = Days::month_of(input.period.start.saturating_sub(months.months()));
    let documents = documents(tx, month).await?;
    let same = documents.into_iter().find(|d| d.contract_id == input.contract.contract_id);
    Ok(same.and_then(|d| d.total).map(|total| (month, total)))
}

async fn input(
    tx: &mut Tx,
    period: Days,
    contract: Contract,
    released: bool,
) -> Result<BillingInput, Stop> {
    let (start, end) = (period.start.to_sqlx(), period.end.to_sqlx());
    let payer = payer(tx).await?;
    let plan_changes: Vec<PlanChange> = sqlx::query_as(include_str!("load_plan_changes.sql"))
        .bind(contract.contract_id)
        .bind(start)
        .bind(end)
        .fetch_all(&mut *tx)
        .await?;
    let codes: Vec<String> = plan_changes.iter().map(|c| c.plan_code.clone()).collect();
    let plans = sqlx::query_as(include_str!("load_plans.sql"))
        .bind(codes)
        .bind(start)
        .bind(end)
        .fetch_all(&mut *tx)
        .await?;
    let discounts = sqlx::query_as(include_str!("load_discounts.sql"))
        .bind(start)
        .bind(end)
        .fetch_all(&mut *tx)
        .await?;
    let tax_rates = tax_rates(tx, &payer.country, period).await?;
    let usage = usage(tx, contract_days(&contract, period)).await?;
    Ok(BillingInput {
        format: SNAPSHOT_FORMAT,
        period,
        payer,
        contract,
        plan_changes,
        plans,
        usage,
        differences: Vec::new(),
        discounts,
        tax_rates,
        released,
        corrections: Vec::new(),
        adjusts: None,
    })
}

/// Corrections of earlier months, each beside the month as it has been billed so far. Where a held invoice settles some of
/// a month that is not known: the others wait for the next invoice.
async fn corrections(
    tx: &mut Tx,
    month: Days,
    currency: &str,
) -> Result<(Vec<Correction>, Vec<(Days, String)>), Stop> {
    let months: Vec<jiff_sqlx::Date> =
        sqlx::query_scalar(include_str!("load_corrected_months.sql"))
            .bind(month.start.to_sqlx())
            .fetch_all(&mut *tx)
            .await?;
    let (mut corrections, mut left_open) = (Vec::new(), Vec::new());
    for first in months {
        let earlier = Days::month_of(first.into());
        if let Some(number) = settled_by_held(tx, earlier).await? {
            left_open.push((
                earlier,
                format!("invoice {number}, which settles others of the month, is held"),
            ));
            continue;
        }
        let mut open = differences(tx, earlier, false).await?;
        for billed in documents(tx, earlier).await?.iter().filter_map(Documents::billed) {
            let days = contract_days(&billed.contract, earlier);
            let of_contract = |d: &UsageDifference| days.contains(d.usage_date);
            let differences_open: Vec<_> =
                open.iter().filter(|d| of_contract(d)).cloned().collect();
            if differences_open.is_empty() || billed.payer.currency != currency {
                continue;
            }
            open.retain(|d| !of_contract(d));
            let before = billed.alone().with(&differences(tx, days, true).await?);
            corrections.push(Correction { before, differences: differences_open });
        }
        if !open.is_empty() {
            let why = "the month has no invoice of ours in this currency";
            left_open.push((earlier, why.to_owned()));
        }
    }
    Ok((corrections, left_open))
}

async fn documents(tx: &mut Tx, month: Days) -> Result<Vec<Documents>, Stop> {
    contracts::documents(tx, BillingEngine::Saas, month).await
}

/// The tenant as its invoices name it.
pub(super) async fn payer(tx: &mut Tx) -> Result<Payer, Stop> {
    Ok(sqlx::query_as(include_str!("load_payer.sql")).fetch_one(tx).await?)
}

/// The standard tax rates of `country` in `period`.
pub(super) async fn tax_rates(
    tx: &mut Tx,
    country: &str,
    period: Days,
) -> Result<Vec<TaxRate>, Stop> {
    Ok(sqlx::query_as(include_str!("load_tax_rates.sql"))
        .bind(country)
        .bind(period.start.to_sqlx())
        .bind(period.end.to_sqlx())
        .fetch_all(tx)
        .await?)
}

async fn usage(tx: &mut Tx, days: Days) -> Result<Vec<DailyUsage>, Stop> {
    Ok(sqlx::query_as(include_str!("load_usage.sql"))
        .bind(days.start.to_sqlx())
        .bind(days.end.to_sqlx())
        .fetch_all(&mut *tx)
        .await?)
}

async fn differences(tx: &mut Tx, days: Days, settled: bool) -> Result<Vec<UsageDifference>, Stop> {
    Ok(sqlx::query_as(include_str!("load_differences.sql"))
        .bind(days.start.to_sqlx())
        .bind(days.end.to_sqlx())
        .bind(settled)
        .fetch_all(&mut *tx)
        .await?)
}

async fn settled_by_held(tx: &mut Tx, days: Days) -> Result<Option<String>, Stop> {
    Ok(sqlx::query_scalar(include_str!("settled_by_held.sql"))
        .bind(days.start.to_sqlx())
        .bind(days.end.to_sqlx())
        .fetch_optional(&mut *tx)
        .await?)
}

/// Binds the month's usage to the document about to be issued: its days count as billed from here on, and they must
/// still be what was priced. To be called in the issuing transaction, before anything else in it.
pub async fn bind_usage(tx: &mut Tx, input: &BillingInput) -> Result<(), Stop> {
    let days = contract_days(&input.contract, input.period);
    let (start, end) = (days.start.to_sqlx(), days.end.to_sqlx());
    sqlx::query(include_str!("bind_usage.sql")).bind(start).bind(end).execute(&mut *tx).await?;
    let unsettled: Vec<jiff_sqlx::Date> = sqlx::query_scalar(include_str!("unsettled_usage.sql"))
        .bind(start)
        .bind(end)
        .fetch_all(&mut *tx)
        .await?;
    if !unsettled.is_empty() {
        let days: Vec<Date> = unsettled.into_iter().map(Date::from).collect();
        let days = super::usage::named(&days);
        return Err(moved(format!("usage of {days} changed and is not aggregated yet")));
    }
    if usage(tx, days).await? != input.usage {
        let month = input.period;
        return Err(moved(format!("usage of {month} changed while it was priced")));
    }
    Ok(())
}

fn moved(message: String) -> Stop {
    Stop::retry(Cause::LockConflict, message)
}
