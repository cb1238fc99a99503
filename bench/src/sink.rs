//! A relay that takes every mail and forgets it, as a process of its own.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::child::told_lines;

/// What makes this program a sink.
pub const COMMAND: &str = "mail-sink";

static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// Says "ready" and, asked to go, its port as "port N"; tells at stdin's end how many it took.
pub async fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ready");
    println!("{}", listener.local_addr()?.port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                if let Err(error) = talk(stream).await {
                    eprintln!("mail sink: {error}");
                }
            });
        }
    });
    let mut lines = told_lines();
    while lines.recv().await.is_some() {}
    let taken = TAKEN.load(Ordering::Relaxed);
    println!("{}", json!({"started": taken, "latencies": []}));
    std::process::exit(0);
}

async fn talk(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut line = Vec::new();
    write.write_all(b"220 sink ESMTP\r\n").await?;
    loop {
        line.clear();
        if read.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let word: String = line.iter().take(4).map(|b| b.to_ascii_uppercase() as char).collect();
        let answer: &[u8] = match word.as_str() {
            "EHLO" => b"250-sink\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 52428800\r\n",
            "DATA" => b"354 go on\r\n",
            "QUIT" => b"221 bye\r\n",
            _ => b"250 OK\r\n",
        };
        write.write_all(answer).await?;
        if word == "DATA" {
            loop {
                line.clear();
                let read = read.read_until(b'\n', &mut line).await?;
                if read == 0 || line == b".\r\n" {
                    break;
                }
            }
            TAKEN.fetch_add(1, Ordering::Relaxed);
            write.write_all(b"250 OK taken\r\n").await?;
        }
    }
}
