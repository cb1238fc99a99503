//! A world with small batches, callers with tokens, and calls over the router.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use yakin_api::Settings;
use yakin_engine::access::{NewToken, Role, create};
use yakin_engine::engine::Engine;
use yakin_engine::prelude::*;
use yakin_engine::registry::entry;
use yakin_testkit::{World, act};

/// The secret of `/api/cron` in tests.
pub const CRON_SECRET: &str = "a secret of sixteen letters";

const BASE: Spec = Spec {
    id: "T-NIGHTLY",
    slug: "nightly-work",
    title: "夜間処理",
    schedule: cron("0 2 * * *"),
    catch_up: CatchUp::Latest,
    period: Period::DayBefore,
    window: None,
    deadline: None,
    scope: Scope::EachTenant,
    phases: &[],
    needs: &[],
    locks: &[],
    overlap: Overlap::Forbid,
    queue: Queue::Default,
    priority: Priority::Medium,
    timeout: secs(60),
    retry: fixed(1, secs(5)),
    retry_by_cause: &[],
    severity: Severity::Medium,
    expected: secs(60),
    params: &[Param {
        name: "batch_size",
        kind: Kind::Int(1, 10_000),
        default: Some("10"),
        help: "rows at once",
    }],
    approval: Approval::None,
    survives_database: false,
};

/// Does nothing for each tenant, each night.
pub struct Nightly;
impl Batch for Nightly {
    type Params = Value;
    const SPEC: Spec = BASE;
}

/// Does nothing, for all at once.
pub struct Whole;
impl Batch for Whole {
    type Params = Value;
    const SPEC: Spec =
        Spec { id: "T-WHOLE", slug: "whole-work", scope: Scope::Global, params: &[], ..BASE };
}

/// Fails for each tenant.
pub struct Failing;
impl Batch for Failing {
    type Params = Value;
    const SPEC: Spec = Spec {
        id: "T-FAILING",
        slug: "failing-work",
        schedule: Schedule::Manual,
        params: &[],
        ..BASE
    };
    async fn tenant(_: &TenantRun, _: &Value) -> Outcome {
        Err(Stop::give_up(Cause::Data, "the price list is empty"))
    }
}

/// Waits for a second person.
pub struct Careful;
impl Batch for Careful {
    type Params = Value;
    const SPEC: Spec = Spec {
        id: "T-CAREFUL",
        slug: "careful-work",
        schedule: Schedule::Manual,
        approval: Approval::SecondPerson,
        params: &[],
        ..BASE
    };
}

/// Counts everybody first; then blocks each tenant that nobody released.
pub struct Picky;
impl Batch for Picky {
    type Params = Value;
    const SPEC: Spec = Spec {
        id: "T-PICKY",
        slug: "picky-work",
        schedule: Schedule::Manual,
        phases: &[Phase::Prepare],
        params: &[],
        ..BASE
    };
    async fn prepare(run: &PlatformRun, _: &Value) -> Outcome {
        run.info("counted everybody", json!({"sessions": 42}));
        run.write(async |tx| {
            tx.plan(json!({"close": "sessions"}));
            Ok(Done::rows(42).count("sessions", 42))
        })
        .await
    }
    async fn tenant(run: &TenantRun, _: &Value) -> Outcome {
        if !run.released() {
            return Err(Stop::blocked("the price list is missing"));
        }
        run.info("billed all the same", json!({}));
        run.write(async |_| Ok(Done::rows(1).count("bills", 1))).await
    }
}

/// A node whose API is asked without a socket.
pub struct Site {
    pub world: World,
    router: Router,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// The detail of a problem of this status; each problem is checked for its form.
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert!(problem["type"].as_str().unwrap().starts_with("urn:yakin:problem:"));
        assert!(!problem["title"].as_str().unwrap().is_empty());
        problem["detail"].as_str().unwrap().to_owned()
    }

    /// The body of a call that went well.
    pub fn good(&self) -> Value {
        assert!(self.status.is_success(), "{self:?}");
        self.json()
    }
}

impl Site {
    pub async fn new() -> Site {
        Site::with(Settings { cron_secret: Some(CRON_SECRET.into()), ..Settings::default() }).await
    }

    pub async fn with(settings: Settings) -> Site {
        Site::equipped(settings, |_| {}).await
    }

    /// A node that is given more before it answers.
    pub async fn equipped(settings: Settings, give: impl FnOnce(&mut Engine)) -> Site {
        let batches = vec![
            entry::<Nightly>(),
            entry::<Whole>(),
            entry::<Failing>(),
            entry::<Careful>(),
            entry::<Picky>(),
        ];
        let mut world = World::new(batches).await;
        give(Arc::get_mut(&mut world.engine).unwrap());
        let router = yakin_api::router(world.engine.clone(), settings);
        Site { world, router }
    }

    /// A token of that role for all tenants, or for these.
    pub async fn token(&self, role: Role, tenants: Option<Vec<i64>>) -> String {
        let known: i64 = self.world.one("SELECT count(*) FROM yakin.api_tokens").await;
        let name = format!("{}-{known}", role.word());
        create(&self.world.pool, NewToken { name, role, tenants, days: 1 }, &act()).await.unwrap()
    }

    /// Any call.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let kind = parts.headers.get("content-type").and_then(|v| v.to_str().ok());
        if kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            // it has no end
            return Answer { status: parts.status, headers: parts.headers, text: String::new() };
        }
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    /// A response as it comes, for streams.
    pub async fn open(&self, request: Request<Body>) -> axum::response::Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// The bytes of an answer that went well, with its headers.
    pub async fn bytes(&self, path: &str, token: &str) -> (HeaderMap, Vec<u8>) {
        let answer = self.open(call("GET", path, token, None)).await;
        assert_eq!(answer.status(), 200, "{path}");
        let headers = answer.headers().clone();
        (headers, answer.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.send(call("GET", path, token, None)).await
    }

    pub async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        self.send(call("POST", path, token, Some(body))).await
    }

    /// The same under an `Idempotency-Key`.
    pub async fn post_once(&self, path: &str, token: &str, key: &str, body: Value) -> Answer {
        let mut request = call("POST", path, token, Some(body));
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        self.send(request).await
    }
}

/// A call with a token, where it is not empty.
pub fn call(method: &str, path: &str, token: &str, body: Option<Value>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    match body {
        Some(body) => {
            request = request.header("content-type", "application/json");
            request.body(Body::from(body.to_string())).unwrap()
        }
        None => request.body(Body::empty()).unwrap(),
    }
}

/// A body that gives a reason.
pub fn because(reason: &str) -> Value {
    json!({"reason": reason})
}
