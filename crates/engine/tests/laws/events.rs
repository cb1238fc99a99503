//! Live events: numbered in the order of their commits, so that whoever reads after the last one misses none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use yakin_engine::prelude::*;
use yakin_engine::record::events::{after, range};
use yakin_engine::registry::entry;
use yakin_testkit::World;

use crate::common::{idle, tenants};

idle!(Nightly, Spec { schedule: cron("*/5 * * * *"), ..tenants("T-NIGHTLY") });

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_beside_many_writers_misses_none() {
    let world = World::new(vec![entry::<Nightly>()]).await;
    world.engine.plan_step().await.unwrap();
    let planned: Vec<jiff_sqlx::Timestamp> =
        sqlx::query_scalar("SELECT planned_at FROM yakin.firings ORDER BY planned_at LIMIT 200")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let (pool, over) = (world.pool.clone(), done.clone());
    let reader = tokio::spawn(async move {
        let mut seen: Vec<i64> = Vec::new();
        loop {
            let last_look = over.load(Ordering::SeqCst);
            let more = after(&pool, seen.last().copied().unwrap_or(0), 17).await.unwrap();
            let none = more.is_empty();
            seen.extend(more.iter().map(|e| e.id));
            if none && last_look {
                return seen;
            }
        }
    });
    let writers = planned.chunks(25).map(|part| {
        let (part, pool) = (part.to_vec(), world.pool.clone());
        async move {
            for (n, at) in part.iter().enumerate() {
                let mut tx = pool.begin().await.unwrap();
                sqlx::query("UPDATE yakin.firings SET state = 'held' WHERE planned_at = $1")
                    .bind(at)
                    .execute(&mut *tx)
                    .await
                    .unwrap();
                sqlx::query("SELECT pg_sleep($1)")
                    .bind(f64::from(u8::try_from(n % 5).unwrap()) / 500.0)
                    .execute(&mut *tx)
                    .await
                    .unwrap();
                if n % 7 == 3 { tx.rollback().await.unwrap() } else { tx.commit().await.unwrap() }
            }
        }
    });
    futures::future::join_all(writers).await;
    done.store(true, Ordering::SeqCst);
    let seen = reader.await.unwrap();
    let all: Vec<i64> = sqlx::query_scalar("SELECT id FROM yakin.events ORDER BY id")
        .fetch_all(&world.pool)
        .await
        .unwrap();
    assert!(all.len() > 150, "{}", all.len());
    assert_eq!(seen, all);
    assert_eq!(range(&world.pool).await.unwrap(), (all[0], all[all.len() - 1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_need_not_see_is_no_event() {
    let world = World::new(vec![entry::<Nightly>()]).await;
    world.engine.plan_step().await.unwrap();
    // planning ahead, and what changes no state, are no news
    world.sql("UPDATE yakin.firings SET reason = 'x'").await;
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.events").await, 0);
    world.tenant("aoba").await;
    let run = world.run("T-NIGHTLY", None, &[]).await;
    let told: Vec<String> = sqlx::query_scalar(
        "SELECT concat_ws(' ', data ->> 'state', data ->> 'phase', data ->> 'outcome') FROM yakin.events
          WHERE kind = 'run' AND (data ->> 'run_id')::bigint = $1 ORDER BY id",
    )
    .bind(run.id)
    .fetch_all(&world.pool)
    .await
    .unwrap();
    assert_eq!(told.last().map(String::as_str), Some("ended tenants succeeded"), "{told:?}");
    assert!((2..=8).contains(&told.len()), "{told:?}");
}
