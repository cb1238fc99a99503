//! What a node that has worked tells Prometheus and the log.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::common::{Site, until};
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
        // what has not happened yet is 0: its first time is an increase
        r#"batch_job_total{job_name="usage-aggregation",status="failure"} 0"#,
        r#"yakin_runs_total{outcome="failed"} 0"#,
        r#"yakin_firings_total{outcome="missed"} 0"#,
        r#"yakin_open_alerts{rule="run_failed",severity="critical"} 0"#,
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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_and_what_failed_is_shown_until_it_is_over() {
    let site = Site::with_sample(1).await;
    let node = site.serve().await;
    let shown = async |name: &str| {
        let page = node.get("/metrics", "*/*").await.1;
        let line = page.lines().find(|l| l.starts_with(name));
        line.map(|l| l.rsplit(' ').next().expect("a value").parse::<f64>().expect("a number"))
    };
    let job = slug("BATCH-204");
    let open = format!("yakin_run_open_seconds{{job_name=\"{job}\"}}");
    let failed =
        format!("yakin_failed_runs{{job_name=\"{job}\",outcome=\"failed\",severity=\"high\"}}");
    let alert = r#"yakin_open_alerts{rule="run_failed",severity="high"}"#;
    assert_eq!((shown(&open).await, shown(&failed).await), (None, None));

    site.sql("UPDATE yakin.queues SET paused = true").await;
    let run = site.start("BATCH-204", date(2026, 10, 20)).await;
    until("the run is shown as open", 10, async || shown(&open).await.is_some()).await;
    site.sql("UPDATE yakin.runs SET real_started = real_started - interval '2 hours'").await;
    let seconds = shown(&open).await.expect("an open run");
    assert!((7200.0..7260.0).contains(&seconds), "{seconds}");
    assert_eq!(shown(r#"batch_queue_size{queue_name="default"}"#).await, Some(1.0));

    site.sql(
        "REVOKE SELECT ON app.api_call_logs FROM yakin_platform;
         UPDATE yakin.queues SET paused = false",
    )
    .await;
    let outcome = site.outcome(run).await;
    assert!(outcome.starts_with("failed"), "{outcome}");
    assert_eq!(shown(&open).await, None);
    until("the failure is shown", 20, async || shown(&failed).await == Some(1.0)).await;
    assert_eq!(shown(alert).await, Some(1.0));
    assert_eq!(shown("yakin_dead_letters").await, Some(1.0));

    site.sql("GRANT SELECT ON app.api_call_logs TO yakin_platform").await;
    let run = site.start("BATCH-204", date(2026, 10, 20)).await;
    assert_eq!(site.outcome(run).await, "succeeded");
    until("the failure is healed", 20, async || shown(&failed).await.is_none()).await;
    assert_eq!(shown(alert).await, Some(0.0));
    promtool(&node.get("/metrics", "*/*").await.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_node_that_plans_says_how_far_its_planner_is_behind() {
    let site = Site::new().await;
    let works = |command: &mut Command| {
        command.args(["--roles", "work,api"]);
    };
    let (plans, works) = tokio::join!(site.serve(), site.serve_by(works));
    let name = "yakin_planner_behind_seconds";
    let page = plans.get("/metrics", "*/*").await.1;
    let line = page.lines().find(|l| l.starts_with(name)).expect("the planner's line");
    let behind: f64 = line.split(' ').next_back().expect("a value").parse().expect("a number");
    assert!((0.0..30.0).contains(&behind), "{line}");
    promtool(&page);
    let page = works.get("/metrics", "*/*").await.1;
    assert!(!page.contains(name) && page.contains("yakin_dead_letters 0"), "{page}");
}

fn slug(id: &str) -> &'static str {
    let registry = yakin_catalogue::registry().expect("catalogue");
    registry.find(id).expect("batch").spec().slug
}
