//! What a letter looks like, and which mails become none.

use yakin_adapters::mail::{Attachment, Mail, MailError, Mailer, Relay};

use super::mail;

fn mailer() -> Mailer {
    let mut relay = Relay::new("smtp+plain://localhost:25", "夜勤 <night@sender.example>");
    relay.reply_to = Some("\"窓口\" <desk@sender.example>".to_owned());
    Mailer::new(relay).unwrap()
}

fn full() -> Mail {
    let mut mail = mail("d-77", "佐藤 花子 <sato@tenant.example>");
    mail.html = Some("<p>請求書をお送りします。</p>".to_owned());
    mail.attachments = vec![pdf("請求書 2026-10.pdf", b"%PDF-1.7\n\x00\xff\r\n.\r\n")];
    mail.headers = vec![
        ("X-Yakin-Delivery".to_owned(), "77".to_owned()),
        ("List-Unsubscribe".to_owned(), "<https://app.example/u?x=1>".to_owned()),
    ];
    mail
}

fn pdf(name: &str, bytes: &[u8]) -> Attachment {
    Attachment {
        name: name.to_owned(),
        content_type: "application/pdf".to_owned(),
        bytes: bytes.to_vec(),
    }
}

fn refused(mail: &Mail) -> String {
    match mailer().compose(mail) {
        Err(MailError::Mail { field, problem }) => format!("{field}: {problem}"),
        other => panic!("not refused: {:?}", other.map(|l| l.bytes().len())),
    }
}

#[test]
fn the_same_mail_gives_the_same_bytes() {
    let (first, second) = (mailer().compose(&full()).unwrap(), mailer().compose(&full()).unwrap());
    assert_eq!(first.bytes(), second.bytes());
    assert_eq!(first.message_id(), "<d-77@sender.example>");
    assert_eq!(first.recipient(), "sato@tenant.example");
    let text = String::from_utf8(first.bytes().to_vec()).unwrap();
    assert!(text.is_ascii());
    for line in [
        "Date: Sat, 31 Oct 2026 16:00:00 +0000\r\n",
        "Message-ID: <d-77@sender.example>\r\n",
        "MIME-Version: 1.0\r\n",
        "X-Yakin-Delivery: 77\r\n",
        "List-Unsubscribe: <https://app.example/u?x=1>\r\n",
    ] {
        assert_eq!(text.matches(line).count(), 1, "{line}{text}");
    }
    assert!(text.lines().all(|l| l.len() <= 998));
    let mut other = full();
    other.text.push('x');
    assert_ne!(mailer().compose(&other).unwrap().bytes(), first.bytes());
}

#[test]
fn nothing_can_begin_another_header() {
    let evil = ["a\r\nBcc: x@evil.example", "a\nb", "a\rb", "a\0b", "\u{85}", "a\u{1b}[2J"];
    for bad in evil {
        let mut subject = full();
        bad.clone_into(&mut subject.subject);
        assert!(refused(&subject).starts_with("subject: holds \\u{"), "{bad:?}");
        let mut to = full();
        to.to = format!("{bad} <sato@tenant.example>");
        assert!(refused(&to).starts_with("to: "), "{bad:?}");
        to.to = format!("{bad}@tenant.example");
        assert!(refused(&to).starts_with("to: "), "{bad:?}");
        let mut value = full();
        bad.clone_into(&mut value.headers[0].1);
        assert!(refused(&value).starts_with("header X-Yakin-Delivery: holds"), "{bad:?}");
        let mut name = full();
        name.headers[0].0 = format!("X-Yakin-{bad}");
        assert!(refused(&name).starts_with("header X-Yakin-"), "{bad:?}");
        let mut attached = full();
        attached.attachments = vec![pdf(&format!("{bad}.pdf"), b"x")];
        assert!(refused(&attached).starts_with("attachment "), "{bad:?}");
        let mut kind = full();
        kind.attachments[0].content_type = format!("application/{bad}");
        assert!(refused(&kind).contains("no media type"), "{bad:?}");
        let mut id = full();
        bad.clone_into(&mut id.message_id);
        assert!(refused(&id).starts_with("message_id: "), "{bad:?}");
        let mut relay = Relay::new("smtp+plain://localhost", format!("{bad} <a@b.example>"));
        let error = relay.check().unwrap_err().to_string();
        assert!(error.starts_with("the relay's from "), "{error}");
        relay.from = "a@b.example".to_owned();
        relay.helo = Some(bad.to_owned());
        assert!(relay.check().unwrap_err().to_string().starts_with("the relay's helo "));
        assert!(!refused(&subject).contains(char::is_control));
    }
}

#[test]
fn addresses_that_are_none_are_refused() {
    for bad in [
        "",
        "sato",
        "@b.example",
        "a@",
        "a b@c.example",
        "a@b@c.example",
        "\"a b\"@c.example",
        "a@b.example>",
        "a@b.example, c@d.example",
        "A <a@b.example>, C <c@d.example>",
        "<a@b.example",
        "a@b..example",
        "a@-b.example",
        &format!("{}@b.example", "a".repeat(65)),
        &format!("a@{}.example", "b".repeat(64)),
    ] {
        let mut mail = full();
        bad.clone_into(&mut mail.to);
        assert!(mailer().compose(&mail).is_err(), "{bad}");
        assert!(refused(&mail).starts_with("to: "), "{bad}");
    }
    for good in
        ["a@b.example", "a.b+c@d.example", "o'brien@b.example", "X <a@b.example>", "a@[127.0.0.1]"]
    {
        let mut mail = full();
        good.clone_into(&mut mail.to);
        mailer().compose(&mail).unwrap_or_else(|e| panic!("{good}: {e}"));
    }
}

#[test]
fn headers_are_those_of_the_list() {
    for bad in
        ["Bcc", "To", "From", "Subject", "DKIM-Signature", "Content-Type", "Received", "X-Y", ""]
    {
        let mut mail = full();
        mail.headers = vec![(bad.to_owned(), "x".to_owned())];
        assert!(refused(&mail).contains("may not be added"), "{bad}");
    }
    let mut twice = full();
    twice.headers.push(("x-yakin-delivery".to_owned(), "78".to_owned()));
    assert_eq!(refused(&twice), "header x-yakin-delivery: is there twice");
}

#[test]
fn what_is_too_large_or_too_long_is_refused() {
    let most = 10 * 1024 * 1024;
    let mut mail = full();
    mail.attachments = vec![pdf("a.pdf", &vec![0; most / 2]), pdf("b.pdf", &vec![0; most / 2])];
    mailer().compose(&mail).unwrap();
    mail.attachments.push(pdf("c.pdf", b"x"));
    let problem = format!("attachments: are too large: {} bytes in all", most + 1);
    assert!(refused(&mail).starts_with(&problem), "{}", refused(&mail));
    let mut relay = Relay::new("smtp+plain://localhost:25", "a@b.example");
    relay.limits.attachment_bytes = 3;
    let mailer = Mailer::new(relay).unwrap();
    assert!(mailer.compose(&full()).is_err());

    let mut text = full();
    text.text = "x".repeat(2 * 1024 * 1024 + 1);
    assert!(refused(&text).starts_with("text: is 2097153 bytes long"));
    "a\0".clone_into(&mut text.text);
    assert_eq!(refused(&text), "text: holds a NUL");
    let mut subject = full();
    subject.subject = "x".repeat(1_000);
    assert!(refused(&subject).contains("word of over 900"));
    "=?utf-8?b?DQpCY2M6?= x".clone_into(&mut subject.subject);
    assert!(refused(&subject).contains("encoded word"));
    for name in ["", "../x.pdf", "a\\b.pdf"] {
        let mut mail = full();
        mail.attachments = vec![pdf(name, b"x")];
        assert!(refused(&mail).contains("no file name"), "{name}");
    }
    for kind in ["pdf", "multipart/mixed", "message/rfc822", "a/b; name=x", "/"] {
        let mut mail = full();
        kind.clone_into(&mut mail.attachments[0].content_type);
        assert!(refused(&mail).starts_with("attachment 請求書 2026-10.pdf: type: "), "{kind}");
    }
}

#[test]
fn long_lines_of_text_are_folded_by_their_encoding() {
    for text in ["x".repeat(5_000), "夜".repeat(5_000), format!("{}\n夜", "x ".repeat(900))] {
        let mut mail = full();
        mail.text.clone_from(&text);
        mail.html = Some(text.clone());
        let letter = mailer().compose(&mail).unwrap();
        let longest = letter.bytes().split(|b| *b == b'\n').map(<[u8]>::len).max();
        assert!(longest <= Some(999), "{longest:?}");
        assert!(letter.bytes().is_ascii());
    }
}
