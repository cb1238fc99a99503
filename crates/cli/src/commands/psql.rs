//! `yakin psql`: a way into the database, with the right URL.

use anyhow::Context;

use crate::output::End;
use crate::place::Place;

/// Runs psql as the owner.
pub async fn psql(place: &Place, args: &[String]) -> anyhow::Result<End> {
    let status = tokio::process::Command::new("psql")
        .arg(&place.owner_url)
        .args(args)
        .status()
        .await
        .context("psql cannot be started; install postgresql-client")?;
    Ok(if status.success() { End::Done } else { End::Failed })
}
