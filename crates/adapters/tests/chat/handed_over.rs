//! Which failures mean that nothing was handed over, and which that it may have been: shown with
//! bare sockets.

use std::future::Future;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use yakin_adapters::outgoing::{Failed, Reply};

use super::{impatient, now, outgoing, post_to};

/// Reads a request up to the last byte of its body, and gives its head.
pub async fn read_request(stream: &mut TcpStream) -> String {
    let mut got = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let length = stream.read(&mut chunk).await.unwrap();
        assert!(length > 0, "the request ended early: {}", String::from_utf8_lossy(&got));
        got.extend_from_slice(&chunk[..length]);
        let text = String::from_utf8_lossy(&got).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).unwrap();
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            if body.len() == length {
                return head;
            }
        }
    }
}

/// Sends to a server that treats its only connection so.
pub async fn with_server<F, T>(serve: impl FnOnce(TcpStream) -> F) -> Result<Reply, Failed>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let outgoing = outgoing(&[&host]);
    let serving = async {
        let stream = listener.accept().await.unwrap().0;
        serve(stream).await
    };
    let url = format!("http://{host}/secret-path");
    let (reply, _) = tokio::join!(outgoing.send(post_to(&url), now()), serving);
    reply
}

fn uncertain(reply: Result<Reply, Failed>) -> String {
    match reply {
        Err(Failed::Uncertain(reason)) => reason,
        Err(other) => panic!("{other:?}"),
        Ok(reply) => panic!("answered {}", reply.status),
    }
}

fn unreachable(reply: Result<Reply, Failed>) -> String {
    match reply {
        Err(Failed::Unreachable(reason)) => reason,
        Err(other) => panic!("{other:?}"),
        Ok(reply) => panic!("answered {}", reply.status),
    }
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    let reply = outgoing(&[&host]).send(post_to(&format!("http://{host}/x")), now()).await;
    assert!(unreachable(reply).contains(&host));
}

#[tokio::test]
async fn the_host_does_not_exist() {
    let reply = outgoing(&[]).send(post_to("https://no-such-host.invalid/x"), now()).await;
    assert!(unreachable(reply).contains("no-such-host.invalid:443"));
}

#[tokio::test]
async fn a_backlog_takes_the_connection_and_nobody_answers() {
    // the kernel accepts for a listener that never does: the request is written all the same
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let reply = impatient(&[&host]).send(post_to(&format!("http://{host}/x")), now()).await;
    assert!(uncertain(reply).contains("no answer in time"));
}

#[tokio::test]
async fn the_connection_closes_with_the_request_unread() {
    // once something can be read, the request has left; who closes then may have seen it
    let reply = with_server(async |stream: TcpStream| stream.peek(&mut [0]).await).await;
    uncertain(reply);
}

#[tokio::test]
async fn the_connection_closes_at_once() {
    // whether the request was written before is a matter of who was faster; both words are true
    let reply = with_server(async |stream: TcpStream| drop(stream)).await;
    let failed = reply.map(|reply| reply.status).unwrap_err();
    assert!(!matches!(failed, Failed::Refused(_)), "{failed:?}");
}

#[tokio::test]
async fn the_connection_closes_after_the_request_was_read() {
    let reply = with_server(async |mut stream: TcpStream| read_request(&mut stream).await).await;
    uncertain(reply);
}

#[tokio::test]
async fn no_answer_comes_after_the_request_was_read() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let (read, was_read) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut stream = listener.accept().await.unwrap().0;
        read.send(read_request(&mut stream).await).unwrap();
        std::future::pending::<()>().await
    });
    let reply = impatient(&[&host]).send(post_to(&format!("http://{host}/x")), now()).await;
    assert!(uncertain(reply).contains("no answer in time"));
    assert!(was_read.await.unwrap().starts_with("post /x "));
}

#[tokio::test]
async fn half_a_head_is_no_answer() {
    let reply = with_server(async |mut stream: TcpStream| {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nconte").await
    });
    uncertain(reply.await);
}

#[tokio::test]
async fn what_is_not_http_is_no_answer() {
    let reply = with_server(async |mut stream: TcpStream| {
        read_request(&mut stream).await;
        stream.write_all(b"220 mail.example.com ESMTP\r\n").await
    });
    uncertain(reply.await);
}

#[tokio::test]
async fn a_second_call_opens_its_own_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let outgoing = outgoing(&[&host]);
    let serving = async {
        for _ in 0..2 {
            let mut stream = listener.accept().await.unwrap().0;
            let head = read_request(&mut stream).await;
            assert!(head.contains("content-type: application/json; charset=utf-8"), "{head}");
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        }
    };
    let sending = async {
        for _ in 0..2 {
            let url = format!("http://{host}/x");
            assert_eq!(outgoing.send(post_to(&url), now()).await.unwrap().status, 200);
        }
    };
    tokio::join!(serving, sending);
}

#[tokio::test]
async fn no_proxy_of_the_environment_is_used() {
    const INSIDE: &str = "YAKIN_TEST_INSIDE_PROXIED";
    if let Ok(host) = std::env::var(INSIDE) {
        let reply = outgoing(&[&host]).send(post_to(&format!("http://{host}/x")), now()).await;
        assert_eq!(reply.unwrap().status, 204);
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let through = format!("http://{}", proxy.local_addr().unwrap());
    let name = "handed_over::no_proxy_of_the_environment_is_used";
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args([name, "--exact", "--test-threads=1"]).env(INSIDE, &host).kill_on_drop(true);
    for variable in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
        child.env(variable, &through);
    }
    child.stdout(std::process::Stdio::null());
    let mut running = child.spawn().unwrap();
    let answering = async {
        let mut stream = listener.accept().await.unwrap().0;
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    };
    tokio::select! {
        () = answering => {}
        status = running.wait() => panic!("ended without calling: {status:?}"),
    }
    assert!(running.wait().await.unwrap().success());
    assert!(proxy.accept().is_err(), "the proxy was called");
}
