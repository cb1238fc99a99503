//! What the chat channels share: the message, how it is cut to a vendor's limit, and what a
//! status means.

use url::Url;

use crate::Answer;
use crate::outgoing::{Failed, Reply};

/// A message for people in a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatMessage {
    /// The delivery's own id, the same at each attempt: receivers that can know a repeat by it.
    pub id: String,
    /// One line above the text.
    pub title: Option<String>,
    /// Plain text; each vendor's marks in it are escaped.
    pub text: String,
    /// An http(s) address to read on; what is not one is shown as text.
    pub link: Option<String>,
}

impl ChatMessage {
    /// The title on one line, when there is something in it, and at most `length` long.
    pub(crate) fn title_line(&self, length: usize) -> Option<String> {
        let words: Vec<&str> = self.title.as_deref()?.split_whitespace().collect();
        let line = words.join(" ");
        (!line.is_empty()).then(|| cut(&line, |text| units(text) <= length))
    }

    /// The link when it is an address that a reader can follow.
    pub(crate) fn address(&self) -> Option<Url> {
        let url = Url::parse(self.link.as_deref()?.trim()).ok()?;
        matches!(url.scheme(), "http" | "https").then_some(url)
    }

    /// The text, with a link behind it that is no address.
    pub(crate) fn body(&self) -> String {
        match self.link.as_deref() {
            Some(link) if self.address().is_none() && !link.trim().is_empty() => {
                format!("{}\n{}", self.text, link.trim())
            }
            _ => self.text.clone(),
        }
    }

    /// The answer to a message that has nothing to say; no vendor needs to be asked.
    pub(crate) fn refuse_empty(&self) -> Option<Answer> {
        let bare = self.text.trim().is_empty() && self.title_line(1).is_none();
        bare.then(|| Answer::Permanent { reason: "the message has neither title nor text".into() })
    }
}

/// A text's length as the strictest of the vendors may count it: in UTF-16 units.
pub(crate) fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The longest beginning of a text that fits, with an ellipsis when that is not all of it.
pub(crate) fn cut(text: &str, fits: impl Fn(&str) -> bool) -> String {
    if fits(text) {
        return text.to_owned();
    }
    let beginning = |end: usize| format!("{}…", text[..end].trim_end());
    let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let fitting = ends.partition_point(|end| fits(&beginning(*end)));
    beginning(fitting.checked_sub(1).map_or(0, |last| ends[last]))
}

/// What it means that there is no reply.
pub(crate) fn without_reply(failed: Failed) -> Answer {
    match failed {
        Failed::Refused(reason) => Answer::Permanent { reason },
        Failed::Unreachable(reason) => Answer::Unreachable { reason },
        Failed::Uncertain(reason) => Answer::Uncertain { reason },
    }
}

/// What a status other than success means. `code` is the vendor's word for it, if it gave one.
pub(crate) fn by_status(vendor: &str, reply: &Reply, code: Option<&str>) -> Answer {
    let status = reply.status;
    let told = code.map(|code| format!(" {code}")).unwrap_or_default();
    let reason = format!("{vendor} answered {status}{told}");
    match status {
        401 | 403 => Answer::Auth { reason },
        429 => Answer::Throttled { wait: reply.retry_after, reason },
        408 | 425 | 500.. => Answer::Temporary { reason },
        300..=399 => Answer::Permanent { reason: format!("{reason}: redirects are not followed") },
        _ => Answer::Permanent { reason },
    }
}

/// A vendor's error code, if it looks like one: what else stands there is not repeated.
pub(crate) fn code_of<'a>(reply: &'a serde_json::Value, field: &str) -> Option<&'a str> {
    let letters = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    reply[field].as_str().filter(|code| code.len() <= 64 && code.bytes().all(letters))
}
