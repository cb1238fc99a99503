//! A receiver's reply, as much of it as is looked at.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, RETRY_AFTER};
use serde_json::Value;

/// At most so much of a reply's body is read, in bytes.
pub const MAX_REPLY_BYTES: usize = 64 * 1024;
/// A receiver cannot ask for a longer pause.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What came back.
pub struct Reply {
    pub status: u16,
    /// The pause the receiver asks for, at most a day.
    pub retry_after: Option<Duration>,
    pub content_type: Option<String>,
    /// The body, or its beginning.
    pub body: Vec<u8>,
    /// False when the body was cut off or is longer than [`MAX_REPLY_BYTES`].
    pub whole: bool,
}

impl Reply {
    /// The body as JSON; `None` when it is cut or something else.
    pub fn json(&self) -> Option<Value> {
        self.whole.then(|| serde_json::from_slice(&self.body).ok()).flatten()
    }

    /// Whether the status says that all went well.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Reads a response to its end, within the bound.
pub(super) async fn read(mut response: reqwest::Response, now: Timestamp) -> Reply {
    let header = |headers: &HeaderMap, name: HeaderName| {
        headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let retry_after = header(response.headers(), RETRY_AFTER);
    let mut reply = Reply {
        status: response.status().as_u16(),
        retry_after: retry_after.and_then(|text| retry_after_of(&text, now)),
        content_type: header(response.headers(), CONTENT_TYPE),
        body: Vec::new(),
        whole: false,
    };
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = MAX_REPLY_BYTES - reply.body.len();
                reply.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room {
                    return reply;
                }
            }
            Ok(None) => {
                reply.whole = true;
                return reply;
            }
            // the status stands; `whole` tells that the rest is missing
            Err(_) => return reply,
        }
    }
}

/// A `Retry-After`: seconds, or an HTTP date seen from `now`; `None` when it is neither.
pub fn retry_after_of(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = text.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
    }
    let until = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    let wait = Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO);
    Some(wait.min(MAX_RETRY_AFTER))
}
