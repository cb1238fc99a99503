//! One call to a vendor, before it is made; and the body that knows whether it was asked for.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use serde_json::Value;

use crate::Secret;

const FORM: &str = "application/x-www-form-urlencoded";

/// Which of a vendor's calls it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    SlackMessage,
    SlackTest,
    TeamsMessage,
    LineWorksToken,
    LineWorksMessage,
    WebhookMessage,
    SmsMessage,
}

impl Call {
    /// The vendor's name in files and messages.
    pub fn vendor(self) -> &'static str {
        match self {
            Call::SlackMessage | Call::SlackTest => "slack",
            Call::TeamsMessage => "teams",
            Call::LineWorksToken | Call::LineWorksMessage => "line_works",
            Call::WebhookMessage => "webhook",
            Call::SmsMessage => "sms",
        }
    }

    /// Whether it hands over a message; else it only asks.
    pub fn is_message(self) -> bool {
        !matches!(self, Call::SlackTest | Call::LineWorksToken)
    }
}

/// A POST that is ready to go.
pub struct Post {
    pub(super) call: Call,
    pub(super) url: Secret,
    pub(super) content_type: &'static str,
    pub(super) secret_headers: Vec<(&'static str, Secret)>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
    pub(super) target: String,
}

impl Post {
    /// A JSON body, sent as these very bytes. `target` names the receiver without secrets.
    pub fn json(call: Call, url: Secret, target: &str, body: Vec<u8>) -> Post {
        Post::new(call, url, target, "application/json; charset=utf-8", body)
    }

    /// A form body.
    pub fn form(call: Call, url: Secret, fields: &[(&str, &str)]) -> Post {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        let body = form.extend_pairs(fields).finish().into_bytes();
        Post::new(call, url, "", FORM, body)
    }

    fn new(call: Call, url: Secret, target: &str, kind: &'static str, body: Vec<u8>) -> Post {
        Post {
            call,
            url,
            content_type: kind,
            secret_headers: Vec::new(),
            headers: Vec::new(),
            body: body.into(),
            target: target.to_owned(),
        }
    }

    /// Adds `authorization: Bearer …`.
    pub fn bearer(mut self, token: &Secret) -> Post {
        let value = Secret::new(format!("Bearer {}", token.reveal()));
        self.secret_headers.push(("authorization", value));
        self
    }

    /// Adds `authorization: Basic …`.
    pub fn basic(mut self, user: &str, password: &Secret) -> Post {
        let both = BASE64_STANDARD.encode(format!("{user}:{}", password.reveal()));
        self.secret_headers.push(("authorization", Secret::new(format!("Basic {both}"))));
        self
    }

    /// Names the receiver, without secrets.
    pub fn target(mut self, target: &str) -> Post {
        target.clone_into(&mut self.target);
        self
    }

    /// Adds a header that may be shown.
    pub fn header(mut self, name: &'static str, value: String) -> Post {
        self.headers.push((name, value));
        self
    }

    /// The body as it would be read; only for messages, whose bodies hold no secret.
    pub(super) fn readable_body(&self) -> Value {
        if self.content_type == FORM {
            let fields = url::form_urlencoded::parse(&self.body).into_owned();
            return Value::Object(
                fields.map(|(name, value)| (name, Value::String(value))).collect(),
            );
        }
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&self.body).into_owned()))
    }
}

/// A request's body that remembers whether the connection asked for it. As long as it did not,
/// the receiver can have a head without its body at most: nothing was handed over.
pub(super) struct Handed {
    rest: Option<Bytes>,
    asked: Arc<AtomicBool>,
}

impl Handed {
    pub(super) fn new(body: Bytes) -> (Handed, Arc<AtomicBool>) {
        let asked = Arc::new(AtomicBool::new(false));
        (Handed { rest: Some(body), asked: asked.clone() }, asked)
    }
}

impl Body for Handed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.asked.store(true, Ordering::SeqCst);
        Poll::Ready(self.rest.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
