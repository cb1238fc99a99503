//! The process tests' stand-in for `yakin`: `hold DIR` stays at the private server until its
//! standard input ends.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use yakin_adapters::private_postgres::{PrivatePostgres, SUPERVISE_COMMAND, supervise};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let ended = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [command, dir] if *command == SUPERVISE_COMMAND => {
            supervise(Path::new(dir)).map_err(Into::into)
        }
        ["hold", dir] => hold(Path::new(dir)),
        _ => Err(format!("usage: hold DIR | {SUPERVISE_COMMAND} DIR").into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the URL once attached, then waits for the end of its standard input.
#[tokio::main]
async fn hold(dir: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let postgres = PrivatePostgres::attach(dir, &std::env::current_exe()?).await?;
    println!("{}", postgres.owner_url());
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}
