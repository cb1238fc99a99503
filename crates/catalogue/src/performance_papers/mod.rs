//! The slow half of WEEKLY_002, as follow-up jobs: the week's report as PDF, page and JSON into the storage, and the mail
//! that carries it to operations. Each is made from the kept report and can be made again.

mod charts;
mod page;
mod paper;
mod sheet_database;
mod sheets;
mod words;

use serde_json::{Value, json};
use yakin_domain::delivery::Outside;
use yakin_domain::files;
use yakin_domain::performance::{PERFORMANCE, Report, week};
use yakin_domain::report::letters::{self, Letter};
use yakin_domain::report::registry::{self, NewForm};
use yakin_engine::days::day_of;
use yakin_engine::prelude::*;

use crate::invoice_documents::{pretty, renderer, stop, storage};
use crate::report_documents::{Said, send};
use words::Words;

/// Carries out a follow-up job: `document` or `mail`.
pub async fn follow_up(run: &TenantRun, name: &str, payload: &Value) -> Outcome {
    let of = |field: &str| payload[field].as_str().unwrap_or_default().to_owned();
    let report = run.read(async |tx| week::find(tx, &of("week")).await).await?;
    let (Some(report), "document" | "mail") = (report, name) else {
        return Err(Stop::give_up(Cause::Defect, format!("no follow-up {name} {payload}")));
    };
    match name {
        "document" => document(run, &report, &of("language")).await,
        _ => mail(run, &report, &of("language"), &of("recipient")).await,
    }
}

/// Renders and stores what is not there yet; the mail to operations follows.
async fn document(run: &TenantRun, report: &Report, language: &str) -> Outcome {
    let made =
        run.read(async |tx| registry::platform_made(tx, PERFORMANCE, report.first).await).await?;
    let outside = Outside::of(run)?;
    let (words, storage) = (Words::of(language), storage(run)?);
    let mut stored = Vec::new();
    for format in ["pdf", "html", "json"] {
        if made.iter().any(|paper| paper.format == format) {
            continue;
        }
        let bytes = bytes(run, report, words, format).await?;
        let key = format!("platform/performance/{0}/performance-{0}.{format}", report.week);
        let put = files::put(&storage, &key, bytes).await?;
        let (report, first) = (PERFORMANCE, report.first);
        stored.push(NewForm { report, first, format, key, stored: put, incomplete: None });
    }
    let recipient = outside.operations.as_deref().filter(|_| !outside.relays.is_empty());
    if recipient.is_none() {
        let why = "not mailed: [operations] email or a relay ([[mail]]) is not configured";
        run.warn(why, json!({"week": report.week}));
    }
    run.write(async |tx| {
        let mut rows = 0;
        for form in &stored {
            let new = registry::register_platform(tx, form, (run.id(), run.at())).await?;
            rows += i64::from(new);
        }
        if let Some(recipient) = recipient {
            let letter = Letter { report: PERFORMANCE, first: report.first, recipient };
            let new = letters::ask(tx, letter, (run.id(), run.at())).await?;
            rows += i64::from(new);
            if new {
                let payload =
                    json!({"week": report.week, "language": language, "recipient": recipient});
                tx.follow_up("mail", run.tenant(), payload);
            }
        }
        let done = Done::rows(rows).count("documents", stored.len());
        Ok(if rows == 0 { done.reused() } else { done })
    })
    .await
}

async fn bytes(
    run: &TenantRun,
    report: &Report,
    words: Words,
    format: &str,
) -> Result<Vec<u8>, Stop> {
    let wrong =
        |e: serde_json::Error| Stop::give_up(Cause::Defect, format!("the report's data: {e}"));
    let paper = sheets::paper(report, words, day_of(run.now()).to_string());
    match format {
        "pdf" => {
            let data = serde_json::to_value(&paper).map_err(wrong)?;
            let rendered = renderer(run)?.render("performance", &data).await.map_err(stop)?;
            for warning in &rendered.warnings {
                run.warn(format!("{}: {warning}", report.week), json!({}));
            }
            Ok(rendered.pdf)
        }
        "html" => Ok(page::page(&paper).into_bytes()),
        _ => pretty(&serde_json::to_value(report).map_err(wrong)?),
    }
}

/// Sends the report's mail, once.
async fn mail(run: &TenantRun, report: &Report, language: &str, recipient: &str) -> Outcome {
    let words = Words::of(language);
    let data = json!({
        "week": report.week, "first": report.first, "last": report.last, "complete": report.coverage.complete,
        "coverage": format!("{:.1}", report.coverage.percent), "changes": report.changes.len(),
        "p95": words.ms(report.total.p95_ms), "errors": words.percent(report.errors.server_percent),
    });
    let letter = Letter { report: PERFORMANCE, first: report.first, recipient };
    let said =
        Said { template: "performance-week", language: words.language(), data, attached: &["pdf"] };
    send(run, letter, said).await
}
