//! Alerts as mail, from serving nodes: once when one opens, once when it is resolved, and later where the relay was
//! down.

use crate::common::{Site, header, relay_of, until};
use yakin_testkit::stand_in::smtp::SmtpStandIn;

const ROUTE: &str = r#"
[[alerts]]
name = "ops"
channel = "email"
to = "ops@example.jp"
from_severity = "high"
"#;

/// A job of this batch gave up.
async fn die(site: &Site, job: i64, batch: &str, fingerprint: &str) {
    site.sql(&format!(
        "INSERT INTO yakin.dead_letters (tenant_id, job_id, job, batch_id, kind, cause, error, fingerprint, attempts, died_at)
         VALUES (0, {job}, '{{}}', '{batch}', 'global', 'data', 'it fell ill', '{fingerprint}', 4, '2026-11-01T00:59:00+09:00')"
    ))
    .await;
}

/// What a query counts comes to this much; rules and messages are looked at every five seconds.
async fn comes_to(site: &Site, what: &str, count: i64) {
    let sql = format!("SELECT count(*) FROM yakin.{what}");
    until(&format!("{count} {what}"), 30, async || site.one::<i64>(&sql).await == count).await;
}

/// The subjects that arrived, of letters that all go from the operator to the route's address.
fn subjects(relay: &SmtpStandIn) -> Vec<String> {
    let of_route = |letter: &_| {
        assert_eq!(header(letter, "To"), "ops@example.jp");
        assert_eq!(header(letter, "From"), "Yakin <billing@yakin.example>");
        header(letter, "Subject")
    };
    relay.mails().iter().map(of_route).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_mailed_once_when_it_opens_and_once_when_it_is_resolved() {
    let site = Site::new().await;
    let relay = relay_of(&site, ROUTE).await;
    let (mut one, mut two) = tokio::join!(site.serve(), site.serve());
    die(&site, 1, "BATCH-301", "quiet").await;
    die(&site, 2, "BATCH-406", "loud").await;
    comes_to(&site, "alert_messages WHERE state = 'sent'", 1).await;
    comes_to(&site, "alerts WHERE resolved_at IS NULL", 2).await;
    let opened = "[Yakin] high opened: dead_letter loud";
    assert_eq!(subjects(&relay), [opened]);
    let text = String::from_utf8(relay.mails()[0].raw.clone()).expect("UTF-8");
    assert!(text.contains("1 dead letters of BATCH-406: it fell ill"), "{text}");

    site.sql("UPDATE yakin.dead_letters SET state = 'discarded'").await;
    comes_to(&site, "alert_messages WHERE state = 'sent'", 2).await;
    for node in [&mut one, &mut two] {
        assert_eq!(node.terminate(20).await.code(), Some(0));
        assert_eq!(node.stderr(), "");
    }
    assert_eq!(subjects(&relay), [opened, "[Yakin] high resolved: dead_letter loud"]);
    comes_to(&site, "alert_messages", 2).await;
    comes_to(&site, "alerts WHERE resolved_at IS NOT NULL", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_whose_relay_is_down_is_mailed_when_it_is_up_again() {
    let site = Site::new().await;
    let relay = relay_of(&site, ROUTE).await;
    relay.set_down(true).await;
    let mut node = site.serve().await;
    die(&site, 1, "BATCH-406", "loud").await;
    let waits =
        "alert_messages WHERE state = 'pending' AND attempts = 1 AND error LIKE 'unreachable: %'
                    AND due_at = created_at + interval '30 seconds'";
    comes_to(&site, waits, 1).await;
    assert!(node.logs().iter().any(|l| l["message"] == "an alert was not delivered"));
    assert!(subjects(&relay).is_empty());

    relay.set_down(false).await;
    site.sql("UPDATE yakin.alert_messages SET due_at = created_at").await;
    comes_to(&site, "alert_messages WHERE state = 'sent' AND attempts = 2 AND error IS NULL", 1)
        .await;
    assert_eq!(node.terminate(20).await.code(), Some(0));
    assert_eq!(node.stderr(), "");
    assert_eq!(subjects(&relay), ["[Yakin] high opened: dead_letter loud"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_hangs_holds_up_no_other() {
    let site = Site::new().await;
    // takes calls and never answers
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = hanging.local_addr().expect("address");
    let credentials = site.dir.join("hook.json");
    let text = format!(
        "{{\"url\": \"http://{host}/hook\", \"key\": \"0123456789abcdef0123456789abcdef\"}}"
    );
    std::fs::write(&credentials, text).expect("credentials");
    let hook = format!(
        "[[alerts]]\nname = \"a-hook\"\nchannel = \"webhook\"\nfrom_severity = \"high\"\n\
         credentials_file = {credentials:?}\n{ROUTE}[outgoing]\nallow_alerts = [\"{host}\"]\n"
    );
    let relay = relay_of(&site, &hook).await;
    let mut node = site.serve().await;
    die(&site, 1, "BATCH-406", "loud").await;
    comes_to(&site, "alert_messages WHERE route = 'a-hook' AND real_taken IS NOT NULL", 1).await;
    until("the mail is there", 20, async || subjects(&relay).len() == 1).await;
    let waits = "alert_messages WHERE route = 'a-hook' AND state = 'pending' AND error IS NULL";
    comes_to(&site, waits, 1).await;
    assert_eq!(node.terminate(30).await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_morning_is_reported_once_with_what_waits_and_the_commands() {
    let site = Site::new().await;
    let relay = relay_of(&site, &ROUTE.replace("high", "critical")).await;
    site.sql(
        "INSERT INTO app.tenants (tenant_id, code, name, created_on) VALUES (7, 'acme', '株式会社アクメ', '2020-01-01');
         INSERT INTO yakin.batches (id, slug, title, spec, schedule) VALUES ('X-1', 'x', '夜の試験', '{}', 'manual');
         INSERT INTO yakin.runs (batch_id, trigger, requested_by, state, outcome, run_at, ended_at)
         SELECT 'X-1', 'operator', 'test', 'ended', 'partial', t, t FROM (VALUES (timestamptz '2026-11-01T02:00:00+09:00')) AS v (t);
         INSERT INTO yakin.run_tenants (run_id, tenant_id, state, reason, ended_at)
         SELECT id, 7, 'blocked', 'held: 12 of 20 would change', run_at FROM yakin.runs;
         INSERT INTO yakin.firings (batch_id, planned_at, due_at, state, outcome, reason, run_id, ended_at)
         SELECT 'X-1', run_at, run_at, 'ended', 'partial', '1 of 2 tenants blocked', id, run_at FROM yakin.runs",
    )
    .await;
    die(&site, 1, "BATCH-301", "quiet").await;
    let morning = "alert_messages WHERE what = 'morning'";
    let (mut one, mut two) = tokio::join!(site.serve(), site.serve());
    // the night is skipped: it is not time yet, and then it is
    let at = async |at: &str| {
        site.sql(&format!("UPDATE yakin.control SET virtual_now = '{at}', virtual_until = '{at}'"))
            .await;
        until("what was due has ended", 60, async || {
            site.one::<bool>("SELECT NOT EXISTS (SELECT FROM yakin.runs WHERE state <> 'ended')")
                .await
        })
        .await;
    };
    at("2026-11-01T08:29:00+09:00").await;
    comes_to(&site, morning, 0).await;
    at("2026-11-01T08:30:00+09:00").await;
    comes_to(&site, &format!("{morning} AND state = 'sent'"), 1).await;
    for node in [&mut one, &mut two] {
        assert_eq!(node.terminate(20).await.code(), Some(0));
    }
    comes_to(&site, morning, 1).await;
    let told: Vec<_> =
        relay.mails().into_iter().filter(|m| header(m, "Subject").contains("2026-11-01")).collect();
    assert_eq!(told.len(), 1);
    assert!(header(&told[0], "Subject").contains("waiting for a person"), "{:?}", told[0]);
    let text: String =
        site.one("SELECT message FROM yakin.alert_messages WHERE what = 'morning'").await;
    for line in [
        "From 2026-10-31 08:30 until 2026-11-01 08:30",
        "X-1  夜の試験: 1 partial",
        "X-1 run 1: acme blocked: held: 12 of 20 would change",
        "yakin unblock 1 --tenant acme --reason '…'",
        "BATCH-301 data: it fell ill",
        "yakin dead show 1; after mending: yakin dead requeue 1",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}
