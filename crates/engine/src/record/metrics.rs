//! Prometheus metrics with the specification's names, and Yakin's own beside them.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use sqlx::postgres::PgPool;

use super::advance::Ending;

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

/// The metrics of a node.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    durations: Family<JobLabels, Histogram>,
    totals: Family<JobLabels, Counter>,
    queue_size: Family<QueueLabels, Gauge>,
    runs: Family<OutcomeLabels, Counter>,
    firings: Family<OutcomeLabels, Counter>,
    dead_letters: Gauge,
    open_alerts: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        let buckets =
            || Histogram::new([0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 10_800.0]);
        let metrics = Metrics {
            registry: Arc::default(),
            durations: Family::new_with_constructor(buckets),
            totals: Family::default(),
            queue_size: Family::default(),
            runs: Family::default(),
            firings: Family::default(),
            dead_letters: Gauge::default(),
            open_alerts: Gauge::default(),
        };
        {
            let mut registry = metrics.registry.lock().unwrap_or_else(PoisonError::into_inner);
            registry.register(
                "batch_job_duration_seconds",
                "Duration of batch runs in seconds",
                metrics.durations.clone(),
            );
            registry.register(
                "batch_job",
                "Number of batch runs that ended",
                metrics.totals.clone(),
            );
            registry.register(
                "batch_queue_size",
                "Unfinished jobs by queue",
                metrics.queue_size.clone(),
            );
            registry.register(
                "yakin_runs",
                "Runs that ended on this node, by outcome",
                metrics.runs.clone(),
            );
            registry.register(
                "yakin_firings",
                "Firings that ended on this node, by outcome",
                metrics.firings.clone(),
            );
            registry.register(
                "yakin_dead_letters",
                "Dead letters that wait for a person",
                metrics.dead_letters.clone(),
            );
            registry.register(
                "yakin_open_alerts",
                "Alerts that are open",
                metrics.open_alerts.clone(),
            );
        }
        metrics
    }

    /// One observation a run: `success`, or `failure` (partial, failed, cancelled and skipped for missing needs).
    pub(crate) fn run_ended(&self, ending: &Ending) {
        let status = if ending.outcome == "succeeded" { "success" } else { "failure" };
        let labels = JobLabels { job_name: ending.slug.clone(), status: status.to_owned() };
        self.durations.get_or_create(&labels).observe(ending.seconds);
        self.totals.get_or_create(&labels).inc();
        self.runs.get_or_create(&OutcomeLabels { outcome: ending.outcome.clone() }).inc();
        if ending.by_firing {
            self.firing_ended(&ending.outcome);
        }
    }

    /// A firing that ended: as its run did, or without one (skipped, missed).
    pub(crate) fn firing_ended(&self, outcome: &str) {
        self.firings.get_or_create(&OutcomeLabels { outcome: outcome.to_owned() }).inc();
    }

    /// The text of `/metrics` in the OpenMetrics format, with gauges read from the database now.
    pub async fn text(&self, pool: &PgPool) -> Result<String, sqlx::Error> {
        let sizes: Vec<(String, i64)> = sqlx::query_as(
            "SELECT q.name, count(j.id) FROM yakin.queues q LEFT JOIN yakin.jobs j ON j.queue = q.name
              GROUP BY q.name ORDER BY q.name",
        )
        .fetch_all(pool)
        .await?;
        for (queue_name, size) in sizes {
            self.queue_size.get_or_create(&QueueLabels { queue_name }).set(size);
        }
        let (dead, alerts): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM yakin.dead_letters WHERE state = 'waiting'),
                    (SELECT count(*) FROM yakin.alerts WHERE resolved_at IS NULL)",
        )
        .fetch_one(pool)
        .await?;
        self.dead_letters.set(dead);
        self.open_alerts.set(alerts);
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        encode(&mut text, &registry).map_err(|e| sqlx::Error::Protocol(e.to_string()))?;
        Ok(text)
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
