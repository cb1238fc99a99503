//! A house to maintain: a world at a Sunday's four o'clock, an owner's login, folders of logs and temporary files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use yakin_adapters::postgres_tools::Login;
use yakin_adapters::{Cache, CacheSettings, Secret};
use yakin_domain::maintenance::Maintenance;
use yakin_engine::registry::AnyBatch;
use yakin_testkit::redis::Redis;
use yakin_testkit::{Seen, instant};

use crate::common::Post;

pub const SUNDAY: &str = "2026-11-01T04:00:00+09:00";
const OWNER: &str = "DO $$ BEGIN
    CREATE ROLE yakin_maintenance LOGIN BYPASSRLS;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
DO $$ BEGIN
    GRANT yakin_owner TO yakin_maintenance;
EXCEPTION WHEN unique_violation OR internal_error THEN NULL; END $$";

pub struct House {
    pub post: Post,
    pub logs: PathBuf,
    pub temp: PathBuf,
}

impl std::ops::Deref for House {
    type Target = Post;
    fn deref(&self) -> &Post {
        &self.post
    }
}

impl House {
    /// With all that can be configured but a cache.
    pub async fn new() -> House {
        House::with(&[], |_, _| {}).await
    }

    /// With these batches beside WEEKLY_001, and what a node has changed.
    pub async fn with(
        more: &[Arc<dyn AnyBatch>],
        change: impl FnOnce(&mut Maintenance, &Path),
    ) -> House {
        let post = Post::with_batches(SUNDAY, &["WEEKLY_001", "BATCH-506"], more).await;
        post.sql(OWNER).await;
        let (logs, temp) = (post.folder.join("logs"), post.folder.join("temp"));
        for dir in [&logs, &temp] {
            std::fs::create_dir_all(dir).unwrap();
        }
        let mut maintenance = Maintenance {
            owner: Some(Login::new(&post.database.url("yakin_maintenance")).unwrap()),
            logs: vec![logs.clone()],
            temp: vec![temp.clone()],
            cache: None,
            disks: vec![post.folder.clone()],
        };
        change(&mut maintenance, &post.folder);
        let mut house = House { post, logs, temp };
        Arc::get_mut(&mut house.post.world.engine).unwrap().provide(maintenance);
        house
    }

    /// Runs the batch for that Sunday to its end, all tries included.
    pub async fn maintain(&self, params: &[(&str, &str)]) -> Seen {
        let mut seen = self.run("WEEKLY_001", Some("2026-11-01"), params).await;
        for _ in 0..5 {
            if seen.outcome.is_some() {
                break;
            }
            self.clock.set(self.clock.now() + jiff::SignedDuration::from_mins(2));
            self.settle().await;
            seen = self.seen(seen.id).await;
        }
        seen
    }

    /// The steps of a run with what they came to: `cache not_configured, database done`.
    pub async fn steps(&self, run: i64) -> String {
        self.one(&format!(
            "SELECT string_agg(step || ' ' || outcome, ', ' ORDER BY step) FROM app.maintenance_results WHERE run_id = {run}"
        ))
        .await
    }

    /// A file that was last written so many hours before that Sunday's four o'clock.
    pub fn file(&self, path: &Path, bytes: &[u8], hours: i64) {
        std::fs::write(path, bytes).unwrap();
        let at = instant(SUNDAY) - jiff::SignedDuration::from_hours(hours);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(at.into()).unwrap();
    }
}

/// A client of this Redis.
pub fn cache(redis: &Redis, password: &str) -> Cache {
    let url = Secret::new(redis.url(password));
    Cache::open(&CacheSettings { url, prefix: "app:".to_owned() }).unwrap()
}

/// The names in a folder, in order.
pub fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
