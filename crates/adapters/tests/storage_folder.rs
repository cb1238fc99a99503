//! Files in a folder on a real disk: whole or absent, whatever comes in between.
// The configured exception sees test functions, not their helpers.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Command;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::StreamExt;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use yakin_adapters::storage::{Storage, StorageError, StorageSettings, Stored};

struct Place {
    dir: PathBuf,
    mounted: bool,
}

impl Place {
    fn new(name: &str) -> Place {
        let dir = std::env::temp_dir().join(format!("yakin-store-{}-{name}", std::process::id()));
        Place { dir, mounted: false }
    }

    /// On a file system of this size; `None` where this user may not mount.
    fn small(name: &str, size: &str) -> Option<Place> {
        let mut place = Place::new(name);
        fs::create_dir_all(&place.dir).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]).arg(&place.dir);
        place.mounted = mount.output().is_ok_and(|o| o.status.success());
        if !place.mounted {
            eprintln!("skipped: only root may mount a file system that is small enough to be full");
        }
        place.mounted.then_some(place)
    }

    fn open(&self) -> Storage {
        Storage::open(&self.settings()).unwrap()
    }

    fn settings(&self) -> StorageSettings {
        let url = format!("file://{}", self.dir.display());
        StorageSettings { url, ..StorageSettings::default() }
    }

    /// All files, by name relative to the folder.
    fn files(&self) -> Vec<String> {
        let (mut files, mut folders) = (Vec::new(), vec![self.dir.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else {
                    let path = entry.path();
                    files.push(path.strip_prefix(&self.dir).unwrap().display().to_string());
                }
            }
        }
        files.sort();
        files
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg("-l").arg(&self.dir).status();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// So many bytes, then an error or the end.
struct Source {
    left: u64,
    fails: bool,
}

impl AsyncRead for Source {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 && self.fails {
            return Poll::Ready(Err(io::Error::other("the dump has failed")));
        }
        let now = self.left.min(buf.remaining() as u64);
        buf.put_slice(&vec![7; now as usize]);
        self.left -= now;
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_file_comes_back_as_it_was_written() {
    let place = Place::new("round");
    let storage = place.open();
    let key = "tenant/aoba/invoices/2026-10/INV-202610-aoba-0001.pdf";
    let stored = storage.put(key, "請求書").await.unwrap();
    assert_eq!(stored, Stored::of("請求書".as_bytes()));
    assert_eq!(
        Stored::of(b"abc").sha256,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_eq!(storage.get(key, 9).await.unwrap(), "請求書".as_bytes());
    let error = storage.get(key, 8).await.unwrap_err();
    assert!(matches!(error, StorageError::TooLarge { size: 9, limit: 8, .. }), "{error}");
    assert_eq!(storage.head(key).await.unwrap().size, 9);
    assert_eq!(storage.put(key, "請求書").await.unwrap(), stored);
    storage.put(key, "more").await.unwrap();
    assert_eq!(storage.get(key, 100).await.unwrap(), b"more");
    storage.put("empty", "").await.unwrap();
    assert_eq!(storage.get("empty", 0).await.unwrap(), b"");
    storage.delete(key).await.unwrap();
    storage.delete(key).await.unwrap();
    for error in [storage.get(key, 9).await.map(|_| ()), storage.head(key).await.map(|_| ())] {
        let error = error.unwrap_err();
        assert!(matches!(&error, StorageError::Missing { key: k, .. } if k == key), "{error}");
        assert!(error.to_string().contains(&place.dir.display().to_string()), "{error}");
    }
    assert!(storage.get_stream(key).await.is_err());
    assert_eq!(place.files(), ["empty"]);
    let mode = fs::metadata(&place.dir).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700, "tenants' files are for this user: {mode:o}");
    let both = storage.put("empty/below", "x").await.unwrap_err();
    assert!(matches!(both, StorageError::Refused { .. }), "{both}");
}

#[tokio::test]
async fn a_list_is_in_order_bounded_and_goes_on_where_it_ended() {
    let place = Place::new("list");
    let storage = place.open();
    for key in ["b/2", "a/1", "b/10", "b/1", "bb/1", "c"] {
        storage.put(key, key).await.unwrap();
    }
    storage.mark("here").await.unwrap();
    fs::write(place.dir.join("b/3#1"), "being written").unwrap();
    let keys = async |prefix: &str, after: Option<&str>, limit| {
        let found = storage.list(prefix, after, limit).await.unwrap();
        found.into_iter().map(|f| f.key).collect::<Vec<_>>()
    };
    assert_eq!(keys("", None, 100).await, ["a/1", "b/1", "b/10", "b/2", "bb/1", "c"]);
    assert_eq!(keys("b", None, 100).await, ["b/1", "b/10", "b/2"]);
    assert_eq!(keys("", None, 2).await, ["a/1", "b/1"]);
    assert_eq!(keys("", Some("b/1"), 2).await, ["b/10", "b/2"]);
    assert!(keys("nothing", None, 5).await.is_empty());
}

#[tokio::test]
async fn a_large_stream_is_written_and_read_in_pieces() {
    let place = Place::new("stream");
    let storage = place.open();
    let size = (40 << 20) + 3;
    let stored = storage.put_stream("dump", Source { left: size, fails: false }).await.unwrap();
    assert_eq!(stored.size, size);
    let mut reading = storage.get_stream("dump").await.unwrap();
    assert_eq!(reading.found.size, size);
    let mut read = 0;
    while let Some(piece) = reading.pieces.next().await {
        let piece = piece.unwrap();
        assert!(piece.iter().all(|b| *b == 7));
        read += piece.len() as u64;
    }
    assert_eq!(read, size);
    storage.get_as_stored("dump", &stored).await.unwrap();
    // a byte on the disk turns
    let file = File::options().write(true).open(place.dir.join("dump")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"x", 1000).unwrap();
    let error = storage.get_as_stored("dump", &stored).await.unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
    let small = storage.put_stream("small", Source { left: 5, fails: false }).await.unwrap();
    assert_eq!(small, Stored::of(&[7; 5]));
    let none = storage.put_stream("none", Source { left: 0, fails: false }).await.unwrap();
    assert_eq!(none, Stored::of(b""));
}

#[tokio::test]
async fn a_file_that_becomes_shorter_while_it_is_read_is_damaged_and_the_reading_ends() {
    let place = Place::new("shorter");
    let storage = place.open();
    storage.put("grown", vec![7; 1 << 20]).await.unwrap();
    let mut reading = storage.get_stream("grown").await.unwrap();
    assert!(!reading.pieces.next().await.unwrap().unwrap().is_empty());
    let file = File::options().write(true).open(place.dir.join("grown")).unwrap();
    file.set_len(100_000).unwrap();
    let rest: Vec<_> = reading.pieces.take(1000).collect().await;
    let last = rest.last().unwrap().as_ref().unwrap_err();
    assert!(matches!(last, StorageError::Corrupt { .. }), "{last}");
}

#[tokio::test]
async fn a_source_that_fails_or_is_left_leaves_nothing() {
    let place = Place::new("source");
    let storage = place.open();
    for left in [10, 20 << 20] {
        let error = storage.put_stream("dump", Source { left, fails: true }).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, StorageError::Source { .. }) && text.contains("dump"), "{text}");
        assert!(text.contains("the dump has failed"), "{text}");
    }
    assert!(place.files().is_empty(), "{:?}", place.files());
    // a caller that is cancelled in the middle
    let (mut writer, reader) = tokio::io::duplex(1 << 20);
    let writing = storage.clone();
    let task = tokio::spawn(async move { writing.put_stream("dump", reader).await });
    writer.write_all(&vec![1; 20 << 20]).await.unwrap();
    let begun = || place.files().iter().any(|f| f.starts_with("dump#"));
    until("the first part is written", begun).await;
    task.abort();
    until("what was written is taken back", || place.files().is_empty()).await;
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < limit, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_that_write_one_key_leave_one_whole_file() {
    let place = Place::new("many");
    let storage = place.open();
    let bytes = |n: u8| vec![n; 100_000 + 1000 * usize::from(n)];
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let storage = storage.clone();
            tokio::spawn(async move { storage.put("same", bytes(n)).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let there = storage.get("same", 1 << 20).await.unwrap();
    assert_eq!(there, bytes(there[0]));
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let storage = storage.clone();
            tokio::spawn(async move { storage.put_new("new", bytes(n / 4)).await })
        })
        .collect();
    let mut won = Vec::new();
    for (n, task) in (0..16).zip(tasks) {
        match task.await.unwrap() {
            Ok(_) => won.push(n / 4),
            Err(StorageError::Conflict { key, .. }) => assert_eq!(key, "new"),
            Err(error) => panic!("{error}"),
        }
    }
    // the four that wrote the same bytes, and nobody else
    won.sort_unstable();
    won.dedup();
    assert_eq!(won.len(), 1, "{won:?}");
    assert_eq!(storage.get("new", 1 << 20).await.unwrap(), bytes(won[0]));
    assert_eq!(place.files(), ["new", "same"], "no file being written is left");
}

#[tokio::test]
async fn a_full_disk_is_told_and_costs_no_file() {
    let Some(place) = Place::small("full", "24m") else { return };
    let storage = place.open();
    storage.put("kept", vec![1; 1000]).await.unwrap();
    let full = |error: StorageError| {
        let text = error.to_string();
        assert!(matches!(error, StorageError::Full { .. }), "{text}");
        assert!(text.contains("'kept'") && text.contains("os error 28"), "{text}");
    };
    full(storage.put("kept", vec![2; 30 << 20]).await.unwrap_err());
    full(storage.put_stream("kept", Source { left: 40 << 20, fails: false }).await.unwrap_err());
    assert_eq!(place.files(), ["kept"], "what was half written is gone");
    assert_eq!(storage.get("kept", 1000).await.unwrap(), vec![1; 1000]);
    storage.put_stream("kept", Source { left: 20 << 20, fails: false }).await.unwrap();
    assert_eq!(storage.head("kept").await.unwrap().size, 20 << 20);
}

#[tokio::test]
async fn a_folder_that_may_not_be_written_denies() {
    let (place, is_root) = match Place::small("denied", "1m") {
        Some(place) => (place, true),
        None => (Place::new("denied"), false),
    };
    let storage = place.open();
    storage.put("there", "x").await.unwrap();
    if is_root {
        let mut remount = Command::new("mount");
        let done = remount.args(["-o", "remount,ro"]).arg(&place.dir).status().unwrap();
        assert!(done.success());
    } else {
        fs::set_permissions(&place.dir, Permissions::from_mode(0o500)).unwrap();
    }
    for error in [
        storage.put("new", "x").await.map(|_| ()).unwrap_err(),
        storage.delete("there").await.unwrap_err(),
        storage.check().await.unwrap_err(),
    ] {
        assert!(matches!(error, StorageError::Denied { .. }), "{error}");
        assert!(error.to_string().contains(&place.dir.display().to_string()), "{error}");
    }
    assert_eq!(storage.get("there", 1).await.unwrap(), b"x");
    if !is_root {
        fs::set_permissions(&place.dir, Permissions::from_mode(0o700)).unwrap();
    }
}

#[tokio::test]
async fn a_link_leads_nobody_out_of_the_folder() {
    let (place, outside) = (Place::new("links"), Place::new("outside"));
    let storage = place.open();
    storage.put("tenant/in", "in").await.unwrap();
    fs::create_dir_all(&outside.dir).unwrap();
    fs::write(outside.dir.join("secret"), "secret").unwrap();
    symlink(&outside.dir, place.dir.join("tenant/way")).unwrap();
    symlink(outside.dir.join("secret"), place.dir.join("tenant/file")).unwrap();
    for key in ["tenant/way/secret", "tenant/way/new", "tenant/file"] {
        for error in [
            storage.get(key, 100).await.map(|_| ()).unwrap_err(),
            storage.put(key, "x").await.map(|_| ()).unwrap_err(),
            storage.put_new(key, "x").await.map(|_| ()).unwrap_err(),
            storage.delete(key).await.unwrap_err(),
            storage.head(key).await.map(|_| ()).unwrap_err(),
            storage.get_stream(key).await.map(|_| ()).unwrap_err(),
        ] {
            assert!(matches!(error, StorageError::Refused { .. }), "{error}");
            assert!(error.to_string().contains("symbolic link"), "{error}");
        }
    }
    let listed = storage.list("", None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|f| f.key.as_str()).collect::<Vec<_>>(), ["tenant/in"]);
    assert_eq!(fs::read(outside.dir.join("secret")).unwrap(), b"secret");
    assert_eq!(outside.files(), ["secret"]);
}

#[tokio::test]
async fn what_killed_writers_left_is_swept_after_a_day() {
    let place = Place::new("sweep");
    let storage = place.open();
    storage.put("a/whole", "x").await.unwrap();
    let age = |name: &str, hours: u64| {
        let file = File::create(place.dir.join(name)).unwrap();
        let present = fs::metadata(place.dir.join("a/whole")).unwrap().modified().unwrap();
        file.set_modified(present - Duration::from_secs(hours * 3600)).unwrap();
    };
    age("a/old#1", 25);
    age("a/young#2", 23);
    age("a/other#x", 1000);
    fs::create_dir(place.dir.join("b#1")).unwrap();
    assert_eq!(storage.sweep().await.unwrap(), 1);
    assert_eq!(place.files(), ["a/other#x", "a/whole", "a/young#2"]);
}

#[tokio::test]
async fn a_store_is_marked_once_and_checked_without_a_trace() {
    let place = Place::new("marker");
    let storage = place.open();
    assert_eq!(storage.marker().await.unwrap(), None);
    storage.check().await.unwrap();
    storage.mark("store-1").await.unwrap();
    storage.mark("store-1").await.unwrap();
    assert_eq!(storage.marker().await.unwrap().as_deref(), Some("store-1"));
    let other = storage.mark("store-2").await.unwrap_err();
    assert!(matches!(other, StorageError::Conflict { .. }), "{other}");
    assert!(matches!(storage.mark("a b").await, Err(StorageError::Refused { .. })));
    storage.check().await.unwrap();
    assert_eq!(place.files(), [".yakin-store"]);
    assert!(matches!(storage.delete(".yakin-store").await, Err(StorageError::Refused { .. })));
    assert!(storage.list("", None, 10).await.unwrap().is_empty());
    assert!(storage.is_folder() && storage.identity().starts_with("file:///"));
}

#[test]
fn a_place_that_cannot_be_is_named_by_its_key() {
    let wrong = |json: serde_json::Value| {
        let settings: StorageSettings = serde_json::from_value(json).unwrap();
        Storage::open(&settings).unwrap_err().to_string()
    };
    let file = std::env::temp_dir().join(format!("yakin-store-{}-file", std::process::id()));
    fs::write(&file, "").unwrap();
    let below = format!("file://{}/below", file.display());
    for (json, says) in [
        (serde_json::json!({"url": "ftp://x"}), "storage.url is 'ftp://x', expected file:///"),
        (serde_json::json!({"url": "file://relative"}), "expected file:///folder"),
        (serde_json::json!({"url": "file:///a/../b"}), "expected file:///folder"),
        (serde_json::json!({"url": "file:///a%20b"}), "storage.url has one of"),
        (serde_json::json!({"url": below}), "storage.url file:///"),
        (serde_json::json!({"url": "file:///x", "region": "r"}), "storage.region belongs to s3"),
        (serde_json::json!({"url": "s3://"}), "names no bucket"),
        (serde_json::json!({"url": "s3://b"}), "storage.region is missing"),
        (serde_json::json!({"url": "s3://b", "region": "r"}), "storage.access_key_id is missing"),
        (
            serde_json::json!({"url": "s3://b", "region": "r", "access_key_id": "a"}),
            "either storage.secret_access_key or",
        ),
        (
            serde_json::json!({"url": "s3://b", "region": "r", "access_key_id": "a",
                "secret_access_key_file": "/nowhere/secret"}),
            "storage.secret_access_key_file '/nowhere/secret'",
        ),
        (
            serde_json::json!({"url": "s3://b", "endpoint": "http://s", "access_key_id": "a",
                "secret_access_key": "hushhush"}),
            "allow_http = true",
        ),
    ] {
        let error = wrong(json.clone());
        assert!(error.contains(says) && !error.contains("hushhush"), "{json}: {error}");
    }
    fs::remove_file(&file).unwrap();
    let unknown = serde_json::from_value::<StorageSettings>(serde_json::json!({"ulr": "x"}));
    assert!(unknown.unwrap_err().to_string().contains("ulr"));
    let settings = serde_json::json!({"url": "s3://b", "secret_access_key": "hushhush"});
    let settings: StorageSettings = serde_json::from_value(settings).unwrap();
    assert!(!format!("{settings:?}").contains("hushhush"));
}
