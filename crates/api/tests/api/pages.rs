//! A page of a list over all tenants reads its page: neither the table nor what stands on the pages before it.

use serde_json::Value;
use sqlx::{AssertSqlSafe, Row};
use yakin_engine::access::Role;

use crate::common::Site;
use crate::town::{all, town};

const MESSAGES: &str = include_str!("../../../domain/src/look/deliveries.sql");
const INVOICES: &str = concat!(
    include_str!("../../../domain/src/look/invoice.sql"),
    " WHERE ",
    include_str!("../../../domain/src/look/invoice_visible.sql"),
    include_str!("../../../domain/src/look/invoices_wanted.sql")
);
const ACTS: &str = include_str!("../../../domain/src/evidence/audit.sql");
const ISSUED: &str = include_str!("../../../domain/src/evidence/invoices.sql");

/// Very many messages, invoices and acts; one message in a hundred failed, one in fifty is open.
const MANY: &str = "
    INSERT INTO app.deliveries (tenant_id, source, source_id, channel, recipient, sender, priority, state, body, due_at,
           expires_at, created_at)
    SELECT (SELECT min(tenant_id) FROM app.tenants) + n % 2, 'digest', n, 'email', 'a@b.example', 'platform', 1,
           CASE WHEN n % 100 = 0 THEN 'failed' WHEN n % 50 = 1 THEN 'retry_wait' ELSE 'sent' END, 'x',
           '2026-10-31T20:00:00Z', '2026-10-31T20:00:00Z', '2026-10-31T20:00:00Z'
      FROM generate_series(1, $many) n;
    INSERT INTO app.invoices (tenant_id, contract_id, period_start, period_end, revision, number, state, currency, subtotal,
           tax, total, issued_on, due_on, usage_digest, snapshot, run_id)
    SELECT c.tenant_id, c.contract_id, '2020-01-01', '2020-02-01', n, 'M-' || c.tenant_id || '-' || n, 'issued', 'JPY', 1,
           0, 1, date '2026-09-30' - n / 50, '2026-12-01', 'd', '{}', 1
      FROM app.contracts c, generate_series(1, $many / 2) n;
    ALTER TABLE yakin.audit DISABLE TRIGGER USER;
    INSERT INTO yakin.audit (real_time, actor, action, subject, reason)
    SELECT timestamptz '2026-09-30 00:00+09' - n * interval '10 minutes', 'a', 'x', 'x', 'x' FROM generate_series(1, $many) n;
    ALTER TABLE yakin.audit ENABLE TRIGGER USER;
    ANALYZE app.deliveries, app.invoices, yakin.audit, app.tenants, app.contracts";

/// How many rows a statement takes from a table in its hands, those that it throws away among them, by both kinds of
/// plan: one for these arguments, and one for any.
async fn reads(site: &Site, role: &str, sql: &str, arguments: &str, table: &str) -> [i64; 2] {
    let mut read = [0, 0];
    for (n, mode) in ["force_custom_plan", "force_generic_plan"].iter().enumerate() {
        let mut connection = site.world.database.owner.acquire().await.unwrap();
        let before =
            format!("SET ROLE {role}; SET plan_cache_mode = {mode}; PREPARE asked AS {sql}");
        sqlx::raw_sql(AssertSqlSafe(before)).execute(&mut *connection).await.unwrap();
        let explain = format!("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE asked ({arguments})");
        let row = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_one(&mut *connection).await.unwrap();
        let plan: Value = row.try_get(0).unwrap();
        sqlx::raw_sql("RESET ROLE; RESET plan_cache_mode; DEALLOCATE asked")
            .execute(&mut *connection)
            .await
            .unwrap();
        read[n] = taken(&plan[0]["Plan"], table);
        println!("{mode} {table} ({arguments}): {} rows\n{plan:#}", read[n]);
    }
    read
}

fn taken(node: &Value, table: &str) -> i64 {
    let number = |key: &str| node[key].as_f64().unwrap_or(0.0);
    let rows = number("Actual Rows") + number("Rows Removed by Filter");
    let own = if node["Relation Name"] == table { rows * number("Actual Loops") } else { 0.0 };
    let below =
        node["Plans"].as_array().into_iter().flatten().map(|p| taken(p, table)).sum::<i64>();
    own as i64 + below
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_reads_its_page_however_many_there_are() {
    let site = Site::new().await;
    town(&site).await;
    let many = std::env::var("YAKIN_TEST_MANY").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    site.world.sql(&MANY.replace("$many", &i64::to_string(&many))).await;
    let middle: i64 =
        site.world.one("SELECT (max(delivery_id) / 2)::bigint FROM app.deliveries").await;
    let invoice: i64 =
        site.world.one("SELECT (max(invoice_id) / 2)::bigint FROM app.invoices").await;
    let none = "NULL, NULL, NULL, NULL";
    for (sql, table, arguments) in [
        (MESSAGES, "deliveries", format!("{none}, NULL, NULL, 51")),
        (MESSAGES, "deliveries", format!("{none}, 2, {middle}, 51")),
        (MESSAGES, "deliveries", format!("{none}, 0, {middle}, 51")),
        (INVOICES, "invoices", format!("{none}, NULL, NULL, NULL, NULL, false, NULL, 51, NULL")),
        (
            INVOICES,
            "invoices",
            format!("{none}, NULL, NULL, NULL, NULL, false, {invoice}, 51, NULL"),
        ),
    ] {
        let read = reads(&site, "yakin_platform", sql, &arguments, table).await;
        assert!(read.iter().all(|rows| (51..=120).contains(rows)), "{table} {arguments}: {read:?}");
    }
    // a month of evidence reads its month
    for (role, sql, table) in
        [("yakin_engine", ACTS, "audit"), ("yakin_platform", ISSUED, "invoices")]
    {
        let read = reads(&site, role, sql, "'2026-09-01', '2026-10-01'", table).await;
        let wanted = if table == "audit" { 29 * 144 } else { 29 * 100 };
        assert!(read.iter().all(|rows| (wanted..wanted + 300).contains(rows)), "{table}: {read:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_each_urgency_are_told_once_over_their_pages() {
    let site = Site::new().await;
    town(&site).await;
    let token = site.token(Role::Viewer, None).await;
    let told = all(&site, "/admin/batch/deliveries", &token, 1).await;
    let order: Vec<_> = told
        .iter()
        .map(|m| {
            let urgency = match m["state"].as_str().unwrap() {
                "failed" | "uncertain" => 2,
                "pending" => 1,
                _ => 0,
            };
            (urgency, m["delivery_id"].as_i64().unwrap())
        })
        .collect();
    assert_eq!(order.len(), 10);
    assert!(order.is_sorted_by(|a, b| a > b), "{order:?}");
}
