//! What `yakin doctor` says of relays, reports, templates and fonts.

use yakin_adapters::mail::Mailer;
use yakin_domain::delivery::Templates;
use yakin_domain::health;

use super::doctor::{Checks, Standing};
use crate::config::Config;

/// Logs in to each relay; sends nothing.
pub async fn relays(checks: &mut Checks, config: &Config) {
    const NAME: &str = "mail";
    if config.mail.is_empty() {
        let mend = "write [[mail]] with name and relay = { url, from } into yakin.toml";
        checks.add(NAME, Standing::Warning, "no relay: the operator's mail waits", mend);
    }
    for relay in &config.mail {
        let name = &relay.name;
        let mailer = match Mailer::new(relay.relay.clone()) {
            Ok(mailer) => mailer,
            Err(error) => {
                checks.add(
                    NAME,
                    Standing::Bad,
                    format!("{name}: {error}"),
                    "see yakin.example.toml",
                );
                continue;
            }
        };
        checks.take(health::relay(name, &mailer).await);
    }
}

/// Whether anybody is told of the service's own reports.
pub fn reports(checks: &mut Checks, config: &Config) {
    const NAME: &str = "reports";
    match config.reports.recipients.len() {
        0 => {
            let mend = "write [reports] recipients = [\"…\"] into yakin.toml";
            checks.add(
                NAME,
                Standing::Warning,
                "not configured: nobody is mailed the service's own",
                mend,
            );
        }
        many => checks.add(NAME, Standing::Good, format!("go to {many} addresses"), ""),
    }
}

/// Whether the API can be given what it needs, and what anybody on its address could read along.
pub fn api(checks: &mut Checks, config: &Config) {
    const NAME: &str = "api";
    let listen = config.listen.as_deref().unwrap_or(super::serve::LISTEN);
    match config.api.settings() {
        Err(error) => {
            let mend = "write a secret of 16 or more characters into that file, mode 0600";
            checks.add(NAME, Standing::Bad, error.to_string(), mend);
        }
        Ok(settings) => {
            let cron = match settings.cron_secret {
                Some(_) => "/api/cron has its secret",
                None => "/api/cron is closed (no api.cron_secret_file)",
            };
            checks.add(NAME, Standing::Good, format!("on {listen}; {cron}"), "");
        }
    }
    let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host);
    if !["127.0.0.1", "localhost", "[::1]"].contains(&host) {
        let found = format!("{listen} is no loopback address, and the API speaks plain HTTP");
        let mend = "let a proxy with TLS answer there, and listen on 127.0.0.1 behind it";
        checks.add(NAME, Standing::Warning, found, mend);
    }
}

/// Renders every template with its samples.
pub async fn templates(checks: &mut Checks, config: &Config) {
    const NAME: &str = "templates";
    match Templates::read(config.templates.messages.as_deref()) {
        Ok(templates) => {
            checks.add(NAME, Standing::Good, format!("{} of messages", templates.len()), "");
        }
        Err(error) => checks.add(NAME, Standing::Bad, error.to_string(), "mend that file"),
    }
    let renderer = match crate::outside::renderer(config) {
        Ok(renderer) => renderer,
        Err(error) => return checks.add(NAME, Standing::Bad, error.to_string(), "see the message"),
    };
    match renderer.check().await {
        Ok(samples) => {
            checks.add(NAME, Standing::Good, format!("{} samples of documents", samples.len()), "");
        }
        Err(error) => checks.add(NAME, Standing::Bad, error.to_string(), "see the message"),
    }
}
