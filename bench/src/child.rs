//! Processes that are measured: "ready" on stdout, "go N" on stdin, what they saw at stdin's end.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// No step of a bench takes longer.
const LIMIT: Duration = Duration::from_secs(600);

/// A worker's process.
pub struct Worker {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What a worker saw.
#[derive(Debug, Default, Deserialize)]
pub struct Seen {
    /// Jobs that were begun, mails that were taken.
    pub started: u64,
    /// From sending to beginning, in nanoseconds.
    pub latencies: Vec<f64>,
}

impl Worker {
    /// Starts it and waits until it is ready.
    pub async fn start(mut command: Command) -> anyhow::Result<Worker> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("the child has no stdout")?;
        let mut worker = Worker { child, stdin, lines: BufReader::new(stdout).lines() };
        worker.wait_for("ready").await.with_context(|| format!("{command:?}"))?;
        Ok(worker)
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Lets it work; it will say "done" when it has begun this many jobs.
    pub async fn go(&mut self, jobs: usize) -> anyhow::Result<()> {
        let stdin = self.stdin.as_mut().context("it was let go already")?;
        stdin.write_all(format!("go {jobs}\n").as_bytes()).await?;
        Ok(stdin.flush().await?)
    }

    /// Waits for a line.
    pub async fn wait_for(&mut self, word: &str) -> anyhow::Result<()> {
        let line = self.line().await?;
        if line != word {
            bail!("the child said '{line}', expected '{word}'");
        }
        Ok(())
    }

    /// What it says next.
    pub async fn line(&mut self) -> anyhow::Result<String> {
        let line =
            timeout(LIMIT, self.lines.next_line()).await.context("the child is silent")??;
        line.context("the child ended; what it said stands above")
    }

    /// Kills it as no process can prepare for.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Ends it and hears what it saw.
    pub async fn end(mut self) -> anyhow::Result<Seen> {
        drop(self.stdin.take());
        let mut last = self.line().await?;
        while !last.starts_with('{') {
            last = self.line().await?;
        }
        timeout(LIMIT, self.child.wait()).await.context("the child does not end")??;
        serde_json::from_str(&last).with_context(|| format!("the child said '{last}'"))
    }
}

/// The lines this process is told, when it is a child itself; ends with stdin.
pub fn told_lines() -> mpsc::Receiver<String> {
    let (tell, told) = mpsc::channel(4);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if tell.blocking_send(line).is_err() {
                return;
            }
        }
    });
    told
}

/// Runs a command to its end; its last line is JSON.
pub async fn told<T: DeserializeOwned>(mut command: Command) -> anyhow::Result<T> {
    command.stderr(Stdio::inherit()).kill_on_drop(true);
    let output = timeout(LIMIT, command.output()).await.context("it takes too long")??;
    if !output.status.success() {
        bail!("{command:?} ended with {}", output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).with_context(|| format!("{command:?} said '{text}'"))
}

/// How long something took by a child's own account.
#[derive(Debug, Deserialize)]
pub struct Took {
    pub seconds: f64,
}
