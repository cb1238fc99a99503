//! Finds the server's programs, of the major that the cluster needs.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::{PrivatePostgresError, Result};

const MAJORS: std::ops::RangeInclusive<u32> = 15..=18;

/// A folder that holds `postgres` and `initdb`.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    pub dir: PathBuf,
}

/// The first folder with a supported major; with the cluster's major when there is a `cluster`
/// already.
///
/// YAKIN_PG_BIN alone when set, else `pg_config --bindir`, Debian's folders from the newest on,
/// then PATH.
pub(super) fn find(cluster: Option<(u32, &Path)>) -> Result<Binaries> {
    let (mut looked, mut majors) = (Vec::new(), Vec::new());
    for dir in places() {
        let found = major_of(&dir);
        looked.push(dir.display().to_string());
        match found {
            Some(major) if MAJORS.contains(&major) && cluster.is_none_or(|(m, _)| m == major) => {
                return Ok(Binaries { dir });
            }
            Some(major) => majors.push(major.to_string()),
            None => {}
        }
    }
    let looked = looked.join(", ");
    let found = match majors.as_slice() {
        [] => String::new(),
        majors => format!(" (found {})", majors.join(", ")),
    };
    Err(match cluster {
        Some((cluster, path)) => {
            PrivatePostgresError::OtherMajor { path: path.into(), cluster, looked, found }
        }
        None => PrivatePostgresError::NoBinaries { looked, found },
    })
}

fn places() -> Vec<PathBuf> {
    if let Some(dir) = env::var_os("YAKIN_PG_BIN") {
        return vec![dir.into()];
    }
    let debian = MAJORS.rev().map(|major| format!("/usr/lib/postgresql/{major}/bin").into());
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> =
        pg_config().into_iter().chain(debian).chain(env::split_paths(&path)).collect();
    let mut seen = std::collections::HashSet::new();
    places.retain(|dir| dir.is_dir() && seen.insert(dir.clone()));
    places
}

fn pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let dir = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| dir.trim().into())
}

/// The major of the server in this folder; none when either program is missing or will not run.
fn major_of(dir: &Path) -> Option<u32> {
    if !dir.join("initdb").is_file() {
        return None;
    }
    let output = Command::new(dir.join("postgres")).arg("--version").output().ok()?;
    parse_major(&String::from_utf8_lossy(&output.stdout))
}

/// The major in `postgres (PostgreSQL) 15.18 (Debian …)`; also of betas such as `19devel`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parse_major;

    #[test]
    fn reads_the_major_of_released_and_unreleased_versions() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 18.6\n"), Some(18));
        assert_eq!(parse_major("postgres (PostgreSQL) 19devel\n"), Some(19));
        assert_eq!(parse_major("mysqld 8.0"), None);
    }
}
