//! Slack's Web API: `chat.postMessage` and `auth.test`.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::desk::{Judged, Next, Request, StandIn, Vendor, lock};

/// Slack's server.
pub type SlackStandIn = StandIn<Slack>;

/// A message that Slack took.
#[derive(Clone, Debug, PartialEq)]
pub struct SlackPost {
    pub channel: String,
    pub text: String,
    /// The texts of the section blocks, in order.
    pub sections: Vec<String>,
}

/// Slack's rules.
pub struct Slack {
    /// Channels and what is wrong with them.
    channels: Mutex<HashMap<String, Option<&'static str>>>,
}

impl StandIn<Slack> {
    /// The only token that is valid.
    pub const TOKEN: &'static str = "xoxb-stand-in-token";

    /// A workspace without channels.
    pub async fn start() -> SlackStandIn {
        StandIn::serve(Slack { channels: Mutex::default() }).await
    }

    /// Makes a channel with the bot in it.
    pub fn channel(&self, id: &str) {
        lock(&self.vendor().channels).insert(id.to_owned(), None);
    }

    /// Makes a channel that answers an error: `is_archived`, `not_in_channel`.
    pub fn broken_channel(&self, id: &str, error: &'static str) {
        lock(&self.vendor().channels).insert(id.to_owned(), Some(error));
    }

    /// Slack's way to say no.
    pub fn error(code: &str) -> Next {
        Next::json(200, &json!({"ok": false, "error": code}))
    }
}

impl Vendor for Slack {
    type Post = SlackPost;

    fn judge(&self, request: &Request) -> Judged<SlackPost> {
        if request.method != "POST" {
            return Judged::Refused(Next::status(405));
        }
        let judged = self.check(request);
        match judged {
            Ok(None) => Judged::Answered(Next::json(200, &json!({"ok": true, "team": "T"}))),
            Ok(Some(post)) => {
                let told = json!({"ok": true, "channel": post.channel, "ts": "1793800800.000100"});
                Judged::Taken(post, Next::json(200, &told))
            }
            Err("unknown_path") => Judged::Refused(Next::status(404)),
            Err(code) => Judged::Refused(SlackStandIn::error(code)),
        }
    }
}

impl Slack {
    fn check(&self, request: &Request) -> Result<Option<SlackPost>, &'static str> {
        if !matches!(request.path.as_str(), "/api/chat.postMessage" | "/api/auth.test") {
            return Err("unknown_path");
        }
        if request.header("content-type") != "application/json; charset=utf-8" {
            return Err("missing_charset");
        }
        match request.header("authorization").strip_prefix("Bearer ") {
            None => return Err("not_authed"),
            Some(SlackStandIn::TOKEN) => {}
            Some(_) => return Err("invalid_auth"),
        }
        let body = request.json().filter(Value::is_object).ok_or("invalid_json")?;
        if request.path == "/api/auth.test" {
            return Ok(None);
        }
        let channel = body["channel"].as_str().unwrap_or("");
        match lock(&self.channels).get(channel) {
            None => return Err("channel_not_found"),
            Some(Some(error)) => return Err(error),
            Some(None) => {}
        }
        let text = body["text"].as_str().unwrap_or("");
        if text.chars().count() > 40_000 {
            return Err("msg_too_long");
        }
        let sections = sections(&body["blocks"])?;
        if text.is_empty() && sections.is_empty() {
            return Err("no_text");
        }
        Ok(Some(SlackPost { channel: channel.to_owned(), text: text.to_owned(), sections }))
    }
}

fn sections(blocks: &Value) -> Result<Vec<String>, &'static str> {
    let blocks = match blocks {
        Value::Null => return Ok(Vec::new()),
        Value::Array(blocks) if blocks.len() <= 50 => blocks,
        _ => return Err("invalid_blocks"),
    };
    let section = |block: &Value| {
        let text = block["text"]["text"].as_str()?;
        let length = text.chars().count();
        let known = block["type"] == "section" && block["text"]["type"] == "mrkdwn";
        (known && (1..=3_000).contains(&length)).then(|| text.to_owned())
    };
    blocks.iter().map(section).collect::<Option<_>>().ok_or("invalid_blocks")
}
