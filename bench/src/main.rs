//! Yakin beside bare tools and its peers, on one machine, in one run; `scripts/bench` starts it.

mod benches;
mod child;
mod measure;
mod node;
mod product;
mod queue;
mod report;
mod server;
mod sink;
mod tools;
mod world;

use anyhow::{Context, bail};

use benches::ALL;
use world::World;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some(node::COMMAND) => node::work(&words[1..]).await,
        Some(sink::COMMAND) => sink::serve().await,
        Some("--list") => {
            ALL.iter().for_each(|b| println!("  {:12} {}", b.name, b.what));
            Ok(())
        }
        _ => run(&words).await,
    }
}

async fn run(words: &[String]) -> anyhow::Result<()> {
    measure::keep_orphans().context("becoming the parent of orphans")?;
    let quick = words.iter().any(|w| w == "--quick");
    let names: Vec<&String> = words.iter().filter(|w| !w.starts_with('-')).collect();
    if let Some(unknown) = words.iter().find(|w| w.starts_with('-') && *w != "--quick") {
        bail!("unknown option {unknown}; expected --quick");
    }
    if let Some(unknown) = names.iter().find(|n| ALL.iter().all(|b| b.name != n.as_str())) {
        bail!("unknown bench {unknown}; scripts/bench --help lists them");
    }
    let world = World::open(quick).await?;
    let mut failed = Vec::new();
    for bench in ALL.iter().filter(|b| names.is_empty() || names.iter().any(|n| *n == b.name)) {
        let load = measure::load()?;
        match (bench.run)(&world).await {
            Ok(report) => report.show(bench, &load, quick)?,
            Err(error) => {
                eprintln!("{}: {error:#}", bench.name);
                failed.push(bench.name);
            }
        }
    }
    world.close().await.context("closing")?;
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}
