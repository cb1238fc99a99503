//! The slow half of the batches that make reports: both forms of one (PDF and workbook) into the storage, and the mails
//! that carry the service's own.

use std::sync::Arc;

use jiff::civil::Date;
use serde_json::json;
use yakin_adapters::Answer;
use yakin_adapters::mail::{Attachment, Mail, Mailer, Session};
use yakin_adapters::storage::Stored;
use yakin_domain::delivery::{Channel, Outside};
use yakin_domain::files;
use yakin_domain::report::Report;
use yakin_domain::report::contacts::MOST_ATTACHED;
use yakin_domain::report::letters::{self, Letter, Management, Taken};
use yakin_domain::report::registry::{self, FORMATS, NewForm, PlatformMade};
use yakin_engine::prelude::*;

use crate::invoice_documents::{renderer, stop, storage};

/// A report that is to be stored, and where.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// Its key in the registry, and the first day of its period.
    pub report: &'static str,
    pub first: Date,
    /// Folder and name without its ending.
    pub key: &'a str,
    /// What its cover says is missing.
    pub incomplete: Option<&'a str>,
}

/// Writes and stores the forms of a report that are not among those `made`; the rows are the caller's to write.
pub async fn forms(
    run: &TenantRun,
    report: &Report,
    order: Order<'_>,
    made: &[&str],
) -> Result<Vec<NewForm>, Stop> {
    let storage = storage(run)?;
    let mut forms = Vec::new();
    for format in FORMATS.into_iter().filter(|format| !made.contains(format)) {
        let bytes = match format {
            "pdf" => {
                let rendered =
                    renderer(run)?.render("report", &report.data()).await.map_err(stop)?;
                for warning in &rendered.warnings {
                    run.warn(format!("{}: {warning}", order.key), json!({}));
                }
                rendered.pdf
            }
            _ => report.workbook().await?,
        };
        let key = format!("{}.{format}", order.key);
        let stored = files::put(&storage, &key, bytes).await?;
        let incomplete = order.incomplete.map(str::to_owned);
        let (report, first) = (order.report, order.first);
        forms.push(NewForm { report, first, format, key, stored, incomplete });
    }
    Ok(forms)
}

/// What the mail of one of the service's own reports says.
#[derive(Clone, Debug)]
pub struct Said<'a> {
    pub template: &'a str,
    pub language: &'a str,
    /// What the template is filled with, an object; `files`, `attached` and `incomplete` are added.
    pub data: serde_json::Value,
    /// The forms that it carries, while they are not too large together.
    pub attached: &'a [&'a str],
}

/// Sends one of the service's own reports to one recipient, once.
pub async fn send(run: &TenantRun, letter: Letter<'_>, said: Said<'_>) -> Outcome {
    let outside = Outside::of(run)?;
    let made =
        run.read(async |tx| registry::platform_made(tx, letter.report, letter.first).await).await?;
    let mail = compose(run, &outside, letter, (said, &made)).await?;
    let (mailer, mut session) = session(&outside).await?;
    let composed = mailer
        .compose(&mail)
        .map_err(|e| Stop::give_up(Cause::Data, format!("{}: {e}", letter.recipient)))?;
    match run.step(async |tx| letters::take(tx, letter, run.token()).await).await? {
        Taken::Ours => {}
        Taken::Over => return Ok(Done::default().reused()),
        Taken::Uncertain => {
            let why = format!(
                "an attempt ended while it sent {} to {}: ask whether it arrived, and requeue this where it did not",
                letter.report, letter.recipient
            );
            return Err(Stop::give_up(Cause::Lost, why));
        }
    }
    let answer = session.send(&composed).await;
    let (state, cause) = match &answer {
        Answer::Sent { .. } => {
            return run
                .write(async |tx| {
                    letters::settle(tx, letter, ("sent", None), run.at()).await?;
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
    run.step(async |tx| letters::settle(tx, letter, (state, Some(&why)), run.at()).await).await?;
    Err(match cause {
        Some(cause) => Stop::retry(cause, why),
        None => Stop::give_up(Cause::Network, why),
    })
}

async fn compose(
    run: &TenantRun,
    outside: &Outside,
    letter: Letter<'_>,
    (said, made): (Said<'_>, &[PlatformMade]),
) -> Result<Mail, Stop> {
    let carried = || made.iter().filter(|form| said.attached.contains(&form.format.as_str()));
    let attached = carried().map(|form| form.size_bytes).sum::<i64>() <= MOST_ATTACHED;
    let mut attachments = Vec::new();
    let storage = storage(run)?;
    for form in carried().filter(|_| attached) {
        let bytes = storage.get(&form.key, MOST_ATTACHED.unsigned_abs()).await;
        let name = form.key.rsplit('/').next().unwrap_or(&form.key).to_owned();
        let content_type = files::content_type(&form.format).to_owned();
        attachments.push(Attachment { name, content_type, bytes: bytes.map_err(files::stop)? });
    }
    let keys: Vec<&str> = made.iter().map(|form| form.key.as_str()).collect();
    let incomplete = made.iter().find_map(|form| form.incomplete.as_deref()).unwrap_or_default();
    let mut data = said.data;
    data["files"] = json!(keys);
    data["attached"] = json!(attached);
    data["incomplete"] = json!(incomplete);
    let content = outside
        .templates
        .render(said.template, Channel::Email, said.language, &data)
        .map_err(|e| Stop::give_up(Cause::Data, format!("template {}: {e}", said.template)))?;
    let whom: String = Stored::of(letter.recipient.as_bytes()).sha256.chars().take(16).collect();
    Ok(Mail {
        message_id: format!("yakin.report.{}.{}.{whom}", letter.report, letter.first),
        to: letter.recipient.to_owned(),
        subject: content.subject.unwrap_or_else(|| letter.report.to_owned()),
        text: content.text,
        html: content.html,
        attachments,
        headers: Vec::new(),
        date: run.at(),
    })
}

/// A session with the first of the operator's relays that answers.
async fn session(outside: &Outside) -> Result<(Arc<Mailer>, Session), Stop> {
    let mut why = None;
    for relay in &outside.relays {
        match relay.mailer.session().await {
            Ok(session) => return Ok((relay.mailer.clone(), session)),
            Err(answer) => why = Some(format!("relay {}: {}", relay.name, answer.reason())),
        }
    }
    Err(match why {
        Some(why) => Stop::retry(Cause::Network, why),
        None => Stop::give_up(Cause::Data, "no mail relay is configured ([[mail]])"),
    })
}

/// Who gets the service's own reports; nobody, where it is not configured.
pub fn management(run: &TenantRun) -> Arc<Management> {
    run.resource().unwrap_or_default()
}
