//! What a node that has worked tells Prometheus and the log.

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use common::{Site, until};
use jiff::civil::date;

/// Pipes a metrics page through `promtool check metrics`.
fn promtool(text: &str) {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is not on PATH: install Prometheus' promtool, or run scripts/test, which does");
    child.stdin.take().expect("stdin").write_all(text.as_bytes()).expect("page");
    let output = child.wait_with_output().expect("promtool");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "promtool: {said}\n{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_worked_shows_it() {
    let site = Site::with_sample(2).await;
    let node = site.serve().await;
    promtool(&node.get("/metrics", "*/*").await.1);
    let run = site.start("BATCH-204", date(2026, 10, 20)).await;
    assert_eq!(site.outcome(run).await, "succeeded");

    let wanted = [
        r#"batch_job_total{job_name="usage-aggregation",status="success"} 1"#,
        r#"batch_job_duration_seconds_count{job_name="usage-aggregation",status="success"} 1"#,
        r#"batch_queue_size{queue_name="default"} 0"#,
    ];
    let wanted = wanted.map(|w| w.replace("usage-aggregation", slug("BATCH-204")));
    let mut page = (String::new(), String::new());
    until("the run is counted", 10, async || {
        page = node.get("/metrics", "*/*").await;
        page.1.contains(&wanted[0])
    })
    .await;
    for line in &wanted {
        assert!(page.1.lines().any(|l| l == line), "{line} is missing in\n{}", page.1);
    }
    assert!(page.0.contains("text/plain; version=0.0.4"), "{}", page.0);
    promtool(&page.1);

    // Prometheus itself asks for OpenMetrics
    let (head, open) =
        node.get("/metrics", "application/openmetrics-text;version=1.0.0,*/*;q=0.1").await;
    assert!(head.contains("application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(open.ends_with("# EOF\n"), "{open}");
    for line in &wanted {
        assert!(open.lines().any(|l| l == line), "{line} is missing in\n{open}");
    }

    let logs = node.logs(); // each line has been parsed
    for line in &logs {
        for key in ["timestamp", "level", "message"] {
            assert!(line[key].is_string(), "{key} is missing: {line}");
        }
        let at = line["timestamp"].as_str().expect("timestamp");
        assert!(at.parse::<jiff::Timestamp>().is_ok(), "{at}");
        assert!(
            ["debug", "info", "warn", "error"].contains(&line["level"].as_str().expect("level"))
        );
    }
    let of_jobs: Vec<_> = logs.iter().filter(|l| l["jobId"].is_string()).collect();
    assert!(!of_jobs.is_empty(), "no line of a job: {logs:?}");
    for line in of_jobs {
        assert_eq!(line["jobName"], slug("BATCH-204"), "{line}");
        assert_eq!(line["run"], run, "{line}");
        assert!(line["attempt"] == 1 && line["metadata"].is_object(), "{line}");
    }
    let ended =
        logs.iter().find(|l| l["message"] == "run ended: succeeded").expect("the run's end");
    assert!(ended["duration"].is_f64() && ended["jobName"] == slug("BATCH-204"), "{ended}");
    assert_eq!(node.stderr(), "");
}

fn slug(id: &str) -> &'static str {
    let registry = yakin_catalogue::registry().expect("catalogue");
    registry.find(id).expect("batch").spec().slug
}
