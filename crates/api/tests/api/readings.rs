//! What reads whole tables: so many at a time, whoever asks and leaves, and never for longer than it may.

use std::time::Duration;

use futures::future::join_all;
use yakin_api::Settings;
use yakin_engine::access::Role;

use crate::common::Site;

/// Statements of nodes that wait for a lock on a table.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity
                        WHERE datname = current_database() AND usename = 'yakin_engine' AND wait_event_type = 'Lock'";

/// Comes back when so many statements wait.
async fn waiting(site: &Site, wanted: i64) {
    let look = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while site.world.one::<i64>(WAITING).await != wanted {
            tick.tick().await;
        }
    };
    let looked = tokio::time::timeout(Duration::from_secs(30), look).await;
    looked.unwrap_or_else(|_| panic!("there never were {wanted} statements that wait"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_leaves_does_not_make_room_for_what_still_goes_on() {
    let site =
        Site::with(Settings { longest_reading: Duration::from_secs(3), ..Settings::default() })
            .await;
    let token = site.token(Role::Viewer, None).await;
    for (path, places, told) in [
        ("/admin/batch/audit/verify", 1, "one at a time"),
        ("/admin/batch/evidence/2026-09", 2, "two packages"),
    ] {
        let mut lock = site.world.database.owner.begin().await.unwrap();
        sqlx::raw_sql("LOCK TABLE yakin.audit").execute(&mut *lock).await.unwrap();
        let calls = join_all((0..places).map(|_| site.get(path, &token)));
        tokio::select! {
            answers = calls => panic!("they read what is locked: {answers:?}"),
            () = waiting(&site, places) => {}
        }
        // those who asked have left; the database reads on, and nobody reads beside it
        let answer = tokio::time::timeout(Duration::from_secs(2), site.get(path, &token)).await;
        let answer = answer.unwrap_or_else(|_| panic!("{path}: another one reads"));
        assert!(answer.problem(429).contains(told), "{answer:?}");
        // until the time is over: then the place is free, and nothing of theirs is left
        waiting(&site, 0).await;
        let free = async {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            loop {
                tick.tick().await;
                match site.get(path, &token).await {
                    answer if answer.status == 429 => {}
                    answer => return answer,
                }
            }
        };
        // (it waits for the lock in its turn)
        let answer = tokio::time::timeout(Duration::from_secs(20), free).await;
        let answer = answer.unwrap_or_else(|_| panic!("{path}: no place became free"));
        assert!(answer.problem(503).contains("took too long"), "{answer:?}");
        lock.rollback().await.unwrap();
        assert_eq!(site.open(crate::common::call("GET", path, &token, None)).await.status(), 200);
    }
}
