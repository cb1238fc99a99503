//! MONTHLY_002's funnel of offers, uptime, and contracts whose plan is unknown: in PDF and workbook alike, in words where
//! there is nothing.

use crate::common::Post;
use crate::report_world::*;

const OFFERS: &str = "定期アプローチ";
const ANSWERS: &str = "応答";

/// A company's sending days, ten letters each.
async fn sent(post: &Post, tenant: i64, days: &str, opened: &str) {
    post.sql(&format!(
        "INSERT INTO app.approach_metrics_daily
         SELECT {tenant}, d::date, 5, 10, 9, {opened}, 3, 2, 1, d, 0 FROM generate_series({days}, '1 day') AS d"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_funnel_stands_with_its_rates_beside_the_months_before() {
    let post = office(&[], &[]).await;
    let (acme, globex) = (company(&post, "acme").await, company(&post, "globex").await);
    month(&post, acme, "2026-09-01").await;
    sent(&post, acme, "timestamptz '2026-10-01', '2026-10-02'", "4").await;
    sent(&post, acme, "timestamptz '2026-09-30', '2026-09-30'", "5").await;
    sent(&post, globex, "timestamptz '2026-10-01', '2026-10-01'", "10").await;
    // none sent: no rate of nothing
    post.sql(&format!(
        "UPDATE app.approach_metrics_daily SET sent = 0, accepted = 0, opened = 0, replied = 0, met = 0, contracted = 0
          WHERE tenant_id = {globex}"
    ))
    .await;
    run(&post, &[("reports", "company")]).await;
    let book = excel(&post, &of_company("acme", "xlsx"));
    let of = |label: &str| values(&book, OFFERS, label).join(" ");
    assert_eq!(
        ["提案メール", "受け取られた", "開封", "返信", "面談", "成約"].map(of),
        ["20 10 10 –", "18 9 9 –", "8 5 3 –", "6 3 3 –", "4 2 2 –", "2 1 1 –"]
    );
    let percent = |label: &str| pdf_row(&post, "acme", label);
    assert_eq!(percent("開封率"), "40.0%50.0%-10.0%–");
    assert_eq!(percent("受け取られた割合"), "90.0%90.0%0.0%–");
    let text = pdf(&post, &of_company("acme", "pdf"));
    assert!(text.contains("30日以内の反応") && !text.contains("開封は"), "{text}");
    assert_eq!(pdf_row(&post, "globex", "開封率"), "––––");
}

/// What stands behind a label in a company's PDF, four cells.
fn pdf_row(post: &Post, code: &str, label: &str) -> String {
    let text = pdf(post, &of_company(code, "pdf"));
    let (_, behind) = text.split_once(label).ok_or_else(|| format!("no {label}: {text}")).unwrap();
    behind.chars().take_while(|c| c.is_ascii() || *c == '–').collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn openings_that_are_not_tracked_and_months_not_counted_are_said_in_words() {
    let post = office(&[], &[]).await;
    let (acme, globex) = (company(&post, "acme").await, company(&post, "globex").await);
    let none = company(&post, "none").await;
    sent(&post, acme, "timestamptz '2026-10-01', '2026-10-02'", "NULL").await;
    sent(&post, globex, "timestamptz '2026-10-01', '2026-10-01'", "NULL").await;
    sent(&post, globex, "timestamptz '2026-10-02', '2026-10-02'", "4").await;
    run(&post, &[("reports", "company")]).await;
    let book = excel(&post, &of_company("acme", "xlsx"));
    assert_eq!(values(&book, OFFERS, "開封"), ["–", "–", "–", "–"]);
    assert_eq!(values(&book, OFFERS, "返信")[0], "6");
    let said = |code: &str| {
        let text = pdf(&post, &of_company(code, "pdf"));
        let book = excel(&post, &of_company(code, "xlsx"))[OFFERS].to_string();
        move |words: &str| text.contains(words) && book.contains(words)
    };
    assert!(said("acme")("開封はこの月に計測していません。"));
    let partly = said("globex");
    assert!(partly("開封は一部の日だけ計測しました。"));
    // four of the ten letters of the day that was tracked, not of all twenty
    assert_eq!(pdf_row(&post, "globex", "開封率"), "40.0%–––");
    assert!(said("none")("アプローチの効果はこの月に集計されていません。"), "{none}");
    assert!(!said("none")("開封率"));
}

#[tokio::test(flavor = "multi_thread")]
async fn uptime_is_of_all_the_months_probes_and_its_absence_is_said() {
    let post = office(&[], &[]).await;
    company(&post, "acme").await;
    service(&post).await;
    post.sql(
        "UPDATE app.system_stats_daily SET probes = 100000, probes_good = 99999 WHERE usage_date = '2026-10-01';
         UPDATE app.system_stats_daily SET probes = 4, probes_good = 3 WHERE usage_date = '2026-10-02'",
    )
    .await;
    run(&post, &[("reports", "system")]).await;
    let book = excel(&post, &of_platform("system", "xlsx"));
    assert_eq!(values(&book, ANSWERS, "稼働確認の回数")[0], "100004");
    let text = pdf(&post, &of_platform("system", "pdf"));
    // not rounded up
    assert!(text.contains("稼働率99.998%"), "{text}");
    assert!(text.contains("稼働率は、外からの稼働確認のうち") && !text.contains("載せていません"));
    let day = |date: &str| row(&book, "日ごとの記録", &format!("{date} 00:00:00"))[5].1.clone();
    assert_eq!((day("2026-10-02").as_str(), day("2026-10-03").as_str()), ("0.75", "–"));

    let bare = office(&[], &[]).await;
    company(&bare, "acme").await;
    service(&bare).await;
    run(&bare, &[("reports", "system")]).await;
    let text = pdf(&bare, &of_platform("system", "pdf"));
    assert!(text.contains("この月に稼働確認の記録がないため載せていません"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn contracts_whose_plan_no_price_list_knows_are_named_as_missing() {
    let post = office(&[], &[]).await;
    let (acme, globex) = (company(&post, "acme").await, company(&post, "globex").await);
    let (initech, gone) = (company(&post, "initech").await, company(&post, "gone").await);
    for (tenant, code) in [(acme, "acme"), (globex, "globex"), (initech, "initech"), (gone, "gone")]
    {
        invoice(&post, tenant, &format!("INV-202610-{code}-0001"), 1000, "issued").await;
    }
    post.sql(&format!(
        "INSERT INTO app.contract_plans SELECT tenant_id, contract_id, '2026-10-16', 'bespoke' FROM app.contracts
          WHERE tenant_id = {acme};
         DELETE FROM app.contract_plans WHERE tenant_id = {globex};
         INSERT INTO app.contract_plans SELECT tenant_id, contract_id, '2026-11-01', 'later' FROM app.contracts
          WHERE tenant_id = {initech};
         UPDATE app.contract_plans SET plan_code = 'old' WHERE tenant_id = {gone};
         UPDATE app.contracts SET ends_on = '2026-09-30' WHERE tenant_id = {gone}"
    ))
    .await;
    run(&post, &[("reports", "revenue")]).await;
    let contracts: Vec<String> = post
        .one(
            "SELECT array_agg(code || ' #' || contract_id ORDER BY code) FROM app.contracts JOIN app.tenants USING (tenant_id)
              WHERE code IN ('acme', 'globex')",
        )
        .await;
    let told: String =
        post.one("SELECT incomplete FROM app.platform_reports WHERE format = 'pdf'").await;
    let named = format!("{} (bespoke), {} (–)", contracts[0], contracts[1]);
    assert!(told.contains("契約が 2 件") && told.ends_with(&named), "{told}");
    let text = pdf(&post, &of_platform("revenue", "pdf"));
    let squeezed: String = named.chars().filter(|c| !c.is_whitespace()).collect();
    assert!(text.contains("プランが料金表にない契約が2件") && text.contains(&squeezed), "{text}");
    let cover = excel(&post, &of_platform("revenue", "xlsx"))["表紙"].to_string();
    assert!(cover.contains(&named), "{cover}");
}
