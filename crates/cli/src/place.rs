//! Where a command works: the configured database, or a private PostgreSQL of one's own.

use std::path::PathBuf;

use anyhow::Context;
use sqlx::postgres::PgPool;
use yakin_adapters::private_postgres::{PrivatePostgres, default_data_dir};
use yakin_engine::clock::Clock;
use yakin_engine::database;
use yakin_engine::record::audit::Act;
use yakin_engine::registry::Registry;

use crate::arguments::Arguments;
use crate::config::Config;

/// A database to work on.
pub struct Place {
    pub config: Config,
    pub engine_url: String,
    pub owner_url: String,
    pub json: bool,
    /// Holds the private server up while the command lives, in this folder.
    private: Option<(PathBuf, PrivatePostgres)>,
}

impl Place {
    /// Finds the database; a private one is started and brought to this version's schema.
    pub async fn open(arguments: &Arguments) -> anyhow::Result<Place> {
        let config = Config::read(arguments.config.as_deref())?;
        let told = arguments.database_url.clone().filter(|url| !url.is_empty());
        let given = told.or_else(|| config.database.url.clone());
        match given {
            Some(url) => {
                if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
                    let what = "it begins with another scheme".to_owned();
                    return Err(database::DatabaseError::Url(what).into());
                }
                let owner_url = config.database.owner_url.clone().unwrap_or_else(|| url.clone());
                Ok(Place {
                    config,
                    engine_url: url,
                    owner_url,
                    json: arguments.json,
                    private: None,
                })
            }
            None => Place::private(config, data_dir()?, arguments.json, true).await,
        }
    }

    /// The same without asking anything of the database: it may be gone.
    pub async fn reach(arguments: &Arguments) -> anyhow::Result<Place> {
        let config = Config::read(arguments.config.as_deref())?;
        if arguments.database_url.is_some() || config.database.url.is_some() {
            return Place::open(arguments).await;
        }
        Place::private(config, data_dir()?, arguments.json, false).await
    }

    /// A private PostgreSQL in `dir`.
    pub async fn private(
        config: Config,
        dir: PathBuf,
        json: bool,
        migrate: bool,
    ) -> anyhow::Result<Place> {
        let exe = std::env::current_exe().context("finding this program's own file")?;
        let private = PrivatePostgres::attach(&dir, &exe).await?;
        let place = Place {
            config,
            engine_url: private.engine_url(),
            owner_url: private.owner_url(),
            json,
            private: Some((dir, private)),
        };
        if migrate {
            database::migrate(&place.owner_url).await?;
        }
        Ok(place)
    }

    /// Whether the database is a private one.
    pub fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// The private database's folder.
    pub fn data_dir(&self) -> Option<&std::path::Path> {
        self.private.as_ref().map(|(dir, _)| dir.as_path())
    }

    /// A pool of a few connections, for commands.
    pub async fn pool(&self) -> anyhow::Result<PgPool> {
        Ok(database::connect(&self.engine_url, 4).await?)
    }

    /// A pool for working, as large as configured.
    pub async fn working_pool(&self) -> anyhow::Result<PgPool> {
        Ok(database::connect(&self.engine_url, self.config.database.connections).await?)
    }

    /// The URL for LISTEN.
    pub fn listen_url(&self) -> &str {
        self.config.database.direct_url.as_deref().unwrap_or(&self.engine_url)
    }

    /// The clock of this database: its virtual time where it lives in one, else the machine's.
    pub async fn clock(&self, pool: &PgPool) -> anyhow::Result<Clock> {
        let shared: Option<jiff_sqlx::Timestamp> =
            sqlx::query_scalar("SELECT virtual_now FROM yakin.control").fetch_one(pool).await?;
        Ok(shared.map_or_else(Clock::real, |t| Clock::at(t.to_jiff())))
    }
}

/// `YAKIN_DATA`, or the usual place.
pub fn data_dir() -> anyhow::Result<PathBuf> {
    match std::env::var_os("YAKIN_DATA") {
        Some(dir) if !dir.is_empty() => Ok(PathBuf::from(dir)),
        _ => Ok(default_data_dir()?),
    }
}

/// This machine's name, by which nodes and log files are told apart.
pub fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "node".to_owned(), |h| h.trim().to_owned())
}

/// The checked catalogue.
pub fn registry() -> anyhow::Result<Registry> {
    yakin_catalogue::registry().map_err(|e| anyhow::anyhow!("the catalogue is wrong: {e}"))
}

/// Who acts: `YAKIN_ACTOR`, else the login name.
pub fn act(reason: &str) -> anyhow::Result<Act> {
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(crate::output::UsageError(
            "--reason is empty; say why, it stands in the audit".into(),
        )
        .into());
    }
    let named = |key: &str| std::env::var(key).ok().filter(|v| !v.trim().is_empty());
    let actor = named("YAKIN_ACTOR")
        .or_else(|| named("SUDO_USER"))
        .or_else(|| named("USER"))
        .or_else(|| named("LOGNAME"));
    Ok(Act { actor: actor.unwrap_or_else(login_name), reason: reason.to_owned() })
}

/// The login name of this process by `/etc/passwd`, or its number.
fn login_name() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users
        .lines()
        .map(|l| l.split(':').collect::<Vec<_>>())
        .find(|f| f.get(2) == Some(&uid.as_str()));
    name.map_or_else(|| format!("uid {uid}"), |f| f[0].to_owned())
}
