//! Firings over HTTP: a day's list, and hold, release, bypass, move.

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
