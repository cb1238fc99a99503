//! Connections: so many at once, each with a bound on its header, its pauses and its patience with a slow reader.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::app::Settings;
use crate::guard::Peer;

/// A request's line and headers must have come within this time, also after a pause.
const HEADER_TIME: Duration = Duration::from_secs(15);
/// A request's line and headers, in bytes and in number.
const HEADER_BYTES: usize = 16 * 1024;
const HEADERS: usize = 64;
/// Open requests may take so long to end when the node stops.
const LEAVE_TIME: Duration = Duration::from_secs(30);

/// Answers on `listener` until `stop`; then streams end (`closing`), and other open requests come to theirs.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: &Settings,
    stop: CancellationToken,
    closing: CancellationToken,
) -> std::io::Result<()> {
    let (places, graceful) =
        (Arc::new(Semaphore::new(settings.connections)), GracefulShutdown::new());
    loop {
        let next = async {
            // the semaphore is never closed
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        // a node whose places are all taken is told to stop all the same
        let (place, (stream, from)) = tokio::select! {
            next = next => match next {
                (Ok(place), Ok(accepted)) => (place, accepted),
                (Err(_), _) => break,
                (_, Err(error)) => {
                    // out of file descriptors: those that are open go on
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        let router = router.clone();
        let service = tower::service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(Peer(from));
            router.clone().oneshot(request.map(axum::body::Body::new) as Request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .max_buf_size(HEADER_BYTES)
            .max_headers(HEADERS)
            .serve_connection(
                patient(stream, settings.patience),
                TowerToHyperService::new(service),
            );
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    closing.cancel();
    if tokio::time::timeout(LEAVE_TIME, graceful.shutdown()).await.is_err() {
        tracing::warn!("open requests took too long to end; they are cut off");
    }
    Ok(())
}

fn patient(
    stream: TcpStream,
    patience: Duration,
) -> TokioIo<std::pin::Pin<Box<TimeoutStream<TcpStream>>>> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(patience));
    TokioIo::new(Box::pin(stream))
}
