//! One child process: started, asked, ended.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::{CHILD_COMMAND, message};

/// How much of what a child said on its way out is kept.
const MAX_SAID_BYTES: u64 = 2 << 10;
/// How long to wait for the last words and the end of a child that is closing its pipes.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Layout recurses deeply.
const STACK_BYTES: usize = 16 << 20;

/// A child; killed when dropped.
pub struct Process {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    errors: ChildStderr,
    /// What it has not been told yet.
    untold: Vec<u8>,
}

/// How a child ended, and what it wrote to its standard error.
pub struct Death {
    pub ended: String,
    pub said: String,
}

impl Process {
    /// Starts the program with nothing of our environment, files or terminal; `setup` is told to it
    /// before its first request.
    pub fn start(program: &Path, setup: &[u8]) -> io::Result<Process> {
        let mut child = Command::new(program)
            .arg(CHILD_COMMAND)
            .env_clear()
            // one document a child: several children use the processors better
            .env("RAYON_NUM_THREADS", "1")
            .env("RUST_MIN_STACK", STACK_BYTES.to_string())
            .current_dir("/")
            // Ctrl-C is for the parent, which ends its children when it has drained
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let lost = || io::Error::other("a pipe of the child is missing");
        Ok(Process {
            input: child.stdin.take().ok_or_else(lost)?,
            output: child.stdout.take().ok_or_else(lost)?,
            errors: child.stderr.take().ok_or_else(lost)?,
            child,
            untold: setup.to_vec(),
        })
    }

    /// Its process id, while it lives.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether it has not ended.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a message and waits for the answer, without its length.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<Vec<u8>> {
        self.input.write_all(&std::mem::take(&mut self.untold)).await?;
        self.input.write_all(request).await?;
        self.input.flush().await?;
        let mut prefix = [0; 4];
        self.output.read_exact(&mut prefix).await?;
        let length = message::length(prefix)?;
        let mut answer = Vec::with_capacity(length.min(1 << 20));
        (&mut self.output).take(length as u64).read_to_end(&mut answer).await?;
        if answer.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(answer)
    }

    /// Kills it and waits for its end.
    pub async fn kill(mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, pid = self.id(), "killing a rendering child");
        }
    }

    /// What is known of a child that failed to answer; it is gone afterwards.
    pub async fn inquest(mut self, error: &io::Error) -> Death {
        let mut said = Vec::new();
        let mut errors = (&mut self.errors).take(MAX_SAID_BYTES);
        let words = errors.read_to_end(&mut said);
        let gone = matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe);
        let ended = if !gone {
            format!("answered wrongly ({error}) and was killed")
        } else if timeout(LAST_WORDS, words).await.is_ok()
            && let Ok(Ok(status)) = timeout(LAST_WORDS, self.child.wait()).await
        {
            describe(status)
        } else {
            "closed its pipes and was killed".to_owned()
        };
        self.kill().await;
        let said = String::from_utf8_lossy(&said).trim().replace('\n', " ");
        Death { ended, said }
    }
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was ended by signal {signal}"),
        (None, Some(code)) => format!("ended with code {code}"),
        (None, None) => "ended".to_owned(),
    }
}
