//! Runs over HTTP: what each shows, and again, no more, yes, no, all the same.

use serde_json::json;
use yakin_engine::access::Role;

use crate::common::{Site, because};

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_shows_its_tenants_its_log_and_runs_again_for_those() {
    let site = Site::new().await;
    for code in ["aoba", "sakura", "midori"] {
        site.world.tenant(code).await;
    }
    let token = site.token(Role::Operator, None).await;
    let run = site.post("/admin/batch/jobs/failing-work/execute", &token, json!({})).await.good();
    let run = run["runId"].as_i64().unwrap();
    site.world.settle().await;
    let at = format!("/admin/batch/runs/{run}");
    let shown = site.get(&at, &token).await.good();
    assert_eq!((&shown["outcome"], &shown["tenants_failed"]), (&json!("failed"), &json!(3)));
    let first = site.get(&format!("{at}/tenants?limit=2"), &token).await.good();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = site.get(&format!("{at}/tenants?limit=2&cursor={cursor}"), &token).await.good();
    let all: Vec<_> =
        [first, second].iter().flat_map(|p| p["items"].as_array().unwrap().clone()).collect();
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|t| t["state"] == "failed" && t["reason"].as_str().unwrap().contains("price list")));
    let logs = site.get(&format!("{at}/logs?limit=500"), &token).await.good();
    assert!(logs["items"].is_array());
    let cost = site.get(&format!("{at}/performance"), &token).await.good();
    assert!(cost["duration_ms"].as_i64().unwrap() >= 0, "{cost}");

    let answer = site
        .post(&format!("{at}/rerun"), &token, json!({"failed": true, "reason": "mended"}))
        .await;
    assert_eq!(answer.status, 202);
    let new = answer.json()["run_id"].as_i64().unwrap();
    site.get(&format!("/admin/batch/runs/{new}/performance"), &token).await.problem(404);
    assert_eq!(answer.header("location"), format!("/admin/batch/runs/{new}"));
    let told =
        site.post(&format!("/admin/batch/runs/{new}/rerun"), &token, because("too soon")).await;
    assert!(told.problem(409).contains("has not ended"));
    site.post(&format!("/admin/batch/runs/{new}/cancel"), &token, because("enough")).await.good();
    site.world.settle().await;
    let ended = site.get(&format!("/admin/batch/runs/{new}"), &token).await.good();
    assert_eq!((&ended["outcome"], &ended["rerun_of"]), (&json!("cancelled"), &json!(run)));
    site.post(&format!("/admin/batch/runs/{new}/cancel"), &token, because("again"))
        .await
        .problem(409);

    let lists = [
        ("?batch=failing-work", 2),
        ("?outcome=cancelled", 1),
        ("?state=running", 0),
        ("?batch=T-WHOLE", 0),
    ];
    for (query, wanted) in lists {
        let list = site.get(&format!("/admin/batch/runs{query}"), &token).await.good();
        assert_eq!(list["items"].as_array().unwrap().len(), wanted, "{query}");
    }
    site.get("/admin/batch/runs?state=sleeping", &token).await.problem(400);
    site.get("/admin/batch/runs?batch=nothing", &token).await.problem(404);
    site.get("/admin/batch/runs/4711", &token).await.problem(404);
    site.get("/admin/batch/runs/first", &token).await.problem(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_for_a_second_person_gets_another_ones_yes() {
    let site = Site::new().await;
    site.world.tenant("aoba").await;
    let (asks, agrees) =
        (site.token(Role::Operator, None).await, site.token(Role::Operator, None).await);
    let execute = "/admin/batch/jobs/careful-work/execute";
    let run = site.post(execute, &asks, json!({})).await.good()["runId"].as_i64().unwrap();
    site.world.settle().await;
    let approve = format!("/admin/batch/runs/{run}/approve");
    let told = site.post(&approve, &asks, because("I said so")).await.problem(409);
    assert!(told.contains("second person"), "{told}");
    site.post(&approve, &agrees, because("agreed with finance")).await.good();
    site.world.settle().await;
    assert_eq!(site.world.seen(run).await.outcome(), "succeeded");
    site.post(&approve, &agrees, because("again")).await.problem(409);

    let run = site.post(execute, &asks, json!({})).await.good()["runId"].as_i64().unwrap();
    site.post(&format!("/admin/batch/runs/{run}/reject"), &agrees, because("no")).await.good();
    site.world.settle().await;
    assert_eq!(site.world.seen(run).await.outcome(), "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_tenant_is_released_on_the_record() {
    let site = Site::new().await;
    for code in ["aoba", "sakura"] {
        site.world.tenant(code).await;
    }
    let token = site.token(Role::Operator, None).await;
    let run = site.post("/admin/batch/jobs/picky-work/execute", &token, json!({})).await.good();
    let at = format!("/admin/batch/runs/{}/unblock", run["runId"]);
    let body = json!({"tenants": ["aoba"], "reason": "agreed with the customer"});
    site.post(&at, &token, body.clone()).await.problem(409);
    site.world.settle().await;
    let new = site.post_once(&at, &token, "unblock-1", body.clone()).await.good()["run_id"]
        .as_i64()
        .unwrap();
    // the same call again, before and after its run has ended
    for _ in 0..2 {
        let again = site.post_once(&at, &token, "unblock-1", body.clone()).await.good();
        assert_eq!(again["run_id"], new);
        site.world.settle().await;
    }
    site.post_once(&at, &token, "unblock-1", json!({"tenants": ["sakura"], "reason": "another"}))
        .await
        .problem(409);
    site.world.settle().await;
    let released: String =
        site.world.one(&format!("SELECT released_by FROM yakin.runs WHERE id = {new}")).await;
    assert_eq!(released, "token:operator-0");
    for wrong in [json!({"tenants": [], "reason": "a test"}), json!({"reason": "a test"})] {
        site.post(&at, &token, wrong).await.problem(422);
    }
    site.post(&at, &token, json!({"tenants": ["nobody"], "reason": "a test"})).await.problem(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rerun_under_a_key_is_started_once() {
    let site = Site::new().await;
    site.world.tenant("aoba").await;
    let token = site.token(Role::Operator, None).await;
    let run = site.post("/admin/batch/jobs/failing-work/execute", &token, json!({})).await.good();
    site.world.settle().await;
    let at = format!("/admin/batch/runs/{}/rerun", run["runId"]);
    let again = json!({"failed": true, "reason": "mended"});
    let first = site.post_once(&at, &token, "again-1", again.clone()).await.good();
    site.world.settle().await;
    assert_eq!(site.post_once(&at, &token, "again-1", again).await.good(), first);
    site.post_once(&at, &token, "again-1", because("all of it")).await.problem(409);
    assert_eq!(site.world.one::<i64>("SELECT count(*) FROM yakin.runs").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_some_tenants_sees_of_a_run_what_it_did_for_them() {
    let site = Site::new().await;
    let aoba = site.world.tenant("aoba").await;
    site.world.tenant("sakura").await;
    let all = site.token(Role::Operator, None).await;
    let some = site.token(Role::Operator, Some(vec![aoba])).await;
    let asked = json!({"parameters": {"tenants": ["aoba"]}});
    let run = site.post("/admin/batch/jobs/picky-work/execute", &some, asked).await.good();
    site.world.settle().await;
    let unblock = format!("/admin/batch/runs/{}/unblock", run["runId"]);
    let body = json!({"tenants": ["aoba"], "reason": "agreed"});
    let run = site.post(&unblock, &all, body).await.good()["run_id"].as_i64().unwrap();
    site.world.settle().await;
    let at = format!("/admin/batch/runs/{run}");
    for (token, counts, rows, lines) in [
        (
            &all,
            json!({"sessions": 42, "bills": 1}),
            43,
            vec!["counted everybody", "tenants in scope", "billed all the same"],
        ),
        (&some, json!({"bills": 1}), 1, vec!["billed all the same"]),
    ] {
        let list = site.get("/admin/batch/runs?limit=1", token).await.good();
        for seen in [site.get(&at, token).await.good(), list["items"][0].clone()] {
            assert_eq!((&seen["counts"], &seen["rows_written"]), (&counts, &json!(rows)), "{seen}");
        }
        let logs = site.get(&format!("{at}/logs"), token).await.good();
        let said: Vec<&str> = logs["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|l| l["message"].as_str())
            .collect();
        assert_eq!(said, lines);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_some_tenants_sees_of_a_plan_what_it_would_do_for_them() {
    let site = Site::new().await;
    let aoba = site.world.tenant("aoba").await;
    let some = site.token(Role::Operator, Some(vec![aoba])).await;
    let asked = json!({"parameters": {"dryRun": true}});
    let run = site.post("/admin/batch/jobs/picky-work/execute", &some, asked).await.good();
    site.world.settle().await;
    let at = format!("/admin/batch/runs/{}", run["runId"]);
    let all = site.token(Role::Viewer, None).await;
    for (token, acts) in [(&all, json!([{"close": "sessions"}])), (&some, json!([]))] {
        assert_eq!(site.get(&at, token).await.good()["plan"]["acts"], acts);
    }
}
