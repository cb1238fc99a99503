//! DAILY_001: each engineer's state follows from his assignments, whatever it was before; nobody's is guessed.

use crate::common::{Post, batches};
use serde_json::{Value, json};
use yakin_engine::operate::runs::{Again, Wanted, rerun};
use yakin_testkit::stand_in::smtp::{SmtpStandIn, Tls};
use yakin_testkit::{Seen, World, act, day};

const ID: &str = "DAILY_001";
const DAY: &str = "2025-06-01";
const NIGHT: &str = "2025-06-01T02:00:00+09:00";

/// A world in which only tests start runs.
async fn world() -> World {
    let w = World::at(NIGHT, batches(&[ID])).await;
    w.sql("UPDATE yakin.batches SET enabled = false").await;
    w
}

/// A tenant with a project and somebody in sales.
async fn company(w: &World, code: &str) -> i64 {
    let tenant = w.tenant(code).await;
    w.sql(&format!(
        "INSERT INTO app.projects (tenant_id, project_id, name, starts_on) VALUES ({tenant}, 1, '案件', '2024-01-01');
         INSERT INTO app.users (tenant_id, email, name, role, created_at)
         VALUES ({tenant}, 'sales@{code}.example', '営業 {code}', 'sales', '2024-01-01')"
    ))
    .await;
    tenant
}

/// An engineer in a state; returns his number.
async fn engineer(w: &World, tenant: i64, name: &str, status: &str) -> i64 {
    w.one(&format!(
        "INSERT INTO app.engineers (tenant_id, name, status, joined_on)
         VALUES ({tenant}, '{name}', '{status}', '2020-01-01') RETURNING engineer_id"
    ))
    .await
}

/// Gives him an assignment: start, planned end, actual end, confirmed.
async fn assign(w: &World, engineer: i64, starts: &str, planned: &str, actual: &str, sure: bool) {
    w.sql(&format!(
        "INSERT INTO app.assignments (tenant_id, engineer_id, project_id, starts_on, planned_end_on, actual_end_on,
                                      confirmed)
         SELECT tenant_id, engineer_id, 1, '{starts}', nullif('{planned}', '')::date, nullif('{actual}', '')::date, {sure}
           FROM app.engineers WHERE engineer_id = {engineer}"
    ))
    .await;
}

/// Someone in this state whose only assignment ends on that day.
async fn ending(w: &World, tenant: i64, name: &str, status: &str, planned_end: &str) {
    let id = engineer(w, tenant, name, status).await;
    assign(w, id, "2025-01-01", planned_end, "", true).await;
}

async fn judge(w: &World) -> Seen {
    w.run(ID, Some(DAY), &[]).await
}

/// The states of a tenant's engineers by their names.
async fn states(w: &World, tenant: i64) -> Value {
    w.one(&format!(
        "SELECT coalesce(jsonb_object_agg(name, status), '{{}}') FROM app.engineers WHERE tenant_id = {tenant}"
    ))
    .await
}

/// All that the batch may write, as one text.
async fn everything(w: &World) -> String {
    w.one(
        "SELECT concat((SELECT string_agg(e::text, E'\\n' ORDER BY e) FROM app.engineers e),
                       (SELECT string_agg(h::text, E'\\n' ORDER BY h) FROM app.engineer_status_history h),
                       (SELECT string_agg(n::text, E'\\n' ORDER BY n) FROM app.notifications n))",
    )
    .await
}

async fn history(w: &World) -> Value {
    w.one(
        "SELECT coalesce(jsonb_agg(jsonb_build_array(name, from_status, to_status, reason, ends_on) ORDER BY name), '[]')
           FROM app.engineer_status_history JOIN app.engineers USING (tenant_id, engineer_id)",
    )
    .await
}

async fn warned(w: &World, run: i64, message: &str) -> Value {
    w.one(&format!(
        "SELECT coalesce((SELECT metadata FROM yakin.run_logs WHERE run_id = {run} AND message LIKE '{message}%'), 'null')"
    ))
    .await
}

#[tokio::test]
async fn the_last_day_decides() {
    let w = world().await;
    let a = company(&w, "alpha").await;
    for (name, end) in [
        ("over", "2025-05-31"),
        ("last day", "2025-06-01"),
        ("in 90 days", "2025-08-30"),
        ("in 91 days", "2025-08-31"),
        ("open", ""),
    ] {
        ending(&w, a, name, "working", end).await;
    }
    engineer(&w, a, "nothing", "working").await;
    let run = judge(&w).await;
    assert_eq!(run.outcome(), "succeeded");
    let expected = json!({"over": "waiting", "last day": "waiting_soon", "in 90 days": "waiting_soon",
                          "in 91 days": "working", "open": "working", "nothing": "waiting"});
    assert_eq!(states(&w, a).await, expected);
    let of = ["judged", "to_waiting", "to_waiting_soon", "to_working", "without_end"];
    assert_eq!(of.map(|name| run.count(name)), [6, 2, 2, 0, 1]);
    assert_eq!(
        history(&w).await,
        json!([
            ["in 90 days", "working", "waiting_soon", "ends_soon", "2025-08-30"],
            ["last day", "working", "waiting_soon", "ends_soon", "2025-06-01"],
            ["nothing", "working", "waiting", "no_assignment", null],
            ["over", "working", "waiting", "no_assignment", null],
        ])
    );
    let endless = warned(&w, run.id, "assignments without an end").await;
    assert_eq!(endless["engineers"], 1);
}

#[tokio::test]
async fn there_is_a_way_back_and_follow_ons_go_on() {
    let w = world().await;
    let a = company(&w, "alpha").await;
    ending(&w, a, "extended", "waiting_soon", "2025-12-31").await;
    ending(&w, a, "new assignment", "waiting", "2025-12-31").await;
    for (name, first, next, sure) in [
        ("soon after", ("2025-06-10", ""), ("2025-06-15", "2026-03-31"), true),
        ("on the last day of the gap", ("2025-06-10", ""), ("2025-06-17", "2026-03-31"), true),
        ("too late after", ("2025-06-10", ""), ("2025-06-20", "2026-03-31"), true),
        ("not sure", ("2025-06-10", ""), ("2025-06-15", "2026-03-31"), false),
        ("begun though not sure", ("2025-05-10", ""), ("2025-05-15", "2026-03-31"), false),
        ("between two", ("2025-05-30", ""), ("2025-06-04", "2026-03-31"), true),
        ("side by side", ("2025-06-10", ""), ("2025-05-01", "2026-03-31"), true),
        ("left early", ("2026-03-31", "2025-05-31"), ("2024-01-01", "2024-02-01"), true),
        ("stayed longer", ("2025-05-01", "2026-03-31"), ("2024-01-01", "2024-02-01"), true),
        ("endless after", ("2025-06-10", ""), ("2025-06-11", ""), true),
    ] {
        let id = engineer(&w, a, name, "waiting_soon").await;
        assign(&w, id, "2025-01-01", first.0, first.1, true).await;
        assign(&w, id, next.0, next.1, "", sure).await;
    }
    w.sql("UPDATE app.engineers SET status = 'waiting' WHERE name = 'too late after'").await;
    for n in 0..30 {
        ending(&w, a, &format!("settled {n:02}"), "working", "2026-01-01").await;
    }
    assert_eq!(judge(&w).await.outcome(), "succeeded");
    let mut seen = states(&w, a).await;
    seen.as_object_mut().unwrap().retain(|name, _| !name.starts_with("settled"));
    let expected = json!({
        "extended": "working", "new assignment": "working", "soon after": "working",
        "on the last day of the gap": "working", "too late after": "waiting_soon", "not sure": "waiting_soon",
        "begun though not sure": "working", "between two": "working", "side by side": "working",
        "left early": "waiting", "stayed longer": "working", "endless after": "working",
    });
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_run_may_take_other_days_for_soon_and_for_a_gap() {
    let w = world().await;
    let a = company(&w, "alpha").await;
    ending(&w, a, "in 30 days", "working", "2025-07-01").await;
    ending(&w, a, "in 31 days", "working", "2025-07-02").await;
    let id = engineer(&w, a, "nine days between", "working").await;
    assign(&w, id, "2025-01-01", "2025-06-10", "", true).await;
    assign(&w, id, "2025-06-19", "2026-01-01", "", true).await;
    let run = w.run(ID, Some(DAY), &[("soon_days", "30"), ("gap_days", "9")]).await;
    assert_eq!(run.outcome(), "succeeded");
    let expected = json!({"in 30 days": "waiting_soon", "in 31 days": "working", "nine days between": "working"});
    assert_eq!(states(&w, a).await, expected);
}

#[tokio::test]
async fn what_people_decided_stays() {
    let w = world().await;
    let a = company(&w, "alpha").await;
    for (name, status) in [
        ("locked", "working"),
        ("leave", "on_leave"),
        ("retired", "retired"),
        ("deleted", "working"),
    ] {
        engineer(&w, a, name, status).await;
    }
    w.sql(
        "UPDATE app.engineers SET status_locked = true WHERE name = 'locked';
         UPDATE app.engineers SET deleted_at = '2025-01-01' WHERE name = 'deleted'",
    )
    .await;
    let before = everything(&w).await;
    let run = judge(&w).await;
    assert_eq!((run.outcome(), run.count("judged"), run.rows_written), ("succeeded", 0, 0));
    assert_eq!(everything(&w).await, before);
}

#[tokio::test]
async fn a_second_run_changes_nothing_and_no_hour_of_the_day_does() {
    let w = world().await;
    let a = company(&w, "alpha").await;
    w.set_clock("2025-06-01T00:30:00+09:00");
    for (name, end) in [("over", "2025-05-31"), ("today", "2025-06-01"), ("far", "2026-01-01")] {
        ending(&w, a, name, "working", end).await;
    }
    let first = w.run(ID, None, &[]).await;
    assert_eq!((first.outcome(), first.rows_written), ("succeeded", 5));
    let before = everything(&w).await;
    for at in ["2025-06-01T02:00:00+09:00", "2025-06-01T23:30:00+09:00"] {
        w.set_clock(at);
        let again = w.run(ID, None, &[]).await;
        assert_eq!((again.outcome(), again.rows_written), ("succeeded", 0));
        let reused = format!(
            "SELECT reused FROM yakin.run_tenants WHERE (run_id, tenant_id) = ({}, {a})",
            again.id
        );
        assert!(w.one::<bool>(&reused).await);
        assert_eq!(everything(&w).await, before);
    }
    w.set_clock("2025-06-02T00:30:00+09:00");
    w.run(ID, None, &[]).await;
    assert_eq!(states(&w, a).await["today"], "waiting");
}

#[tokio::test]
async fn a_dry_run_lists_and_writes_nothing() {
    let w = world().await;
    let a = company(&w, "alpha").await;
    for n in 0..12 {
        ending(&w, a, &format!("over {n:02}"), "working", "2025-05-31").await;
    }
    let before = everything(&w).await;
    let run = w.dry_run(ID, Some(DAY), &[]).await;
    // what would be held is shown all the same: it is by this that a person decides
    let told = ["to_waiting", "would_be_held"].map(|name| run.count(name));
    assert_eq!((run.outcome(), told), ("succeeded", [12, 1]));
    assert_eq!(everything(&w).await, before);
    let plan = run.plan.unwrap().to_string();
    for part in ["app.engineer_status_history", "app.notifications", "over 07", "sales"] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
}

#[tokio::test]
async fn one_tenants_run_touches_no_neighbour() {
    let w = world().await;
    let (a, b) = (company(&w, "alpha").await, company(&w, "beta").await);
    for tenant in [a, b] {
        ending(&w, tenant, "over", "working", "2025-05-31").await;
    }
    let wanted = Wanted { date: Some(day(DAY)), tenants: vec![a], ..Wanted::default() };
    let run = w.run_as(ID, wanted).await;
    assert_eq!((run.outcome(), run.tenants_total), ("succeeded", 1));
    assert_eq!(states(&w, a).await, json!({"over": "waiting"}));
    assert_eq!(states(&w, b).await, json!({"over": "working"}));
    let others = format!("SELECT count(*) FROM app.engineer_status_history WHERE tenant_id <> {a}");
    assert_eq!(w.one::<i64>(&others).await, 0);
}

#[tokio::test]
async fn many_changes_at_once_are_held_until_a_person_confirms() {
    let w = world().await;
    // 10 of 33 are more than 30 percent, 10 of 34 are not; nine are too few to be held
    let mut tenants = Vec::new();
    for (code, over, settled) in [("held", 10, 23), ("just-not", 10, 24), ("few", 9, 0)] {
        let tenant = company(&w, code).await;
        for n in 0..over {
            ending(&w, tenant, &format!("over {n}"), "working", "2025-05-31").await;
        }
        for n in 0..settled {
            ending(&w, tenant, &format!("settled {n}"), "working", "2026-05-31").await;
        }
        w.sql(&format!(
            "INSERT INTO app.engineers (tenant_id, name, status, joined_on)
             SELECT {tenant}, 'gone ' || n, 'retired', '2020-01-01' FROM generate_series(1, 50) AS n"
        ))
        .await;
        tenants.push(tenant);
    }
    let run = judge(&w).await;
    assert_eq!((run.outcome(), run.tenants_done, run.tenants_blocked), ("partial", 2, 1));
    let (state, reason) = w.tenant_seen(run.id, tenants[0]).await;
    let reason = reason.unwrap();
    assert_eq!(state, "blocked");
    let said = format!(
        "held: 10 of 33 engineers would change, more than 30 %; look with --dry-run, then confirm with \
         `yakin unblock {}` for this tenant",
        run.id
    );
    assert_eq!(reason, said);
    let changed = "SELECT jsonb_object_agg(tenant_id, n) FROM
                   (SELECT tenant_id, count(*) AS n FROM app.engineer_status_history GROUP BY 1) AS h";
    let seen = || w.one::<Value>(changed);
    let [held, just_not, few] = tenants[..] else { panic!("three tenants") };
    let without = json!({just_not.to_string(): 10, few.to_string(): 9});
    assert_eq!(seen().await, without);

    // asked again without a word, it is held again; confirmed, it goes on
    assert_eq!(w.rerun_failed(run.id).await.outcome(), "failed");
    let released = Again::Released(vec![held]);
    let (pool, registry) = (&w.pool, &w.engine.registry);
    let id = rerun(pool, registry, run.id, released, &act(), w.clock.now()).await.unwrap();
    w.settle().await;
    assert_eq!(w.seen(id).await.outcome(), "succeeded");
    let with = json!({held.to_string(): 10, just_not.to_string(): 10, few.to_string(): 9});
    assert_eq!(seen().await, with);
}

#[tokio::test]
async fn contradictory_assignments_leave_their_engineer_alone_and_are_listed() {
    let w = world().await;
    let a = company(&w, "alpha").await;
    ending(&w, a, "ends before", "working", "2024-12-31").await;
    let id = engineer(&w, a, "left before", "waiting").await;
    assign(&w, id, "2025-01-01", "2026-12-31", "2024-12-31", true).await;
    ending(&w, a, "sound", "working", "2025-05-31").await;
    let run = judge(&w).await;
    assert_eq!((run.outcome(), run.count("contradictory")), ("succeeded", 2));
    let expected = json!({"ends before": "working", "left before": "waiting", "sound": "waiting"});
    assert_eq!(states(&w, a).await, expected);
    let listed = warned(&w, run.id, "assignments that end before they begin").await;
    assert_eq!(listed["engineers"], 2);
    let first: Value = w
        .one(
            "SELECT jsonb_agg(jsonb_build_object('engineer', engineer_id, 'assignment', assignment_id) ORDER BY 1)
               FROM app.assignments WHERE coalesce(actual_end_on, planned_end_on) < starts_on",
        )
        .await;
    assert_eq!(listed["first"], first);
    w.sql("UPDATE app.assignments SET planned_end_on = '2026-12-31', actual_end_on = NULL").await;
    judge(&w).await;
    let mended = json!({"ends before": "working", "left before": "working", "sound": "working"});
    assert_eq!(states(&w, a).await, mended);
}

#[tokio::test]
async fn a_failing_tenant_leaves_the_others_done() {
    let w = world().await;
    let (a, b) = (company(&w, "alpha").await, company(&w, "beta").await);
    for tenant in [a, b] {
        ending(&w, tenant, "over", "working", "2025-05-31").await;
    }
    w.sql(&format!(
        "ALTER TABLE app.engineer_status_history ADD CONSTRAINT broken CHECK (tenant_id <> {a})"
    ))
    .await;
    let run = judge(&w).await;
    assert_eq!((run.outcome(), run.tenants_done, run.tenants_failed), ("partial", 1, 1));
    assert_eq!(states(&w, a).await, json!({"over": "working"}));
    assert_eq!(states(&w, b).await, json!({"over": "waiting"}));
    let alert = "SELECT severity FROM yakin.alerts WHERE rule = 'run_failed'";
    w.engine.watch_step().await.unwrap();
    assert_eq!(w.one::<String>(alert).await, "critical");
    w.sql("ALTER TABLE app.engineer_status_history DROP CONSTRAINT broken").await;
    assert_eq!(w.rerun_failed(run.id).await.outcome(), "succeeded");
    assert_eq!(states(&w, a).await, json!({"over": "waiting"}));
}

#[tokio::test]
async fn a_conflict_is_tried_three_times_within_a_minute() {
    let w = world().await;
    let spec = batches(&[ID])[0].spec();
    let delays: Vec<u64> = (1..=5).map(|n| spec.retry.delay(n).as_secs()).collect();
    assert_eq!((spec.retry.attempts, delays), (3, vec![5, 10, 20, 40, 60]));
    let a = company(&w, "alpha").await;
    ending(&w, a, "over", "working", "2025-05-31").await;
    // a serialization failure is what a conflict looks like from inside
    w.sql(
        "CREATE FUNCTION public.conflict() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'conflict' USING ERRCODE = '40001'; END $$;
         CREATE TRIGGER conflict BEFORE UPDATE ON app.engineers EXECUTE FUNCTION public.conflict()",
    )
    .await;
    let run = judge(&w).await;
    assert_eq!(run.outcome(), "open");
    w.set_clock("2025-06-01T02:00:07+09:00");
    w.settle().await;
    w.sql("DROP TRIGGER conflict ON app.engineers").await;
    w.set_clock("2025-06-01T02:00:25+09:00");
    w.settle().await;
    assert_eq!(w.seen(run.id).await.outcome(), "succeeded");
    let attempts = format!("SELECT attempts FROM yakin.run_tenants WHERE run_id = {}", run.id);
    assert_eq!(w.one::<i32>(&attempts).await, 3);
    assert_eq!(states(&w, a).await, json!({"over": "waiting"}));
}

#[tokio::test]
async fn a_day_before_one_that_was_judged_takes_nobody_back() {
    let w = world().await;
    let a = company(&w, "alpha").await;
    ending(&w, a, "ends today", "working", "2025-06-01").await;
    w.set_clock("2025-06-02T02:00:00+09:00");
    w.run(ID, None, &[]).await;
    let before = everything(&w).await;
    let run = judge(&w).await;
    let reason = w.tenant_seen(run.id, a).await.1.unwrap();
    assert!(reason.starts_with("engineers were judged for 2025-06-02 already"), "{reason}");
    assert_eq!(everything(&w).await, before);
    assert_eq!(w.dry_run(ID, Some(DAY), &[]).await.count("to_waiting_soon"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sales_is_told_once_each_and_only_of_what_changed() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let relay = format!("smtp+plain://127.0.0.1:{}", smtp.port());
    let ids = [ID, "BATCH-401", "BATCH-406"];
    let post = Post::new(NIGHT, &ids, &[&relay], &[]).await;
    post.sql("UPDATE yakin.batches SET enabled = false").await;
    let mut tenants = Vec::new();
    for code in ["aoba", "quiet", "english"] {
        let tenant = post.client(code).await;
        post.sql(&format!(
            "INSERT INTO app.projects (tenant_id, project_id, name, starts_on) VALUES ({tenant}, 1, 'P', '2024-01-01');
             INSERT INTO app.users (tenant_id, email, name, role, status, created_at)
             VALUES ({tenant}, 'one@{code}.example', 'One', 'sales', 'active', '2024-01-01'),
                    ({tenant}, 'two@{code}.example', 'Two', 'sales', 'active', '2024-01-01'),
                    ({tenant}, 'gone@{code}.example', 'Gone', 'sales', 'retired', '2024-01-01'),
                    ({tenant}, 'member@{code}.example', 'Member', 'member', 'active', '2024-01-01')"
        ))
        .await;
        tenants.push(tenant);
    }
    post.sql("UPDATE app.tenants SET language = 'en' WHERE code = 'english'").await;
    ending(&post, tenants[0], "佐藤 花子", "working", "2025-05-31").await;
    ending(&post, tenants[0], "鈴木 一郎", "working", "2025-06-30").await;
    ending(&post, tenants[0], "矛盾", "working", "2024-06-30").await;
    ending(&post, tenants[1], "settled", "working", "2026-05-31").await;
    ending(&post, tenants[2], "Ai Takahashi", "waiting", "2026-05-31").await;
    for _ in 0..2 {
        assert_eq!(judge(&post).await.outcome(), "succeeded");
    }
    post.set_clock("2025-06-01T09:00:00+09:00");
    assert_eq!(post.run("BATCH-401", None, &[]).await.outcome(), "succeeded");
    post.set_clock("2025-06-01T09:10:00+09:00");
    assert_eq!(post.run("BATCH-406", None, &[]).await.outcome(), "succeeded");
    let mut to: Vec<String> = smtp.mails().iter().map(|m| m.to.join(",")).collect();
    to.sort();
    let expected =
        ["one@aoba.example", "one@english.example", "two@aoba.example", "two@english.example"];
    assert_eq!(to, expected);
    let post = &post;
    let body = async |who: &str| -> String {
        post.one(&format!("SELECT body FROM app.deliveries WHERE recipient = '{who}'")).await
    };
    let japanese = body("one@aoba.example").await;
    for part in [
        "One 様",
        "2025-06-01 の判定で、エンジニア 2 名の状態が変わりました",
        "・佐藤 花子　稼働中 → 待機中\n",
        "・鈴木 一郎　稼働中 → 待機予定（2025-06-30 終了予定）\n",
        "1 名は判定していません",
    ] {
        assert!(japanese.contains(part), "{part}: {japanese}");
    }
    let english = body("two@english.example").await;
    assert!(
        english.contains("- Ai Takahashi: waiting → working (until 2026-05-31)\n"),
        "{english}"
    );
    assert!(!english.contains("not judged"), "{english}");
}

#[tokio::test]
async fn fifty_thousand_engineers_take_less_than_thirty_seconds() {
    let w = world().await;
    let a = company(&w, "alpha").await;
    w.sql(&format!(
        "INSERT INTO app.engineers (tenant_id, name, status, joined_on)
         SELECT {a}, 'e' || n, 'working', '2020-01-01' FROM generate_series(1, 50000) AS n;
         INSERT INTO app.assignments (tenant_id, engineer_id, project_id, starts_on, planned_end_on)
         SELECT {a}, engineer_id, 1, date '2023-01-01' + 300 * k, date '2023-01-01' + 300 * k
                + CASE WHEN engineer_id % 4 = 0 THEN 250 ELSE 1250 END
           FROM app.engineers CROSS JOIN generate_series(0, 2) AS k WHERE tenant_id = {a}"
    ))
    .await;
    let run = judge(&w).await;
    let told = ["judged", "to_waiting"].map(|name| run.count(name));
    assert_eq!((run.outcome(), told), ("succeeded", [50_000, 12_500]));
    let seconds: f64 = w
        .one(&format!(
            "SELECT extract(epoch FROM real_ended - real_started)::float8 FROM yakin.runs WHERE id = {}",
            run.id
        ))
        .await;
    assert!(seconds < 30.0, "{seconds} seconds");
}
