//! The rules and routes of deploy/prometheus: judged by their tools, and at work between real nodes and people.

#[path = "../common/mod.rs"]
mod common;
mod files;
mod servers;

use common::{Site, header, until};
use jiff::civil::date;
use servers::Monitoring;

/// The rule's instance of a failed run is this batch's.
const BATCH: (&str, &str) = ("job_name", "usage-aggregation");
const OURS: (&str, &str) = ("job", "yakin");

#[tokio::test(flavor = "multi_thread")]
async fn failures_and_gone_nodes_reach_people_and_so_does_the_sign_of_life() {
    let site = Site::with_sample(2).await;
    let (one, mut two) = tokio::join!(site.serve(), site.serve());
    let monitoring = Monitoring::start(&site.dir, &[&one.address, &two.address]).await;

    until("all rules were evaluated", 20, async || {
        let rules = monitoring.ask("/api/v1/rules").await.to_string();
        assert!(!rules.contains("\"health\":\"err\""), "{rules}");
        rules.contains("\"health\":\"ok\"") && !rules.contains("\"health\":\"unknown\"")
    })
    .await;

    // a sign of life, and another: its silence would be noticed
    until("the heart beats", 20, async || monitoring.told_to("heartbeat").len() >= 2).await;

    // a run that is open for long enough to be seen, and then fails
    site.sql("UPDATE yakin.queues SET paused = true").await;
    let failed = site.start("BATCH-204", date(2026, 10, 20)).await;
    until("the open run is scraped", 20, async || {
        let open = monitoring.ask("/api/v1/query?query=yakin_run_open_seconds").await;
        open["data"]["result"][0]["metric"][BATCH.0] == BATCH.1
    })
    .await;
    site.sql(
        "REVOKE SELECT ON app.api_call_logs FROM yakin_platform;
         UPDATE yakin.queues SET paused = false",
    )
    .await;
    let outcome = site.outcome(failed).await;
    assert!(outcome.starts_with("failed: prepare"), "{outcome}");
    let alert = monitoring.tells("critical", ("firing", "YakinJobFailed"), BATCH).await;
    assert_eq!(alert.label("outcome"), "failed");
    assert_eq!(alert.annotation("summary"), "usage-aggregation: a run ended failed");
    assert!(alert.annotation("runbook").contains("`yakin rerun RUN --failed`"), "{alert:?}");
    monitoring.tells("warning", ("firing", "YakinDeadLettersWaiting"), OURS).await;
    until("the failure was mailed", 20, async || {
        let mails = monitoring.mailed.mails();
        mails.iter().any(|mail| {
            let (to, subject) = (header(mail, "To"), header(mail, "Subject"));
            to == "admin@example.jp, operations@example.jp" && subject.contains("YakinJobFailed")
        })
    })
    .await;

    // by now each metric that the rules ask for was there
    let seen = monitoring.ask("/api/v1/label/__name__/values").await;
    let seen = seen["data"].as_array().expect("names");
    for name in files::metrics_in(&files::shipped("yakin.rules.yml")) {
        assert!(seen.contains(&name.as_str().into()), "no node shows {name}: {seen:?}");
    }

    // mended, done again
    site.sql("GRANT SELECT ON app.api_call_logs TO yakin_platform").await;
    let again = site.start("BATCH-204", date(2026, 10, 20)).await;
    assert_eq!(site.outcome(again).await, "succeeded");
    monitoring.tells("critical", ("resolved", "YakinJobFailed"), BATCH).await;

    // one node dies, then the other leaves: who hears that nobody answers need not hear of each
    let gone = one.address.clone();
    one.kill();
    monitoring.tells("warning", ("firing", "YakinNodeDown"), ("instance", &gone)).await;
    assert!(monitoring.active("YakinDown").await.is_empty());
    assert_eq!(two.terminate(20).await.code(), Some(0));
    monitoring.tells("critical", ("firing", "YakinDown"), OURS).await;
    until("which nodes are gone is no news any more", 20, async || {
        let down = monitoring.active("YakinNodeDown").await;
        down.len() == 2 && down.iter().all(|alert| alert["status"]["state"] == "suppressed")
    })
    .await;

    let signs = monitoring.told_to("heartbeat");
    assert!(signs.iter().all(|sign| sign.label("alertname") == "YakinWatchdog"), "{signs:?}");
    for receiver in ["critical", "warning"] {
        let told = monitoring.told_to(receiver);
        assert!(told.iter().all(|alert| alert.label("severity") == receiver), "{told:?}");
    }
}
