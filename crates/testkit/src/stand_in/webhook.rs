//! A receiver of signed webhooks that believes nothing unsigned, old or altered.

use std::sync::Mutex;

use jiff::Timestamp;
use ring::hmac;
use serde_json::Value;

use super::desk::{Judged, Next, Request, StandIn, Vendor, lock};

/// How far a timestamp may be from the receiver's own time, in seconds.
const TOLERANCE: i64 = 300;
const PATH: &str = "/hooks/webhook-stand-in-path";

/// The receiver's server.
pub type WebhookStandIn = StandIn<Webhook>;

/// A message that the receiver took.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookPost {
    pub delivery: String,
    pub body: Value,
}

/// The receiver's rules.
pub struct Webhook {
    now: Mutex<Timestamp>,
}

impl StandIn<Webhook> {
    /// The key that both sides know.
    pub const KEY: &'static str = "webhook-stand-in-key";

    /// A receiver at this time.
    pub async fn start(now: Timestamp) -> WebhookStandIn {
        StandIn::serve(Webhook { now: Mutex::new(now) }).await
    }

    /// Sets the receiver's time.
    pub fn set_now(&self, now: Timestamp) {
        *lock(&self.vendor().now) = now;
    }

    /// The address that takes messages.
    pub fn url(&self) -> String {
        format!("{}{PATH}", self.base_url())
    }
}

impl Vendor for Webhook {
    type Post = WebhookPost;

    fn judge(&self, request: &Request) -> Judged<WebhookPost> {
        match self.check(request) {
            Ok(post) => Judged::Taken(post, Next::status(204)),
            Err(status) => Judged::Refused(Next::status(status)),
        }
    }
}

impl Webhook {
    fn check(&self, request: &Request) -> Result<WebhookPost, u16> {
        if request.path != PATH {
            return Err(404);
        }
        if request.method != "POST" {
            return Err(405);
        }
        let stamp = request.header("x-yakin-timestamp");
        let seconds: i64 = stamp.parse().map_err(|_| 400_u16)?;
        let mut signed = format!("{stamp}.").into_bytes();
        signed.extend_from_slice(&request.body);
        let given = request.header("x-yakin-signature").strip_prefix("v1=").and_then(unhex);
        let key = hmac::Key::new(hmac::HMAC_SHA256, WebhookStandIn::KEY.as_bytes());
        let good = given.is_some_and(|given| hmac::verify(&key, &signed, &given).is_ok());
        if !good || (seconds - lock(&self.now).as_second()).abs() > TOLERANCE {
            return Err(401);
        }
        let body = request.json().ok_or(400_u16)?;
        let delivery = request.header("x-yakin-delivery").to_owned();
        if delivery.is_empty() || body["delivery"] != delivery.as_str() {
            return Err(400);
        }
        Ok(WebhookPost { delivery, body })
    }
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
