//! `yakin serve`: a node, until SIGTERM or Ctrl-C; then it drains.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use yakin_engine::clock::Clock;
use yakin_engine::engine::{Engine, set_virtual_time};
use yakin_engine::node::{self, Options, Roles};
use yakin_engine::worker::pool::Permits;

use super::stores;
use crate::alerting::Teller;
use crate::arguments::Serve;
use crate::config::Config;
use crate::morning::Mornings;
use crate::output::{End, UsageError};
use crate::outside;
use crate::place::{Place, hostname, registry};

/// Where a node answers unless told otherwise.
pub const LISTEN: &str = "127.0.0.1:8640";

/// Runs a node.
pub async fn serve(place: &Place, serve: &Serve) -> anyhow::Result<End> {
    crate::logging::start_as_configured("info,sqlx=warn", &place.config.log)?;
    if let Some(unknown) =
        serve.roles.iter().find(|r| !["plan", "work", "api"].contains(&r.as_str()))
    {
        return Err(
            UsageError(format!("unknown role '{unknown}'; roles are plan, work, api")).into()
        );
    }
    let has = |role: &str| serve.roles.iter().any(|r| r == role);
    let pool = place.working_pool().await?;
    let clock = match &serve.r#virtual {
        Some(since) => {
            let since = super::night::instant(since)?;
            let lives: bool =
                sqlx::query_scalar("SELECT virtual_now IS NOT NULL FROM yakin.control")
                    .fetch_one(&pool)
                    .await?;
            if !lives {
                set_virtual_time(&pool, Some(since), None).await?;
            }
            Clock::at(since)
        }
        None => {
            refuse_virtual(&pool).await?;
            Clock::real()
        }
    };
    // before the node has a row: what is wrong here is mended by a person, not by another start
    let (renderer, outside) = (outside::renderer(&place.config)?, outside::outside(place)?);
    let (backups, maintenance) = (stores::backups(place)?, stores::maintenance(place)?);
    let mornings = Mornings::new(&place.config)?;
    let api = place.config.api.settings()?;
    if let Some(storage) = &outside.storage {
        stores::accept(storage, &pool).await?;
    }
    if place.config.templates.documents.is_some() {
        renderer.check().await.map_err(|e| crate::config::ConfigError(e.to_string()))?;
    }
    let roles: Vec<&str> = serve.roles.iter().map(String::as_str).collect();
    let name = format!("{} {}", hostname(), std::process::id());
    let mut engine = Engine::join(pool, clock, registry()?, &name, &roles).await?;
    outside::give(&mut engine, &place.config, renderer, outside, backups);
    engine.provide(maintenance);
    let options = Options {
        roles: Roles { plan: has("plan"), work: has("work") },
        permits: permits(&place.config),
        drain: Duration::from_secs(60),
    };
    let listen = serve
        .listen
        .clone()
        .or_else(|| place.config.listen.clone())
        .unwrap_or_else(|| LISTEN.to_owned());
    let answering = has("api").then_some((listen.as_str(), api));
    let (engine, stop) = (Arc::new(engine), stop_signal()?);
    let telling = Teller::new(&place.config)?.tell(engine.clone(), stop.clone());
    let telling = tokio::spawn(telling);
    let mornings = mornings.filter(|_| has("plan"));
    let mornings = mornings.map(|m| tokio::spawn(m.watch(engine.clone(), stop.clone())));
    run_node(engine, options, place.listen_url(), answering, stop).await?;
    telling.await?;
    if let Some(mornings) = mornings {
        mornings.await?;
    }
    Ok(End::Done)
}

async fn refuse_virtual(pool: &sqlx::PgPool) -> anyhow::Result<()> {
    let virtual_now: Option<jiff_sqlx::Timestamp> =
        sqlx::query_scalar("SELECT virtual_now FROM yakin.control").fetch_one(pool).await?;
    match virtual_now {
        None => Ok(()),
        Some(at) => Err(UsageError(format!(
            "this database lives in virtual time ({}); serve it with --virtual, or set yakin.control.virtual_now to NULL",
            yakin_engine::days::clock_text(at.to_jiff())
        ))
        .into()),
    }
}

/// Runs the node's loops and its HTTP side until `stop`.
pub async fn run_node(
    engine: Arc<Engine>,
    options: Options,
    listen_url: &str,
    answering: Option<(&str, yakin_api::Settings)>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let http = match answering {
        Some((address, api)) => {
            let listener = tokio::net::TcpListener::bind(address).await.with_context(|| {
                format!("cannot listen on {address}; choose another with --listen or YAKIN_LISTEN")
            })?;
            tracing::info!(address = %listener.local_addr()?, node = engine.node, "serving");
            Some(tokio::spawn(yakin_api::serve(listener, engine.clone(), api, stop.clone())))
        }
        None => None,
    };
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    node::serve(engine, options, listen_url, stop).await;
    if let Some(http) = http {
        http.await??;
    }
    tracing::info!("drained");
    Ok(())
}

/// A token that SIGTERM or Ctrl-C cancels; a second one ends at once.
pub fn stop_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let told = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            if told.is_cancelled() {
                std::process::exit(130);
            }
            told.cancel();
        }
    });
    Ok(stop)
}

/// The configured permits.
pub fn permits(config: &Config) -> Permits {
    let p = &config.permits;
    Permits { default: p.default, heavy: p.heavy, notify: p.notify, monitor: p.monitor }
}
