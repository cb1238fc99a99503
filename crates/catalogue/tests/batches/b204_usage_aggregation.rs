//! BATCH-204: what each tenant did with the service on a day, counted once, kept up to date, never
//! guessed.

use crate::common::batches;
use serde_json::{Value, json};
use yakin_engine::operate::runs::Wanted;
use yakin_testkit::{Seen, World, day};

/// The day that is counted, and the night after it.
const DAY: &str = "2026-10-17";
const NIGHT: &str = "2026-10-18T01:30:00+09:00";

/// A world in which only tests start runs.
async fn world() -> World {
    let w = World::at(NIGHT, batches(&["BATCH-204", "BATCH-301"])).await;
    w.sql("UPDATE yakin.batches SET enabled = false").await;
    w.months(&["2026-09-01", "2026-10-01", "2026-11-01"]).await;
    w
}

async fn count(w: &World, date: &str) -> Seen {
    w.run("BATCH-204", Some(date), &[]).await
}

/// API calls of a tenant's user: instant, status, milliseconds.
async fn calls(w: &World, tenant: &str, user: &str, calls: &[(&str, i32, i32)]) {
    for (at, status, ms) in calls {
        w.sql(&format!(
            "INSERT INTO app.api_call_logs VALUES ({tenant}, {user}, '{at}', {status}, {ms}, 10, 20)"
        ))
        .await;
    }
}

async fn call(w: &World, tenant: i64, at: &str) {
    calls(w, &tenant.to_string(), "7", &[(at, 200, 100)]).await;
}

async fn session(w: &World, tenant: i64, user: i64, at: &str, seconds: &str) {
    w.sql(&format!("INSERT INTO app.user_sessions VALUES ({tenant}, {user}, '{at}', {seconds})"))
        .await;
}

async fn file(w: &World, tenant: i64, bytes: i64, created: &str, deleted: &str) {
    w.sql(&format!(
        "INSERT INTO app.files (tenant_id, key, file_type, owner_id, size_bytes, created_at, deleted_at)
         VALUES ({tenant}, md5(random()::text), 'application/pdf', 7, {bytes}, '{created}', {deleted})"
    ))
    .await;
}

/// A tenant's record of a day, `null` without one.
async fn record(w: &World, tenant: i64, date: &str) -> Value {
    w.one(&format!(
        "SELECT coalesce((SELECT to_jsonb(u) FROM app.usage_statistics u
                           WHERE tenant_id = {tenant} AND usage_date = '{date}'), 'null')"
    ))
    .await
}

/// All that the batch may write, as one text.
async fn everything(w: &World) -> String {
    w.one(
        "SELECT concat((SELECT string_agg(u::text, E'\\n' ORDER BY u) FROM app.usage_statistics u),
                       (SELECT string_agg(c::text, E'\\n' ORDER BY c) FROM app.usage_corrections c),
                       (SELECT string_agg(d::text, E'\\n' ORDER BY d) FROM app.tenant_usage_daily d))",
    )
    .await
}

async fn warned(w: &World, run: i64, message: &str) -> bool {
    w.one(&format!(
        "SELECT EXISTS (SELECT FROM yakin.run_logs WHERE run_id = {run} AND message = '{message}')"
    ))
    .await
}

fn picked(record: &Value, names: &[&str]) -> Value {
    names
        .iter()
        .map(|n| ((*n).to_owned(), record[*n].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[tokio::test]
async fn calls_are_classed_by_status_and_people_counted_once() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    let (id, noon) = (a.to_string(), "2026-10-17T12:00:00+09:00");
    let times = [(200, 100), (201, 200), (204, 300), (304, 400), (404, 500), (500, 600)];
    for (place, (status, ms)) in times.into_iter().enumerate() {
        // three people, one of them far from the others' ids, and one call by nobody
        let user = ["7", "7", "8", "1000000", "8", "NULL"][place];
        calls(&w, &id, user, &[(noon, status, ms)]).await;
    }
    session(&w, a, 9, noon, "600").await;
    session(&w, a, 9, noon, "NULL").await;
    session(&w, a, 8, noon, "1200").await;
    w.sql(&format!(
        "INSERT INTO app.login_logs VALUES ({a}, 10, '{noon}', true), ({a}, 11, '{noon}', false);
         INSERT INTO app.report_generation_logs VALUES ({a}, 8, '{noon}', 'completed'),
                ({a}, 8, '{noon}', 'failed'), ({a}, 12, '{noon}', 'processing')"
    ))
    .await;

    let run = count(&w, DAY).await;
    assert_eq!((run.outcome(), run.count("days_written")), ("succeeded", 1));
    let mut seen = record(&w, a, DAY).await;
    seen.as_object_mut().unwrap().retain(|name, _| name != "tenant_id" && name != "run_id");
    let expected = json!({
        "usage_date": DAY, "calls": 6, "call_users": 3, "successful": 4, "client_errors": 1, "server_errors": 1,
        "response_ms_sum": 2100, "response_ms_mean": 350.0, "response_ms_p95": 600, "response_ms_max": 600,
        "request_bytes": 60, "response_bytes": 120, "storage_bytes": 0, "files": 0, "reports_generated": 3,
        "reports_completed": 1, "report_users": 2, "sessions": 3, "session_seconds": 1800, "active_users": 5,
        "state": "provisional",
    });
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn the_percentile_is_the_smallest_value_that_95_of_100_calls_do_not_exceed() {
    let w = world().await;
    let (a, b, c) = (w.tenant("a").await, w.tenant("b").await, w.tenant("c").await);
    let at = "'2026-10-17T12:00:00+09:00'";
    w.sql(&format!(
        "INSERT INTO app.api_call_logs SELECT {a}, 1, {at}, 200, 11 * n, 0, 0 FROM generate_series(1, 100) n;
         INSERT INTO app.api_call_logs SELECT {b}, 1, {at}, 200, 50, 0, 0 FROM generate_series(1, 95) n;
         INSERT INTO app.api_call_logs SELECT {b}, 1, {at}, 200, 9000, 0, 0 FROM generate_series(1, 5) n;
         INSERT INTO app.api_call_logs SELECT {c}, 1, {at}, 200, (n * 7919) % 1500, 0, 0 FROM generate_series(1, 977) n"
    ))
    .await;
    count(&w, DAY).await;
    assert_eq!(record(&w, a, DAY).await["response_ms_p95"], 11 * 95);
    assert_eq!(record(&w, b, DAY).await["response_ms_p95"], 50);
    let expected: i32 = w
        .one(&format!(
            "SELECT percentile_disc(0.95) WITHIN GROUP (ORDER BY response_ms) FROM app.api_call_logs WHERE tenant_id = {c}"
        ))
        .await;
    assert_eq!(record(&w, c, DAY).await["response_ms_p95"], expected);
}

#[tokio::test]
async fn a_day_begins_and_ends_at_tokyo_midnight() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    for at in [
        "2026-10-16T14:59:59.999Z",
        "2026-10-16T15:00:00Z",
        "2026-10-17T14:59:59.999Z",
        "2026-10-17T15:00:00Z",
    ] {
        call(&w, a, at).await;
        // a session belongs to the day it began on, however long it was
        session(&w, a, 7, at, "86400").await;
    }
    count(&w, DAY).await;
    let seen = picked(&record(&w, a, DAY).await, &["calls", "sessions", "session_seconds"]);
    assert_eq!(seen, json!({"calls": 2, "sessions": 2, "session_seconds": 172_800}));
}

#[tokio::test]
async fn storage_is_what_lay_there_at_the_end_of_the_day_whenever_it_is_asked() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    let deleted = "'2026-10-18T00:00:00+09:00'";
    file(&w, a, 10 << 20, "2026-10-17T09:00:00+09:00", deleted).await;
    file(&w, a, 5, "2026-10-18T00:00:00+09:00", "NULL").await;
    file(&w, a, 7, "2026-09-01T00:00:00+09:00", "'2026-10-17T23:59:59+09:00'").await;
    count(&w, DAY).await;
    w.set_clock("2026-10-25T09:00:00+09:00");
    count(&w, "2026-10-18").await;
    let names = ["storage_bytes", "files"];
    let expected = json!({"storage_bytes": 10 << 20, "files": 1});
    assert_eq!(picked(&record(&w, a, DAY).await, &names), expected);
    assert_eq!(
        picked(&record(&w, a, "2026-10-18").await, &names),
        json!({"storage_bytes": 5, "files": 1})
    );
    let again = count(&w, DAY).await;
    assert_eq!((again.outcome(), again.count("days_written")), ("succeeded", 0));
    assert_eq!(picked(&record(&w, a, DAY).await, &names), expected);
}

#[tokio::test]
async fn a_second_run_changes_nothing_and_a_dry_run_writes_nothing() {
    let w = world().await;
    let (a, b) = (w.tenant("alpha").await, w.tenant("beta").await);
    call(&w, a, "2026-10-17T12:00:00+09:00").await;
    let planned = w.dry_run("BATCH-204", Some(DAY), &[]).await;
    assert_eq!((planned.outcome(), planned.count("days_written")), ("succeeded", 2));
    assert_eq!(everything(&w).await, "");
    assert!(planned.plan.unwrap().to_string().contains("app.usage_statistics"));

    let first = count(&w, DAY).await;
    assert_eq!((first.outcome(), first.rows_written), ("succeeded", 2));
    // a tenant without activity has a row of zeros
    let names = ["calls", "sessions", "files", "response_ms_mean"];
    let zeros = json!({"calls": 0, "sessions": 0, "files": 0, "response_ms_mean": null});
    assert_eq!(picked(&record(&w, b, DAY).await, &names), zeros);
    let before = everything(&w).await;
    let again = count(&w, DAY).await;
    assert_eq!((again.outcome(), again.rows_written), ("succeeded", 0));
    assert_eq!(everything(&w).await, before);
    assert_eq!(w.one::<i64>("SELECT count(*) FROM staging.usage_figures").await, 0);
}

#[tokio::test]
async fn an_impossible_value_fails_its_tenant_alone_and_a_rerun_heals_it() {
    let w = world().await;
    let mut tenants = Vec::new();
    for n in 1..=5 {
        let tenant = w.tenant(&format!("t{n}")).await;
        call(&w, tenant, "2026-10-17T12:00:00+09:00").await;
        tenants.push(tenant);
    }
    count(&w, DAY).await;
    let (bad, before) = (tenants[2], record(&w, tenants[2], DAY).await);
    for tenant in &tenants {
        call(&w, *tenant, "2026-10-17T13:00:00+09:00").await;
    }
    session(&w, bad, 7, "2026-10-17T14:00:00+09:00", "-5").await;

    let run = count(&w, DAY).await;
    assert_eq!((run.outcome(), run.tenants_done, run.tenants_failed), ("partial", 4, 1));
    let (state, reason) = w.tenant_seen(run.id, bad).await;
    let expected = "usage of 2026-10-17: user_sessions has duration_seconds -5, which cannot be";
    assert_eq!((state.as_str(), reason.as_deref()), ("failed", Some(expected)));
    assert_eq!(record(&w, bad, DAY).await, before);
    assert!(warned(&w, run.id, "many tenants failed").await);
    for tenant in tenants.iter().filter(|t| **t != bad) {
        assert_eq!(record(&w, *tenant, DAY).await["calls"], 2);
    }

    w.sql("DELETE FROM app.user_sessions WHERE duration_seconds < 0").await;
    let healed = w.rerun_failed(run.id).await;
    assert_eq!((healed.outcome(), healed.tenants_total), ("succeeded", 1));
    assert_eq!(record(&w, bad, DAY).await["calls"], 2);
}

#[tokio::test]
async fn impossible_values_of_calls_are_named_too() {
    for (row, said) in [
        ("200, -1, 10, 20", "api_call_logs has response_ms -1"),
        ("200, 1, 10, -20", "api_call_logs has bytes -20"),
    ] {
        let w = world().await;
        let a = w.tenant("alpha").await;
        let at = "2026-10-17T12:00:00+09:00";
        w.sql(&format!("INSERT INTO app.api_call_logs VALUES ({a}, 7, '{at}', {row})")).await;
        let run = count(&w, DAY).await;
        let reason = w.tenant_seen(run.id, a).await.1.unwrap();
        assert!(reason.contains(said), "{reason}");
    }
}

#[tokio::test]
async fn late_rows_change_a_provisional_day_and_301_follows() {
    let w = world().await;
    let (a, b) = (w.tenant("alpha").await, w.tenant("beta").await);
    call(&w, a, "2026-10-17T12:00:00+09:00").await;
    count(&w, DAY).await;
    w.run("BATCH-301", Some(DAY), &[]).await;
    let untouched = record(&w, b, DAY).await;

    w.set_clock("2026-10-19T01:30:00+09:00");
    let quiet = count(&w, "2026-10-18").await;
    assert_eq!((quiet.count("days_counted_again"), quiet.count("days_written")), (0, 2));

    call(&w, a, "2026-10-17T12:00:00+09:00").await;
    w.set_clock("2026-10-20T01:30:00+09:00");
    let night = count(&w, "2026-10-19").await;
    assert_eq!((night.count("days_counted_again"), night.count("days_written")), (1, 3));
    assert_eq!(night.count("recomputed_in_301"), 1);
    assert_eq!(record(&w, a, DAY).await["calls"], 2);
    assert_eq!(record(&w, b, DAY).await, untouched);
    let viewed = format!("SELECT api_calls FROM app.tenant_usage_daily WHERE tenant_id = {a}");
    assert_eq!(w.one::<i64>(&viewed).await, 2);

    w.set_clock("2026-10-21T01:30:00+09:00");
    count(&w, "2026-10-20").await;
    let state = |at: Value| at["state"].as_str().unwrap().to_owned();
    assert_eq!(state(record(&w, a, DAY).await), "final");
    assert_eq!(state(record(&w, a, "2026-10-18").await), "provisional");

    // after that a late row changes the day only when somebody counts it again
    call(&w, a, "2026-10-17T12:00:00+09:00").await;
    w.set_clock("2026-10-22T01:30:00+09:00");
    assert_eq!(count(&w, "2026-10-21").await.count("days_counted_again"), 0);
    assert_eq!(record(&w, a, DAY).await["calls"], 2);
    assert_eq!(count(&w, DAY).await.count("days_written"), 1);
    assert_eq!(record(&w, a, DAY).await["calls"], 3);
    assert_eq!(w.one::<i64>(&viewed.replace("api_calls", "max(api_calls)")).await, 3);
}

#[tokio::test]
async fn a_billed_day_changes_by_a_correction_alone() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    call(&w, a, "2026-10-17T12:00:00+09:00").await;
    count(&w, DAY).await;
    w.sql("UPDATE app.usage_statistics SET state = 'billed'").await;
    call(&w, a, "2026-10-17T13:00:00+09:00").await;
    file(&w, a, 50, "2026-10-17T09:00:00+09:00", "NULL").await;
    let before = record(&w, a, DAY).await;

    let noted = count(&w, DAY).await;
    assert_eq!((noted.outcome(), noted.rows_written), ("succeeded", 0));
    assert_eq!((noted.count("billed_days_differing"), noted.count("corrections")), (1, 0));
    let note = "a billed day differs and stays as it is; force_recalc writes a correction";
    assert!(warned(&w, noted.id, note).await);

    let force = [("force_recalc", "true")];
    let corrected = w.run("BATCH-204", Some(DAY), &force).await;
    assert_eq!(corrected.count("corrections"), 1);
    assert_eq!(record(&w, a, DAY).await, before);
    let correction =
        "SELECT jsonb_agg(to_jsonb(c) - '{tenant_id, run_id}'::text[] ORDER BY revision)
                        FROM app.usage_corrections c";
    let first = json!({"usage_date": DAY, "revision": 1, "calls_difference": 1, "storage_bytes_difference": 50,
        "differences": {"calls": 1, "successful": 1, "response_ms_sum": 100, "request_bytes": 10,
                        "response_bytes": 20, "storage_bytes": 50, "files": 1},
        "settled_by_invoice": null});
    assert_eq!(w.one::<Value>(correction).await, json!([first]));

    // again: nothing is left to correct; a further row is a further correction
    assert_eq!(w.run("BATCH-204", Some(DAY), &force).await.count("corrections"), 0);
    call(&w, a, "2026-10-17T14:00:00+09:00").await;
    assert_eq!(w.run("BATCH-204", Some(DAY), &force).await.count("corrections"), 1);
    let calls = "SELECT jsonb_agg(calls_difference ORDER BY revision) FROM app.usage_corrections";
    assert_eq!(w.one::<Value>(calls).await, json!([1, 1]));
}

#[tokio::test]
async fn a_day_that_was_missing_when_its_month_was_billed_can_still_be_recorded() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    call(&w, a, "2026-09-10T12:00:00+09:00").await;
    w.sql(&format!(
        "INSERT INTO app.invoices (tenant_id, contract_id, period_start, period_end, number, state,
                                   currency, subtotal, tax, total, usage_digest, snapshot, run_id)
         SELECT tenant_id, contract_id, '2026-09-01', '2026-10-01', 'X', 'issued', 'JPY', 1, 0, 1, '',
                '{{}}', 0
           FROM app.contracts WHERE tenant_id = {a}"
    ))
    .await;
    let run = count(&w, "2026-09-10").await;
    assert_eq!((run.outcome(), run.count("billed_days_differing")), ("succeeded", 0));
    let seen = picked(&record(&w, a, "2026-09-10").await, &["calls", "state"]);
    assert_eq!(seen, json!({"calls": 1, "state": "final"}));
}

#[tokio::test]
async fn rows_without_a_tenant_are_counted_and_reported() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    let at = "2026-10-17T12:00:00+09:00";
    for (tenant, times) in [(a.to_string(), 3), ("NULL".to_owned(), 2), ("999999".to_owned(), 1)] {
        for _ in 0..times {
            calls(&w, &tenant, "7", &[(at, 200, 1)]).await;
        }
    }
    let run = count(&w, DAY).await;
    assert_eq!((run.outcome(), run.tenants_total), ("succeeded", 1));
    assert_eq!((run.count("rows_without_tenant"), run.count("rows_of_others")), (2, 1));
    assert_eq!(record(&w, a, DAY).await["calls"], 3);
}

#[tokio::test]
async fn tenants_that_lived_for_a_part_of_the_day_are_counted() {
    let w = world().await;
    let mut ids = Vec::new();
    for code in
        ["suspended", "closed-that-day", "closed-before", "closed-under-contract", "created-after"]
    {
        ids.push(w.tenant(code).await);
    }
    let [suspended, that_day, before, contract, later] = ids[..] else { panic!("five tenants") };
    w.sql(&format!(
        "INSERT INTO app.tenant_status_history VALUES ({suspended}, '2026-10-01T00:00:00+09:00', 'suspended'),
                ({that_day}, '2026-10-17T00:00:01+09:00', 'closed'), ({before}, '2026-10-17T00:00:00+09:00', 'closed'),
                ({contract}, '2026-10-01T00:00:00+09:00', 'closed');
         UPDATE app.tenants SET status = 'closed' WHERE tenant_id IN ({that_day}, {before}, {contract});
         UPDATE app.tenants SET created_on = '2026-10-18' WHERE tenant_id = {later};
         UPDATE app.contracts SET ends_on = '2026-10-16' WHERE tenant_id IN ({that_day}, {before});
         UPDATE app.contracts SET starts_on = '2026-10-18' WHERE tenant_id = {later};
         UPDATE app.contracts SET ends_on = '2026-10-17' WHERE tenant_id = {contract}"
    ))
    .await;
    count(&w, DAY).await;
    let counted: Value =
        w.one("SELECT jsonb_agg(tenant_id ORDER BY tenant_id) FROM app.usage_statistics").await;
    assert_eq!(counted, json!([suspended, that_day, contract]));
}

#[tokio::test]
async fn a_day_that_is_not_over_is_refused() {
    let w = world().await;
    w.tenant("alpha").await;
    let run = count(&w, "2026-10-18").await;
    assert_eq!(run.outcome(), "failed");
    assert!(run.reason.unwrap().contains("2026-10-18 is not over yet"));
    assert_eq!(everything(&w).await, "");
}

#[tokio::test]
async fn one_named_tenant_is_counted_alone() {
    let w = world().await;
    let (a, b) = (w.tenant("alpha").await, w.tenant("beta").await);
    call(&w, a, "2026-10-17T12:00:00+09:00").await;
    let wanted = Wanted { date: Some(day(DAY)), tenants: vec![a], ..Wanted::default() };
    let run = w.run_as("BATCH-204", wanted).await;
    assert_eq!((run.outcome(), run.tenants_total), ("succeeded", 1));
    assert_eq!(record(&w, a, DAY).await["calls"], 1);
    assert_eq!(record(&w, b, DAY).await, Value::Null);
}

#[tokio::test]
async fn a_million_calls_of_a_hundred_tenants_take_less_than_a_minute() {
    let w = world().await;
    for n in 0..100 {
        w.tenant(&format!("t{n}")).await;
    }
    w.sql(
        "INSERT INTO app.api_call_logs
         SELECT (SELECT min(tenant_id) FROM app.tenants) + n % 100, hashint8(n) & 511,
                timestamptz '2026-10-17 00:00+09' + n * interval '86 ms', (ARRAY[200, 304, 404, 500])[1 + n % 4],
                20 + (hashint8(n + 1) & 2047), 100, 1000
           FROM generate_series(0, 999999) AS n",
    )
    .await;
    let run = count(&w, DAY).await;
    assert_eq!((run.outcome(), run.tenants_done), ("succeeded", 100));
    let seconds: f64 = w
        .one(&format!(
            "SELECT extract(epoch FROM real_ended - real_started)::float8 FROM yakin.runs WHERE id = {}",
            run.id
        ))
        .await;
    assert!(seconds < 60.0, "{seconds} seconds");
    let sums = "SELECT jsonb_build_array(sum(calls), sum(successful), sum(client_errors), sum(server_errors),
                                         sum(response_bytes)) FROM app.usage_statistics";
    assert_eq!(
        w.one::<Value>(sums).await,
        json!([1_000_000, 500_000, 250_000, 250_000, 1_000_000_000])
    );
    let wrong: i64 = w
        .one(
            "SELECT count(*) FROM app.usage_statistics JOIN (
                 SELECT tenant_id, count(DISTINCT user_id) AS people, sum(response_ms) AS ms,
                        percentile_disc(0.95) WITHIN GROUP (ORDER BY response_ms) AS p95
                   FROM app.api_call_logs GROUP BY tenant_id) AS plain USING (tenant_id)
              WHERE (call_users, active_users, response_ms_sum, response_ms_p95) <> (people, people, ms, p95)",
        )
        .await;
    assert_eq!(wrong, 0);
}

#[tokio::test]
async fn a_day_whose_logs_are_no_longer_kept_is_not_counted() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    call(&w, a, "2026-10-17T12:00:00+09:00").await;
    count(&w, DAY).await;
    w.sql("UPDATE app.usage_statistics SET state = 'billed'").await;
    // 400 days later: the day's first instant is kept, then not any more
    w.set_clock("2027-11-21T00:00:00+09:00");
    assert_eq!(count(&w, DAY).await.outcome(), "succeeded");
    w.sql("DELETE FROM app.api_call_logs").await;
    w.set_clock("2027-11-21T00:00:01+09:00");
    let before = everything(&w).await;
    let run = w.run("BATCH-204", Some(DAY), &[("force_recalc", "true")]).await;
    let why = run.reason.clone().unwrap_or_default();
    assert_eq!(run.outcome(), "failed");
    assert!(
        why.contains(
            "2026-10-17 is not counted, its logs are no longer kept (api_call_logs 400 days, login_logs 400 days, \
             report_generation_logs 400 days, user_sessions 400 days)"
        ),
        "{why}"
    );
    assert_eq!(everything(&w).await, before);
    assert_eq!(count(&w, "2026-10-18").await.outcome(), "succeeded", "that day is whole");
}

#[tokio::test]
async fn what_301_read_from_logs_that_are_gone_stays_when_a_day_changes() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    let noon = "2026-10-17T12:00:00+09:00";
    call(&w, a, noon).await;
    w.sql(&format!(
        "INSERT INTO app.compute_usage_logs VALUES ({a}, '{noon}', 10.5, 50, 1024, 60, 1);
         INSERT INTO app.feature_usage_logs VALUES ({a}, 7, '{noon}', 'search', 3);
         UPDATE app.retention_policies SET delete_after_days = 93
          WHERE data_class IN ('compute_usage_logs', 'feature_usage_logs')"
    ))
    .await;
    count(&w, DAY).await;
    w.run("BATCH-301", Some(DAY), &[]).await;
    w.sql("DELETE FROM app.compute_usage_logs; DELETE FROM app.feature_usage_logs").await;
    w.set_clock("2027-02-01T12:00:00+09:00");
    call(&w, a, noon).await;
    file(&w, a, 50, noon, "NULL").await;
    assert_eq!(count(&w, DAY).await.count("recomputed_in_301"), 1);
    let seen: String = w
        .one(
            "SELECT concat_ws(' ', api_calls, storage_bytes, cpu_seconds, feature_uses,
                              (SELECT sum(uses) FROM app.tenant_feature_usage)) FROM app.tenant_usage_daily",
        )
        .await;
    assert_eq!(seen, "2 50 10.5 1 1");
}

#[tokio::test]
async fn a_correction_of_storage_is_measured_from_what_was_billed() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    file(&w, a, 100, "2026-10-17T12:00:00+09:00", "NULL").await;
    count(&w, DAY).await;
    // rows of the day that commit between the two batches: what BATCH-301 saw is on the invoice
    file(&w, a, 50, "2026-10-17T23:59:00+09:00", "NULL").await;
    w.run("BATCH-301", Some(DAY), &[]).await;
    w.sql("UPDATE app.usage_statistics SET state = 'billed'").await;
    let force = [("force_recalc", "true")];
    let night = w.run("BATCH-204", Some(DAY), &force).await;
    assert_eq!((night.count("billed_days_differing"), night.count("corrections")), (0, 0));

    file(&w, a, 7, "2026-10-17T23:59:59+09:00", "NULL").await;
    assert_eq!(w.run("BATCH-204", Some(DAY), &force).await.count("corrections"), 1);
    let corrected: Value = w
        .one("SELECT jsonb_agg(jsonb_build_array(storage_bytes_difference, differences)) FROM app.usage_corrections")
        .await;
    assert_eq!(corrected, json!([[7, {"files": 1, "storage_bytes": 7}]]));
    assert_eq!(w.run("BATCH-204", Some(DAY), &force).await.count("corrections"), 0);
}

/// Closes a tenant at an instant; its contract ends with the day before.
async fn close(w: &World, tenant: i64, at: &str) {
    w.sql(&format!(
        "INSERT INTO app.tenant_status_history VALUES ({tenant}, '{at}', 'closed');
         UPDATE app.tenants SET status = 'closed' WHERE tenant_id = {tenant};
         UPDATE app.contracts SET ends_on = timestamptz '{at}' - interval '1 day' WHERE tenant_id = {tenant}"
    ))
    .await;
}

#[tokio::test]
async fn late_rows_of_a_tenant_that_has_closed_meanwhile_are_written() {
    let w = world().await;
    let (a, _) = (w.tenant("alpha").await, w.tenant("beta").await);
    close(&w, a, "2026-10-17T18:00:00+09:00").await;
    call(&w, a, "2026-10-17T12:00:00+09:00").await;
    count(&w, DAY).await;
    call(&w, a, "2026-10-17T13:00:00+09:00").await;
    w.set_clock("2026-10-19T01:30:00+09:00");
    let night = count(&w, "2026-10-18").await;
    assert_eq!((night.outcome(), night.count("days_counted_again")), ("succeeded", 1));
    assert_eq!(record(&w, a, DAY).await["calls"], 2);
    assert_eq!(record(&w, a, "2026-10-18").await, Value::Null, "a day on which it was closed");
    w.set_clock("2026-10-20T01:30:00+09:00");
    assert_eq!(count(&w, "2026-10-19").await.count("days_counted_again"), 0);
}

#[tokio::test]
async fn files_of_a_tenant_that_has_closed_are_no_late_rows() {
    let w = world().await;
    let (a, b) = (w.tenant("alpha").await, w.tenant("beta").await);
    for tenant in [a, b] {
        file(&w, tenant, 50, "2026-10-01T09:00:00+09:00", "NULL").await;
    }
    close(&w, a, "2026-10-10T00:00:00+09:00").await;
    count(&w, DAY).await;
    w.set_clock("2026-10-19T01:30:00+09:00");
    assert_eq!(count(&w, "2026-10-18").await.count("days_counted_again"), 0);
    call(&w, b, "2026-10-17T12:00:00+09:00").await;
    w.set_clock("2026-10-20T01:30:00+09:00");
    assert_eq!(count(&w, "2026-10-19").await.count("days_counted_again"), 1);
}
