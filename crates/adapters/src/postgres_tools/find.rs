//! Finds the folder of pg_dump that fits a server: never older than it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::{Result, Tools, ToolsError};

/// The newest server that Yakin runs on.
const NEWEST: u32 = 18;

/// YAKIN_PG_BIN first, then Debian's folders from the server's major on, then PATH.
pub(super) async fn at_least(wanted: u32) -> Result<Tools> {
    let mut places: Vec<PathBuf> =
        env::var_os("YAKIN_PG_BIN").map(Into::into).into_iter().collect();
    places.extend((wanted..=NEWEST).map(|m| format!("/usr/lib/postgresql/{m}/bin").into()));
    places.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let mut looked = Vec::new();
    for dir in places {
        match major_of(&dir).await {
            Some(major) if major >= wanted => return Ok(Tools { dir, major }),
            Some(major) => looked.push(format!("{} ({major})", dir.display())),
            None => {}
        }
    }
    let looked = if looked.is_empty() {
        "YAKIN_PG_BIN, Debian's folders, PATH".into()
    } else {
        looked.join(", ")
    };
    Err(ToolsError::Missing { wanted, looked })
}

async fn major_of(dir: &Path) -> Option<u32> {
    if !["pg_dump", "pg_dumpall", "pg_restore"].iter().all(|p| dir.join(p).is_file()) {
        return None;
    }
    let output =
        Command::new(dir.join("pg_dump")).arg("--version").stdin(Stdio::null()).output().await;
    let text = String::from_utf8_lossy(&output.ok()?.stdout).into_owned();
    let version = text.split_whitespace().find(|w| w.starts_with(|c: char| c.is_ascii_digit()))?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
