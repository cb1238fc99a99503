//! `yakin.toml`: only what a node needs to start.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format, Toml};
use serde::Deserialize;
use yakin_adapters::{CacheSettings, LogFileSettings, StorageSettings};

/// A configuration that cannot be used: file, key, and what was expected.
#[derive(Debug, thiserror::Error)]
#[error("configuration: {0}")]
pub struct ConfigError(pub String);

/// The whole configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub database: Database,
    /// Where the node answers [default: 127.0.0.1:8640].
    pub listen: Option<String>,
    pub api: Api,
    pub issuer: Option<yakin_domain::billing::issuer::Issuer>,
    pub permits: Permits,
    /// The operator's mail relays, in the order they are tried.
    pub mail: Vec<MailRelay>,
    pub outgoing: Outgoing,
    pub templates: TemplateFolders,
    pub render: Render,
    /// How the accounting system reads its files.
    pub export: yakin_domain::billing::export::Form,
    pub operations: Operations,
    /// Who gets the service's own reports.
    pub reports: yakin_domain::report::letters::Management,
    /// Ways on which alerts reach people.
    pub alerts: Vec<AlertRoute>,
    pub log: LogFileSettings,
    /// Where documents lie; `serve` opens it before it works.
    pub storage: Option<StorageSettings>,
    pub keys: KeySettings,
    pub backup: Option<Backup>,
    /// The service's cache.
    pub cache: Option<CacheSettings>,
    pub maintenance: Maintenance,
}

/// The admin API.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// A file with the secret of `/api/cron`: what Vercel calls CRON_SECRET. 16 characters or more.
    pub cron_secret_file: Option<PathBuf>,
    /// Calls a second that one token may make.
    pub calls_per_second: NonZeroU32,
}

impl Default for Api {
    fn default() -> Api {
        let usual = yakin_api::Settings::default();
        Api { cron_secret_file: None, calls_per_second: usual.calls_a_second }
    }
}

impl Api {
    /// What the API is given; a secret that cannot be read, or is short, stops the start.
    pub fn settings(&self) -> Result<yakin_api::Settings, ConfigError> {
        let read = |file: &PathBuf| {
            let told = |what: String| {
                ConfigError(format!("api.cron_secret_file {}: {what}", file.display()))
            };
            let text = std::fs::read_to_string(file).map_err(|e| told(e.to_string()))?;
            let secret = text.trim();
            if secret.len() < 16 || !secret.is_ascii() {
                return Err(told("expected 16 or more ASCII characters".to_owned()));
            }
            Ok(secret.into())
        };
        Ok(yakin_api::Settings {
            cron_secret: self.cron_secret_file.as_ref().map(read).transpose()?,
            calls_a_second: self.calls_per_second,
            ..yakin_api::Settings::default()
        })
    }
}

/// A mail relay of the operator's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailRelay {
    /// Its name: pace and pauses are kept under it for all nodes.
    pub name: String,
    #[serde(default = "usual_rate")]
    pub rate_per_minute: i64,
    pub relay: yakin_adapters::mail::Relay,
}

fn usual_rate() -> i64 {
    100
}

/// Calls to addresses that tenants and chat vendors have.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outgoing {
    /// Hosts, or host:port, that may be private and without TLS, for whatever a tenant enters.
    pub allow: Vec<String>,
    /// The same for `[[alerts]]` alone.
    pub allow_alerts: Vec<String>,
    /// Calls nobody: each call becomes a file in this folder (demos, staging).
    pub folder: Option<PathBuf>,
}

/// The operator's own templates; a file there goes over the built-in one of the same name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TemplateFolders {
    pub messages: Option<PathBuf>,
    pub documents: Option<PathBuf>,
}

/// Rendering of documents, in child processes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Render {
    /// Children at once.
    pub children: usize,
    /// Seconds a document may take.
    pub timeout_seconds: u64,
    /// Seconds after which an idle child ends.
    pub idle_seconds: u64,
    /// Folders of fonts [default: where Debian puts fonts-ipaexfont].
    pub fonts: Vec<PathBuf>,
}

impl Default for Render {
    fn default() -> Render {
        Render { children: 2, timeout_seconds: 30, idle_seconds: 60, fonts: Vec::new() }
    }
}

/// The people who run Yakin.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Operations {
    /// Where digests of undelivered messages go.
    pub email: Option<String>,
    /// When the morning's report is written, in Tokyo time (`08:30`); `off` for none.
    pub morning: String,
}

impl Default for Operations {
    fn default() -> Operations {
        Operations { email: None, morning: "08:30".to_owned() }
    }
}

/// A way on which alerts, and the morning's report, reach people.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertRoute {
    pub name: String,
    /// email, slack, teams, line_works or webhook.
    pub channel: yakin_domain::delivery::Channel,
    /// The lowest severity it is for.
    #[serde(default = "usual_severity")]
    pub from_severity: yakin_engine::spec::Severity,
    /// An address, a channel's id; webhooks need none.
    #[serde(default)]
    pub to: String,
    /// Whether the morning's report goes there; by default where it is mail.
    pub morning: Option<bool>,
    /// JSON with the channel's credentials, for all but email, which goes by the first `[[mail]]` relay.
    pub credentials_file: Option<PathBuf>,
}

fn usual_severity() -> yakin_engine::spec::Severity {
    yakin_engine::spec::Severity::High
}

/// Where backups go. Who can open them stands in [`KeySettings`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// A folder of this host, apart from the database's disk; one folder in it for each set.
    pub folder: PathBuf,
    /// The second place, as `[storage]` names one.
    pub copy: Option<StorageSettings>,
}

/// What the weekly maintenance looks after on this node, beside the log folder of Yakin's own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Maintenance {
    /// Folders of log files of the service.
    pub logs: Vec<PathBuf>,
    /// Folders that have temporary files of the service and nothing else.
    pub temp: Vec<PathBuf>,
}

/// The keys that tenants' credentials are sealed with, and those of backups.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeySettings {
    /// Made by `yakin keys init`; the same on every node.
    pub master_key_file: Option<PathBuf>,
    /// Public keys (`age1…`) of those who can open backups; made by `yakin keys backup`.
    pub backup_recipients: Vec<String>,
    /// The secret key of one of them: only where backups are read back and restored.
    pub backup_identity_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// The engine's login. `DATABASE_URL` goes before it.
    pub url: Option<String>,
    /// The owner, for `yakin migrate` and `yakin sample` [default: url].
    pub owner_url: Option<String>,
    /// A way past a transaction pooler, for LISTEN [default: url].
    pub direct_url: Option<String>,
    /// The backup's own login, which sees all rows: a superuser, or BYPASSRLS and pg_read_all_data.
    pub backup_url: Option<String>,
    /// The login that rebuilds indexes and takes statistics: the owner's rights, and BYPASSRLS.
    pub maintenance_url: Option<String>,
    /// Connections of a node.
    pub connections: u32,
}

impl Default for Database {
    fn default() -> Database {
        Database {
            url: None,
            owner_url: None,
            direct_url: None,
            backup_url: None,
            maintenance_url: None,
            connections: 24,
        }
    }
}

/// How many attempts of each queue a node runs at once.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Permits {
    pub default: usize,
    pub heavy: usize,
    pub notify: usize,
    pub monitor: usize,
}

impl Default for Permits {
    fn default() -> Permits {
        let usual = yakin_engine::worker::pool::Permits::default();
        Permits {
            default: usual.default,
            heavy: usual.heavy,
            notify: usual.notify,
            monitor: usual.monitor,
        }
    }
}

impl Config {
    /// Reads `file`; else `yakin.toml` here, or the one in the data folder, where there is one.
    pub fn read(file: Option<&Path>) -> Result<Config, ConfigError> {
        let path = file.map_or_else(usual_file, Path::to_path_buf);
        if file.is_some() && !path.is_file() {
            return Err(ConfigError(format!(
                "{} is not there; copy yakin.example.toml",
                path.display()
            )));
        }
        // the usual file may be absent: then everything stands at its default
        let figment =
            if path.is_file() { Figment::from(Toml::file_exact(&path)) } else { Figment::new() };
        let read = figment.extract();
        let config: Config = read.map_err(|e| ConfigError(explain(&path, &e)))?;
        if !(4..=500).contains(&config.database.connections) {
            let found = config.database.connections;
            return Err(ConfigError(format!(
                "{}: database.connections is {found}, expected 4 to 500",
                path.display()
            )));
        }
        if let Some(mistake) = config.reports.mistake() {
            return Err(ConfigError(format!("{}: {mistake}", path.display())));
        }
        if let Some(mistake) = config.log.mistake() {
            return Err(ConfigError(format!("{}: {mistake}", path.display())));
        }
        Ok(config)
    }
}

/// `yakin.toml` in this folder; without one, that of the data folder.
fn usual_file() -> PathBuf {
    let here = PathBuf::from("yakin.toml");
    if here.is_file() {
        return here;
    }
    crate::place::data_dir().map_or(here, |dir| dir.join("yakin.toml"))
}

fn explain(path: &Path, error: &figment::Error) -> String {
    let mut text = String::new();
    for one in error.clone() {
        let key = one.path.join(".");
        if !text.is_empty() {
            text.push_str("; ");
        }
        let at = if key.is_empty() { String::new() } else { format!(" key '{key}':") };
        text.push_str(&format!("{}:{at} {}", path.display(), one.kind.to_string().trim_end()));
    }
    text
}
