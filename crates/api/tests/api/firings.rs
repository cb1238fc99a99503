//! Firings over HTTP: a day's list, and hold, release, bypass, move.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use yakin_engine::access::Role;

use crate::common::{Site, because};

const DUE: &str = "2026-10-31T17:00:00Z"; // 02:00 in Tokyo
const AT: &str = "/admin/batch/firings/nightly-work/2026-10-31T17:00:00Z";

#[tokio::test(flavor = "multi_thread")]
async fn a_day_shows_its_firings_by_pages() {
    let site = Site::new().await;
    site.world.settle().await;
    let token = site.token(Role::Viewer, None).await;
    let first = site.get("/admin/batch/firings?date=2026-11-01&limit=1", &token).await.good();
    let cursor = first["next_cursor"].as_str().unwrap();
    let next = format!("/admin/batch/firings?date=2026-11-01&limit=1&cursor={cursor}");
    let second = site.get(&next, &token).await.good();
    let ids =
        [&first, &second].map(|page| page["items"][0]["batch_id"].as_str().unwrap().to_owned());
    assert_eq!(ids, ["T-NIGHTLY", "T-WHOLE"]);
    assert_eq!(second["next_cursor"], json!(null));
    assert_eq!(first["items"][0]["due_at"], DUE);
    assert_eq!(
        site.get("/admin/batch/firings", &token).await.good()["items"].as_array().unwrap().len(),
        2
    );
    let empty = site.get("/admin/batch/firings?date=2020-01-01", &token).await.good();
    assert_eq!(empty["items"], json!([]));
    site.get("/admin/batch/firings?date=yesterday", &token).await.problem(400);
    for wrong in ["-009999-01-01", "-004713-12-31", "0000-12-31"] {
        let told =
            site.get(&format!("/admin/batch/firings?date={wrong}"), &token).await.problem(400);
        assert_eq!(told, format!("date is {wrong}, expected a day such as 2026-10-31"));
    }
    for edge in ["0001-01-01", "9999-12-31"] {
        site.get(&format!("/admin/batch/firings?date={edge}"), &token).await.good();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_very_many_firings_is_told_whole_and_in_order() {
    let site = Site::new().await;
    site.world.settle().await;
    // many are due at the same instant, some were moved onto it; withdrawn ones are none of the day's
    site.world
        .sql(
            "INSERT INTO yakin.firings (batch_id, planned_at, due_at, state, outcome)
             SELECT CASE WHEN n % 3 = 0 THEN 'T-WHOLE' ELSE 'T-FAILING' END,
                    timestamptz '2026-11-20 00:00+09' + n * interval '10 seconds',
                    timestamptz '2026-11-20 12:00+09' + (n % 7) * interval '1 hour',
                    CASE WHEN n % 2 = 0 OR n > 5500 THEN 'ended' ELSE 'planned' END,
                    CASE WHEN n > 5500 THEN 'withdrawn' WHEN n % 2 = 0 THEN 'succeeded' END
               FROM generate_series(1, 5600) n",
        )
        .await;
    let token = site.token(Role::Viewer, None).await;
    let (mut told, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/admin/batch/firings?date=2026-11-20&limit=500{cursor}");
        let page = site.get(&path, &token).await.good();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 500);
        let text = |item: &serde_json::Value, key: &str| item[key].as_str().unwrap().to_owned();
        told.extend(
            items.iter().map(|i| (text(i, "due_at"), text(i, "batch_id"), text(i, "planned_at"))),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
        assert!(told.len() <= 5500, "the list has no end");
    }
    assert_eq!(told.len(), 5500);
    assert!(told.is_sorted_by(|a, b| a < b), "told twice, or not in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_beyond_all_instants_is_the_callers_fault() {
    let site = Site::new().await;
    let token = site.token(Role::Viewer, None).await;
    let key = r#"["-009000-01-01T00:00:00Z","T-WHOLE","-009000-01-01T00:00:00Z"]"#;
    let cursor = URL_SAFE_NO_PAD.encode(key);
    site.get(&format!("/admin/batch/firings?cursor={cursor}"), &token).await.problem(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firing_is_held_released_moved_and_bypassed_with_a_reason() {
    let site = Site::new().await;
    site.world.settle().await;
    let token = site.token(Role::Operator, None).await;
    let state = "SELECT state || ' ' || coalesce(outcome, '-') || ' ' || to_char(due_at AT TIME ZONE 'UTC', 'HH24:MI')
                   FROM yakin.firings WHERE batch_id = 'T-NIGHTLY' ORDER BY planned_at LIMIT 1";
    for (act, body, wanted) in [
        ("hold", because("prices are being checked"), "held - 17:00"),
        ("release", because("checked"), "planned - 17:00"),
        (
            "move",
            json!({"to": "2026-10-31T18:30:00Z", "reason": "after the import"}),
            "planned - 18:30",
        ),
        ("bypass", because("not this month"), "ended bypassed 18:30"),
    ] {
        site.post(&format!("{AT}/{act}"), &token, body).await.good();
        assert_eq!(site.world.one::<String>(state).await, wanted);
    }
    for (act, body) in [
        ("hold", because("too late")),
        ("release", because("too late")),
        ("bypass", because("too late")),
        ("move", json!({"to": "2026-10-31T19:00:00Z", "reason": "too late"})),
    ] {
        let told = site.post(&format!("{AT}/{act}"), &token, body).await.problem(409);
        assert!(told.contains("ended"), "{told}");
    }
    let acts: Vec<String> = sqlx::query_scalar(
        "SELECT action || ': ' || reason FROM yakin.audit WHERE actor LIKE 'token:%' ORDER BY id",
    )
    .fetch_all(&site.world.database.owner)
    .await
    .unwrap();
    assert_eq!(
        acts,
        [
            "hold: prices are being checked",
            "release: checked",
            "move: after the import",
            "bypass: not this month"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_firing_is_not_found_and_the_past_is_refused() {
    let site = Site::new().await;
    site.world.settle().await;
    let token = site.token(Role::Operator, None).await;
    for path in [
        "/admin/batch/firings/nightly-work/2026-10-31T17:01:00Z/hold",
        "/admin/batch/firings/nightly-work/tonight/hold",
        "/admin/batch/firings/nightly-work/-009999-06-01T00:00:00Z/hold",
        "/admin/batch/firings/nightly-werk/2026-10-31T17:00:00Z/hold",
    ] {
        site.post(path, &token, because("a test")).await.problem(404);
    }
    let past = json!({"to": "2026-10-30T00:00:00Z", "reason": "a test"});
    site.post(&format!("{AT}/move"), &token, past).await.problem(422);
    let no_instant = json!({"to": "later", "reason": "a test"});
    assert!(site.post(&format!("{AT}/move"), &token, no_instant).await.problem(422).contains("to"));
    site.post(&format!("{AT}/hold"), &token, json!({})).await.problem(422);
}
