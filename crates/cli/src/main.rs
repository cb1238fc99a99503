//! `yakin`: one binary for operators, developers and nodes. One file per subcommand in `commands/`.

mod alerting;
mod arguments;
mod commands;
mod config;
mod logging;
mod morning;
mod output;
mod outside;
mod place;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments = Arguments::parse();
    if let Command::SupervisePostgres { dir } = &arguments.command {
        // a plain process: no runtime, no logs, no configuration
        return match yakin_adapters::private_postgres::supervise(dir) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error.into()),
        };
    }
    if let Command::RenderChild = &arguments.command {
        return match yakin_render::child() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error.into()),
        };
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(commands::dispatch(arguments)) {
        Ok(end) => end.code(),
        Err(error) => fail(&error),
    }
}

/// Prints an error as one sentence; mistakes of use and configuration end with 2, everything else with 1.
fn fail(error: &anyhow::Error) -> ExitCode {
    use yakin_engine::database::DatabaseError;
    use yakin_engine::error::EngineError;
    eprintln!("yakin: {error:#}");
    let usage = error.is::<config::ConfigError>()
        || error.is::<output::UsageError>()
        || matches!(error.downcast_ref(), Some(e) if !matches!(e, EngineError::Database { .. }))
        || matches!(error.downcast_ref::<DatabaseError>(), Some(e) if !matches!(e, DatabaseError::Sql(_)));
    ExitCode::from(if usage { 2 } else { 1 })
}
