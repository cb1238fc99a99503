//! Over a socket: bounds on headers, slow clients, and a drain that lets open requests end.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use yakin_api::Settings;
use yakin_engine::access::Role;

use crate::common::Site;

/// How long a node of these tests bears with a client that takes nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// A node's address, how it is told to stop, and its end.
type Served = (SocketAddr, CancellationToken, JoinHandle<std::io::Result<()>>);

async fn served(site: &Site) -> Served {
    served_with(site, Settings::default()).await
}

async fn served_with(site: &Site, settings: Settings) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let engine = site.world.engine.clone();
    let settings = Settings { patience: PATIENCE, ..settings };
    let serving = tokio::spawn(yakin_api::serve(listener, engine, settings, stop.clone()));
    (address, stop, serving)
}

/// A client that asks, reads the answer's first bytes, and takes no more of it: what its machine holds for it is little.
async fn idle(address: SocketAddr, path: &str, token: &str, headers: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 15];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    stream
}

/// What comes of an answer until its end, which is near.
async fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    // one that was cut off may end with a reset
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest))
        .await
        .expect("the answer has no end");
    rest
}

async fn said(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // an answer to what was not read to its end may be followed by a reset
    let _ = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer))
        .await
        .expect("no end came");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_have_their_bounds() {
    let site = Site::new().await;
    let (address, ..) = served(&site).await;
    let close = "Connection: close\r\n\r\n";
    let good =
        said(address, format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{close}").as_bytes()).await;
    assert!(good.starts_with("HTTP/1.1 200"), "{good}");
    let long = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {}\r\n{close}", "a".repeat(40_000));
    let many: String = (0..200).map(|n| format!("X-{n}: 1\r\n")).collect();
    let many = format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{many}{close}");
    for wrong in [long.as_str(), many.as_str(), "GE T / HTTP/1.1\r\n\r\n", "\u{16}\u{3}\u{1}"] {
        let answer = said(address, wrong.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 4") || answer.is_empty(), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_finish_its_headers_is_cut_off() {
    let site = Site::new().await;
    let (address, ..) = served(&site).await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost:").await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(25), slow.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "a silent client is still held");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_its_answer_is_cut_off() {
    let site = Site::new().await;
    // more than the machine holds between the two
    site.world
        .sql(
            "INSERT INTO yakin.audit (real_time, actor, action, subject, reason)
             SELECT '2026-09-15T00:00:00Z', 'many', 'x', n::text, repeat('理由', 2000)
               FROM generate_series(1, 2000) n",
        )
        .await;
    let token = site.token(Role::Viewer, None).await;
    let (address, ..) = served(&site).await;
    let path = "/admin/batch/evidence/2026-09";
    // two who take nothing hold the node's places for packages until they are cut off
    let (one, two) = tokio::join!(idle(address, path, &token, ""), idle(address, path, &token, ""));
    let ask = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    let third = async {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let mut refused = 0;
        loop {
            tick.tick().await;
            match said(address, ask.as_bytes()).await {
                answer if answer.starts_with("HTTP/1.1 429") => refused += 1,
                answer => return (refused, answer),
            }
        }
    };
    let third = tokio::time::timeout(Duration::from_secs(20), third).await;
    let (refused, answer) = third.expect("those who take nothing still hold their places");
    assert!(answer.starts_with("HTTP/1.1 200"), "{}", &answer[..200]);
    assert!(refused > 0, "nobody was held up: the two were not idle");
    // a whole answer ends with an empty chunk; theirs do not
    assert!(answer.ends_with("0\r\n\r\n"));
    for stream in [one, two] {
        assert!(!rest(stream).await.ends_with(b"0\r\n\r\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_does_not_read_is_cut_off_and_one_that_reads_is_not() {
    let site = Site::new().await;
    site.world
        .sql(
            "INSERT INTO yakin.events (id, kind, data)
             SELECT n, 'run', jsonb_build_object('text', repeat('x', 8000)) FROM generate_series(1, 2000) n",
        )
        .await;
    let token = site.token(Role::Viewer, None).await;
    let (address, ..) = served(&site).await;
    let path = "/admin/batch/events";
    let still = idle(address, path, &token, "Last-Event-ID: 1\r\n").await;
    // one that takes its time, half as long again as a node bears with those who take nothing, is told all
    let mut watching = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nLast-Event-ID: 1\r\n\r\n"
    );
    watching.write_all(request.as_bytes()).await.unwrap();
    let mut end = Vec::new();
    let all = async {
        // (so fast that a third of the largest send buffer, after which a system lets a sender go on, is read in time)
        let mut tick = tokio::time::interval(PATIENCE / 100);
        let mut piece = vec![0; 64 << 10];
        for n in 0.. {
            if n < 150 {
                tick.tick().await;
            }
            let read = watching.read(&mut piece).await.unwrap();
            assert!(read > 0, "one that reads is cut off");
            end.drain(..end.len().saturating_sub(10_000));
            end.extend_from_slice(&piece[..read]);
            if String::from_utf8_lossy(&end).contains("id: 2000\n") {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("not all is told");
    // the other one's stream, which would have no end, ended long before
    let told = rest(still).await;
    assert!(!String::from_utf8_lossy(&told).contains("id: 2000\n"));
    drop(watching);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_node_stops_streams_end_and_nobody_waits() {
    let site = Site::new().await;
    let token = site.token(Role::Viewer, None).await;
    let (address, stop, serving) = served(&site).await;
    let mut watch = watching(address, &token).await;
    stop.cancel();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), watch.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the stream goes on");
    let ended = tokio::time::timeout(Duration::from_secs(10), serving).await;
    ended.expect("the server goes on").unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

/// A watcher whose stream has begun.
async fn watching(address: SocketAddr, token: &str) -> TcpStream {
    let mut watch = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /admin/batch/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    watch.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 15];
    watch.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    watch
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_places_are_all_taken_stops_all_the_same() {
    let site = Site::new().await;
    let token = site.token(Role::Viewer, None).await;
    let settings = Settings { connections: 2, ..Settings::default() };
    let (address, stop, serving) = served_with(&site, settings).await;
    let streams = [watching(address, &token).await, watching(address, &token).await];
    // the next one waits for a place
    let mut third = TcpStream::connect(address).await.unwrap();
    let ask = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    third.write_all(ask).await.unwrap();
    let waits = tokio::time::timeout(Duration::from_millis(200), third.read_u8()).await;
    assert!(waits.is_err(), "there were more than two places");
    stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(10), serving).await;
    ended.expect("the server goes on").unwrap().unwrap();
    for stream in streams {
        rest(stream).await;
    }
}
