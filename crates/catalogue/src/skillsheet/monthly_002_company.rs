//! MONTHLY_002's piece of one company: its report in both forms, registered once, and a mail to each of its contacts.

use serde_json::json;
use yakin_domain::delivery::{NewDelivery, Outside, insert};
use yakin_domain::report::company::{self, Company};
use yakin_domain::report::contacts::{self, Contact, Said};
use yakin_domain::report::month::Months;
use yakin_domain::report::registry::{self, FORMATS, Made, NewForm};
use yakin_domain::report::words::Words;
use yakin_engine::prelude::*;

use crate::report_documents::{Order, forms};

/// What is known before anything is made.
struct Known {
    company: Company,
    made: Vec<Made>,
    contacts: Vec<Contact>,
    /// Its files without their ending.
    key: String,
}

/// Makes what is missing, and asks for the mails that were not asked for yet.
pub async fn company(run: &TenantRun, months: &Months, mailed: bool) -> Outcome {
    let known = run.read(async |tx| known(tx, months).await).await?;
    let made = known.made.len() == FORMATS.len();
    let users = if made { None } else { company::staged_users(run, months.this).await? };
    let new = if made { Vec::new() } else { make(run, months, &known, users).await? };
    let unreachable = unreachable(run, &known, mailed);
    if run.dry_run() {
        return plan(run, months, (&known, users), mailed).await;
    }
    let mut done = Done::default().count("without_address", unreachable);
    run.write(async |tx| {
        if let Some(users) = users {
            done.rows += company::keep_users(tx, months.this, users, run.id()).await? as i64;
        }
        for form in &new {
            if registry::register(tx, form, (run.id(), run.at())).await? {
                done = done.count("files", 1);
                done.rows += 2;
            }
        }
        if mailed {
            let mails = mails(run, tx, months, &known).await?;
            let written = insert(tx, &mails, run.at()).await?;
            done.rows += written as i64;
            done = done.count("mails", written);
        }
        Ok(if done.rows == 0 { done.count("reused", 1).reused() } else { done })
    })
    .await
}

async fn known(tx: &mut Tx, months: &Months) -> Result<Known, Stop> {
    let company = company::company(tx).await?;
    let (code, month) = (&company.code, months.this.start.strftime("%Y-%m"));
    let key = format!("tenant/{code}/reports/{month}/monthly_report_{code}_{month}");
    let made = registry::made(tx, company::KEY, months.this.start).await?;
    Ok(Known { made, contacts: contacts::contacts(tx).await?, company, key })
}

/// Reads the figures and makes the forms that are missing; a dry run only reads.
async fn make(
    run: &TenantRun,
    months: &Months,
    known: &Known,
    users: Option<i64>,
) -> Result<Vec<NewForm>, Stop> {
    let loaded = run.read(async |tx| company::load(tx, months, users).await).await?;
    if run.dry_run() {
        return Ok(Vec::new());
    }
    let missing = loaded.missing();
    let order = Order {
        report: company::KEY,
        first: months.this.start,
        key: &known.key,
        incomplete: missing.as_deref(),
    };
    let made: Vec<&str> = known.made.iter().map(|form| form.format.as_str()).collect();
    forms(run, &loaded.report(months, run.now()), order, &made).await
}

/// Names the contacts without an address; returns how many.
fn unreachable(run: &TenantRun, known: &Known, mailed: bool) -> usize {
    let names: Vec<&str> =
        known.contacts.iter().filter(|c| c.email.is_none()).map(|c| c.name.as_str()).collect();
    if mailed && (known.contacts.is_empty() || !names.is_empty()) {
        let contacts = known.contacts.len();
        let seen =
            json!({"company": known.company.code, "without_address": names, "contacts": contacts});
        run.warn("the report does not reach everybody it is for", seen);
    }
    if mailed { names.len() } else { 0 }
}

async fn mails(
    run: &TenantRun,
    tx: &mut Tx,
    months: &Months,
    known: &Known,
) -> Result<Vec<NewDelivery>, Stop> {
    let outside = Outside::of(run)?;
    let made = registry::made(tx, company::KEY, months.this.start).await?;
    let language = &known.company.language;
    let month = Words::of(language).month(months.this);
    let incomplete = made.iter().find_map(|form| form.incomplete.as_deref()).unwrap_or_default();
    let said = Said { language, tenant: &known.company.name, month: &month, incomplete };
    contacts::mails(&known.contacts, &made, &said, &outside.templates, run.at())
}

/// What a dry run would make and send; the month's users are the one row that it can show.
async fn plan(
    run: &TenantRun,
    months: &Months,
    (known, users): (&Known, Option<i64>),
    mailed: bool,
) -> Outcome {
    run.write(async |tx| {
        let mut done = Done::default();
        if let Some(users) = users {
            done.rows += company::keep_users(tx, months.this, users, run.id()).await? as i64;
        }
        let there = |format: &str| known.made.iter().any(|form| form.format == format);
        for format in FORMATS.into_iter().filter(|format| !there(format)) {
            tx.plan(json!({"file": format!("{}.{format}", known.key)}));
            done = done.count("files", 1);
        }
        for email in known.contacts.iter().filter_map(|c| c.email.as_ref()).filter(|_| mailed) {
            tx.plan(json!({"mail": email}));
        }
        Ok(done)
    })
    .await
}
