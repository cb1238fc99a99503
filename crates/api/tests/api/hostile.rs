//! Hostile calls: path tricks, huge bodies, bad JSON, bad UTF-8, too many.

use std::num::NonZeroU32;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use futures::FutureExt;
use serde_json::json;
use yakin_api::Settings;
use yakin_engine::access::{Role, revoke};
use yakin_testkit::act;

use crate::common::{Site, call};

#[tokio::test(flavor = "multi_thread")]
async fn tricks_with_the_path_find_nothing() {
    let site = Site::new().await;
    let token = site.token(Role::Admin, None).await;
    for path in [
        "/",
        "/admin",
        "/admin/batch/runs/",
        "/admin/batch/runs/../../etc/passwd",
        "/admin/batch/runs/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/admin/batch/runs/1%00",
        "/admin/batch/runs/9223372036854775808",
        "/admin/batch/runs/-1",
        "/admin/batch/jobs/%ff/status",
        "/admin/batch/jobs/..%2f..%2fsecret/status",
        "/admin/batch/jobs/nightly-work'%3b--/status",
        "/admin/batch/dead-letters/%27%20OR%201%3D1",
        "//admin/batch/runs",
    ] {
        site.get(path, &token).await.problem(404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_cannot_be_read_are_told_why() {
    let site = Site::new().await;
    let token = site.token(Role::Admin, None).await;
    let send = |kind: &str, body: Vec<u8>| {
        let mut request = Request::post("/admin/batch/stop-all")
            .header("authorization", format!("Bearer {token}"))
            .body(Body::from(body))
            .unwrap();
        if !kind.is_empty() {
            request.headers_mut().insert("content-type", kind.parse().unwrap());
        }
        site.send(request)
    };
    let json_kind = "application/json";
    let deep = "[".repeat(10_000).into_bytes();
    for (body, status) in [
        (b"{".to_vec(), 400),
        (b"\xff\xfe".to_vec(), 400),
        (b"{\"reason\": \"\xff\"}".to_vec(), 400),
        (deep, 422),
        (b"{\"reason\": \"a\", \"reason\": \"b\"}".to_vec(), 422),
        (b"{\"reason\": 1}".to_vec(), 422),
        (b"{\"reason\": null}".to_vec(), 422),
        (b"{\"reason\": \"a\\u0000b\"}".to_vec(), 422),
        (b"{\"reason\": \"a\", \"more\": 1}".to_vec(), 422),
        (b"[]".to_vec(), 422),
        (b" [\"a reason\"]".to_vec(), 422),
        (b"".to_vec(), 422),
        (format!("{{\"reason\": \"{}\"}}", "a".repeat(501)).into_bytes(), 422),
        (vec![b' '; 64 * 1024 + 1], 413),
        (vec![b'{'; 10_000_000], 413),
    ] {
        let shown: Vec<u8> = body.iter().take(40).copied().collect();
        let answer = send(json_kind, body).await;
        assert_eq!(
            answer.status.as_u16(),
            status,
            "{:?}: {answer:?}",
            String::from_utf8_lossy(&shown)
        );
        answer.problem(status);
    }
    for kind in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
        send(kind, b"{\"reason\": \"a\"}".to_vec()).await.problem(415);
    }
    assert!(!site.world.one::<bool>("SELECT stopped FROM yakin.control").await);
    assert_eq!(
        send("application/json; charset=utf-8", b"{\"reason\": \"a\"}".to_vec()).await.status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_cannot_hold_is_the_callers_fault() {
    let site = Site::new().await;
    site.world.tenant("aoba").await;
    let token = site.token(Role::Admin, None).await;
    site.get("/admin/batch/firings?date=-009999-01-01", &token).await.problem(400);
    site.get("/admin/batch/runs?batch=a%00b", &token).await.problem(400);
    let hold = "/admin/batch/firings/nightly-work/-005000-01-01T00:00:00Z/hold";
    site.post(hold, &token, json!({"reason": "a test"})).await.problem(404);
    let early = json!({"parameters": {"targetDate": "-005000-01-01"}});
    site.post("/admin/batch/jobs/nightly-work/execute", &token, early).await.problem(422);
    for path in ["/admin/batch/dead-letters/%00/requeue", "/admin/batch/queues/a%00/pause"] {
        site.post(path, &token, json!({"reason": "a test"})).await.problem(404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_that_cannot_be_are_refused_before_anything_is_compared_with_them() {
    let site = Site::new().await;
    site.world.tenant("aoba").await;
    let token = site.token(Role::Operator, None).await;
    let execute = "/admin/batch/jobs/nightly-work/execute";
    let asked = |tenants: Vec<String>| json!({"parameters": {"tenants": tenants}});
    let long = vec!["aoba".to_owned(), "x".repeat(60_000)];
    let told = site.post(execute, &token, asked(long)).await.problem(422);
    assert!(told.contains("60000 characters") && told.contains("at most 63"), "{told}");
    assert!(told.len() < 200, "{told}");
    let told = site.post(execute, &token, asked(vec!["aoba".into(); 1001])).await.problem(422);
    assert!(told.contains("1001 tenants") && told.contains("at most 1000"), "{told}");
    // what might have been meant is still told
    let told = site.post(execute, &token, asked(vec!["aobba".into()])).await.problem(404);
    assert!(told.contains("did you mean aoba?"), "{told}");
    site.post(execute, &token, asked(vec!["aoba".into(); 1000])).await.good();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_method_is_told_which_there_are() {
    let site = Site::new().await;
    let token = site.token(Role::Admin, None).await;
    for (method, path, allowed) in [
        ("DELETE", "/admin/batch/runs", "GET"),
        ("GET", "/admin/batch/stop-all", "POST"),
        ("PUT", "/admin/batch/jobs/nightly-work/execute", "POST"),
        ("TRACE", "/healthz", "GET"),
        ("GET", "/api/cron/T-NIGHTLY", "POST"),
    ] {
        let answer = site.send(call(method, path, &token, None)).await;
        answer.problem(405);
        assert!(answer.header("allow").contains(allowed), "{method} {path}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_calls_too_often_waits_and_others_do_not() {
    let site =
        Site::with(Settings { calls_a_second: NonZeroU32::MIN, ..Settings::default() }).await;
    let (one, other) = (site.token(Role::Viewer, None).await, site.token(Role::Viewer, None).await);
    let mut refused = None;
    for _ in 0..50 {
        let answer = site.get("/admin/batch/queues", &one).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("fifty calls were let through");
    assert!(refused.problem(429).contains("try again"));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    site.get("/admin/batch/queues", &other).await.good();
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_of_one_address_do_not_cost_look_ups_without_end() {
    let site =
        Site::with(Settings { strangers_a_second: NonZeroU32::MIN, ..Settings::default() }).await;
    for path in ["/admin/batch/queues", "/metrics"] {
        let mut statuses = Vec::new();
        for n in 0..50 {
            let token = format!("yakin_{}_{}", n + 10, "0".repeat(64));
            statuses.push(site.get(path, &token).await.status.as_u16());
        }
        assert!(statuses.contains(&429), "{path}: {statuses:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_strangers_shuts_out_neither_good_tokens_nor_probes() {
    let site =
        Site::with(Settings { strangers_a_second: NonZeroU32::MIN, ..Settings::default() }).await;
    let (good, gone) = (site.token(Role::Viewer, None).await, site.token(Role::Viewer, None).await);
    // (one stranger a second: whoever is new waits for his turn)
    for token in [&good, &gone] {
        let known = async {
            let mut tick = tokio::time::interval(Duration::from_millis(100));
            while site.get("/admin/batch/queues", token).await.status == 429 {
                tick.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), known).await.expect("still a stranger");
    }
    revoke(&site.world.pool, "viewer-1", &act()).await.unwrap();
    // past the second for which a token is trusted, all the while strangers call
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    let (mut strangers, mut revoked) = (Vec::new(), Vec::new());
    for n in 0..30 {
        let token = format!("yakin_{}_{}", n + 10, "0".repeat(64));
        strangers.push(site.get("/admin/batch/queues", &token).await.status.as_u16());
        site.get("/admin/batch/queues", &good).await.good();
        revoked.push(site.get("/admin/batch/queues", &gone).await.status.as_u16());
        for probe in ["/healthz", "/readyz"] {
            assert_eq!(site.get(probe, "").await.status, 200, "{probe}");
        }
        tick.tick().await;
    }
    assert!(strangers.contains(&429), "there was no flood: {strangers:?}");
    // one that was good is looked up freely once more, and then it is a stranger's
    assert!(revoked.contains(&401) && revoked.contains(&429), "{revoked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_share_what_one_of_them_learned_for_a_second() {
    let site = Site::new().await;
    assert_eq!(site.get("/readyz", "").await.status, 200);
    // from here on the database could not be asked
    let _closing = site.world.pool.close().now_or_never();
    assert_eq!(site.get("/readyz", "").await.status, 200);
    let told = async {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        while site.get("/readyz", "").await.status == 200 {
            tick.tick().await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(10), told).await;
    told.expect("a node without its database is ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_calls_say_so_without_telling_more() {
    let site = Site::new().await;
    let token = site.token(Role::Viewer, None).await;
    site.get("/admin/batch/queues", &token).await.good();
    site.world.pool.close().await;
    for path in ["/admin/batch/queues", "/readyz", "/metrics", "/admin/batch/runs"] {
        let answer = site.get(path, &token).await;
        let told = answer.problem(503);
        assert!(told.contains("database does not answer"), "{told}");
        assert!(!answer.text.contains("yakin.") && !answer.text.contains("SELECT"), "{answer:?}");
        assert!(!answer.header("retry-after").is_empty());
    }
}
