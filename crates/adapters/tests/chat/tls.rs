//! Calls over TLS: whom they trust, and that nothing is handed over before the handshake is done.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use yakin_adapters::outgoing::{Failed, Found, Lookup, Outgoing, OutgoingSettings};

use super::{impatient, now, outgoing, post_to, settings};

const HOST: &str = "hooks.example.test";

struct Loopback;

impl Lookup for Loopback {
    fn addresses(&self, _: String) -> Found {
        Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) })
    }
}

/// A server with a certificate of its own for [`HOST`]; answers one call and gives its text.
async fn call(trusted: bool, name: &str) -> (Result<u16, Failed>, Option<String>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let made = rcgen::generate_simple_self_signed(vec![HOST.to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let stream = listener.accept().await.unwrap().0;
        let mut tls = TlsAcceptor::from(Arc::new(config)).accept(stream).await.ok()?;
        let mut got = Vec::new();
        while !got.ends_with(b"{\"n\":1}") {
            let mut chunk = [0; 1024];
            let length = tls.read(&mut chunk).await.ok().filter(|length| *length > 0)?;
            got.extend_from_slice(&chunk[..length]);
        }
        tls.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.ok()?;
        tls.shutdown().await.ok()?;
        Some(String::from_utf8_lossy(&got).into_owned())
    });
    let extra = if trusted { vec![made.cert.pem()] } else { Vec::new() };
    let allow = [HOST, "other.example.test"];
    let settings = OutgoingSettings { extra_root_certificates: extra, ..settings(&allow) };
    let outgoing = Outgoing::with_lookup(&settings, Arc::new(Loopback)).unwrap();
    let reply = outgoing.send(post_to(&format!("https://{name}:{port}/x")), now()).await;
    (reply.map(|reply| reply.status), serving.await.unwrap())
}

#[tokio::test]
async fn a_private_certificate_is_trusted_when_it_is_configured() {
    let (reply, seen) = call(true, HOST).await;
    assert_eq!(reply.unwrap(), 204);
    assert!(seen.unwrap().starts_with("POST /x HTTP/1.1"));
}

#[tokio::test]
async fn an_unknown_certificate_gets_nothing() {
    let (reply, seen) = call(false, HOST).await;
    assert!(matches!(&reply, Err(Failed::Unreachable(_))), "{reply:?}");
    assert_eq!(seen, None);
}

#[tokio::test]
async fn a_certificate_for_another_name_gets_nothing() {
    let (reply, seen) = call(true, "other.example.test").await;
    assert!(matches!(&reply, Err(Failed::Unreachable(_))), "{reply:?}");
    assert_eq!(seen, None);
}

#[tokio::test]
async fn a_connection_cut_in_the_handshake_gets_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let outgoing = outgoing(&[&host]);
    let url = format!("https://{host}/x");
    let cutting = async {
        let stream = listener.accept().await.unwrap().0;
        stream.peek(&mut [0]).await.unwrap();
    };
    let (reply, ()) = tokio::join!(outgoing.send(post_to(&url), now()), cutting);
    let reply = reply.map(|reply| reply.status);
    assert!(matches!(reply, Err(Failed::Unreachable(_))), "{reply:?}");
}

#[tokio::test]
async fn a_handshake_that_never_ends_gets_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let reply = impatient(&[&host]).send(post_to(&format!("https://{host}/x")), now()).await;
    let reply = reply.map(|reply| reply.status);
    assert!(matches!(&reply, Err(Failed::Unreachable(r)) if r.contains("in time")), "{reply:?}");
}
