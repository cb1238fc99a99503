//! BATCH-402 通知失敗リトライバッチ: every later attempt at a delivery, and chat messages whose hour has come. Temporary
//! failures heal by themselves, permanent ones end visibly.

use jiff::SignedDuration;
use serde::Deserialize;
use yakin_domain::delivery::deliver::{Order, deliver, plan, slot};
use yakin_domain::delivery::digest::Limits;
use yakin_domain::delivery::outbox::Selection;
use yakin_domain::delivery::policy::Rules;
use yakin_domain::delivery::{Channel, Outside, Urgency};
use yakin_engine::prelude::*;

use super::{overseen, tenants_with, told};

pub struct NotificationRetry;

#[derive(Debug, Deserialize)]
pub struct Params {
    max_retry_count: i32,
    retry_interval_minutes: i64,
    priority_filter: String,
}

const LATER: &[&str] = &["retry_wait"];
const DEFERRED: &[&str] = &["pending", "retry_wait"];
const ALL: &[Channel] = &[
    Channel::Email,
    Channel::Slack,
    Channel::Teams,
    Channel::LineWorks,
    Channel::Webhook,
    Channel::Sms,
];
/// It waits for rates and resting senders until five minutes before its 30 are over.
const WAITS: SignedDuration = SignedDuration::from_mins(25);

impl Batch for NotificationRetry {
    type Params = Params;
    const SPEC: Spec = Spec {
        id: "BATCH-402",
        slug: "notification-retry",
        title: "通知失敗リトライバッチ",
        schedule: cron("45 * * * *"),
        catch_up: CatchUp::Latest,
        period: Period::None,
        window: None,
        deadline: Some(mins(30)),
        scope: Scope::EachTenant,
        phases: &[Phase::Finish],
        needs: &[],
        locks: &[],
        overlap: Overlap::Forbid,
        queue: Queue::Notify,
        priority: Priority::High,
        timeout: mins(30),
        retry: fixed(2, mins(1)),
        retry_by_cause: &[],
        severity: Severity::High,
        expected: mins(30),
        params: &[
            Param {
                name: "max_retry_count",
                kind: Kind::Int(0, 20),
                default: Some("20"),
                help: "caps the channels' own numbers of retries (mail 3, SMS 3, Slack 5, Teams 3, LINE WORKS 3)",
            },
            Param {
                name: "retry_interval_minutes",
                kind: Kind::Int(1, 1440),
                default: Some("60"),
                help: "base interval in minutes",
            },
            Param {
                name: "priority_filter",
                kind: Kind::OneOf(&["high", "medium", "low", "all"]),
                default: Some("all"),
                help: "only deliveries of this priority",
            },
        ],
        approval: Approval::None,
        survives_database: false,
    };

    async fn roster(run: &PlatformRun, _: &Params) -> Result<Vec<i64>, Stop> {
        let mut tenants = tenants_with(run, ALL, LATER).await?;
        tenants.extend(tenants_with(run, &Channel::FIRST_BY_402, DEFERRED).await?);
        tenants.sort_unstable();
        tenants.dedup();
        Ok(tenants)
    }

    async fn tenant(run: &TenantRun, p: &Params) -> Outcome {
        let mail = order(run, p, &[Channel::Email], LATER);
        let chat = order(run, p, &Channel::FIRST_BY_402, DEFERRED);
        if run.dry_run() {
            return plan(run, &[mail, chat]).await;
        }
        let outside = Outside::of(run)?;
        let delivered = deliver(run, &outside, &[chat, mail]).await?;
        told(run, &outside, &delivered).await
    }

    async fn finish(run: &PlatformRun, _: &Params, _: &Ended) -> Outcome {
        overseen(run, ALL, Limits::hourly(20)).await
    }
}

fn order<'a>(
    run: &TenantRun,
    p: &Params,
    channels: &'a [Channel],
    states: &'a [&'static str],
) -> Order<'a> {
    let urgencies: &[Urgency] = match p.priority_filter.as_str() {
        "high" => &[Urgency::High],
        "medium" => &[Urgency::Medium],
        "low" => &[Urgency::Low],
        _ => &Urgency::ALL,
    };
    Order {
        which: Selection { channels, states, urgencies, slot: slot(run), notification: None },
        chunk: 10,
        rules: Rules {
            most_retries: Some(p.max_retry_count),
            interval: SignedDuration::from_mins(p.retry_interval_minutes),
            tries: 1,
        },
        until: run.now() + WAITS,
    }
}
