//! MONTHLY_002's reports of the service itself, as follow-up jobs of the run's end: each is made once, whatever became of
//! the others, and mailed to those whom the configuration names.

use jiff::civil::Date;
use serde_json::{Value, json};
use yakin_domain::report::letters::{self, Letter};
use yakin_domain::report::month::Months;
use yakin_domain::report::registry::{self, FORMATS};
use yakin_domain::report::words::{Say, Words};
use yakin_domain::report::{Report, engineers, revenue, system};
use yakin_engine::prelude::*;
use yakin_engine::tenant::PLATFORM;

use crate::report_documents::{Order, Said, forms, management, send};

/// The reports that are no company's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    System,
    Engineer,
    Revenue,
}

impl Which {
    const ALL: [Which; 3] = [Which::System, Which::Engineer, Which::Revenue];

    /// Its word in parameters, jobs and files' names.
    pub const fn word(self) -> &'static str {
        match self {
            Which::System => "system",
            Which::Engineer => "engineer",
            Which::Revenue => "revenue",
        }
    }

    /// The one of a word.
    pub fn of(word: &str) -> Option<Which> {
        Which::ALL.into_iter().find(|which| which.word() == word)
    }

    /// Its key in the registry.
    const fn key(self) -> &'static str {
        match self {
            Which::System => "system-monthly",
            Which::Engineer => "engineer-monthly",
            Which::Revenue => "revenue-monthly",
        }
    }

    const fn title(self) -> Say {
        match self {
            Which::System => Say::SystemReport,
            Which::Engineer => Say::EngineerReport,
            Which::Revenue => Say::RevenueReport,
        }
    }
}

/// Carries out a follow-up job: one of the reports, or `letter`.
pub async fn follow_up(run: &TenantRun, months: &Months, name: &str, payload: &Value) -> Outcome {
    match (Which::of(name), name, payload["report"].as_str().and_then(Which::of)) {
        (Some(which), ..) => report(run, months, which, payload).await,
        (None, "letter", Some(which)) => letter(run, months, which, payload).await,
        _ => Err(Stop::give_up(Cause::Defect, format!("no follow-up {name} {payload}"))),
    }
}

/// Makes the report where it is not there, and asks for its mails.
async fn report(run: &TenantRun, months: &Months, which: Which, payload: &Value) -> Outcome {
    let first = months.this.start;
    let management = management(run);
    let made = run.read(async |tx| registry::platform_made(tx, which.key(), first).await).await?;
    let new = if made.len() == FORMATS.len() {
        Vec::new()
    } else {
        let words = Words::of(&management.language);
        let failed: Vec<i64> =
            serde_json::from_value(payload["failed"].clone()).unwrap_or_default();
        let (report, missing) = run
            .read(async |tx| built(tx, months, which, &failed, (words, run.now())).await)
            .await?;
        let key = key(which, first);
        let order = Order { report: which.key(), first, key: &key, incomplete: missing.as_deref() };
        let made: Vec<&str> = made.iter().map(|form| form.format.as_str()).collect();
        forms(run, &report, order, &made).await?
    };
    let mailed = payload["mail"].as_bool().unwrap_or(true);
    if mailed && management.recipients.is_empty() {
        let why = "nobody is told: [reports] recipients is not configured";
        run.warn(why, json!({"report": which.word()}));
    }
    run.write(async |tx| {
        let mut done = Done::default();
        for form in &new {
            if registry::register_platform(tx, form, (run.id(), run.at())).await? {
                done.rows += 1;
                done = done.count("files", 1);
            }
        }
        for recipient in management.recipients.iter().filter(|_| mailed) {
            let wanted = Letter { report: which.key(), first, recipient };
            if letters::ask(tx, wanted, (run.id(), run.at())).await? {
                let payload = json!({"report": which.word(), "recipient": recipient});
                tx.follow_up("letter", PLATFORM, payload);
                done.rows += 1;
                done = done.count("mails", 1);
            }
        }
        Ok(if done.rows == 0 { done.reused() } else { done })
    })
    .await
}

/// Where its files lie, without their ending.
fn key(which: Which, first: Date) -> String {
    let month = first.strftime("%Y-%m");
    format!("platform/reports/{month}/monthly_report_{}_{month}", which.word())
}

async fn built(
    tx: &mut Tx,
    months: &Months,
    which: Which,
    failed: &[i64],
    told: (Words, jiff::Timestamp),
) -> Result<(Report, Option<String>), Stop> {
    match which {
        Which::System => system::report(tx, months, failed, told).await,
        Which::Engineer => engineers::report(tx, months, told).await,
        Which::Revenue => Ok(revenue::load(tx, months).await?.report(months, told)),
    }
}

async fn letter(run: &TenantRun, months: &Months, which: Which, payload: &Value) -> Outcome {
    let recipient = payload["recipient"].as_str().unwrap_or_default();
    let management = management(run);
    let words = Words::of(&management.language);
    let said = Said {
        template: "platform-report",
        language: &management.language,
        data: json!({"report": words.say(which.title()), "month": words.month(months.this)}),
        attached: &FORMATS,
    };
    let letter = Letter { report: which.key(), first: months.this.start, recipient };
    send(run, letter, said).await
}
