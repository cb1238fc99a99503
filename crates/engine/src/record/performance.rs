//! How long runs take and what they cost, and when one is slower than its history.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::spec::Spec;
use crate::tx::Tx;

/// Records a run that ended. Slow = over 1.5 × the mean of the last 5–20 successful runs of the same kind of day
/// (working day or weekend, Tokyo), and at least 10 s.
pub(crate) async fn record(
    tx: &mut Tx,
    spec: &Spec,
    run: i64,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let weekday = crate::days::day_of(now).weekday();
    let weekend = matches!(weekday, jiff::civil::Weekday::Saturday | jiff::civil::Weekday::Sunday);
    sqlx::query(include_str!("performance_record.sql"))
        .bind(run)
        .bind(spec.id)
        .bind(weekend)
        .bind(now.to_sqlx())
        .execute(tx.inner()?)
        .await
        .map(|_| ())
}
