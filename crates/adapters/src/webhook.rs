//! A signed webhook for whoever wants messages in a program of their own.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;

use crate::chat::{ChatMessage, by_status, cut, without_reply};
use crate::outgoing::{Call, Outgoing, Post};
use crate::{Answer, Secret};

/// Longest text, in bytes.
const MAX_TEXT: usize = 64 * 1024;
const MAX_TITLE: usize = 1_000;

/// Where messages go and the key they are signed with. It cannot be tried without posting: there
/// is no probe.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookCredentials {
    /// The whole address; its path may be a secret.
    pub url: Secret,
    /// Shared with the receiver; the HMAC's key as it stands.
    pub key: Secret,
}

/// A receiver of signed messages.
#[derive(Clone, Debug)]
pub struct Webhook {
    credentials: WebhookCredentials,
}

impl Webhook {
    /// A receiver by its credentials.
    pub fn new(credentials: WebhookCredentials) -> Webhook {
        Webhook { credentials }
    }

    /// Posts a message. Headers: `x-yakin-delivery` (the message's id: the same at each attempt),
    /// `x-yakin-timestamp` (seconds since 1970), `x-yakin-signature` (see [`signature`]).
    pub async fn send(
        &self,
        outgoing: &Outgoing,
        target: &str,
        message: &ChatMessage,
        now: Timestamp,
    ) -> Answer {
        if let Some(refused) = message.refuse_empty() {
            return refused;
        }
        if self.credentials.key.reveal().is_empty() {
            return Answer::Auth { reason: "webhook: the key to sign with is empty".to_owned() };
        }
        let body = json!({
            "delivery": message.id,
            "target": target,
            "title": message.title_line(MAX_TITLE),
            "text": cut(&message.text, |text| text.len() <= MAX_TEXT),
            "link": message.link,
        });
        let body = body.to_string().into_bytes();
        let signature = signature(&self.credentials.key, now.as_second(), &body);
        let post = Post::json(Call::WebhookMessage, self.credentials.url.clone(), target, body)
            .header("x-yakin-delivery", message.id.clone())
            .header("x-yakin-timestamp", now.as_second().to_string())
            .header("x-yakin-signature", signature);
        match outgoing.send(post, now).await {
            Ok(reply) if reply.is_success() => Answer::Sent { receipt: None },
            Ok(reply) => by_status("webhook", &reply, None),
            Err(failed) => without_reply(failed),
        }
    }
}

/// `v1=` and the HMAC-SHA256, in hexadecimal digits, of the timestamp, a dot and the body's bytes.
pub fn signature(key: &Secret, timestamp_seconds: i64, body: &[u8]) -> String {
    // an HMAC takes keys of any length: the error cannot occur, and would leave a wrong signature
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.reveal().as_bytes()) else {
        return String::new();
    };
    mac.update(format!("{timestamp_seconds}.").as_bytes());
    mac.update(body);
    format!("v1={}", hex::encode(mac.finalize().into_bytes()))
}
