//! A Redis for BullMQ: its data in a folder that goes away, appended to a file that is synced every
//! second.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::tools::Tools;

/// A running Redis.
pub struct Redis {
    server: Child,
    port: String,
    folder: PathBuf,
}

impl Redis {
    /// Starts one, where there is a program for it and Node.js to ask it.
    pub async fn start(tools: &Tools) -> anyhow::Result<Option<Redis>> {
        let (Some(mut command), Some(_)) = (tools.redis(), tools.node("bullmq.cjs")) else {
            return Ok(None);
        };
        let folder = std::env::temp_dir().join(format!("yakin-bench-redis-{}", std::process::id()));
        std::fs::create_dir_all(&folder).context("making a folder for Redis")?;
        let free = TcpListener::bind("127.0.0.1:0").await?;
        let port = free.local_addr()?.port().to_string();
        drop(free);
        command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]);
        command.args(["--appendfsync", "everysec", "--maxmemory-policy", "noeviction"]);
        command.args(["--loglevel", "warning"]);
        command.arg("--dir").arg(&folder).stdout(Stdio::null()).kill_on_drop(true);
        let server = command.spawn().context("starting Redis")?;
        let redis = Redis { server, port, folder };
        for _ in 0..200 {
            if TcpStream::connect(format!("127.0.0.1:{}", redis.port)).await.is_ok() {
                return Ok(Some(redis));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("Redis does not answer at port {}", redis.port)
    }

    /// BullMQ's script against it.
    pub fn bullmq(&self, tools: &Tools, act: &str, words: &[&str]) -> Option<Command> {
        let mut command = tools.node("bullmq.cjs")?;
        command.arg(act).arg(&self.port).args(words);
        Some(command)
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.server.id().unwrap_or(0)
    }

    /// Ends it and forgets its data.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.server.kill().await?;
        std::fs::remove_dir_all(&self.folder).context("removing Redis's folder")
    }
}
