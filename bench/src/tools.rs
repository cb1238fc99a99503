//! Where the programs and files are that the benches start and read.

use std::path::{Path, PathBuf};

use anyhow::Context;
use tokio::process::Command;

/// The repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// What may be started.
pub struct Tools {
    /// This program.
    pub this: PathBuf,
    /// `yakin` of the same build.
    pub yakin: PathBuf,
    /// The peers' program, where it was built.
    peers: Option<PathBuf>,
    /// Whether Node.js and its modules are there (`NODE_PATH`).
    node: bool,
    /// `redis-server`, under whatever name Debian's redis-tools has it.
    redis: Option<PathBuf>,
}

impl Tools {
    /// Finds them; peers may be missing.
    pub fn find() -> anyhow::Result<Tools> {
        let this = std::env::current_exe().context("finding this program's own file")?;
        let yakin = this.with_file_name("yakin");
        anyhow::ensure!(
            yakin.is_file(),
            "{} is missing: cargo build --release -p yakin-cli",
            yakin.display()
        );
        let given = |key: &str| std::env::var_os(key).filter(|v| !v.is_empty()).map(PathBuf::from);
        let redis = ["redis-server", "redis-check-rdb"].into_iter().find_map(in_path);
        let node = given("NODE_PATH").is_some_and(|p| p.is_dir()) && in_path("node").is_some();
        Ok(Tools { this, yakin, peers: given("YAKIN_BENCH_PEERS"), node, redis })
    }

    /// graphile_worker's program.
    pub fn peers(&self) -> Option<Command> {
        self.peers.as_ref().map(Command::new)
    }

    /// A script of `bench/peers/node`.
    pub fn node(&self, script: &str) -> Option<Command> {
        self.node.then(|| {
            let mut command = Command::new("node");
            command.arg(root().join("bench/peers/node").join(script));
            command
        })
    }

    /// A Redis, to which arguments are still to be given.
    pub fn redis(&self) -> Option<Command> {
        self.redis.as_ref().map(|program| {
            let mut command = Command::new(program);
            // one program under several names; it goes by the one it is called by
            command.arg0("redis-server");
            command
        })
    }

    /// This program as something else.
    pub fn this(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.this);
        command.args(words);
        command
    }
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}
