//! MONTHLY_001: one invoice per contract and month, priced by heads; what is missing blocks, what is odd is held; numbers
//! and contracts are shared with BATCH-302 and nothing is billed by both.

use std::sync::Arc;

use crate::billing_world::{self, Usage, issuer, usage};
use crate::common::Post;
use serde_json::Value;
use yakin_domain::billing;
use yakin_domain::billing::seats::{SeatInput, price};
use yakin_engine::operate::runs::{Again, Wanted, rerun};
use yakin_engine::registry::{AnyBatch, entry};
use yakin_render::{Renderer, Settings};
use yakin_testkit::{Seen, World, act, day};

/// The 1st of July 2026, 06:00: June (30 days) is billed, by both engines.
async fn world() -> World {
    let mut batches: Vec<Arc<dyn AnyBatch>> = crate::common::batches(&["BATCH-302", "MONTHLY_001"]);
    batches.push(entry::<Usage>());
    let mut w = World::at("2026-07-01T06:00:00+09:00", batches).await;
    Arc::get_mut(&mut w.engine).unwrap().provide(issuer());
    w
}

/// The same with a storage and children that render.
async fn office() -> Post {
    let mut post = Post::new("2026-07-01T06:00:00+09:00", &["MONTHLY_001"], &[], &[]).await;
    let engine = Arc::get_mut(&mut post.world.engine).unwrap();
    engine.provide(issuer());
    engine.provide(Renderer::new(Settings::new(env!("CARGO_BIN_EXE_catalogue-probe"))).unwrap());
    post
}

/// A company on the standard plan (50,000 yen, 10 users, 100 engineers) with 10 users and 100 engineers all June.
async fn company(w: &World, code: &str) -> i64 {
    let tenant = w.tenant(code).await;
    w.sql(&format!(
        "UPDATE app.contracts SET billing_engine = 'skillsheet' WHERE tenant_id = {tenant}"
    ))
    .await;
    heads(w, tenant, "2026-06-01").await;
    tenant
}

/// 10 users and 100 engineers on each day of a month.
async fn heads(w: &World, tenant: i64, month: &str) {
    w.sql(&format!(
        "INSERT INTO app.company_usage_daily (tenant_id, usage_date, total_users, total_engineers, run_id)
         SELECT {tenant}, d::date, 10, 100, 0
           FROM generate_series(date '{month}', date '{month}' + interval '1 month' - interval '1 day', '1 day') AS d"
    ))
    .await;
}

/// A day with other figures.
async fn peak(w: &World, tenant: i64, date: &str, users: i64, engineers: i64) {
    w.sql(&format!(
        "UPDATE app.company_usage_daily SET total_users = {users}, total_engineers = {engineers}
          WHERE (tenant_id, usage_date) = ({tenant}, '{date}')"
    ))
    .await;
}

async fn run(w: &World, date: &str) -> Seen {
    w.run("MONTHLY_001", Some(date), &[]).await
}

/// All invoices: number, revision, state, subtotal, tax, total.
async fn invoices(w: &World) -> String {
    billing_world::invoices(w, "number, revision, state, subtotal, tax, total").await
}

/// The lines of an invoice: item, quantity and amount.
async fn lines(w: &World, number: &str) -> String {
    billing_world::lines(w, number, "item, quantity, amount").await
}

/// All that the batch may write, as one text.
async fn everything(w: &World) -> String {
    billing_world::everything(w, &["company_usage_daily", "deliveries", "files"]).await
}

#[tokio::test]
async fn the_sheets_example_becomes_an_invoice_of_60_500_yen_due_in_30_days() {
    let w = world().await;
    let acme = company(&w, "acme").await;
    // users and engineers peak on days of their own; the tenant's other terms do not count
    peak(&w, acme, "2026-06-11", 13, 100).await;
    peak(&w, acme, "2026-06-29", 9, 104).await;
    w.sql("UPDATE app.tenants SET payment_terms_days = 60, billing_cycle = 'annual'").await;
    let seen = run(&w, "2026-06-15").await;
    assert_eq!((seen.outcome(), seen.count("invoices"), seen.count("held")), ("succeeded", 1, 0));
    assert_eq!(seen.amount_yen, Some(60_500.into()));
    assert_eq!(invoices(&w).await, "INV-202606-acme-0001 0 issued 55000 5500 60500");
    assert_eq!(
        lines(&w, "INV-202606-acme-0001").await,
        "base 1 50000, users 3 3000, engineers 4 2000"
    );
    let facts: String = w
        .one(
            "SELECT concat_ws(' ', period_start, period_end, issued_on, due_on, length(usage_digest), event, actor)
               FROM app.invoices JOIN app.invoice_events USING (tenant_id, invoice_id)",
        )
        .await;
    let expected = "2026-06-01 2026-07-01 2026-07-01 2026-07-31 64 issued MONTHLY_001 run";
    assert_eq!(facts, format!("{expected} {}", seen.id));
    let said: String =
        w.one("SELECT description FROM app.invoice_lines WHERE item = 'users'").await;
    assert_eq!(said, "ユーザー数超過 (最大 13名 2026-06-11、上限 10名)");
}

#[tokio::test]
async fn tax_is_rounded_down_once_and_the_snapshot_gives_the_same_figures_again() {
    let w = world().await;
    let acme = company(&w, "acme").await;
    w.sql("UPDATE app.plans SET base_fee = 33335, max_users = NULL").await;
    peak(&w, acme, "2026-06-11", 9_999, 100).await;
    run(&w, "2026-06-15").await;
    assert_eq!(invoices(&w).await, "INV-202606-acme-0001 0 issued 33335 3333 36668");
    let snapshot: Value = w.one("SELECT snapshot FROM app.invoices").await;
    assert_eq!(snapshot["issuer"]["registration_number"], "T9700110012005");
    let input: SeatInput = serde_json::from_value(snapshot).unwrap();
    let priced = price(&input).unwrap();
    assert_eq!((priced.subtotal, priced.total), (33_335.into(), 36_668.into()));
}

#[tokio::test]
async fn contracts_of_the_month_are_billed_whole_or_by_days_and_no_others() {
    let w = world().await;
    let (ended, begun, daily) =
        (company(&w, "ended").await, company(&w, "begun").await, company(&w, "daily").await);
    let gone = company(&w, "gone").await;
    w.sql(&format!(
        "UPDATE app.contracts SET ends_on = '2026-06-20' WHERE tenant_id IN ({ended}, {daily});
         UPDATE app.contracts SET proration = 'daily' WHERE tenant_id = {daily};
         DELETE FROM app.company_usage_daily WHERE tenant_id IN ({ended}, {daily}) AND usage_date > '2026-06-20';
         UPDATE app.contracts SET starts_on = '2026-07-01' WHERE tenant_id = {begun};
         UPDATE app.contracts SET ends_on = '2026-05-31' WHERE tenant_id = {gone};
         UPDATE app.tenants SET status = 'closed' WHERE tenant_id = {ended};
         UPDATE app.plans SET base_fee = 30000"
    ))
    .await;
    let seen = run(&w, "2026-06-15").await;
    assert_eq!((seen.outcome(), seen.tenants_total), ("succeeded", 2));
    assert_eq!(
        invoices(&w).await,
        "INV-202606-daily-0001 0 issued 20000 2000 22000\n\
         INV-202606-ended-0001 0 issued 30000 3000 33000"
    );
    assert_eq!(lines(&w, "INV-202606-daily-0001").await, "base 0.667 20000");
}

#[tokio::test]
async fn a_missing_day_blocks_its_company_and_nine_are_issued() {
    let w = world().await;
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(company(&w, &format!("c{n}")).await);
    }
    let of_day = format!("WHERE tenant_id = {} AND usage_date = '2026-06-17'", ids[4]);
    w.sql(&format!("DELETE FROM app.company_usage_daily {of_day}")).await;
    let seen = run(&w, "2026-06-15").await;
    assert_eq!((seen.outcome(), seen.tenants_done, seen.tenants_blocked), ("partial", 9, 1));
    let reason = Some("usage of 2026-06-17 is missing".to_owned());
    assert_eq!(w.tenant_seen(seen.id, ids[4]).await, ("blocked".to_owned(), reason));
    assert_eq!(w.one::<i64>("SELECT count(*) FROM app.invoices").await, 9);
    let told: String = w
        .one(&format!("SELECT reports -> 0 ->> 'message' FROM yakin.runs WHERE id = {}", seen.id))
        .await;
    assert_eq!(told, "1 of 10 companies were not billed, or not whole");

    // a row of which a figure was never measured is no better
    w.sql(&format!(
        "INSERT INTO app.company_usage_daily (tenant_id, usage_date, total_users, run_id)
         VALUES ({}, '2026-06-17', 10, 0)",
        ids[4]
    ))
    .await;
    let again = w.rerun_failed(seen.id).await;
    assert_eq!(again.tenants_blocked, 1);
    w.sql(&format!("UPDATE app.company_usage_daily SET total_engineers = 100 {of_day}")).await;
    let mended = w.rerun_failed(again.id).await;
    assert_eq!((mended.outcome(), mended.tenants_total), ("succeeded", 1));
    assert_eq!(w.one::<i64>("SELECT count(*) FROM app.invoices").await, 10);
}

#[tokio::test]
async fn a_contract_in_review_leaves_the_companys_others_billed() {
    let w = world().await;
    let acme = company(&w, "acme").await;
    w.sql(&format!(
        "UPDATE app.contracts SET ends_on = '2026-06-15' WHERE tenant_id = {acme};
         INSERT INTO app.contracts (tenant_id, contract_id, billing_engine, starts_on)
         VALUES ({acme}, 9000, 'skillsheet', '2026-06-16');
         INSERT INTO app.contract_plans (tenant_id, contract_id, plan_code, starts_on)
         VALUES ({acme}, 9000, 'standard', '2026-06-16');
         DELETE FROM app.company_usage_daily WHERE usage_date = '2026-06-10'"
    ))
    .await;
    let first: i64 = w.one("SELECT min(contract_id) FROM app.contracts").await;
    let before = everything(&w).await;
    let dry = w.dry_run("MONTHLY_001", Some("2026-06-15"), &[]).await;
    assert_eq!((dry.outcome(), dry.count("invoices"), dry.count("review")), ("succeeded", 1, 1));
    assert_eq!(everything(&w).await, before);

    let seen = run(&w, "2026-06-15").await;
    assert_eq!((seen.outcome(), seen.tenants_blocked), ("failed", 1));
    let reason = Some(format!("contract {first}: usage of 2026-06-10 is missing"));
    assert_eq!(w.tenant_seen(seen.id, acme).await, ("blocked".to_owned(), reason.clone()));
    let billed = "INV-202606-acme-0001 0 issued 50000 5000 55000";
    assert_eq!(invoices(&w).await, billed);
    let of: i64 = w.one("SELECT contract_id FROM app.invoices").await;
    assert_eq!(of, 9000);

    // again the same: nothing is billed twice, and the other still waits
    let again = w.rerun_failed(seen.id).await;
    assert_eq!(w.tenant_seen(again.id, acme).await, ("blocked".to_owned(), reason));
    assert_eq!(invoices(&w).await, billed);
    w.sql(&format!(
        "INSERT INTO app.company_usage_daily (tenant_id, usage_date, total_users, total_engineers, run_id)
         VALUES ({acme}, '2026-06-10', 10, 100, 0)"
    ))
    .await;
    let mended = w.rerun_failed(again.id).await;
    assert_eq!((mended.outcome(), mended.count("reused")), ("succeeded", 1));
    let second = "INV-202606-acme-0002 0 issued 50000 5000 55000";
    assert_eq!(invoices(&w).await, format!("{billed}\n{second}"));
}

#[tokio::test]
async fn an_unblocked_company_is_billed_without_the_missing_day_and_the_invoice_says_so() {
    let w = world().await;
    let acme = company(&w, "acme").await;
    w.sql("DELETE FROM app.company_usage_daily WHERE usage_date = '2026-06-17'").await;
    let seen = run(&w, "2026-06-15").await;
    let again = Again::Released(vec![acme]);
    rerun(&w.pool, &w.engine.registry, seen.id, again, &act(), w.clock.now()).await.unwrap();
    w.settle().await;
    assert_eq!(lines(&w, "INV-202606-acme-0001").await, "base 1 50000, note 1 0");
    let released: bool = w.one("SELECT (snapshot -> 'released')::boolean FROM app.invoices").await;
    assert!(released);
}

#[tokio::test]
async fn a_missing_plan_address_or_rate_blocks_even_when_released() {
    let w = world().await;
    for (code, fault, reason) in [
        (
            "plan",
            "UPDATE app.contract_plans SET plan_code = 'gold' WHERE tenant_id = $",
            "plan 'gold' is unknown on 2026-06-30",
        ),
        ("none", "DELETE FROM app.contract_plans WHERE tenant_id = $", "has no plan on 2026-06-30"),
        (
            "street",
            "UPDATE app.tenants SET billing_address = ' ' WHERE tenant_id = $",
            "tenant street has no billing_address",
        ),
        (
            "mail",
            "UPDATE app.tenants SET billing_email = NULL WHERE tenant_id = $",
            "tenant mail has no billing_email",
        ),
        (
            "rate",
            "UPDATE app.tenants SET country = 'DE' WHERE tenant_id = $",
            "no tax rate of DE on 2026-06-30",
        ),
        (
            "coin",
            "UPDATE app.tenants SET currency = 'USD' WHERE tenant_id = $",
            "plan 'standard' is priced in JPY, the tenant pays in USD",
        ),
        (
            "ends",
            "UPDATE app.contracts SET starts_on = '2026-06-10', ends_on = '2026-05-01' WHERE tenant_id = $",
            "ends on 2026-05-01, before it starts on 2026-06-10",
        ),
        (
            "twice",
            "INSERT INTO app.contracts (tenant_id, contract_id, billing_engine, starts_on)
             VALUES ($, 9000, 'skillsheet', '2026-06-20')",
            "and 9000 both cover 2026-06-20",
        ),
    ] {
        let id = company(&w, code).await;
        w.sql(&fault.replace('$', &id.to_string())).await;
        let wanted =
            Wanted { date: Some(day("2026-06-15")), tenants: vec![id], ..Wanted::default() };
        let seen = w.run_as("MONTHLY_001", wanted).await;
        let again = Again::Released(vec![id]);
        let (registry, now) = (&w.engine.registry, w.clock.now());
        let released = rerun(&w.pool, registry, seen.id, again, &act(), now).await.unwrap();
        w.settle().await;
        let (state, why) = w.tenant_seen(released, id).await;
        assert_eq!(state, "blocked", "{code}");
        assert!(why.unwrap().ends_with(reason), "{code}");
    }
    assert_eq!(invoices(&w).await, "");
    let drawn: i64 = w.one("SELECT count(*) FROM app.invoice_counters").await;
    assert_eq!(drawn, 0, "no number was consumed");
}

#[tokio::test]
async fn what_broke_after_three_of_ten_goes_on_after_ten_seconds_and_no_number_is_lost() {
    let w = world().await;
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(company(&w, &format!("c{n}")).await);
    }
    w.sql(&format!(
        "CREATE FUNCTION public.cut() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'cut' USING ERRCODE = '57P01'; END $$;
         CREATE TRIGGER cut AFTER INSERT ON app.invoices FOR EACH ROW WHEN (NEW.tenant_id > {})
                EXECUTE FUNCTION public.cut()",
        ids[2]
    ))
    .await;
    let seen = run(&w, "2026-06-15").await;
    assert_eq!(seen.outcome(), "open");
    assert_eq!(w.one::<i64>("SELECT count(*) FROM app.invoices").await, 3);
    w.sql("DROP TRIGGER cut ON app.invoices").await;
    w.set_clock("2026-07-01T06:00:20+09:00");
    w.settle().await;
    assert_eq!(w.seen(seen.id).await.outcome(), "succeeded");
    let facts = "SELECT concat_ws(' ', count(*), count(DISTINCT tenant_id), min(right(number, 4)), max(right(number, 4)))
                   FROM app.invoices";
    assert_eq!(w.one::<String>(facts).await, "10 10 0001 0001");
    let before = everything(&w).await;
    let again = run(&w, "2026-06-15").await;
    assert_eq!((again.outcome(), again.count("reused"), again.rows_written), ("succeeded", 10, 0));
    assert_eq!(everything(&w).await, before);
    let reused =
        format!("SELECT bool_and(reused) FROM yakin.run_tenants WHERE run_id = {}", again.id);
    assert!(w.one::<bool>(&reused).await);
}

#[tokio::test]
async fn a_dry_run_plans_and_writes_nothing() {
    let w = world().await;
    company(&w, "acme").await;
    let before = everything(&w).await;
    let seen = w.dry_run("MONTHLY_001", Some("2026-06-15"), &[]).await;
    assert_eq!((seen.outcome(), seen.amount_yen), ("succeeded", Some(55_000.into())));
    assert_eq!(everything(&w).await, before);
    let plan = seen.plan.unwrap().to_string();
    assert!(plan.contains("app.invoices") && plan.contains("document"), "{plan}");
    run(&w, "2026-06-15").await;
    assert!(invoices(&w).await.starts_with("INV-202606-acme-0001 "), "the dry run drew no number");
}

#[tokio::test]
async fn with_both_engines_each_contract_has_one_invoice_and_the_numbers_have_no_gap() {
    let w = world().await;
    let both = company(&w, "both").await;
    let heads = company(&w, "heads").await;
    let used = w.tenant("used").await;
    w.sql(&format!(
        "INSERT INTO app.contracts (tenant_id, contract_id, starts_on) VALUES ({both}, 9000, '2026-01-01');
         INSERT INTO app.contract_plans VALUES ({both}, 9000, '2026-01-01', 'standard')"
    ))
    .await;
    for tenant in [both, heads, used] {
        usage(&w, tenant, "2026-06-01").await;
    }
    for batch in ["BATCH-302", "MONTHLY_001", "BATCH-302", "MONTHLY_001"] {
        let seen = w.run(batch, Some("2026-06-15"), &[]).await;
        assert_eq!((seen.outcome(), seen.tenants_total), ("succeeded", 2), "{batch}");
    }
    let issued: String = w
        .one(
            "SELECT string_agg(concat_ws(' ', number, billing_engine, actor), E'\\n' ORDER BY number)
               FROM (SELECT number, billing_engine, split_part(actor, ' ', 1) AS actor
                       FROM app.invoices JOIN app.contracts USING (tenant_id, contract_id)
                       JOIN app.invoice_events USING (tenant_id, invoice_id)) AS issued",
        )
        .await;
    assert_eq!(
        issued,
        "INV-202606-both-0001 saas BATCH-302\n\
         INV-202606-both-0002 skillsheet MONTHLY_001\n\
         INV-202606-heads-0001 skillsheet MONTHLY_001\n\
         INV-202606-used-0001 saas BATCH-302"
    );
}

#[tokio::test]
async fn a_contract_whose_engine_was_changed_after_its_invoice_is_not_billed_twice() {
    let w = world().await;
    let acme = company(&w, "acme").await;
    usage(&w, acme, "2026-06-01").await;
    let engine = |word: &str| format!("UPDATE app.contracts SET billing_engine = '{word}'");
    w.sql(&engine("saas")).await;
    w.run("BATCH-302", Some("2026-06-15"), &[]).await;
    w.sql(&engine("skillsheet")).await;
    let seen = run(&w, "2026-06-15").await;
    assert_eq!((seen.outcome(), seen.count("reused"), seen.rows_written), ("succeeded", 1, 0));
    assert_eq!(invoices(&w).await, "INV-202606-acme-0001 0 issued 50000 5000 55000");

    // and the other way round
    heads(&w, acme, "2026-07-01").await;
    w.set_clock("2026-08-01T01:30:00+09:00");
    run(&w, "2026-07-15").await;
    w.sql(&engine("saas")).await;
    usage(&w, acme, "2026-07-01").await;
    let seen = w.run("BATCH-302", Some("2026-07-15"), &[]).await;
    assert_eq!((seen.count("reused"), seen.count("invoices")), (1, 0), "{seen:?}");
    let params = vec![("force_recalc".to_owned(), "true".to_owned())];
    let forced =
        Wanted { date: Some(day("2026-07-15")), tenants: vec![acme], params, ..Wanted::default() };
    let seen = w.run_as("BATCH-302", forced).await;
    let why = w.tenant_seen(seen.id, acme).await.1.unwrap();
    assert!(why.ends_with("has no snapshot that an adjustment could start from"), "{why}");
    assert_eq!(w.one::<i64>("SELECT count(*) FROM app.invoices").await, 2);
}

#[tokio::test]
async fn a_neighbours_heads_and_contracts_do_not_count() {
    let w = world().await;
    let (acme, bolt) = (company(&w, "acme").await, company(&w, "bolt").await);
    peak(&w, bolt, "2026-06-11", 50, 500).await;
    let only = Wanted { date: Some(day("2026-06-15")), tenants: vec![acme], ..Wanted::default() };
    w.run_as("MONTHLY_001", only).await;
    assert_eq!(invoices(&w).await, "INV-202606-acme-0001 0 issued 50000 5000 55000");
    let contract: i64 =
        w.one(&format!("SELECT contract_id FROM app.contracts WHERE tenant_id = {bolt}")).await;
    let named = [("contract_id", contract.to_string())];
    let named: Vec<(&str, &str)> = named.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let seen = w.run("MONTHLY_001", Some("2026-06-15"), &named).await;
    assert_eq!((seen.outcome(), seen.count("invoices"), seen.count("reused")), ("succeeded", 1, 0));
    assert!(invoices(&w).await.ends_with("INV-202606-bolt-0001 0 issued 290000 29000 319000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_invoice_is_mailed_once_with_its_document_and_exported_by_this_batch() {
    let post = office().await;
    for n in 0..3 {
        company(&post, &format!("c{n}")).await;
    }
    run(&post, "2026-06-15").await;
    for _ in 0..2 {
        let again = run(&post, "2026-06-15").await;
        assert_eq!((again.count("reused"), again.rows_written), (3, 0));
        assert_eq!(post.states().await, "pending 3");
    }
    let facts: String = post
        .one(
            "SELECT concat_ws(' ', count(document_ready_at), count(exported_at),
                    (SELECT string_agg(DISTINCT actor, ',') FROM app.invoice_events WHERE event = 'document'),
                    (SELECT string_agg(split_part(key, '-', 2), ',') FROM app.accounting_exports))
               FROM app.invoices",
        )
        .await;
    assert_eq!(facts, "3 3 MONTHLY_001 06/monthly_001");
    let letter: String = post.one("SELECT min(subject) FROM app.deliveries").await;
    assert_eq!(letter, "【夜勤株式会社】2026年6月 ご利用分の請求書 INV-202606-c0-0001");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_issued_without_mail_is_mailed_by_a_later_run() {
    let post = office().await;
    company(&post, "acme").await;
    post.sql("UPDATE app.tenants SET billing_email = NULL").await;
    post.run("MONTHLY_001", Some("2026-06-15"), &[("send_mail", "false")]).await;
    let ready = "SELECT count(document_ready_at) FROM app.invoices";
    assert_eq!((post.one::<i64>(ready).await, post.states().await.as_str()), (1, ""));
    post.sql("UPDATE app.tenants SET billing_email = 'a@acme.example'").await;
    let seen = run(&post, "2026-06-15").await;
    assert_eq!((seen.count("reused"), seen.count("mails")), (1, 1));
    assert_eq!(post.states().await, "pending 1");
    let seen = run(&post, "2026-06-15").await;
    assert_eq!((seen.count("mails"), post.states().await.as_str()), (0, "pending 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_half_as_high_again_is_held_until_a_person_decides() {
    let post = office().await;
    let acme = company(&post, "acme").await;
    run(&post, "2026-06-15").await;
    heads(&post, acme, "2026-07-01").await;
    peak(&post, acme, "2026-07-09", 36, 100).await; // 26,000 more than 50,000
    post.set_clock("2026-08-01T04:00:00+09:00");
    let seen = run(&post, "2026-07-15").await;
    assert_eq!((seen.count("invoices"), seen.count("held")), (1, 1));
    let held = "SELECT held_reason FROM app.invoices WHERE held_at IS NOT NULL";
    assert_eq!(
        post.one::<String>(held).await,
        "total 83600 differs by more than 50% from 55000 of 2026-06 (+52%)"
    );
    assert_eq!(post.states().await, "pending 1", "June's; July's waits");
    run(&post, "2026-07-15").await;
    assert_eq!(post.states().await, "pending 1", "also for a second run");
    let (registry, number) = (&post.engine.registry, "INV-202607-acme-0001");
    billing::decide(&post.pool, registry, number, true, &act(), post.clock.now()).await.unwrap();
    post.settle().await;
    assert_eq!(post.states().await, "pending 2");
    let exported: i64 = post.one("SELECT count(exported_at) FROM app.invoices").await;
    assert_eq!(exported, 2);
}

#[tokio::test]
async fn a_rejected_invoice_is_made_again_only_for_the_contract_a_person_names() {
    let w = world().await;
    let acme = company(&w, "acme").await;
    run(&w, "2026-06-15").await;
    heads(&w, acme, "2026-07-01").await;
    peak(&w, acme, "2026-07-09", 300, 100).await;
    w.set_clock("2026-08-01T04:00:00+09:00");
    run(&w, "2026-07-15").await;
    let (registry, number) = (&w.engine.registry, "INV-202607-acme-0001");
    billing::decide(&w.pool, registry, number, false, &act(), w.clock.now()).await.unwrap();
    peak(&w, acme, "2026-07-09", 12, 100).await;
    let plain = run(&w, "2026-07-15").await;
    assert_eq!((plain.count("reused"), plain.rows_written), (1, 0));
    let contract: i64 = w.one("SELECT contract_id FROM app.contracts").await;
    let named = contract.to_string();
    let seen = w.run("MONTHLY_001", Some("2026-07-15"), &[("contract_id", &named)]).await;
    assert_eq!((seen.count("invoices"), seen.count("held")), (1, 0));
    assert!(invoices(&w).await.ends_with(
        "INV-202607-acme-0001 0 void 340000 34000 374000\n\
         INV-202607-acme-0002 1 issued 52000 5200 57200"
    ));
    let again = w.run("MONTHLY_001", Some("2026-07-15"), &[("contract_id", &named)]).await;
    assert_eq!((again.count("reused"), again.rows_written), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_makes_drafts_and_issues_nothing() {
    let post = office().await;
    company(&post, "acme").await;
    let wrong = company(&post, "wrong").await;
    post.sql(&format!("DELETE FROM app.contract_plans WHERE tenant_id = {wrong}")).await;
    let seen = post.run("MONTHLY_001", Some("2026-06-15"), &[("preview", "true")]).await;
    assert_eq!((seen.outcome(), seen.tenants_total), ("succeeded", 0));
    let left: String = post
        .one(
            "SELECT concat_ws(' ', (SELECT count(*) FROM app.invoices), (SELECT count(*) FROM app.invoice_counters),
                    (SELECT count(*) FROM app.deliveries), (SELECT count(*) FROM yakin.completions),
                    (SELECT count(*) FROM yakin.dead_letters), (SELECT string_agg(key, ',') FROM app.files))",
        )
        .await;
    assert!(left.starts_with("0 0 0 0 0 tenant/acme/invoices/2026-06/draft-"), "{left}");
    let said: i64 =
        post.one("SELECT count(*) FROM yakin.run_logs WHERE message = 'no draft'").await;
    assert_eq!(said, 1);
    run(&post, "2026-06-15").await;
    assert!(invoices(&post).await.starts_with("INV-202606-acme-0001 0 issued"));
}

#[tokio::test]
async fn without_an_issuer_nothing_begins() {
    let w = World::at("2026-07-01T06:00:00+09:00", crate::common::batches(&["MONTHLY_001"])).await;
    company(&w, "acme").await;
    let seen = run(&w, "2026-06-15").await;
    assert_eq!(seen.outcome(), "failed");
    assert!(seen.reason.unwrap().contains("[issuer] is not configured"));
    assert_eq!(invoices(&w).await, "");
}
