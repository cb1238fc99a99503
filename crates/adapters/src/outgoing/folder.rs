//! Messages as files, for demonstrations and staging: nobody is called, each message is kept, and
//! the answer is the vendor's for success.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use url::Url;

use super::Failed;
use super::post::{Call, Post};
use super::reply::Reply;

/// A folder that takes the messages.
pub(super) struct Folder {
    path: PathBuf,
    next: AtomicU64,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Folder {
        Folder { path, next: AtomicU64::new(1) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps a message; what only asks (a token, a test) leaves no file.
    pub(super) async fn keep(&self, post: Post, now: Timestamp) -> Result<Reply, Failed> {
        let url = Url::parse(post.url.reveal())
            .map_err(|error| Failed::Refused(format!("the address is not a URL: {error}")))?;
        let call = post.call;
        if call.is_message() {
            let text = format!("{:#}\n", record(&post, &url, now));
            self.write(call, now, text.as_bytes()).await.map_err(|error| {
                let folder = self.path.display();
                Failed::Unreachable(format!("writing a message to the folder {folder}: {error}"))
            })?;
        }
        Ok(success(call, &post.target, now))
    }

    /// Several processes may write at the same standing time: the name's temporary file, which
    /// only one can create, reserves it.
    async fn write(&self, call: Call, now: Timestamp, text: &[u8]) -> std::io::Result<()> {
        tokio::fs::create_dir_all(&self.path).await?;
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let time = now.strftime("%Y%m%dT%H%M%S%3fZ");
            let name = format!("{time}-{number:06}-{}.json", call.vendor());
            let (draft, file) = (self.path.join(format!(".{name}.tmp")), self.path.join(&name));
            if let Err(error) = create(&draft, text).await {
                if error.kind() == ErrorKind::AlreadyExists {
                    continue;
                }
                return Err(error);
            }
            if tokio::fs::try_exists(&file).await? {
                tokio::fs::remove_file(&draft).await?;
                continue;
            }
            return tokio::fs::rename(&draft, &file).await;
        }
    }
}

async fn create(path: &Path, text: &[u8]) -> std::io::Result<()> {
    use tokio::io::AsyncWriteExt;
    let mut file =
        tokio::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).await?;
    file.write_all(text).await?;
    file.sync_all().await
}

/// The address without its path, which may be a secret, and the headers that may be shown.
fn record(post: &Post, url: &Url, now: Timestamp) -> Value {
    let shown = post.headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
    let mut headers: Map<String, Value> = shown.collect();
    headers.insert("content-type".to_owned(), json!(post.content_type));
    json!({
        "at": now.to_string(),
        "vendor": post.call.vendor(),
        "host": url.origin().ascii_serialization(),
        "target": post.target,
        "headers": headers,
        "body": post.readable_body(),
    })
}

/// What each vendor answers when all is well.
fn success(call: Call, target: &str, now: Timestamp) -> Reply {
    let (status, body) = match call {
        Call::SlackMessage => {
            let ts = format!("{}.000000", now.as_second());
            (200, json!({"ok": true, "channel": target, "ts": ts}))
        }
        Call::SlackTest => (200, json!({"ok": true, "team": "folder"})),
        Call::TeamsMessage => (202, Value::Null),
        Call::LineWorksToken => {
            (200, json!({"access_token": "folder", "expires_in": "86400", "scope": "bot"}))
        }
        Call::LineWorksMessage => (201, Value::Null),
        Call::WebhookMessage => (204, Value::Null),
        Call::SmsMessage => (201, json!({"sid": format!("SM{}", now.as_microsecond())})),
    };
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let content_type = (!body.is_empty()).then(|| "application/json".to_owned());
    Reply { status, retry_after: None, content_type, body, whole: true }
}
