//! What the tests of billing share: who issues, and a stand-in for the usage that BATCH-302 needs.

use serde_json::Value;
use yakin_domain::billing::issuer::Issuer;
use yakin_engine::prelude::*;

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
