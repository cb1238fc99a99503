//! `[storage]` of the configuration, and the place it names.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, Checksum};
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, RetryConfig};
use serde::Deserialize;

use super::folder::Folder;
use super::{Storage, StorageError, key};
use crate::Secret;

/// How long a server may be silent; a part must have gone up within it.
const SILENCE: &str = "60s";
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const MOST_SECRET_BYTES: usize = 4096;

/// Where files lie.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageSettings {
    /// `file:///folder` or `s3://bucket` or `s3://bucket/prefix`.
    pub url: String,
    /// The server, where it is not AWS.
    pub endpoint: Option<String>,
    /// The bucket's region; must be given for AWS.
    pub region: Option<String>,
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<Secret>,
    /// A file that holds the secret instead.
    pub secret_access_key_file: Option<PathBuf>,
    /// Whether the endpoint may be http://, where anyone on the way reads along.
    #[serde(default)]
    pub allow_http: bool,
}

impl StorageSettings {
    pub(super) fn open(&self) -> Result<Storage, StorageError> {
        let unfit = |c: char| c.is_control() || "?#%\\@".contains(c);
        if self.url.contains(unfit) {
            return Err(wrong("storage.url has one of ? # % \\ @ or a control character"));
        }
        if let Some(path) = self.url.strip_prefix("file://") {
            self.folder(path)
        } else if let Some(rest) = self.url.strip_prefix("s3://") {
            self.bucket(rest)
        } else {
            let url = &self.url;
            Err(wrong(format!("storage.url is '{url}', expected file:///folder or s3://bucket")))
        }
    }

    fn folder(&self, path: &str) -> Result<Storage, StorageError> {
        for (key, is_set) in [
            ("endpoint", self.endpoint.is_some()),
            ("region", self.region.is_some()),
            ("access_key_id", self.access_key_id.is_some()),
            ("secret_access_key", self.secret_access_key.is_some()),
            ("secret_access_key_file", self.secret_access_key_file.is_some()),
        ] {
            if is_set {
                return Err(wrong(format!("storage.{key} belongs to s3://, not to a folder")));
            }
        }
        if !path.starts_with('/') || path.split('/').any(|part| part == "..") || path.len() < 2 {
            let url = &self.url;
            return Err(wrong(format!("storage.url is '{url}', expected file:///folder")));
        }
        let identity = format!("file://{}", path.trim_end_matches('/'));
        let (folder, store) = Folder::open(path.into(), &identity)?;
        let store = Arc::new(store);
        Ok(Storage { store, folder: Some(folder), identity: identity.into() })
    }

    fn bucket(&self, rest: &str) -> Result<Storage, StorageError> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        if bucket.is_empty() {
            return Err(wrong("storage.url names no bucket, expected s3://bucket/prefix"));
        }
        let region = match (&self.region, &self.endpoint) {
            (Some(region), _) => region.as_str(),
            (None, Some(_)) => "us-east-1", // what servers that are not AWS answer to
            (None, None) => {
                return Err(wrong(
                    "storage.region is missing, expected one such as ap-northeast-1",
                ));
            }
        };
        let id = self.access_key_id.as_deref().filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| wrong("storage.access_key_id is missing"))?;
        let secret = self.secret()?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(region)
            .with_access_key_id(id)
            .with_secret_access_key(secret.reveal())
            .with_allow_http(self.allow_http)
            .with_checksum_algorithm(Checksum::SHA256)
            .with_client_options(self.client())
            .with_retry(retry());
        if let Some(endpoint) = &self.endpoint {
            if endpoint.starts_with("http://") && !self.allow_http {
                return Err(wrong(
                    "storage.endpoint is http://: use https://, or allow_http = true",
                ));
            }
            if !["http://", "https://"].iter().any(|s| endpoint.starts_with(s)) {
                return Err(wrong(format!("storage.endpoint is '{endpoint}', expected https://…")));
            }
            builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
        }
        let store = builder.build().map_err(|e| wrong(e.to_string()))?;
        let (identity, folder) = (self.url.trim_end_matches('/').into(), None);
        if prefix.is_empty() {
            return Ok(Storage { store: Arc::new(store), folder, identity });
        }
        let prefix = key::own(prefix).map_err(|e| wrong(format!("storage.url: {e}")))?;
        Ok(Storage { store: Arc::new(PrefixStore::new(store, prefix)), folder, identity })
    }

    fn client(&self) -> ClientOptions {
        // a total limit would end long downloads; silence ends the others
        ClientOptions::new()
            .with_allow_http(self.allow_http)
            .with_connect_timeout(CONNECT_LIMIT)
            .with_timeout_disabled()
            .with_config(ClientConfigKey::ReadTimeout, SILENCE)
    }

    fn secret(&self) -> Result<Secret, StorageError> {
        match (&self.secret_access_key, &self.secret_access_key_file) {
            (Some(secret), None) if !secret.reveal().is_empty() => Ok(secret.clone()),
            (None, Some(path)) => {
                let key = format!("storage.secret_access_key_file '{}'", path.display());
                let text =
                    std::fs::read_to_string(path).map_err(|e| wrong(format!("{key}: {e}")))?;
                match text.trim() {
                    "" => Err(wrong(format!("{key} is empty"))),
                    text if text.len() > MOST_SECRET_BYTES => {
                        Err(wrong(format!("{key} holds over {MOST_SECRET_BYTES} bytes")))
                    }
                    text => Ok(Secret::new(text)),
                }
            }
            _ => Err(wrong("expected either storage.secret_access_key or …_file")),
        }
    }
}

fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(3),
            base: 2.0,
        },
        max_retries: 3,
        retry_timeout: Duration::from_secs(60),
    }
}

fn wrong(text: impl Into<String>) -> StorageError {
    StorageError::Settings(text.into())
}
