//! The specifications' routes: execute, status, history.

use serde_json::json;
use yakin_engine::access::Role;

use crate::common::{Site, call};

const EXECUTE: &str = "/admin/batch/jobs/nightly-work/execute";

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_run_as_the_specification_writes_it() {
    let site = Site::new().await;
    site.world.tenant("aoba").await;
    let token = site.token(Role::Operator, None).await;
    let body = json!({"parameters": {"dryRun": false, "targetDate": "2026-10-30"}});
    let answer = site.post(EXECUTE, &token, body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let told = answer.json();
    let run = told["runId"].as_i64().unwrap();
    assert_eq!(
        told,
        json!({"runId": run, "jobName": "nightly-work", "batchId": "T-NIGHTLY", "repeated": false})
    );
    assert_eq!(answer.header("location"), format!("/admin/batch/runs/{run}"));

    let status = site.get("/admin/batch/jobs/T-NIGHTLY/status", &token).await.good();
    assert_eq!(
        (&status["status"], &status["currentRun"]["runId"]),
        (&json!("running"), &json!(run))
    );
    site.world.settle().await;
    let status = site.get("/admin/batch/jobs/nightly-work/status", &token).await.good();
    assert_eq!(status["status"], "idle");
    assert_eq!(status["lastRun"]["status"], "succeeded");
    assert_eq!(status["lastRun"]["targetDate"], "2026-10-30");
    assert_eq!(status["lastRun"]["trigger"], "api");
    assert_eq!(status["lastRun"]["requestedBy"], "token:operator-0");
    assert_eq!(status["nextDue"], "2026-10-31T17:00:00Z");

    let shown = site.get(answer.header("location"), &token).await.good();
    assert_eq!((&shown["id"], &shown["outcome"]), (&json!(run), &json!("succeeded")));
    let why: String = site
        .world
        .one("SELECT actor || ': ' || reason FROM yakin.audit WHERE action = 'run'")
        .await;
    assert_eq!(why, "token:operator-0: started over HTTP");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_call_under_one_key_starts_one_run() {
    let site = Site::new().await;
    site.world.tenant("aoba").await;
    let token = site.token(Role::Operator, None).await;
    let keyed = |key: &str, date: &str| {
        let mut request =
            call("POST", EXECUTE, &token, Some(json!({"parameters": {"targetDate": date}})));
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        request
    };
    let calls = (0..8).map(|_| site.send(keyed("night-1", "2026-10-30")));
    let answers = futures::future::join_all(calls).await;
    let told: Vec<_> = answers.iter().map(|a| a.good()).collect();
    let first = told[0]["runId"].clone();
    assert!(told.iter().all(|t| t["runId"] == first), "{told:?}");
    assert_eq!(told.iter().filter(|t| t["repeated"] == false).count(), 1, "{told:?}");
    assert_eq!(site.world.one::<i64>("SELECT count(*) FROM yakin.runs").await, 1);

    // also after its end; but not for another request, nor for another caller
    site.world.settle().await;
    assert_eq!(site.send(keyed("night-1", "2026-10-30")).await.good()["runId"], first);
    let told = site.send(keyed("night-1", "2026-10-29")).await.problem(409);
    assert!(told.contains("night-1") && told.contains("another request"), "{told}");
    let other = site.token(Role::Operator, None).await;
    let mut request = keyed("night-1", "2026-10-30");
    request.headers_mut().insert("authorization", format!("Bearer {other}").parse().unwrap());
    assert_eq!(site.send(request).await.good()["repeated"], false);
    for wrong in ["", " ", &"k".repeat(201)] {
        site.send(keyed(wrong, "2026-10-30")).await.problem(400);
    }
    // after seven days it is a new one, however many older ones wait to be forgotten
    site.world
        .sql(
            "UPDATE yakin.start_keys SET real_created = real_created - interval '8 days';
             INSERT INTO yakin.start_keys (caller, key, request_sha256, run_id, real_created)
             SELECT 'older', n::text, sha256(''), 1, clock_timestamp() - interval '30 days' FROM generate_series(1, 150) AS n",
        )
        .await;
    site.world.settle().await;
    assert_eq!(site.send(keyed("night-1", "2026-10-28")).await.good()["repeated"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_runs_plan_can_be_fetched() {
    let site = Site::new().await;
    site.world.tenant("aoba").await;
    let token = site.token(Role::Operator, None).await;
    let body = json!({"parameters": {"dryRun": true}, "reason": "what would it do?"});
    let answer = site.post(EXECUTE, &token, body).await;
    site.world.settle().await;
    let run = site.get(answer.header("location"), &token).await.good();
    assert_eq!((&run["dry_run"], &run["outcome"]), (&json!(true), &json!("succeeded")));
    assert!(run["plan"].is_object(), "{run}");
    assert_eq!(run["plan_hash"].as_str().unwrap().len(), 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_run_is_told() {
    let site = Site::new().await;
    site.world.tenant("aoba").await;
    let token = site.token(Role::Operator, None).await;
    let tried = [
        (
            EXECUTE,
            json!({"parameters": {"targetDate": "2026-13-01"}}),
            422,
            "parameters.targetDate",
        ),
        (EXECUTE, json!({"parameters": {"targetDate": "2027-01-01"}}), 422, "lies in the future"),
        (
            EXECUTE,
            json!({"parameters": {"targetDate": "0000-12-31"}}),
            422,
            "parameters.targetDate is 0000-12-31, expected a day such as 2026-10-31",
        ),
        (EXECUTE, json!({"parameters": {"batch_size": 0}}), 422, "batch_size"),
        (EXECUTE, json!({"parameters": {"batchsize": 1}}), 422, "batchsize"),
        (EXECUTE, json!({"parameters": {"batch_size": [1]}}), 422, "parameters.batch_size"),
        (EXECUTE, json!({"parameters": {"dryRun": "no"}}), 422, "parameters"),
        (EXECUTE, json!({"parameters": {"tenants": ["aobo"]}}), 404, "did you mean"),
        (EXECUTE, json!({"parametres": {}}), 422, "parametres"),
        (EXECUTE, json!({"reason": "  "}), 422, "reason"),
        ("/admin/batch/jobs/nightly-werk/execute", json!({}), 404, "nightly-work"),
        (
            "/admin/batch/jobs/whole-work/execute",
            json!({"parameters": {"tenants": ["aoba"]}}),
            422,
            "all tenants",
        ),
    ];
    for (path, body, status, word) in tried {
        let told = site.post(path, &token, body.clone()).await.problem(status);
        assert!(told.contains(word), "{body}: {told}");
    }
    assert_eq!(site.world.one::<i64>("SELECT count(*) FROM yakin.runs").await, 0);
    let open = site.post(EXECUTE, &token, json!({})).await.good()["runId"].clone();
    let told = site.post(EXECUTE, &token, json!({})).await.problem(409);
    assert!(told.contains(&format!("run {open}")), "{told}");
    site.get("/admin/batch/jobs/nothing/status", &token).await.problem(404);
    site.get("/admin/batch/jobs/nothing/history", &token).await.problem(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_comes_by_pages_newest_first() {
    let site = Site::new().await;
    site.world.tenant("aoba").await;
    let token = site.token(Role::Operator, None).await;
    for _ in 0..5 {
        site.post(EXECUTE, &token, json!({})).await.good();
        site.world.settle().await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/admin/batch/jobs/nightly-work/history?limit=2{cursor}");
        let page = site.get(&path, &token).await.good();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        seen.extend(items.iter().map(|run| run["runId"].as_i64().unwrap()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted_by(|a, b| a > b), "{seen:?}");
    for wrong in ["limit=0", "limit=501", "limit=x", "cursor=x", "limt=1", "limit=1&limit=2"] {
        let path = format!("/admin/batch/jobs/nightly-work/history?{wrong}");
        site.get(&path, &token).await.problem(400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_token_runs_for_its_tenants_and_sees_its_runs_alone() {
    let site = Site::new().await;
    let (aoba, sakura) = (site.world.tenant("aoba").await, site.world.tenant("sakura").await);
    let theirs = site.token(Role::Operator, Some(vec![aoba])).await;
    let whole = site.token(Role::Operator, None).await;
    let run = site.post(EXECUTE, &theirs, json!({})).await.good()["runId"].as_i64().unwrap();
    site.world.settle().await;
    let tenants = site.get(&format!("/admin/batch/runs/{run}/tenants"), &theirs).await.good();
    let ids: Vec<_> =
        tenants["items"].as_array().unwrap().iter().map(|t| t["tenant_id"].clone()).collect();
    assert_eq!(ids, [json!(aoba)]);

    let others = json!({"parameters": {"tenants": ["aoba", "sakura"]}});
    let told = site.post(EXECUTE, &theirs, others.clone()).await.problem(404);
    assert_eq!(told, "unknown tenant 'sakura'");
    // what nobody has is told alike: no other's name is offered for it
    let nearly = json!({"parameters": {"tenants": ["sakurai"]}});
    assert_eq!(site.post(EXECUTE, &theirs, nearly).await.problem(404), "unknown tenant 'sakurai'");
    site.post("/admin/batch/jobs/whole-work/execute", &theirs, json!({})).await.problem(403);
    let hidden = site.post(EXECUTE, &whole, others).await.good()["runId"].as_i64().unwrap();
    site.world.settle().await;
    for part in ["", "/tenants", "/logs", "/performance"] {
        site.get(&format!("/admin/batch/runs/{hidden}{part}"), &theirs).await.problem(404);
    }
    let why = json!({"reason": "not mine"});
    for act in ["rerun", "cancel"] {
        site.post(&format!("/admin/batch/runs/{hidden}/{act}"), &theirs, why.clone())
            .await
            .problem(404);
    }
    let list = site.get("/admin/batch/runs", &theirs).await.good();
    let seen: Vec<_> = list["items"].as_array().unwrap().iter().map(|r| r["id"].clone()).collect();
    assert_eq!(seen, [json!(run)]);
    assert_eq!(
        site.get("/admin/batch/runs", &whole).await.good()["items"].as_array().unwrap().len(),
        2
    );
    let _ = sakura;
}
