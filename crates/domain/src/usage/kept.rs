//! Whether a day's logs are still whole: what retention has begun to remove is not counted, since less would take the place
//! of what was.

use jiff::ToSpan;
use jiff::civil::Date;
use yakin_engine::days::midnight;
use yakin_engine::prelude::*;
use yakin_engine::run::Attempt;

/// Refuses to count `day` from `logs` when its first instant is past the keep of one of them.
pub async fn still_kept(run: &Attempt, day: Date, logs: &[&str]) -> Result<(), Stop> {
    let gone = gone(run, day, logs).await?;
    if gone.is_empty() {
        return Ok(());
    }
    let gone: Vec<String> = gone.iter().map(|(log, days)| format!("{log} {days} days")).collect();
    Err(Stop::give_up(
        Cause::Data,
        format!("{day} is not counted, its logs are no longer kept ({})", gone.join(", ")),
    ))
}

/// The logs of which `day` is not whole any more, each with its keep in days.
pub async fn gone(run: &Attempt, day: Date, logs: &[&str]) -> Result<Vec<(String, i32)>, Stop> {
    let keeps: Vec<(String, i32)> = run
        .read(async |tx| {
            Ok(sqlx::query_as(
                "SELECT data_class, delete_after_days FROM app.retention_policies
                  WHERE data_class = ANY ($1) AND delete_after_days IS NOT NULL ORDER BY data_class",
            )
            .bind(logs)
            .fetch_all(tx)
            .await?)
        })
        .await?;
    let (begins, now) = (midnight(day), run.at());
    // days of 24 hours, as retention counts them
    let past = |days: i32| {
        now.checked_sub((24 * i64::from(days)).hours()).is_ok_and(|oldest| begins < oldest)
    };
    Ok(keeps.into_iter().filter(|(_, days)| past(*days)).collect())
}
