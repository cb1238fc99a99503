//! Files in a bucket of a real server that checks signatures; and what servers say in trouble.
// The configured exception sees test functions, not their helpers.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use yakin_adapters::Secret;
use yakin_adapters::storage::{Storage, StorageError, StorageSettings, Stored};
use yakin_testkit::seaweed::{ACCESS_KEY, BUCKET, SECRET_KEY, Seaweed, free_ports};

fn settings(address: SocketAddr) -> StorageSettings {
    // every process that speaks TLS chooses its provider first
    let _ = rustls::crypto::ring::default_provider().install_default();
    StorageSettings {
        url: format!("s3://{BUCKET}/night/one"),
        endpoint: Some(format!("http://{address}")),
        access_key_id: Some(ACCESS_KEY.to_owned()),
        secret_access_key: Some(Secret::new(SECRET_KEY)),
        allow_http: true,
        ..StorageSettings::default()
    }
}

fn open(address: SocketAddr) -> Storage {
    Storage::open(&settings(address)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_keeps_files_as_a_folder_does() {
    let mut server = Seaweed::start("bucket").await;
    let storage = open(server.s3);
    storage.check().await.unwrap();
    let key = "tenant/青葉/invoices/2026-10/INV 1+2.pdf";
    let stored = storage.put(key, "請求書").await.unwrap();
    assert_eq!(stored, Stored::of("請求書".as_bytes()));
    assert_eq!(storage.get(key, 9).await.unwrap(), "請求書".as_bytes());
    assert!(matches!(storage.get(key, 8).await, Err(StorageError::TooLarge { .. })));
    assert_eq!(storage.head(key).await.unwrap().size, 9);
    assert_eq!(storage.put(key, "請求書").await.unwrap(), stored);
    assert_eq!(storage.put_new(key, "請求書").await.unwrap(), stored);
    let other = storage.put_new(key, "別の請求書").await.unwrap_err();
    assert!(matches!(other, StorageError::Conflict { .. }), "{other}");
    assert_eq!(storage.get_as_stored(key, &stored).await.unwrap(), "請求書".as_bytes());
    large_streams(&storage).await;
    lists(&storage, key).await;
    refusals(server.s3, key).await;
    server.kill();
    unreachable(&storage, key).await;
}

async fn large_streams(storage: &Storage) {
    let mut bytes = vec![0_u8; (40 << 20) + 17];
    for (n, byte) in bytes.iter_mut().enumerate() {
        *byte = (n % 251) as u8;
    }
    let stored = storage.put_stream("backup/dump", bytes.as_slice()).await.unwrap();
    assert_eq!(stored, Stored::of(&bytes));
    let mut reading = storage.get_stream("backup/dump").await.unwrap();
    assert_eq!(reading.found.size, stored.size);
    let mut back = Vec::new();
    while let Some(piece) = reading.pieces.next().await {
        back.extend_from_slice(&piece.unwrap());
    }
    assert!(back == bytes, "another file came back");
    assert_eq!(storage.put_stream("small", &b"abc"[..]).await.unwrap(), Stored::of(b"abc"));
    // a source that fails in the middle leaves no file
    let failing = bytes.as_slice().chain(failure());
    let error = storage.put_stream("backup/broken", failing).await.unwrap_err();
    assert!(matches!(error, StorageError::Source { .. }), "{error}");
    let missing = storage.head("backup/broken").await.unwrap_err();
    assert!(matches!(missing, StorageError::Missing { .. }), "{missing}");
}

/// A reader that fails at once.
fn failure() -> impl tokio::io::AsyncRead + Unpin {
    struct Fails;
    impl tokio::io::AsyncRead for Fails {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Err(std::io::Error::other("the dump has failed")))
        }
    }
    Fails
}

async fn lists(storage: &Storage, key: &str) {
    storage.mark("store-1").await.unwrap();
    assert_eq!(storage.marker().await.unwrap().as_deref(), Some("store-1"));
    assert!(matches!(storage.mark("store-2").await, Err(StorageError::Conflict { .. })));
    let keys = async |prefix: &str, after: Option<&str>, limit| {
        let found = storage.list(prefix, after, limit).await.unwrap();
        found.into_iter().map(|f| f.key).collect::<Vec<_>>()
    };
    assert_eq!(keys("", None, 10).await, ["backup/dump", "small", key]);
    assert_eq!(keys("", Some("backup/dump"), 1).await, ["small"]);
    assert_eq!(keys("tenant", None, 10).await, [key]);
    storage.delete("small").await.unwrap();
    storage.delete("small").await.unwrap();
    let missing = storage.get("small", 10).await.unwrap_err();
    assert!(matches!(missing, StorageError::Missing { .. }), "{missing}");
}

async fn refusals(address: SocketAddr, key: &str) {
    let mut wrong = settings(address);
    wrong.secret_access_key = Some(Secret::new("wrong-horse"));
    let wrong = Storage::open(&wrong).unwrap();
    let mut nobody = settings(address);
    nobody.access_key_id = Some("nobody".to_owned());
    let nobody = Storage::open(&nobody).unwrap();
    for storage in [&wrong, &nobody] {
        for error in [
            storage.get(key, 9).await.map(|_| ()).unwrap_err(),
            storage.put("new", "x").await.map(|_| ()).unwrap_err(),
            storage.head(key).await.map(|_| ()).unwrap_err(),
            storage.list("", None, 1).await.map(|_| ()).unwrap_err(),
            storage.check().await.unwrap_err(),
        ] {
            let text = format!("{error} {error:?}");
            assert!(matches!(error, StorageError::Denied { .. }), "{text}");
            assert!(text.contains("s3://files/night/one"), "{text}");
            assert!(!text.contains("horse") && !text.contains(ACCESS_KEY), "{text}");
        }
    }
    let mut elsewhere = settings(address);
    elsewhere.url = "s3://nowhere".to_owned();
    let error = Storage::open(&elsewhere).unwrap().check().await.unwrap_err();
    let mine = matches!(error, StorageError::Settings(_) | StorageError::Denied { .. });
    assert!(mine, "a bucket that is not there: {error}");
}

async fn unreachable(storage: &Storage, key: &str) {
    let begun = Instant::now();
    for error in [
        storage.get(key, 9).await.map(|_| ()).unwrap_err(),
        storage.put("new", "x").await.map(|_| ()).unwrap_err(),
    ] {
        assert!(matches!(error, StorageError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("s3://files/night/one"), "{error}");
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_that_turns_on_the_way_is_noticed() {
    let server = Seaweed::start("turned").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let way = listener.local_addr().unwrap();
    let turned = Arc::new(AtomicUsize::new(0));
    tokio::spawn(meddle(listener, server.s3, turned.clone()));
    let storage = open(way);
    let good = storage.put("good", "untouched").await.unwrap();
    assert_eq!(good, Stored::of(b"untouched"));
    let error = storage.put("bad", "TURN this byte").await.unwrap_err();
    assert!(turned.load(Ordering::SeqCst) > 0, "nothing was turned");
    assert!(!matches!(error, StorageError::Missing { .. }), "{error}");
    let there = open(server.s3).get("bad", 100).await;
    assert!(matches!(there, Err(StorageError::Missing { .. })), "{there:?}");
    // on the way back the checksum that was stored tells
    let direct = open(server.s3);
    direct.put("back", "TURN this byte").await.unwrap();
    let error = storage.get("back", 100).await.unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
    assert_eq!(direct.get("back", 100).await.unwrap(), b"TURN this byte");
}

/// Passes bytes on, but for the word TURN, of which it turns a letter.
async fn meddle(listener: TcpListener, to: SocketAddr, turned: Arc<AtomicUsize>) {
    while let Ok((here, _)) = listener.accept().await {
        let there = TcpStream::connect(to).await.unwrap();
        let ((here_read, here_write), (there_read, there_write)) =
            (here.into_split(), there.into_split());
        tokio::spawn(pass(here_read, there_write, turned.clone()));
        tokio::spawn(pass(there_read, here_write, turned.clone()));
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    turned: Arc<AtomicUsize>,
) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let piece = &mut bytes[..read];
        if let Some(at) = piece.windows(4).position(|w| w == b"TURN") {
            piece[at] = b'B';
            turned.fetch_add(1, Ordering::SeqCst);
        }
        if to.write_all(piece).await.is_err() {
            break;
        }
    }
}

/// A server that answers everything with the same.
async fn answers(status: &'static str, body: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 64 << 10];
                while let Ok(1..) = stream.read(&mut request).await {
                    let length = body.len();
                    let answer =
                        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn what_servers_answer_is_sorted_by_what_can_be_done() {
    let full = "<Error><Code>XMinioStorageFull</Code><Message>Storage backend has reached its \
                minimum free drive threshold.</Message></Error>";
    let address = answers("507 Insufficient Storage", full).await;
    let error = open(address).put("a", "x").await.unwrap_err();
    assert!(matches!(error, StorageError::Full { .. }), "{error}");
    assert!(error.to_string().contains("XMinioStorageFull: Storage backend"), "{error}");

    let busy = "<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>";
    let address = answers("503 Slow Down", busy).await;
    let error = open(address).put("a", "x").await.unwrap_err();
    assert!(matches!(error, StorageError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("SlowDown"), "{error}");

    let signed = "<Error><Code>SignatureDoesNotMatch</Code><Message>Check your key.</Message>\
                  <AWSAccessKeyId>yakin-test</AWSAccessKeyId>\
                  <StringToSign>AWS4-HMAC-SHA256 abc</StringToSign></Error>";
    let address = answers("403 Forbidden", signed).await;
    let error = open(address).put("a", "x").await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(matches!(error, StorageError::Denied { .. }), "{text}");
    assert!(text.contains("SignatureDoesNotMatch: Check your key."), "{text}");
    assert!(!text.contains("yakin-test") && !text.contains("AWS4"), "{text}");

    let none = "<Error><Code>NoSuchBucket</Code><Message>No such bucket.</Message></Error>";
    let address = answers("404 Not Found", none).await;
    let error = open(address).put("a", "x").await.unwrap_err();
    assert!(matches!(error, StorageError::Settings(_)), "{error}");
    assert!(error.to_string().contains("the bucket of s3://files/night/one"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_unreachable() {
    let [port] = free_ports::<1>();
    let storage = open(SocketAddr::from(([127, 0, 0, 1], port)));
    unreachable(&storage, "a").await;
    let error = storage.check().await.unwrap_err();
    assert!(matches!(error, StorageError::Unreachable { .. }), "{error}");
}
