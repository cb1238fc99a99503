//! REALTIME_001: each due time of a standing offer comes to one thing, once; the next time is set with it; whom it names
//! is what the company said, and what is wrong with one offer stops no other.

use crate::common::Post;
use yakin_engine::operate::runs::{Wanted, start};
use yakin_engine::worker::pool::work_until_empty;
use yakin_testkit::Seen;

/// Monday the 2nd of November 2026, 09:00 in Tokyo.
const MONDAY: &str = "2026-11-02T09:00:00+09:00";

/// Looks are the tests' own: the planner fires none.
async fn world() -> Post {
    let post = Post::new(MONDAY, &["REALTIME_001"], &[], &[]).await;
    post.sql("UPDATE yakin.batches SET enabled = false").await;
    post
}

/// A company with three free engineers who know Java at levels 4, 3 and 2.
async fn company(post: &Post, code: &str) -> i64 {
    let tenant = post.client(code).await;
    post.sql(&format!(
        "INSERT INTO app.skills (skill_id, name) VALUES (1, 'Java'), (2, 'SQL') ON CONFLICT DO NOTHING;
         INSERT INTO app.engineers (tenant_id, engineer_id, name, status, joined_on)
         SELECT {tenant}, {tenant} * 100 + n, 'エンジニア' || n, 'waiting', '2020-01-01' FROM generate_series(1, 3) AS n;
         INSERT INTO app.engineer_skills SELECT {tenant}, {tenant} * 100 + n, 1, 5 - n FROM generate_series(1, 3) AS n"
    ))
    .await;
    tenant
}

/// A standing offer of Java engineers to one recipient; `when` is its rhythm's columns and values.
async fn approach(post: &Post, tenant: i64, next: &str, when: &str) -> i64 {
    let (columns, values) = when.split_once(" = ").unwrap();
    post.one(&format!(
        "INSERT INTO app.approaches (tenant_id, name, criteria, recipients, next_delivery_at, created_at, at_time,
                                     {columns})
         VALUES ({tenant}, 'Java', '{{\"skills\": [{{\"name\": \"Java\"}}]}}', '{{buyer@client.example}}', '{next}',
                 '2026-10-01', '09:00', {values})
         RETURNING approach_id"
    ))
    .await
}

const WEEKLY: &str = "rhythm, weekday = 'weekly', 1";
const DAILY: &str = "rhythm = 'daily'";
const MONTHLY: &str = "rhythm, month_day = 'monthly', 31";

async fn look(post: &Post) -> Seen {
    post.run("REALTIME_001", None, &[]).await
}

/// What the due times came to: Tokyo day and hour, state, engineers' last digits.
async fn came(post: &Post) -> String {
    post.one(
        "SELECT coalesce(string_agg(concat_ws(' ', to_char(due_at AT TIME ZONE 'Asia/Tokyo', 'MM-DD HH24'), state,
                    (SELECT string_agg(right(e ->> 'engineer_id', 1) || CASE WHEN (e ->> 'continued')::boolean
                            THEN 'c' ELSE '' END, '' ORDER BY n)
                       FROM jsonb_array_elements(engineers) WITH ORDINALITY AS said (e, n))), ', '
                  ORDER BY tenant_id, approach_id, due_at), '')
           FROM app.approach_deliveries",
    )
    .await
}

async fn next(post: &Post, approach: i64) -> String {
    post.one(&format!(
        "SELECT to_char(next_delivery_at AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM-DD HH24:MI') FROM app.approaches
          WHERE approach_id = {approach}"
    ))
    .await
}

async fn mails(post: &Post) -> i64 {
    post.one("SELECT count(*) FROM app.deliveries WHERE source = 'approach'").await
}

/// All that the batch may write, as one text.
async fn everything(post: &Post) -> String {
    post.one(
        "SELECT concat((SELECT string_agg(a::text, E'\\n' ORDER BY a) FROM app.approaches a),
                       (SELECT string_agg(d::text, E'\\n' ORDER BY d) FROM app.approach_deliveries d),
                       (SELECT string_agg(k::text, E'\\n' ORDER BY k) FROM app.delivery_keys k),
                       (SELECT string_agg(o::text, E'\\n' ORDER BY o) FROM app.deliveries o))",
    )
    .await
}

#[tokio::test]
async fn a_weekly_offer_goes_out_once_without_whom_the_company_excluded() {
    let post = world().await;
    let acme = company(&post, "acme").await;
    let id = approach(&post, acme, MONDAY, WEEKLY).await;
    post.sql(&format!(
        "INSERT INTO app.approach_exclusions VALUES ({acme}, {acme} * 100 + 2, '他社で選考中', '2026-10-01')"
    ))
    .await;
    let seen = look(&post).await;
    assert_eq!(
        (seen.outcome(), seen.count("offered"), seen.count("engineers")),
        ("succeeded", 1, 2)
    );
    assert_eq!((came(&post).await.as_str(), mails(&post).await), ("11-02 09 offered 13", 1));
    assert_eq!(next(&post, id).await, "2026-11-09 09:00");
    let mail: String = post
        .one("SELECT concat_ws('|', recipient, sender, channel, state, subject, expires_at = '2026-11-09T09:00+09:00') FROM app.deliveries")
        .await;
    assert_eq!(
        mail,
        "buyer@client.example|tenant|email|pending|【株式会社acme】Java エンジニアのご案内 2名|t"
    );
    let body: String = post.one("SELECT body FROM app.deliveries").await;
    assert!(body.contains("1. エンジニア1\n   スキル    Java 4\n   開始可能  即日"), "{body}");
    assert!(!body.contains("エンジニア2"), "{body}");

    // the same minute again, and the minutes until the next time: nothing
    let before = everything(&post).await;
    for at in ["2026-11-02T09:00:30+09:00", "2026-11-09T08:59:00+09:00"] {
        post.set_clock(at);
        let again = look(&post).await;
        assert_eq!((again.outcome(), again.tenants_total, again.rows_written), ("succeeded", 0, 0));
    }
    assert_eq!(everything(&post).await, before);
}

#[tokio::test]
async fn nobody_fits_no_mail_and_the_next_time_is_set_all_the_same() {
    let post = world().await;
    let acme = company(&post, "acme").await;
    post.set_clock("2026-01-31T09:00:00+09:00");
    let id = approach(&post, acme, "2026-01-31T09:00:00+09:00", MONTHLY).await;
    post.sql("UPDATE app.engineers SET status = 'working'").await;
    for (at, after) in [
        ("2026-01-31T09:00:00+09:00", "2026-02-28 09:00"),
        ("2026-02-28T09:00:00+09:00", "2026-03-31 09:00"),
        ("2026-03-31T09:00:00+09:00", "2026-04-30 09:00"),
    ] {
        post.set_clock(at);
        assert_eq!(look(&post).await.count("no_match"), 1);
        assert_eq!(next(&post, id).await, after);
    }
    let all = "01-31 09 no_match, 02-28 09 no_match, 03-31 09 no_match";
    assert_eq!((came(&post).await.as_str(), mails(&post).await), (all, 0));
}

#[tokio::test]
async fn after_three_daily_times_down_one_is_delivered_and_two_are_missed() {
    let post = world().await;
    let acme = company(&post, "acme").await;
    let id = approach(&post, acme, "2026-10-31T09:00:00+09:00", DAILY).await;
    post.set_clock("2026-11-02T13:30:00+09:00");
    let seen = look(&post).await;
    assert_eq!((seen.count("offered"), seen.count("missed"), mails(&post).await), (1, 2, 1));
    assert_eq!(came(&post).await, "10-31 09 missed, 11-01 09 missed, 11-02 09 offered 123");
    assert_eq!(next(&post, id).await, "2026-11-03 09:00");
}

#[tokio::test]
async fn the_minutes_own_firing_delivers() {
    let post = Post::new("2026-11-02T08:59:10+09:00", &["REALTIME_001"], &[], &[]).await;
    let acme = company(&post, "acme").await;
    approach(&post, acme, MONDAY, WEEKLY).await;
    post.settle().await;
    assert_eq!(mails(&post).await, 0);
    for at in [MONDAY, "2026-11-02T09:01:00+09:00"] {
        post.live(at).await;
        assert_eq!(mails(&post).await, 1);
    }
    let outcomes: String = post
        .one(
            "SELECT string_agg(concat_ws(' ', trigger, outcome, tenants_done), ', ' ORDER BY id) FROM yakin.runs",
        )
        .await;
    assert_eq!(outcomes, "firing succeeded 1, firing succeeded 0");
}

#[tokio::test]
async fn two_dispatchers_at_once_deliver_once_and_none_waits_for_the_other() {
    let post = world().await;
    let acme = company(&post, "acme").await;
    for _ in 0..20 {
        approach(&post, acme, MONDAY, WEEKLY).await;
    }
    // another dispatcher holds five of them
    let mut other = post.database.owner.begin().await.unwrap();
    sqlx::query("SELECT FROM app.approaches WHERE approach_id <= 5 FOR UPDATE")
        .execute(&mut *other)
        .await
        .unwrap();
    assert_eq!(look(&post).await.count("offered"), 15);
    other.rollback().await.unwrap();

    // two nodes, two runs, the rest
    let second = post.worker().await;
    let (registry, now) = (&post.engine.registry, post.clock.now());
    for _ in 0..2 {
        let (wanted, act) = (Wanted::default(), yakin_testkit::act());
        start(&post.pool, registry, "REALTIME_001", wanted, "operator", &act, now).await.unwrap();
    }
    let (one, two) = tokio::join!(work_until_empty(&post.engine), work_until_empty(&second));
    assert!(one.unwrap() + two.unwrap() >= 4, "two rosters and two tenants");
    post.settle().await;
    let facts: String = post
        .one("SELECT concat_ws(' ', count(*), count(DISTINCT approach_id), string_agg(DISTINCT state, ',')) FROM app.approach_deliveries")
        .await;
    assert_eq!((facts.as_str(), mails(&post).await), ("20 20 offered", 20));
}

#[tokio::test]
async fn what_breaks_between_two_writes_leaves_the_time_due_and_one_mail_goes_out() {
    let post = world().await;
    let acme = company(&post, "acme").await;
    let id = approach(&post, acme, MONDAY, WEEKLY).await;
    post.sql(
        "CREATE FUNCTION public.cut() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'cut' USING ERRCODE = '57P01'; END $$",
    )
    .await;
    let mut at = 0;
    for table in ["approach_deliveries", "approaches", "delivery_keys", "deliveries"] {
        post.sql(&format!(
            "CREATE TRIGGER cut AFTER INSERT OR UPDATE ON app.{table} FOR EACH ROW EXECUTE FUNCTION public.cut()"
        ))
        .await;
        let before = everything(&post).await;
        look(&post).await;
        assert_eq!(everything(&post).await, before, "{table}");
        assert_eq!(next(&post, id).await, "2026-11-02 09:00", "{table}");
        post.sql(&format!("DROP TRIGGER cut ON app.{table}")).await;
        at += 1;
        post.set_clock(&format!("2026-11-02T09:{at:02}:00+09:00"));
    }
    post.settle().await;
    assert_eq!((came(&post).await.as_str(), mails(&post).await), ("11-02 09 offered 123", 1));
}

#[tokio::test]
async fn a_companys_exclusions_people_and_offers_are_its_own() {
    let post = world().await;
    let (acme, bolt) = (company(&post, "acme").await, company(&post, "bolt").await);
    approach(&post, acme, MONDAY, WEEKLY).await;
    approach(&post, bolt, MONDAY, WEEKLY).await;
    post.sql(&format!(
        "INSERT INTO app.approach_exclusions SELECT {acme}, {acme} * 100 + n, NULL, '2026-10-01' FROM generate_series(1, 2) AS n"
    ))
    .await;
    look(&post).await;
    assert_eq!(came(&post).await, "11-02 09 offered 3, 11-02 09 offered 123");
    let theirs: bool = post
        .one("SELECT bool_and(body LIKE '%株式会社' || code || '%') FROM app.deliveries JOIN app.tenants USING (tenant_id)")
        .await;
    assert!(theirs);
}

#[tokio::test]
async fn a_dry_run_lists_whom_it_would_offer_and_writes_nothing() {
    let post = world().await;
    let acme = company(&post, "acme").await;
    approach(&post, acme, "2026-10-26T09:00:00+09:00", WEEKLY).await;
    let before = everything(&post).await;
    let seen = post.dry_run("REALTIME_001", None, &[]).await;
    assert_eq!((seen.outcome(), seen.count("offered"), seen.count("missed")), ("succeeded", 1, 1));
    assert_eq!(everything(&post).await, before);
    let plan = seen.plan.unwrap().to_string();
    let expected = format!("[{},{},{}]", acme * 100 + 1, acme * 100 + 2, acme * 100 + 3);
    assert!(plan.contains(&expected), "{plan}");
}

#[tokio::test]
async fn a_wrong_offer_is_paused_after_three_failures_its_owner_told_and_the_others_go_on() {
    let post = world().await;
    let acme = company(&post, "acme").await;
    let wrong = approach(&post, acme, MONDAY, DAILY).await;
    let nobody = approach(&post, acme, MONDAY, DAILY).await;
    let good = approach(&post, acme, MONDAY, DAILY).await;
    post.sql(&format!(
        "UPDATE app.approaches SET criteria = '{{\"skills\": [{{\"name\": \"Cobol\"}}]}}' WHERE approach_id = {wrong};
         UPDATE app.approaches SET recipients = '{{}}' WHERE approach_id = {nobody}"
    ))
    .await;
    for day in 2..=4 {
        post.set_clock(&format!("2026-11-0{day}T09:00:00+09:00"));
        let seen = look(&post).await;
        let counts = (seen.count("offered"), seen.count("failed"), seen.count("paused"));
        assert_eq!(counts, (1, 2, if day == 4 { 2 } else { 0 }));
    }
    let standing = |id: i64| {
        format!(
            "SELECT concat_ws('|', failures, paused_at IS NOT NULL, paused_reason) FROM app.approaches WHERE approach_id = {id}"
        )
    };
    assert_eq!(
        post.one::<String>(&standing(wrong)).await,
        "3|t|criteria: skill 'Cobol' is unknown"
    );
    assert_eq!(post.one::<String>(&standing(nobody)).await, "3|t|recipients: there is none");
    assert_eq!(post.one::<String>(&standing(good)).await, "0|f");
    let told: String = post
        .one(
            "SELECT string_agg(recipient || ' ' || subject, ', ' ORDER BY delivery_id) FROM app.deliveries
              WHERE recipient LIKE 'admin%'",
        )
        .await;
    let said = "admin@acme.example 【株式会社acme】定期アプローチ「Java」を休止しました";
    assert_eq!(told, format!("{said}, {said}"));

    post.set_clock("2026-11-05T09:00:00+09:00");
    let seen = look(&post).await;
    assert_eq!((seen.count("offered"), seen.count("failed")), (1, 0));
    let reports: String =
        post.one(&format!("SELECT reports::text FROM yakin.runs WHERE id = {}", seen.id)).await;
    assert!(reports.contains("2 approaches are paused after failures"), "{reports}");
}

#[tokio::test]
async fn a_success_forgets_failures_and_a_mended_offer_goes_on() {
    let post = world().await;
    let acme = company(&post, "acme").await;
    let id = approach(&post, acme, MONDAY, DAILY).await;
    let criteria = |json: &str| format!("UPDATE app.approaches SET criteria = '{json}'");
    post.sql(&criteria("{\"statuses\": [\"working\"]}")).await;
    for day in 2..=3 {
        post.set_clock(&format!("2026-11-0{day}T09:00:00+09:00"));
        look(&post).await;
    }
    post.sql(&criteria("{}")).await;
    post.set_clock("2026-11-04T09:00:00+09:00");
    assert_eq!(look(&post).await.count("offered"), 1);
    let failures: i32 =
        post.one(&format!("SELECT failures FROM app.approaches WHERE approach_id = {id}")).await;
    assert_eq!(failures, 0);
}

#[tokio::test]
async fn who_is_offered_follows_the_criteria_and_who_said_no_is_left_out() {
    let post = world().await;
    let acme = company(&post, "acme").await;
    let id = approach(&post, acme, MONDAY, DAILY).await;
    post.sql(&format!(
        "INSERT INTO app.engineers (tenant_id, engineer_id, name, status, joined_on)
         SELECT {acme}, {acme} * 100 + n, 'エンジニア' || n, CASE n WHEN 4 THEN 'working' WHEN 5 THEN 'retired'
                ELSE 'waiting_soon' END, '2020-01-01' FROM generate_series(4, 9) AS n;
         INSERT INTO app.engineers (tenant_id, engineer_id, name, status, status_locked, deleted_at, joined_on)
         VALUES ({acme}, {acme} * 100 + 10, '固定', 'waiting', true, NULL, '2020-01-01'),
                ({acme}, {acme} * 100 + 11, '削除', 'waiting', false, '2026-10-01', '2020-01-01');
         INSERT INTO app.engineer_skills SELECT {acme}, {acme} * 100 + n, 1, 1 FROM generate_series(4, 11) AS n;
         INSERT INTO app.engineer_terms (tenant_id, engineer_id, area, monthly_rate, available_on, withheld, opted_out_at)
         VALUES ({acme}, {acme} * 100 + 1, '東京', 800000, NULL, false, NULL),
                ({acme}, {acme} * 100 + 2, '東京', 700000, '2026-11-20', false, NULL),
                ({acme}, {acme} * 100 + 3, '大阪', 600000, NULL, false, NULL),
                ({acme}, {acme} * 100 + 6, '東京', 500000, '2026-12-15', false, NULL),
                ({acme}, {acme} * 100 + 7, '東京', 500000, NULL, true, NULL),
                ({acme}, {acme} * 100 + 8, '東京', 500000, NULL, false, '2026-10-01')"
    ))
    .await;
    for (day, criteria, expected) in [
        // working and retired, withheld, opted out, locked and deleted never; without a known day last
        (2, "{}", "13269"),
        (3, "{\"areas\": [\"東京\"]}", "126"),
        (4, "{\"max_monthly_rate\": 700000}", "326"),
        (5, "{\"start_within_days\": 20}", "132"),
        (6, "{\"statuses\": [\"waiting_soon\"]}", "69"),
        (7, "{\"skills\": [{\"name\": \"Java\", \"level\": 3}]}", "12"),
        (8, "{\"skills\": [{\"name\": \"Java\"}, {\"name\": \"SQL\"}]}", ""),
    ] {
        post.sql(&format!(
            "DELETE FROM app.approach_deliveries; UPDATE app.approaches SET criteria = '{criteria}'"
        ))
        .await;
        post.set_clock(&format!("2026-11-0{day}T09:00:00+09:00"));
        look(&post).await;
        let offered: String = post
            .one(
                "SELECT coalesce(string_agg(right(e ->> 'engineer_id', 1), '' ORDER BY n), '')
                   FROM app.approach_deliveries, jsonb_array_elements(engineers) WITH ORDINALITY AS said (e, n)",
            )
            .await;
        assert_eq!(offered, expected, "{criteria}");
    }
    assert_eq!(next(&post, id).await, "2026-11-09 09:00");
}

#[tokio::test]
async fn what_was_offered_unchanged_last_time_comes_after_the_new_and_is_marked() {
    let post = world().await;
    let acme = company(&post, "acme").await;
    approach(&post, acme, MONDAY, WEEKLY).await;
    look(&post).await;
    post.sql(&format!(
        "UPDATE app.engineer_skills SET level = 3 WHERE engineer_id = {acme} * 100 + 3;
         INSERT INTO app.engineers (tenant_id, engineer_id, name, status, joined_on)
         VALUES ({acme}, {acme} * 100 + 4, '新人', 'waiting', '2026-11-01');
         INSERT INTO app.engineer_skills VALUES ({acme}, {acme} * 100 + 4, 1, 1)"
    ))
    .await;
    post.set_clock("2026-11-09T09:00:00+09:00");
    look(&post).await;
    assert_eq!(came(&post).await, "11-02 09 offered 123, 11-09 09 offered 341c2c");
    let body: String =
        post.one("SELECT body FROM app.deliveries ORDER BY delivery_id DESC LIMIT 1").await;
    assert!(body.contains("3. エンジニア1（継続）"), "{body}");
    // two weeks later, after a time without anybody, it is new again
    post.sql("UPDATE app.engineers SET status = 'working'").await;
    post.set_clock("2026-11-16T09:00:00+09:00");
    look(&post).await;
    post.sql("UPDATE app.engineers SET status = 'waiting'").await;
    post.set_clock("2026-11-23T09:00:00+09:00");
    look(&post).await;
    assert!(
        came(&post).await.ends_with("11-16 09 no_match, 11-23 09 offered 1234"),
        "{}",
        came(&post).await
    );
}

#[tokio::test]
async fn one_mail_names_twenty_and_each_recipient_gets_his_own() {
    let post = world().await;
    let acme = company(&post, "acme").await;
    approach(&post, acme, MONDAY, WEEKLY).await;
    post.sql(&format!(
        "INSERT INTO app.engineers (tenant_id, engineer_id, name, status, joined_on)
         SELECT {acme}, 90000 + n, '多数' || n, 'waiting', '2020-01-01' FROM generate_series(1, 30) AS n;
         INSERT INTO app.engineer_skills SELECT {acme}, 90000 + n, 1, 1 FROM generate_series(1, 30) AS n;
         UPDATE app.approaches SET recipients = '{{a@client.example,b@client.example}}', language = 'en'"
    ))
    .await;
    let seen = look(&post).await;
    assert_eq!((seen.count("engineers"), seen.count("mails")), (20, 2));
    let subject: String = post.one("SELECT DISTINCT subject FROM app.deliveries").await;
    assert_eq!(subject, "[株式会社acme] Java: 20 engineers available");
}

#[tokio::test]
async fn a_suspended_companys_offers_wait_and_an_inactive_one_is_not_due() {
    let post = world().await;
    let (acme, bolt) = (company(&post, "acme").await, company(&post, "bolt").await);
    let id = approach(&post, acme, "2026-10-26T09:00:00+09:00", WEEKLY).await;
    approach(&post, bolt, MONDAY, WEEKLY).await;
    post.sql(&format!(
        "UPDATE app.tenants SET status = 'suspended' WHERE tenant_id = {acme};
         UPDATE app.approaches SET active = false WHERE tenant_id = {bolt}"
    ))
    .await;
    assert_eq!(look(&post).await.tenants_total, 0);
    post.sql("UPDATE app.tenants SET status = 'active'").await;
    look(&post).await;
    assert_eq!(came(&post).await, "10-26 09 missed, 11-02 09 offered 123");
    assert_eq!(next(&post, id).await, "2026-11-09 09:00");
}

#[tokio::test]
async fn a_look_takes_so_many_and_tells_of_what_waits_too_long() {
    let post = world().await;
    let acme = company(&post, "acme").await;
    for _ in 0..5 {
        approach(&post, acme, MONDAY, WEEKLY).await;
    }
    let last = approach(&post, acme, "2026-11-02T09:01:00+09:00", WEEKLY).await;
    post.set_clock("2026-11-02T10:05:00+09:00");
    let seen = post.run("REALTIME_001", None, &[("max_per_run", "2")]).await;
    assert_eq!(seen.count("offered"), 2);
    let reports: String =
        post.one(&format!("SELECT reports::text FROM yakin.runs WHERE id = {}", seen.id)).await;
    assert!(reports.contains("4 approaches are due for over 60 minutes"), "{reports}");
    let named = last.to_string();
    post.run("REALTIME_001", None, &[("approach_id", &named)]).await;
    assert_eq!(next(&post, last).await, "2026-11-09 09:00");
    look(&post).await;
    assert_eq!(mails(&post).await, 6);
}
