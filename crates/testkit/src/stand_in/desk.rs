//! The part that all stand-ins share: a server on a loopback port, a script, and what arrived.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::{HeaderMap, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longer requests are cut off, in bytes.
const MAX_REQUEST: usize = 1024 * 1024;

/// What a stand-in does with the next call that it would have accepted.
#[derive(Clone, Debug)]
pub enum Next {
    /// Answers this and takes nothing.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// Takes the message and never answers.
    Hang,
    /// Takes the message and closes the connection without an answer.
    CloseAfterReading,
    /// Closes the connection with the request unread; takes nothing.
    CloseBeforeReading,
}

impl Next {
    /// An answer without a body.
    pub fn status(status: u16) -> Next {
        Next::Answer { status, headers: Vec::new(), body: String::new() }
    }

    /// An answer in JSON.
    pub fn json(status: u16, body: &Value) -> Next {
        let headers = vec![("content-type", "application/json".to_owned())];
        Next::Answer { status, headers, body: body.to_string() }
    }

    /// 429 with `Retry-After`.
    pub fn throttled(retry_after: &str) -> Next {
        let headers = vec![("retry-after", retry_after.to_owned())];
        Next::Answer { status: 429, headers, body: String::new() }
    }
}

/// A call as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Request {
    /// A header's text; empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// The body when it is JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// What a vendor makes of a call.
pub enum Judged<P> {
    /// A message that is taken.
    Taken(P, Next),
    /// A question (a token, a test) that is answered.
    Answered(Next),
    /// Something is wrong with the call.
    Refused(Next),
}

/// A vendor's own rules.
pub trait Vendor: Send + Sync + 'static {
    type Post: Clone + Send + 'static;
    fn judge(&self, request: &Request) -> Judged<Self::Post>;
}

#[derive(Default)]
struct Script {
    messages: VecDeque<Next>,
    questions: VecDeque<Next>,
    always: Option<Next>,
}

struct Desk<V: Vendor> {
    vendor: V,
    script: Mutex<Script>,
    posts: Mutex<Vec<V::Post>>,
    requests: Mutex<Vec<Request>>,
    taken: watch::Sender<usize>,
}

/// A running stand-in; it ends when this is dropped.
pub struct StandIn<V: Vendor> {
    desk: Arc<Desk<V>>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl<V: Vendor> StandIn<V> {
    /// Serves on a free loopback port.
    pub(super) async fn serve(vendor: V) -> StandIn<V> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let desk = Arc::new(Desk {
            vendor,
            script: Mutex::default(),
            posts: Mutex::default(),
            requests: Mutex::default(),
            taken: watch::Sender::new(0),
        });
        let task = tokio::spawn(accept(listener, desk.clone()));
        StandIn { desk, address, task }
    }

    pub(super) fn vendor(&self) -> &V {
        &self.desk.vendor
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `127.0.0.1:PORT`, as the allow-list of outgoing calls wants it.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Scripts the next message that passes the checks; those scripted before go first.
    pub fn answer_next(&self, next: Next) {
        lock(&self.desk.script).messages.push_back(next);
    }

    /// Scripts the next question (a token, a test) that passes the checks.
    pub fn answer_next_question(&self, next: Next) {
        lock(&self.desk.script).questions.push_back(next);
    }

    /// Does this with every call until [`StandIn::work_again`].
    pub fn fail_until_told(&self, next: Next) {
        lock(&self.desk.script).always = Some(next);
    }

    /// Ends [`StandIn::fail_until_told`].
    pub fn work_again(&self) {
        lock(&self.desk.script).always = None;
    }

    /// The messages that were taken, in order.
    pub fn posts(&self) -> Vec<V::Post> {
        lock(&self.desk.posts).clone()
    }

    /// Every call that was read, in order, accepted or not.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.desk.requests).clone()
    }

    /// Waits until so many messages were taken in all.
    pub async fn wait_for_posts(&self, count: usize) {
        let mut taken = self.desk.taken.subscribe();
        taken.wait_for(|taken| *taken >= count).await.expect("a running stand-in");
    }
}

impl<V: Vendor> Drop for StandIn<V> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

async fn accept<V: Vendor>(listener: TcpListener, desk: Arc<Desk<V>>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, desk.clone()));
    }
}

async fn connection<V: Vendor>(stream: TcpStream, desk: Arc<Desk<V>>) {
    if desk.closes_unread() {
        // once there is something to peek at, the request has left its sender; unread bytes turn
        // the close into a reset
        drop(stream.peek(&mut [0]).await);
        return;
    }
    let service = hyper::service::service_fn(|request| answer(request, desk.clone()));
    let served = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // an error is what the script asked for, or a client that went away
    drop(served.await);
}

/// Ends a connection without an answer.
#[derive(Debug)]
struct Close;

impl std::fmt::Display for Close {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed by the script")
    }
}

impl std::error::Error for Close {}

impl From<Infallible> for Close {
    fn from(never: Infallible) -> Close {
        match never {}
    }
}

async fn answer<V: Vendor>(
    request: hyper::Request<Incoming>,
    desk: Arc<Desk<V>>,
) -> Result<Response<Full<Bytes>>, Close> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_REQUEST).collect().await.map_err(|_| Close)?.to_bytes();
    let request = Request {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or("").to_owned(),
        headers: head.headers,
        body,
    };
    match desk.act(&request) {
        Next::Answer { status, headers, body } => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Full::new(Bytes::from(body))).map_err(|_| Close)
        }
        Next::Hang => std::future::pending().await,
        Next::CloseAfterReading | Next::CloseBeforeReading => Err(Close),
    }
}

impl<V: Vendor> Desk<V> {
    fn closes_unread(&self) -> bool {
        let mut script = lock(&self.script);
        if matches!(script.always, Some(Next::CloseBeforeReading)) {
            return true;
        }
        let first = matches!(script.messages.front(), Some(Next::CloseBeforeReading));
        first && script.messages.pop_front().is_some()
    }

    fn act(&self, request: &Request) -> Next {
        lock(&self.requests).push(request.clone());
        let judged = self.vendor.judge(request);
        let mut script = lock(&self.script);
        let scripted = script.always.clone().or_else(|| match &judged {
            Judged::Taken(..) => script.messages.pop_front(),
            Judged::Answered(_) => script.questions.pop_front(),
            Judged::Refused(_) => None,
        });
        drop(script);
        let taking = !matches!(scripted, Some(Next::Answer { .. }));
        match judged {
            Judged::Taken(post, usual) => {
                if taking {
                    let mut posts = lock(&self.posts);
                    posts.push(post);
                    self.taken.send_replace(posts.len());
                }
                scripted.unwrap_or(usual)
            }
            Judged::Answered(usual) => scripted.unwrap_or(usual),
            Judged::Refused(refusal) => scripted.unwrap_or(refusal),
        }
    }
}
