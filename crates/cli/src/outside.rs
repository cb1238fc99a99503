//! From configuration to what batches ask a node for: issuer, renderer, relays, guarded HTTP, storage, templates.

use std::sync::Arc;
use std::time::Duration;

use yakin_adapters::mail::Mailer;
use yakin_adapters::outgoing::{Outgoing, OutgoingSettings};
use yakin_domain::backup::Backups;
use yakin_domain::delivery::outside::PlatformRelay;
use yakin_domain::delivery::{Outside, Templates};
use yakin_engine::engine::Engine;
use yakin_engine::record::alert_messages::Route;
use yakin_render::{Renderer, Settings};

use crate::commands::stores;
use crate::config::{Config, ConfigError};
use crate::place::Place;

/// Gives the node what its batches ask for; a part that cannot work as configured stops the start.
pub fn provide(engine: &mut Engine, place: &Place) -> Result<(), ConfigError> {
    let (backups, maintenance) = (stores::backups(place)?, stores::maintenance(place)?);
    give(engine, &place.config, renderer(&place.config)?, outside(place)?, backups);
    engine.provide(maintenance);
    Ok(())
}

/// Gives the node what has been opened already.
pub fn give(
    engine: &mut Engine,
    config: &Config,
    renderer: Renderer,
    outside: Outside,
    backups: Option<Backups>,
) {
    if let Some(issuer) = &config.issuer {
        engine.provide(issuer.clone());
    }
    engine.provide(config.export);
    engine.provide(config.reports.clone());
    engine.provide(renderer);
    engine.provide(outside);
    if let Some(backups) = backups {
        engine.provide(backups);
    }
    let routes = config.alerts.iter();
    let routes = routes.map(|r| Route { name: r.name.clone(), from: r.from_severity });
    engine.route_alerts(routes.collect());
}

/// The renderer, whose children are this program.
pub fn renderer(config: &Config) -> Result<Renderer, ConfigError> {
    let render = &config.render;
    let program = std::env::current_exe()
        .map_err(|e| ConfigError(format!("finding this program's own file: {e}")))?;
    let usual = Settings::new(program);
    let settings = Settings {
        templates: config.templates.documents.clone(),
        fonts: if render.fonts.is_empty() { usual.fonts.clone() } else { render.fonts.clone() },
        children: render.children,
        timeout: Duration::from_secs(render.timeout_seconds),
        idle: Duration::from_secs(render.idle_seconds),
        ..usual
    };
    Renderer::new(settings).map_err(|e| ConfigError(e.to_string()))
}

/// The ways to recipients.
pub fn outside(place: &Place) -> Result<Outside, ConfigError> {
    let config = &place.config;
    let templates = Templates::read(config.templates.messages.as_deref()).map_err(wrong)?;
    let mut outside = Outside::new(outgoing(config)?, templates);
    outside.keys = stores::keys(config)?;
    outside.storage = stores::storage(config, place.data_dir())?.map(Arc::new);
    outside.operations = config.operations.email.clone();
    for relay in &config.mail {
        let mailer = Mailer::new(relay.relay.clone())
            .map_err(|e| ConfigError(format!("[[mail]] {}: {e}", relay.name)))?;
        outside.relays.push(PlatformRelay {
            name: relay.name.clone(),
            rate_per_minute: relay.rate_per_minute,
            mailer: Arc::new(mailer),
        });
    }
    Ok(outside)
}

/// Guarded HTTP, or the folder that stands for it, for what tenants ask to be called.
pub fn outgoing(config: &Config) -> Result<Outgoing, ConfigError> {
    way_out(config, config.outgoing.allow.clone())
}

/// The same for the operator's own alerts: hosts that no tenant may reach can be opened to them.
pub fn outgoing_of_alerts(config: &Config) -> Result<Outgoing, ConfigError> {
    let open = &config.outgoing;
    way_out(config, open.allow.iter().chain(&open.allow_alerts).cloned().collect())
}

fn way_out(config: &Config, allow: Vec<String>) -> Result<Outgoing, ConfigError> {
    if let Some(folder) = &config.outgoing.folder {
        return Ok(Outgoing::folder(folder.clone()));
    }
    Outgoing::new(&OutgoingSettings { allow, ..OutgoingSettings::default() }).map_err(wrong)
}

fn wrong(error: impl std::fmt::Display) -> ConfigError {
    ConfigError(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use yakin_adapters::outgoing::Passage;

    #[test]
    fn what_is_opened_to_alerts_is_not_open_to_tenants() {
        let mut config = Config::default();
        config.outgoing.allow = vec!["hooks.intra.example:8443".to_owned()];
        config.outgoing.allow_alerts = vec!["chat.intra.example".to_owned()];
        let opens = |outgoing: Outgoing, host: &str| match outgoing.passage() {
            Passage::Gate(gate) => gate.allows(host, 8443),
            Passage::Folder(_) => false,
        };
        for (host, to_tenants) in [("hooks.intra.example", true), ("chat.intra.example", false)] {
            assert_eq!(opens(outgoing(&config).unwrap(), host), to_tenants, "{host}");
            assert!(opens(outgoing_of_alerts(&config).unwrap(), host), "{host}");
        }
    }
}
