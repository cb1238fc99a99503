//! The folder form: the same code of the vendors, files instead of calls.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use yakin_adapters::line_works::{LineWorks, LineWorksCredentials};
use yakin_adapters::outgoing::Outgoing;
use yakin_adapters::slack::{Slack, SlackCredentials};
use yakin_adapters::teams::{Teams, TeamsCredentials};
use yakin_adapters::webhook::{Webhook, WebhookCredentials};
use yakin_adapters::{Answer, Secret};
use yakin_testkit::stand_in::other_rsa_key_pem;

use super::{message, now};

/// A new folder of this test, gone when it passed.
struct TestFolder(PathBuf);

impl TestFolder {
    fn new(name: &str) -> TestFolder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("chat-folder-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&path));
        TestFolder(path)
    }

    /// Names and contents in order.
    fn files(&self) -> Vec<(String, String)> {
        let mut files: Vec<(String, String)> = std::fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, std::fs::read_to_string(path).unwrap())
            })
            .collect();
        files.sort();
        files
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }
}

fn slack() -> Slack {
    serde_json::from_value(json!({"token": "SECRET-token"}))
        .map(|c: SlackCredentials| Slack::new(c))
        .unwrap()
}

#[tokio::test]
async fn each_vendors_message_becomes_a_file_without_secrets() {
    let folder = TestFolder::new("each");
    let outgoing = Outgoing::folder(&folder.0);
    let private_key = other_rsa_key_pem();
    let line_works: LineWorksCredentials = serde_json::from_value(json!({
        "client_id": "client", "client_secret": "SECRET-client", "service_account": "account",
        "private_key": private_key, "bot_id": "7"}))
    .unwrap();
    let line_works = LineWorks::new(line_works);
    let hook = Secret::new("https://example.com:8443/SECRET-path?sig=SECRET-query");
    let teams =
        Teams::new(TeamsCredentials { webhooks: [("ops".to_owned(), hook.clone())].into() });
    let webhook = Webhook::new(WebhookCredentials { url: hook, key: Secret::new("SECRET-key") });

    let message = message("本文");
    let sent = slack().send(&outgoing, "C1", &message, now()).await;
    assert!(matches!(&sent, Answer::Sent { receipt: Some(r) } if r.starts_with("C1/")), "{sent:?}");
    assert_eq!(slack().probe(&outgoing, now()).await.word(), "sent");
    for answer in [
        teams.send(&outgoing, "ops", &message, now()).await,
        line_works.send(&outgoing, "user:u-1", &message, now()).await,
        line_works.probe(&outgoing, now()).await,
        webhook.send(&outgoing, "audit", &message, now()).await,
    ] {
        assert_eq!(answer, Answer::Sent { receipt: None });
    }

    let files = folder.files();
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let stamp = "20261104T000000000Z";
    let wanted = [(1, "slack"), (2, "teams"), (3, "line_works"), (4, "webhook")]
        .map(|(number, vendor)| format!("{stamp}-{number:06}-{vendor}.json"));
    assert_eq!(names, wanted);
    let read = |n: usize| serde_json::from_str::<Value>(&files[n].1).unwrap();
    assert_eq!(read(0)["target"], "C1");
    assert_eq!(read(0)["host"], "https://slack.com");
    assert_eq!(read(1)["host"], "https://example.com:8443");
    assert_eq!(read(2)["body"]["content"]["type"], "text");
    assert_eq!(read(3)["headers"]["x-yakin-delivery"], "delivery-1");
    for (name, text) in &files {
        let pem = private_key.lines().nth(1).unwrap();
        for secret in ["SECRET", "uthorization", "Bearer", "assertion", pem] {
            assert!(!text.contains(secret), "{name} shows {secret}: {text}");
        }
    }
}

#[tokio::test]
async fn many_writers_at_one_standing_time_lose_nothing() {
    let folder = TestFolder::new("many");
    let (first, second) = (Outgoing::folder(&folder.0), Outgoing::folder(&folder.0));
    for _ in 0..20 {
        let (slack, message) = (slack(), message("x"));
        let (a, b, c) = tokio::join!(
            slack.send(&first, "C1", &message, now()),
            slack.send(&second, "C2", &message, now()),
            slack.send(&first, "C3", &message, now()),
        );
        assert_eq!([a.word(), b.word(), c.word()], ["sent"; 3]);
    }
    let files = folder.files();
    assert_eq!(files.len(), 60);
    assert!(files.iter().all(|(name, _)| name.ends_with("-slack.json")), "a draft was left");
    for channel in ["C1", "C2", "C3"] {
        let wanted = format!("\"target\": \"{channel}\"");
        assert_eq!(files.iter().filter(|(_, text)| text.contains(&wanted)).count(), 20);
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_not_success() {
    let folder = TestFolder::new("file");
    std::fs::write(&folder.0, "a file stands here").unwrap();
    let answer = slack().send(&Outgoing::folder(&folder.0), "C1", &message("x"), now()).await;
    assert_eq!(answer.word(), "unreachable", "{answer:?}");
    assert!(answer.reason().contains("writing a message to the folder"), "{answer:?}");
    std::fs::remove_file(&folder.0).unwrap();
}
