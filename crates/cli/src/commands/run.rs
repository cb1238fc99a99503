//! `yakin run`, `yakin rerun`, `yakin unblock`: a run in the foreground, through the same queue as every other.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;
use yakin_engine::days::clock_text;
use yakin_engine::engine::Engine;
use yakin_engine::look::{self, RunRow};
use yakin_engine::node::{self, Options, Roles};
use yakin_engine::operate::runs::{self, Again, Wanted};
use yakin_engine::record::audit::Act;
use yakin_engine::registry::Registry;
use yakin_engine::tenant;

use super::night::days;
use crate::arguments::Run;
use crate::output::{End, UsageError, duration, grouped, json, line, outcome};
use crate::place::{Place, act, registry};

/// Runs a batch for a date, or each date of a range.
pub async fn run(place: &Place, wanted: &Run) -> anyhow::Result<End> {
    let registry = registry()?;
    let spec = registry.find(&wanted.batch).map_err(UsageError)?.spec();
    let dates = match &wanted.date {
        Some(text) => days(text)?.into_iter().map(Some).collect(),
        None => vec![None],
    };
    let params = wanted.param.iter().map(|p| key_value(p)).collect::<Result<Vec<_>, _>>()?;
    let act = act(&wanted.reason)?;
    let foreground = Foreground::join(place, &registry, spec.id).await?;
    let tenants = tenant::by_codes(&foreground.engine.pool, &wanted.tenant).await?;
    let mut end = End::Done;
    for date in dates {
        let want = Wanted {
            date,
            tenants: tenants.clone(),
            params: params.clone(),
            dry_run: wanted.dry_run,
        };
        let started = foreground.start(&registry, spec.id, want, &act).await;
        let ended = match started {
            Ok(run) => foreground.follow(run).await,
            Err(error) => Err(error),
        };
        match ended {
            Ok(row) => end = worse(end, tell(place, &row)?),
            Err(error) => {
                foreground.leave().await;
                return Err(error);
            }
        }
    }
    foreground.leave().await;
    Ok(end)
}

/// Runs an ended run again.
pub async fn rerun(place: &Place, run: i64, failed: bool, reason: &str) -> anyhow::Result<End> {
    again(place, run, if failed { Again::Failed } else { Again::All }, &act(reason)?).await
}

/// Releases blocked tenants of a run, on the record.
pub async fn unblock(
    place: &Place,
    run: i64,
    tenants: &[String],
    reason: &str,
) -> anyhow::Result<End> {
    let ids = tenant::by_codes(&place.pool().await?, tenants).await?;
    again(place, run, Again::Released(ids), &act(reason)?).await
}

async fn again(place: &Place, run: i64, again: Again, act: &Act) -> anyhow::Result<End> {
    let registry = registry()?;
    let batch = look::run(&place.pool().await?, run).await?.batch_id;
    let foreground = Foreground::join(place, &registry, &batch).await?;
    let now = foreground.engine.clock.now();
    let ended = match runs::rerun(&foreground.engine.pool, &registry, run, again, act, now).await {
        Ok(new) => foreground.follow(new).await,
        Err(error) => Err(error.into()),
    };
    foreground.leave().await;
    tell(place, &ended?)
}

fn key_value(text: &str) -> Result<(String, String), UsageError> {
    let (key, value) =
        text.split_once('=').ok_or_else(|| UsageError(format!("'{text}' is no KEY=VALUE")))?;
    Ok((key.to_owned(), value.to_owned()))
}

fn worse(a: End, b: End) -> End {
    match (a, b) {
        (End::Failed, _) | (_, End::Failed) => End::Failed,
        (End::Partial, _) | (_, End::Partial) => End::Partial,
        _ => End::Done,
    }
}

fn tell(place: &Place, run: &RunRow) -> anyhow::Result<End> {
    let word = run.outcome.as_deref().unwrap_or("open");
    if place.json {
        json(run)?;
    } else {
        let period = run.days().map(|d| format!(" {d}")).unwrap_or_default();
        let yen = run.amount_yen.map(|y| format!(" · {} yen", grouped(y))).unwrap_or_default();
        let dry = if run.dry_run { " (dry run)" } else { "" };
        line(format!(
            "run {}{period}: {}{dry} · tenants {}/{} · rows {}{yen} · {}",
            run.id,
            outcome(word),
            run.tenants_done,
            run.tenants_total,
            grouped(run.rows_written),
            duration(run.seconds)
        ));
        if let Some(plan) = &run.plan {
            line(serde_json::to_string_pretty(plan)?);
        }
        if let Some(reason) = &run.reason {
            line(format!("  {reason}"));
            line(format!("  yakin run-show {}", run.id));
        }
    }
    Ok(End::of(word))
}

/// How long what ends is gathered before the next look.
const GATHER: Duration = Duration::from_millis(50);

/// A node of one batch, for as long as a command waits for its run.
pub struct Foreground {
    pub engine: Arc<Engine>,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

impl Foreground {
    /// Joins as a node that works this batch alone.
    pub async fn join(
        place: &Place,
        registry: &Registry,
        batch: &str,
    ) -> anyhow::Result<Foreground> {
        let pool = place.working_pool().await?;
        let clock = place.clock(&pool).await?;
        let name = format!("foreground {}", std::process::id());
        let mut engine = Engine::join(pool, clock, registry.only(batch), &name, &["work"]).await?;
        crate::outside::provide(&mut engine, place)?;
        let engine = Arc::new(engine);
        let stop = CancellationToken::new();
        let options = Options {
            roles: Roles { plan: false, work: true },
            permits: super::serve::permits(&place.config),
            drain: Duration::from_secs(30),
        };
        let (node, url, stopping) = (engine.clone(), place.listen_url().to_owned(), stop.clone());
        let serving = tokio::spawn(async move { node::serve(node, options, &url, stopping).await });
        Ok(Foreground { engine, stop, serving })
    }

    /// Starts a run.
    pub async fn start(
        &self,
        registry: &Registry,
        batch: &str,
        want: Wanted,
        act: &Act,
    ) -> anyhow::Result<i64> {
        let now = self.engine.clock.now();
        Ok(runs::start(&self.engine.pool, registry, batch, want, "operator", act, now).await?)
    }

    /// Waits for the run's end, showing how far it is. Ctrl-C leaves the rest to the nodes.
    pub async fn follow(&self, run: i64) -> anyhow::Result<RunRow> {
        let bar = bar();
        let interrupted = tokio::signal::ctrl_c();
        tokio::pin!(interrupted);
        loop {
            self.engine.promote_step().await?;
            self.engine.advance_step().await?;
            let progress = look::progress(&self.engine.pool, run).await?;
            show(&bar, run, &progress);
            if progress.state == "ended" {
                // documents, exports: the run has ended, what it asked for goes on
                let left = look::follow_ups(&self.engine.pool, run).await?;
                if left == 0 {
                    bar.finish_and_clear();
                    return Ok(look::run(&self.engine.pool, run).await?);
                }
                bar.set_message(format!("run {run} · {left} follow-up jobs"));
            }
            let retry = progress.retry_at.map(|t| t.to_jiff());
            if let (Some(at), true) = (retry, self.engine.clock.is_set()) {
                bar.finish_and_clear();
                anyhow::bail!(
                    "run {run} tries again at {} of the database's virtual time",
                    clock_text(at)
                );
            }
            if progress.waiting_for.as_deref().is_some_and(|w| w.starts_with("approval")) {
                bar.finish_and_clear();
                return Ok(look::run(&self.engine.pool, run).await?);
            }
            tokio::select! {
                // jobs end in crowds: one look serves all of a moment
                () = self.engine.job_has_ended() => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
                _ = &mut interrupted => {
                    bar.finish_and_clear();
                    anyhow::bail!("left run {run} to the nodes; `yakin cancel {run} --reason …` stops it");
                }
            }
        }
    }

    /// Drains and leaves.
    pub async fn leave(self) {
        self.stop.cancel();
        let _ = self.serving.await;
    }
}

fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{spinner} {msg} [{bar:30}] {pos}/{len} {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn show(bar: &ProgressBar, run: i64, progress: &look::Progress) {
    let (done, total) = match (progress.done, progress.total) {
        (Some(done), Some(total)) if progress.phase.as_deref() != Some("tenants") => (done, total),
        _ => (progress.tenants_ended, progress.tenants_total),
    };
    bar.set_length(u64::try_from(total).unwrap_or(0));
    bar.set_position(u64::try_from(done).unwrap_or(0));
    let what = match (&progress.waiting_for, &progress.phase, progress.retry_at) {
        (Some(waiting), _, _) => format!("waiting for {waiting}"),
        (_, _, Some(at)) => format!("tries again at {}", clock_text(at.to_jiff())),
        (_, Some(phase), _) => phase.clone(),
        _ => progress.state.clone(),
    };
    bar.set_message(format!("run {run} · {what}"));
}
