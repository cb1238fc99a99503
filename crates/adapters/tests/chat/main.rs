#![allow(clippy::unwrap_used, clippy::panic)] // a test's helper may fail the test
//! Outgoing calls and the chat channels against servers on loopback that check, cut and lie.

mod folder;
mod guard;
mod handed_over;
mod line_works;
mod replies;
mod secrets;
mod slack;
mod sms;
mod teams;
mod tls;
mod webhook;

use std::time::Duration;

use jiff::Timestamp;
use yakin_adapters::outgoing::{Call, Outgoing, OutgoingSettings, Post};
use yakin_adapters::{ChatMessage, Secret};

fn now() -> Timestamp {
    "2026-11-04T09:00:00+09:00".parse().unwrap()
}

fn settings(allow: &[&str]) -> OutgoingSettings {
    OutgoingSettings {
        allow: allow.iter().map(|entry| (*entry).to_owned()).collect(),
        connect_timeout: Duration::from_secs(20),
        timeout: Duration::from_secs(40),
        ..OutgoingSettings::default()
    }
}

/// A way out that may call these hosts.
fn outgoing(allow: &[&str]) -> Outgoing {
    Outgoing::new(&settings(allow)).unwrap()
}

/// The same, when no answer will come; long enough for a busy machine to connect within.
fn impatient(allow: &[&str]) -> Outgoing {
    let (connect_timeout, timeout) = (Duration::from_secs(2), Duration::from_secs(3));
    Outgoing::new(&OutgoingSettings { connect_timeout, timeout, ..settings(allow) }).unwrap()
}

fn post_to(url: &str) -> Post {
    Post::json(Call::WebhookMessage, Secret::new(url), "target", b"{\"n\":1}".to_vec())
}

fn message(text: &str) -> ChatMessage {
    ChatMessage {
        id: "delivery-1".to_owned(),
        title: Some("請求書".to_owned()),
        text: text.to_owned(),
        link: Some("https://example.com/invoices?a=1&b=2".to_owned()),
    }
}
