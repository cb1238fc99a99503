//! The slow half of WEEKLY_002, as follow-up jobs: the week's report as PDF, page and JSON into the storage, and the mail
//! that carries it to operations. Each is made from the kept report and can be made again.

mod charts;
mod page;
mod paper;
mod sheet_database;
mod sheets;
mod words;

use serde_json::{Value, json};
use yakin_adapters::Answer;
use yakin_adapters::mail::{Attachment, Mail};
use yakin_adapters::storage::Stored;
use yakin_domain::delivery::{Channel, Outside};
use yakin_domain::files;
use yakin_domain::performance::papers::{self, Letter, PERFORMANCE, Paper, Taken};
use yakin_domain::performance::{Report, week};
use yakin_engine::days::day_of;
use yakin_engine::prelude::*;

use crate::invoice_documents::{pretty, renderer, stop, storage};
use words::Words;

/// The largest file that goes with the mail, in bytes; a larger one is named.
const MOST_ATTACHED: i64 = 8 << 20;

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
    let made = run.read(async |tx| papers::made(tx, PERFORMANCE, report.first).await).await?;
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
        stored.push((format, key, put));
    }
    let recipient = outside.operations.as_deref().filter(|_| !outside.relays.is_empty());
    if recipient.is_none() {
        let why = "not mailed: [operations] email or a relay ([[mail]]) is not configured";
        run.warn(why, json!({"week": report.week}));
    }
    run.write(async |tx| {
        let mut rows = 0;
        for (format, key, put) in &stored {
            let of = (PERFORMANCE, report.first, *format);
            rows += i64::from(
                papers::register(tx, of, (key.as_str(), put), (run.id(), run.at())).await?,
            );
        }
        if let Some(recipient) = recipient {
            let letter = Letter { report: PERFORMANCE, first: report.first, recipient };
            let new = papers::ask(tx, letter, (run.id(), run.at())).await?;
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
    let outside = Outside::of(run)?;
    let letter = Letter { report: PERFORMANCE, first: report.first, recipient };
    let made = run.read(async |tx| papers::made(tx, PERFORMANCE, report.first).await).await?;
    let mail = compose(run, &outside, report, (language, letter), &made).await?;
    let mut last = None;
    for relay in &outside.relays {
        let mut session = match relay.mailer.session().await {
            Ok(session) => session,
            Err(answer) => {
                last = Some(format!("relay {}: {}", relay.name, answer.reason()));
                continue;
            }
        };
        let composed = relay
            .mailer
            .compose(&mail)
            .map_err(|e| Stop::give_up(Cause::Data, format!("{recipient}: {e}")))?;
        match run.step(async |tx| papers::take(tx, letter, run.token()).await).await? {
            Taken::Ours => {}
            Taken::Over => return Ok(Done::default().reused()),
            Taken::Uncertain => {
                let why = format!(
                    "an attempt ended while it sent {} to {recipient}: ask whether it arrived",
                    report.week
                );
                return Err(Stop::give_up(Cause::Lost, why));
            }
        }
        return settle(run, letter, session.send(&composed).await).await;
    }
    Err(match last {
        Some(why) => Stop::retry(Cause::Network, why),
        None => Stop::give_up(Cause::Data, "no mail relay is configured ([[mail]])"),
    })
}

/// Records the answer: what may heal is tried again.
async fn settle(run: &TenantRun, letter: Letter<'_>, answer: Answer) -> Outcome {
    let (state, cause) = match &answer {
        Answer::Sent { .. } => {
            return run
                .write(async |tx| {
                    papers::settle(tx, letter, ("sent", None), run.at()).await?;
                    Ok(Done::rows(1).count("sent", 1))
                })
                .await;
        }
        Answer::Permanent { .. } => ("failed", None),
        Answer::Uncertain { .. } => ("uncertain", None),
        Answer::Throttled { .. } => ("pending", Some(Cause::Overload)),
        Answer::Temporary { .. } | Answer::Auth { .. } | Answer::Unreachable { .. } => {
            ("pending", Some(Cause::Network))
        }
    };
    let why = format!("{}: {}: {}", letter.recipient, answer.word(), answer.reason());
    run.step(async |tx| papers::settle(tx, letter, (state, Some(&why)), run.at()).await).await?;
    Err(match cause {
        Some(cause) => Stop::retry(cause, why),
        None => Stop::give_up(Cause::Network, why),
    })
}

async fn compose(
    run: &TenantRun,
    outside: &Outside,
    report: &Report,
    (language, letter): (&str, Letter<'_>),
    made: &[Paper],
) -> Result<Mail, Stop> {
    let words = Words::of(language);
    let mut attachments = Vec::new();
    for paper in made.iter().filter(|p| p.format == "pdf" && p.size_bytes <= MOST_ATTACHED) {
        let read = storage(run)?.get(&paper.key, MOST_ATTACHED.unsigned_abs()).await;
        let name = paper.key.rsplit('/').next().unwrap_or(&paper.key).to_owned();
        let content_type = files::content_type(&paper.format).to_owned();
        attachments.push(Attachment { name, content_type, bytes: read.map_err(files::stop)? });
    }
    let keys: Vec<&str> = made.iter().map(|paper| paper.key.as_str()).collect();
    let data = json!({
        "week": report.week, "first": report.first, "last": report.last, "files": keys,
        "attached": !attachments.is_empty(), "complete": report.coverage.complete,
        "coverage": format!("{:.1}", report.coverage.percent), "changes": report.changes.len(),
        "p95": words.ms(report.total.p95_ms), "errors": words.percent(report.errors.server_percent),
    });
    let content = outside
        .templates
        .render("performance-week", Channel::Email, words.language(), &data)
        .map_err(|e| Stop::give_up(Cause::Data, format!("template performance-week: {e}")))?;
    let whom: String = Stored::of(letter.recipient.as_bytes()).sha256.chars().take(16).collect();
    Ok(Mail {
        message_id: format!("yakin.performance.{}.{whom}", report.week),
        to: letter.recipient.to_owned(),
        subject: content.subject.unwrap_or_else(|| report.week.clone()),
        text: content.text,
        html: content.html,
        attachments,
        headers: Vec::new(),
        date: run.at(),
    })
}
