//! The service's cache in Redis: whether it answers, and a walk over our keys that lets the expired ones go.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo};
use serde::Deserialize;
use tokio::time::Instant;

use crate::Secret;

/// How long connecting and one answer may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How long the walk may take; what is left is walked the next time.
const WALK_LIMIT: Duration = Duration::from_secs(600);
/// How many keys Redis is asked to look at in one step.
const STEP: usize = 500;

/// Where the cache is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheSettings {
    /// `redis://[[user]:password@]host[:port][/database]`, or `rediss://` with TLS.
    pub url: Secret,
    /// How the names of our keys begin.
    pub prefix: String,
}

/// Why the cache could not be used; never with its password.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CacheError {
    #[error("{0}")]
    Settings(String),
    #[error("the cache at {place}: {reason}")]
    Failed { place: String, reason: String },
}

/// A Redis.
#[derive(Clone, Debug)]
pub struct Cache {
    client: Client,
    place: String,
    prefix: String,
}

/// What a walk over our keys saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// Keys of the whole database, the expired ones that nobody has touched among them.
    pub before: i64,
    pub after: i64,
    /// Keys of ours that live.
    pub living: i64,
    /// Keys of ours that never expire.
    pub without_expiry: i64,
    /// Keys that Redis let go of meanwhile because they had expired.
    pub expired: i64,
    /// Whether time was enough for all keys.
    pub whole: bool,
}

impl Cache {
    /// Checks the settings; whether anybody answers is for [`Cache::check`].
    pub fn open(settings: &CacheSettings) -> Result<Cache, CacheError> {
        let refused = |text: &str| CacheError::Settings(text.to_owned());
        if settings.prefix.is_empty() {
            return Err(refused("cache.prefix is empty, expected how the names of our keys begin"));
        }
        let wanted =
            "cache.url cannot be used, expected redis://[user:password@]host[:port][/database]";
        // what the client says of a URL would show it
        let info = settings.url.reveal().into_connection_info().map_err(|_| refused(wanted))?;
        let place = format!("{}/{}", info.addr(), info.redis_settings().db());
        let client = Client::open(info).map_err(|_| refused(wanted))?;
        Ok(Cache { client, place, prefix: settings.prefix.clone() })
    }

    /// Host, port and database.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Logs in and asks for an answer.
    pub async fn check(&self) -> Result<(), CacheError> {
        let mut connection = self.connect().await?;
        let asked = redis::cmd("PING").query_async::<String>(&mut connection).await;
        asked.map(|_| ()).map_err(|e| self.failed(&e))
    }

    /// Looks at each of our keys. Redis frees an expired key at the latest when somebody comes across it: so those go.
    pub async fn walk(&self) -> Result<Walked, CacheError> {
        let mut connection = self.connect().await?;
        self.walk_on(&mut connection).await.map_err(|e| self.failed(&e))
    }

    async fn walk_on(&self, on: &mut MultiplexedConnection) -> redis::RedisResult<Walked> {
        let until = Instant::now() + WALK_LIMIT;
        let mut walked = Walked { before: size(on).await?, ..Walked::default() };
        let expired = expired_so_far(on).await?;
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(pattern(&self.prefix)).arg("COUNT").arg(STEP);
            let (next, keys): (u64, Vec<Vec<u8>>) = scan.query_async(on).await?;
            if !keys.is_empty() {
                let mut ask = redis::pipe();
                for key in &keys {
                    ask.cmd("PTTL").arg(key);
                }
                let left: Vec<i64> = ask.query_async(on).await?;
                // -2: gone meanwhile; -1: without an expiry
                walked.living += count(&left, |ms| ms != -2);
                walked.without_expiry += count(&left, |ms| ms == -1);
            }
            cursor = next;
            walked.whole = cursor == 0;
            if walked.whole || Instant::now() > until {
                break;
            }
        }
        walked.after = size(on).await?;
        walked.expired = expired_so_far(on).await?.saturating_sub(expired);
        Ok(walked)
    }

    async fn connect(&self) -> Result<MultiplexedConnection, CacheError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(LIMIT))
            .set_response_timeout(Some(LIMIT));
        let connected = self.client.get_multiplexed_async_connection_with_config(&config).await;
        connected.map_err(|e| self.failed(&e))
    }

    fn failed(&self, error: &redis::RedisError) -> CacheError {
        let place = self.place.clone();
        CacheError::Failed { place, reason: error.to_string() }
    }
}

async fn size(on: &mut MultiplexedConnection) -> redis::RedisResult<i64> {
    redis::cmd("DBSIZE").query_async(on).await
}

async fn expired_so_far(on: &mut MultiplexedConnection) -> redis::RedisResult<i64> {
    let text: String = redis::cmd("INFO").arg("stats").query_async(on).await?;
    let line = text.lines().find_map(|line| line.strip_prefix("expired_keys:"));
    Ok(line.and_then(|n| n.trim().parse().ok()).unwrap_or(0))
}

fn count(left: &[i64], of: impl Fn(i64) -> bool) -> i64 {
    left.iter().filter(|ms| of(**ms)).count().try_into().unwrap_or(i64::MAX)
}

/// All keys that begin so; signs that mean something in patterns mean themselves.
fn pattern(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 1);
    for sign in prefix.chars() {
        if matches!(sign, '*' | '?' | '[' | ']' | '^' | '\\') {
            pattern.push('\\');
        }
        pattern.push(sign);
    }
    pattern.push('*');
    pattern
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may fail
mod tests {
    use super::*;

    fn settings(url: &str, prefix: &str) -> CacheSettings {
        CacheSettings { url: Secret::new(url), prefix: prefix.to_owned() }
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        let url = "redis://:hunter2@cache.example:6380/3";
        let open = Cache::open(&settings(url, "app:")).unwrap();
        assert_eq!(open.place(), "cache.example:6380/3");
        for wrong in ["redis://:hunter2@/x/y", "http://:hunter2@cache.example"] {
            let error = Cache::open(&settings(wrong, "app:")).unwrap_err().to_string();
            assert!(error.contains("cache.url") && !error.contains("hunter2"), "{error}");
        }
        assert!(!format!("{:?}", settings(url, "app:")).contains("hunter2"));
        assert!(Cache::open(&settings(url, "")).unwrap_err().to_string().contains("cache.prefix"));
    }

    #[test]
    fn a_prefix_means_itself() {
        assert_eq!(pattern("app:*[1]?"), "app:\\*\\[1\\]\\?*");
    }
}
