//! DAILY_002's figures of standing offers, by the day they were sent on and refreshed while events arrive, and of the
//! service's availability.

use crate::common::{as_tenant, batches};
use serde_json::{Value, json};
use yakin_testkit::{Seen, World};

const ID: &str = "DAILY_002";

/// A world in which only tests start runs, in the night after the 16th of October 2026.
async fn world() -> World {
    let w = World::at("2026-10-17T03:00:00+09:00", batches(&[ID])).await;
    w.sql("UPDATE yakin.batches SET enabled = false").await;
    w.months(&["2026-10-01", "2026-11-01"]).await;
    w
}

/// A company with a standing offer.
async fn company(w: &World, code: &str) -> i64 {
    let tenant = w.tenant(code).await;
    w.sql(&format!(
        "INSERT INTO app.approaches (tenant_id, name, recipients, rhythm, at_time, next_delivery_at, created_at)
         VALUES ({tenant}, 'Java', '{{a@x.example}}', 'daily', '09:00', '2027-01-01', '2026-01-01')"
    ))
    .await;
    tenant
}

/// An offer made at this time, with letters to `a` (taken) and `b` (refused).
async fn offer(w: &World, tenant: i64, at: &str) -> i64 {
    let id: i64 = w
        .one(&format!(
            "INSERT INTO app.approach_deliveries (tenant_id, approach_id, due_at, state, run_id, created_at)
             SELECT tenant_id, approach_id, '{at}', 'offered', 1, '{at}' FROM app.approaches
              WHERE tenant_id = {tenant}
             RETURNING approach_delivery_id"
        ))
        .await;
    w.sql(&format!(
        "INSERT INTO app.deliveries (tenant_id, source, source_id, channel, recipient, sender, priority, state, body,
                                     due_at, expires_at, sent_at, created_at)
         SELECT {tenant}, 'approach', {id}, 'email', recipient, 'tenant', 1, state, '', '{at}', '{at}',
                CASE state WHEN 'sent' THEN timestamptz '{at}' END, '{at}'
           FROM (VALUES ('A@x.example', 'sent'), ('b@x.example', 'failed')) AS letter (recipient, state)"
    ))
    .await;
    id
}

/// An event, as the application loads it: told again, it is no second one.
async fn event(w: &World, tenant: i64, offer: i64, to: &str, kind: &str, at: &str) {
    w.sql(&format!(
        "INSERT INTO app.approach_events VALUES ({tenant}, {offer}, '{to}', '{kind}', '{at}') ON CONFLICT DO NOTHING"
    ))
    .await;
}

async fn aggregate(w: &World, date: &str) -> Seen {
    let run = w.run(ID, Some(date), &[]).await;
    assert_eq!(run.outcome(), "succeeded", "{run:?}");
    run
}

/// A sending day's figures: approaches, sent, accepted, opened, replied, met, contracted; `null` without a row.
async fn figures(w: &World, tenant: i64, day: &str) -> Value {
    w.one(&format!(
        "SELECT coalesce((SELECT jsonb_build_array(approaches, sent, accepted, opened, replied, met, contracted)
                            FROM app.approach_metrics_daily WHERE tenant_id = {tenant} AND sent_on = '{day}'), 'null')"
    ))
    .await
}

async fn everything(w: &World) -> String {
    w.one("SELECT coalesce(string_agg(m::text, E'\\n' ORDER BY m), '') FROM app.approach_metrics_daily m").await
}

#[tokio::test]
async fn an_offer_belongs_to_the_tokyo_day_it_was_sent_on_and_the_neighbour_to_its_own() {
    let w = world().await;
    let (a, b) = (company(&w, "alpha").await, company(&w, "beta").await);
    // the same day in UTC, two days in Tokyo
    offer(&w, a, "2026-10-16T23:59:59+09:00").await;
    offer(&w, a, "2026-10-17T00:00:00+09:00").await;
    let other = offer(&w, b, "2026-10-16T09:00:00+09:00").await;
    event(&w, b, other, "a@x.example", "contracted", "2026-10-16T10:00:00+09:00").await;
    // neither a failed due time nor the notice of it is an offer
    w.sql(&format!(
        "INSERT INTO app.approach_deliveries (tenant_id, approach_id, due_at, state, run_id, created_at)
         SELECT tenant_id, approach_id, '2026-10-16T01:00Z', 'failed', 1, '2026-10-16T01:00Z' FROM app.approaches
          WHERE tenant_id = {a};
         INSERT INTO app.deliveries (tenant_id, source, source_id, channel, recipient, sender, priority, state, body,
                                     due_at, expires_at, created_at)
         SELECT tenant_id, 'approach', approach_delivery_id, 'email', 'owner@x.example', 'tenant', 1, 'pending', '',
                created_at, created_at, created_at
           FROM app.approach_deliveries WHERE state = 'failed'"
    ))
    .await;
    aggregate(&w, "2026-10-16").await;
    assert_eq!(figures(&w, a, "2026-10-16").await, json!([1, 2, 1, null, 0, 0, 0]));
    assert_eq!(figures(&w, a, "2026-10-17").await, Value::Null);
    assert_eq!(figures(&w, b, "2026-10-16").await, json!([1, 2, 1, null, 0, 0, 1]));
    w.set_clock("2026-10-18T03:00:00+09:00");
    aggregate(&w, "2026-10-17").await;
    assert_eq!(figures(&w, a, "2026-10-17").await, json!([1, 2, 1, null, 0, 0, 0]));
    // the company's and the service's days say how many offers were made
    let days =
        "SELECT jsonb_agg(approaches ORDER BY tenant_id, usage_date) FROM app.company_usage_daily";
    assert_eq!(w.one::<Value>(days).await, json!([1, 1, 1, 0]));
    let service = "SELECT jsonb_agg(approaches ORDER BY usage_date) FROM app.system_stats_daily";
    assert_eq!(w.one::<Value>(service).await, json!([2, 1]));
    let events = as_tenant(&w.pool, a, "SELECT count(*) FROM app.approach_events").await;
    let days = as_tenant(&w.pool, a, "SELECT count(*) FROM app.approach_metrics_daily").await;
    assert_eq!((events, days), (Ok(0), Ok(2)));
    let probes = as_tenant(&w.pool, a, "SELECT count(*) FROM app.availability_probes").await;
    assert!(probes.unwrap_err().contains("permission denied"));
}

#[tokio::test]
async fn events_reach_their_sending_day_for_thirty_days_and_count_once() {
    let w = world().await;
    let a = company(&w, "alpha").await;
    w.sql("UPDATE app.tenants SET opens_tracked = '[2026-10-16,)'").await;
    let (first, other) = (
        offer(&w, a, "2026-10-16T09:00:00+09:00").await,
        offer(&w, a, "2026-10-16T10:00:00+09:00").await,
    );
    aggregate(&w, "2026-10-16").await;
    assert_eq!(figures(&w, a, "2026-10-16").await, json!([2, 4, 2, 0, 0, 0, 0]));

    // ten days later; told twice, and to a letter that was never sent
    for _ in 0..2 {
        event(&w, a, first, "a@x.example", "opened", "2026-10-26T09:00:00+09:00").await;
        event(&w, a, first, "a@x.example", "replied", "2026-10-26T09:00:00+09:00").await;
    }
    event(&w, a, first, "stranger@x.example", "replied", "2026-10-26T09:00:00+09:00").await;
    w.set_clock("2026-10-27T03:00:00+09:00");
    let run = aggregate(&w, "2026-10-26").await;
    assert_eq!(run.count("letters_unknown"), 1);
    assert_eq!(figures(&w, a, "2026-10-16").await, json!([2, 4, 2, 1, 1, 0, 0]));
    assert_eq!(figures(&w, a, "2026-10-26").await, json!([0, 0, 0, 0, 0, 0, 0]));

    // the thirtieth day's last second counts, the first of the next does not
    event(&w, a, other, "b@x.example", "met", "2026-11-15T23:59:59+09:00").await;
    event(&w, a, other, "a@x.example", "replied", "2026-11-16T00:00:00+09:00").await;
    w.set_clock("2026-11-16T03:00:00+09:00");
    aggregate(&w, "2026-11-15").await;
    assert_eq!(figures(&w, a, "2026-10-16").await, json!([2, 4, 2, 1, 1, 1, 0]));
    w.set_clock("2026-11-18T03:00:00+09:00");
    for date in ["2026-11-16", "2026-11-17", "2026-10-16"] {
        aggregate(&w, date).await;
        assert_eq!(figures(&w, a, "2026-10-16").await, json!([2, 4, 2, 1, 1, 1, 0]), "{date}");
    }
}

#[tokio::test]
async fn a_second_run_writes_nothing_and_a_dry_run_neither() {
    let w = world().await;
    let a = company(&w, "alpha").await;
    let made = offer(&w, a, "2026-10-10T09:00:00+09:00").await;
    let planned = w.dry_run(ID, Some("2026-10-16"), &[]).await;
    assert_eq!((planned.outcome(), everything(&w).await.as_str()), ("succeeded", ""));
    assert!(planned.plan.unwrap().to_string().contains("approach_metrics_daily"));
    let first = aggregate(&w, "2026-10-16").await;
    // the company's day, its engineers', two sending days, the service's
    assert_eq!(first.rows_written, 5);
    let before = everything(&w).await;
    w.set_clock("2026-10-17T04:00:00+09:00");
    assert_eq!(aggregate(&w, "2026-10-16").await.rows_written, 0);
    assert_eq!(everything(&w).await, before);
    // what came later is written alone, and says when
    event(&w, a, made, "a@x.example", "replied", "2026-10-17T03:30:00+09:00").await;
    assert_eq!(aggregate(&w, "2026-10-16").await.rows_written, 1);
    let refreshed = "SELECT string_agg(to_char(refreshed_at AT TIME ZONE 'Asia/Tokyo', 'HH24'), ' ' ORDER BY sent_on)
                       FROM app.approach_metrics_daily";
    assert_eq!(w.one::<String>(refreshed).await, "04 03");
}

#[tokio::test]
async fn openings_that_are_not_tracked_are_unknown_and_not_none() {
    let w = world().await;
    let (a, b) = (company(&w, "alpha").await, company(&w, "beta").await);
    w.sql(&format!("UPDATE app.tenants SET opens_tracked = '[2026-10-16,)' WHERE tenant_id = {a}"))
        .await;
    for tenant in [a, b] {
        offer(&w, tenant, "2026-10-15T09:00:00+09:00").await;
        offer(&w, tenant, "2026-10-16T09:00:00+09:00").await;
    }
    aggregate(&w, "2026-10-16").await;
    let seen = [
        figures(&w, a, "2026-10-15").await[3].clone(),
        figures(&w, a, "2026-10-16").await[3].clone(),
        figures(&w, b, "2026-10-16").await[3].clone(),
    ];
    assert_eq!(json!(seen), json!([null, 0, null]));
}

/// A probe of the service.
async fn probe(w: &World, at: &str, good: bool) {
    w.sql(&format!("INSERT INTO app.availability_probes VALUES ('{at}', 'app', {good}, 80)")).await;
}

#[tokio::test]
async fn uptime_is_the_good_share_of_a_tokyo_days_probes_and_nothing_without_any() {
    let w = world().await;
    w.tenant("alpha").await;
    let line = "SELECT jsonb_object_agg(usage_date, jsonb_build_array(probes, probes_good,
                                        round(probes_good * 100.0 / probes, 1))) FROM app.system_stats_daily";
    aggregate(&w, "2026-10-16").await;
    assert_eq!(w.one::<Value>(line).await, json!({"2026-10-16": [null, null, null]}));
    for (at, good) in [
        ("2026-10-16T00:00:00+09:00", true),
        ("2026-10-16T12:00:00+09:00", false),
        ("2026-10-16T12:01:00+09:00", true),
        ("2026-10-16T23:59:59+09:00", true),
        ("2026-10-17T00:00:00+09:00", false),
    ] {
        probe(&w, at, good).await;
    }
    // what was unknown is filled; what is there stays, unless asked for
    assert_eq!(aggregate(&w, "2026-10-16").await.rows_written, 1);
    assert_eq!(w.one::<Value>(line).await, json!({"2026-10-16": [4, 3, 75.0]}));
    probe(&w, "2026-10-16T13:00:00+09:00", false).await;
    assert_eq!(aggregate(&w, "2026-10-16").await.rows_written, 0);
    w.run(ID, Some("2026-10-16"), &[("recompute", "true")]).await;
    assert_eq!(w.one::<Value>(line).await, json!({"2026-10-16": [5, 3, 60.0]}));
    // probes that went by their policy take nothing along
    w.sql("DELETE FROM app.availability_probes").await;
    w.run(ID, Some("2026-10-16"), &[("recompute", "true")]).await;
    assert_eq!(w.one::<Value>(line).await, json!({"2026-10-16": [5, 3, 60.0]}));
}

#[tokio::test]
async fn a_failing_company_leaves_the_others_figures_done() {
    let w = world().await;
    let (a, b) = (company(&w, "alpha").await, company(&w, "beta").await);
    for tenant in [a, b] {
        offer(&w, tenant, "2026-10-16T09:00:00+09:00").await;
    }
    w.sql(&format!(
        "INSERT INTO app.user_sessions VALUES ({a}, 7, '2026-10-16T12:00:00+09:00', -5)"
    ))
    .await;
    let run = w.run(ID, Some("2026-10-16"), &[]).await;
    assert_eq!((run.outcome(), run.tenants_failed), ("partial", 1));
    assert_eq!(figures(&w, a, "2026-10-16").await, Value::Null);
    assert_eq!(figures(&w, b, "2026-10-16").await[0], 1);
}
