//! Connections break again and again while jobs run.

use sqlx::ConnectOptions;

use super::proxy::Proxy;
use super::{Night, said};

/// Ends the nodes' backends while some attempt is at work, of a batch that was not hit three times yet, unless a job has
/// been hit that is not done yet: nobody promises that work succeeds whose every attempt is cut.
const TERMINATE: &str = "
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE datname = current_database() AND usename = 'yakin_engine'
       AND EXISTS (SELECT FROM pg_stat_activity a JOIN yakin.jobs j
                            ON a.application_name = format('yakin job %s token %s', j.id, j.token)
                    WHERE (SELECT count(*) FROM yakin.job_history h
                            WHERE h.batch_id = j.batch_id AND h.cause = 'database') < 3)
       AND NOT EXISTS (SELECT FROM yakin.jobs WHERE tried <> '{}')";

const TIMES: usize = 15;

#[tokio::test(flavor = "multi_thread")]
async fn nodes_whose_backends_are_terminated_all_night_do_their_work_once() {
    let night = Night::begin("terminated", "").await;
    let nodes = vec![night.site.serve().await, night.site.serve().await];
    night.fall().await;
    let mut times = 0;
    let over = night.is_over();
    let enemy = async {
        loop {
            if times < TIMES && night.site.one::<i64>(TERMINATE).await > 0 {
                times += 1;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::select! { () = over => {}, () = enemy => {} }
    let hit: i64 = night
        .site
        .one("SELECT count(DISTINCT batch_id) FROM yakin.job_history WHERE outcome = 'retry' AND cause = 'database'")
        .await;
    assert!(
        times >= 5 && hit >= 3,
        "terminated {times} times, {hit} batches hit: that proves little"
    );
    night.judge().await;
    night.leave(nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_whose_connections_break_mid_statement_and_after_commits_do_their_work_once() {
    let night = Night::begin("proxy", "").await;
    let proxy = Proxy::start(&night.server.socket()).await;
    let url = night.site.database.owner.connect_options().to_url_lossy();
    let url = format!("postgres://yakin_engine@{}{}?sslmode=disable", proxy.address, url.path());
    let through = |command: &mut std::process::Command| {
        command.env("DATABASE_URL", &url);
    };
    let nodes = vec![night.site.serve_by(through).await, night.site.serve_by(through).await];
    night.fall().await;
    for batch in ["BATCH-204", "BATCH-302"] {
        night.at_work(batch).await;
        proxy.cut_all();
    }
    night.is_over().await;
    let cuts = proxy.cuts();
    assert!(cuts.halved >= 5 && cuts.unanswered >= 10, "{cuts:?} prove little");
    night.judge().await;
    for node in &nodes {
        assert!(said(node, "had ended already") > 0, "no attempt whose commit was not heard of");
    }
    night.leave(nodes).await;
}
