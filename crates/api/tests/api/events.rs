//! Live events: told in order, once, to all who watch; and what was missed to one who comes back.

use std::time::Duration;

use axum::http::StatusCode;
use futures::StreamExt;
use serde_json::{Value, json};
use yakin_api::Settings;
use yakin_engine::access::{Role, revoke};
use yakin_testkit::act;

use crate::common::{Site, because, call};

/// A stream of events, read as it comes.
struct Watch {
    body: axum::body::BodyDataStream,
    text: String,
}

impl Watch {
    async fn open(site: &Site, token: &str, last: Option<&str>) -> Watch {
        let mut request = call("GET", "/admin/batch/events", token, None);
        if let Some(last) = last {
            request.headers_mut().insert("last-event-id", last.parse().unwrap());
        }
        let response = site.open(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Watch { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next event: id, kind, what it says. Comments that keep the connection alive are none.
    async fn next(&mut self) -> (String, String, Value) {
        let next = tokio::time::timeout(Duration::from_secs(30), self.read());
        next.await.expect("no event came")
    }

    /// The stream's end, which is near; what it still tells does not matter.
    async fn end(&mut self) {
        let end = async { while self.body.next().await.is_some_and(|piece| piece.is_ok()) {} };
        tokio::time::timeout(Duration::from_secs(10), end).await.expect("the stream goes on");
    }

    async fn read(&mut self) -> (String, String, Value) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = event.to_owned();
                self.text = rest.to_owned();
                let field = |name: &str| {
                    let line = event.lines().find_map(|l| l.strip_prefix(&format!("{name}: ")));
                    line.unwrap_or_default().to_owned()
                };
                if field("data").is_empty() {
                    continue;
                }
                return (
                    field("id"),
                    field("event"),
                    serde_json::from_str(&field("data")).unwrap(),
                );
            }
            let more = self.body.next().await.expect("the stream ended").unwrap();
            self.text.push_str(std::str::from_utf8(&more).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runs_life_is_told_in_order_to_all_who_watch() {
    let site = Site::new().await;
    site.world.tenant("aoba").await;
    let token = site.token(Role::Operator, None).await;
    let mut watchers =
        vec![Watch::open(&site, &token, None).await, Watch::open(&site, &token, None).await];
    let run = site.post("/admin/batch/jobs/nightly-work/execute", &token, json!({})).await.good();
    site.world.settle().await;
    let mut seen = Vec::new();
    for watch in &mut watchers {
        let mut mine = Vec::new();
        loop {
            let (id, kind, told) = watch.next().await;
            assert_eq!((kind.as_str(), &told["data"]["run_id"]), ("run", &run["runId"]));
            let ended = told["data"]["state"] == "ended";
            mine.push((id.parse::<i64>().unwrap(), told));
            if ended {
                break;
            }
        }
        assert!(mine.is_sorted_by(|a, b| a.0 < b.0), "{mine:?}");
        assert_eq!(mine.last().unwrap().1["data"]["outcome"], "succeeded");
        assert_eq!(mine[0].1["batch_id"], "T-NIGHTLY");
        seen.push(mine);
    }
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_comes_back_is_told_what_was_missed() {
    let site = Site::new().await;
    site.world.tenant("aoba").await;
    site.world.settle().await;
    let token = site.token(Role::Operator, None).await;
    let at = "/admin/batch/firings/nightly-work/2026-10-31T17:00:00Z";
    let before: i64 = site.world.one("SELECT coalesce(max(id), 0) FROM yakin.events").await;
    for act in ["hold", "release", "bypass"] {
        site.post(&format!("{at}/{act}"), &token, because("a test")).await.good();
    }
    let mut watch = Watch::open(&site, &token, Some(&before.to_string())).await;
    let mut states = Vec::new();
    for _ in 0..3 {
        let (_, kind, told) = watch.next().await;
        assert_eq!(kind, "firing");
        states.push(told["data"]["state"].as_str().unwrap().to_owned());
    }
    assert_eq!(states, ["held", "planned", "ended"]);
    // and goes on live
    site.post(
        "/admin/batch/firings/whole-work/2026-10-31T17:00:00Z/hold",
        &token,
        because("a test"),
    )
    .await
    .good();
    assert_eq!(watch.next().await.2["batch_id"], "T-WHOLE");
    for wrong in ["x", "-1", "1.5"] {
        let mut request = call("GET", "/admin/batch/events", &token, None);
        request.headers_mut().insert("last-event-id", wrong.parse().unwrap());
        site.send(request).await.problem(400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forgotten_is_said() {
    let site = Site::new().await;
    site.world.settle().await;
    let token = site.token(Role::Operator, None).await;
    let hold = "/admin/batch/firings/nightly-work/2026-10-31T17:00:00Z/hold";
    site.post(hold, &token, because("a test")).await.good();
    site.world.sql("UPDATE yakin.events SET id = id + 1000").await;
    for last in ["1", "99999"] {
        let mut watch = Watch::open(&site, &token, Some(last)).await;
        assert_eq!(watch.next().await.1, "reset");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_told_when_it_opens_and_when_it_is_taken_on() {
    let site = Site::new().await;
    site.world.tenant("aoba").await;
    let token = site.token(Role::Operator, None).await;
    site.post("/admin/batch/jobs/failing-work/execute", &token, json!({})).await.good();
    site.world.settle().await;
    let mut watch = Watch::open(&site, &token, None).await;
    site.world.engine.watch_step().await.unwrap();
    let (_, kind, told) = watch.next().await;
    assert_eq!((kind.as_str(), &told["data"]["state"]), ("alert", &json!("open")));
    let id = told["data"]["alert_id"].as_i64().unwrap();
    site.post(&format!("/admin/batch/alerts/{id}/acknowledge"), &token, because("mine"))
        .await
        .good();
    loop {
        let (_, _, told) = watch.next().await;
        if told["data"]["state"] == "acknowledged" {
            assert_eq!(told["data"]["alert_id"], json!(id));
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_token_is_not_what_it_was() {
    let site = Site::new().await;
    let tenant = site.world.tenant("aoba").await;
    site.world.settle().await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        let token = site.token(Role::Viewer, None).await;
        streams.push(Watch::open(&site, &token, None).await);
    }
    let mut good = streams.pop().unwrap();
    let now = "UPDATE yakin.api_tokens SET";
    site.world
        .sql(&format!(
            "{now} real_expires = clock_timestamp() WHERE name = 'viewer-1';
             {now} role = 'operator' WHERE name = 'viewer-2';
             {now} tenants = ARRAY[{tenant}] WHERE name = 'viewer-3'"
        ))
        .await;
    revoke(&site.world.pool, "viewer-0", &act()).await.unwrap();
    for stream in &mut streams {
        stream.end().await;
    }
    let operator = site.token(Role::Operator, None).await;
    let hold = "/admin/batch/firings/nightly-work/2026-10-31T17:00:00Z/hold";
    site.post(hold, &operator, because("a test")).await.good();
    assert_eq!(good.next().await.1, "firing");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_stream_begins_on_yesterdays_trust() {
    let site = Site::new().await;
    let token = site.token(Role::Viewer, None).await;
    // calls trust what was good a moment ago; a stream would live on it
    site.get("/admin/batch/queues", &token).await.good();
    revoke(&site.world.pool, "viewer-0", &act()).await.unwrap();
    site.get("/admin/batch/events", &token).await.problem(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_has_so_many_streams_and_others_have_theirs() {
    let site = Site::with(Settings { streams_a_token: 2, ..Settings::default() }).await;
    let (one, other) = (site.token(Role::Viewer, None).await, site.token(Role::Viewer, None).await);
    let first = Watch::open(&site, &one, None).await;
    let _second = Watch::open(&site, &one, None).await;
    let refused = site.get("/admin/batch/events", &one).await;
    assert!(refused.problem(429).contains("2 streams"), "{refused:?}");
    assert_eq!(refused.header("retry-after"), "5");
    let _theirs = Watch::open(&site, &other, None).await;
    drop(first);
    let _again = Watch::open(&site, &one, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_token_cannot_be_looked_up_ends() {
    let site = Site::new().await;
    let token = site.token(Role::Viewer, None).await;
    let mut stream = Watch::open(&site, &token, None).await;
    site.world.pool.close().await;
    stream.end().await;
}
