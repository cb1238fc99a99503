//! Log files and temporary files of the node.

use jiff::ToSpan;
use yakin_adapters::log_files::aging::{Ages, age};
use yakin_adapters::temp_files::clear;
use yakin_engine::outcome::{Cause, Stop};
use yakin_engine::run::PlatformRun;

use super::{Maintenance, Rules, Tally, retention};
use crate::delivery::Outside;

/// A temporary file that nobody has touched for so long is nobody's.
const TEMP_HOURS: i64 = 24;
/// The policy of log files.
const CLASS: &str = "log_files";

/// Old log files into the archive, old archives away.
pub async fn logs(
    with: &Maintenance,
    run: &PlatformRun,
    rules: &Rules,
    tally: &mut Tally,
) -> Result<(), Stop> {
    if with.logs.is_empty() {
        tally.lacks("no log folder is known here ([log] dir, or [maintenance] logs)");
        return Ok(());
    }
    tally.configured = true;
    let policies = run.read(async |tx| Ok(retention::policies(tx).await?)).await?;
    let Some(policy) = policies.iter().find(|p| p.data_class == CLASS) else {
        return Err(Stop::give_up(Cause::Data, "app.retention_policies has no row 'log_files'"));
    };
    // parameters lengthen what the policy promises, never shorten it; without an age nothing goes
    let longer =
        |param: i64, days: Option<i32>| days.map_or(i64::from(u16::MAX), |d| param.max(d.into()));
    let ages = Ages {
        archive_after_days: longer(rules.archive_after_days, policy.archive_after_days),
        delete_after_days: longer(rules.delete_after_days, policy.delete_after_days),
    };
    let mut files = 0;
    for dir in &with.logs {
        let (folder, now, planned) = (dir.clone(), run.now(), run.dry_run());
        let aged = blocking(move || age(&folder, now, ages, planned)).await?;
        files += aged.files;
        tally.add("logs_archived", aged.archived);
        tally.add("log_bytes_before", aged.bytes_before);
        tally.add("log_bytes_after", aged.bytes_after);
        tally.add("archives_deleted", aged.deleted);
        tally.add("archive_bytes_deleted", aged.bytes_deleted);
        tally.add("logs_in_use", aged.in_use);
    }
    tally.was("log_files", files);
    Ok(())
}

/// Old temporary files, and what lost writers left in the storage.
pub async fn temp(with: &Maintenance, run: &PlatformRun, tally: &mut Tally) -> Result<(), Stop> {
    let outside = run.resource::<Outside>();
    let storage = outside.as_ref().and_then(|outside| outside.storage.clone());
    if with.temp.is_empty() && storage.is_none() {
        tally.lacks(
            "no folder of temporary files is known here ([maintenance] temp), nor a storage",
        );
        return Ok(());
    }
    tally.configured = true;
    let before = run.now().checked_sub(TEMP_HOURS.hours()).unwrap_or(run.now());
    let mut files = 0;
    for dir in &with.temp {
        let (folder, planned) = (dir.clone(), run.dry_run());
        let cleared = blocking(move || clear(&folder, before, planned)).await?;
        files += cleared.files;
        tally.add("temp_removed", cleared.removed);
        tally.add("temp_bytes", cleared.bytes);
        tally.add("temp_in_use", cleared.in_use);
    }
    tally.was("temp_files", files);
    if let Some(storage) = storage.filter(|_| !run.dry_run()) {
        let swept = storage.sweep().await;
        tally.add("parts_removed", swept.map_err(|e| Stop::retry(Cause::Storage, e.to_string()))?);
    }
    Ok(())
}

/// Work on files, which waits for disks, in a thread of its own.
async fn blocking<T: Send + 'static, E: std::fmt::Display + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Stop> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|e| Stop::retry(Cause::Storage, e.to_string())),
        Err(error) => Err(Stop::give_up(Cause::Defect, error.to_string())),
    }
}
