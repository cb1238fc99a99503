//! Who may: over all operations of the document and all kinds of tokens.

use std::num::NonZeroU32;

use serde_json::{Value, json};
use yakin_api::Settings;
use yakin_engine::access::{Role, revoke};
use yakin_testkit::act;

use crate::common::Site;

/// An operation of the document that takes a token.
struct Operation {
    method: String,
    path: String,
    role: Role,
    scoped: bool,
    body: Option<Value>,
}

/// Every operation that takes a token, with names that are there or nearly so.
fn operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, said) in item.as_object().unwrap() {
            let Some(role) = said["x-role"].as_str() else { continue };
            let mut filled = path.clone();
            for parameter in said["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap();
                filled = filled.replace(&format!("{{{name}}}"), sample(name));
            }
            assert!(!filled.contains('{'), "{path} has a parameter that the document lacks");
            let body = said.get("requestBody").map(|body| {
                let schema = &body["content"]["application/json"]["schema"];
                // one that may be left out is that or null
                let schema = schema["oneOf"].get(0).unwrap_or(schema);
                let name = schema["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
                let example = &document["components"]["schemas"][name]["example"];
                if example.is_object() { example.clone() } else { json!({"reason": "a test"}) }
            });
            all.push(Operation {
                method: method.to_uppercase(),
                path: filled,
                role: Role::of(role).unwrap(),
                scoped: said["x-scope"] == "tenants",
                body,
            });
        }
    }
    assert!(all.len() > 30, "only {} operations", all.len());
    all
}

fn sample(parameter: &str) -> &'static str {
    match parameter {
        "jobName" | "batch" => "nightly-work",
        "due" => "2026-10-31T17:00:00Z",
        "queue" => "heavy",
        "tenant" => "aoba",
        "number" => "INV-202610-aoba-0001",
        "month" => "2026-10",
        _ => "4711",
    }
}

impl Operation {
    fn call(&self, token: &str) -> axum::http::Request<axum::body::Body> {
        crate::common::call(&self.method, &self.path, token, self.body.clone())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_operation_lets_in_exactly_whom_the_document_says() {
    let many = NonZeroU32::new(10_000).unwrap();
    let site = Site::with(Settings { calls_a_second: many, ..Settings::default() }).await;
    let tenant = site.world.tenant("aoba").await;
    let document = site.get("/openapi.json", "").await.good();
    let mut callers = Vec::new();
    for role in Role::ALL {
        callers.push((role, false, site.token(role, None).await));
        if role != Role::Admin {
            callers.push((role, true, site.token(role, Some(vec![tenant])).await));
        }
    }
    for operation in operations(&document) {
        let what = format!("{} {}", operation.method, operation.path);
        assert!(!site.send(operation.call("")).await.problem(401).is_empty(), "{what}");
        for (role, of_tenant, token) in &callers {
            let answer = site.send(operation.call(token)).await;
            let refused = [401, 403].contains(&answer.status.as_u16());
            let wanted = *role < operation.role || (*of_tenant && !operation.scoped);
            assert_eq!(refused, wanted, "{what} as {role:?}, of a tenant {of_tenant}: {answer:?}");
            assert_ne!(answer.status, 429, "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_can_change_nothing() {
    let site = Site::new().await;
    site.world.tenant("aoba").await;
    site.world.settle().await;
    let viewer = site.token(Role::Viewer, None).await;
    let document = site.get("/openapi.json", "").await.good();
    let state = "SELECT (SELECT count(*) FROM yakin.audit) || ' ' || (SELECT count(*) FROM yakin.runs) || ' '
                     || (SELECT md5(string_agg(f::text, '' ORDER BY batch_id, planned_at)) FROM yakin.firings f) || ' '
                     || (SELECT md5(string_agg(q::text, '' ORDER BY name)) FROM yakin.queues q) || ' '
                     || (SELECT c::text FROM yakin.control c) || (SELECT count(*) FROM yakin.settings)";
    let before: String = site.world.one(state).await;
    let mut tried = 0;
    for operation in operations(&document).iter().filter(|o| o.method != "GET") {
        let answer = site.send(operation.call(&viewer)).await;
        let told = answer.problem(403);
        assert!(told.contains("viewer"), "{} {}: {told}", operation.method, operation.path);
        tried += 1;
    }
    assert!(tried >= 15, "only {tried} changing operations");
    assert_eq!(site.world.one::<String>(state).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_token_or_was_one_is_refused() {
    let site = Site::new().await;
    let token = site.token(Role::Viewer, None).await;
    site.get("/admin/batch/queues", &token).await.good();
    let mut other = token.clone();
    other.replace_range(other.len() - 1.., if token.ends_with('0') { "1" } else { "0" });
    for wrong in [other.as_str(), "yakin_1_", "x", &token[1..], &format!("{token}0")] {
        let answer = site.get("/admin/batch/queues", wrong).await;
        assert!(answer.problem(401).contains("yakin token create"), "{wrong}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    let expired = site.token(Role::Viewer, None).await;
    site.world
        .sql("UPDATE yakin.api_tokens SET real_expires = clock_timestamp() - interval '1 second' WHERE id = 2")
        .await;
    site.get("/admin/batch/queues", &expired).await.problem(401);
    // what was good a moment ago is trusted for a second, and no longer
    revoke(&site.world.pool, "viewer-0", &act()).await.unwrap();
    let patience = std::time::Duration::from_secs(5);
    let refused = tokio::time::timeout(patience, async {
        while site.get("/admin/batch/queues", &token).await.status != 401 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    assert!(refused.await.is_ok(), "a revoked token is still good");
    let kept: String =
        site.world.one("SELECT string_agg(t::text, ' ') FROM yakin.api_tokens t").await;
    let secret = token.rsplit('_').next().unwrap();
    assert!(!kept.contains(secret), "the token itself is kept");
    let audit: String = site.world.one("SELECT string_agg(a::text, ' ') FROM yakin.audit a").await;
    assert!(!audit.contains(secret) && audit.contains("token revoke"), "{audit}");
}
