//! `yakin evidence`: an auditor's package of a month, in a folder.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use anyhow::Context;
use yakin_domain::evidence::{EvidenceError, MANIFEST, Month, write};
use yakin_engine::days::day_of;

use crate::arguments::Evidence;
use crate::output::{End, UsageError, grouped, json, line, table};
use crate::place::Place;

/// Writes the package and says what is in it.
pub async fn evidence(place: &Place, wanted: &Evidence) -> anyhow::Result<End> {
    let month: Month = wanted.month.parse().map_err(|why| UsageError(format!("--month: {why}")))?;
    let into = wanted.into.clone().unwrap_or_else(|| PathBuf::from(month.package()));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&into)
        .with_context(|| format!("cannot make the folder {}", into.display()))?;
    let pool = place.pool().await?;
    let over = day_of(place.clock(&pool).await?.now()) >= month.days().end;
    let package = match write(&pool, month, &into, None).await {
        Ok(package) => package,
        Err(error @ EvidenceError::There(_)) => return Err(UsageError(error.to_string()).into()),
        Err(error) => return Err(error.into()),
    };
    if place.json {
        json(&serde_json::json!({
            "month": month.to_string(), "over": over, "folder": into, "package": package
        }))?;
        return Ok(End::Done);
    }
    let mut rows: Vec<Vec<String>> = package
        .files
        .iter()
        .map(|listed| vec![listed.file.to_owned(), grouped(listed.rows), listed.sha256.clone()])
        .collect();
    rows.push(vec![MANIFEST.to_owned(), String::new(), package.manifest_sha256.clone()]);
    table(&["FILE", "ROWS", "SHA-256"], &rows);
    if let Some(head) = &package.audit_head {
        line(format!("audit chain head {head}"));
    }
    if !over {
        line(format!("{month} is not over: this is what there is so far"));
    }
    line(format!("written into {}", into.display()));
    Ok(End::Done)
}
