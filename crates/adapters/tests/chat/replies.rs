//! How much of a reply is read, and what its head asks for.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use yakin_adapters::outgoing::{MAX_REPLY_BYTES, MAX_RETRY_AFTER, retry_after_of};

use super::handed_over::{read_request, with_server};
use super::{impatient, now, outgoing, post_to};

#[tokio::test]
async fn a_cut_body_leaves_the_status() {
    let reply = with_server(async |mut stream: TcpStream| {
        read_request(&mut stream).await;
        let head = "HTTP/1.1 503 Down\r\ncontent-length: 100\r\nretry-after: 7\r\n\r\nbegin";
        stream.write_all(head.as_bytes()).await
    });
    let reply = reply.await.unwrap();
    assert_eq!((reply.status, reply.whole, reply.json().is_none()), (503, false, true));
    assert_eq!(reply.body, b"begin");
    assert_eq!(reply.retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn a_body_that_never_ends_is_waited_for_no_longer_than_the_limit() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut stream = listener.accept().await.unwrap().0;
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 202 Ok\r\ncontent-length: 9\r\n\r\nx").await.unwrap();
        std::future::pending::<()>().await
    });
    let reply = impatient(&[&host]).send(post_to(&format!("http://{host}/x")), now()).await;
    let reply = reply.unwrap();
    assert_eq!((reply.status, reply.whole, reply.body.as_slice()), (202, false, &b"x"[..]));
}

#[tokio::test]
async fn a_long_body_is_read_to_the_bound() {
    let reply = with_server(async |mut stream: TcpStream| {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await?;
        // endless: only the reader's bound stops it
        loop {
            stream.write_all(&[b'x'; 8192]).await?;
        }
        #[allow(unreachable_code)]
        std::io::Result::Ok(())
    });
    let reply = reply.await.unwrap();
    assert_eq!((reply.status, reply.whole, reply.body.len()), (200, false, MAX_REPLY_BYTES));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    other.set_nonblocking(true).unwrap();
    let elsewhere = other.local_addr().unwrap();
    for status in [301, 302, 303, 307, 308] {
        let reply = with_server(async move |mut stream: TcpStream| {
            read_request(&mut stream).await;
            let head = format!(
                "HTTP/1.1 {status} Elsewhere\r\nlocation: http://{elsewhere}/\r\n\
                 content-length: 0\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await
        });
        assert_eq!(reply.await.unwrap().status, status);
    }
    assert!(other.accept().is_err(), "a redirect was followed");
}

#[tokio::test]
async fn a_request_over_the_bound_is_not_sent() {
    use yakin_adapters::Secret;
    use yakin_adapters::outgoing::{Call, Failed, MAX_REQUEST_BYTES, Post};
    let body = vec![b' '; MAX_REQUEST_BYTES + 1];
    let url = Secret::new("https://example.com/secret-path");
    let post = Post::json(Call::WebhookMessage, url, "t", body);
    let failed = outgoing(&[]).send(post, now()).await.map(|reply| reply.status);
    assert!(matches!(&failed, Err(Failed::Refused(r)) if r.contains("262145 bytes")), "{failed:?}");

    let split = post_to("https://example.com/x").header("x-yakin-delivery", "a\r\nb".to_owned());
    let failed = outgoing(&[]).send(split, now()).await.map(|reply| reply.status);
    assert!(matches!(&failed, Err(Failed::Refused(r)) if r.contains("x-yakin-delivery")));
}

#[test]
fn retry_after_is_seconds_or_a_date_and_at_most_a_day() {
    let cases = [
        ("0", Some(0)),
        ("120", Some(120)),
        (" 30 ", Some(30)),
        ("86400", Some(86_400)),
        ("86401", Some(86_400)),
        ("99999999999999999999999", Some(86_400)),
        // now is 2026-11-04T00:00:00Z
        ("Wed, 04 Nov 2026 00:02:00 GMT", Some(120)),
        ("Tue, 03 Nov 2026 23:00:00 GMT", Some(0)),
        ("Wed, 04 Nov 2099 00:02:00 GMT", Some(86_400)),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
    ];
    for (text, seconds) in cases {
        let wait = retry_after_of(text, now());
        assert_eq!(wait, seconds.map(Duration::from_secs), "{text:?}");
        assert!(wait.is_none_or(|wait| wait <= MAX_RETRY_AFTER));
    }
}
