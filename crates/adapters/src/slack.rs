//! Slack: messages to a channel by `chat.postMessage` with a bot's token.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::chat::{ChatMessage, by_status, code_of, cut, units, without_reply};
use crate::outgoing::{Call, Outgoing, Post, Reply};
use crate::{Answer, Secret};

/// Longest text of a message and of one section block, and of the title line, in UTF-16 units.
const MAX_TEXT: usize = 40_000;
const MAX_SECTION: usize = 3_000;
const MAX_TITLE: usize = 150;

/// What a Slack app gives to those who post by it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlackCredentials {
    /// The bot's token (`xoxb-…`).
    pub token: Secret,
    /// Where the Web API lives.
    #[serde(default = "default_base_url")]
    pub base_url: String,
}

fn default_base_url() -> String {
    "https://slack.com".to_owned()
}

/// A workspace, as the bot sees it.
#[derive(Clone, Debug)]
pub struct Slack {
    credentials: SlackCredentials,
}

impl Slack {
    /// A workspace by its credentials.
    pub fn new(credentials: SlackCredentials) -> Slack {
        Slack { credentials }
    }

    /// Posts a message to a channel's or user's id.
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
        let body = payload(target, message).to_string().into_bytes();
        let post = Post::json(Call::SlackMessage, self.url("chat.postMessage"), target, body);
        self.ask(outgoing, post, now).await
    }

    /// Asks whether the token is good (`auth.test`); posts nothing. Good is [`Answer::Sent`].
    pub async fn probe(&self, outgoing: &Outgoing, now: Timestamp) -> Answer {
        let post = Post::json(Call::SlackTest, self.url("auth.test"), "", b"{}".to_vec());
        match self.ask(outgoing, post, now).await {
            // a test that was lost has changed nothing
            Answer::Uncertain { reason } => Answer::Unreachable { reason },
            answer => answer,
        }
    }

    async fn ask(&self, outgoing: &Outgoing, post: Post, now: Timestamp) -> Answer {
        match outgoing.send(post.bearer(&self.credentials.token), now).await {
            Ok(reply) => classify(&reply),
            Err(failed) => without_reply(failed),
        }
    }

    fn url(&self, method: &str) -> Secret {
        let base = self.credentials.base_url.trim_end_matches('/');
        Secret::new(format!("{base}/api/{method}"))
    }
}

/// Slack says 200 to nearly everything; the outcome is in the body.
fn classify(reply: &Reply) -> Answer {
    if !reply.is_success() {
        let told = reply.json();
        return by_status("slack", reply, told.as_ref().and_then(|told| code_of(told, "error")));
    }
    let Some(told) = reply.json().filter(|told| told["ok"].is_boolean()) else {
        return Answer::Uncertain { reason: "slack's answer is cut or not in its form".to_owned() };
    };
    if told["ok"] == Value::Bool(true) {
        // it has arrived, whatever Slack calls it; a name that is none is not kept
        let named = |key: &str| {
            let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
            told[key].as_str().filter(|name| name.len() <= 64 && name.bytes().all(fits))
        };
        let receipt = named("channel").zip(named("ts"));
        return Answer::Sent { receipt: receipt.map(|(channel, ts)| format!("{channel}/{ts}")) };
    }
    let code = code_of(&told, "error").unwrap_or("an error without a code");
    by_code(code, reply)
}

fn by_code(code: &str, reply: &Reply) -> Answer {
    let reason = format!("slack: {code}");
    match code {
        "ratelimited" | "rate_limited" => Answer::Throttled { wait: reply.retry_after, reason },
        "internal_error"
        | "service_unavailable"
        | "fatal_error"
        | "request_timeout"
        | "team_added_to_org" => Answer::Temporary { reason },
        "invalid_auth"
        | "not_authed"
        | "account_inactive"
        | "token_revoked"
        | "token_expired"
        | "missing_scope"
        | "no_permission"
        | "not_allowed_token_type"
        | "access_denied"
        | "org_login_required"
        | "ekm_access_denied" => Answer::Auth { reason },
        _ => Answer::Permanent { reason },
    }
}

/// Fallback text and blocks. `verbatim` and `parse: none` keep Slack from making links and
/// mentions of words in the text.
fn payload(channel: &str, message: &ChatMessage) -> Value {
    let title = message.title_line(MAX_TITLE).map(|title| escape(&title));
    let link = message.address().map(|url| {
        let url = escape(url.as_str()).replace('|', "%7C");
        format!("<{url}>")
    });
    let besides = title.as_deref().map_or(0, units) + link.as_deref().map_or(0, units);
    let room = MAX_TEXT.saturating_sub(besides + 4);
    let text = cut(message.body().trim(), |text| units(&escape(text)) <= room);

    let mut parts: Vec<String> = title.iter().map(|title| format!("*{title}*")).collect();
    parts.extend(sections(&text));
    parts.extend(link.clone());
    let block = |text: &String| {
        let text = json!({"type": "mrkdwn", "text": text, "verbatim": true});
        json!({"type": "section", "text": text})
    };
    let lines: Vec<String> = [title, Some(escape(&text)), link]
        .into_iter()
        .flatten()
        .filter(|l| !l.is_empty())
        .collect();
    json!({
        "channel": channel,
        "text": lines.join("\n"),
        "blocks": parts.iter().map(block).collect::<Vec<_>>(),
        "parse": "none",
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

/// The escaped text in pieces that fit a section; no escape is cut in two.
fn sections(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut length = MAX_SECTION;
    for character in text.chars() {
        let escaped = escape(character.encode_utf8(&mut [0; 4]));
        length += units(&escaped);
        if length > MAX_SECTION {
            length = units(&escaped);
            pieces.push(String::new());
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push_str(&escaped);
        }
    }
    // Slack refuses blocks without a visible character
    pieces.retain(|piece| !piece.trim().is_empty());
    pieces
}

/// The three characters that Slack's markup is made of.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
