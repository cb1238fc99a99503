//! A node stops in the middle of the night for longer than its lease, and goes on in the morning.

use rustix::process::Signal;

use super::{Night, said};
use crate::common::until;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_for_longer_than_its_lease_is_not_missed() {
    let night = Night::begin("frozen", "").await;
    let nodes = vec![night.site.serve().await, night.site.serve().await];
    night.fall().await;
    night.at_work("BATCH-302").await;
    let holder: i64 = night
        .site
        .one("SELECT node_id FROM yakin.jobs WHERE batch_id = 'BATCH-302' AND state = 'running' LIMIT 1")
        .await;
    let frozen = nodes.iter().find(|n| n.id == holder).expect("a node of ours");
    frozen.signal(Signal::STOP);
    let held =
        format!("SELECT count(*) FROM yakin.jobs WHERE node_id = {holder} AND state = 'running'");
    assert!(night.site.one::<i64>(&held).await > 0, "the node was frozen too late");
    until("the other node has taken its jobs over", 40, async || {
        night.site.expire_leases(&[holder]).await;
        night.site.one::<i64>(&held).await == 0
    })
    .await;
    until("its transactions are ended, which hold what the other needs", 20, async || {
        let left = "SELECT count(*) FROM pg_stat_activity
                     WHERE application_name LIKE 'yakin job % token 1' AND state = 'idle in transaction'";
        night.site.one::<i64>(left).await == 0
    })
    .await;
    night.is_over().await;
    night.judge().await;
    frozen.signal(Signal::CONT);
    until("the woken node has seen its loss", 30, async || said(frozen, "had lost its lease") > 0)
        .await;
    night.judge().await;
    night.leave(nodes).await;
}
