//! Microsoft Teams: messages to a channel by the webhook of a Workflow, as an Adaptive Card 1.4.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::chat::{ChatMessage, by_status, cut, without_reply};
use crate::outgoing::{Call, Outgoing, Post};
use crate::{Answer, Secret};

/// Largest message, in bytes of its JSON.
const MAX_PAYLOAD: usize = 28 * 1024;
const MAX_TITLE: usize = 200;

/// The webhooks of a tenant's Workflows. A webhook cannot be tried without posting: there is no
/// probe.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamsCredentials {
    /// The whole address, which is the permission to post, by the name that targets use.
    pub webhooks: BTreeMap<String, Secret>,
}

/// A tenant's Teams channels.
#[derive(Clone, Debug)]
pub struct Teams {
    credentials: TeamsCredentials,
}

impl Teams {
    /// Channels by their webhooks.
    pub fn new(credentials: TeamsCredentials) -> Teams {
        Teams { credentials }
    }

    /// Posts a message by the webhook named `target`.
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
        let Some(url) = self.credentials.webhooks.get(target) else {
            let known: Vec<&str> = self.credentials.webhooks.keys().map(String::as_str).collect();
            let known = known.join(", ");
            let reason = format!("teams: no webhook is named {target:?}; there are: {known}");
            return Answer::Permanent { reason };
        };
        let body = fitting_card(message).to_string().into_bytes();
        let post = Post::json(Call::TeamsMessage, url.clone(), target, body);
        match outgoing.send(post, now).await {
            Ok(reply) if reply.is_success() => Answer::Sent { receipt: None },
            Ok(reply) => by_status("teams", &reply, None),
            Err(failed) => without_reply(failed),
        }
    }
}

fn fitting_card(message: &ChatMessage) -> Value {
    let body = message.body();
    let text = cut(body.trim(), |text| card(message, text).to_string().len() <= MAX_PAYLOAD);
    card(message, &text)
}

fn card(message: &ChatMessage, text: &str) -> Value {
    let block = |text: &str, title: bool| {
        let mut block = json!({"type": "TextBlock", "text": plain(text), "wrap": true});
        if title {
            block["weight"] = json!("Bolder");
            block["size"] = json!("Medium");
        }
        block
    };
    let title = message.title_line(MAX_TITLE).map(|title| block(&title, true));
    let text = (!text.is_empty()).then(|| block(text, false));
    let blocks: Vec<Value> = [title, text].into_iter().flatten().collect();
    let mut content = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": blocks,
    });
    if let Some(url) = message.address() {
        let open = json!({"type": "Action.OpenUrl", "title": "開く", "url": url.as_str()});
        content["actions"] = json!([open]);
    }
    let kind = "application/vnd.microsoft.card.adaptive";
    json!({
        "type": "message",
        "attachments": [{"contentType": kind, "contentUrl": null, "content": content}],
    })
}

/// A TextBlock reads some Markdown: a line break needs an empty line, and `[text](address)` would
/// show a link under a name that the writer chose; a zero-width space between the two stops that.
fn plain(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\n\n").replace("](", "]\u{200b}(")
}
