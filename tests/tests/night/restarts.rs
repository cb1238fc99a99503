//! PostgreSQL restarts in the middle of the night.

use super::{Night, said};

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_costs_nothing_but_time() {
    let night = Night::begin("restarts", "").await;
    let nodes = vec![night.site.serve().await, night.site.serve().await];
    night.fall().await;
    for (batch, mode) in [("BATCH-204", "fast"), ("BATCH-302", "immediate")] {
        night.at_work(batch).await;
        night.server.restart(mode);
    }
    night.is_over().await;
    night.judge().await;
    let cut: i64 = night
        .site
        .one("SELECT count(DISTINCT batch_id) FROM yakin.job_history WHERE cause = 'database'")
        .await;
    assert!(cut >= 2, "{cut} batches were cut: that proves little");
    // both nodes live, and know how their attempts ended: nobody has to find it out by a lease
    night
        .none(
            "attempts given up for lost",
            "SELECT * FROM yakin.job_history WHERE outcome = 'lost'",
        )
        .await;
    for node in &nodes {
        assert!(said(node, "a planning step failed") > 0, "a node that noticed nothing");
    }
    night.leave(nodes).await;
}
