//! From a mail to its bytes: the same mail gives the same bytes, and what no relay should see is
//! refused here.

use std::time::SystemTime;

use jiff::Timestamp;
use lettre::address::Envelope;
use lettre::message::header::{
    ContentTransferEncoding, ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0,
};
use lettre::message::{Body, Message, MessageBuilder, MultiPart, SinglePart};
use lettre::{Address, message};
use sha2::{Digest, Sha256};

use super::relay::{Limits, Settled};
use super::{MailError, checks};

/// Text and HTML, each, in bytes.
const LONGEST_BODY: usize = 2 * 1024 * 1024;
/// Attachments of a mail.
pub const MOST_ATTACHMENTS: usize = 50;
const MOST_HEADERS: usize = 20;
/// A line of a letter without its end (RFC 5322 §2.1.1).
const LONGEST_LINE: usize = 998;

/// A mail to one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Fixed for each delivery, so that a repeat is recognised: the part of the Message-ID before
    /// the `@`; the domain is the sender's.
    pub message_id: String,
    /// `address` or `Name <address>`.
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
    pub attachments: Vec<Attachment>,
    /// `X-Yakin-…` and a few named ones, such as `List-Unsubscribe`.
    pub headers: Vec<(String, String)>,
    pub date: Timestamp,
}

/// A file that goes with a mail.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    pub name: String,
    /// Such as `application/pdf`.
    pub content_type: String,
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Attachment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Attachment({:?}, {}, {} bytes)", self.name, self.content_type, self.bytes.len())
    }
}

/// A mail as it goes out: sender, recipient, bytes with CRLF ends.
#[derive(Clone)]
pub struct Letter {
    pub(super) sender: Address,
    pub(super) recipient: Address,
    pub(super) date: Timestamp,
    pub(super) bytes: Vec<u8>,
    message_id: String,
}

impl Letter {
    /// The letter with all headers, CRLF at each line's end, not dot-stuffed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whole, with its brackets.
    pub fn message_id(&self) -> &str {
        &self.message_id
    }

    /// The recipient's bare address.
    pub fn recipient(&self) -> &str {
        self.recipient.as_ref()
    }
}

pub(super) fn compose(mail: &Mail, from: &Settled, limits: &Limits) -> Result<Letter, MailError> {
    check(mail, limits)?;
    let to = checks::mailbox(&mail.to).map_err(|problem| MailError::mail("to", problem))?;
    let message_id = format!("<{}@{}>", mail.message_id, from.from.email.domain());
    let sender = from.from.email.clone();
    let envelope = Envelope::new(Some(sender.clone()), vec![to.email.clone()]);
    let envelope = envelope.map_err(|e| MailError::mail("to", format!("is refused: {e}")))?;
    let mut builder = Message::builder()
        .envelope(envelope)
        .from(from.from.clone())
        .to(to.clone())
        .subject(mail.subject.clone())
        .date(SystemTime::from(mail.date))
        .message_id(Some(message_id.clone()));
    if let Some(reply_to) = &from.reply_to {
        builder = builder.reply_to(reply_to.clone());
    }
    for (name, value) in &mail.headers {
        let refused = |_| MailError::mail(format!("header {name}"), "has no header's name");
        let header = HeaderName::new_from_ascii(name.clone()).map_err(refused)?;
        builder = builder.raw_header(HeaderValue::new(header, value.clone()));
    }
    let mut message = with_body(builder.header(MIME_VERSION_1_0), mail)?;
    if let Some(dkim) = &from.dkim {
        message.sign(dkim);
    }
    let mut bytes = message.formatted();
    bytes.extend_from_slice(b"\r\n");
    check_lines(&bytes)?;
    Ok(Letter { sender, recipient: to.email, date: mail.date, bytes, message_id })
}

fn check(mail: &Mail, limits: &Limits) -> Result<(), MailError> {
    let in_field = |field: &str, checked: Result<(), String>| {
        checked.map_err(|problem| MailError::mail(field, problem))
    };
    in_field("message_id", checks::message_id(&mail.message_id))?;
    in_field("subject", checks::line(&mail.subject))?;
    in_field("text", check_body(&mail.text))?;
    in_field("html", mail.html.as_deref().map_or(Ok(()), check_body))?;
    in_field("headers", at_most(mail.headers.len(), MOST_HEADERS))?;
    in_field("attachments", at_most(mail.attachments.len(), MOST_ATTACHMENTS))?;
    for (at, (name, value)) in mail.headers.iter().enumerate() {
        in_field(&format!("header {}", name.escape_debug()), checks::header(name, value))?;
        if mail.headers[..at].iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return Err(MailError::mail(format!("header {name}"), "is there twice"));
        }
    }
    for attachment in &mail.attachments {
        let field = format!("attachment {}", attachment.name.escape_debug());
        in_field(&field, checks::file_name(&attachment.name))?;
        in_field(&format!("{field}: type"), checks::content_type(&attachment.content_type))?;
    }
    let bytes: usize = mail.attachments.iter().map(|a| a.bytes.len()).sum();
    if bytes > limits.attachment_bytes {
        let most = limits.attachment_bytes;
        let problem = format!("are too large: {bytes} bytes in all, expected at most {most}");
        return Err(MailError::mail("attachments", problem));
    }
    Ok(())
}

fn check_body(text: &str) -> Result<(), String> {
    if text.contains('\0') {
        return Err("holds a NUL".to_owned());
    }
    if text.len() > LONGEST_BODY {
        return Err(format!("is {} bytes long: expected at most {LONGEST_BODY}", text.len()));
    }
    Ok(())
}

fn at_most(count: usize, most: usize) -> Result<(), String> {
    if count > most {
        return Err(format!("are {count}: expected at most {most}"));
    }
    Ok(())
}

/// The type of the whole stands among the letter's headers, where a signature covers it. The last
/// line is without its end.
fn with_body(builder: MessageBuilder, mail: &Mail) -> Result<Message, MailError> {
    let refused = |e| MailError::mail("parts", format!("do not fit together: {e}"));
    let Some(parts) = parts(mail)? else {
        // the letter's own last line end stands for the text's
        let text = one_kind_of_line_end(&mail.text);
        let text = text.strip_suffix('\n').unwrap_or(&text).to_owned();
        return builder.header(ContentType::TEXT_PLAIN).body(text).map_err(refused);
    };
    let kind = parts.headers().get::<ContentType>();
    let kind = kind.ok_or_else(|| MailError::mail("parts", "have no type"))?;
    let formatted = parts.formatted();
    let head = formatted.windows(4).position(|w| w == b"\r\n\r\n").map_or(0, |at| at + 4);
    let body = formatted[head..].strip_suffix(b"\r\n").unwrap_or(&formatted[head..]);
    let encoding = ContentTransferEncoding::SevenBit;
    let body = Body::dangerous_pre_encoded(body.to_vec(), encoding);
    builder.header(kind).body(body).map_err(refused)
}

/// Text and HTML as alternatives, attachments beside them; none for text alone.
fn parts(mail: &Mail) -> Result<Option<MultiPart>, MailError> {
    let boundary = boundary(mail);
    let text = SinglePart::plain(one_kind_of_line_end(&mail.text));
    let alternative = mail.html.as_ref().map(|html| {
        MultiPart::alternative()
            .boundary(format!("{boundary}a"))
            .singlepart(text.clone())
            .singlepart(SinglePart::html(one_kind_of_line_end(html)))
    });
    if mail.attachments.is_empty() {
        return Ok(alternative);
    }
    let mixed = MultiPart::mixed().boundary(format!("{boundary}m"));
    let mut mixed = match alternative {
        Some(parts) => mixed.multipart(parts),
        None => mixed.singlepart(text),
    };
    for attachment in &mail.attachments {
        mixed = mixed.singlepart(attached(attachment)?);
    }
    Ok(Some(mixed))
}

fn attached(attachment: &Attachment) -> Result<SinglePart, MailError> {
    let refused =
        |problem: &str| MailError::mail(format!("attachment {}", attachment.name), problem);
    let kind = ContentType::parse(&attachment.content_type)
        .map_err(|_| refused("has a type that is no media type"))?;
    // base64 whatever it is: other encodings would change line ends
    let encoding = ContentTransferEncoding::Base64;
    let body = Body::new_with_encoding(attachment.bytes.clone(), encoding)
        .map_err(|_| refused("cannot be encoded"))?;
    Ok(message::Attachment::new(attachment.name.clone()).body(body, kind))
}

/// Made of the content itself, so that no text can hold the line that would end its part.
fn boundary(mail: &Mail) -> String {
    let mut hash = Sha256::new();
    let html = mail.html.as_deref().unwrap_or_default();
    for text in [&mail.message_id, &mail.subject, &mail.text, html] {
        hash.update(text.len().to_be_bytes());
        hash.update(text);
    }
    format!("=_{}", hex::encode(&hash.finalize()[..16]))
}

fn one_kind_of_line_end(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// What must hold of any letter: a bare CR or LF is read differently by different relays.
fn check_lines(bytes: &[u8]) -> Result<(), MailError> {
    let broken = |problem: &str| Err(MailError::mail("lines", problem));
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let Some(content) = line.strip_suffix(b"\r\n") else {
            return broken("do not all end with CR and LF");
        };
        if content.contains(&b'\r') {
            return broken("hold a CR without LF");
        }
        if content.len() > LONGEST_LINE {
            return broken("are too long: a line of a letter holds 998 bytes");
        }
    }
    Ok(())
}
