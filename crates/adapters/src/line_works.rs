//! LINE WORKS (API 2.0): text messages of a bot to talk rooms and users.

mod token;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use url::Url;

use crate::chat::{ChatMessage, by_status, code_of, cut, units, without_reply};
use crate::outgoing::{Call, Outgoing, Post, Reply};
use crate::{Answer, Secret};
use token::Token;

/// Longest text, in UTF-16 units; the title's share of it.
const MAX_TEXT: usize = 2_000;
const MAX_TITLE: usize = 200;

/// What the developer console of LINE WORKS gives for an app with a service account and a bot.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineWorksCredentials {
    pub client_id: String,
    pub client_secret: Secret,
    pub service_account: String,
    /// The service account's RSA key in PEM form.
    pub private_key: Secret,
    pub bot_id: String,
    /// Where messages go.
    #[serde(default = "default_api_url")]
    pub api_url: String,
    /// Where tokens come from.
    #[serde(default = "default_auth_url")]
    pub auth_url: String,
}

fn default_api_url() -> String {
    "https://www.worksapis.com".to_owned()
}

fn default_auth_url() -> String {
    "https://auth.worksmobile.com".to_owned()
}

/// A bot, with the access token it last got.
#[derive(Debug)]
pub struct LineWorks {
    credentials: LineWorksCredentials,
    token: Mutex<Option<Token>>,
}

impl LineWorks {
    /// A bot by its credentials. Keep it: its token is used until shortly before it expires.
    pub fn new(credentials: LineWorksCredentials) -> LineWorks {
        LineWorks { credentials, token: Mutex::new(None) }
    }

    /// Sends a message to a talk room (`channel:ID` or the bare id) or to a user (`user:ID`). A
    /// token that is refused is renewed once.
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
        let url = match self.messages_url(target) {
            Ok(url) => url,
            Err(reason) => return Answer::Permanent { reason },
        };
        let body = json!({"content": {"type": "text", "text": text(message)}}).to_string();
        let mut refused = None;
        loop {
            let token = match self.token(outgoing, refused.as_ref(), now).await {
                Ok(token) => token,
                Err(answer) => return answer,
            };
            let body = body.clone().into_bytes();
            let post = Post::json(Call::LineWorksMessage, url.clone(), target, body);
            match outgoing.send(post.bearer(&token), now).await {
                Ok(reply) if reply.status == 401 && refused.is_none() => refused = Some(token),
                Ok(reply) => return classify(&reply),
                Err(failed) => return without_reply(failed),
            }
        }
    }

    /// Asks for a new access token; posts nothing. Good is [`Answer::Sent`].
    pub async fn probe(&self, outgoing: &Outgoing, now: Timestamp) -> Answer {
        let mut kept = self.token.lock().await;
        match token::exchange(&self.credentials, outgoing, now).await {
            Ok(token) => {
                *kept = Some(token);
                Answer::Sent { receipt: None }
            }
            Err(answer) => answer,
        }
    }

    /// The kept token, or a new one when it ends soon or is the one that was just refused. Held
    /// under the lock, so that many messages at once ask for one token.
    async fn token(
        &self,
        outgoing: &Outgoing,
        refused: Option<&Secret>,
        now: Timestamp,
    ) -> Result<Secret, Answer> {
        let mut kept = self.token.lock().await;
        if let Some(token) = kept.as_ref()
            && token.is_good_at(now)
            && refused != Some(&token.value)
        {
            return Ok(token.value.clone());
        }
        *kept = None;
        let token = token::exchange(&self.credentials, outgoing, now).await?;
        Ok(kept.insert(token).value.clone())
    }

    fn messages_url(&self, target: &str) -> Result<Secret, String> {
        let (kind, id) = match target.split_once(':') {
            Some(("user", id)) => ("users", id),
            Some(("channel", id)) => ("channels", id),
            _ => ("channels", target),
        };
        // an empty or dotted segment would make another address of it
        if matches!(id.trim(), "" | "." | "..") {
            let expected = "expected channel:ID or user:ID";
            return Err(format!("line_works: {target:?} names no receiver: {expected}"));
        }
        let base = &self.credentials.api_url;
        let mut url =
            Url::parse(base).map_err(|error| format!("line_works: api_url {base:?}: {error}"))?;
        url.path_segments_mut()
            .map_err(|()| format!("line_works: api_url {base:?} can have no path"))?
            .pop_if_empty()
            .extend(["v1.0", "bots", &self.credentials.bot_id, kind, id, "messages"]);
        Ok(Secret::new(url))
    }
}

fn text(message: &ChatMessage) -> String {
    let title = message.title_line(MAX_TITLE).map(|title| format!("{title}\n"));
    let link = message.address().map(|url| format!("\n{url}"));
    let (title, link) = (title.unwrap_or_default(), link.unwrap_or_default());
    let room = MAX_TEXT.saturating_sub(units(&title) + units(&link));
    let body = cut(message.body().trim(), |text| units(text) <= room);
    format!("{title}{body}{link}").trim().to_owned()
}

fn classify(reply: &Reply) -> Answer {
    if reply.is_success() {
        return Answer::Sent { receipt: None };
    }
    let told = reply.json();
    by_status("line_works", reply, told.as_ref().and_then(|told| code_of(told, "code")))
}
