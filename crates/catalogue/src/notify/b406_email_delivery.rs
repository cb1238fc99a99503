//! BATCH-406 メール配信バッチ: the waiting mail, by priority, through each tenant's relay; the first attempt at each.

use jiff::SignedDuration;
use serde::Deserialize;
use yakin_domain::delivery::deliver::{Order, deliver, plan, slot};
use yakin_domain::delivery::digest::Limits;
use yakin_domain::delivery::outbox::Selection;
use yakin_domain::delivery::policy::Rules;
use yakin_domain::delivery::{Channel, Outside, Urgency};
use yakin_engine::prelude::*;

use super::{overseen, tenants_with, told};

pub struct EmailDelivery;

#[derive(Debug, Deserialize)]
pub struct Params {
    batch_size: usize,
    max_retry: i32,
    priority_only: bool,
}

const MAIL: &[Channel] = &[Channel::Email];
const FIRST: &[&str] = &["pending"];
/// It waits for relays and rates until five minutes before its 50 are over.
const WAITS: SignedDuration = SignedDuration::from_mins(45);

impl Batch for EmailDelivery {
    type Params = Params;
    const SPEC: Spec = Spec {
        id: "BATCH-406",
        slug: "email-queue-delivery",
        title: "メール配信バッチ",
        schedule: cron("10 * * * *"),
        catch_up: CatchUp::Latest,
        period: Period::None,
        window: None,
        deadline: Some(mins(50)),
        scope: Scope::EachTenant,
        phases: &[Phase::Finish],
        needs: &[],
        locks: &[],
        overlap: Overlap::Forbid,
        queue: Queue::Notify,
        priority: Priority::High,
        timeout: mins(50),
        retry: exponential(4, mins(10), mins(40)),
        retry_by_cause: &[],
        severity: Severity::High,
        expected: mins(50),
        params: &[
            Param {
                name: "batch_size",
                kind: Kind::Int(1, 1000),
                default: Some("10"),
                help: "rows taken at a time; tenants that share a relay take turns by it",
            },
            Param {
                name: "max_retry",
                kind: Kind::Int(0, 20),
                default: Some("3"),
                help: "later attempts (BATCH-402's) after a temporary failure",
            },
            Param {
                name: "priority_only",
                kind: Kind::Bool,
                default: Some("false"),
                help: "only mail of high priority",
            },
        ],
        approval: Approval::None,
        survives_database: false,
    };

    async fn roster(run: &PlatformRun, _: &Params) -> Result<Vec<i64>, Stop> {
        tenants_with(run, MAIL, FIRST).await
    }

    async fn tenant(run: &TenantRun, p: &Params) -> Outcome {
        let order = order(run, p);
        if run.dry_run() {
            return plan(run, &[order]).await;
        }
        let outside = Outside::of(run)?;
        let delivered = deliver(run, &outside, &[order]).await?;
        told(run, &outside, &delivered).await
    }

    async fn finish(run: &PlatformRun, _: &Params, _: &Ended) -> Outcome {
        overseen(run, MAIL, Limits::hourly(5)).await
    }
}

fn order<'a>(run: &TenantRun, p: &Params) -> Order<'a> {
    Order {
        which: Selection {
            channels: MAIL,
            states: FIRST,
            urgencies: if p.priority_only { &[Urgency::High] } else { &Urgency::ALL },
            slot: slot(run),
            notification: None,
        },
        chunk: p.batch_size,
        rules: Rules { most_retries: Some(p.max_retry), ..Rules::default() },
        until: run.now() + WAITS,
    }
}
