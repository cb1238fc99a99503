//! Between a node and the server: cuts connections where it hurts.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// Listens for a node's connections.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    reset: watch::Sender<usize>,
}

struct Shared {
    server: PathBuf,
    /// The jobs whose connection was cut already.
    hit: Mutex<BTreeSet<u64>>,
    cuts: Mutex<Cuts>,
}

/// How often it has cut.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cuts {
    /// In the middle of a statement.
    pub halved: usize,
    /// Between a commit and its answer.
    pub unanswered: usize,
}

impl Proxy {
    /// In front of the server that listens at this socket. It cuts each job's connection once: of every second job in
    /// the middle of a statement, of the others when the server has committed and before the node hears of it.
    pub async fn start(server: &Path) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("address");
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            hit: Mutex::default(),
            cuts: Mutex::default(),
        });
        let (reset, resets) = watch::channel(0);
        let of_all = shared.clone();
        tokio::spawn(async move {
            while let Ok((node, _)) = listener.accept().await {
                let (shared, mut resets) = (of_all.clone(), resets.clone());
                resets.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        () = pass(node, &shared) => {}
                        _ = resets.changed() => {}
                    }
                });
            }
        });
        Proxy { address, shared, reset }
    }

    /// Cuts all connections.
    pub fn cut_all(&self) {
        self.reset.send_modify(|n| *n += 1);
    }

    /// How often it has cut a job's connection.
    pub fn cuts(&self) -> Cuts {
        *self.shared.cuts.lock().unwrap()
    }
}

/// Passes bytes on, until an end or a cut. Dropped sockets that have something unread are reset.
async fn pass(mut node: TcpStream, shared: &Shared) {
    let Ok(mut server) = UnixStream::connect(&shared.server).await else { return };
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut job = None;
    loop {
        tokio::select! {
            read = node.read(&mut asked) => {
                let Some(n) = read.ok().filter(|n| *n > 0) else { return };
                let said = &asked[..n];
                job = job_of(said).or(job.filter(|_| !has(said, b"BEGIN")));
                let cut = job.filter(|job| {
                    let (halves, commits) = (job % 2 == 0, has(said, b"COMMIT"));
                    let here = if halves { !commits && has(said, b"INSERT INTO") } else { commits };
                    here && shared.hit.lock().unwrap().insert(*job)
                });
                if cut.is_some_and(|job| job % 2 == 0) {
                    let _ = server.write_all(&said[..n / 2]).await;
                    shared.cuts.lock().unwrap().halved += 1;
                    return;
                }
                if server.write_all(said).await.is_err() {
                    return;
                }
                if cut.is_some() {
                    let _ = server.read(&mut answered).await;
                    shared.cuts.lock().unwrap().unanswered += 1;
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Some(n) = read.ok().filter(|n| *n > 0) else { return };
                if node.write_all(&answered[..n]).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn has(said: &[u8], words: &[u8]) -> bool {
    said.windows(words.len()).any(|w| w == words)
}

/// The job whose attempt begins here, by the label of its transaction.
fn job_of(said: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(said);
    let (_, behind) = text.split_once("= 'yakin job ")?;
    behind.split(' ').next()?.parse().ok()
}
