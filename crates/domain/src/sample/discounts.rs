//! The sample's discounts: one for each tenant that has a gift, of all three kinds.

use jiff::ToSpan;
use jiff::civil::Date;
use serde::Serialize;

use super::calendar::Calendar;
use super::cast::{Gift, Part};
use super::plans::Level;
use super::tenant::Tenant;

#[derive(Debug, Serialize)]
pub(super) struct Discount {
    tenant_id: i64,
    kind: &'static str,
    items: Vec<&'static str>,
    value: &'static str,
    description: &'static str,
    valid_from: Date,
    valid_to: Option<Date>,
}

/// The discounts of tenants that have their ids already.
pub(super) fn discounts(calendar: &Calendar, tenants: &[Tenant]) -> Vec<Discount> {
    let next_year = calendar.today.saturating_add(1.year()).last_of_year();
    tenants
        .iter()
        .filter_map(|tenant| {
            let (kind, items, value, description) = terms(tenant.gift?, tenant);
            let valid_to = match tenant.gift? {
                Gift::Expired => Some(calendar.of_previous(15)),
                Gift::FreeQuota => None,
                _ => Some(next_year),
            };
            let valid_from = tenant.starts_on;
            let tenant_id = tenant.tenant_id;
            Some(Discount { tenant_id, kind, items, value, description, valid_from, valid_to })
        })
        .collect()
}

type Terms = (&'static str, Vec<&'static str>, &'static str, &'static str);

fn terms(gift: Gift, tenant: &Tenant) -> Terms {
    let included = tenant.level.plan(tenant.currency).included_api_calls;
    match gift {
        Gift::Percentage if tenant.part == Part::Huge => {
            ("percentage", vec![], "5", "大口割引 5% (全項目)")
        }
        Gift::Percentage => ("percentage", vec!["base"], "10", "年間契約割引 10% (基本料金)"),
        Gift::FreeQuota if tenant.month_calls > included => {
            ("free_quota", vec!["api"], "10000", "無料枠 API 10,000回")
        }
        Gift::FreeQuota => ("free_quota", vec!["storage"], "5", "無料枠 ストレージ 5GB"),
        Gift::FixedAmount if tenant.currency == "USD" => {
            ("fixed_amount", vec![], "25.00", "Partner credit USD 25.00")
        }
        Gift::FixedAmount if tenant.level == Level::Light => {
            ("fixed_amount", vec!["base"], "500", "紹介割引 500円")
        }
        Gift::FixedAmount => ("fixed_amount", vec![], "5000", "導入支援 5,000円引き"),
        Gift::Expired => ("percentage", vec!["base"], "20", "キャンペーン割引 20% (終了)"),
    }
}
