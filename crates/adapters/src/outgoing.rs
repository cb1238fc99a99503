//! Calls to other people's servers, kept within bounds: https to public addresses only, no
//! redirect, no proxy, bounded in time and size; and a clear word on whether anything was handed
//! over.

pub mod address;
mod folder;
mod gate;
mod lookup;
mod post;
mod reply;
mod rules;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Body, Certificate, Client, RequestBuilder};

pub use gate::{Gate, Passage};
pub use lookup::{Found, Lookup, SystemLookup};
pub use post::{Call, Post};
pub use reply::{MAX_REPLY_BYTES, MAX_RETRY_AFTER, Reply, retry_after_of};

use folder::Folder;
use lookup::{Guard, NotPublic};
use post::Handed;
use rules::{AllowList, Checked};

/// A longer request is refused, in bytes.
pub const MAX_REQUEST_BYTES: usize = 256 * 1024;

/// How calls are made.
#[derive(Clone, Debug)]
pub struct OutgoingSettings {
    /// `host` or `host:port` of servers that may have private addresses and speak plain http.
    pub allow: Vec<String>,
    /// For looking the host up, connecting and TLS together.
    pub connect_timeout: Duration,
    /// For the whole call, connecting included.
    pub timeout: Duration,
    /// Certificates in PEM form, trusted besides the system's.
    pub extra_root_certificates: Vec<String>,
}

impl Default for OutgoingSettings {
    fn default() -> OutgoingSettings {
        OutgoingSettings {
            allow: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            extra_root_certificates: Vec::new(),
        }
    }
}

/// Settings by which no call can be made.
#[derive(Debug, thiserror::Error)]
pub enum OutgoingError {
    #[error("outgoing.allow: {entry:?} is neither host nor host:port (IPv6 in brackets)")]
    Allow { entry: String },
    #[error("outgoing: connect_timeout {connect:?} must be shorter than timeout {whole:?}")]
    Timeouts { connect: Duration, whole: Duration },
    #[error("outgoing: root certificate number {number} is not in PEM form")]
    Certificate { number: usize },
    #[error("outgoing: the HTTP client cannot be made ({cause}): are ca-certificates installed?")]
    Client { cause: String },
}

/// Why there is no reply. The texts name host and rule, never path, query or headers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// A rule forbids the call, or it cannot be expressed: trying again changes nothing.
    #[error("{0}")]
    Refused(String),
    /// Nothing was handed over: no address, no connection, no TLS, or the body never left.
    #[error("{0}")]
    Unreachable(String),
    /// The request was handed to the connection, and no reply came: it may have arrived.
    #[error("{0}")]
    Uncertain(String),
}

/// The way out.
pub struct Outgoing(Way);

enum Way {
    Network { gate: Gate, guarded: Client, open: Client },
    Folder(Folder),
}

impl Outgoing {
    /// Calls over the network.
    pub fn new(settings: &OutgoingSettings) -> Result<Outgoing, OutgoingError> {
        Outgoing::with_lookup(settings, Arc::new(SystemLookup))
    }

    /// The same with another way of looking hosts up.
    pub fn with_lookup(
        settings: &OutgoingSettings,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Outgoing, OutgoingError> {
        let (connect, whole) = (settings.connect_timeout, settings.timeout);
        if connect >= whole {
            return Err(OutgoingError::Timeouts { connect, whole });
        }
        let allow = Arc::new(AllowList::parse(&settings.allow)?);
        Ok(Outgoing(Way::Network {
            guarded: client(settings, Guard { lookup: lookup.clone(), open: false })?,
            open: client(settings, Guard { lookup: lookup.clone(), open: true })?,
            gate: Gate { allow, lookup },
        }))
    }

    /// How connections that are not HTTP go out: through the same gate, or into the same folder.
    pub fn passage(&self) -> Passage {
        match &self.0 {
            Way::Network { gate, .. } => Passage::Gate(gate.clone()),
            Way::Folder(folder) => Passage::Folder(folder.path().to_owned()),
        }
    }

    /// Calls nobody: each message becomes a file of this folder, and is answered as the vendor
    /// would answer success.
    pub fn folder(path: impl Into<PathBuf>) -> Outgoing {
        Outgoing(Way::Folder(Folder::new(path.into())))
    }

    /// Makes the call once. `now` is the present by which dates of replies are read.
    pub async fn send(&self, post: Post, now: Timestamp) -> Result<Reply, Failed> {
        let (gate, guarded, open) = match &self.0 {
            Way::Folder(folder) => return folder.keep(post, now).await,
            Way::Network { gate, guarded, open } => (gate, guarded, open),
        };
        let checked = rules::check(&gate.allow, post.url.reveal())?;
        if post.body.len() > MAX_REQUEST_BYTES {
            return Err(Failed::Refused(format!(
                "{}: a request of {} bytes is refused, at most {MAX_REQUEST_BYTES}",
                checked.host,
                post.body.len()
            )));
        }
        let client = if checked.allowed { open } else { guarded };
        let request = with_headers(client.post(checked.url.clone()), &checked, &post)?;
        let (body, asked) = Handed::new(post.body);
        match request.body(Body::wrap(body)).send().await {
            Ok(response) => Ok(reply::read(response, now).await),
            Err(error) => Err(judge(&checked, &error, asked.load(Ordering::SeqCst))),
        }
    }
}

/// One connection a call: a kept one may be closed by the receiver just when the next call is
/// written to it, and its address would have been judged long ago.
fn client(settings: &OutgoingSettings, guard: Guard) -> Result<Client, OutgoingError> {
    // another part of the program may have been first: then its provider is the ring one, too
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut builder = Client::builder()
        .https_only(!guard.open)
        .dns_resolver(guard)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .pool_max_idle_per_host(0)
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.timeout)
        .user_agent(concat!("yakin/", env!("CARGO_PKG_VERSION")));
    let mut extra = Vec::new();
    for (number, pem) in (1..).zip(&settings.extra_root_certificates) {
        let found = Certificate::from_pem_bundle(pem.as_bytes()).ok().filter(|c| !c.is_empty());
        extra.extend(found.ok_or(OutgoingError::Certificate { number })?);
    }
    if !extra.is_empty() {
        builder = builder.tls_certs_merge(extra);
    }
    builder.build().map_err(|error| OutgoingError::Client { cause: deepest(&error) })
}

fn with_headers(
    mut request: RequestBuilder,
    checked: &Checked,
    post: &Post,
) -> Result<RequestBuilder, Failed> {
    request = request.header(CONTENT_TYPE, post.content_type);
    let secret = post.secret_headers.iter().map(|(name, value)| (name, value.reveal()));
    let shown = post.headers.iter().map(|(name, value)| (name, value.as_str()));
    for (name, text) in secret.chain(shown) {
        let mut value = HeaderValue::from_str(text).map_err(|_| {
            let host = &checked.host;
            Failed::Refused(format!("{host}: the value of {name} has characters no header may"))
        })?;
        value.set_sensitive(true);
        request = request.header(*name, value);
    }
    Ok(request)
}

/// What a call that got no reply was, by one question: was the body asked for?
fn judge(checked: &Checked, error: &reqwest::Error, handed_over: bool) -> Failed {
    let host = &checked.host;
    if let Some(NotPublic { what }) = causes(error).find_map(|e| e.downcast_ref()) {
        return Failed::Refused(rules::not_public(host, what));
    }
    if error.is_builder() {
        return Failed::Refused(format!("{host}: the request cannot be made: {}", deepest(error)));
    }
    let cause = if error.is_timeout() { "no answer in time".to_owned() } else { deepest(error) };
    if handed_over {
        Failed::Uncertain(format!("{host}: sent, but no answer came: {cause}"))
    } else {
        Failed::Unreachable(format!("{host}: not reached: {cause}"))
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// The innermost cause; the outermost text would show the URL.
fn deepest(error: &reqwest::Error) -> String {
    let inner = causes(error).skip(1).last();
    inner.map_or_else(|| "the HTTP client gave no cause".to_owned(), ToString::to_string)
}
