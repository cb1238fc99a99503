//! SMS over an HTTP API of Twilio's kind: one form per message, an account and its token, E.164 numbers.

use jiff::Timestamp;
use serde::Deserialize;

use crate::chat::{ChatMessage, by_status, cut, units, without_reply};
use crate::outgoing::{Call, Outgoing, Post, Reply};
use crate::{Answer, Secret};

/// Longest text that the API takes, in UTF-16 units; longer ones are cut.
const MAX_TEXT: usize = 1_600;

/// What an account's owner gives to those who send over it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmsCredentials {
    /// The account (`AC…`), a part of the address.
    pub account: String,
    /// The account's token, or a key's secret where `key` is given.
    pub token: Secret,
    /// A key (`SK…`) in the account's stead.
    pub key: Option<String>,
    /// Who sends: an E.164 number, or a name of up to eleven letters and digits.
    pub from: String,
    /// Where the API lives.
    #[serde(default = "default_base_url")]
    pub base_url: String,
}

fn default_base_url() -> String {
    "https://api.twilio.com".to_owned()
}

/// An account that messages are sent over.
#[derive(Clone, Debug)]
pub struct Sms {
    credentials: SmsCredentials,
}

impl Sms {
    /// An account by its credentials.
    pub fn new(credentials: SmsCredentials) -> Sms {
        Sms { credentials }
    }

    /// Sends a message to an E.164 number. The title is not sent: a text message has none.
    pub async fn send(
        &self,
        outgoing: &Outgoing,
        target: &str,
        message: &ChatMessage,
        now: Timestamp,
    ) -> Answer {
        if !is_e164(target) {
            let reason = "sms: the number is not in E.164 form (+819012345678)".to_owned();
            return Answer::Permanent { reason };
        }
        let text = text(message);
        if text.is_empty() {
            return Answer::Permanent { reason: "sms: the message has no text".to_owned() };
        }
        let SmsCredentials { account, token, key, from, base_url } = &self.credentials;
        if account.is_empty() || !account.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Answer::Auth {
                reason: "sms: the account is not letters and digits".to_owned(),
            };
        }
        let base = base_url.trim_end_matches('/');
        let url = Secret::new(format!("{base}/2010-04-01/Accounts/{account}/Messages.json"));
        let fields = [("To", target), ("From", from), ("Body", text.as_str())];
        let post = Post::form(Call::SmsMessage, url, &fields)
            .target(target)
            .basic(key.as_deref().unwrap_or(account), token);
        match outgoing.send(post, now).await {
            Ok(reply) => classify(&reply),
            Err(failed) => without_reply(failed),
        }
    }
}

/// Whether a number is in international form: `+`, a country's first digit, up to fifteen digits in all (ITU-T E.164).
pub fn is_e164(number: &str) -> bool {
    let Some(digits) = number.strip_prefix('+') else { return false };
    (8..=15).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Text and link, cut where they are too long; the link stays whole.
fn text(message: &ChatMessage) -> String {
    let link = message.address().map(|url| format!("\n{url}")).unwrap_or_default();
    let room = MAX_TEXT.saturating_sub(units(&link));
    let body = cut(message.body().trim(), |text| units(text) <= room);
    format!("{body}{link}").trim().to_owned()
}

/// 201 with the message's `sid`; else a numeric `code` beside the status.
fn classify(reply: &Reply) -> Answer {
    let told = reply.json();
    if reply.is_success() {
        let sid = told.as_ref().and_then(|told| told["sid"].as_str());
        return match sid
            .filter(|sid| sid.len() <= 64 && sid.bytes().all(|b| b.is_ascii_alphanumeric()))
        {
            Some(sid) => Answer::Sent { receipt: Some(sid.to_owned()) },
            None => {
                Answer::Uncertain { reason: "sms: the answer is cut or not in its form".to_owned() }
            }
        };
    }
    if matches!(reply.status, 408 | 502 | 504) {
        // somebody on the way gave up waiting: the message may have gone
        let reason = format!("sms answered {}", reply.status);
        return Answer::Uncertain { reason };
    }
    let code = told.as_ref().and_then(|told| told["code"].as_u64());
    let answer = by_status("sms", reply, code.map(|code| code.to_string()).as_deref());
    match (answer, code) {
        // too many requests, or a full queue, told with a status of 400
        (Answer::Permanent { reason }, Some(14_107 | 20_429 | 21_611)) => {
            Answer::Throttled { wait: reply.retry_after, reason }
        }
        (answer, _) => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_international_or_none() {
        assert!(is_e164("+819012345678") && is_e164("+12025550123"));
        for wrong in [
            "",
            "+",
            "09012345678",
            "+0901234567",
            "+8190-1234-5678",
            "+81901234567812345",
            "＋8190123",
        ] {
            assert!(!is_e164(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_long_text_is_cut_and_its_link_is_not() {
        let message = ChatMessage {
            id: "1-1".to_owned(),
            title: Some("件名".to_owned()),
            text: "あ".repeat(3_000),
            link: Some("https://skills.example.jp/n/1".to_owned()),
        };
        let text = text(&message);
        assert_eq!(units(&text), MAX_TEXT);
        assert!(text.ends_with("…\nhttps://skills.example.jp/n/1") && !text.contains("件名"));
    }
}
