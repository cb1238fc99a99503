//! `/api/cron`: signed bodies, the secret as bearer, replays.

use axum::body::Body;
use axum::http::Request;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha1::Sha1;
use yakin_api::Settings;
use yakin_engine::clock::Clock;

use crate::common::{CRON_SECRET, Site};

fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

fn signed(batch: &str, body: &str, signature: &str) -> Request<Body> {
    Request::post(format!("/api/cron/{batch}"))
        .header("x-vercel-signature", signature)
        .body(Body::from(body.to_owned()))
        .unwrap()
}

fn now_plus(seconds: i64) -> String {
    let at = Clock::real().now().as_millisecond() + seconds * 1000;
    json!({"createdAt": at}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_call_starts_one_run_however_often_it_comes() {
    let site = Site::new().await;
    site.world.tenant("aoba").await;
    let body = now_plus(0);
    let good = signature(CRON_SECRET, &body);
    let answer = site.send(signed("T-NIGHTLY", &body, &good)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.json()["repeated"], false);
    let again = site.send(signed("T-NIGHTLY", &body, &good.to_uppercase())).await.good();
    assert_eq!((&again["runId"], &again["repeated"]), (&answer.json()["runId"], &json!(true)));
    assert_eq!(site.world.one::<i64>("SELECT count(*) FROM yakin.runs").await, 1);
    let who: String = site.world.one("SELECT requested_by || ' ' || trigger FROM yakin.runs").await;
    assert_eq!(who, "cron api");
    // taken for another batch, the same proof is a replay
    let told = site.send(signed("T-WHOLE", &body, &good)).await.problem(409);
    assert!(told.contains("another request"), "{told}");
    // the batch's other name is the same batch
    let slug = site.send(signed("nightly-work", &body, &good)).await.good();
    assert_eq!(slug["repeated"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_signed_at_one_instant_for_two_batches_start_both() {
    let site = Site::new().await;
    site.world.tenant("aoba").await;
    let at = Clock::real().now().as_millisecond();
    for batch in ["T-NIGHTLY", "whole-work"] {
        let body = json!({"createdAt": at, "batchId": batch}).to_string();
        let good = signature(CRON_SECRET, &body);
        assert_eq!(site.send(signed(batch, &body, &good)).await.good()["repeated"], false);
        let told = site.send(signed("failing-work", &body, &good)).await.problem(422);
        assert!(told.contains(&format!("the body is for '{batch}', not for T-FAILING")), "{told}");
    }
    assert_eq!(site.world.one::<i64>("SELECT count(*) FROM yakin.runs").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_signed_as_it_should_be_starts_nothing() {
    let site = Site::new().await;
    let body = now_plus(0);
    let good = signature(CRON_SECRET, &body);
    let tried = [
        (body.clone(), signature("another secret of some length", &body)),
        (now_plus(1), good.clone()),
        (body.clone(), good[1..].to_owned()),
        (body.clone(), "x".repeat(40)),
        (body.clone(), String::new()),
    ];
    for (body, signature) in tried {
        let told = site.send(signed("T-NIGHTLY", &body, &signature)).await.problem(401);
        assert!(told.contains("x-vercel-signature"), "{told}");
    }
    for old in [now_plus(-600), now_plus(600), "{}".to_owned(), String::new()] {
        let proof = signature(CRON_SECRET, &old);
        let told = site.send(signed("T-NIGHTLY", &old, &proof)).await.problem(401);
        assert!(told.contains("createdAt"), "{told}");
    }
    let wrong = "{\"createdAt\": 1, \"batch\": 2}";
    site.send(signed("T-NIGHTLY", wrong, &signature(CRON_SECRET, wrong))).await.problem(422);
    let bare = Request::post("/api/cron/T-NIGHTLY").body(Body::empty()).unwrap();
    site.send(bare).await.problem(401);
    assert_eq!(site.world.one::<i64>("SELECT count(*) FROM yakin.runs").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_itself_is_good_as_a_bearer() {
    let site = Site::new().await;
    site.world.tenant("aoba").await;
    let call = |secret: &str, key: &str| {
        let request = Request::post("/api/cron/nightly-work")
            .header("authorization", format!("Bearer {secret}"))
            .header("idempotency-key", key);
        request.body(Body::empty()).unwrap()
    };
    let first = site.send(call(CRON_SECRET, "2026-11-01")).await.good();
    let again = site.send(call(CRON_SECRET, "2026-11-01")).await.good();
    assert_eq!((&again["runId"], &again["repeated"]), (&first["runId"], &json!(true)));
    // a key is one batch's
    let whole = Request::post("/api/cron/T-WHOLE")
        .header("authorization", format!("Bearer {CRON_SECRET}"))
        .header("idempotency-key", "2026-11-01")
        .body(Body::empty())
        .unwrap();
    assert_eq!(site.send(whole).await.good()["repeated"], false);
    for wrong in ["another", &CRON_SECRET[1..], ""] {
        site.send(call(wrong, "k")).await.problem(401);
    }
    let unknown = Request::post("/api/cron/BATCH-000")
        .header("authorization", format!("Bearer {CRON_SECRET}"))
        .body(Body::empty())
        .unwrap();
    site.send(unknown).await.problem(404);

    let closed = Site::with(Settings::default()).await;
    let told = closed.send(call(CRON_SECRET, "k")).await.problem(401);
    assert!(told.contains("cron_secret_file"), "{told}");
}
