//! What the tests of MONTHLY_002 share: companies with an October, what readers of PDFs and workbooks see.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use yakin_domain::report::letters::Management;
use yakin_render::{Renderer, Settings};
use yakin_testkit::Seen;

use crate::common::Post;

/// The 2nd of November 2026, 07:00: October is reported.
pub const BEGIN: &str = "2026-11-02T07:00:00+09:00";

/// A world with a storage, children that render, and these relays; `recipients` get the service's own reports.
pub async fn office(relays: &[&str], recipients: &[&str]) -> Post {
    let mut post = Post::new(BEGIN, &["BATCH-406", "MONTHLY_002"], relays, &[]).await;
    // each test's own, or tests of one process would share their files
    let engine = Arc::get_mut(&mut post.world.engine).unwrap();
    engine.provide(Renderer::new(Settings::new(env!("CARGO_BIN_EXE_catalogue-probe"))).unwrap());
    let recipients = recipients.iter().map(|r| (*r).to_owned()).collect();
    engine.provide(Management { recipients, language: "ja".to_owned() });
    post.months(&["2026-09-01", "2026-10-01", "2026-11-01"]).await;
    post
}

/// A company with an administrator and a whole October: 10 users, 20 engineers, 3 logins, 100 calls, 2 mails and 10 MB
/// each day.
pub async fn company(post: &Post, code: &str) -> i64 {
    let tenant = post.client(code).await;
    month(post, tenant, "2026-10-01").await;
    tenant
}

/// Such days of another month.
pub async fn month(post: &Post, tenant: i64, first: &str) {
    post.sql(&format!(
        "INSERT INTO app.company_usage_daily (tenant_id, usage_date, total_users, active_users, total_engineers,
                active_engineers, logins, mails_sent, api_calls, feature_uses, storage_bytes, measured_at, run_id)
         SELECT {tenant}, d::date, 10, 0, 20, 15, 3, 2, 100, '{{\"search\": 5, \"export\": 1}}', 10 * 1048576, d, 0
           FROM generate_series(date '{first}', date '{first}' + interval '1 month' - interval '1 day', '1 day') AS d"
    ))
    .await;
}

/// The service's days of October, whole.
pub async fn service(post: &Post) {
    post.sql(
        "INSERT INTO app.system_stats_daily (usage_date, complete, total_companies, companies_missing, total_users,
                active_users, total_engineers, active_engineers, requests, server_errors, error_percent,
                response_ms_mean, response_ms_p50, response_ms_p95, run_id)
         SELECT d::date, true, 2, 0, 20, 8, 40, 30, 200, 2, 1.0, 80, 70, 200 + extract(day FROM d), 0
           FROM generate_series(date '2026-10-01', date '2026-10-31', '1 day') AS d;
         INSERT INTO app.engineer_activity_daily (tenant_id, usage_date, profile_updates, sheets_viewed,
                sheets_downloaded, engineers_seen, status_changes, to_working, to_waiting_soon, to_waiting, run_id)
         SELECT tenant_id, d::date, 1, 2, 3, 4, 0, 0, 0, 0, 0
           FROM app.tenants, generate_series(date '2026-10-01', date '2026-10-31', '1 day') AS d",
    )
    .await;
}

/// An issued invoice of a company's October.
pub async fn invoice(post: &Post, tenant: i64, number: &str, subtotal: i64, state: &str) {
    post.sql(&format!(
        "INSERT INTO app.invoices (tenant_id, contract_id, period_start, period_end, revision, number, state, currency,
                subtotal, tax, total, issued_on, due_on, usage_digest, snapshot, run_id)
         SELECT tenant_id, contract_id, '2026-10-01', '2026-11-01',
                (SELECT count(*) FROM app.invoices WHERE tenant_id = {tenant}), '{number}', '{state}', 'JPY',
                {subtotal}, floor({subtotal} * 0.1), {subtotal} + floor({subtotal} * 0.1), '2026-11-01', '2026-12-01',
                '', '{{}}', 0
           FROM app.contracts WHERE tenant_id = {tenant} ORDER BY contract_id LIMIT 1"
    ))
    .await;
}

pub async fn run(post: &Post, params: &[(&str, &str)]) -> Seen {
    post.run("MONTHLY_002", Some("2026-10-15"), params).await
}

/// Where a company's report lies, with this ending.
pub fn of_company(code: &str, ending: &str) -> String {
    format!("tenant/{code}/reports/2026-10/monthly_report_{code}_2026-10.{ending}")
}

/// Where one of the service's own lies.
pub fn of_platform(which: &str, ending: &str) -> String {
    format!("platform/reports/2026-10/monthly_report_{which}_2026-10.{ending}")
}

pub fn path(post: &Post, key: &str) -> PathBuf {
    post.folder.join("files").join(key)
}

/// A PDF's text without white space, after `qpdf --check` found nothing to say.
pub fn pdf(post: &Post, key: &str) -> String {
    let path = path(post, key);
    let checked = Command::new("qpdf").arg("--check").arg(&path).output().unwrap();
    assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
    let out = Command::new("pdftotext").arg("-raw").arg(&path).arg("-").output().unwrap();
    assert!(out.status.success(), "{out:?}");
    let text = String::from_utf8(out.stdout).unwrap();
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// What openpyxl reads from a workbook: by sheet, rows of [type, value].
pub fn excel(post: &Post, key: &str) -> Value {
    const READ: &str = "import json, sys, openpyxl\n\
        book = openpyxl.load_workbook(sys.argv[1])\n\
        print(json.dumps({s.title: {'frozen': s.freeze_panes, 'widths': [d.width for d in s.column_dimensions.values()],\n\
        'rows': [[[c.data_type, str(c.value)] for c in row] for row in s.iter_rows()]} for s in book.worksheets}))";
    let out =
        Command::new("/usr/bin/python3").args(["-c", READ]).arg(path(post, key)).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// The row of a sheet that begins with this text, without the text.
pub fn row(book: &Value, sheet: &str, first: &str) -> Vec<(String, String)> {
    let rows =
        book[sheet]["rows"].as_array().ok_or_else(|| format!("no sheet {sheet}: {book}")).unwrap();
    let row = rows.iter().find(|row| row[0][1] == first);
    let row = row.ok_or_else(|| format!("no row {first}: {}", book[sheet])).unwrap();
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    row.as_array().unwrap().iter().skip(1).map(|c| (text(&c[0]), text(&c[1]))).collect()
}

/// Its values alone.
pub fn values(book: &Value, sheet: &str, first: &str) -> Vec<String> {
    row(book, sheet, first).into_iter().map(|(_, value)| value).collect()
}

/// All that the batch may write, as one text.
pub async fn everything(post: &Post) -> String {
    post.one(
        "SELECT concat((SELECT string_agg(r::text, E'\\n' ORDER BY r.report_id) FROM app.reports r),
                       (SELECT string_agg(f::text, E'\\n' ORDER BY f.file_id) FROM app.files f),
                       (SELECT string_agg(d::text, E'\\n' ORDER BY d.delivery_id) FROM app.deliveries d),
                       (SELECT string_agg(k::text, E'\\n' ORDER BY k) FROM app.delivery_keys k),
                       (SELECT string_agg(m::text, E'\\n' ORDER BY m) FROM app.company_usage_monthly m),
                       (SELECT string_agg(p::text, E'\\n' ORDER BY p) FROM app.platform_reports p),
                       (SELECT string_agg(l::text, E'\\n' ORDER BY l) FROM app.platform_report_mails l))",
    )
    .await
}
