//! REALTIME_002 通知配信処理: mail and SMS at once, as their rows arrive; a tenant's pieces one after another.

use jiff::SignedDuration;
use serde::Deserialize;
use yakin_domain::delivery::deliver::{Order, deliver, plan};
use yakin_domain::delivery::digest::{Limits, leave_untold};
use yakin_domain::delivery::outbox::{self, Selection};
use yakin_domain::delivery::policy::Rules;
use yakin_domain::delivery::{Channel, Outside, Urgency};
use yakin_engine::prelude::*;

use crate::notify::{overseen, tenants_with};

pub struct NotificationDelivery;

#[derive(Debug, Deserialize)]
pub struct Params {
    types: String,
    notification_id: i64,
}

/// First attempts only: the later ones are BATCH-402's, whoever made the first.
const FIRST: &[&str] = &["pending"];
/// Tries within the attempt, 2 and 4 seconds apart, while the answer is temporary.
const TRIES: i16 = 3;
/// A piece waits so long for the next minute of a rate; what rests longer is announced again, and holds up no other
/// sender of its tenant.
const WAITS: SignedDuration = SignedDuration::from_mins(2);

/// A run is one second's work: failures are counted over the hour.
const LIMITS: Limits = Limits { failed_percent: 5, by_hour: true, untried_minutes: Some(15) };

impl Batch for NotificationDelivery {
    type Params = Params;
    const SPEC: Spec = Spec {
        id: "REALTIME_002",
        slug: "notification-delivery",
        title: "通知配信処理",
        schedule: Schedule::Arrivals("deliveries"),
        catch_up: CatchUp::Latest,
        period: Period::None,
        window: None,
        deadline: Some(mins(30)),
        scope: Scope::EachTenant,
        phases: &[Phase::Finish],
        needs: &[],
        locks: &[],
        overlap: Overlap::Allow,
        queue: Queue::Notify,
        priority: Priority::High,
        timeout: mins(15),
        retry: exponential(3, secs(2), secs(60)),
        retry_by_cause: &[],
        severity: Severity::Critical,
        expected: mins(15),
        params: &[
            Param {
                name: "types",
                kind: Kind::OneOf(&["all", "email", "sms"]),
                default: Some("all"),
                help: "only this channel (in-app messages have arrived with their row)",
            },
            Param {
                name: "notification_id",
                kind: Kind::Int(0, 999_999_999_999),
                default: Some("0"),
                help: "only what this notification became; 0 = all",
            },
        ],
        approval: Approval::None,
        survives_database: false,
    };

    async fn roster(run: &PlatformRun, p: &Params) -> Result<Vec<i64>, Stop> {
        // those for whom something arrived; what another sent meanwhile is no error
        match run.only_tenants() {
            Some(arrived) => Ok(arrived.to_vec()),
            None => tenants_with(run, channels(p), FIRST).await,
        }
    }

    async fn tenant(run: &TenantRun, p: &Params) -> Outcome {
        let order = order(run, p);
        if run.dry_run() {
            return plan(run, &[order]).await;
        }
        let outside = Outside::of(run)?;
        let delivered = deliver(run, &outside, &[order]).await?;
        if let Some(at) = delivered.resumes {
            run.step(async |tx| outbox::announce(tx, at).await).await?;
        }
        // one digest an hour, BATCH-402's or 406's, not one for each of these pieces
        run.step(async |tx| leave_untold(tx, run.id()).await).await?;
        run.write(async |_| delivered.outcome()).await
    }

    async fn finish(run: &PlatformRun, p: &Params, _: &Ended) -> Outcome {
        overseen(run, channels(p), LIMITS).await
    }
}

fn channels(p: &Params) -> &'static [Channel] {
    match p.types.as_str() {
        "email" => &[Channel::Email],
        "sms" => &[Channel::Sms],
        _ => &Channel::AT_ONCE,
    }
}

fn order(run: &TenantRun, p: &Params) -> Order<'static> {
    Order {
        which: Selection {
            channels: channels(p),
            states: FIRST,
            urgencies: &Urgency::ALL,
            slot: run.now(),
            notification: (p.notification_id != 0).then_some(p.notification_id),
        },
        chunk: 10,
        rules: Rules { tries: TRIES, ..Rules::default() },
        until: run.now() + WAITS,
    }
}
