//! The slow half of the batches that issue invoices (BATCH-302, MONTHLY_001), as follow-up jobs: the document (PDF, and
//! its data as JSON), the mail that carries it, the accounting file. Each is made from the frozen rows and can be made
//! again.

use std::sync::Arc;

use serde_json::{Value, json};
use yakin_adapters::storage::{Storage, Stored};
use yakin_domain::billing::draft;
use yakin_domain::billing::export::{self, Form};
use yakin_domain::billing::issuer::Issuer;
use yakin_domain::billing::paper::{self, Standing};
use yakin_domain::billing::{BillingEngine, Document};
use yakin_domain::delivery::{Outside, insert};
use yakin_domain::files;
use yakin_engine::days::day_of;
use yakin_engine::prelude::*;
use yakin_engine::run::Attempt;
use yakin_render::{RenderError, Renderer};

/// Who issues, as this node is configured.
pub fn issuer_of(run: &Attempt) -> Result<Arc<Issuer>, Stop> {
    run.resource().ok_or_else(|| {
        let why = "[issuer] is not configured: no invoice is issued without name, address, registration number and \
                   bank account";
        Stop::give_up(Cause::Data, why)
    })
}

/// Carries out a follow-up job of the batch of `engine`: `document` (with `"mail": false` no mail follows it), `mail` or
/// `export`.
pub async fn follow_up(
    run: &TenantRun,
    engine: BillingEngine,
    name: &str,
    payload: &Value,
) -> Outcome {
    match (name, payload["invoice"].as_i64()) {
        ("document", Some(invoice)) => {
            document(run, engine.batch(), invoice, payload["mail"].as_bool().unwrap_or(true)).await
        }
        ("mail", Some(invoice)) => mail(run, invoice).await,
        ("export", _) => export(run, engine).await,
        _ => Err(Stop::give_up(Cause::Defect, format!("no follow-up {name} {payload}"))),
    }
}

/// Renders and stores an invoice's document; the mail follows where it is wanted, unless a person must release the
/// invoice first.
async fn document(run: &TenantRun, batch: &str, invoice: i64, mailed: bool) -> Outcome {
    let standing = run.read(async |tx| paper::read(tx, invoice).await).await?;
    if standing.document_ready || standing.void {
        return Ok(Done::default().reused());
    }
    let storage = storage(run)?;
    let data = serde_json::to_value(&standing.paper)
        .map_err(|e| Stop::give_up(Cause::Defect, format!("the document's data: {e}")))?;
    let rendered = renderer(run)?.render("invoice", &data).await.map_err(stop)?;
    for warning in &rendered.warnings {
        run.warn(format!("{}: {warning}", standing.paper.number), json!({}));
    }
    let pdf = files::put(&storage, &standing.key("pdf"), rendered.pdf).await?;
    let json = files::put(&storage, &standing.key("json"), pretty(&data)?).await?;
    run.write(async |tx| {
        paper::ready(tx, invoice, &standing, (&pdf, &json), (batch, run.at())).await?;
        // what a person decided while the document was made
        let now = paper::read(tx, invoice).await?;
        if mailed && !now.held && !now.void {
            tx.follow_up("mail", run.tenant(), json!({"invoice": invoice}));
        }
        Ok(Done::rows(3).count("documents", 1))
    })
    .await
}

/// Puts the invoice's mail among the deliveries, once; BATCH-406 sends it.
async fn mail(run: &TenantRun, invoice: i64) -> Outcome {
    let outside = Outside::of(run)?;
    run.write(async |tx| {
        let standing: Standing = paper::read(tx, invoice).await?;
        if standing.held || standing.void {
            return Ok(Done::default());
        }
        let wanted = paper::mail(tx, invoice, &standing, &outside.templates, run.at()).await?;
        let written = insert(tx, &[wanted], run.at()).await?;
        Ok(if written == 0 { Done::default().reused() } else { Done::rows(written) })
    })
    .await
}

/// Writes the accounting files of the month's invoices that may go out and have not.
async fn export(run: &TenantRun, engine: BillingEngine) -> Outcome {
    let period = run.period();
    let entries = run.read(async |tx| export::entries(tx, run.id(), engine, period).await).await?;
    if entries.is_empty() {
        return Ok(Done::default().reused());
    }
    let storage = storage(run)?;
    let form = run.resource::<Form>().map_or_else(Form::default, |f| *f);
    let month = period.start.strftime("%Y-%m").to_string();
    let mut stored = Vec::new();
    for file in export::files(&entries, form)? {
        let key = file.key((engine.batch(), run.id()), &month, &Stored::of(&file.bytes).sha256);
        let put = files::put(&storage, &key, file.bytes.clone()).await?;
        stored.push((file, key, put));
    }
    run.write(async |tx| {
        let mut done = Done::default();
        for (file, key, put) in &stored {
            export::record(tx, file, key, put, run.id(), run.at()).await?;
            done = done.count("exported", file.invoices.len());
            done.rows += 1 + file.invoices.len() as i64;
        }
        Ok(done)
    })
    .await
}

/// Renders and stores what invoices would look like, marked as drafts: no number, no mail.
pub async fn previews(run: &TenantRun, documents: &[Document]) -> Outcome {
    let storage = storage(run)?;
    let mut stored = Vec::new();
    for document in documents {
        let paper = draft::draft(document, day_of(run.now()))?;
        let data = serde_json::to_value(&paper)
            .map_err(|e| Stop::give_up(Cause::Defect, format!("the draft's data: {e}")))?;
        let rendered = renderer(run)?.render("invoice", &data).await.map_err(stop)?;
        let digest: String = Stored::of(&rendered.pdf).sha256.chars().take(12).collect();
        let key = draft::key(document, &digest);
        let pdf = files::put(&storage, &key, rendered.pdf).await?;
        run.info("a draft was made", json!({"key": key, "total": paper.total}));
        stored.push((key, pdf));
    }
    run.write(async |tx| {
        for (key, pdf) in &stored {
            files::record(tx, key, "pdf", pdf, run.at()).await?;
        }
        Ok(Done::rows(stored.len()).count("drafts", stored.len()))
    })
    .await
}

/// JSON as people read it.
pub(crate) fn pretty(data: &serde_json::Value) -> Result<Vec<u8>, Stop> {
    serde_json::to_vec_pretty(data)
        .map_err(|e| Stop::give_up(Cause::Defect, format!("the document's data: {e}")))
}

/// The storage of this node.
pub(crate) fn storage(run: &TenantRun) -> Result<Arc<Storage>, Stop> {
    Outside::of(run)?.storage.clone().ok_or_else(|| {
        let why = "no storage is configured: write [storage] url = \"file:///…\" into yakin.toml, then requeue";
        Stop::give_up(Cause::Storage, why)
    })
}

/// The renderer of this node.
pub(crate) fn renderer(run: &TenantRun) -> Result<Arc<Renderer>, Stop> {
    run.resource::<Renderer>()
        .ok_or_else(|| Stop::give_up(Cause::Data, "this node renders no documents"))
}

/// A document that failed: a child that died or was too slow may do better, a wrong template will not.
pub(crate) fn stop(error: RenderError) -> Stop {
    if error.is_permanent() {
        Stop::give_up(Cause::Data, error.to_string())
    } else {
        Stop::retry(Cause::Overload, error.to_string())
    }
}
