//! What the tests of billing share: who issues, what was issued, and a stand-in for the usage that BATCH-302 needs.

use serde_json::Value;
use yakin_domain::billing::issuer::Issuer;
use yakin_engine::prelude::*;
use yakin_testkit::World;

/// Stands for BATCH-301, whose completions the tests write themselves.
pub struct Usage;

impl Batch for Usage {
    type Params = Value;
    const SPEC: Spec = Spec {
        id: "BATCH-301",
        slug: "tenant-usage-aggregation",
        title: "",
        schedule: Schedule::Manual,
        catch_up: CatchUp::None,
        period: Period::DayBefore,
        window: None,
        deadline: None,
        scope: Scope::EachTenant,
        phases: &[],
        needs: &[],
        locks: &[],
        overlap: Overlap::Allow,
        queue: Queue::Default,
        priority: Priority::Medium,
        timeout: mins(1),
        retry: fixed(1, secs(1)),
        retry_by_cause: &[],
        severity: Severity::Medium,
        expected: mins(1),
        params: &[],
        approval: Approval::None,
        survives_database: false,
    };
}

/// Whose invoices they are.
pub fn issuer() -> Issuer {
    Issuer {
        name: "夜勤株式会社".to_owned(),
        address: "東京都中央区1-1".to_owned(),
        registration_number: "T9700110012005".to_owned(),
        bank_account: "みずほ銀行 本店 普通 1234567".to_owned(),
    }
}

/// Usage rows of zeros for each day of a month, recorded and completed.
pub async fn usage(w: &World, tenant: i64, month: &str) {
    w.sql(&format!(
        "INSERT INTO app.tenant_usage_daily (tenant_id, usage_date, api_calls, api_users, api_successes, api_errors,
                api_bytes_in, api_bytes_out, active_users, reports_generated, sessions, logins, storage_bytes,
                storage_files, storage_owners, storage_document_bytes, storage_image_bytes, storage_other_bytes,
                cpu_seconds, memory_mb_seconds, processes, network_bytes_in, network_bytes_out, connections,
                feature_uses, feature_users, feature_seconds, run_id)
         SELECT {tenant}, d::date, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
           FROM generate_series(date '{month}', date '{month}' + interval '1 month' - interval '1 day', '1 day') AS d;
         INSERT INTO yakin.completions (batch_id, period_start, tenant_id, run_id, completed_at)
         SELECT 'BATCH-301', usage_date, tenant_id, 0, usage_date + 1 FROM app.tenant_usage_daily
          WHERE tenant_id = {tenant} ON CONFLICT DO NOTHING"
    ))
    .await;
}

/// All invoices, by number.
pub async fn invoices(w: &World, columns: &str) -> String {
    w.one(&format!(
        "SELECT coalesce(string_agg(concat_ws(' ', {columns}), E'\\n' ORDER BY number), '') FROM app.invoices"
    ))
    .await
}

/// The lines of an invoice.
pub async fn lines(w: &World, number: &str, columns: &str) -> String {
    w.one(&format!(
        "SELECT coalesce(string_agg(concat_ws(' ', {columns}), ', ' ORDER BY line_no), '')
           FROM app.invoice_lines JOIN app.invoices USING (tenant_id, invoice_id) WHERE number = '{number}'"
    ))
    .await
}

/// All that both engines write, and these tables, as one text.
pub async fn everything(w: &World, also: &[&str]) -> String {
    let tables =
        ["invoices", "invoice_lines", "invoice_taxes", "invoice_counters", "invoice_events"];
    let rows = tables.iter().chain(also).map(|table| {
        format!("(SELECT string_agg(r::text, E'\\n' ORDER BY r::text) FROM app.{table} r)")
    });
    w.one(&format!("SELECT concat({})", rows.collect::<Vec<_>>().join(", "))).await
}
