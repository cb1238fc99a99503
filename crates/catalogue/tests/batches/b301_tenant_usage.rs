//! BATCH-301: everything a tenant took up on a day in one row, with the month's estimate and its
//! quota alerts.

use crate::common::{Post, batches};
use serde_json::{Value, json};
use yakin_engine::operate::runs::Wanted;
use yakin_testkit::{Seen, World, day};

const DAY: &str = "2026-10-17";
const NOON: &str = "2026-10-17T12:00:00+09:00";
const GB: i64 = 1024 * 1024 * 1024;

/// A world in which only tests start runs, in the night after [`DAY`].
async fn world() -> World {
    let w = World::at("2026-10-18T01:45:00+09:00", batches(&["BATCH-204", "BATCH-301"])).await;
    w.sql("UPDATE yakin.batches SET enabled = false").await;
    w.months(&["2026-10-01", "2026-11-01"]).await;
    w
}

/// Both batches for a day.
async fn night(w: &World, date: &str) -> Seen {
    let service = w.run("BATCH-204", Some(date), &[]).await;
    assert_eq!(service.outcome(), "succeeded", "{service:?}");
    w.run("BATCH-301", Some(date), &[]).await
}

async fn view(w: &World, date: &str, params: &[(&str, &str)]) -> Seen {
    w.run("BATCH-301", Some(date), params).await
}

async fn calls(w: &World, tenant: i64, number: i64, at: &str) {
    w.sql(&format!(
        "INSERT INTO app.api_call_logs SELECT {tenant}, 7, '{at}', 200, 100, 10, 20 FROM generate_series(1, {number})"
    ))
    .await;
}

async fn file(
    w: &World,
    tenant: i64,
    kind: &str,
    owner: i64,
    bytes: i64,
    created: &str,
    deleted: &str,
) {
    w.sql(&format!(
        "INSERT INTO app.files (tenant_id, key, file_type, owner_id, size_bytes, created_at, deleted_at)
         VALUES ({tenant}, md5(random()::text), '{kind}', {owner}, {bytes}, '{created}', {deleted})"
    ))
    .await;
}

/// A tenant's row of a day without its keys, `null` without one.
async fn row(w: &World, tenant: i64, date: &str) -> Value {
    w.one(&format!(
        "SELECT coalesce((SELECT to_jsonb(d) - '{{tenant_id, usage_date, run_id}}'::text[] FROM app.tenant_usage_daily d
                           WHERE tenant_id = {tenant} AND usage_date = '{date}'), 'null')"
    ))
    .await
}

async fn features(w: &World, tenant: i64) -> Value {
    w.one(&format!(
        "SELECT coalesce(jsonb_agg(jsonb_build_array(feature_name, uses, users, total_seconds, mean_seconds)
                                   ORDER BY feature_name), '[]') FROM app.tenant_feature_usage WHERE tenant_id = {tenant}"
    ))
    .await
}

/// Raised alerts in order: kind, level, day.
async fn alerts(w: &World) -> Value {
    w.one(
        "SELECT coalesce(jsonb_agg(format('%s %s %s', kind, level, to_char(usage_date, 'MM-DD')) ORDER BY usage_alert_id),
                         '[]') FROM app.usage_alerts",
    )
    .await
}

async fn everything(w: &World) -> String {
    w.one(
        "SELECT concat((SELECT string_agg(d::text, E'\\n' ORDER BY d) FROM app.tenant_usage_daily d),
                       (SELECT string_agg(f::text, E'\\n' ORDER BY f) FROM app.tenant_feature_usage f),
                       (SELECT string_agg(a::text, E'\\n' ORDER BY a) FROM app.usage_alerts a))",
    )
    .await
}

#[tokio::test]
async fn every_source_finds_its_columns() {
    let w = world().await;
    let (a, b) = (w.tenant("alpha").await, w.tenant("beta").await);
    calls(&w, a, 3, NOON).await;
    let (made, kept) = ("2026-10-17T09:00:00+09:00", "NULL");
    for (kind, owner, bytes) in [
        ("application/pdf", 7, 1000),
        ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", 7, 500),
        ("text/csv", 8, 50),
        ("image/png", 9, 200),
        ("application/zip", 7, 30),
        ("something else", 7, 4),
    ] {
        file(&w, a, kind, owner, bytes, made, kept).await;
    }
    w.sql(&format!(
        "INSERT INTO app.login_logs VALUES ({a}, 7, '{NOON}', true), ({a}, 8, '{NOON}', true), ({a}, 8, '{NOON}', false);
         INSERT INTO app.compute_usage_logs VALUES ({a}, '{NOON}', 10.5, 50, 1024, 60, 1),
                ({a}, '{NOON}', 20, 80, 2048, 20, 77), ({a}, '{NOON}', 1, 10, 10, 0, 77);
         INSERT INTO app.network_usage_logs VALUES ({a}, '{NOON}', 10, 50, 1.5, 60), ({a}, '{NOON}', 20, 70, 2, 61);
         INSERT INTO app.feature_usage_logs VALUES ({a}, 7, '{NOON}', 'search', 3), ({a}, 8, '{NOON}', 'search', 4),
                ({a}, 7, '{NOON}', 'search', 3), ({a}, 7, '{NOON}', 'export', 3.5)"
    ))
    .await;
    let run = night(&w, DAY).await;
    assert_eq!((run.outcome(), run.tenants_done), ("succeeded", 2));
    let mut seen = row(&w, a, DAY).await;
    seen.as_object_mut().unwrap().retain(|name, _| !name.starts_with("estimate"));
    let expected = json!({
        "api_calls": 3, "api_users": 1, "api_successes": 3, "api_errors": 0, "response_ms_mean": 100.0,
        "response_ms_max": 100, "api_bytes_in": 30, "api_bytes_out": 60, "active_users": 2, "reports_generated": 0,
        "sessions": 0, "logins": 2, "storage_bytes": 1784, "storage_files": 6, "storage_owners": 3,
        "storage_document_bytes": 1550, "storage_image_bytes": 200, "storage_other_bytes": 34,
        "last_upload_at": "2026-10-17T00:00:00+00:00", "cpu_seconds": 31.5, "cpu_percent_mean": 57.5,
        "cpu_percent_peak": 80, "memory_mb_seconds": 102_400, "memory_mb_peak": 2048, "processes": 2,
        "network_bytes_in": 30, "network_bytes_out": 120, "connections": 2, "connection_seconds_mean": 1.75,
        "peak_bytes_per_second": 61, "feature_uses": 4, "feature_users": 2, "feature_seconds": 13.5,
    });
    assert_eq!(seen, expected);
    assert_eq!(
        features(&w, a).await,
        json!([["export", 1, 1, 3.5, 3.5], ["search", 3, 2, 10, 3.333]])
    );
    let nothing = row(&w, b, DAY).await;
    for zero in
        ["api_calls", "logins", "storage_bytes", "cpu_seconds", "connections", "feature_uses"]
    {
        assert_eq!(nothing[zero], 0, "{zero}");
    }
    assert_eq!(nothing["cpu_percent_mean"], Value::Null);
}

#[tokio::test]
async fn a_call_at_the_last_millisecond_counts_for_the_day_and_at_midnight_for_the_next() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    calls(&w, a, 1, "2026-10-17T23:59:59.999+09:00").await;
    calls(&w, a, 1, "2026-10-17T15:00:00Z").await;
    for at in ["2026-10-16T14:59:59.999Z", "2026-10-16T15:00:00Z", "2026-10-17T15:00:00Z"] {
        w.sql(&format!(
            "INSERT INTO app.compute_usage_logs VALUES ({a}, '{at}', 1, 1, 1, 1, 1);
             INSERT INTO app.feature_usage_logs VALUES ({a}, 7, '{at}', 'search', 1)"
        ))
        .await;
    }
    night(&w, DAY).await;
    let seen = row(&w, a, DAY).await;
    assert_eq!([&seen["api_calls"], &seen["cpu_seconds"], &seen["feature_uses"]], [1, 1, 1]);
}

#[tokio::test]
async fn storage_of_a_past_day_is_what_lay_there_then() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    let (made, deleted) = ("2026-10-01T09:00:00+09:00", "'2026-10-10T09:00:00+09:00'");
    file(&w, a, "application/pdf", 7, 10 << 20, made, deleted).await;
    w.set_clock("2026-10-20T09:00:00+09:00");
    night(&w, "2026-10-05").await;
    night(&w, "2026-10-10").await;
    assert_eq!(row(&w, a, "2026-10-05").await["storage_bytes"], 10 << 20);
    assert_eq!(row(&w, a, "2026-10-10").await["storage_bytes"], 0);
}

#[tokio::test]
async fn a_second_run_changes_nothing_and_a_dry_run_writes_nothing() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    w.sql("UPDATE app.contracts SET max_storage_gb = 1, monthly_api_limit = 10").await;
    calls(&w, a, 9, NOON).await;
    file(&w, a, "image/png", 7, GB, NOON, "NULL").await;
    w.sql(&format!("INSERT INTO app.feature_usage_logs VALUES ({a}, 7, '{NOON}', 'search', 3)"))
        .await;
    w.run("BATCH-204", Some(DAY), &[]).await;
    let planned = w.dry_run("BATCH-301", Some(DAY), &[]).await;
    assert_eq!((planned.outcome(), planned.count("alerts")), ("succeeded", 3));
    assert_eq!(everything(&w).await, "");

    // the row, a feature, three alerts
    let first = view(&w, DAY, &[]).await;
    assert_eq!((first.outcome(), first.rows_written), ("succeeded", 5));
    let before = everything(&w).await;
    let again = view(&w, DAY, &[]).await;
    assert_eq!((again.outcome(), again.rows_written), ("succeeded", 0));
    assert_eq!(everything(&w).await, before);
    assert_eq!(w.one::<i64>("SELECT count(*) FROM staging.usage_figures").await, 0);
}

#[tokio::test]
async fn one_resource_is_refreshed_and_the_others_stay() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    let log = format!("INSERT INTO app.feature_usage_logs VALUES ({a}, 7, '{NOON}', 'search', 3)");
    w.sql(&log).await;
    // a day without a row is written whole
    w.run("BATCH-204", Some(DAY), &[]).await;
    view(&w, DAY, &[("resource_type", "storage")]).await;
    assert_eq!(features(&w, a).await, json!([["search", 1, 1, 3, 3.0]]));

    w.sql("UPDATE app.usage_statistics SET calls = 99").await;
    file(&w, a, "image/png", 7, 5, NOON, "NULL").await;
    w.sql(&log.replace("search", "export")).await;
    w.sql(&format!("INSERT INTO app.network_usage_logs VALUES ({a}, '{NOON}', 1, 2, 3, 4)")).await;
    let columns = ["api_calls", "storage_bytes", "connections", "feature_uses"];
    for (resource, expected) in [
        ("storage", [0, 5, 0, 1]),
        ("compute", [0, 5, 0, 1]),
        ("network", [0, 5, 1, 1]),
        ("api", [99, 5, 1, 1]),
        ("feature", [99, 5, 1, 2]),
    ] {
        view(&w, DAY, &[("resource_type", resource)]).await;
        let seen = row(&w, a, DAY).await;
        assert_eq!(columns.map(|c| seen[c].as_i64().unwrap()), expected, "{resource}");
        let listed = features(&w, a).await.as_array().map_or(0, Vec::len);
        assert_eq!(listed as i64, expected[3], "{resource}");
    }
    w.sql("DELETE FROM app.feature_usage_logs WHERE feature_name = 'search'").await;
    view(&w, DAY, &[]).await;
    assert_eq!(features(&w, a).await, json!([["export", 1, 1, 3, 3.0]]));
}

#[tokio::test]
async fn storage_warns_once_at_each_level_and_again_after_it_had_fallen() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    w.sql("UPDATE app.contracts SET max_storage_gb = 10").await;
    let nights = [
        ("2026-10-17", 799, json!([])),
        ("2026-10-18", 801, json!(["storage warning 10-18"])),
        ("2026-10-19", 810, json!(["storage warning 10-18"])),
        ("2026-10-20", 951, json!(["storage warning 10-18", "storage critical 10-20"])),
        // five points below critical, but not below the warning
        ("2026-10-21", 760, json!(["storage warning 10-18", "storage critical 10-20"])),
        ("2026-10-22", 810, json!(["storage warning 10-18", "storage critical 10-20"])),
        ("2026-10-23", 750, json!(["storage warning 10-18", "storage critical 10-20"])),
        (
            "2026-10-24",
            960,
            json!([
                "storage warning 10-18",
                "storage critical 10-20",
                "storage warning 10-24",
                "storage critical 10-24"
            ]),
        ),
    ];
    for (date, per_mille, expected) in &nights {
        let midnight = format!("{date}T00:00:00+09:00");
        w.sql(&format!("UPDATE app.files SET deleted_at = '{midnight}' WHERE deleted_at IS NULL"))
            .await;
        file(&w, a, "image/png", 7, GB / 100 * per_mille, &midnight, "NULL").await;
        let morning: String =
            w.one(&format!("SELECT to_char(date '{date}' + 1, 'YYYY-MM-DD')")).await;
        w.set_clock(&format!("{morning}T02:00:00+09:00"));
        night(&w, date).await;
        assert_eq!(alerts(&w).await, *expected, "{date}");
    }
    // counting a past day again says nothing about now
    file(&w, a, "image/png", 7, 1, "2026-10-23T12:00:00+09:00", "'2026-10-24T00:00:00+09:00'")
        .await;
    night(&w, "2026-10-23").await;
    assert_eq!(row(&w, a, "2026-10-23").await["storage_files"], 2);
    assert_eq!(alerts(&w).await, nights[7].2);
    let open = "SELECT count(*) FROM app.usage_alerts WHERE rearmed_on IS NULL";
    assert_eq!(w.one::<i64>(open).await, 2);
    let told: Value = w
        .one("SELECT jsonb_agg(jsonb_build_array(percent, audience, message)) FROM app.usage_alerts WHERE usage_date = '2026-10-20'")
        .await;
    let message = "ストレージが契約容量の 95.1 % に達しました (2026-10-20)";
    assert_eq!(told, json!([[95.1, ["tenant_admin", "operations"], message]]));
}

#[tokio::test]
async fn api_calls_warn_once_a_month_and_level() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    w.sql("UPDATE app.contracts SET monthly_api_limit = 100").await;
    w.set_clock("2026-11-20T02:00:00+09:00");
    let nights = [
        ("2026-10-20", 80, json!([])),
        ("2026-10-21", 1, json!(["api warning 10-21"])),
        ("2026-10-22", 14, json!(["api warning 10-21"])),
        ("2026-10-23", 1, json!(["api warning 10-21", "api critical 10-23"])),
        ("2026-10-24", 50, json!(["api warning 10-21", "api critical 10-23"])),
        ("2026-11-01", 79, json!(["api warning 10-21", "api critical 10-23"])),
        ("2026-11-02", 2, json!(["api warning 10-21", "api critical 10-23", "api warning 11-02"])),
    ];
    for (date, number, expected) in nights {
        calls(&w, a, number, &format!("{date}T12:00:00+09:00")).await;
        night(&w, date).await;
        assert_eq!(alerts(&w).await, expected, "{date}");
    }
}

#[tokio::test]
async fn without_a_limit_nothing_is_warned_of() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    w.sql("UPDATE app.contracts SET max_storage_gb = 0, monthly_api_limit = NULL").await;
    calls(&w, a, 1000, NOON).await;
    file(&w, a, "image/png", 7, 100 * GB, NOON, "NULL").await;
    night(&w, DAY).await;
    assert_eq!(alerts(&w).await, json!([]));
}

#[tokio::test]
async fn the_estimate_is_the_price_of_the_days_so_far() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    // 50,000 / 31 = 1,613 for the day; 5,000 calls, 3,225.8 included, 2 started thousands at 120
    w.sql("UPDATE app.contracts SET starts_on = '2026-10-17'; UPDATE app.tenants SET billing_cycle = 'annual'")
        .await;
    calls(&w, a, 5000, NOON).await;
    night(&w, DAY).await;
    let seen = row(&w, a, DAY).await;
    let estimate =
        [&seen["estimate_month_to_date"], &seen["estimate_currency"], &seen["estimate_missing"]];
    assert_eq!(estimate, [&json!(1853), &json!("JPY"), &Value::Null]);

    // of two days: 3,226 + nothing more, since 6,451.6 calls are included
    w.set_clock("2026-10-19T02:00:00+09:00");
    night(&w, "2026-10-18").await;
    assert_eq!(row(&w, a, "2026-10-18").await["estimate_month_to_date"], 3226);
}

#[tokio::test]
async fn an_estimate_that_cannot_be_computed_has_a_reason_and_no_amount() {
    let w = world().await;
    let (a, b) = (w.tenant("alpha").await, w.tenant("beta").await);
    w.sql(&format!("UPDATE app.contracts SET billing_engine = 'skillsheet' WHERE tenant_id = {b}"))
        .await;
    let run = night(&w, DAY).await;
    assert_eq!((run.outcome(), run.count("estimates_missing")), ("succeeded", 2));
    let seen = row(&w, a, DAY).await;
    assert_eq!(seen["estimate_month_to_date"], Value::Null);
    let reason = seen["estimate_missing"].as_str().unwrap();
    assert!(reason.starts_with("usage of 2026-10-01, 2026-10-02"), "{reason}");
    let seen = row(&w, b, DAY).await;
    assert_eq!(seen["estimate_missing"], "no contract of the month is priced by usage");
}

#[tokio::test]
async fn costs_are_set_against_the_same_days_of_the_month_before() {
    // 200,000 calls on the one day of the contract: 1,613 + 197 × 120 = 25,253
    for (before, floor, expected) in [
        (12_626, "10000", json!(["cost warning 10-17"])), // 200.006 %
        (12_627, "10000", json!([])),                     // 199.99 %
        (12_626, "12627", json!([])),                     // the difference is the floor
        (0, "0", json!([])),                              // no percentage
    ] {
        let w = world().await;
        let a = w.tenant("alpha").await;
        w.sql("UPDATE app.contracts SET starts_on = '2026-10-17'").await;
        calls(&w, a, 200_000, NOON).await;
        w.run("BATCH-204", Some(DAY), &[]).await;
        w.sql(&format!(
            "INSERT INTO app.tenant_usage_daily
             SELECT (jsonb_populate_record(NULL::app.tenant_usage_daily, jsonb_object_agg(column_name, 0)
                     || jsonb_build_object('tenant_id', {a}, 'usage_date', '2026-09-17', 'last_upload_at', NULL,
                            'estimate_currency', 'JPY', 'estimate_missing', NULL, 'estimate_month_to_date', {before}))).*
               FROM information_schema.columns
              WHERE table_schema = 'app' AND table_name = 'tenant_usage_daily'"
        ))
        .await;
        view(&w, DAY, &[("cost_floor", floor)]).await;
        assert_eq!(row(&w, a, DAY).await["estimate_month_to_date"], 25_253);
        assert_eq!(alerts(&w).await, expected, "{before} with floor {floor}");
        let told = notices(&w).await;
        let told = told.as_array().unwrap().iter().map(|n| n[0].as_str().unwrap());
        let expected = if expected == json!([]) { vec![] } else { vec!["admin", "sales"] };
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn an_impossible_value_fails_its_tenant_alone() {
    let w = world().await;
    let mut tenants = Vec::new();
    for n in 1..=20 {
        tenants.push(w.tenant(&format!("t{n}")).await);
    }
    night(&w, DAY).await;
    for tenant in &tenants {
        calls(&w, *tenant, 1, NOON).await;
    }
    let (bad, worse) = (tenants[3], tenants[4]);
    w.sql(&format!(
        "INSERT INTO app.compute_usage_logs VALUES ({bad}, '{NOON}', 'NaN', 1, 1, 1, 1);
         INSERT INTO app.network_usage_logs VALUES ({worse}, '{NOON}', -3, 1, 1, 1)"
    ))
    .await;
    w.run("BATCH-204", Some(DAY), &[]).await;
    let run = view(&w, DAY, &[]).await;
    assert_eq!((run.outcome(), run.tenants_done, run.tenants_failed), ("partial", 18, 2));
    let why = |said: &str| Some(format!("usage of 2026-10-17: {said}, which cannot be"));
    assert_eq!(
        w.tenant_seen(run.id, bad).await,
        ("failed".into(), why("compute_usage_logs has NaN"))
    );
    assert_eq!(
        w.tenant_seen(run.id, worse).await,
        ("failed".into(), why("network_usage_logs has -3"))
    );
    assert_eq!(row(&w, bad, DAY).await["api_calls"], 0);
    assert_eq!(row(&w, tenants[5], DAY).await["api_calls"], 1);
    let warned = "SELECT count(*) FROM yakin.run_logs WHERE message = 'many tenants failed'";
    assert!(w.one::<i64>(warned).await >= 1);
}

#[tokio::test]
async fn without_the_service_record_the_tenant_is_blocked() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    let run = view(&w, DAY, &[]).await;
    assert_eq!((run.outcome(), run.tenants_blocked), ("failed", 1));
    // the record vanished after BATCH-204 had completed
    w.run("BATCH-204", Some(DAY), &[]).await;
    w.sql("DELETE FROM app.usage_statistics").await;
    let run = view(&w, DAY, &[]).await;
    let reason = "usage of 2026-10-17 from BATCH-204 is missing".to_owned();
    assert_eq!(w.tenant_seen(run.id, a).await, ("blocked".into(), Some(reason)));
    assert_eq!(everything(&w).await, "");
}

#[tokio::test]
async fn whoever_is_under_contract_that_day_is_counted() {
    let w = world().await;
    let mut ids = Vec::new();
    for code in ["suspended", "closed", "ended", "ends-today", "begins-tomorrow"] {
        ids.push(w.tenant(code).await);
    }
    let [suspended, closed, ended, today, tomorrow] = ids[..] else { panic!("five tenants") };
    w.sql(&format!(
        "UPDATE app.tenants SET status = 'suspended' WHERE tenant_id = {suspended};
         UPDATE app.tenants SET status = 'closed' WHERE tenant_id = {closed};
         INSERT INTO app.tenant_status_history VALUES ({closed}, '2026-10-02T00:00:00+09:00', 'closed');
         UPDATE app.contracts SET ends_on = '2026-10-16' WHERE tenant_id = {ended};
         UPDATE app.contracts SET ends_on = '2026-10-17' WHERE tenant_id = {today};
         UPDATE app.contracts SET starts_on = '2026-10-18' WHERE tenant_id = {tomorrow}"
    ))
    .await;
    let run = night(&w, DAY).await;
    assert_eq!(run.outcome(), "succeeded");
    let counted: Value =
        w.one("SELECT jsonb_agg(tenant_id ORDER BY tenant_id) FROM app.tenant_usage_daily").await;
    assert_eq!(counted, json!([suspended, closed, today]));
}

#[tokio::test]
async fn a_billed_day_stays_as_it_is() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    night(&w, DAY).await;
    w.sql("UPDATE app.usage_statistics SET state = 'billed'").await;
    file(&w, a, "image/png", 7, 5, NOON, "NULL").await;
    let before = everything(&w).await;
    let run = view(&w, DAY, &[]).await;
    assert_eq!((run.outcome(), run.rows_written), ("succeeded", 0));
    assert_eq!(everything(&w).await, before);
    let said: Value = w
        .one(&format!(
            "SELECT metadata FROM yakin.run_logs WHERE run_id = {} AND level = 'warn'",
            run.id
        ))
        .await;
    let figures =
        "last_upload_at, storage_bytes, storage_files, storage_image_bytes, storage_owners";
    assert_eq!(said["figures"], figures);
}

#[tokio::test]
async fn a_day_whose_logs_are_no_longer_kept_keeps_what_was_read_from_them() {
    let w = world().await;
    let (a, b) = (w.tenant("alpha").await, w.tenant("beta").await);
    w.sql(&format!(
        "INSERT INTO app.feature_usage_logs VALUES ({a}, 7, '{NOON}', 'search', 3);
         INSERT INTO app.compute_usage_logs VALUES ({a}, '{NOON}', 10.5, 50, 1024, 60, 1)"
    ))
    .await;
    night(&w, DAY).await;
    w.sql("DELETE FROM app.feature_usage_logs; DELETE FROM app.compute_usage_logs").await;
    w.set_clock("2027-11-21T01:45:00+09:00");
    let before = everything(&w).await;
    for resource in ["all", "api", "compute", "feature"] {
        let run = view(&w, DAY, &[("resource_type", resource)]).await;
        let why = run.reason.clone().unwrap_or_default();
        assert_eq!(run.outcome(), "failed", "{resource}");
        assert!(why.contains("2026-10-17 is not counted, its logs are no longer kept ("), "{why}");
        let compute = ["all", "compute"].contains(&resource);
        assert_eq!(why.contains("compute_usage_logs 400 days"), compute, "{why}");
    }
    assert_eq!(everything(&w).await, before);

    // the storage is no log; but a day without a row would be written whole
    file(&w, a, "image/png", 7, 5, NOON, "NULL").await;
    let storage = [("resource_type", "storage")];
    assert_eq!(view(&w, DAY, &storage).await.outcome(), "succeeded");
    let seen = row(&w, a, DAY).await;
    assert_eq!((&seen["storage_bytes"], &seen["cpu_seconds"]), (&json!(5), &json!(10.5)));
    assert_eq!(features(&w, a).await, json!([["search", 1, 1, 3, 3.0]]));
    w.sql(&format!("DELETE FROM app.tenant_usage_daily WHERE tenant_id = {b}")).await;
    assert_eq!(view(&w, DAY, &storage).await.outcome(), "failed");
    let only = Wanted {
        date: Some(day(DAY)),
        tenants: vec![a],
        params: vec![("resource_type".to_owned(), "storage".to_owned())],
        ..Wanted::default()
    };
    assert_eq!(w.run_as("BATCH-301", only).await.outcome(), "succeeded");
}

/// What was asked to be told: audience, urgency, data.
async fn notices(w: &World) -> Value {
    w.one(
        "SELECT coalesce(jsonb_agg(jsonb_build_array(audience, priority, data) ORDER BY notification_id), '[]')
           FROM app.notifications WHERE key = 'usage-alert'",
    )
    .await
}

async fn reports(w: &World, run: i64) -> Value {
    w.one(&format!(
        "SELECT coalesce((SELECT jsonb_agg(jsonb_build_array(r -> 'subject', r -> 'message'))
                            FROM jsonb_array_elements(reports) AS r), '[]') FROM yakin.runs WHERE id = {run}"
    ))
    .await
}

#[tokio::test]
async fn a_crossing_is_told_once_to_administrators_and_a_critical_one_to_operations() {
    let w = world().await;
    let (a, b) = (w.tenant("alpha").await, w.tenant("beta").await);
    w.sql("UPDATE app.contracts SET max_storage_gb = 10").await;
    file(&w, a, "image/png", 7, GB / 100 * 960, NOON, "NULL").await;
    file(&w, b, "image/png", 7, GB / 100 * 801, NOON, "NULL").await;
    let planned = w.run("BATCH-204", Some(DAY), &[]).await;
    assert_eq!(planned.outcome(), "succeeded");
    w.dry_run("BATCH-301", Some(DAY), &[]).await;
    assert_eq!(notices(&w).await, json!([]));
    let run = view(&w, DAY, &[]).await;
    // both levels at once are one message
    let mut told = notices(&w).await;
    told.as_array_mut().unwrap().sort_by_key(|n| n[1].to_string());
    let of =
        |level, percent| json!({"kind": "storage", "level": level, "percent": percent, "day": DAY});
    let expected = json!([
        ["admin", "high", of("critical", "96.0")],
        ["admin", "medium", of("warning", "80.1")]
    ]);
    assert_eq!(told, expected);
    let operations = json!([[
        "storage of alpha",
        "storage of alpha has reached 96.0 % of its limit (2026-10-17)"
    ]]);
    assert_eq!(reports(&w, run.id).await, operations);

    let again = view(&w, DAY, &[]).await;
    assert_eq!(notices(&w).await.as_array().map(Vec::len), Some(2));
    assert_eq!(reports(&w, again.id).await, operations, "it stands for three days");
    w.set_clock("2026-10-21T01:45:00+09:00");
    let later = night(&w, "2026-10-20").await;
    assert_eq!((later.outcome(), reports(&w, later.id).await), ("succeeded", json!([])));
}

#[tokio::test]
async fn a_month_that_is_over_is_not_told_of() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    w.sql("UPDATE app.contracts SET monthly_api_limit = 10").await;
    calls(&w, a, 10, NOON).await;
    w.set_clock("2026-11-20T02:00:00+09:00");
    let run = night(&w, DAY).await;
    assert_eq!(alerts(&w).await, json!(["api warning 10-17", "api critical 10-17"]));
    assert_eq!((notices(&w).await, reports(&w, run.id).await), (json!([]), json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_of_a_crossing_in_their_language() {
    let ids = ["BATCH-204", "BATCH-301", "BATCH-401"];
    let post = Post::new("2026-10-18T01:45:00+09:00", &ids, &[], &[]).await;
    post.months(&["2026-10-01", "2026-11-01"]).await;
    let (a, b) = (post.client("alpha").await, post.client("beta").await);
    post.sql(&format!(
        "UPDATE app.contracts SET monthly_api_limit = 10 WHERE tenant_id = {a};
         UPDATE app.contracts SET max_storage_gb = 10 WHERE tenant_id = {b};
         UPDATE app.tenants SET language = 'en' WHERE tenant_id = {b}"
    ))
    .await;
    calls(&post, a, 9, NOON).await;
    file(&post, b, "image/png", 7, GB / 100 * 960, NOON, "NULL").await;
    assert_eq!(night(&post, DAY).await.outcome(), "succeeded");
    post.run("BATCH-401", None, &[]).await;
    let mails: Value = post
        .one("SELECT jsonb_agg(jsonb_build_array(recipient, subject) ORDER BY tenant_id) FROM app.deliveries")
        .await;
    let expected = json!([
        ["admin@alpha.example", "【株式会社alpha】今月の API 呼び出しが上限の 90.0 % に達しました"],
        ["admin@beta.example", "[株式会社beta] The storage has reached 96.0 % of the contract"]
    ]);
    assert_eq!(mails, expected);
}
