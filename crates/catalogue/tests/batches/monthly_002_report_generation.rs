//! MONTHLY_002: each company's month and the service's own, made once, mailed once; what is missing is named, never
//! guessed; nobody reads of another.

use crate::common::as_tenant;
use crate::report_world::*;

const PEOPLE: &str = "利用者とエンジニア";

#[tokio::test(flavor = "multi_thread")]
async fn gauges_are_no_sums_and_a_month_counts_each_person_once() {
    let post = office(&[], &[]).await;
    let acme = company(&post, "acme").await;
    post.sql(&format!(
        "DELETE FROM app.company_usage_daily WHERE usage_date < '2026-10-29';
         UPDATE app.company_usage_daily SET storage_bytes = (extract(day FROM usage_date) - 28) * 10 * 1048576,
                total_users = 31 - extract(day FROM usage_date) + 8;
         UPDATE app.contracts SET starts_on = '2026-10-29';
         INSERT INTO app.login_logs (tenant_id, user_id, created_at, succeeded)
         SELECT {acme}, 7, d + interval '12 hours', true
           FROM generate_series(timestamptz '2026-10-05T00:00:00+09:00', '2026-10-09T00:00:00+09:00', '1 day') AS d;
         INSERT INTO app.login_logs (tenant_id, user_id, created_at, succeeded)
         VALUES ({acme}, 8, '2026-10-31T23:59:59+09:00', true), ({acme}, 9, '2026-11-01T00:00:00+09:00', true),
                ({acme}, 10, '2026-10-20T00:00:00+09:00', false)"
    ))
    .await;
    let seen = run(&post, &[("reports", "company")]).await;
    assert_eq!((seen.outcome(), seen.count("files")), ("succeeded", 2), "{seen:?}");
    let book = excel(&post, &of_company("acme", "xlsx"));
    assert_eq!(values(&book, "保管量", "保管量 最大 (MB)")[0], "30");
    assert_eq!(values(&book, "保管量", "保管量 平均 (MB)")[0], "20");
    assert_eq!(values(&book, "保管量", "保管量 月末 (MB)")[0], "30");
    assert_eq!(values(&book, PEOPLE, "利用した人"), ["2", "–", "–", "–"]);
    assert_eq!(values(&book, PEOPLE, "登録利用者 (最大)")[0], "10");
    assert_eq!(values(&book, PEOPLE, "登録利用者 (月末)")[0], "8");
    assert_eq!(values(&book, "サービスの利用", "ログイン")[0], "9");
    let text = pdf(&post, &of_company("acme", "pdf"));
    for said in ["保管量最大(MB)30.0–––", "保管量平均(MB)20.0", "株式会社acme御中", "2026年10月"]
    {
        assert!(text.contains(said), "{said} is missing in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn months_before_stand_beside_and_numbers_days_and_texts_are_what_they_are() {
    let post = office(&[], &[]).await;
    let acme = company(&post, "acme").await;
    month(&post, acme, "2026-09-01").await;
    post.sql(
        "UPDATE app.company_usage_daily SET logins = 1 WHERE usage_date < '2026-10-01';
         UPDATE app.company_usage_daily SET feature_uses = '{\"=1+1\": 7, \"検索\": 3}' WHERE usage_date = '2026-10-02';
         UPDATE app.company_usage_daily SET active_users = 4 WHERE usage_date = '2026-10-02';
         UPDATE app.tenants SET name = '=HYPERLINK(\"x\")'",
    )
    .await;
    run(&post, &[("reports", "company")]).await;
    let book = excel(&post, &of_company("acme", "xlsx"));
    assert_eq!(values(&book, "サービスの利用", "ログイン"), ["93", "30", "63", "–"]);
    // the events of that day are gone: how many people it was in the month is unknown, not zero
    assert_eq!(values(&book, PEOPLE, "利用した人")[0], "–");
    assert_eq!(post.one::<i64>("SELECT count(*) FROM app.company_usage_monthly").await, 0);
    let features: Vec<_> = row(&book, "よく使われた機能", "1");
    assert_eq!(features[0], ("s".to_owned(), "search".to_owned()));
    assert_eq!((features[1].1.as_str(), features[2].1.as_str()), ("150", "150"));
    let day = row(&book, "日ごとの記録", "2026-10-31 00:00:00");
    assert_eq!((day[0].0.as_str(), day[1].1.as_str()), ("n", "3"));
    assert_eq!(book["日ごとの記録"]["rows"][1][0][0], "d");
    assert_eq!(book["日ごとの記録"]["frozen"], "A2");
    assert!(book["日ごとの記録"]["widths"][0].as_f64().unwrap() >= 10.0);
    assert_eq!(book["表紙"]["rows"][1][0][1], "=HYPERLINK(\"x\")");
    let text = book.to_string();
    assert!(text.contains("[\"s\",\"=1+1\"]") && !text.contains("[\"f\","), "{text}");
    assert!(pdf(&post, &of_company("acme", "pdf")).contains("=1+17"));
}

#[tokio::test(flavor = "multi_thread")]
async fn days_that_are_missing_stand_on_the_cover_in_the_companys_language() {
    let post = office(&[], &[]).await;
    company(&post, "acme").await;
    post.sql(
        "UPDATE app.tenants SET language = 'en', name = 'Acme Ltd.';
         DELETE FROM app.company_usage_daily WHERE usage_date IN ('2026-10-03', '2026-10-07', '2026-10-08');
         UPDATE app.company_usage_daily SET api_calls = NULL WHERE usage_date = '2026-10-09'",
    )
    .await;
    run(&post, &[("reports", "company")]).await;
    let text = pdf(&post, &of_company("acme", "pdf"));
    let said = "4daysarenotrecorded,ornotwhole:10-03,10-07–10-09.";
    assert!(text.contains(said) && text.contains("AcmeLtd."), "{text}");
    assert!(text.contains("27/31") && !text.contains("御中"), "{text}");
    let (body, told): (String, String) = (
        post.one("SELECT body FROM app.deliveries").await,
        post.one("SELECT incomplete FROM app.reports WHERE format = 'pdf'").await,
    );
    assert!(body.contains("Please note: 4 days are not recorded"), "{body}");
    assert!(told.contains("10-07 – 10-09"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failing_company_leaves_the_others_and_the_rerun_makes_only_what_is_missing() {
    let post = office(&[], &[]).await;
    let (acme, globex) = (company(&post, "acme").await, company(&post, "globex").await);
    service(&post).await;
    let days = format!("tenant_id = {globex}");
    post.sql(&format!("DELETE FROM app.company_usage_daily WHERE {days}")).await;
    let seen = run(&post, &[("reports", "company,system")]).await;
    assert_eq!((seen.outcome(), seen.tenants_done, seen.tenants_blocked), ("partial", 1, 1));
    let reason = Some("no day of 2026-10 is recorded (DAILY_002)".to_owned());
    assert_eq!(post.tenant_seen(seen.id, globex).await, ("blocked".to_owned(), reason));
    let told: String = post
        .one(&format!("SELECT reports -> 0 ->> 'message' FROM yakin.runs WHERE id = {}", seen.id))
        .await;
    assert_eq!(told, "1 of 2 companies got no report");
    let system = pdf(&post, &of_platform("system", "pdf"));
    assert!(system.contains("1社のレポートは作れませんでした:globex"), "{system}");
    assert!(!path(&post, &of_company("globex", "pdf")).exists());
    let files = |which: &str| {
        let sql =
            format!("SELECT string_agg(f::text, ' ' ORDER BY f) FROM app.files f WHERE {which}");
        let post = &post;
        async move { post.one::<Option<String>>(&sql).await }
    };
    let before = (files(&format!("tenant_id = {acme}")).await, system);

    month(&post, globex, "2026-10-01").await;
    post.set_clock("2026-11-02T09:00:00+09:00");
    let mended = post.rerun_failed(seen.id).await;
    let counts = (mended.count("files"), mended.count("mails"), mended.tenants_total);
    assert_eq!((mended.outcome(), counts), ("succeeded", (2, 1, 1)));
    assert!(pdf(&post, &of_company("globex", "pdf")).contains("株式会社globex"));
    let after =
        (files(&format!("tenant_id = {acme}")).await, pdf(&post, &of_platform("system", "pdf")));
    assert_eq!(before, after);
    let to: String =
        post.one("SELECT string_agg(recipient, ' ' ORDER BY recipient) FROM app.deliveries").await;
    assert_eq!(to, "admin@acme.example admin@globex.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_makes_no_file_and_no_mail_and_a_companys_report_tells_nothing_of_another() {
    let post = office(&[], &["board@yakin.example"]).await;
    let (acme, globex) = (company(&post, "acme").await, company(&post, "globex").await);
    service(&post).await;
    invoice(&post, acme, "INV-202610-acme-0001", 1000, "issued").await;
    invoice(&post, globex, "INV-202610-globex-0001", 2000, "issued").await;
    let first = run(&post, &[]).await;
    assert_eq!((first.outcome(), first.count("files"), first.count("mails")), ("succeeded", 4, 2));
    assert_eq!(post.one::<i64>("SELECT count(*) FROM app.platform_reports").await, 6);
    let (own, book) =
        (pdf(&post, &of_company("acme", "pdf")), excel(&post, &of_company("acme", "xlsx")));
    assert!(own.contains("acme") && !own.contains("globex"), "{own}");
    assert!(!book.to_string().contains("globex"));
    let (before, bytes) =
        (everything(&post).await, std::fs::read(path(&post, &of_company("acme", "pdf"))).unwrap());

    post.set_clock("2026-11-03T07:00:00+09:00");
    let again = run(&post, &[]).await;
    let counts = (again.count("reused"), again.count("files"), again.count("users_counted"));
    assert_eq!((again.outcome(), counts), ("succeeded", (2, 0, 0)));
    assert_eq!(everything(&post).await, before);
    assert_eq!(std::fs::read(path(&post, &of_company("acme", "pdf"))).unwrap(), bytes);
    // no tenant reads the service's own reports, nor another's
    for (sql, expected) in [
        ("SELECT count(*) FROM app.platform_reports", "permission denied"),
        ("SELECT count(*) FROM app.platform_report_mails", "permission denied"),
    ] {
        let error = as_tenant(&post.pool, acme, sql).await.unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(as_tenant(&post.pool, acme, "SELECT count(*) FROM app.reports").await, Ok(2));
    assert_eq!(
        as_tenant(&post.pool, globex, "SELECT count(*) FROM app.company_usage_monthly").await,
        Ok(1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn revenue_is_the_sum_of_issued_invoices_to_the_yen() {
    let post = office(&[], &[]).await;
    let (acme, globex) = (company(&post, "acme").await, company(&post, "globex").await);
    let gone = company(&post, "gone").await;
    invoice(&post, acme, "INV-202610-acme-0001", 33_335, "issued").await;
    invoice(&post, globex, "INV-202610-globex-0001", 50_001, "paid").await;
    invoice(&post, globex, "INV-202610-globex-0002", 999_999, "void").await;
    invoice(&post, gone, "INV-202610-gone-0001", 7, "overdue").await;
    post.sql(&format!(
        "INSERT INTO app.plans SELECT 'gold', valid_from, 'ゴールド', currency, 80000, included_api_calls,
                api_rate_per_1000, included_storage_gb, storage_rate_per_gb, included_cpu_hours, cpu_rate_per_hour,
                included_memory_gb_hours, memory_rate_per_gb_hour, included_bandwidth_gb, bandwidth_rate_per_gb,
                max_users, price_per_user, max_engineers, price_per_engineer FROM app.plans;
         INSERT INTO app.contract_plans SELECT tenant_id, contract_id, '2026-10-10', 'gold' FROM app.contracts
          WHERE tenant_id = {globex};
         UPDATE app.contracts SET starts_on = '2026-10-05' WHERE tenant_id = {acme};
         UPDATE app.contracts SET ends_on = '2026-10-20' WHERE tenant_id = {gone}"
    ))
    .await;
    let seen = run(&post, &[("reports", "revenue")]).await;
    assert_eq!((seen.outcome(), seen.tenants_total), ("succeeded", 0), "{seen:?}");
    let sum: i64 = post
        .one("SELECT sum(total)::bigint FROM app.invoices WHERE state IN ('issued', 'paid', 'overdue')")
        .await;
    assert_eq!(sum, 33_335 + 3_333 + 50_001 + 5_000 + 7);
    let book = excel(&post, &of_platform("revenue", "xlsx"));
    let sheet = "売上 (JPY)";
    assert_eq!(values(&book, sheet, "請求額"), ["91676", "–", "–", "–"]);
    assert_eq!(row(&book, sheet, "請求額")[0].0, "n");
    let of = |label: &str| values(&book, sheet, label)[..2].join(" ");
    assert_eq!(
        ["請求書", "税抜", "消費税", "契約 (月末)", "新規の契約", "終わった契約"].map(of),
        ["3 –", "83343 –", "8333 –", "2 2", "1 0", "1 0"]
    );
    assert_eq!(of("プランを変えた契約"), "1 0");
    assert_eq!(of("月額基本料金の合計"), "130000 100000");
    assert_eq!(of("1社あたり"), "30559 –");
    let plans = &book["プラン別"]["rows"];
    let said: Vec<String> =
        (1..=2).map(|n| format!("{} {}", plans[n][0][1], plans[n][6][1])).collect();
    assert_eq!(said, ["\"ゴールド (gold)\" \"55001\"", "\"スタンダード (standard)\" \"36675\""]);
    let text = pdf(&post, &of_platform("revenue", "pdf"));
    assert!(text.contains("91,676円") && text.contains("INV-202610-gone-0001"), "{text}");
    assert!(!text.contains("globex-0002") && !text.contains("ご注意"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_invoices_there_is_no_revenue_report_and_an_open_contract_is_named() {
    let post = office(&[], &[]).await;
    let acme = company(&post, "acme").await;
    company(&post, "globex").await;
    let seen = run(&post, &[("reports", "engineer,revenue")]).await;
    assert_eq!(seen.outcome(), "partial");
    let why = "2 companies have contracts in 2026-10 and no invoice of it is issued (BATCH-302, MONTHLY_001)";
    assert_eq!(seen.reason.as_deref(), Some(why));
    assert!(path(&post, &of_platform("engineer", "pdf")).exists());
    assert!(!path(&post, &of_platform("revenue", "pdf")).exists());

    invoice(&post, acme, "INV-202610-acme-0001", 1000, "issued").await;
    assert_eq!(run(&post, &[("reports", "revenue")]).await.outcome(), "succeeded");
    let text = pdf(&post, &of_platform("revenue", "pdf"));
    assert!(text.contains("契約があって請求書のない企業が1社あります:globex"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn engineers_flows_waits_and_ending_assignments() {
    let post = office(&[], &[]).await;
    let acme = company(&post, "acme").await;
    service(&post).await;
    post.sql(&format!(
        "INSERT INTO app.engineers (tenant_id, engineer_id, name, joined_on)
         SELECT {acme}, n, '技術者' || n, '2026-01-01' FROM generate_series(1, 5) AS n;
         INSERT INTO app.projects (tenant_id, project_id, name, starts_on) VALUES ({acme}, 1, 'p', '2026-01-01');
         INSERT INTO app.engineer_status_history (tenant_id, engineer_id, status_on, from_status, to_status, reason,
                run_id, changed_at)
         VALUES ({acme}, 1, '2026-09-21', 'waiting_soon', 'waiting', 'no_assignment', 1, '2026-09-21'),
                ({acme}, 1, '2026-10-01', 'waiting', 'working', 'goes_on', 2, '2026-10-01'),
                ({acme}, 2, '2026-10-02', 'working', 'waiting', 'no_assignment', 2, '2026-10-02'),
                ({acme}, 2, '2026-10-07', 'waiting', 'working', 'goes_on', 3, '2026-10-07'),
                ({acme}, 3, '2026-10-09', 'waiting', 'working', 'goes_on', 3, '2026-10-09');
         INSERT INTO app.assignments (tenant_id, engineer_id, project_id, starts_on, planned_end_on, actual_end_on,
                confirmed)
         VALUES ({acme}, 1, 1, '2026-01-01', '2026-11-01', NULL, true),
                ({acme}, 2, 1, '2026-01-01', '2026-11-30', NULL, true),
                ({acme}, 2, 1, '2026-01-01', '2026-12-01', NULL, true),
                ({acme}, 3, 1, '2026-01-01', '2027-09-09', '2027-01-29', true),
                ({acme}, 3, 1, '2026-01-01', '2027-01-30', NULL, true),
                ({acme}, 4, 1, '2026-01-01', '2026-11-05', NULL, false)"
    ))
    .await;
    run(&post, &[("reports", "engineer")]).await;
    let book = excel(&post, &of_platform("engineer", "xlsx"));
    let states = "状態の移り変わり";
    assert_eq!(values(&book, states, "待機中 → 稼働中")[..2], ["3", "–"]);
    assert_eq!(values(&book, states, "終わった待機")[0], "2");
    assert_eq!(values(&book, states, "待機日数 平均")[0], "7.5");
    assert_eq!(values(&book, "終了予定のアサイン", "acme")[3..], ["2", "1", "1"]);
    assert_eq!(values(&book, "活動", "スキルシート閲覧")[0], "62");
    let text = pdf(&post, &of_platform("engineer", "pdf"));
    assert!(text.contains("2026-11-01から2027-01-29までに終わるもの"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_writes_nothing_and_names_what_it_would_make() {
    let post = office(&[], &["board@yakin.example"]).await;
    let (acme, _) = (company(&post, "acme").await, company(&post, "globex").await);
    service(&post).await;
    invoice(&post, acme, "INV-202610-acme-0001", 1000, "issued").await;
    let before = everything(&post).await;
    let seen = post.dry_run("MONTHLY_002", Some("2026-10-15"), &[]).await;
    assert_eq!((seen.outcome(), seen.count("files")), ("succeeded", 4));
    assert_eq!(everything(&post).await, before);
    assert!(!path(&post, "tenant/acme/reports").exists());
    let plan = seen.plan.unwrap().to_string();
    for said in
        [&of_company("acme", "pdf"), &of_company("globex", "xlsx"), "admin@acme.example", "revenue"]
    {
        assert!(plan.contains(said), "{said} is missing in {plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn companies_in_force_in_the_month_get_one_whatever_they_are_now() {
    let post = office(&[], &[]).await;
    let (ended, begun) = (company(&post, "ended").await, company(&post, "begun").await);
    let (gone, other) = (company(&post, "gone").await, company(&post, "other").await);
    post.sql(&format!(
        "UPDATE app.contracts SET ends_on = '2026-10-01' WHERE tenant_id = {ended};
         UPDATE app.tenants SET status = 'closed' WHERE tenant_id = {ended};
         UPDATE app.contracts SET starts_on = '2026-11-01' WHERE tenant_id = {begun};
         UPDATE app.contracts SET ends_on = '2026-09-30' WHERE tenant_id = {gone}"
    ))
    .await;
    let seen = run(&post, &[("reports", "company")]).await;
    assert_eq!((seen.outcome(), seen.tenants_total), ("succeeded", 2));
    let made: String =
        post.one("SELECT string_agg(DISTINCT tenant_id::text, ' ') FROM app.reports").await;
    assert_eq!(made, format!("{ended} {other}"));
    // a day before its contract or after its end is no missing day
    assert!(!pdf(&post, &of_company("ended", "pdf")).contains("ご注意"));
}

#[tokio::test]
async fn a_month_that_is_not_over_and_a_report_that_is_none_are_refused() {
    let post = office(&[], &[]).await;
    company(&post, "acme").await;
    let seen = post.run("MONTHLY_002", Some("2026-11-01"), &[]).await;
    let why = "prepare: 2026-11 is not over yet; name an earlier month";
    assert_eq!((seen.outcome(), seen.reason.as_deref()), ("failed", Some(why)));
    let seen = run(&post, &[("reports", "company,weekly")]).await;
    assert!(seen.reason.unwrap().contains("names 'weekly', expected company, system"));
}
