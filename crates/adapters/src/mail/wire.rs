//! The bytes below a conversation: plain or TLS, changed from one to the other without a byte left
//! between them.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use lettre::transport::smtp::response::{Code, Response};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How much one answer may hold, in bytes.
const LONGEST_ANSWER: usize = 8 * 1024;

/// A connection that the conversation reads and writes while [`Wire::secure`] may change what is
/// below.
#[derive(Clone, Debug)]
pub(super) struct Wire(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    stream: Stream,
    peer: SocketAddr,
    /// The present answer, as far as it came.
    answer: Vec<u8>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Gone,
}

impl Wire {
    pub fn new(tcp: TcpStream) -> io::Result<Wire> {
        let peer = tcp.peer_addr()?;
        let stream = Stream::Plain(tcp);
        Ok(Wire(Arc::new(Mutex::new(Inner { stream, peer, answer: Vec::new() }))))
    }

    /// What comes from now on is another answer.
    pub fn await_answer(&self) {
        self.inner().answer.clear();
    }

    /// The code of an answer whose last line has nothing behind it.
    pub fn bare_code(&self) -> Option<Code> {
        let inner = self.inner();
        let line = inner.answer.strip_suffix(b"\r\n")?.rsplit(|b| *b == b'\n').next()?;
        let whole = [line, b" \r\n"].concat();
        let is_code = line.len() == 3 && line.iter().all(u8::is_ascii_digit);
        let response: Response = std::str::from_utf8(&whole).ok()?.parse().ok()?;
        is_code.then(|| response.code())
    }

    /// Goes over to TLS. Bytes that came in clear behind the last line are read as TLS, and end it.
    pub async fn secure(&self, tls: &TlsConnector, name: ServerName<'static>) -> io::Result<()> {
        let before = std::mem::replace(&mut self.inner().stream, Stream::Gone);
        let Stream::Plain(tcp) = before else {
            return Err(io::Error::other("TLS was asked for twice"));
        };
        let stream = tls.connect(name, tcp).await?;
        self.inner().stream = Stream::Tls(Box::new(stream));
        Ok(())
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the TLS handshake did not end")
}

/// Reads to the end of a line and not beyond: whoever buffers it holds nothing that came before
/// TLS.
fn read_line(
    tcp: &mut TcpStream,
    cx: &mut Context<'_>,
    out: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let mut space = [0; 512];
    let most = out.remaining().min(space.len());
    let seen = ready!(tcp.poll_peek(cx, &mut ReadBuf::new(&mut space[..most])))?;
    let line = space[..seen].iter().position(|b| *b == b'\n').map_or(seen, |end| end + 1);
    let mut read = ReadBuf::new(&mut space[..line]);
    ready!(Pin::new(tcp).poll_read(cx, &mut read))?;
    out.put_slice(read.filled());
    Poll::Ready(Ok(()))
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inner = self.inner();
        if inner.answer.len() >= LONGEST_ANSWER {
            return Poll::Ready(Err(io::Error::other("the answer is longer than 8 KiB")));
        }
        let before = out.filled().len();
        ready!(match &mut inner.stream {
            Stream::Plain(tcp) => read_line(tcp, cx, out),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, out),
            Stream::Gone => Poll::Ready(Err(gone())),
        })?;
        inner.answer.extend_from_slice(&out.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.inner().stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
            Stream::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner().stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Stream::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner().stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Stream::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncTokioStream for Wire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.inner().peer)
    }
}
