//! Prometheus metrics with the specification's names, and Yakin's own beside them.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry as Page;
use sqlx::postgres::PgPool;

use super::advance::Ending;
use crate::registry::Registry;

/// How a run ends, and with it its firing.
const RUN_OUTCOMES: [&str; 5] = ["succeeded", "partial", "failed", "cancelled", "skipped"];
/// How a firing ends without a run, besides.
const MISSED: &str = "missed";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct JobLabels {
    job_name: String,
    status: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct QueueLabels {
    queue_name: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OpenLabels {
    job_name: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet, sqlx::FromRow)]
struct FailedLabels {
    job_name: String,
    outcome: String,
    severity: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet, sqlx::FromRow)]
struct AlertLabels {
    rule: String,
    severity: String,
}

/// The metrics of a node.
#[derive(Clone, Debug)]
pub struct Metrics {
    page: Arc<Mutex<Page>>,
    durations: Family<JobLabels, Histogram>,
    totals: Family<JobLabels, Counter>,
    queue_size: Family<QueueLabels, Gauge>,
    runs: Family<OutcomeLabels, Counter>,
    firings: Family<OutcomeLabels, Counter>,
    open_seconds: Family<OpenLabels, Gauge<f64, AtomicU64>>,
    failed_runs: Family<FailedLabels, Gauge>,
    dead_letters: Gauge,
    open_alerts: Family<AlertLabels, Gauge>,
    planner_behind: Gauge<f64, AtomicU64>,
}

impl Metrics {
    /// Counters of these batches stand at 0 from the start: a first failure is then an increase like any other.
    pub(crate) fn new(registry: &Registry, plans: bool) -> Metrics {
        let buckets =
            || Histogram::new([0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 10_800.0]);
        let metrics = Metrics {
            page: Arc::default(),
            durations: Family::new_with_constructor(buckets),
            totals: Family::default(),
            queue_size: Family::default(),
            runs: Family::default(),
            firings: Family::default(),
            open_seconds: Family::default(),
            failed_runs: Family::default(),
            dead_letters: Gauge::default(),
            open_alerts: Family::default(),
            planner_behind: Gauge::default(),
        };
        metrics.put_on_page(plans);
        for batch in registry.all() {
            for status in ["success", "failure"] {
                metrics.total(batch.spec().slug, status);
            }
        }
        for outcome in RUN_OUTCOMES {
            let labels = OutcomeLabels { outcome: outcome.to_owned() };
            metrics.runs.get_or_create_owned(&labels);
            metrics.firings.get_or_create_owned(&labels);
        }
        metrics.firings.get_or_create_owned(&OutcomeLabels { outcome: MISSED.to_owned() });
        metrics
    }

    fn put_on_page(&self, plans: bool) {
        let mut page = self.page.lock().unwrap_or_else(PoisonError::into_inner);
        page.register(
            "batch_job_duration_seconds",
            "Duration of batch runs in seconds",
            self.durations.clone(),
        );
        page.register("batch_job", "Number of batch runs that ended", self.totals.clone());
        page.register("batch_queue_size", "Unfinished jobs by queue", self.queue_size.clone());
        page.register("yakin_runs", "Runs that ended on this node, by outcome", self.runs.clone());
        page.register(
            "yakin_firings",
            "Firings that ended on this node, by outcome",
            self.firings.clone(),
        );
        page.register(
            "yakin_run_open_seconds",
            "How long the longest-running run of a batch has been running",
            self.open_seconds.clone(),
        );
        page.register(
            "yakin_failed_runs",
            "Runs that failed somebody and that nothing has healed, by batch",
            self.failed_runs.clone(),
        );
        page.register(
            "yakin_dead_letters",
            "Dead letters that wait for a person",
            self.dead_letters.clone(),
        );
        page.register(
            "yakin_open_alerts",
            "Alerts that are open, by rule and severity",
            self.open_alerts.clone(),
        );
        if plans {
            page.register(
                "yakin_planner_behind_seconds",
                "Seconds since this node's planner last finished a step",
                self.planner_behind.clone(),
            );
        }
    }

    fn total(&self, job_name: &str, status: &str) -> Counter {
        let labels = JobLabels { job_name: job_name.to_owned(), status: status.to_owned() };
        self.totals.get_or_create_owned(&labels)
    }

    /// One observation a run: `success`, or `failure` (partial, failed, cancelled and skipped for missing needs).
    pub(crate) fn run_ended(&self, ending: &Ending) {
        let status = if ending.outcome == "succeeded" { "success" } else { "failure" };
        let labels = JobLabels { job_name: ending.slug.clone(), status: status.to_owned() };
        self.durations.get_or_create(&labels).observe(ending.seconds);
        self.total(&ending.slug, status).inc();
        self.runs.get_or_create(&OutcomeLabels { outcome: ending.outcome.clone() }).inc();
        if ending.by_firing {
            self.firing_ended(&ending.outcome);
        }
    }

    /// A firing that ended: as its run did, or without one (skipped, missed).
    pub(crate) fn firing_ended(&self, outcome: &str) {
        self.firings.get_or_create(&OutcomeLabels { outcome: outcome.to_owned() }).inc();
    }

    /// The text of `/metrics` in the OpenMetrics format, with gauges read from the database now. `planner_behind` is
    /// shown by nodes that plan, in seconds.
    pub async fn text(&self, pool: &PgPool, planner_behind: f64) -> Result<String, sqlx::Error> {
        let seen = Seen::now(pool).await?;
        // what is asked for twice at once is shown whole both times
        let page = self.page.lock().unwrap_or_else(PoisonError::into_inner);
        self.show(seen);
        self.planner_behind.set(planner_behind);
        let mut text = String::new();
        encode(&mut text, &page).map_err(|e| sqlx::Error::Protocol(e.to_string()))?;
        Ok(text)
    }

    fn show(&self, seen: Seen) {
        for (queue_name, size) in seen.queues {
            self.queue_size.get_or_create(&QueueLabels { queue_name }).set(size);
        }
        self.open_seconds.clear(); // what has ended is gone
        for (job_name, seconds) in seen.open {
            self.open_seconds.get_or_create(&OpenLabels { job_name }).set(seconds);
        }
        self.failed_runs.clear();
        for failed in seen.failed {
            self.failed_runs.get_or_create(&failed.of).set(failed.count);
        }
        self.dead_letters.set(seen.dead_letters);
        for alerts in seen.alerts {
            self.open_alerts.get_or_create(&alerts.of).set(alerts.count);
        }
    }
}

/// What the gauges show.
struct Seen {
    queues: Vec<(String, i64)>,
    /// By batch, in seconds.
    open: Vec<(String, f64)>,
    failed: Vec<Counted<FailedLabels>>,
    dead_letters: i64,
    alerts: Vec<Counted<AlertLabels>>,
}

#[derive(sqlx::FromRow)]
struct Counted<T> {
    #[sqlx(flatten)]
    of: T,
    count: i64,
}

impl Seen {
    async fn now(pool: &PgPool) -> Result<Seen, sqlx::Error> {
        let queues = sqlx::query_as(
            "SELECT q.name, count(j.id) FROM yakin.queues q LEFT JOIN yakin.jobs j ON j.queue = q.name
              GROUP BY q.name ORDER BY q.name",
        );
        let open = sqlx::query_as(
            "SELECT b.slug, max(extract(epoch FROM clock_timestamp() - r.real_started))::float8
               FROM yakin.runs r JOIN yakin.batches b ON b.id = r.batch_id
              WHERE r.state = 'running' GROUP BY b.slug ORDER BY b.slug",
        );
        let dead_letters =
            sqlx::query_scalar("SELECT count(*) FROM yakin.dead_letters WHERE state = 'waiting'");
        Ok(Seen {
            queues: queues.fetch_all(pool).await?,
            open: open.fetch_all(pool).await?,
            failed: sqlx::query_as(include_str!("metrics_failed_runs.sql")).fetch_all(pool).await?,
            dead_letters: dead_letters.fetch_one(pool).await?,
            alerts: sqlx::query_as(include_str!("metrics_alerts.sql")).fetch_all(pool).await?,
        })
    }
}

/// OpenMetrics text in the classic format (version 0.0.4), which names a counter's family as its samples.
pub fn classic(open_metrics: &str) -> String {
    let mut counters: Vec<&str> = Vec::new();
    for line in open_metrics.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["#", "TYPE", family, "counter"] = words[..] {
            counters.push(family);
        }
    }
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        let told = (words.next(), words.next(), words.next(), words.next());
        match told {
            (Some("#"), Some("EOF" | "UNIT"), ..) => continue,
            (Some("#"), Some(what), Some(family), Some(rest)) if counters.contains(&family) => {
                text.push_str(&format!("# {what} {family}_total {rest}"));
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classic_text_names_counters_by_their_samples() {
        let open = "# HELP a Some runs.\n# TYPE a counter\na_total{x=\"1\"} 2\n# TYPE b gauge\nb 1\n# EOF\n";
        let wanted = "# HELP a_total Some runs.\n# TYPE a_total counter\na_total{x=\"1\"} 2\n# TYPE b gauge\nb 1\n";
        assert_eq!(classic(open), wanted);
    }
}
