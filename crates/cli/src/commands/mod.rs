//! Which file answers which command.

mod access;
mod act;
mod backup;
mod backup_files;
mod backup_list;
mod catalogue;
mod dead;
mod demo;
mod demo_outside;
mod doctor;
mod doctor_backup;
mod doctor_database;
mod doctor_files;
mod doctor_maintenance;
mod doctor_outside;
mod evidence;
mod keys;
mod night;
mod night_report;
mod psql;
mod reports;
mod run;
mod runs;
mod sample;
mod serve;
pub mod stores;
pub mod waiting;
mod watch;

use crate::arguments::{Arguments, Command};
use crate::output::{End, line};
use crate::place::Place;

/// Carries a command out.
pub async fn dispatch(arguments: Arguments) -> anyhow::Result<End> {
    match &arguments.command {
        Command::Completions { shell } => {
            let mut command = <Arguments as clap::CommandFactory>::command();
            clap_complete::generate(*shell, &mut command, "yakin", &mut std::io::stdout());
            return Ok(End::Done);
        }
        Command::Demo(demo) => return demo::demo(&arguments, demo).await,
        Command::Doctor => return doctor::doctor(&arguments).await,
        Command::Keys { act } => return keys::keys(&arguments, act),
        Command::Backup { act } => return backup::backup(&arguments, act).await,
        _ => {}
    }
    let place = Place::open(&arguments).await?;
    match arguments.command {
        Command::Serve(serve) => serve::serve(&place, &serve).await,
        Command::Migrate => migrate(&place).await,
        Command::Sample(sample) => sample::sample(&place, &sample).await,
        Command::Psql { args } => psql::psql(&place, &args).await,
        Command::Catalogue => catalogue::catalogue(&place).await,
        Command::Show { batch } => catalogue::show(&place, &batch).await,
        Command::Timetable { date } => watch::timetable(&place, date.as_deref()).await,
        Command::Run(run) => run::run(&place, &run).await,
        Command::Runs { batch, limit } => runs::runs(&place, batch.as_deref(), limit).await,
        Command::RunShow { run } => runs::show(&place, run).await,
        Command::Rerun { run, failed, reason } => run::rerun(&place, run, failed, &reason).await,
        Command::Unblock { run, tenant, why } => {
            run::unblock(&place, run, &tenant, &why.reason).await
        }
        Command::Dead { act } => dead::dead(&place, act).await,
        Command::Alerts { all } => watch::alerts(&place, all).await,
        Command::Morning => watch::morning(&place).await,
        Command::Audit { limit, act } => access::audit(&place, limit, act).await,
        Command::Evidence(wanted) => evidence::evidence(&place, &wanted).await,
        Command::Reports { act } => reports::reports(&place, &act).await,
        Command::Token { act } => access::token(&place, act).await,
        Command::Nodes => watch::nodes(&place).await,
        other => act::act(&place, other).await,
    }
}

async fn migrate(place: &Place) -> anyhow::Result<End> {
    let (before, after) = yakin_engine::database::migrate(&place.owner_url).await?;
    if place.json {
        crate::output::json(&serde_json::json!({"before": before, "after": after}))?;
    } else if before == after && !place.is_private() {
        line(format!("the database is at step {after}; nothing to do"));
    } else {
        line(format!("the database is at step {after}"));
    }
    Ok(End::Done)
}
