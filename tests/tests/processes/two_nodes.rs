//! Nodes on one database that are killed and frozen again and again: in the end the month is as if nothing had
//! happened.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{Node, Site, until};
use crate::enemy::{Seeded, UnderFire};
use jiff::civil::{Date, date};

const TENANTS: u32 = 4;
/// The first day that is lived under kills; those before are lived calmly.
const FIRST: i8 = 23;

fn days(from: i8, to: i8) -> Vec<(&'static str, Date)> {
    (from..=to)
        .flat_map(|day| ["BATCH-204", "BATCH-301"].map(|batch| (batch, date(2026, 10, day))))
        .collect()
}

/// All that the month left, without the times and run numbers.
async fn digest(site: &Site) -> (String, String) {
    let usage = "SELECT md5(string_agg(concat_ws('|', tenant_id, usage_date, api_calls, api_users, active_users, sessions,
                        logins, reports_generated, api_bytes_out), ',' ORDER BY tenant_id, usage_date))
                        || ' of ' || count(*) FROM app.tenant_usage_daily";
    let bills = "SELECT string_agg(concat_ws('|', tenant_id, contract_id, number, state, total), E'\\n' ORDER BY number)
                   FROM app.invoices WHERE period_start >= '2026-10-01'";
    (site.one(usage).await, site.one(bills).await)
}

/// The node that may die: one whose jobs are not about to be given up for having lost two workers already.
async fn victim(site: &Site, nodes: &[Node], random: &mut Seeded) -> Option<usize> {
    let at = usize::try_from(random.below(nodes.len() as u64)).expect("index");
    let worn: bool = site
        .one(&format!(
            "SELECT EXISTS (SELECT FROM yakin.jobs WHERE node_id = {} AND state = 'running' AND tried ? 'lost')",
            nodes[at].id
        ))
        .await;
    (!worn).then_some(at)
}

/// Lives the rest of the month and bills it. Returns how many nodes were killed and how many frozen.
async fn live_under_fire(site: &Site, seed: u64) -> (usize, usize) {
    let mut random = Seeded(seed);
    let mut fire = UnderFire::begin(site).await;
    let mut next = 5;
    let over = AtomicBool::new(false);
    let operator = async {
        let mut wanted = days(FIRST, 31);
        wanted.push(("BATCH-302", date(2026, 10, 1)));
        for (batch, day) in wanted {
            let run = site.start(batch, day).await;
            assert_eq!(site.outcome(run).await, "succeeded", "{batch} of {day}");
        }
        let done =
            "SELECT NOT EXISTS (SELECT FROM yakin.jobs) AND NOT EXISTS (SELECT FROM yakin.arrivals)
                       AND NOT EXISTS (SELECT FROM yakin.runs WHERE state <> 'ended')";
        until("documents and exports are made", 120, async || site.one(done).await).await;
        over.store(true, Ordering::Relaxed);
    };
    let enemy = async {
        while !over.load(Ordering::Relaxed) {
            fire.pass().await;
            let (attempts, billing): (i64, bool) = sqlx::query_as(
                "SELECT (SELECT count(*) FROM yakin.job_history WHERE batch_id <> 'REALTIME_002'),
                        EXISTS (SELECT FROM yakin.runs WHERE batch_id = 'BATCH-302' AND state <> 'ended')",
            )
            .fetch_one(&site.database.owner)
            .await
            .expect("history");
            if attempts < next {
                continue;
            }
            let Some(at) = victim(site, &fire.nodes, &mut random).await else { continue };
            if random.below(3) == 0 {
                fire.freeze(at).await;
            } else {
                fire.kill(at).await;
            }
            let step = if billing { 2 } else { 20 };
            next = attempts + 1 + i64::try_from(random.below(step)).expect("step");
        }
    };
    tokio::join!(operator, enemy);
    fire.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_frozen_nodes_lose_nothing_and_do_nothing_twice() {
    let (calm, site) = tokio::join!(Site::with_sample(TENANTS), Site::with_sample(TENANTS));
    let mut month = days(1, 31);
    month.push(("BATCH-302", date(2026, 10, 1)));
    let before = days(1, FIRST - 1);
    tokio::join!(calm.calmly(&month), site.calmly(&before));
    let files = site.dir.join("files");
    std::fs::create_dir(&files).expect("files");
    std::fs::write(files.join(".yakin-store"), "the nodes of this test share it").expect("marker");
    site.configure(&format!("[storage]\nurl = \"file://{}\"\n", files.display()));

    let (killed, frozen) = live_under_fire(&site, 0x5EED_2026).await;
    let told = format!("{killed} kills and {frozen} freezes");
    assert!(killed >= 4 && frozen >= 1, "{told} prove nothing");

    let (calm_usage, calm_bills) = digest(&calm).await;
    let (usage, bills) = digest(&site).await;
    assert_eq!(usage, calm_usage);
    assert_eq!(bills, calm_bills);
    let none = async |what: &str, sql: &str| {
        let found: i64 = site.one(&format!("SELECT count(*) FROM ({sql}) AS found")).await;
        assert_eq!(found, 0, "{what}");
    };
    none("open runs", "SELECT FROM yakin.runs WHERE state <> 'ended'").await;
    none("left jobs", "SELECT FROM yakin.jobs").await;
    none("dead letters", "SELECT FROM yakin.dead_letters").await;
    none("lanes that count jobs", "SELECT FROM yakin.lanes WHERE running <> 0").await;
    none(
        "jobs done twice",
        "SELECT job_id FROM yakin.job_history WHERE outcome = 'done' GROUP BY job_id HAVING count(*) > 1",
    )
    .await;
    none(
        "days without usage, or with it twice",
        "SELECT t.tenant_id, d FROM app.tenants t
                CROSS JOIN generate_series('2026-10-01'::date, '2026-10-31', '1 day') d
           LEFT JOIN app.tenant_usage_daily u ON u.tenant_id = t.tenant_id AND u.usage_date = d
          GROUP BY 1, 2 HAVING count(u.usage_date) <> 1",
    )
    .await;
    none(
        "contracts billed twice",
        "SELECT FROM app.invoices GROUP BY tenant_id, contract_id, period_start HAVING count(*) > 1",
    )
    .await;
    none(
        "invoices without a document, or not exported once",
        "SELECT FROM app.invoices WHERE period_start >= '2026-10-01'
            AND (document_ready_at IS NULL OR (exported_at IS NULL) <> (held_at IS NOT NULL))",
    )
    .await;
    none(
        "gaps in the numbers",
        "SELECT FROM app.invoices WHERE period_start >= '2026-10-01' GROUP BY tenant_id, period_start
         HAVING max(right(number, 4)::integer) <> count(*)
             OR max(right(number, 4)::integer) <> (SELECT max(last_serial) FROM app.invoice_counters c
                 WHERE c.tenant_id = invoices.tenant_id AND c.month = invoices.period_start)",
    )
    .await;
    let lost: i64 = site.one("SELECT count(*) FROM yakin.job_history WHERE outcome = 'lost'").await;
    assert!(lost > 0, "{told} hit no node at work: they prove nothing");
    println!("{told}, {lost} attempts lost");
    let gone: i64 = site.one("SELECT count(*) FROM yakin.nodes WHERE real_ended IS NOT NULL").await;
    assert_eq!(gone, 4, "the calm node, two that were told to stop and the watcher said goodbye");
}
