//! Sending by SMTP against a relay that fails where it is told, and into a folder.
// The configured exception sees test functions, not their helpers.
#![allow(clippy::unwrap_used, clippy::panic)]

mod composing;
mod configuration;
mod failing;
mod files;
mod sending;
mod signing;
mod tenant;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use yakin_adapters::mail::{Letter, Limits, Mail, Mailer, Relay};
use yakin_testkit::instant;
use yakin_testkit::stand_in::smtp::{SmtpStandIn, Tls};

/// A relay's configuration for a stand-in: its certificate trusted, waits short.
fn relay(smtp: &SmtpStandIn, ground: &Ground) -> Relay {
    let mut relay = Relay::new(smtp.url(), "夜勤 <night@sender.example>");
    if !smtp.url().starts_with("smtp+plain") {
        relay.ca_file = Some(ground.file("ca.pem", smtp.certificate_pem()));
    }
    relay
}

/// Waits so short that a hanging relay costs no time, and long enough for a busy machine.
fn impatient() -> Limits {
    let short = Duration::from_secs(1);
    Limits { connect: short, command: short, body: short, ..Limits::default() }
}

async fn plain() -> (SmtpStandIn, Mailer) {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let mailer = Mailer::new(Relay::new(smtp.url(), "night@sender.example")).unwrap();
    (smtp, mailer)
}

fn mail(id: &str, to: &str) -> Mail {
    Mail {
        message_id: id.to_owned(),
        to: to.to_owned(),
        subject: "月次の請求書".to_owned(),
        text: "お世話になっております。\n請求書をお送りします。\n".to_owned(),
        html: None,
        attachments: Vec::new(),
        headers: Vec::new(),
        date: instant("2026-11-01T01:00:00+09:00"),
    }
}

fn letter(mailer: &Mailer, id: &str, to: &str) -> Letter {
    mailer.compose(&mail(id, to)).unwrap()
}

/// A folder of the test's own; removed with the value.
struct Ground(PathBuf);

impl Ground {
    fn new() -> Ground {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("yakin-mail-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Ground(folder)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
