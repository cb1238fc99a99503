//! BATCH-302: one invoice per contract and month, priced from its usage; blocked rather than guessed; held when odd;
//! adjusted, never changed.

use std::sync::Arc;

use crate::billing_world::{self, Usage, issuer, usage};
use serde_json::Value;
use yakin_domain::billing::{self, BillingInput, price};
use yakin_engine::error::EngineError;
use yakin_engine::operate::runs::{Again, Wanted, rerun};
use yakin_engine::prelude::*;
use yakin_engine::record::audit::Act;
use yakin_engine::registry::{AnyBatch, entry};
use yakin_engine::tx::Role;
use yakin_testkit::{Seen, World, act, day};

fn batch() -> Arc<dyn AnyBatch> {
    let block = yakin_catalogue::tenant::BATCHES.iter().map(|entry| entry());
    block.into_iter().find(|batch| batch.spec().id == "BATCH-302").unwrap()
}

/// The 1st of July 2026, 02:00: June (30 days) is billed.
async fn world() -> World {
    let mut w = World::at("2026-07-01T02:00:00+09:00", vec![entry::<Usage>(), batch()]).await;
    Arc::get_mut(&mut w.engine).unwrap().provide(issuer());
    w
}

/// A tenant on the standard plan with a quiet, complete June.
async fn tenant(w: &World, code: &str) -> i64 {
    let tenant = w.tenant(code).await;
    usage(w, tenant, "2026-06-01").await;
    tenant
}

async fn calls(w: &World, tenant: i64, date: &str, calls: i64) {
    w.sql(&format!(
        "UPDATE app.tenant_usage_daily SET api_calls = {calls} WHERE tenant_id = {tenant} AND usage_date = '{date}'"
    ))
    .await;
}

/// Records a missing day like another one.
async fn restore(w: &World, tenant: i64, date: &str, like: &str) {
    w.sql(&format!(
        "INSERT INTO app.tenant_usage_daily SELECT (jsonb_populate_record(u, '{{\"usage_date\": \"{date}\"}}')).*
           FROM app.tenant_usage_daily u WHERE tenant_id = {tenant} AND usage_date = '{like}'"
    ))
    .await;
}

/// BATCH-204's record of a day.
async fn statistics(w: &World, tenant: i64, date: &str, calls: i64) {
    w.sql(&format!(
        "INSERT INTO app.usage_statistics (tenant_id, usage_date, calls, call_users, successful, client_errors,
                server_errors, response_ms_sum, request_bytes, response_bytes, storage_bytes, files,
                reports_generated, reports_completed, report_users, sessions, session_seconds, active_users, run_id)
         VALUES ({tenant}, '{date}', {calls}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)"
    ))
    .await;
}

/// A correction of a billed day, as BATCH-204 writes one.
async fn correction(w: &World, tenant: i64, date: &str, revision: i32, calls: i64) {
    w.sql(&format!(
        "INSERT INTO app.usage_corrections (tenant_id, usage_date, revision, calls_difference,
                storage_bytes_difference, differences, run_id)
         VALUES ({tenant}, '{date}', {revision}, {calls}, 0, '{{}}', 0)"
    ))
    .await;
}

async fn run(w: &World, date: &str) -> Seen {
    w.run("BATCH-302", Some(date), &[]).await
}

async fn recalculate(w: &World, date: &str, tenant: i64) -> Seen {
    let params = vec![("force_recalc".to_owned(), "true".to_owned())];
    let wanted =
        Wanted { date: Some(day(date)), tenants: vec![tenant], params, ..Wanted::default() };
    w.run_as("BATCH-302", wanted).await
}

/// All invoices: number, revision, kind, state, subtotal, tax, total.
async fn invoices(w: &World) -> String {
    billing_world::invoices(w, "number, revision, kind, state, subtotal, tax, total").await
}

/// The lines of an invoice: item and amount.
async fn lines(w: &World, number: &str) -> String {
    billing_world::lines(w, number, "item, amount").await
}

/// All that the batch may write, as one text.
async fn everything(w: &World) -> String {
    billing_world::everything(w, &["usage_corrections", "usage_statistics"]).await
}

#[tokio::test]
async fn the_sheets_example_becomes_an_invoice_of_50_578_yen() {
    let w = world().await;
    let acme = tenant(&w, "acme").await;
    w.sql(&format!(
        "UPDATE app.tenant_usage_daily SET api_calls = 3450,
                storage_bytes = CASE WHEN usage_date < '2026-06-16' THEN 100 ELSE 120 END * 1024::bigint ^ 3
          WHERE tenant_id = {acme};
         INSERT INTO app.discounts (tenant_id, kind, items, value, description, valid_from)
         VALUES ({acme}, 'percentage', '{{base}}', 10, '年間契約割引', '2026-01-01')"
    ))
    .await;
    let seen = run(&w, "2026-06-15").await;
    assert_eq!((seen.outcome(), seen.count("invoices"), seen.count("held")), ("succeeded", 1, 0));
    assert_eq!(seen.amount_yen, Some(50_578.into()));
    assert_eq!(invoices(&w).await, "INV-202606-acme-0001 0 invoice issued 45980 4598 50578");
    assert_eq!(
        lines(&w, "INV-202606-acme-0001").await,
        "base 50000, api 480, storage 500, discount -5000"
    );
    let facts: String = w
        .one(
            "SELECT concat_ws(' ', period_start, period_end, issued_on, due_on, length(usage_digest), event, actor,
                              taxable, t.tax)
               FROM app.invoices JOIN app.invoice_events USING (tenant_id, invoice_id)
               JOIN app.invoice_taxes t USING (tenant_id, invoice_id)",
        )
        .await;
    assert_eq!(
        facts,
        format!(
            "2026-06-01 2026-07-01 2026-07-01 2026-07-31 64 issued BATCH-302 run {} 45980 4598",
            seen.id
        )
    );
}

#[tokio::test]
async fn an_invoice_can_be_computed_again_from_its_snapshot() {
    let w = world().await;
    let acme = tenant(&w, "acme").await;
    calls(&w, acme, "2026-06-03", 123_456).await;
    run(&w, "2026-06-15").await;
    let snapshot: Value = w.one("SELECT snapshot FROM app.invoices").await;
    assert_eq!(snapshot["issuer"]["registration_number"], "T9700110012005");
    let input: BillingInput = serde_json::from_value(snapshot).unwrap();
    let priced = price(&input).unwrap();
    let stored: String =
        w.one("SELECT concat_ws(' ', subtotal, tax, total) FROM app.invoices").await;
    assert_eq!(stored, format!("{} {} {}", priced.subtotal, priced.tax, priced.total));
    let stored: Value = w
        .one(
            "SELECT jsonb_agg(jsonb_build_object('item', item, 'description', description, 'quantity', quantity::text,
                    'unit', unit, 'unit_price', unit_price::text, 'amount', amount::text, 'tax_rate', tax_rate::text)
                    ORDER BY line_no) FROM app.invoice_lines",
        )
        .await;
    assert_eq!(stored, serde_json::to_value(&priced.lines).unwrap());
}

#[tokio::test]
async fn a_second_run_changes_nothing_and_says_so() {
    let w = world().await;
    tenant(&w, "acme").await;
    tenant(&w, "bolt").await;
    run(&w, "2026-06-15").await;
    let before = everything(&w).await;
    let again = run(&w, "2026-06-15").await;
    assert_eq!((again.outcome(), again.count("reused"), again.rows_written), ("succeeded", 2, 0));
    assert_eq!(everything(&w).await, before);
    let reused: bool = w
        .one(&format!("SELECT bool_and(reused) FROM yakin.run_tenants WHERE run_id = {}", again.id))
        .await;
    assert!(reused);
}

#[tokio::test]
async fn a_dry_run_plans_and_writes_nothing() {
    let w = world().await;
    let acme = tenant(&w, "acme").await;
    w.sql(&format!("UPDATE app.tenant_usage_daily SET api_calls = 9 WHERE tenant_id = {acme}"))
        .await;
    let before = everything(&w).await;
    let seen = w.dry_run("BATCH-302", Some("2026-06-15"), &[]).await;
    assert_eq!((seen.outcome(), seen.amount_yen), ("succeeded", Some(55_000.into())));
    assert_eq!(everything(&w).await, before);
    let plan = seen.plan.unwrap().to_string();
    assert!(plan.contains("app.invoices"), "{plan}");
    run(&w, "2026-06-15").await;
    assert!(invoices(&w).await.starts_with("INV-202606-acme-0001 "), "the dry run drew no number");
}

#[tokio::test]
async fn a_missing_day_blocks_its_tenant_until_it_is_there() {
    let w = world().await;
    let (acme, bolt) = (tenant(&w, "acme").await, tenant(&w, "bolt").await);
    let missing = format!(
        "DELETE FROM app.tenant_usage_daily WHERE tenant_id = {acme} AND usage_date = '2026-06-17'"
    );
    w.sql(&missing).await;
    let seen = run(&w, "2026-06-15").await;
    assert_eq!((seen.outcome(), seen.tenants_done, seen.tenants_blocked), ("partial", 1, 1));
    let reason = "usage of 2026-06-17 is missing".to_owned();
    assert_eq!(w.tenant_seen(seen.id, acme).await, ("blocked".to_owned(), Some(reason)));
    assert_eq!(w.tenant_seen(seen.id, bolt).await.0, "done");
    let counters: i64 =
        w.one(&format!("SELECT count(*) FROM app.invoice_counters WHERE tenant_id = {acme}")).await;
    assert_eq!(counters, 0, "no number was consumed");
    restore(&w, acme, "2026-06-17", "2026-06-18").await;
    let again = w.rerun_failed(seen.id).await;
    assert_eq!((again.outcome(), again.tenants_total), ("succeeded", 1));
    assert!(invoices(&w).await.starts_with("INV-202606-acme-0001 0 invoice issued 50000"));
}

#[tokio::test]
async fn an_unblocked_tenant_is_billed_with_the_missing_day_as_zero_and_the_invoice_says_so() {
    let w = world().await;
    let acme = tenant(&w, "acme").await;
    w.sql("DELETE FROM app.tenant_usage_daily WHERE usage_date = '2026-06-17'").await;
    statistics(&w, acme, "2026-06-17", 100_001).await;
    let seen = run(&w, "2026-06-15").await;
    let again = Again::Released(vec![acme]);
    let id =
        rerun(&w.pool, &w.engine.registry, seen.id, again, &act(), w.clock.now()).await.unwrap();
    w.settle().await;
    assert_eq!(w.seen(id).await.outcome(), "succeeded");
    assert_eq!(lines(&w, "INV-202606-acme-0001").await, "base 50000, note 0");
    let released: bool = w.one("SELECT (snapshot -> 'released')::boolean FROM app.invoices").await;
    assert!(released);

    let state: String = w.one("SELECT state FROM app.usage_statistics").await;
    assert_eq!(state, "provisional", "nothing of that day was billed");
    restore(&w, acme, "2026-06-17", "2026-06-18").await;
    calls(&w, acme, "2026-06-17", 100_001).await;
    recalculate(&w, "2026-06-15", acme).await;
    assert_eq!(lines(&w, "INV-202606-acme-0002").await, "api 120", "the day came after all");
}

#[tokio::test]
async fn an_unknown_plan_or_rate_or_currency_stays_blocked_even_when_released() {
    let w = world().await;
    for (code, fault, reason) in [
        (
            "plan",
            "UPDATE app.contract_plans SET plan_code = 'gold' WHERE tenant_id = $",
            "plan 'gold' is unknown on 2026-06-01",
        ),
        (
            "rate",
            "UPDATE app.tenants SET country = 'DE' WHERE tenant_id = $",
            "no tax rate of DE on 2026-06-30",
        ),
        (
            "coin",
            "UPDATE app.tenants SET currency = 'EUR' WHERE tenant_id = $",
            "currency 'EUR' is unknown",
        ),
        ("none", "DELETE FROM app.contract_plans WHERE tenant_id = $", "has no plan on 2026-06-01"),
        (
            "ends",
            "UPDATE app.contracts SET starts_on = '2026-06-10', ends_on = '2026-05-01' WHERE tenant_id = $",
            "ends on 2026-05-01, before it starts on 2026-06-10",
        ),
    ] {
        let id = tenant(&w, code).await;
        w.sql(&fault.replace('$', &id.to_string())).await;
        let seen = run(&w, "2026-06-15").await;
        let again = Again::Released(vec![id]);
        let released = rerun(&w.pool, &w.engine.registry, seen.id, again, &act(), w.clock.now())
            .await
            .unwrap();
        w.settle().await;
        let (state, why) = w.tenant_seen(released, id).await;
        assert_eq!(state, "blocked", "{code}");
        assert!(why.unwrap().ends_with(reason), "{code}");
    }
    assert_eq!(invoices(&w).await, "");
}

#[tokio::test]
async fn who_left_or_is_suspended_is_billed_for_what_was_contracted_and_skillsheet_contracts_are_not_ours()
 {
    let w = world().await;
    let left = tenant(&w, "left").await;
    let idle = tenant(&w, "idle").await;
    let other = tenant(&w, "other").await;
    let past = tenant(&w, "past").await;
    w.sql(&format!(
        "UPDATE app.tenants SET status = 'closed' WHERE tenant_id = {left};
         UPDATE app.contracts SET ends_on = '2026-06-15' WHERE tenant_id = {left};
         DELETE FROM app.tenant_usage_daily WHERE tenant_id = {left} AND usage_date > '2026-06-15';
         UPDATE app.tenants SET status = 'suspended' WHERE tenant_id = {idle};
         UPDATE app.contracts SET billing_engine = 'skillsheet' WHERE tenant_id = {other};
         UPDATE app.contracts SET ends_on = '2026-05-31' WHERE tenant_id = {past}"
    ))
    .await;
    let seen = run(&w, "2026-06-15").await;
    assert_eq!((seen.outcome(), seen.tenants_total), ("succeeded", 2));
    assert_eq!(
        invoices(&w).await,
        "INV-202606-idle-0001 0 invoice issued 50000 5000 55000\n\
         INV-202606-left-0001 0 invoice issued 25000 2500 27500"
    );
}

#[tokio::test]
async fn two_contracts_in_a_month_get_a_number_each_and_may_not_share_a_day() {
    let w = world().await;
    let acme = tenant(&w, "acme").await;
    w.sql(&format!(
        "UPDATE app.contracts SET ends_on = '2026-06-20' WHERE tenant_id = {acme};
         INSERT INTO app.contracts (tenant_id, contract_id, starts_on) VALUES ({acme}, 9000, '2026-06-20');
         INSERT INTO app.contract_plans VALUES ({acme}, 9000, '2026-06-20', 'standard')"
    ))
    .await;
    let seen = run(&w, "2026-06-15").await;
    let (state, reason) = w.tenant_seen(seen.id, acme).await;
    assert_eq!(state, "blocked");
    assert!(reason.unwrap().ends_with("and 9000 both cover 2026-06-20"));
    w.sql(&format!("UPDATE app.contracts SET ends_on = '2026-06-19' WHERE tenant_id = {acme} AND contract_id < 9000")).await;
    w.rerun_failed(seen.id).await;
    assert_eq!(
        invoices(&w).await,
        "INV-202606-acme-0001 0 invoice issued 31667 3166 34833\n\
         INV-202606-acme-0002 0 invoice issued 18333 1833 20166"
    );
}

#[tokio::test]
async fn a_failed_issue_gives_its_number_back() {
    let w = world().await;
    let (acme, bolt) = (tenant(&w, "acme").await, tenant(&w, "bolt").await);
    w.sql(&format!(
        "INSERT INTO app.invoices (tenant_id, contract_id, period_start, period_end, number, state, currency, subtotal,
                tax, total, usage_digest, snapshot, run_id)
         SELECT {bolt}, contract_id, '2020-01-01', '2020-02-01', 'INV-202606-acme-0001', 'issued', 'JPY', 0, 0, 0, '',
                '{{}}', 0 FROM app.contracts WHERE tenant_id = {bolt}"
    ))
    .await;
    let seen = run(&w, "2026-06-15").await;
    assert_eq!(w.tenant_seen(seen.id, acme).await.0, "waiting", "a retry is planned");
    let drawn: i64 =
        w.one(&format!("SELECT count(*) FROM app.invoice_counters WHERE tenant_id = {acme}")).await;
    assert_eq!(drawn, 0);
    w.sql("UPDATE app.invoices SET number = 'X' WHERE state = 'draft'; DELETE FROM app.invoices WHERE period_start = '2020-01-01'").await;
    w.set_clock("2026-07-01T02:30:00+09:00");
    w.settle().await;
    assert_eq!(w.seen(seen.id).await.outcome(), "succeeded");
    assert!(invoices(&w).await.starts_with("INV-202606-acme-0001 0 invoice issued"));
}

#[tokio::test]
async fn two_nodes_at_the_same_month_issue_one_invoice() {
    let w = world().await;
    let acme = tenant(&w, "acme").await;
    let month = Days::month_of(day("2026-06-01"));
    let mut first = Tx::begin(&w.pool, Role::Tenant(acme), "", false).await.unwrap();
    let mut second = Tx::begin(&w.pool, Role::Tenant(acme), "", false).await.unwrap();
    let loaded = billing::load(&mut first, month, false, false).await.unwrap();
    let document = billing::document(&loaded.bills[0], &issuer()).unwrap().unwrap();
    let (theirs, now) = (document.clone(), w.clock.now());
    billing::issue(&mut first, &document, 1, "first", now).await.unwrap();
    let waiting = tokio::spawn(async move {
        let issued = billing::issue(&mut second, &theirs, 2, "second", now).await;
        second.rollback().await.unwrap();
        issued
    });
    first.commit().await.unwrap();
    let stopped = waiting.await.unwrap().unwrap_err();
    assert!(matches!(stopped, Stop::Retry { cause: Cause::LockConflict, .. }), "{stopped:?}");
    let serial: i32 = w.one("SELECT last_serial FROM app.invoice_counters").await;
    assert_eq!(serial, 1);
    assert_eq!(invoices(&w).await, "INV-202606-acme-0001 0 invoice issued 50000 5000 55000");
}

#[tokio::test]
async fn usage_that_is_being_recomputed_is_waited_for() {
    let w = world().await;
    let acme = tenant(&w, "acme").await;
    statistics(&w, acme, "2026-06-29", 7).await;
    statistics(&w, acme, "2026-07-01", 0).await;
    let seen = run(&w, "2026-06-15").await;
    assert_eq!(
        (w.tenant_seen(seen.id, acme).await.0.as_str(), invoices(&w).await.as_str()),
        ("waiting", "")
    );
    calls(&w, acme, "2026-06-29", 7).await;
    w.set_clock("2026-07-01T02:30:00+09:00");
    w.settle().await;
    assert_eq!(w.seen(seen.id).await.outcome(), "succeeded");
    let states: String =
        w.one("SELECT string_agg(state, ' ' ORDER BY usage_date) FROM app.usage_statistics").await;
    assert_eq!(states, "billed provisional", "only days of the month are billed");
}

/// A world that has billed June and stands on the 1st of August, before its own firing, with a complete July.
async fn august() -> (World, i64) {
    let w = world().await;
    let acme = tenant(&w, "acme").await;
    calls(&w, acme, "2026-06-01", 100_500).await; // one started thousand
    run(&w, "2026-06-15").await;
    usage(&w, acme, "2026-07-01").await;
    w.set_clock("2026-08-01T01:30:00+09:00");
    (w, acme)
}

#[tokio::test]
async fn a_month_half_as_high_again_is_held_and_a_first_one_is_not() {
    let (w, acme) = august().await;
    calls(&w, acme, "2026-07-05", 100_000 + 209_000).await; // 25,080 more: 75,080 against 50,120
    run(&w, "2026-07-15").await;
    assert_eq!(
        w.one::<i64>("SELECT count(*) FROM app.invoices WHERE held_at IS NOT NULL").await,
        0
    );

    let (w, acme) = august().await;
    calls(&w, acme, "2026-07-05", 100_000 + 210_000).await; // 25,200 more: 75,200
    let seen = run(&w, "2026-07-15").await;
    assert_eq!((seen.count("invoices"), seen.count("held")), (1, 1));
    let held: String = w.one("SELECT string_agg(number || ' ' || held_reason, ',') FROM app.invoices WHERE held_at IS NOT NULL").await;
    assert_eq!(
        held,
        "INV-202607-acme-0001 total 82720 differs by more than 50% from 55132 of 2026-06 (+50%)"
    );
}

async fn decide(w: &World, agree: bool) -> Result<(), EngineError> {
    let act = Act { actor: "tester".to_owned(), reason: "campaign".to_owned() };
    let (number, at) = ("INV-202607-acme-0001", w.clock.now());
    billing::decide(&w.pool, &w.engine.registry, number, agree, &act, at).await
}

#[tokio::test]
async fn a_held_invoice_is_released_once_and_on_the_record() {
    let (w, acme) = august().await;
    assert!(decide(&w, true).await.is_err());
    calls(&w, acme, "2026-07-05", 900_000).await;
    run(&w, "2026-07-15").await;
    decide(&w, true).await.unwrap();
    let again = decide(&w, true).await.unwrap_err().to_string();
    assert!(again.starts_with("no held invoice 'INV-202607-acme-0001'"), "{again}");
    assert!(decide(&w, false).await.is_err(), "too late to reject");
    let events: String = w
        .one(
            "SELECT string_agg(concat_ws(':', event, actor, reason), ' ' ORDER BY event_id)
               FROM app.invoice_events JOIN app.invoices USING (tenant_id, invoice_id)
              WHERE held_at IS NOT NULL AND event = 'released' AND released_by = 'tester' AND state = 'issued'",
        )
        .await;
    assert_eq!(events, "released:tester:campaign");
}

#[tokio::test]
async fn a_rejected_invoice_is_void_its_corrections_open_and_only_force_bills_again() {
    let (w, acme) = august().await;
    correction(&w, acme, "2026-06-03", 1, 1_000).await;
    calls(&w, acme, "2026-07-05", 900_000).await;
    run(&w, "2026-07-15").await;
    let blocked = recalculate(&w, "2026-07-15", acme).await;
    assert_eq!(
        w.tenant_seen(blocked.id, acme).await.1.unwrap(),
        "invoice INV-202607-acme-0001 is held: approve or reject it first"
    );
    let open = "SELECT count(*) FROM app.usage_corrections WHERE settled_by_invoice IS NULL";
    assert_eq!(w.one::<i64>(open).await, 0);
    decide(&w, false).await.unwrap();
    assert_eq!(w.one::<i64>(open).await, 1);

    let plain = run(&w, "2026-07-15").await;
    assert_eq!((plain.count("reused"), plain.count("invoices")), (1, 0));
    calls(&w, acme, "2026-07-05", 90_000).await;
    let forced = recalculate(&w, "2026-07-15", acme).await;
    assert_eq!(
        (forced.outcome(), forced.count("invoices"), forced.count("corrections")),
        ("succeeded", 1, 1)
    );
    let (_, july) =
        invoices(&w).await.split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!(
        july,
        "INV-202607-acme-0001 0 invoice void 146120 14612 160732\n\
         INV-202607-acme-0002 1 invoice issued 50120 5012 55132"
    );
}

#[tokio::test]
async fn days_of_a_rejected_invoice_can_change_again_but_for_those_of_others_or_with_a_correction()
{
    let (w, acme) = august().await;
    let bolt = tenant(&w, "bolt").await;
    for (who, date, calls) in [
        (acme, "2026-06-01", 100_500),
        (acme, "2026-07-05", 900_000),
        (acme, "2026-07-06", 0),
        (acme, "2026-07-07", 0),
        (bolt, "2026-07-05", 0),
    ] {
        statistics(&w, who, date, calls).await;
    }
    // July is billed by heads, too, of a contract of its own: that binds no usage
    w.sql(&format!(
        "UPDATE app.usage_statistics SET state = 'billed' WHERE usage_date < '2026-07-01' OR tenant_id = {bolt};
         INSERT INTO app.contracts (tenant_id, contract_id, starts_on, billing_engine)
         VALUES ({acme}, 9001, '2026-01-01', 'skillsheet');
         INSERT INTO app.invoices (tenant_id, contract_id, period_start, period_end, number, state, currency, subtotal,
                tax, total, usage_digest, snapshot, run_id)
         VALUES ({acme}, 9001, '2026-07-01', '2026-08-01', 'HEADS', 'issued', 'JPY', 0, 0, 0, '',
                '{{\"proration\": \"daily\"}}', 0)"
    ))
    .await;
    calls(&w, acme, "2026-07-05", 900_000).await;
    run(&w, "2026-07-15").await;
    correction(&w, acme, "2026-07-07", 1, 5).await;
    let states =
        "SELECT string_agg(concat_ws(' ', tenant_id, to_char(usage_date, 'MM-DD'), state), ', '
                                    ORDER BY tenant_id, usage_date) FROM app.usage_statistics";
    let bound = format!(
        "{acme} 06-01 billed, {acme} 07-05 billed, {acme} 07-06 billed, {acme} 07-07 billed, {bolt} 07-05 billed"
    );
    assert_eq!(w.one::<String>(states).await, bound);
    decide(&w, false).await.unwrap();
    let freed =
        bound.replace("07-05 billed, ", "07-05 final, ").replace("07-06 billed", "07-06 final");
    assert_eq!(w.one::<String>(states).await, freed);
}

#[tokio::test]
async fn days_of_a_rejected_invoice_stay_bound_where_another_contracts_invoice_covers_them() {
    let (w, acme) = august().await;
    for (date, calls) in [("2026-07-05", 900_000), ("2026-07-20", 0)] {
        statistics(&w, acme, date, calls).await;
    }
    w.sql(&format!(
        "UPDATE app.contracts SET ends_on = '2026-07-14' WHERE tenant_id = {acme};
         INSERT INTO app.contracts (tenant_id, contract_id, starts_on) VALUES ({acme}, 9000, '2026-07-15');
         INSERT INTO app.contract_plans VALUES ({acme}, 9000, '2026-07-15', 'standard')"
    ))
    .await;
    calls(&w, acme, "2026-07-05", 900_000).await;
    let seen = run(&w, "2026-07-15").await;
    assert_eq!((seen.count("invoices"), seen.count("held")), (2, 1));
    decide(&w, false).await.unwrap();
    let states = "SELECT string_agg(state, ' ' ORDER BY usage_date) FROM app.usage_statistics";
    assert_eq!(w.one::<String>(states).await, "final billed");
}

#[tokio::test]
async fn a_month_waits_while_a_held_invoice_settles_its_corrections_and_none_is_lost() {
    let (w, acme) = august().await;
    correction(&w, acme, "2026-06-03", 1, 1_000).await; // the second started thousand
    calls(&w, acme, "2026-07-05", 900_000).await;
    assert_eq!(run(&w, "2026-07-15").await.count("held"), 1);
    w.sql(&format!(
        "INSERT INTO app.discounts (tenant_id, kind, items, value, description, valid_from)
         VALUES ({acme}, 'fixed_amount', '{{}}', 5000, '導入支援', '2026-01-01')"
    ))
    .await;
    let blocked = recalculate(&w, "2026-06-15", acme).await;
    let why = "invoice INV-202607-acme-0001, which settles corrections of these days, is held: approve or reject it \
               first";
    assert_eq!(w.tenant_seen(blocked.id, acme).await, ("blocked".to_owned(), Some(why.to_owned())));

    decide(&w, false).await.unwrap();
    recalculate(&w, "2026-06-15", acme).await;
    assert_eq!(lines(&w, "INV-202606-acme-0002").await, "api 120, discount -5000");
    calls(&w, acme, "2026-07-05", 0).await;
    recalculate(&w, "2026-07-15", acme).await;
    assert_eq!(lines(&w, "INV-202607-acme-0002").await, "base 50000, discount -5000");
}

#[tokio::test]
async fn a_correction_is_settled_once_as_a_line_of_the_next_invoice() {
    let (w, acme) = august().await;
    let bolt = tenant(&w, "bolt").await;
    correction(&w, acme, "2026-06-03", 1, 400).await; // 900 over: still one started thousand
    correction(&w, acme, "2026-06-04", 1, 700).await; // 1,600 over: two
    correction(&w, bolt, "2026-06-04", 1, 700).await; // the neighbour's, never billed
    usage(&w, bolt, "2026-07-01").await;
    let seen = run(&w, "2026-07-15").await;
    assert_eq!(lines(&w, "INV-202607-acme-0001").await, "base 50000, correction 120");
    assert_eq!(lines(&w, "INV-202607-bolt-0001").await, "base 50000");
    assert_eq!(seen.count("corrections"), 2);
    let settled: String = w
        .one(
            "SELECT string_agg(coalesce(number, 'open'), ' ' ORDER BY c.tenant_id, usage_date)
               FROM app.usage_corrections c
               LEFT JOIN app.invoices i ON (i.tenant_id, i.invoice_id) = (c.tenant_id, c.settled_by_invoice)",
        )
        .await;
    assert_eq!(settled, "INV-202607-acme-0001 INV-202607-acme-0001 open");

    // a month later another one of the same day is measured from there
    correction(&w, acme, "2026-06-04", 2, 500).await; // 2,100 over: three
    usage(&w, acme, "2026-08-01").await;
    w.set_clock("2026-09-01T01:30:00+09:00");
    run(&w, "2026-08-15").await;
    assert_eq!(lines(&w, "INV-202608-acme-0001").await, "base 50000, correction 120");
}

#[tokio::test]
async fn corrections_wait_while_a_held_invoice_settles_others_of_their_month() {
    let (w, acme) = august().await;
    correction(&w, acme, "2026-06-03", 1, 400).await; // 900 over: still one started thousand
    calls(&w, acme, "2026-07-05", 900_000).await;
    assert_eq!(run(&w, "2026-07-15").await.count("held"), 1);
    correction(&w, acme, "2026-06-04", 1, 200).await; // with the other one 1,100 over: two
    usage(&w, acme, "2026-08-01").await;
    w.set_clock("2026-09-01T07:00:00+09:00");
    let seen = run(&w, "2026-08-15").await;
    assert_eq!(lines(&w, "INV-202608-acme-0001").await, "base 50000");
    let said: String = w
        .one(&format!(
            "SELECT concat_ws(' ', metadata ->> 'month', message) FROM yakin.run_logs
              WHERE run_id = {} AND level = 'warn'",
            seen.id
        ))
        .await;
    assert!(said.starts_with("2026-06 ") && said.contains("INV-202607-acme-0001"), "{said}");

    decide(&w, false).await.unwrap();
    calls(&w, acme, "2026-07-05", 0).await;
    recalculate(&w, "2026-07-15", acme).await;
    assert_eq!(
        lines(&w, "INV-202607-acme-0002").await,
        "base 50000, correction 120",
        "both at once"
    );
}

#[tokio::test]
async fn force_recalc_makes_an_adjustment_for_the_difference_and_then_nothing() {
    let (w, acme) = august().await;
    let bolt = tenant(&w, "bolt").await;
    let all = w.run("BATCH-302", Some("2026-06-15"), &[("force_recalc", "true")]).await;
    assert_eq!(all.outcome(), "failed");
    assert!(all.reason.unwrap().ends_with("name exactly one tenant"));

    let same = recalculate(&w, "2026-06-15", acme).await;
    assert_eq!((same.outcome(), same.count("adjustments"), same.rows_written), ("succeeded", 0, 0));

    w.sql(&format!(
        "INSERT INTO app.discounts (tenant_id, kind, items, value, description, valid_from)
         VALUES ({acme}, 'fixed_amount', '{{}}', 5000, '導入支援', '2026-01-01')"
    ))
    .await;
    correction(&w, acme, "2026-06-03", 1, 1_000).await; // the second started thousand
    let seen = recalculate(&w, "2026-06-15", acme).await;
    assert_eq!((seen.count("adjustments"), seen.count("corrections")), (1, 1));
    assert_eq!(
        invoices(&w).await,
        "INV-202606-acme-0001 0 invoice issued 50120 5012 55132\n\
         INV-202606-acme-0002 1 adjustment issued -4880 -488 -5368"
    );
    assert_eq!(lines(&w, "INV-202606-acme-0002").await, "api 120, discount -5000");
    let again = recalculate(&w, "2026-06-15", acme).await;
    assert_eq!((again.count("adjustments"), again.rows_written), (0, 0));
    let settled: i64 = w
        .one("SELECT count(*) FROM app.usage_corrections WHERE settled_by_invoice IS NOT NULL")
        .await;
    assert_eq!(settled, 1, "by the adjustment, so July does not settle it again");
    run(&w, "2026-07-15").await;
    assert_eq!(lines(&w, "INV-202607-acme-0001").await, "base 50000, discount -5000");
    assert_eq!(
        w.one::<i64>(&format!("SELECT count(*) FROM app.invoices WHERE tenant_id = {bolt}")).await,
        0
    );
}

#[tokio::test]
async fn corrections_settled_elsewhere_are_not_charged_again_by_an_adjustment() {
    let (w, acme) = august().await;
    correction(&w, acme, "2026-06-03", 1, 1_000).await;
    run(&w, "2026-07-15").await;
    assert_eq!(lines(&w, "INV-202607-acme-0001").await, "base 50000, correction 120");
    assert_eq!(recalculate(&w, "2026-06-15", acme).await.rows_written, 0);
    correction(&w, acme, "2026-06-03", 2, 1_000).await;
    recalculate(&w, "2026-06-15", acme).await;
    assert_eq!(lines(&w, "INV-202606-acme-0002").await, "api 120");
    assert_eq!(recalculate(&w, "2026-06-15", acme).await.rows_written, 0);
}

#[tokio::test]
async fn a_hundred_tenants_get_a_hundred_invoices_and_one_failing_leaves_the_others_done() {
    let w = world().await;
    let mut ids = Vec::new();
    for n in 0..100 {
        ids.push(tenant(&w, &format!("t{n:03}")).await);
    }
    w.sql(&format!(
        "UPDATE app.contract_plans SET plan_code = 'gold' WHERE tenant_id = {}",
        ids[41]
    ))
    .await;
    let seen = run(&w, "2026-06-15").await;
    assert_eq!((seen.outcome(), seen.tenants_done, seen.tenants_blocked), ("partial", 99, 1));
    let control: String = w
        .one(&format!(
            "SELECT concat_ws(' ', count(*), count(DISTINCT number), count(DISTINCT tenant_id), sum(total),
                    (SELECT amount_yen FROM yakin.runs WHERE id = {})) FROM app.invoices",
            seen.id
        ))
        .await;
    assert_eq!(control, "99 99 99 5445000 5445000");
}
