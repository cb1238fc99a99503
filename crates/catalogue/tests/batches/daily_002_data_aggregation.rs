//! DAILY_002: each company's day and the service's, counted once; gauges as they were seen, nothing guessed.

use crate::common::batches;
use serde_json::{Value, json};
use yakin_engine::operate::runs::Wanted;
use yakin_testkit::{Seen, World, day};

const ID: &str = "DAILY_002";
const DAY: &str = "2026-10-16";
const NIGHT: &str = "2026-10-17T03:00:00+09:00";
const NOON: &str = "2026-10-16T12:00:00+09:00";

/// A world in which only tests start runs, in the night after [`DAY`], a Friday.
async fn world() -> World {
    let w = World::at(NIGHT, batches(&[ID, "BATCH-204", "BATCH-301"])).await;
    w.sql("UPDATE yakin.batches SET enabled = false").await;
    w.months(&["2026-10-01", "2026-11-01"]).await;
    w
}

async fn aggregate(w: &World) -> Seen {
    w.run(ID, Some(DAY), &[]).await
}

/// API calls by a tenant's user.
async fn calls(w: &World, tenant: i64, number: i64, at: &str) {
    w.sql(&format!(
        "INSERT INTO app.api_call_logs SELECT {tenant}, 7, '{at}', 200, 100, 10, 20 FROM generate_series(1, {number})"
    ))
    .await;
}

async fn file(w: &World, tenant: i64, bytes: i64) {
    w.sql(&format!(
        "INSERT INTO app.files (tenant_id, key, file_type, owner_id, size_bytes, created_at)
         VALUES ({tenant}, md5(random()::text), 'application/pdf', 7, {bytes}, '{NOON}')"
    ))
    .await;
}

/// A row of a day without its keys, `null` without one.
async fn row(w: &World, table: &str, tenant: i64) -> Value {
    w.one(&format!(
        "SELECT coalesce((SELECT to_jsonb(d) - '{{tenant_id, usage_date, run_id}}'::text[] FROM app.{table} d
                           WHERE tenant_id = {tenant} AND usage_date = '{DAY}'), 'null')"
    ))
    .await
}

/// The service's line of the day.
async fn system(w: &World) -> Value {
    w.one(&format!(
        "SELECT coalesce((SELECT to_jsonb(d) - '{{usage_date, run_id}}'::text[] FROM app.system_stats_daily d
                           WHERE usage_date = '{DAY}'), 'null')"
    ))
    .await
}

/// All that the batch may write, as one text.
async fn everything(w: &World) -> String {
    w.one(
        "SELECT concat((SELECT string_agg(c::text, E'\\n' ORDER BY c) FROM app.company_usage_daily c),
                       (SELECT string_agg(e::text, E'\\n' ORDER BY e) FROM app.engineer_activity_daily e),
                       (SELECT string_agg(s::text, E'\\n' ORDER BY s) FROM app.system_stats_daily s))",
    )
    .await
}

async fn logged(w: &World, run: i64, message: &str) -> Value {
    w.one(&format!(
        "SELECT coalesce((SELECT metadata FROM yakin.run_logs WHERE run_id = {run} AND message = '{message}'), 'null')"
    ))
    .await
}

/// Something of everything, for one company.
async fn lively(w: &World, tenant: i64) {
    calls(w, tenant, 3, NOON).await;
    file(w, tenant, 1000).await;
    w.sql(&format!(
        "INSERT INTO app.users (tenant_id, user_id, email, name, role, status, created_at)
         SELECT {tenant}, {tenant} * 100 + n, 'u' || n || '@x.example', 'U', 'member',
                (ARRAY['active', 'disabled', 'retired'])[n], '2026-01-01' FROM generate_series(1, 3) AS n;
         INSERT INTO app.engineers (tenant_id, engineer_id, name, status, joined_on, deleted_at)
         SELECT {tenant}, {tenant} * 100 + n, 'E' || n,
                (ARRAY['working', 'waiting_soon', 'waiting', 'waiting', 'on_leave', 'retired', 'working'])[n],
                '2020-01-01', CASE n WHEN 7 THEN timestamptz '2026-01-01' END FROM generate_series(1, 7) AS n;
         INSERT INTO app.login_logs VALUES ({tenant}, 7, '{NOON}', true), ({tenant}, 8, '{NOON}', true),
                ({tenant}, 8, '{NOON}', false);
         INSERT INTO app.feature_usage_logs VALUES ({tenant}, 7, '{NOON}', 'search', 3),
                ({tenant}, 8, '{NOON}', 'search', 4), ({tenant}, 7, '{NOON}', 'export', 3.5);
         INSERT INTO app.engineer_activity_logs VALUES ({tenant}, {tenant} * 100 + 3, 7, '{NOON}', 'profile_updated'),
                ({tenant}, {tenant} * 100 + 3, 7, '{NOON}', 'profile_updated'),
                ({tenant}, {tenant} * 100 + 1, 7, '{NOON}', 'profile_updated'),
                ({tenant}, {tenant} * 100 + 4, 7, '{NOON}', 'sheet_viewed'),
                ({tenant}, {tenant} * 100 + 4, 8, '{NOON}', 'sheet_downloaded');
         INSERT INTO app.engineer_status_history (tenant_id, engineer_id, status_on, from_status, to_status, reason,
                                                  run_id, changed_at)
         VALUES ({tenant}, {tenant} * 100 + 1, '{DAY}', 'waiting', 'working', 'goes_on', 1, '{NOON}'),
                ({tenant}, {tenant} * 100 + 3, '{DAY}', 'working', 'waiting', 'by_hand', NULL, '{NOON}'),
                ({tenant}, {tenant} * 100 + 3, '{DAY}', 'working', 'waiting', 'by_hand', NULL, '2026-10-17T00:00:00+09:00');
         INSERT INTO app.deliveries (tenant_id, source, source_id, channel, recipient, sender, priority, state, body,
                                     due_at, expires_at, sent_at, created_at, integration_id)
         SELECT {tenant}, 'notification', 1, channel, 'r', sender, 1, state, '', '{NOON}', '{NOON}', sent, '{NOON}', 1
           FROM (VALUES ('email', 'tenant', 'sent', timestamptz '{NOON}'),
                        ('email', 'tenant', 'sent', '2026-10-17T00:00:00+09:00'),
                        ('email', 'platform', 'sent', '{NOON}'), ('email', 'tenant', 'failed', NULL),
                        ('slack', 'tenant', 'sent', '{NOON}')) AS each (channel, sender, state, sent)"
    ))
    .await;
}

fn expected_company() -> Value {
    json!({
        "total_users": 2, "active_users": 2, "total_engineers": 5, "active_engineers": 3, "logins": 2, "mails_sent": 1,
        "api_calls": 3, "feature_uses": {"search": 2, "export": 1}, "storage_bytes": 1000,
        "measured_at": "2026-10-16T18:00:00+00:00", "gauges_late": false, "approaches": 0,
    })
}

#[tokio::test]
async fn every_figure_finds_its_column() {
    let w = world().await;
    let (a, b) = (w.tenant("alpha").await, w.tenant("beta").await);
    lively(&w, a).await;
    let run = aggregate(&w).await;
    assert_eq!(
        (run.outcome(), run.tenants_done, run.count("reused")),
        ("succeeded", 2, 0),
        "{run:?}"
    );
    assert_eq!(row(&w, "company_usage_daily", a).await, expected_company());
    // a company without activity has zeros, not nothing
    let zeros = json!({
        "total_users": 0, "active_users": 0, "total_engineers": 0, "active_engineers": 0, "logins": 0, "mails_sent": 0,
        "api_calls": 0, "feature_uses": {}, "storage_bytes": 0, "measured_at": "2026-10-16T18:00:00+00:00",
        "gauges_late": false, "approaches": 0,
    });
    assert_eq!(row(&w, "company_usage_daily", b).await, zeros);
    assert_eq!(
        row(&w, "engineer_activity_daily", a).await,
        json!({"profile_updates": 3, "sheets_viewed": 1, "sheets_downloaded": 1, "engineers_seen": 3,
               "status_changes": 2, "to_working": 1, "to_waiting_soon": 0, "to_waiting": 1})
    );
    assert_eq!(row(&w, "engineer_activity_daily", b).await["profile_updates"], 0);
    let line = system(&w).await;
    let names = [
        "complete",
        "total_companies",
        "companies_missing",
        "total_users",
        "active_users",
        "total_engineers",
        "active_engineers",
        "requests",
    ];
    let seen: Vec<Value> = names.iter().map(|n| line[*n].clone()).collect();
    assert_eq!(json!(seen), json!([true, 2, 0, 2, 2, 5, 3, 3]));
    assert_eq!(w.one::<i64>("SELECT count(*) FROM staging.usage_figures").await, 0);
}

#[tokio::test]
async fn the_service_answers_in_percentiles_and_errors() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    // ten requests of 10 to 100 ms, one of them with 500, one by nobody's tenant
    w.sql(&format!(
        "INSERT INTO app.api_call_logs
         SELECT CASE WHEN n < 10 THEN {a} END, 7, '{NOON}', CASE n WHEN 4 THEN 500 ELSE 404 END, n * 10, 1, 1
           FROM generate_series(1, 10) AS n"
    ))
    .await;
    aggregate(&w).await;
    let line = system(&w).await;
    assert_eq!((&line["error_percent"], &line["response_ms_mean"]), (&json!(10.0), &json!(55.0)));
    let names = ["requests", "server_errors", "response_ms_p50", "response_ms_p95"];
    let seen: Vec<Value> = names.iter().map(|n| line[*n].clone()).collect();
    assert_eq!(json!(seen), json!([10, 1, 50, 100]));
}

#[tokio::test]
async fn a_day_without_requests_has_no_rate() {
    let w = world().await;
    w.tenant("alpha").await;
    aggregate(&w).await;
    let line = system(&w).await;
    for name in ["error_percent", "response_ms_mean", "response_ms_p50", "response_ms_p95"] {
        assert_eq!(line[name], Value::Null, "{name}");
    }
    assert_eq!((&line["requests"], &line["complete"]), (&json!(0), &json!(true)));
}

#[tokio::test]
async fn a_day_begins_and_ends_at_tokyo_midnight() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    // the same day in UTC, two days in Tokyo
    calls(&w, a, 2, "2026-10-16T23:59:59+09:00").await;
    calls(&w, a, 5, "2026-10-17T00:00:00+09:00").await;
    aggregate(&w).await;
    w.set_clock("2026-10-18T03:00:00+09:00");
    w.run(ID, None, &[]).await;
    let of = "SELECT jsonb_object_agg(usage_date, api_calls) FROM app.company_usage_daily";
    assert_eq!(w.one::<Value>(of).await, json!({DAY: 2, "2026-10-17": 5}));
}

#[tokio::test]
async fn a_second_run_changes_nothing_and_a_dry_run_writes_nothing() {
    let w = world().await;
    let (a, b) = (w.tenant("alpha").await, w.tenant("beta").await);
    lively(&w, a).await;
    let planned = w.dry_run(ID, Some(DAY), &[]).await;
    assert_eq!((planned.outcome(), everything(&w).await.as_str()), ("succeeded", ""));
    let plan = planned.plan.unwrap().to_string();
    assert!(plan.contains("company_usage_daily") && plan.contains("system_stats_daily"), "{plan}");
    assert_eq!(w.one::<i64>("SELECT count(*) FROM staging.usage_figures").await, 0);

    assert_eq!(aggregate(&w).await.rows_written, 7);
    let before = everything(&w).await;
    // more of everything: counters stay unless asked for, gauges stay in any case
    calls(&w, a, 4, NOON).await;
    file(&w, a, 500).await;
    w.sql("UPDATE app.engineers SET status = 'retired'").await;
    let again = aggregate(&w).await;
    assert_eq!((again.outcome(), again.rows_written), ("succeeded", 0));
    assert_eq!(everything(&w).await, before);
    let reused =
        format!("SELECT bool_and(reused) FROM yakin.run_tenants WHERE run_id = {}", again.id);
    assert!(w.one::<bool>(&reused).await);

    let recounted = w.run(ID, Some(DAY), &[("recompute", "true")]).await;
    assert_eq!((recounted.outcome(), recounted.rows_written), ("succeeded", 2));
    let mut expected = expected_company();
    expected["api_calls"] = json!(7);
    assert_eq!(row(&w, "company_usage_daily", a).await, expected);
    assert_eq!(system(&w).await["requests"], 7);
    assert_eq!(row(&w, "company_usage_daily", b).await["total_engineers"], 0);
}

#[tokio::test]
async fn a_day_is_not_counted_again_when_its_logs_are_gone_or_for_one_company_alone() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    lively(&w, a).await;
    aggregate(&w).await;
    let before = everything(&w).await;
    calls(&w, a, 4, NOON).await;
    let recompute = vec![("recompute".to_owned(), "true".to_owned())];
    let wanted =
        Wanted { date: Some(day(DAY)), tenants: vec![a], params: recompute, ..Wanted::default() };
    let requests = system(&w).await["requests"].clone();
    assert_eq!(w.run_as(ID, wanted).await.rows_written, 1);
    assert_eq!(system(&w).await["requests"], requests);
    assert_ne!(everything(&w).await, before, "the company's own row");

    let before = everything(&w).await;
    w.sql("DELETE FROM app.api_call_logs").await;
    w.set_clock("2027-11-20T12:00:00+09:00");
    let run = w.run(ID, Some(DAY), &[("recompute", "true")]).await;
    let why = run.reason.clone().unwrap();
    assert_eq!(run.outcome(), "failed");
    assert!(
        why.contains("2026-10-16 is not counted, its") && why.contains("api_call_logs 400 days"),
        "{why}"
    );
    assert_eq!(everything(&w).await, before);

    // a day that is there is summed from its rows alone; one that is not would be counted
    assert_eq!(aggregate(&w).await.outcome(), "succeeded");
    assert_eq!(everything(&w).await, before);
    let table = |name| format!("DELETE FROM app.{name}");
    w.sql(&table("system_stats_daily")).await;
    let why = aggregate(&w).await.reason.unwrap_or_default();
    assert!(why.ends_with("are no longer kept (api_call_logs 400 days)"), "{why}");
    w.sql(&table("company_usage_daily")).await;
    let before = everything(&w).await;
    assert_eq!(aggregate(&w).await.outcome(), "failed");
    assert_eq!(everything(&w).await, before);
}

#[tokio::test]
async fn a_gauge_that_is_missing_is_filled_late_and_one_that_is_there_stays() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    lively(&w, a).await;
    aggregate(&w).await;
    w.sql("UPDATE app.company_usage_daily SET total_users = NULL, total_engineers = 99, api_calls = 50").await;
    w.set_clock("2026-10-20T12:00:00+09:00");
    assert_eq!(aggregate(&w).await.outcome(), "succeeded");
    let mut expected = expected_company();
    expected["total_engineers"] = json!(99);
    expected["api_calls"] = json!(50);
    expected["gauges_late"] = json!(true);
    assert_eq!(row(&w, "company_usage_daily", a).await, expected);
}

#[tokio::test]
async fn what_204_and_301_recorded_is_taken_over_and_not_counted_again() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    lively(&w, a).await;
    for batch in ["BATCH-204", "BATCH-301"] {
        assert_eq!(w.run(batch, Some(DAY), &[]).await.outcome(), "succeeded");
    }
    // were a log or the storage read again, the run would fail; what they recorded is what counts
    w.sql(
        "REVOKE SELECT ON app.files, app.login_logs, app.feature_usage_logs, app.user_sessions
           FROM yakin_platform, yakin_tenant;
         UPDATE app.tenant_usage_daily SET storage_bytes = 4711",
    )
    .await;
    let run = aggregate(&w).await;
    assert_eq!((run.outcome(), run.count("reused")), ("succeeded", 5), "{run:?}");
    let mut expected = expected_company();
    expected["storage_bytes"] = json!(4711);
    assert_eq!(row(&w, "company_usage_daily", a).await, expected);
}

#[tokio::test]
async fn figures_are_the_same_with_and_without_the_other_batches() {
    let w = world().await;
    let (a, b) = (w.tenant("alpha").await, w.tenant("beta").await);
    lively(&w, a).await;
    lively(&w, b).await;
    let only = |batch: &'static str| {
        let wanted = Wanted { date: Some(day(DAY)), tenants: vec![a], ..Wanted::default() };
        w.run_as(batch, wanted)
    };
    only("BATCH-204").await;
    only("BATCH-301").await;
    let run = aggregate(&w).await;
    assert_eq!((run.outcome(), run.count("reused")), ("succeeded", 5));
    let first = row(&w, "company_usage_daily", a).await;
    assert_eq!((&first, &first), (&row(&w, "company_usage_daily", b).await, &expected_company()));
}

#[tokio::test]
async fn a_failing_company_leaves_the_others_done_and_the_line_incomplete() {
    let w = world().await;
    let mut tenants = Vec::new();
    for code in ["alpha", "beta", "gamma"] {
        let tenant = w.tenant(code).await;
        calls(&w, tenant, 1, NOON).await;
        tenants.push(tenant);
    }
    w.sql(&format!("INSERT INTO app.user_sessions VALUES ({}, 7, '{NOON}', -5)", tenants[1])).await;
    let run = aggregate(&w).await;
    assert_eq!((run.outcome(), run.tenants_done, run.tenants_failed), ("partial", 2, 1));
    assert_eq!(run.count("companies_missing"), 1);
    let rows = "SELECT count(*) FROM app.company_usage_daily";
    assert_eq!(w.one::<i64>(rows).await, 2);
    let line = system(&w).await;
    assert_eq!((&line["complete"], &line["companies_missing"]), (&json!(false), &json!(1)));
    let warned = logged(&w, run.id, "the service''s line is incomplete").await;
    assert_eq!(warned, json!({"missing": 1, "of": 3}));
    assert_eq!(w.one::<i64>("SELECT count(*) FROM staging.usage_figures").await, 0);

    w.sql("DELETE FROM app.user_sessions").await;
    let healed = w.rerun_failed(run.id).await;
    assert_eq!((healed.outcome(), healed.tenants_total), ("succeeded", 1));
    let line = system(&w).await;
    assert_eq!((&line["complete"], &line["companies_missing"]), (&json!(true), &json!(0)));
    assert_eq!((&line["active_users"], w.one::<i64>(rows).await), (&json!(3), 3));
}

#[tokio::test]
async fn one_named_company_is_counted_alone() {
    let w = world().await;
    let (a, b) = (w.tenant("alpha").await, w.tenant("beta").await);
    let wanted = Wanted { date: Some(day(DAY)), tenants: vec![a], ..Wanted::default() };
    let run = w.run_as(ID, wanted).await;
    assert_eq!(
        (run.outcome(), run.tenants_total, run.count("companies_missing")),
        ("succeeded", 1, 1)
    );
    assert_ne!(row(&w, "company_usage_daily", a).await, Value::Null);
    assert_eq!(row(&w, "company_usage_daily", b).await, Value::Null);
    assert_eq!(system(&w).await["complete"], false);
}

#[tokio::test]
async fn a_company_that_left_yesterday_still_has_its_day() {
    let w = world().await;
    let (left, gone) = (w.tenant("left").await, w.tenant("gone").await);
    w.sql(&format!(
        "INSERT INTO app.tenant_status_history VALUES ({left}, '2026-10-16T12:00:00+09:00', 'closed'),
                ({gone}, '2026-10-15T12:00:00+09:00', 'closed');
         UPDATE app.tenants SET status = 'closed';
         UPDATE app.contracts SET ends_on = '2026-10-15'"
    ))
    .await;
    assert_eq!(aggregate(&w).await.tenants_total, 1);
    assert_ne!(row(&w, "company_usage_daily", left).await, Value::Null);
    assert_eq!(row(&w, "company_usage_daily", gone).await, Value::Null);
}

#[tokio::test]
async fn a_company_that_falls_silent_is_told_of() {
    let w = world().await;
    let mut tenants = Vec::new();
    // five weekdays before Friday the 16th; the weekend between does not count
    for (code, least) in [("silent", 50), ("never-lively", 49)] {
        let tenant = w.tenant(code).await;
        for date in ["09", "12", "13", "14", "15"] {
            calls(&w, tenant, least, &format!("2026-10-{date}T12:00:00+09:00")).await;
            w.run(ID, Some(&format!("2026-10-{date}")), &[]).await;
        }
        tenants.push(tenant);
    }
    for date in ["09", "12", "13", "14", "15"] {
        w.run(ID, Some(&format!("2026-10-{date}")), &[("recompute", "true")]).await;
    }
    let run = aggregate(&w).await;
    assert_eq!((run.outcome(), run.count("companies_silent")), ("succeeded", 1));
    let told = logged(&w, run.id, "companies fell silent").await;
    assert_eq!(told, json!({"companies": 1, "first": [tenants[0]]}));
    w.set_clock("2026-10-18T03:00:00+09:00");
    assert_eq!(w.run(ID, None, &[]).await.count("companies_silent"), 0, "a Saturday");
}

#[tokio::test]
async fn a_day_that_is_not_over_is_refused() {
    let w = world().await;
    w.tenant("alpha").await;
    let run = w.run(ID, Some("2026-10-17"), &[]).await;
    assert_eq!((run.outcome(), everything(&w).await.as_str()), ("failed", ""));
}
