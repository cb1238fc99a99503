//! `yakin.toml`: only what a node needs to start.

use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format, Toml};
use serde::Deserialize;

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
    pub issuer: Option<yakin_domain::billing::issuer::Issuer>,
    pub permits: Permits,
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
    /// Connections of a node.
    pub connections: u32,
}

impl Default for Database {
    fn default() -> Database {
        Database { url: None, owner_url: None, direct_url: None, connections: 24 }
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
        let read = Figment::from(Toml::file_exact(&path)).extract();
        let config: Config = read.map_err(|e| ConfigError(explain(&path, &e)))?;
        if !(4..=500).contains(&config.database.connections) {
            let found = config.database.connections;
            return Err(ConfigError(format!(
                "{}: database.connections is {found}, expected 4 to 500",
                path.display()
            )));
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
