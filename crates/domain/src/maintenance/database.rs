//! The database: indexes, statistics, rows past their keep, and statistics again where much went.

use serde_json::json;
use yakin_engine::outcome::Stop;
use yakin_engine::run::PlatformRun;

use super::indexes::Owner;
use super::{Maintenance, Rules, Tally, retention};

const NO_OWNER: &str = "no database.maintenance_url is configured: no index was rebuilt, no table analysed \
                        (CREATE ROLE yakin_maintenance LOGIN BYPASSRLS PASSWORD '…'; GRANT <owner> TO yakin_maintenance)";
const NO_BACKUP: &str =
    "no backup of the last 26 hours is proven: no row was removed; look at `yakin backup list`";

pub async fn maintain(
    with: &Maintenance,
    run: &PlatformRun,
    rules: &Rules,
    tally: &mut Tally,
) -> Result<(), Stop> {
    tally.configured = true;
    let owner = match &with.owner {
        Some(login) => Some(Owner::connect(login).await),
        None => {
            tally.lacks(NO_OWNER);
            None
        }
    };
    // rows go by the roles of the application: whatever is wrong with the owner's login, they can
    let (mut owner, indexes) = match owner {
        None => (None, Ok(())),
        Some(Err(stop)) => (None, Err(stop)),
        Some(Ok(mut owner)) => {
            tally.was("database_bytes", owner.bytes().await?);
            let kept = owner.care(run, rules, tally).await;
            (Some(owner), kept)
        }
    };
    let removed = if backed_up(run, tally).await? {
        retention::remove(run, tally).await?
    } else {
        retention::Removed::new()
    };
    indexes?;
    if let Some(owner) = &mut owner
        && !run.dry_run()
    {
        let again = owner.analyse_after(&removed).await?;
        tally.add("tables_analysed", again);
        tally.is("database_bytes", owner.bytes().await?);
    }
    Ok(())
}

/// Whether rows may go: a backup of the night is proven, or none is made here at all.
async fn backed_up(run: &PlatformRun, tally: &mut Tally) -> Result<bool, Stop> {
    use jiff_sqlx::ToSqlx;
    let at = run.at().to_sqlx();
    let (made, proven): (bool, bool) = run
        .read(async |tx| {
            Ok(sqlx::query_as(include_str!("backed_up.sql")).bind(at).fetch_one(tx).await?)
        })
        .await?;
    match (made, proven) {
        (false, _) => run.warn("no backup of this database is known", json!({})),
        (true, false) => tally.tell("backup", NO_BACKUP, true),
        (true, true) => {}
    }
    Ok(proven || !made)
}
