//! A relay's configuration: what it may say, and how it is told that it is wrong.

use std::time::Duration;

use serde_json::json;
use yakin_adapters::Secret;
use yakin_adapters::mail::{Dkim, Mailer, Relay};

use super::Ground;

fn relay(url: &str) -> Relay {
    Relay::new(url, "Night <night@sender.example>")
}

fn wrong(relay: &Relay) -> String {
    relay.check().unwrap_err().to_string()
}

#[test]
fn a_relay_is_read_with_its_defaults_and_limits() {
    let relay: Relay = serde_json::from_value(json!({
        "url": "smtps://mail.example", "from": "a@b.example", "user": "u", "password": "himitsu",
        "limits": { "connect_seconds": 3, "attachment_bytes": 1000 },
    }))
    .unwrap();
    assert_eq!(relay.limits.connect, Duration::from_secs(3));
    assert_eq!(relay.limits.command, Duration::from_secs(60));
    assert_eq!(relay.limits.body, Duration::from_secs(120));
    assert!(relay.limits.idle < Duration::from_secs(30));
    assert_eq!(relay.limits.attachment_bytes, 1000);
    assert!(!format!("{relay:?}").contains("himitsu"));
    for unknown in [
        json!({ "url": "file:///x", "from": "a@b.example", "pasword": "x" }),
        json!({ "url": "file:///x", "from": "a@b.example", "limits": { "seconds": 1 } }),
        json!({ "url": "file:///x", "from": "a@b.example", "dkim": { "selector": "s" } }),
    ] {
        assert!(serde_json::from_value::<Relay>(unknown).is_err());
    }
}

#[test]
fn urls_are_checked() {
    for good in [
        "smtp://mail.example:587",
        "smtp://mail.example",
        "smtps://mail.example:465/",
        "smtp+plain://[::1]:25",
        "smtp+plain://10.0.0.1",
        "file:///var/mail/yakin",
    ] {
        relay(good).check().unwrap_or_else(|e| panic!("{good}: {e}"));
    }
    for bad in [
        "",
        "mail.example",
        "http://mail.example",
        "smtp://",
        "smtp://mail.example:0",
        "smtp://mail.example:99999",
        "smtp://mail.example:",
        "smtp://mail.example/path",
        "smtp://mail example",
        "smtp://::1:25",
        "smtp://[nonsense]:25",
        "file://relative",
        "file:///a/../b",
    ] {
        let said = wrong(&relay(bad));
        assert!(said.starts_with("the relay's url "), "{bad}: {said}");
    }
    let with_login = relay("smtp://yakin:himitsu@mail.example");
    assert!(wrong(&with_login).contains("belongs into user and password"));
    assert!(!format!("{with_login:?} {}", wrong(&with_login)).contains("himitsu"));
}

#[test]
fn a_login_is_whole_and_not_sent_readable() {
    let login = |url: &str, user: Option<&str>, password: Option<&str>| {
        let mut relay = relay(url);
        relay.user = user.map(str::to_owned);
        relay.password = password.map(Secret::new);
        relay
    };
    assert!(wrong(&login("smtp://m.example", Some("u"), None)).contains("password is missing"));
    assert!(wrong(&login("smtp://m.example", None, Some("p"))).contains("user is missing"));
    assert!(wrong(&login("smtp://m.example", Some("u"), Some(""))).contains("is empty"));
    let readable = login("smtp+plain://m.example", Some("u"), Some("himitsu"));
    assert!(wrong(&readable).contains("readable for all"));
    assert!(!wrong(&readable).contains("himitsu"));
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        login(&format!("smtp+plain://{host}"), Some("u"), Some("p")).check().unwrap();
    }
}

#[test]
fn senders_limits_and_files_are_checked() {
    let ground = Ground::new();
    let mut bad = relay("smtp://m.example");
    bad.from = "Night".to_owned();
    assert!(wrong(&bad).starts_with("the relay's from "));
    bad.from = "夜@b.example".to_owned();
    assert!(wrong(&bad).contains("is not ASCII"));
    let mut bad = relay("smtp://m.example");
    bad.reply_to = Some("x".to_owned());
    assert!(wrong(&bad).starts_with("the relay's reply_to "));
    let mut bad = relay("smtp://m.example");
    bad.limits.command = Duration::ZERO;
    assert!(wrong(&bad).starts_with("the relay's limits "));

    let mut bad = relay("smtp://m.example");
    bad.ca_file = Some(ground.0.join("missing.pem"));
    assert!(wrong(&bad).contains("missing.pem cannot be read"));
    bad.ca_file = Some(ground.file("empty.pem", "nothing"));
    assert!(wrong(&bad).contains("empty.pem holds no certificate"));
    bad.url = "smtp+plain://m.example".to_owned();
    assert!(wrong(&bad).contains("of no use without TLS"));

    let mut bad = relay("smtp+plain://m.example");
    let dkim =
        |file| Some(Dkim { selector: "s1".into(), domain: "b.example".into(), key_file: file });
    bad.dkim = dkim(ground.0.join("missing.key"));
    assert!(wrong(&bad).contains("missing.key cannot be read"));
    bad.dkim = dkim(ground.file("bad.key", "himitsu"));
    assert!(wrong(&bad).contains("expected PEM of RSA or Ed25519"), "{}", wrong(&bad));
    assert!(!wrong(&bad).contains("himitsu"));
    let locked =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    bad.dkim = dkim(ground.file("locked.key", locked));
    assert!(wrong(&bad).contains("without a passphrase"), "{}", wrong(&bad));
    assert!(Mailer::new(bad).is_err());
}
