//! The machine over HTTP: catalogue, queues, jobs, nodes, dead letters, alerts, the big switch, the audit.

use serde_json::{Value, json};
use yakin_engine::access::Role;

use crate::common::{Site, because};

fn items(page: &Value) -> &Vec<Value> {
    page["items"].as_array().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_is_taken_shown_and_taken_back() {
    let site = Site::new().await;
    let admin = site.token(Role::Admin, None).await;
    let at = "/admin/batch/catalogue/nightly-work";
    let set = |key: &str, value: &str| json!({"key": key, "value": value, "reason": "month end is large"});
    let settings = format!("{at}/settings");
    site.post(&settings, &admin, set("timeout", "7200")).await.good();
    let shown = site.get(at, &admin).await.good();
    assert_eq!(
        (&shown["id"], &shown["overrides"]),
        (&json!("T-NIGHTLY"), &json!({"timeout": "7200"}))
    );
    assert_eq!(shown["spec"]["slug"], "nightly-work");
    site.post(&settings, &admin, set("timeout", "")).await.good();
    assert_eq!(site.get(at, &admin).await.good()["overrides"], json!({}));
    for (key, value) in [
        ("timeout", "0"),
        ("timeouts", "9"),
        ("schedule", "at night"),
        ("severity", "info"),
        ("timeout", "1\0"),
    ] {
        site.post(&settings, &admin, set(key, value)).await.problem(422);
    }
    let all = site.get("/admin/batch/catalogue", &admin).await.good();
    assert_eq!(items(&all).len(), 5);
    site.get("/admin/batch/catalogue/BATCH-000", &admin).await.problem(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_pause_and_jobs_are_seen() {
    let site = Site::new().await;
    for n in 0..3 {
        site.world.tenant(&format!("t{n}")).await;
    }
    let token = site.token(Role::Operator, None).await;
    site.post("/admin/batch/queues/default/pause", &token, because("the disk is full"))
        .await
        .good();
    let run = site.post("/admin/batch/jobs/nightly-work/execute", &token, json!({})).await.good();
    site.world.settle().await;
    let queues = site.get("/admin/batch/queues", &token).await.good();
    let default = items(&queues).iter().find(|q| q["name"] == "default").unwrap();
    assert_eq!(
        (&default["paused"], &default["reason"]),
        (&json!(true), &json!("the disk is full"))
    );
    assert!(default["ready"].as_i64().unwrap() > 0, "{default}");
    let jobs = site
        .get(&format!("/admin/batch/jobs?run={}&state=ready", run["runId"]), &token)
        .await
        .good();
    assert!(!items(&jobs).is_empty() && items(&jobs).iter().all(|j| j["run_id"] == run["runId"]));
    site.get("/admin/batch/jobs?queue=express", &token).await.problem(400);
    site.get("/admin/batch/jobs?state=done", &token).await.problem(400);
    site.post("/admin/batch/queues/default/resume", &token, because("it is not")).await.good();
    site.world.settle().await;
    assert_eq!(site.world.seen(run["runId"].as_i64().unwrap()).await.outcome(), "succeeded");
    let told =
        site.post("/admin/batch/queues/defalt/pause", &token, because("a test")).await.problem(404);
    assert!(told.contains("default"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_told_to_drain() {
    let site = Site::new().await;
    let token = site.token(Role::Operator, None).await;
    let nodes = site.get("/admin/batch/nodes", &token).await.good();
    assert_eq!(
        (&items(&nodes)[0]["state"], &items(&nodes)[0]["name"]),
        (&json!("lives"), &json!("test"))
    );
    let node = items(&nodes)[0]["id"].as_i64().unwrap();
    assert!(!site.world.engine.heartbeat_step().await.unwrap());
    site.post(&format!("/admin/batch/nodes/{node}/drain"), &token, because("a new kernel"))
        .await
        .good();
    assert!(site.world.engine.heartbeat_step().await.unwrap());
    assert_eq!(items(&site.get("/admin/batch/nodes", &token).await.good())[0]["state"], "draining");
    site.world.engine.leave().await.unwrap();
    site.post(&format!("/admin/batch/nodes/{node}/drain"), &token, because("again"))
        .await
        .problem(409);
    site.post("/admin/batch/nodes/4711/drain", &token, because("a test")).await.problem(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_grouped_requeued_and_discarded() {
    let site = Site::new().await;
    for code in ["aoba", "sakura", "midori"] {
        site.world.tenant(code).await;
    }
    let token = site.token(Role::Operator, None).await;
    site.post("/admin/batch/jobs/failing-work/execute", &token, json!({})).await.good();
    site.world.settle().await;
    let groups = site.get("/admin/batch/dead-letters", &token).await.good();
    assert_eq!(items(&groups).len(), 1);
    let group = &items(&groups)[0];
    assert_eq!(
        (&group["letters"], &group["batch_id"], &group["cause"]),
        (&json!(3), &json!("T-FAILING"), &json!("data"))
    );
    let at = format!("/admin/batch/dead-letters/{}", group["fingerprint"].as_str().unwrap());
    let first = site.get(&format!("{at}?limit=2"), &token).await.good();
    let next = format!("{at}?limit=2&cursor={}", first["next_cursor"].as_str().unwrap());
    assert_eq!(items(&first).len() + items(&site.get(&next, &token).await.good()).len(), 3);
    let one = items(&first)[0]["id"].as_i64().unwrap();
    let discarded = site
        .post(&format!("/admin/batch/dead-letters/{one}/discard"), &token, because("they left"))
        .await
        .good();
    assert_eq!(discarded, json!({"discarded": 1}));
    let again = site.post(&format!("{at}/requeue"), &token, because("mended")).await.good();
    assert_eq!((&again["follow_ups"], &again["left"]), (&json!(0), &json!([])));
    let run = again["runs"][0].as_i64().unwrap();
    site.world.settle().await;
    assert_eq!(site.world.seen(run).await.tenants_total, 2);
    site.post(&format!("/admin/batch/dead-letters/{one}/requeue"), &token, because("a test"))
        .await
        .problem(404);
    site.get("/admin/batch/dead-letters/nothing", &token).await.problem(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_acknowledged_once_and_reminds_nobody() {
    let site = Site::new().await;
    site.world.tenant("aoba").await;
    let token = site.token(Role::Operator, None).await;
    site.post("/admin/batch/jobs/failing-work/execute", &token, json!({})).await.good();
    site.world.settle().await;
    site.world.engine.watch_step().await.unwrap();
    let alerts = site.get("/admin/batch/alerts", &token).await.good();
    let alert = items(&alerts).iter().find(|a| a["rule"] == "run_failed").unwrap();
    let at = format!("/admin/batch/alerts/{}/acknowledge", alert["id"]);
    site.post(&at, &token, because("I look at it")).await.good();
    let told = site.post(&at, &token, because("me too")).await.problem(409);
    assert!(told.contains("token:operator-0"), "{told}");
    let shown = site.get("/admin/batch/alerts", &token).await.good();
    let shown = items(&shown).iter().find(|a| a["id"] == alert["id"]).unwrap();
    assert_eq!(shown["acknowledged_by"], "token:operator-0");
    // five days later the others are reminded of, this one is not
    site.world.set_clock("2026-11-06T01:00:00+09:00");
    site.world.engine.watch_step().await.unwrap();
    let reminded: Vec<(i64, bool)> = sqlx::query_as(
        "SELECT id, reminded_at > opened_at FROM yakin.alerts WHERE resolved_at IS NULL",
    )
    .fetch_all(&site.world.database.owner)
    .await
    .unwrap();
    let id = alert["id"].as_i64().unwrap();
    assert!(reminded.iter().any(|(other, again)| *other != id && *again), "{reminded:?}");
    assert!(reminded.iter().all(|(other, again)| *other != id || !*again), "{reminded:?}");
    site.post("/admin/batch/alerts/4711/acknowledge", &token, because("a test")).await.problem(404);
    assert!(
        items(&site.get("/admin/batch/alerts?all=true", &token).await.good()).len()
            >= reminded.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn open_alerts_come_before_resolved_ones_however_many_those_are() {
    let site = Site::new().await;
    site.world
        .sql(
            "INSERT INTO yakin.alerts (rule, subject, severity, message, opened_at, reminded_at, resolved_at)
             SELECT 'run_failed', 's' || n, CASE WHEN n > 1100 THEN 'info' ELSE 'critical' END, 'm', at, at, at + interval '1 hour'
               FROM generate_series(1, 1200) n, LATERAL (SELECT timestamptz '2026-10-01' + n / 3 * interval '1 minute' AS at) t;
             INSERT INTO yakin.alerts (rule, subject, severity, message, opened_at, reminded_at)
             SELECT 'run_failed', severity, severity, 'm', '2026-09-01', '2026-09-01'
               FROM unnest(ARRAY['info', 'medium', 'critical', 'high']) severity",
        )
        .await;
    let token = site.token(Role::Viewer, None).await;
    let open = ["critical", "high", "medium", "info"];
    let subjects = |page: &Value| {
        let taken = items(page).iter().take(4);
        taken.map(|a| a["subject"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for path in ["/admin/batch/alerts", "/admin/batch/alerts?all=true"] {
        assert_eq!(subjects(&site.get(path, &token).await.good()), open, "{path}");
    }
    let (mut told, mut cursor) = (Vec::new(), String::new());
    while told.len() < 2000 {
        let path = format!("/admin/batch/alerts?all=true&limit=301{cursor}");
        let page = site.get(&path, &token).await.good();
        told.extend(items(&page).clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let ids: std::collections::HashSet<_> = told.iter().map(|a| a["id"].as_i64()).collect();
    assert_eq!((told.len(), ids.len()), (1204, 1204));
    let order = |a: &Value| {
        let grave = open.iter().position(|s| a["severity"] == *s);
        let opened = a["opened_at"].as_str().unwrap().to_owned();
        (!a["resolved_at"].is_null(), grave, std::cmp::Reverse(opened), a["id"].as_i64())
    };
    assert!(told.is_sorted_by_key(order));
    assert_eq!(items(&site.get("/admin/batch/alerts?limit=3", &token).await.good()).len(), 3);
    site.get("/admin/batch/alerts?cursor=x", &token).await.problem(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_big_switch_is_an_admins_and_is_seen() {
    let site = Site::new().await;
    let admin = site.token(Role::Admin, None).await;
    assert_eq!(site.get("/admin/batch/overview", &admin).await.good()["stopped"], json!(null));
    site.post("/admin/batch/stop-all", &admin, because("the database moves")).await.good();
    let overview = site.get("/admin/batch/overview", &admin).await.good();
    assert_eq!(overview["stopped"], "the database moves");
    assert_eq!(overview["now"], "2026-10-31T16:00:00Z");
    site.post("/admin/batch/resume-all", &admin, because("it has moved")).await.good();
    assert_eq!(site.get("/admin/batch/overview", &admin).await.good()["stopped"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_is_read_by_pages_and_verified() {
    let site = Site::new().await;
    let admin = site.token(Role::Admin, None).await;
    for n in 0..3 {
        site.post("/admin/batch/stop-all", &admin, because(&format!("reason {n}"))).await.good();
    }
    let first = site.get("/admin/batch/audit?limit=2", &admin).await.good();
    assert_eq!(items(&first)[0]["reason"], "reason 2");
    let next =
        format!("/admin/batch/audit?limit=2&cursor={}", first["next_cursor"].as_str().unwrap());
    let second = site.get(&next, &admin).await.good();
    assert_eq!((items(&second).len(), &items(&second)[1]["action"]), (2, &json!("token create")));
    let chain = site.get("/admin/batch/audit/verify", &admin).await.good();
    assert_eq!((&chain["acts"], &chain["faults"]), (&json!(4), &json!([])));
    assert_eq!(chain["head"], items(&first)[0]["digest"]);
    // one reckons at a time; the others are told to wait, in the words of all who come too often
    let calls = (0..8).map(|_| site.get("/admin/batch/audit/verify", &admin));
    let answers = futures::future::join_all(calls).await;
    let (done, busy): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 200);
    assert!(!done.is_empty() && !busy.is_empty());
    for answer in busy {
        assert!(answer.problem(429).contains("one at a time; try again in 5 s"));
        assert_eq!(answer.header("retry-after"), "5");
    }
    site.world
        .sql("ALTER TABLE yakin.audit DISABLE TRIGGER audit_append_only; UPDATE yakin.audit SET reason = 'another' WHERE id = 3")
        .await;
    let chain = site.get("/admin/batch/audit/verify", &admin).await.good();
    let faults = chain["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 1);
    assert!(faults[0].as_str().unwrap().contains("act 3"), "{faults:?}");
}
