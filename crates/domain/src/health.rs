//! Whether what Yakin works with is well: the same looks for `yakin doctor` and for batches, each with how to mend.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::Serialize;
use yakin_adapters::mail::Mailer;
use yakin_adapters::{Answer, Cache, Storage};
use yakin_engine::look::Waiting;

/// Jobs ready for over five minutes from which on the queue is warned of, and is called bad.
const OVERDUE: [i64; 2] = [1_000, 10_000];
const GIB: u64 = 1 << 30;

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    Good,
    Warning,
    Bad,
}

/// One thing, how it was found, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub standing: Standing,
    pub found: String,
    pub mend: String,
}

impl Check {
    /// With what was found, and how to mend it.
    pub fn new(
        name: &'static str,
        standing: Standing,
        found: impl Into<String>,
        mend: impl Into<String>,
    ) -> Check {
        Check { name, standing, found: found.into(), mend: mend.into() }
    }

    fn good(name: &'static str, found: impl Into<String>) -> Check {
        Check::new(name, Standing::Good, found, "")
    }

    fn bad(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Check {
        Check::new(name, Standing::Bad, found, mend)
    }
}

/// Logs in to a relay; sends nothing.
pub async fn relay(name: &str, mailer: &Mailer) -> Check {
    match mailer.probe().await {
        Answer::Sent { .. } => Check::good("mail", format!("{name} takes our login")),
        other => {
            let found = format!("{name}: {}: {}", other.word(), other.reason());
            Check::bad("mail", found, "look at the relay, its url and login")
        }
    }
}

/// Writes, reads and deletes a file in the storage.
pub async fn storage(storage: &Storage) -> Check {
    const NAME: &str = "storage";
    if let Err(error) = storage.check().await {
        return Check::bad(NAME, error.to_string(), "see the message");
    }
    let store = storage.identity();
    let folder = store.strip_prefix("file://").filter(|_| storage.is_folder());
    let open_to_others = folder.is_some_and(|folder| {
        std::fs::metadata(folder).is_ok_and(|meta| meta.permissions().mode() & 0o007 != 0)
    });
    if open_to_others {
        let found = format!("{store}: other users of this host can read tenants' files");
        return Check::new(NAME, Standing::Warning, found, "chmod o-rwx that folder");
    }
    Check::good(NAME, format!("{store} takes and gives files"))
}

/// Logs in to the cache.
pub async fn cache(cache: &Cache) -> Check {
    match cache.check().await {
        Ok(()) => Check::good("cache", format!("{} answers", cache.place())),
        Err(error) => Check::bad("cache", error.to_string(), "look at Redis, and at [cache] url"),
    }
}

/// Room on the disk of a folder; of the nearest one above that is there.
pub fn disk(dir: &Path) -> Check {
    const NAME: &str = "disk";
    let there = dir.ancestors().find(|dir| dir.exists()).unwrap_or(dir);
    match rustix::fs::statvfs(there) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize) / GIB;
            let standing = if free < 1 { Standing::Bad } else { Standing::Good };
            let found = format!("{free} GiB free at {}", there.display());
            Check::new(NAME, standing, found, "make room, or use another folder")
        }
        Err(error) => {
            let found = format!("{}: {error}", there.display());
            Check::new(NAME, Standing::Warning, found, "use a folder that is there")
        }
    }
}

/// Nodes, what waits for people, and whether jobs pile up.
pub fn queue(waiting: &Waiting) -> Vec<Check> {
    let Waiting { nodes, dead_letters, alerts, overdue } = *waiting;
    let warn = |bad: bool| if bad { Standing::Warning } else { Standing::Good };
    let piled = match overdue {
        n if n > OVERDUE[1] => Standing::Bad,
        n => warn(n > OVERDUE[0]),
    };
    vec![
        Check::new(
            "nodes",
            warn(nodes == 0),
            format!("{nodes} alive"),
            "start one with `yakin serve`",
        ),
        Check::new(
            "waiting",
            warn(dead_letters + alerts > 0),
            format!("{dead_letters} dead letters, {alerts} open alerts"),
            "`yakin dead list`, `yakin alerts`",
        ),
        Check::new(
            "queue",
            piled,
            format!("{overdue} jobs have been ready for over five minutes"),
            "more nodes or permits; is a queue's work slow or stopped?",
        ),
    ]
}
