//! `yakin demo`: one night of a 1st over sample tenants, through the real planner, queue and workers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use sqlx::postgres::PgPool;
use sqlx::{Connection, Executor};
use tokio_util::sync::CancellationToken;
use yakin_adapters::Keys;
use yakin_domain::sample::{SampleReport, SampleSpec, generate, store_some};
use yakin_engine::clock::{Clock, tokyo};
use yakin_engine::database;
use yakin_engine::days::{Days, after, day_of};
use yakin_engine::engine::{Engine, set_virtual_time};
use yakin_engine::node::{self, Options, Roles};
use yakin_engine::operate::runs::{Wanted, start};
use yakin_engine::record::audit::Act;
use yakin_engine::tenant;

use super::serve::{LISTEN, run_node, stop_signal};
use crate::arguments::{Arguments, Demo};
use crate::config::Config;
use crate::output::{End, grouped, line, paint};
use crate::place::{Place, data_dir, registry};

/// Lives the night and tells of it; then serves on, unless told to end.
pub async fn demo(arguments: &Arguments, demo: &Demo) -> anyhow::Result<End> {
    crate::logging::start("error,yakin::run=off");
    let began = Instant::now();
    let mut config = Config::read(arguments.config.as_deref())?;
    let dir = data_dir()?.join("demo");
    let outside = super::demo_outside::arrange(&mut config, &dir)?;
    step(&format!("a private PostgreSQL in {}", dir.display()));
    let place = Place::private(config, dir, arguments.json, false).await?;
    start_clean(&place).await?;
    let first = day_of(Clock::real().now()).first_of_month();
    let begin = at(first, 1, 0)?;
    let end = at(first, 9, 30)?;
    let report = sample(&place, demo, begin, outside.keys).await?;
    let pool = place.working_pool().await?;
    back_fill(&place, &pool, first).await?;
    let night = Instant::now();
    live(&place, &pool, begin, end).await?;
    let summary = super::night_report::summary(&pool, begin, end, &report).await?;
    if arguments.json {
        crate::output::json(&summary)?;
    } else {
        super::night_report::print(&summary);
        line(format!(
            "\nThe night took {:.1} s, the whole demo {:.0} s.",
            night.elapsed().as_secs_f64(),
            began.elapsed().as_secs_f64()
        ));
        for (what, folder) in outside.folders {
            line(format!("{what:<11} {}", folder.display()));
        }
        let dir = data_dir()?.join("demo");
        line(format!("Look around:  YAKIN_DATA={} yakin timetable --date {first}", dir.display()));
    }
    set_virtual_time(&pool, None, None).await?;
    pool.close().await;
    if !demo.exit {
        serve_on(&place).await?;
    }
    Ok(End::Done)
}

fn step(text: &str) {
    eprintln!("{} {text}", paint("·", "36"));
}

fn at(date: Date, hour: i8, minute: i8) -> anyhow::Result<Timestamp> {
    Ok(date.at(hour, minute, 0, 0).to_zoned(tokyo())?.timestamp())
}

/// The demo owns its database: an earlier night's is dropped.
async fn start_clean(place: &Place) -> anyhow::Result<()> {
    let mut owner =
        database::connect_as_login(&place.owner_url.replacen("/yakin?", "/postgres?", 1)).await?;
    let lived: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = 'yakin')")
            .fetch_one(&mut owner)
            .await?;
    owner.execute("DROP DATABASE IF EXISTS yakin WITH (FORCE)").await?;
    owner.execute("CREATE DATABASE yakin").await?;
    owner.close().await?;
    database::migrate(&place.owner_url).await?;
    step(if lived {
        "starting clean: the database of an earlier demo was dropped"
    } else {
        "a fresh database"
    });
    Ok(())
}

async fn sample(
    place: &Place,
    demo: &Demo,
    begin: Timestamp,
    keys: Arc<Keys>,
) -> anyhow::Result<SampleReport> {
    let mut spec = SampleSpec::new(demo.tenants, demo.engineers, demo.seed, begin);
    spec.with_faults = !demo.without_faults;
    spec.keys = Some(keys);
    let mut connection = database::connect_as_login(&place.owner_url).await?;
    let clock = Instant::now();
    let report = generate(&mut connection, &spec, |_| {}).await?;
    if let Some(storage) = super::stores::storage(&place.config, place.data_dir())? {
        store_some(&mut connection, &storage).await?;
    }
    connection.close().await?;
    step(&format!(
        "sample world: {} tenants, {} engineers, {} log rows ({:.0} s)",
        report.tenants,
        grouped(report.engineers),
        grouped(report.log_rows),
        clock.elapsed().as_secs_f64()
    ));
    Ok(report)
}

/// Runs 204 and 301 for each day of the month before but the last, through the real batches.
async fn back_fill(place: &Place, pool: &PgPool, first: Date) -> anyhow::Result<()> {
    let clock = Instant::now();
    let act = Act { actor: "demo".to_owned(), reason: "back-fill of the month before".to_owned() };
    let days: Vec<Date> =
        Days::month_of(after(first, -1)).each().filter(|d| *d < after(first, -1)).collect();
    let registry = registry()?;
    // before the night, whose first firings are due as it begins
    let time = Clock::at(at(first, 0, 59)?);
    let mut engine =
        Engine::join(pool.clone(), time.clone(), registry.clone(), "back-fill", &["work"]).await?;
    crate::outside::provide(&mut engine, place)?;
    for (n, day) in days.iter().enumerate() {
        for batch in ["BATCH-204", "BATCH-301"] {
            let want = Wanted { date: Some(*day), ..Wanted::default() };
            let run = start(pool, &registry, batch, want, "operator", &act, time.now()).await?;
            finish(&engine, run).await.with_context(|| format!("{batch} of {day}"))?;
        }
        if (n + 1) % 10 == 0 || n + 1 == days.len() {
            step(&format!(
                "back-filled 204 and 301: {} of {} days ({:.0} s)",
                n + 1,
                days.len(),
                clock.elapsed().as_secs_f64()
            ));
        }
    }
    engine.leave().await?;
    Ok(())
}

/// Works until the run has ended.
async fn finish(engine: &Engine, run: i64) -> anyhow::Result<()> {
    loop {
        let worked = yakin_engine::worker::pool::work_until_empty(engine).await?;
        let ended = engine.advance_step().await?;
        if ended.iter().any(|e| e.id == run) {
            return Ok(());
        }
        anyhow::ensure!(worked > 0, "run {run} waits for something that does not come");
    }
}

/// Lives from `begin` to `end` in stepped virtual time, with a node as `serve` runs it.
async fn live(
    place: &Place,
    pool: &PgPool,
    begin: Timestamp,
    end: Timestamp,
) -> anyhow::Result<()> {
    // the night begins with an empty plan: nothing was missed before
    let before = begin.checked_sub(1.second())?;
    set_virtual_time(pool, Some(before), Some(end)).await?;
    let mut engine =
        Engine::join(pool.clone(), Clock::at(before), registry()?, "demo", &["plan", "work"])
            .await?;
    crate::outside::provide(&mut engine, place)?;
    let engine = Arc::new(engine);
    let stop = CancellationToken::new();
    let options = Options {
        roles: Roles { plan: true, work: true },
        permits: super::serve::permits(&place.config),
        drain: Duration::from_secs(30),
    };
    let (node, url, stopping) = (engine.clone(), place.listen_url().to_owned(), stop.clone());
    let serving = tokio::spawn(async move { node::serve(node, options, &url, stopping).await });
    step("the night: 01:00 to 09:30 in stepped virtual time");
    let limit = Instant::now() + Duration::from_secs(600);
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let over: bool = sqlx::query_scalar(
            "SELECT virtual_now >= virtual_until
                    AND NOT EXISTS (SELECT FROM yakin.jobs WHERE state IN ('ready', 'running'))
                    AND NOT EXISTS (SELECT FROM yakin.runs WHERE state = 'running')
                    AND NOT EXISTS (SELECT FROM yakin.firings WHERE state = 'planned' AND due_at <= virtual_now)
               FROM yakin.control",
        )
        .fetch_one(pool)
        .await?;
        if over {
            break;
        }
        anyhow::ensure!(Instant::now() < limit, "the night did not end within ten minutes");
    }
    engine.watch_step().await?;
    stop.cancel();
    serving.await?;
    Ok(())
}

async fn serve_on(place: &Place) -> anyhow::Result<()> {
    let pool = place.working_pool().await?;
    let mut engine =
        Engine::join(pool, Clock::real(), registry()?, "demo", &["plan", "work", "api"]).await?;
    crate::outside::provide(&mut engine, place)?;
    let listen = std::env::var("YAKIN_LISTEN").unwrap_or_else(|_| LISTEN.to_owned());
    line(format!("Serving on real time at http://{listen} (/metrics, /healthz); Ctrl-C ends."));
    let options = Options {
        roles: Roles { plan: true, work: true },
        permits: super::serve::permits(&place.config),
        drain: Duration::from_secs(30),
    };
    let tenants = tenant::all(&engine.pool).await?.len();
    line(format!("{tenants} tenants, {} batches in the catalogue.", engine.registry.all().count()));
    run_node(
        Arc::new(engine),
        options,
        place.listen_url(),
        Some((&listen, place.config.api.settings()?)),
        stop_signal()?,
    )
    .await
}
