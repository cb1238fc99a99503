//! A node that freezes inside its transaction, is rescued by another, and wakes again: it commits nothing twice.

use crate::common::{Site, until};
use jiff::civil::{Date, date};
use rustix::process::Signal;

const TENANTS: u32 = 3;

fn month() -> Vec<(&'static str, Date)> {
    (1..=31)
        .flat_map(|day| ["BATCH-204", "BATCH-301"].map(|batch| (batch, date(2026, 10, day))))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_wakes_after_its_rescue_commits_nothing() {
    let site = Site::with_sample(TENANTS).await;
    site.calmly(&month()).await;
    let backends = "SELECT count(*) FROM pg_stat_activity
                     WHERE application_name LIKE 'yakin job % token %' AND datname = current_database()";

    // the counters are locked: every bill waits inside its own write transaction
    let mut lock = site.database.owner.begin().await.expect("begin");
    sqlx::query("LOCK TABLE app.invoice_counters IN EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .expect("lock");
    let frozen = site.serve().await;
    let run = site.start("BATCH-302", date(2026, 10, 1)).await;
    until("the node waits inside its transactions", 30, async || {
        site.one::<i64>(&format!("{backends} AND wait_event_type = 'Lock'")).await
            == i64::from(TENANTS)
    })
    .await;
    frozen.signal(Signal::STOP);
    lock.rollback().await.expect("unlock");
    until(
        "its backends have the lock one after another, and wait for their client",
        20,
        async || {
            site.one::<i64>(&format!("{backends} AND state = 'idle in transaction'")).await > 0
        },
    )
    .await;
    assert!(!site.ended(run).await);

    site.expire_leases(&[frozen.id]).await;
    let mut other = site.serve().await;
    assert_eq!(site.outcome(run).await, "succeeded");
    let bills = "SELECT string_agg(concat_ws('|', tenant_id, invoice_id, number, total, xmin), ',' ORDER BY number)
                   FROM app.invoices WHERE period_start = '2026-10-01'";
    let before: String = site.one(bills).await;
    let left: i64 = site.one(backends).await;
    assert_eq!(left, 0, "the frozen node's backends are terminated");

    frozen.signal(Signal::CONT);
    until("the woken node has seen its loss", 30, async || {
        let lost = frozen
            .logs()
            .iter()
            .filter(|l| l["message"].to_string().contains("lost its lease"))
            .count();
        lost == TENANTS as usize
    })
    .await;
    assert_eq!(site.one::<String>(bills).await, before, "rows after waking");
    let done: Vec<(i64, i64, i64)> = sqlx::query_as(
        "SELECT job_id, count(*) FILTER (WHERE outcome = 'done' AND node_id = $2),
                count(*) FILTER (WHERE outcome = 'lost')
           FROM yakin.job_history WHERE run_id = $1 AND kind = 'tenant' GROUP BY job_id ORDER BY job_id",
    )
    .bind(run)
    .bind(other.id)
    .fetch_all(&site.database.owner)
    .await
    .expect("history");
    assert_eq!(done.len(), TENANTS as usize);
    assert!(done.iter().all(|(_, done, lost)| (*done, *lost) == (1, 1)), "{done:?}");
    let numbered: i64 = site
        .one("SELECT sum(last_serial) FROM app.invoice_counters WHERE month = '2026-10-01'")
        .await;
    let billed: i64 =
        site.one("SELECT count(*) FROM app.invoices WHERE period_start = '2026-10-01'").await;
    assert_eq!((numbered, billed), (billed, i64::from(TENANTS)));

    // and it is a good node again: alone, it does the next work
    assert_eq!(other.terminate(20).await.code(), Some(0));
    let again = site.start("BATCH-204", date(2026, 10, 31)).await;
    assert_eq!(site.outcome(again).await, "succeeded");
    let (head, _) = frozen.get("/healthz", "*/*").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(frozen.stderr(), "");
}
