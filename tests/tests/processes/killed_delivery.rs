//! Nodes that are killed and frozen while their letters are under way: each letter arrives once, is known to be
//! uncertain, or was urgent and is repeated under the same Message-ID. None is lost.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::{Node, Site, header, relay_of, slow};
use crate::enemy::{Seeded, UnderFire};
use yakin_testkit::stand_in::smtp::{Received, SmtpStandIn};

const TENANTS: i64 = 4;
const EACH: i64 = 18;
const URGENT: i16 = 1;
/// Nodes that are killed or frozen, at the most.
const ATTACKS: usize = 8;
/// Pairs of runs in which all must have ended; without a fault one is enough.
const ROUNDS: usize = 8;

/// Tenants with mail that is due, every sixth letter of it urgent.
async fn write_mail(site: &Site) {
    site.sql(&format!(
        "INSERT INTO app.tenants (code, name, created_on)
         SELECT 't' || n, '株式会社見本' || n, '2026-01-01' FROM generate_series(1, {TENANTS}) n;
         INSERT INTO app.deliveries (tenant_id, source, source_id, channel, recipient, sender, priority, subject, body,
                                     due_at, expires_at, created_at)
         SELECT t.tenant_id, 'notification', n, 'email', format('p%s@%s.example.jp', n, t.code), 'platform',
                CASE n % 6 WHEN 0 THEN 1 WHEN 1 THEN 3 ELSE 2 END,
                format('letter %s of %s', n, t.code), E'本文\\nthe second line',
                '2026-11-01T00:30:00+09:00', '2026-11-08T00:30:00+09:00', '2026-11-01T00:30:00+09:00'
           FROM app.tenants t, generate_series(1, {EACH}) n",
    ))
    .await;
}

/// Runs first and later attempts in turns until no letter waits or is under way; returns how many pairs it took.
async fn deliver(site: &Site) -> usize {
    let open =
        "SELECT count(*) FROM app.deliveries WHERE state IN ('pending', 'sending', 'retry_wait')";
    for round in 0..=ROUNDS {
        if site.one::<i64>(open).await == 0 {
            return round;
        }
        for batch in ["BATCH-406", "BATCH-402"] {
            let run = site.start(batch, None).await;
            println!("{batch}, run {run}: {}", site.outcome(run).await);
        }
    }
    let left = site.one::<String>(
        "SELECT string_agg(format('%s/%s %s', tenant_id, delivery_id, state), ', ') FROM app.deliveries
          WHERE state IN ('pending', 'sending', 'retry_wait')",
    );
    panic!("after {ROUNDS} rounds there are left: {}", left.await);
}

/// One of the nodes that hold letters, if any does.
async fn victim(site: &Site, nodes: &[Node], random: &mut Seeded) -> Option<usize> {
    let senders: Vec<i64> = sqlx::query_scalar(
        "SELECT DISTINCT j.node_id FROM app.deliveries d JOIN yakin.jobs j ON (j.id, j.token) = (d.job_id, d.token)",
    )
    .fetch_all(&site.database.owner)
    .await
    .expect("senders");
    let at: Vec<usize> = (0..nodes.len()).filter(|n| senders.contains(&nodes[*n].id)).collect();
    let drawn = (!at.is_empty()).then(|| random.below(at.len() as u64))?;
    Some(at[usize::try_from(drawn).expect("index")])
}

/// Delivers while nodes that have letters under way are killed or frozen. Returns how many were.
async fn deliver_under_fire(site: &Site, relay: &SmtpStandIn, seed: u64) -> (usize, usize) {
    let mut random = Seeded(seed);
    let mut fire = UnderFire::begin(site).await;
    let mut next = 6;
    let over = AtomicBool::new(false);
    let operator = async {
        let rounds = deliver(site).await;
        over.store(true, Ordering::Relaxed);
        rounds
    };
    let enemy = async {
        while !over.load(Ordering::Relaxed) {
            fire.pass().await;
            let (killed, frozen) = fire.fallen();
            if relay.mails().len() < next || killed + frozen >= ATTACKS {
                continue;
            }
            let Some(at) = victim(site, &fire.nodes, &mut random).await else { continue };
            if random.below(4) == 0 {
                fire.freeze(at).await;
            } else {
                fire.kill(at).await;
            }
            next = relay.mails().len() + 1 + usize::try_from(random.below(12)).expect("step");
        }
    };
    let (rounds, ()) = tokio::join!(operator, enemy);
    let (killed, frozen) = fire.end().await;
    println!("{rounds} rounds, {killed} kills, {frozen} freezes");
    (killed, frozen)
}

/// A letter's row, and the attempts that its history counts.
#[derive(Debug, sqlx::FromRow)]
struct Row {
    key: String,
    recipient: String,
    priority: i16,
    state: String,
    sent: i64,
    lost: i64,
}

/// What the relay took, by Message-ID.
fn by_id(letters: &[Received]) -> BTreeMap<String, Vec<&Received>> {
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for letter in letters {
        found.entry(header(letter, "Message-ID")).or_default().push(letter);
    }
    found
}

/// One letter: what the relay has of it is what its row says.
fn judge(row: &Row, taken: &[&Received]) {
    let times = i64::try_from(taken.len()).expect("count");
    for letter in taken {
        assert_eq!((&letter.to, &letter.raw), (&vec![row.recipient.clone()], &taken[0].raw));
    }
    let told = format!("taken {times} times: {row:?}");
    match (row.state.as_str(), row.priority) {
        // at least once, and again only after an attempt that was lost while it was under way
        ("sent", URGENT) => {
            assert!(row.sent == 1 && (1..=1 + row.lost).contains(&times), "{told}");
        }
        ("sent", _) => assert_eq!((row.sent, row.lost, times), (1, 0, 1), "{told}"),
        ("uncertain", priority) if priority != URGENT => {
            assert!((row.sent, row.lost) == (0, 1) && times <= 1, "{told}");
        }
        _ => panic!("neither sent nor uncertain, {told}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_of_killed_nodes_are_not_lost_and_not_sent_twice() {
    let site = Site::new().await;
    let relay = relay_of(&site, "").await;
    slow(&relay, Duration::from_millis(4), Duration::from_millis(150));
    write_mail(&site).await;

    let (killed, frozen) = deliver_under_fire(&site, &relay, 0x5EED_0406).await;

    let rows: Vec<Row> = sqlx::query_as(
        "SELECT format('<yakin.%s.%s@yakin.example>', d.tenant_id, d.delivery_id) AS key, d.recipient, d.priority, d.state,
                count(*) FILTER (WHERE a.answer = 'sent') AS sent, count(*) FILTER (WHERE a.answer = 'uncertain') AS lost
           FROM app.deliveries d LEFT JOIN app.delivery_attempts a USING (tenant_id, delivery_id)
          GROUP BY d.tenant_id, d.delivery_id",
    )
    .fetch_all(&site.database.owner)
    .await
    .expect("rows");
    assert_eq!(rows.len(), usize::try_from(TENANTS * EACH).expect("count"));
    let letters = relay.mails();
    let mut taken = by_id(&letters);
    for row in &rows {
        judge(row, &taken.remove(&row.key).unwrap_or_default());
    }
    assert!(taken.is_empty(), "letters of no row: {:?}", taken.keys());

    // at most one letter of each lost attempt is uncertain
    let attempts: i64 = site
        .one("SELECT count(*) FROM yakin.job_history WHERE cause = 'lost' AND kind = 'tenant'")
        .await;
    let lost: i64 = rows.iter().map(|r| r.lost).sum();
    assert!(lost <= attempts, "{lost} letters uncertain, {attempts} attempts lost");
    let told =
        format!("{killed} kills, {frozen} freezes, {attempts} attempts lost, {lost} letters");
    let uncertain = rows.iter().filter(|r| r.state == "uncertain").count();
    let repeated = rows.iter().filter(|r| r.priority == URGENT && r.lost > 0).count();
    println!("{told}; {uncertain} uncertain, {repeated} repeated");
    assert!(killed >= 4 && uncertain > 0 && repeated > 0, "{told} prove nothing");
}
