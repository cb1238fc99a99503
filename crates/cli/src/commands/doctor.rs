//! `yakin doctor`: one line per thing that must be right, and how to mend what is not.

use sqlx::{Connection, PgConnection};
pub(super) use yakin_domain::health::Standing;
use yakin_domain::health::{self, Check};
use yakin_engine::database::{self, OLDEST_POSTGRES};

use super::{doctor_backup, doctor_database, doctor_files, doctor_maintenance, doctor_outside};
use crate::arguments::Arguments;
use crate::config::Config;
use crate::output::{End, json, line, paint};
use crate::place::{Place, data_dir, registry};

#[derive(Default)]
pub(super) struct Checks(Vec<Check>);

impl Checks {
    pub(super) fn add(
        &mut self,
        name: &'static str,
        standing: Standing,
        found: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.take(Check::new(name, standing, found, mend));
    }

    pub(super) fn take(&mut self, check: Check) {
        self.0.push(check);
    }
}

/// Checks everything; ends with 1 when something is wrong.
pub async fn doctor(arguments: &Arguments) -> anyhow::Result<End> {
    let mut checks = Checks::default();
    match Config::read(arguments.config.as_deref()) {
        Ok(config) => {
            checks.add("configuration", Standing::Good, "readable", "");
            issuer(&mut checks, &config);
            let given = arguments.database_url.as_ref().filter(|url| !url.is_empty());
            let private = given.or(config.database.url.as_ref()).is_none();
            let beside = if private { data_dir().ok() } else { None };
            doctor_files::storage(&mut checks, &config, beside.as_deref()).await;
            doctor_files::keys(&mut checks, &config);
            doctor_outside::relays(&mut checks, &config).await;
            doctor_outside::reports(&mut checks, &config);
            doctor_outside::api(&mut checks, &config);
            doctor_outside::templates(&mut checks, &config).await;
            match Place::open(arguments).await {
                Ok(place) => {
                    database(&mut checks, &place).await;
                    doctor_backup::backups(&mut checks, &place).await;
                    doctor_maintenance::maintenance(&mut checks, &place).await;
                }
                Err(error) => {
                    checks.add("database", Standing::Bad, format!("{error:#}"), "see the message")
                }
            }
        }
        Err(error) => checks.add(
            "configuration",
            Standing::Bad,
            error.to_string(),
            "compare with yakin.example.toml",
        ),
    }
    catalogue(&mut checks);
    tool(&mut checks, "psql", "psql", "install postgresql-client", Standing::Warning).await;
    if let Ok(dir) = data_dir() {
        checks.take(health::disk(&dir));
    }
    if arguments.json {
        json(&checks.0)?;
    } else {
        for check in &checks.0 {
            let mark = match check.standing {
                Standing::Good => paint("good   ", "32"),
                Standing::Warning => paint("warning", "33"),
                Standing::Bad => paint("bad    ", "31"),
            };
            line(format!("{mark}  {:<14} {}", check.name, check.found));
            if check.standing != Standing::Good {
                line(format!("{:25}→ {}", "", check.mend));
            }
        }
    }
    let bad = checks.0.iter().any(|c| c.standing == Standing::Bad);
    Ok(if bad { End::Failed } else { End::Done })
}

fn issuer(checks: &mut Checks, config: &Config) {
    match &config.issuer {
        Some(issuer) => checks.add("issuer", Standing::Good, format!("{} {}", issuer.name, issuer.registration_number), ""),
        None => checks.add("issuer", Standing::Warning, "not configured: no invoice is issued",
                           "write [issuer] with name, address, registration_number and bank_account into yakin.toml"),
    }
}

async fn database(checks: &mut Checks, place: &Place) {
    let whose = if place.is_private() { "private" } else { "given" };
    let reached = async {
        let mut connection = database::connect_as_login(&place.engine_url).await?;
        let facts = facts(&mut connection).await?;
        connection.close().await?;
        Ok::<_, database::DatabaseError>(facts)
    };
    match reached.await {
        Err(error) => {
            return checks.add("database", Standing::Bad, error.to_string(), "see the message");
        }
        Ok((version, superuser, drift, prepared)) => {
            let major =
                version.split('.').next().and_then(|m| m.trim().parse::<i32>().ok()).unwrap_or(0);
            let old = major < OLDEST_POSTGRES;
            let standing = if old { Standing::Bad } else { Standing::Good };
            checks.add(
                "database",
                standing,
                format!("{whose}, PostgreSQL {version}"),
                "Yakin needs PostgreSQL 15 or newer",
            );
            if superuser {
                checks.add(
                    "login",
                    Standing::Warning,
                    "the engine's login is a superuser",
                    "log in as yakin_engine, or as a login that was granted yakin_engine",
                );
            }
            let clocks = if drift.abs() > 2.0 { Standing::Warning } else { Standing::Good };
            checks.add(
                "clocks",
                clocks,
                format!("this machine is {drift:.1} s from the database's"),
                "synchronise both with NTP",
            );
            if prepared > 0 {
                checks.add(
                    "prepared",
                    Standing::Warning,
                    format!("{prepared} prepared transactions hold back vacuum"),
                    "look at pg_prepared_xacts",
                );
            }
        }
    }
    match place.pool().await {
        Ok(pool) => {
            checks.add(
                "schema",
                Standing::Good,
                "migrated, and this login may act as yakin_engine",
                "",
            );
            doctor_database::attempts(checks, &pool).await;
            match yakin_engine::look::waiting(&pool).await {
                Ok(waiting) => health::queue(&waiting).into_iter().for_each(|c| checks.take(c)),
                Err(error) => {
                    checks.add("queue", Standing::Bad, error.to_string(), "see the message");
                }
            }
        }
        Err(error) => {
            checks.add("schema", Standing::Bad, format!("{error:#}"), "run `yakin migrate`")
        }
    }
}

async fn facts(connection: &mut PgConnection) -> Result<(String, bool, f64, i64), sqlx::Error> {
    let (version, superuser, at, prepared): (String, bool, jiff_sqlx::Timestamp, i64) = sqlx::query_as(
        "SELECT current_setting('server_version'), (SELECT rolsuper FROM pg_roles WHERE rolname = session_user),
                clock_timestamp(), (SELECT count(*) FROM pg_prepared_xacts)",
    )
    .fetch_one(connection)
    .await?;
    let here = yakin_engine::clock::Clock::real().now();
    Ok((version, superuser, here.duration_since(at.to_jiff()).as_secs_f64(), prepared))
}

fn catalogue(checks: &mut Checks) {
    match registry() {
        Ok(registry) => checks.add(
            "catalogue",
            Standing::Good,
            format!("{} batches", registry.all().count()),
            "",
        ),
        Err(error) => checks.add("catalogue", Standing::Bad, error.to_string(), "mend the spec"),
    }
}

async fn tool(
    checks: &mut Checks,
    name: &'static str,
    program: &str,
    mend: &str,
    otherwise: Standing,
) {
    match tokio::process::Command::new(program).arg("--version").output().await {
        Ok(out) => checks.add(
            name,
            Standing::Good,
            String::from_utf8_lossy(&out.stdout).trim().to_owned(),
            "",
        ),
        Err(_) => checks.add(name, otherwise, format!("{program} is not installed"), mend),
    }
}
