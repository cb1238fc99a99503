//! BATCH-401 定期通知送信バッチ: the day's notifications become deliveries on the tenant's channels, each recipient's
//! exactly once; chat is sent at once, mail by BATCH-406.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;
use yakin_domain::delivery::book::{self, Book};
use yakin_domain::delivery::deliver::{Delivered, Order, deliver, slot};
use yakin_domain::delivery::digest::Limits;
use yakin_domain::delivery::notices::{self, Notice};
use yakin_domain::delivery::outbox::Selection;
use yakin_domain::delivery::policy::Rules;
use yakin_domain::delivery::{Channel, NewDelivery, Outside, Templates, Urgency, insert};
use yakin_engine::days::midnight;
use yakin_engine::prelude::*;

use super::{overseen, told};

pub struct NotificationDispatch;

#[derive(Debug, Deserialize)]
pub struct Params {
    notification_types: String,
}

/// Notifications expanded in one transaction.
const CHUNK: i64 = 200;
/// Chat waits for its rates until five minutes before the window closes.
const WAITS: SignedDuration = SignedDuration::from_mins(55);

impl Batch for NotificationDispatch {
    type Params = Params;
    const SPEC: Spec = Spec {
        id: "BATCH-401",
        slug: "scheduled-notification-dispatch",
        title: "定期通知送信バッチ",
        schedule: cron("0 9 * * *"),
        catch_up: CatchUp::Latest,
        period: Period::Day,
        window: window(9, 0, 10, 0),
        deadline: None,
        scope: Scope::EachTenant,
        phases: &[Phase::Finish],
        needs: &[Need { batch: "BATCH-405", days: NeedDays::Same, hard: false, wait: mins(30) }],
        locks: &[],
        overlap: Overlap::Forbid,
        queue: Queue::Notify,
        priority: Priority::High,
        timeout: mins(60),
        retry: exponential(3, mins(5), mins(20)),
        retry_by_cause: &[],
        severity: Severity::High,
        expected: mins(60),
        params: &[Param {
            name: "notification_types",
            kind: Kind::Text,
            default: Some(""),
            help: "only these kinds, with commas between; empty = all",
        }],
        approval: Approval::None,
        survives_database: false,
    };

    async fn roster(run: &PlatformRun, _: &Params) -> Result<Vec<i64>, Stop> {
        let end = jiff_sqlx::Timestamp::from(midnight(run.period().end));
        run.read(async |tx| {
            Ok(sqlx::query_scalar(include_str!("b401_roster.sql")).bind(end).fetch_all(tx).await?)
        })
        .await
    }

    async fn tenant(run: &TenantRun, p: &Params) -> Outcome {
        let outside = Outside::of(run)?;
        let book = run.read(async |tx| book::read(tx).await).await?;
        if run.dry_run() {
            return dry_run(run, p, &book, &outside.templates).await;
        }
        let expansion = Expansion { run, kinds: kinds(p), book: &book, outside: &outside };
        while expansion.chunk().await? {}
        let delivered = chat(run, &outside).await?;
        told(run, &outside, &delivered).await
    }

    async fn finish(run: &PlatformRun, _: &Params, _: &Ended) -> Outcome {
        overseen(run, &Channel::CHAT, Limits::hourly(5)).await
    }
}

fn kinds(p: &Params) -> Option<Vec<String>> {
    let named: Vec<String> = p
        .notification_types
        .split(',')
        .map(|kind| kind.trim().to_owned())
        .filter(|kind| !kind.is_empty())
        .collect();
    (!named.is_empty()).then_some(named)
}

async fn chat(run: &TenantRun, outside: &Outside) -> Result<Delivered, Stop> {
    let order = Order {
        which: Selection {
            channels: &Channel::CHAT,
            states: &["pending"],
            urgencies: &Urgency::ALL,
            slot: slot(run),
            notification: None,
        },
        chunk: 10,
        rules: Rules::default(),
        until: run.now() + WAITS,
    };
    deliver(run, outside, &[order]).await
}

struct Expansion<'a> {
    run: &'a TenantRun,
    kinds: Option<Vec<String>>,
    book: &'a Book,
    outside: &'a Outside,
}

impl Expansion<'_> {
    /// Expands the next notifications in a commit of its own; false when none is left.
    async fn chunk(&self) -> Result<bool, Stop> {
        let (run, end) = (self.run, midnight(self.run.period().end));
        run.step(async |tx| {
            let found = notices::pending(tx, end, self.kinds.as_deref(), CHUNK).await?;
            let (deliveries, settled) =
                expand(&found, self.book, &self.outside.templates, run.now());
            insert(tx, &deliveries, run.at()).await?;
            notices::settle(tx, &settled).await?;
            let told = ["failed", "expired"];
            for (id, state, error) in settled.iter().filter(|s| told.contains(&s.1)) {
                run.warn(format!("notification {id} {state}"), json!({"why": error}));
            }
            Ok(!found.is_empty())
        })
        .await
    }
}

type Settled = Vec<(i64, &'static str, Option<String>)>;

/// Each notification as a whole: all of its rows, or none and the reason.
fn expand(
    found: &[Notice],
    book: &Book,
    templates: &Templates,
    now: Timestamp,
) -> (Vec<NewDelivery>, Settled) {
    let (mut deliveries, mut settled) = (Vec::new(), Settled::new());
    for notice in found {
        let late = now.duration_since(notice.scheduled_at()) > notices::STALE;
        let (state, why) = match notices::expand(notice, book, templates) {
            _ if late => ("expired", Some("more than 24 hours late".to_owned())),
            Ok(rows) if rows.is_empty() => {
                ("cancelled", Some("all settings for it are disabled".to_owned()))
            }
            Ok(rows) => {
                deliveries.extend(rows);
                ("expanded", None)
            }
            Err(why) => ("failed", Some(why)),
        };
        settled.push((notice.notification_id, state, why));
    }
    (deliveries, settled)
}

/// Names what would be sent; the rows are rolled back and nobody is called.
async fn dry_run(run: &TenantRun, p: &Params, book: &Book, templates: &Templates) -> Outcome {
    let (kinds, end) = (kinds(p), midnight(run.period().end));
    run.write(async |tx| {
        let found = notices::pending(tx, end, kinds.as_deref(), CHUNK * 5).await?;
        let (deliveries, settled) = expand(&found, book, templates, run.now());
        for d in &deliveries {
            tx.plan(json!({"send": d.channel, "to": d.recipient, "subject": d.subject}));
        }
        insert(tx, &deliveries, run.now()).await?;
        notices::settle(tx, &settled).await?;
        Ok(Done::rows(deliveries.len()).count("due", deliveries.len()))
    })
    .await
}
