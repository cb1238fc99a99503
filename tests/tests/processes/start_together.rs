//! Two that start at once, and ends that were asked for.

use crate::common::{Site, tell, until};
use jiff::civil::date;
use rustix::process::Signal;
use yakin_engine::schedule::planner::register;
use yakin_testkit::{BEGIN, instant};

#[tokio::test(flavor = "multi_thread")]
async fn two_migrations_of_an_empty_database_both_succeed() {
    let site = Site::new().await;
    let name = format!("{}_empty", site.one::<String>("SELECT current_database()::text").await);
    site.sql(&format!("CREATE DATABASE {name}")).await;
    let url = site.owner_url(Some(&name));
    let ended: Vec<_> = std::thread::scope(|scope| {
        let migrate = || {
            let mut command = site.command(&["migrate", "--json"]);
            command.env("DATABASE_URL", &url);
            scope.spawn(move || tell(command))
        };
        let both = [migrate(), migrate()];
        both.into_iter().map(|t| t.join().expect("migrate")).collect()
    });
    site.sql(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
    let after: Vec<_> = ended
        .iter()
        .map(|told| {
            assert_eq!(told.code, 0, "{}", told.err);
            serde_json::from_str::<serde_json::Value>(&told.out).expect("JSON")["after"].clone()
        })
        .collect();
    assert_eq!(after[0], after[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_register_the_catalogue_at_once_all_succeed() {
    let site = Site::new().await;
    let pool = site.database.engine_pool(4).await;
    let registry = yakin_catalogue::registry().expect("catalogue");
    for _ in 0..40 {
        let nodes: Vec<_> = (0..4)
            .map(|_| {
                let (pool, registry) = (pool.clone(), registry.clone());
                tokio::spawn(async move { register(&pool, &registry, instant(BEGIN)).await })
            })
            .collect();
        for node in nodes {
            node.await.expect("task").expect("register");
        }
        site.sql("DELETE FROM yakin.firings; DELETE FROM yakin.batches").await;
    }
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_start_at_once_and_leave_when_told() {
    let site = Site::new().await;
    let (mut one, mut two) = tokio::join!(site.serve(), site.serve());
    for node in [&one, &two] {
        for path in ["/healthz", "/readyz"] {
            let (head, body) = node.get(path, "*/*").await;
            assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head} {body}");
        }
    }
    let registered: i64 = site.one("SELECT count(*) FROM yakin.batches").await;
    let known = yakin_catalogue::registry().expect("catalogue").all().count();
    assert_eq!(registered, i64::try_from(known).expect("count"));
    until("the timetable is written", 10, async || {
        site.one::<i64>("SELECT count(*) FROM yakin.firings WHERE state = 'planned'").await > 0
    })
    .await;
    for node in [&mut one, &mut two] {
        assert_eq!(node.terminate(10).await.code(), Some(0), "{}", node.stderr());
        assert!(node.logs().iter().any(|l| l["message"] == "drained"));
        assert_eq!(node.stderr(), "");
    }
    let present: i64 = site.one("SELECT count(*) FROM yakin.nodes WHERE real_ended IS NULL").await;
    assert_eq!(present, 0, "both said goodbye");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_told_to_stop_ends_what_it_began_and_begins_no_more() {
    let site = Site::with_sample(2).await;
    site.calmly(&[("BATCH-204", date(2026, 10, 20))]).await;
    let mut lock = site.database.owner.begin().await.expect("begin");
    sqlx::query("LOCK TABLE app.tenant_usage_daily IN EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .expect("lock");
    let mut node = site.serve().await;
    let run = site.start("BATCH-301", date(2026, 10, 20)).await;
    until("the node waits inside its transactions", 30, async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                          AND application_name LIKE 'yakin job % token %' AND wait_event_type = 'Lock'";
        site.one::<i64>(waiting).await == 2
    })
    .await;
    node.signal(Signal::TERM);
    until("it no longer answers", 10, async || {
        tokio::net::TcpStream::connect(&node.address).await.is_err()
    })
    .await;
    let late = site.start("BATCH-204", date(2026, 10, 21)).await;
    assert!(node.lives(), "it waits for its work");
    lock.rollback().await.expect("unlock");
    assert_eq!(node.end(20).await.code(), Some(0), "{}", node.stderr());

    let outcomes: Vec<String> = site
        .one("SELECT array_agg(outcome ORDER BY outcome) FROM yakin.job_history WHERE kind = 'tenant' AND batch_id = 'BATCH-301'")
        .await;
    assert_eq!(outcomes, ["done", "done"]);
    assert!(!site.ended(late).await, "what came later is another node's");
    let running: i64 = site.one("SELECT count(*) FROM yakin.jobs WHERE state = 'running'").await;
    assert_eq!(running, 0);
    let _next = site.serve().await;
    assert_eq!(site.outcome(run).await, "succeeded");
    assert_eq!(site.outcome(late).await, "succeeded");
}
