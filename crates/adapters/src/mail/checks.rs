//! What may stand in a mail's fields: nothing that could end a line and begin another header.

use lettre::Address;
use lettre::message::Mailbox;

/// Longest subject, name, header value in bytes.
const LONGEST_TEXT: usize = 2_000;
/// Longest run without a space, in bytes: it cannot be folded, and a line holds 998 (RFC 5322
/// §2.1.1).
const LONGEST_WORD: usize = 900;

/// Headers a caller may add, besides any `X-Yakin-…`.
const HEADERS: &[&str] = &[
    "auto-submitted",
    "feedback-id",
    "importance",
    "in-reply-to",
    "list-id",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "precedence",
    "references",
    "x-auto-response-suppress",
    "x-priority",
];

type Checked<T> = Result<T, String>;

/// One line of text for a header.
pub(super) fn line(text: &str) -> Checked<()> {
    if let Some(c) = text.chars().find(|c| c.is_control()) {
        return Err(format!("holds {}: expected one line of text", c.escape_unicode()));
    }
    if text.len() > LONGEST_TEXT {
        return Err(format!("is {} bytes long: expected at most {LONGEST_TEXT}", text.len()));
    }
    if text.split(' ').any(|word| word.len() > LONGEST_WORD) {
        return Err(format!("has a word of over {LONGEST_WORD} bytes, longer than a line holds"));
    }
    // ASCII goes out as it is, and receivers would decode this
    match text.split_once("=?") {
        Some((_, rest)) if rest.contains("?=") => {
            Err("holds an encoded word (=?…?=), which receivers would decode: write it plainly"
                .to_owned())
        }
        _ => Ok(()),
    }
}

/// An address: plain local part, `@`, domain.
pub(super) fn address(text: &str) -> Checked<Address> {
    let refused = |why: &str| Err(format!("{text:?} is no mail address: {why}"));
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return refused("it holds a space or a control character");
    }
    let Some((local, domain)) = text.rsplit_once('@') else {
        return refused("the @ is missing");
    };
    if local.len() > 64 || text.len() > 254 {
        return refused("it is longer than 64 bytes before the @ or 254 in all");
    }
    if local.contains(['<', '>', '(', ')', '[', ']', ',', ';', ':', '\\', '"', '@']) {
        return refused("quoted or special characters before the @ are not taken");
    }
    match Address::new(local, domain) {
        Ok(address) => Ok(address),
        Err(e) => refused(&e.to_string().to_lowercase()),
    }
}

/// `address` or `Name <address>`.
pub(super) fn mailbox(text: &str) -> Checked<Mailbox> {
    line(text)?;
    let text = text.trim();
    let Some((name, rest)) = text.strip_suffix('>').and_then(|t| t.rsplit_once('<')) else {
        return Ok(Mailbox::new(None, address(text)?));
    };
    let name = name.trim();
    let name = name.strip_prefix('"').and_then(|n| n.strip_suffix('"')).unwrap_or(name);
    if name.contains(['<', '>']) {
        return Err(format!("{text:?} is more than one address: expected Name <address>"));
    }
    let name = (!name.is_empty()).then(|| name.to_owned());
    Ok(Mailbox::new(name, address(rest)?))
}

/// Refuses an address that only some relays could carry.
pub(super) fn ascii(address: &Address) -> Checked<()> {
    if address.to_string().is_ascii() {
        return Ok(());
    }
    Err(format!("{address} is not ASCII: write the domain in its xn-- form"))
}

/// A host's name, an address, or an address literal.
pub(super) fn host(name: &str) -> Checked<()> {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    if name.is_empty() || name.len() > 255 || !name.chars().all(plain) {
        return Err(format!("{name:?} is no host name"));
    }
    Ok(())
}

/// A header the caller adds.
pub(super) fn header(name: &str, value: &str) -> Checked<()> {
    let token = !name.is_empty()
        && name.len() <= 60
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let lower = name.to_ascii_lowercase();
    if !token || !(HEADERS.contains(&lower.as_str()) || lower.starts_with("x-yakin-")) {
        return Err(format!(
            "may not be added: expected X-Yakin-… or one of {}",
            HEADERS.join(", ")
        ));
    }
    line(value)
}

/// An attachment's file name.
pub(super) fn file_name(name: &str) -> Checked<()> {
    if name.is_empty() || name.len() > 255 || name.contains(['/', '\\']) {
        return Err("is no file name: expected 1 to 255 bytes without / and \\".to_owned());
    }
    line(name)
}

/// A media type without parameters, of a single part.
pub(super) fn content_type(text: &str) -> Checked<()> {
    let token = |t: &str| {
        !t.is_empty()
            && t.len() <= 127
            && t.bytes().all(|b| b.is_ascii_alphanumeric() || b".+-_".contains(&b))
    };
    match text.split_once('/') {
        Some(("multipart" | "message", _)) => Err(format!("{text:?} is not a file's")),
        Some((kind, sub)) if token(kind) && token(sub) => Ok(()),
        _ => Err(format!("{text:?} is no media type: expected one such as application/pdf")),
    }
}

/// The local part of a Message-ID.
pub(super) fn message_id(text: &str) -> Checked<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._+-".contains(&b);
    if text.is_empty() || text.len() > 120 || !text.bytes().all(plain) {
        return Err(format!("{text:?} is refused: expected 1 to 120 of A-Z a-z 0-9 . _ + -"));
    }
    Ok(())
}
