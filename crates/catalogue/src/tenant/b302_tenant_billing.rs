//! BATCH-302 テナント課金計算バッチ: one invoice per contract for last month, from its recorded usage; then its document,
//! its mail and the accounting file. A month that differs by more than half from the one before is held for a person.

use serde::Deserialize;
use serde_json::{Value, json};
use yakin_domain::billing::issuer::Issuer;
use yakin_domain::billing::money::sum;
use yakin_domain::billing::{self, Bill, BillingEngine, Document, Loaded};
use yakin_engine::prelude::*;
use yakin_engine::tenant::PLATFORM;

use crate::invoice_documents::{self, issuer_of};

pub struct TenantBilling;

#[derive(Debug, Deserialize)]
pub struct Params {
    force_recalc: bool,
}

impl Batch for TenantBilling {
    type Params = Params;
    const SPEC: Spec = Spec {
        id: "BATCH-302",
        slug: "tenant-billing-calculation",
        title: "テナント課金計算バッチ",
        schedule: cron("0 2 1 * *"),
        catch_up: CatchUp::Every,
        period: Period::MonthBefore,
        window: window(1, 0, 6, 0),
        deadline: None,
        scope: Scope::EachTenant,
        phases: &[Phase::Finish],
        needs: &[every_day("BATCH-301", hours(4))],
        locks: &[],
        overlap: Overlap::Forbid,
        queue: Queue::Default,
        priority: Priority::Highest,
        timeout: mins(180),
        retry: exponential(6, mins(10), mins(160)),
        retry_by_cause: &[
            (Cause::Storage, exponential(4, mins(5), mins(20))),
            (Cause::Overload, exponential(4, mins(5), mins(20))),
        ],
        severity: Severity::Critical,
        expected: mins(180),
        params: &[Param {
            name: "force_recalc",
            kind: Kind::Bool,
            default: Some("false"),
            help: "price a billed month again: the difference becomes an adjustment (one tenant, named)",
        }],
        approval: Approval::None,
        survives_database: false,
    };

    async fn roster(run: &PlatformRun, p: &Params) -> Result<Vec<i64>, Stop> {
        issuer_of(run)?;
        if p.force_recalc && run.only_tenants().map(<[i64]>::len) != Some(1) {
            let why = "force_recalc changes issued invoices: name exactly one tenant";
            return Err(Stop::blocked(why));
        }
        let month = run.period();
        run.read(async |tx| billing::payers(tx, BillingEngine::Saas, month).await).await
    }

    async fn tenant(run: &TenantRun, p: &Params) -> Outcome {
        let month = run.period();
        let loaded = run
            .read(async |tx| billing::load(tx, month, run.released(), p.force_recalc).await)
            .await?;
        report(run, &loaded);
        let documents = documents(&loaded, &*issuer_of(run)?)?;
        if documents.is_empty() {
            return Ok(Done::default().count("reused", loaded.reused.len()).reused());
        }
        run.write(async |tx| {
            let actor = format!("BATCH-302 run {}", run.id());
            let mut done = Done::default().count("reused", loaded.reused.len());
            for (bill, document) in &documents {
                billing::bind_usage(tx, &bill.input).await?;
                let issued = billing::issue(tx, document, run.id(), &actor, run.now()).await?;
                tx.follow_up("document", run.tenant(), json!({"invoice": issued.invoice_id}));
                done = counted(done, document);
            }
            total(done, &documents)
        })
        .await
    }

    async fn finish(run: &PlatformRun, _: &Params, ended: &Ended) -> Outcome {
        run.write(async |tx| {
            tx.follow_up("export", PLATFORM, json!({}));
            let (wrong, all) = (ended.failed.len() + ended.blocked.len(), ended.total());
            let done = Done::default();
            // over 1 % of the tenants
            if wrong * 100 <= all {
                return Ok(done);
            }
            let message = format!("{wrong} of {all} tenants were not billed");
            Ok(done.report("calculation", message))
        })
        .await
    }

    async fn follow_up(run: &TenantRun, name: &str, payload: &Value) -> Outcome {
        invoice_documents::follow_up(run, BillingEngine::Saas, name, payload).await
    }
}

/// Prices what was loaded; an adjustment that changes nothing is no document.
fn documents<'a>(loaded: &'a Loaded, issuer: &Issuer) -> Result<Vec<(&'a Bill, Document)>, Stop> {
    let mut documents = Vec::new();
    for bill in &loaded.bills {
        if let Some(document) = billing::document(bill, issuer)? {
            documents.push((bill, document));
        }
    }
    Ok(documents)
}

fn report(run: &TenantRun, loaded: &Loaded) {
    if run.released() {
        run.warn("released by an operator: missing usage days count as zero", json!({}));
    }
    for (month, why) in &loaded.left_open {
        run.warn(format!("corrections stay open: {why}"), json!({"month": month.to_string()}));
    }
}

fn counted(mut done: Done, document: &Document) -> Done {
    let kind = if document.adjusts.is_some() { "adjustments" } else { "invoices" };
    done.rows += 1 + document.priced.lines.len() as i64;
    let done = done.count(kind, 1).count("corrections", document.priced.settles.len());
    if document.hold.is_some() { done.count("held", 1) } else { done }
}

fn total(done: Done, documents: &[(&Bill, Document)]) -> Outcome {
    let Some((_, first)) = documents.first() else { return Ok(done) };
    let total = sum(documents.iter().map(|(_, d)| d.priced.total))?;
    Ok(done.amount(total, first.priced.currency))
}
