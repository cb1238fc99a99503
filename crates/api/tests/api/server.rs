//! Over a socket: bounds on headers, slow clients, and a drain that lets open requests end.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use yakin_api::Settings;
use yakin_engine::access::Role;

use crate::common::Site;

async fn served(site: &Site) -> (SocketAddr, CancellationToken, JoinHandle<std::io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let engine = site.world.engine.clone();
    let serving =
        tokio::spawn(yakin_api::serve(listener, engine, Settings::default(), stop.clone()));
    (address, stop, serving)
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
async fn when_the_node_stops_streams_end_and_nobody_waits() {
    let site = Site::new().await;
    let token = site.token(Role::Viewer, None).await;
    let (address, stop, serving) = served(&site).await;
    let mut watch = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /admin/batch/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    watch.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 15];
    watch.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    stop.cancel();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), watch.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the stream goes on");
    let ended = tokio::time::timeout(Duration::from_secs(10), serving).await;
    ended.expect("the server goes on").unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
