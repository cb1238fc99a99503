//! What came of a company's standing offers, by the day they were sent on: DAILY_002 counts the last thirty such days anew
//! each night, since replies, meetings and contracts come later.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use yakin_engine::prelude::*;

use super::source::Source;

/// Offers, their letters and what came of them; one statement, one pass over each of the three tables.
pub const APPROACHES: Source = Source {
    name: "approaches",
    logs: &[],
    sql: include_str!("approaches.sql"),
    nothing: r#"{"approaches": 0, "letters_unknown": 0, "cohorts": []}"#,
};

/// What became of a company's sending days.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refreshed {
    /// Rows written: none where nothing new came.
    pub rows: i64,
    /// Events of the window whose recipient was never written to.
    pub strange: i64,
}

/// Writes the sending days that differ from what was staged; a sending day counts on for thirty days.
pub async fn refresh(
    tx: &mut Tx,
    run: &TenantRun,
    day: Date,
    figures: &[&str],
) -> Result<Refreshed, Stop> {
    let (rows, strange) = sqlx::query_as(include_str!("approaches_store.sql"))
        .bind(run.tenant())
        .bind(day.to_sqlx())
        .bind(run.id())
        .bind(figures)
        .bind(run.now().to_sqlx())
        .fetch_one(tx)
        .await?;
    Ok(Refreshed { rows, strange })
}
