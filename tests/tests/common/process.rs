//! Processes of the binary: serving nodes, and commands that run to their end.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::until;

/// A `yakin serve` that is killed with the test.
pub struct Node {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    stderr: Arc<Mutex<String>>,
    readers: Vec<std::thread::JoinHandle<()>>,
    pub address: String,
    /// Its row in yakin.nodes.
    pub id: i64,
}

impl Node {
    /// Starts it and waits until it answers.
    pub async fn start(mut command: Command) -> Node {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starting the program");
        let (lines, stderr) =
            (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<String>>::default());
        let (out, err) =
            (child.stdout.take().expect("stdout"), child.stderr.take().expect("stderr"));
        let kept = lines.clone();
        let reads_out = std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        let kept = stderr.clone();
        let reads_err = std::thread::spawn(move || {
            let mut err = BufReader::new(err);
            let mut line = String::new();
            while err.read_line(&mut line).is_ok_and(|n| n > 0) {
                kept.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        let mut node = Node {
            child,
            lines,
            stderr,
            readers: vec![reads_out, reads_err],
            address: String::new(),
            id: 0,
        };
        let limit = Instant::now() + Duration::from_secs(30);
        loop {
            let serving = node.logs().into_iter().find(|l| l["message"] == "serving");
            if let Some(line) = serving {
                node.address = line["address"].as_str().expect("address").to_owned();
                node.id = line["node"].as_i64().expect("node");
                return node;
            }
            let ended = node.child.try_wait().expect("child");
            assert!(
                ended.is_none() && Instant::now() < limit,
                "the node does not serve: {ended:?} {}",
                node.stderr()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What it has said on stdout: each line must be a JSON object.
    pub fn logs(&self) -> Vec<serde_json::Value> {
        let lines = self.lines.lock().unwrap();
        lines
            .iter()
            .map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("no JSON ({e}): {l}")))
            .collect()
    }

    /// What it has said on stderr.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("signal");
    }

    /// As `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Tells it to stop and waits for its end.
    pub async fn terminate(&mut self, seconds: u64) -> ExitStatus {
        self.signal(Signal::TERM);
        self.end(seconds).await
    }

    /// Waits for its end, and for its last words.
    pub async fn end(&mut self, seconds: u64) -> ExitStatus {
        let child = &mut self.child;
        let mut status = None;
        until("the node ends", seconds, async || {
            status = child.try_wait().expect("child");
            status.is_some()
        })
        .await;
        for reader in self.readers.drain(..) {
            reader.join().expect("reader");
        }
        status.expect("status")
    }

    /// Whether it still lives.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().expect("child").is_none()
    }

    /// GET: status line, head and body.
    pub async fn get(&self, path: &str, accept: &str) -> (String, String) {
        self.ask(path, &format!("Accept: {accept}\r\n")).await
    }

    /// GET with a token.
    pub async fn get_as(&self, path: &str, token: &str) -> (String, String) {
        self.ask(path, &format!("Authorization: Bearer {token}\r\n")).await
    }

    async fn ask(&self, path: &str, headers: &str) -> (String, String) {
        let mut stream = tokio::net::TcpStream::connect(&self.address).await.expect("connect");
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: test\r\n{headers}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
        (head.to_owned(), body.to_owned())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!(
                "node {} said:\n{}{}",
                self.id,
                self.lines.lock().unwrap().join("\n"),
                self.stderr()
            );
        }
    }
}

/// How a command ended.
pub struct Told {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Told {
    fn from(output: Output) -> Told {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        let told = Told {
            code: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
        };
        assert!(!told.err.contains("panicked"), "{}", told.err);
        assert!(
            !told.out.contains('\u{1b}') && !told.err.contains('\u{1b}'),
            "escape codes in a pipe"
        );
        told
    }
}

/// Runs a command to its end; one that hangs for a minute is killed and fails the test.
pub fn tell(command: Command) -> Told {
    tell_within(60, command)
}

/// The same for one that may take so many seconds.
pub fn tell_within(seconds: u64, mut command: Command) -> Told {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starting the program");
    let (mut out, mut err) = (child.stdout.take().expect("out"), child.stderr.take().expect("err"));
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        out.read_to_end(&mut bytes).expect("stdout");
        bytes
    });
    let pid = Pid::from_child(&child);
    let (ended, hung) = std::sync::mpsc::channel::<()>();
    let guard = std::thread::spawn(move || {
        let limit = hung.recv_timeout(Duration::from_secs(seconds));
        if limit == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = kill_process(pid, Signal::KILL);
        }
    });
    let mut stderr = Vec::new();
    err.read_to_end(&mut stderr).expect("stderr");
    let stdout = reader.join().expect("reader");
    let status = child.wait().expect("wait");
    drop(ended);
    guard.join().expect("guard");
    Told::from(Output { status, stdout, stderr })
}
