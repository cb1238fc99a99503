//! MONTHLY_001 請求書生成バッチ: one invoice per contract that is billed by heads, for last month: base fee and the users
//! and engineers beyond the plan's limits at their peak. Money, numbers, documents and holds are BATCH-302's.

use serde::Deserialize;
use serde_json::{Value, json};
use yakin_domain::billing::money::sum;
use yakin_domain::billing::seats::{self, Month, Wanted};
use yakin_domain::billing::{self, BillingEngine};
use yakin_engine::prelude::*;
use yakin_engine::tenant::PLATFORM;

use crate::invoice_documents::{self, issuer_of};

pub struct MonthlyInvoiceGeneration;

#[derive(Debug, Deserialize)]
pub struct Params {
    contract_id: i64,
    send_mail: bool,
    preview: bool,
}

impl Batch for MonthlyInvoiceGeneration {
    type Params = Params;
    const SPEC: Spec = Spec {
        id: "MONTHLY_001",
        slug: "monthly-invoice-generation",
        title: "請求書生成バッチ",
        schedule: cron("0 6 1 * *"),
        catch_up: CatchUp::Every,
        period: Period::MonthBefore,
        window: window(5, 0, 12, 0),
        deadline: None,
        scope: Scope::EachTenant,
        phases: &[Phase::Finish],
        needs: &[Need { batch: "DAILY_002", days: NeedDays::LastDay, hard: false, wait: mins(60) }],
        locks: &[],
        overlap: Overlap::Forbid,
        queue: Queue::Default,
        priority: Priority::Highest,
        timeout: mins(180),
        retry: linear(5, secs(10), secs(300)),
        retry_by_cause: &[
            (Cause::Storage, linear(3, secs(10), secs(300))),
            (Cause::Overload, linear(3, secs(10), secs(300))),
        ],
        severity: Severity::Critical,
        expected: mins(30),
        params: &[
            Param {
                name: "contract_id",
                kind: Kind::Int(0, 999_999_999_999),
                default: Some("0"),
                help: "only this contract, also where its invoice was voided; 0 = all",
            },
            Param {
                name: "send_mail",
                kind: Kind::Bool,
                default: Some("true"),
                help: "mail the documents; a later run with true mails those that were not",
            },
            Param {
                name: "preview",
                kind: Kind::Bool,
                default: Some("false"),
                help: "issue nothing: only documents marked as drafts",
            },
        ],
        approval: Approval::None,
        survives_database: false,
    };

    async fn roster(run: &PlatformRun, p: &Params) -> Result<Vec<i64>, Stop> {
        issuer_of(run)?;
        // a preview completes nobody's month: its drafts are jobs of `finish`
        if p.preview { Ok(Vec::new()) } else { payers(run).await }
    }

    async fn tenant(run: &TenantRun, p: &Params) -> Outcome {
        let loaded = run.read(async |tx| seats::load(tx, wanted(run, p)).await).await?;
        if run.released() {
            run.warn("released by an operator: missing usage days count as zero", json!({}));
        }
        let issuer = issuer_of(run)?;
        let month = seats::month(&loaded, &issuer)?;
        let late = if p.send_mail { loaded.unmailed.as_slice() } else { &[] };
        let done = Done::default().count("reused", loaded.reused.len());
        let idle = month.documents.is_empty() && late.is_empty();
        if month.review.is_empty() {
            return match idle {
                true => Ok(done.reused()),
                false => run.write(async |tx| issue(tx, run, p, &month, late, done).await).await,
            };
        }
        // what can be billed is billed; then the tenant waits for a person
        if run.dry_run() {
            run.warn("contracts in review", json!({"why": month.why()}));
            let done = done.count("review", month.review.len());
            return run.write(async |tx| issue(tx, run, p, &month, late, done).await).await;
        }
        if !idle {
            let done = run.step(async |tx| issue(tx, run, p, &month, late, done).await).await?;
            run.info("the other contracts are billed", json!({"counts": done.counts}));
        }
        Err(Stop::blocked(month.why()))
    }

    async fn finish(run: &PlatformRun, p: &Params, ended: &Ended) -> Outcome {
        let drafts = if p.preview { payers(run).await? } else { Vec::new() };
        let drafts: Vec<i64> = match run.only_tenants() {
            Some(only) => drafts.into_iter().filter(|id| only.contains(id)).collect(),
            None => drafts,
        };
        run.write(async |tx| {
            for tenant in &drafts {
                tx.follow_up("preview", *tenant, json!({"contract_id": p.contract_id}));
            }
            if !p.preview {
                tx.follow_up("export", PLATFORM, json!({}));
            }
            let (wrong, all) = (ended.failed.len() + ended.blocked.len(), ended.total());
            let done = Done::default();
            if wrong == 0 {
                return Ok(done);
            }
            Ok(done.report(
                "review",
                format!("{wrong} of {all} companies were not billed, or not whole"),
            ))
        })
        .await
    }

    async fn follow_up(run: &TenantRun, name: &str, payload: &Value) -> Outcome {
        if name != "preview" {
            return invoice_documents::follow_up(run, BillingEngine::Skillsheet, name, payload)
                .await;
        }
        let contract_id = payload["contract_id"].as_i64().unwrap_or_default();
        drafts(run, &Params { contract_id, send_mail: false, preview: true }).await
    }
}

async fn payers(run: &PlatformRun) -> Result<Vec<i64>, Stop> {
    let month = run.period();
    run.read(async |tx| billing::payers(tx, BillingEngine::Skillsheet, month).await).await
}

fn wanted(run: &TenantRun, p: &Params) -> Wanted {
    Wanted {
        month: run.period(),
        contract: Some(p.contract_id).filter(|id| *id != 0),
        released: run.released(),
        mailed: p.send_mail,
        again: p.preview,
    }
}

/// Issues what was priced; documents and mails follow.
async fn issue(
    tx: &mut Tx,
    run: &TenantRun,
    p: &Params,
    month: &Month<'_>,
    late: &[i64],
    done: Done,
) -> Outcome {
    let actor = format!("{} run {}", MonthlyInvoiceGeneration::SPEC.id, run.id());
    let mut done = done.count("mails", late.len());
    for (bill, document) in &month.documents {
        seats::unchanged(tx, &bill.input).await?;
        let issued = billing::issue(tx, document, run.id(), &actor, run.now()).await?;
        let payload = json!({"invoice": issued.invoice_id, "mail": p.send_mail});
        tx.follow_up("document", run.tenant(), payload);
        done.rows += 1 + document.priced.lines.len() as i64;
        done = done.count("invoices", 1).count("held", usize::from(document.hold.is_some()));
    }
    for invoice in late {
        tx.follow_up("mail", run.tenant(), json!({"invoice": invoice}));
    }
    let Some((_, first)) = month.documents.first() else { return Ok(done) };
    let total = sum(month.documents.iter().map(|(_, d)| d.priced.total))?;
    Ok(done.amount(total, first.priced.currency))
}

/// The drafts of a tenant; what would block its invoices is said, and is no failure.
async fn drafts(run: &TenantRun, p: &Params) -> Outcome {
    let loaded = match run.read(async |tx| seats::load(tx, wanted(run, p)).await).await {
        Ok(loaded) => loaded,
        Err(Stop::Blocked { reason }) => {
            run.warn("no draft", json!({"why": reason}));
            return Ok(Done::default().count("blocked", 1));
        }
        Err(stop) => return Err(stop),
    };
    let issuer = issuer_of(run)?;
    let Month { documents, review, .. } = seats::month(&loaded, &issuer)?;
    for (contract, why) in &review {
        run.warn("no draft", json!({"contract": contract, "why": why}));
    }
    let documents: Vec<_> = documents.into_iter().map(|(_, document)| document).collect();
    let done = invoice_documents::previews(run, &documents).await?;
    Ok(if review.is_empty() { done } else { done.count("blocked", review.len()) })
}
