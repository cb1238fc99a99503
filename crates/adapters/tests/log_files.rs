//! Log files on a real disk with a clock that the test moves: cut, kept, compressed, deleted, and
//! no room for them.
// The configured exception sees test functions, not their helpers.
#![allow(clippy::unwrap_used)]

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use yakin_adapters::{LogFileSettings, LogFiles};

/// 23:59:59 in Tokyo.
const EVE: &str = "2026-10-31T14:59:59Z";

/// What went aside, or was said on stderr.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stdout whose reader has left.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A folder of the test's own, and the time in it.
struct Place {
    dir: PathBuf,
    now: Arc<Mutex<Timestamp>>,
    aside: Said,
    warned: Said,
}

impl Place {
    fn new(name: &str) -> Place {
        let dir = std::env::temp_dir().join(format!("yakin-log-{}-{name}", std::process::id()));
        let now = Arc::new(Mutex::new(EVE.parse().unwrap()));
        Place { dir, now, aside: Said::default(), warned: Said::default() }
    }

    fn at(&self, instant: &str) {
        *self.now.lock().unwrap() = instant.parse().unwrap();
    }

    fn open(&self, settings: &LogFileSettings) -> LogFiles {
        self.open_with(settings, Box::new(self.aside.clone()))
    }

    fn open_with(&self, settings: &LogFileSettings, aside: Box<dyn Write + Send>) -> LogFiles {
        let now = self.now.clone();
        let now = Box::new(move || *now.lock().unwrap());
        let warn = Box::new(self.warned.clone());
        LogFiles::open(settings, &self.dir, "db 1", now, aside, warn).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.dir).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.join(name)).unwrap()
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::create_dir_all(&self.dir).unwrap();
        std::fs::write(self.dir.join(name), text).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn plain() -> LogFileSettings {
    LogFileSettings { compress_after_days: 90, ..LogFileSettings::default() }
}

#[test]
fn a_day_ends_at_midnight_in_tokyo() {
    let place = Place::new("midnight");
    let mut log = place.open(&plain());
    log.write_all(b"last of October\n").unwrap();
    place.at("2026-10-31T15:00:00Z");
    log.write_all(b"first of November\n").unwrap();
    place.at("2026-11-01T00:00:00Z"); // midnight elsewhere cuts nothing
    log.write_all(b"morning\n").unwrap();
    place.at(EVE); // and a clock that steps back reopens nothing
    log.write_all(b"stepped back\n").unwrap();
    assert_eq!(place.names(), ["yakin-db-1-2026-10-31.jsonl", "yakin-db-1-2026-11-01.jsonl"]);
    assert_eq!(place.read("yakin-db-1-2026-10-31.jsonl"), "last of October\n");
    let november = place.read("yakin-db-1-2026-11-01.jsonl");
    assert_eq!(november, "first of November\nmorning\nstepped back\n");
    let mode = std::fs::metadata(log.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o007, 0, "others may not read logs: {mode:o}");
}

#[test]
fn a_file_that_is_full_is_followed_by_the_next_of_its_day() {
    let place = Place::new("size");
    let settings = LogFileSettings { max_bytes: 25, ..plain() };
    let mut log = place.open(&settings);
    for line in ["one 4567890\n", "two 4567890\n", "three 67890\n", "four 567890\n"] {
        log.write_all(line.as_bytes()).unwrap();
    }
    log.write_all(b"a line longer than a whole file may be\n").unwrap();
    assert_eq!(place.read("yakin-db-1-2026-10-31.jsonl"), "one 4567890\ntwo 4567890\n");
    assert_eq!(place.read("yakin-db-1-2026-10-31.1.jsonl"), "three 67890\nfour 567890\n");
    let long = place.read("yakin-db-1-2026-10-31.2.jsonl");
    assert_eq!(long, "a line longer than a whole file may be\n");
    assert_eq!(place.names().len(), 3);
}

#[test]
fn a_restart_goes_on_in_the_file_and_ends_a_half_line() {
    let place = Place::new("restart");
    let mut log = place.open(&plain());
    log.write_all(b"before\nhalf a li").unwrap();
    drop(log);
    place.open(&plain()).write_all(b"after\n").unwrap();
    assert_eq!(place.read("yakin-db-1-2026-10-31.jsonl"), "before\nhalf a li\nafter\n");
}

#[test]
fn two_processes_of_one_host_write_two_files_and_leave_each_others_alone() {
    let place = Place::new("two");
    let settings = LogFileSettings { compress_after_days: 0, ..LogFileSettings::default() };
    let (mut one, mut two) = (place.open(&settings), place.open(&settings));
    one.write_all(b"one\n").unwrap();
    two.write_all(b"two\n").unwrap();
    one.settle();
    two.settle();
    assert_eq!(place.read("yakin-db-1-2026-10-31.jsonl"), "one\n");
    assert_eq!(place.read("yakin-db-1-2026-10-31.1.jsonl"), "two\n");
    assert_eq!(place.names().len(), 2);
}

#[test]
fn a_file_that_was_made_this_moment_is_left_to_its_maker() {
    let place = Place::new("made");
    place.put("yakin-other-2026-10-31.jsonl", "");
    let settings = LogFileSettings { compress_after_days: 0, ..LogFileSettings::default() };
    let log = place.open(&settings);
    log.settle();
    assert_eq!(place.names(), ["yakin-db-1-2026-10-31.jsonl", "yakin-other-2026-10-31.jsonl"]);
}

#[test]
fn yesterdays_file_is_compressed_so_that_zstd_reads_it() {
    let place = Place::new("compress");
    let mut log = place.open(&LogFileSettings::default());
    let lines: String = (0..5000).map(|n| format!("{{\"line\":{n}}}\n")).collect();
    log.write_all(lines.as_bytes()).unwrap();
    place.at("2026-10-31T15:00:00Z");
    log.write_all(b"today\n").unwrap();
    log.settle();
    let compressed = "yakin-db-1-2026-10-31.jsonl.zst";
    assert_eq!(place.names(), [compressed, "yakin-db-1-2026-11-01.jsonl"]);
    let packed = std::fs::read(place.dir.join(compressed)).unwrap();
    assert!(packed.len() * 5 < lines.len(), "{} bytes", packed.len());
    assert_eq!(zstd::decode_all(packed.as_slice()).unwrap(), lines.as_bytes());
    // one flipped byte is noticed: the checksum is inside
    let mut flipped = packed.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    assert!(zstd::decode_all(flipped.as_slice()).is_err());
    drop(log);
    // back on a day whose file was put away: the next number, and the compressed one stays
    place.at(EVE);
    place.open(&LogFileSettings::default()).write_all(b"again\n").unwrap();
    assert_eq!(place.read("yakin-db-1-2026-10-31.1.jsonl"), "again\n");
    assert_eq!(std::fs::read(place.dir.join(compressed)).unwrap(), packed);
}

#[test]
fn files_past_their_days_are_deleted_and_others_files_are_not() {
    let place = Place::new("keep");
    let kept = ["yakin-b-2026-10-30.jsonl.zst", "notes-2020-01-01.jsonl", "yakin-x.jsonl"];
    let gone = ["yakin-b-2026-10-29.jsonl.zst", "yakin-c-2026-10-29.3.jsonl"];
    for name in kept.iter().chain(&gone) {
        place.put(name, "old\n");
    }
    let log = place.open(&LogFileSettings { keep_days: 1, ..LogFileSettings::default() });
    log.settle();
    let mut wanted = vec!["yakin-db-1-2026-10-31.jsonl"];
    wanted.extend(kept);
    wanted.sort_unstable();
    assert_eq!(place.names(), wanted);
}

#[test]
fn what_a_crash_left_of_a_compression_is_cleaned_up_at_the_next_start() {
    let place = Place::new("crash");
    place.put("yakin-db-1-2026-10-29.jsonl", "whole\n");
    place.put("yakin-db-1-2026-10-29.jsonl.zst.tmp", "cut in the mid");
    // the crash came between the new file and the removal of the old one
    place.put("yakin-db-1-2026-10-28.jsonl", "twice\n");
    let twice = zstd::encode_all(&b"twice\n"[..], 3).unwrap();
    std::fs::write(place.dir.join("yakin-db-1-2026-10-28.jsonl.zst"), twice).unwrap();
    let log = place.open(&LogFileSettings::default());
    log.settle();
    assert_eq!(
        place.names(),
        [
            "yakin-db-1-2026-10-28.jsonl.zst",
            "yakin-db-1-2026-10-29.jsonl.zst",
            "yakin-db-1-2026-10-31.jsonl"
        ]
    );
    for (day, text) in [("28", "twice\n"), ("29", "whole\n")] {
        let packed = place.dir.join(format!("yakin-db-1-2026-10-{day}.jsonl.zst"));
        let read = zstd::decode_all(std::fs::File::open(packed).unwrap()).unwrap();
        assert_eq!(read, text.as_bytes());
    }
}

#[test]
fn a_file_that_somebody_removed_is_made_again() {
    let place = Place::new("removed");
    let mut log = place.open(&plain());
    log.write_all(b"removed\n").unwrap();
    std::fs::remove_file(log.path()).unwrap();
    log.write_all(b"new\n").unwrap();
    assert_eq!(place.read("yakin-db-1-2026-10-31.jsonl"), "new\n");
    std::fs::remove_dir_all(&place.dir).unwrap();
    log.write_all(b"nowhere\n").unwrap();
    assert_eq!(place.aside.text(), "nowhere\n");
    std::fs::create_dir(&place.dir).unwrap();
    log.write_all(b"back\n").unwrap();
    let told = place.read("yakin-db-1-2026-10-31.jsonl");
    assert!(told.contains(r#""stdout_lines":1"#) && told.ends_with("back\n"), "{told}");
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_by_its_key() {
    let place = Place::new("refused");
    let open = |dir: &Path| {
        let now = Box::new(|| EVE.parse().unwrap());
        let none = || Box::new(io::sink());
        let settings = LogFileSettings::default();
        LogFiles::open(&settings, dir, "a", now, none(), none()).err().expect("refused")
    };
    place.put("file", "");
    let error = open(&place.dir.join("file")).to_string();
    assert!(error.starts_with("log.dir: cannot write /") && error.contains("/file"), "{error}");
    // nobody makes a file here, not even root
    let error = open(Path::new("/proc/self")).to_string();
    assert!(error.contains("log.dir: cannot write /proc/self"), "{error}");
}

#[test]
fn numbers_out_of_reason_are_named() {
    let wrong = |change: fn(&mut LogFileSettings)| {
        let mut settings = LogFileSettings::default();
        change(&mut settings);
        settings.mistake().expect("a mistake")
    };
    assert_eq!(LogFileSettings::default().mistake(), None);
    assert!(wrong(|s| s.max_bytes = 10).contains("log.max_bytes is 10, expected 65536"));
    assert!(wrong(|s| s.keep_days = 0).contains("log.keep_days is 0"));
    assert!(wrong(|s| s.compress_after_days = 91).contains("log.compress_after_days is 91"));
}

/// A file system of 64 KiB, taken away with the value.
struct Small(PathBuf);

impl Small {
    /// `None` where this user may not mount.
    fn mount(dir: &Path) -> Option<Small> {
        std::fs::create_dir_all(dir).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(dir);
        let mounted = mount.output().is_ok_and(|o| o.status.success());
        mounted.then(|| Small(dir.to_path_buf()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_sends_lines_aside_and_room_brings_them_back() {
    let place = Place::new("full");
    let Some(_small) = Small::mount(&place.dir) else {
        eprintln!("skipped: only root may mount a file system that is small enough to be full");
        return;
    };
    place.put("ballast", &"x".repeat(40 * 1024));
    let mut log = place.open(&plain());
    let line = format!("{}\n", "y".repeat(999));
    for _ in 0..40 {
        log.write_all(line.as_bytes()).unwrap();
    }
    let aside = place.aside.text().lines().count();
    assert!(aside > 10, "the disk took all but {aside}");
    let warned = place.warned.text();
    assert_eq!(warned.lines().count(), 1, "one warning: {warned}");
    assert!(warned.contains("yakin-db-1-2026-10-31.jsonl") && warned.contains("os error 28"));
    // at midnight the disk is still full: a new file may be made but not filled
    place.at("2026-10-31T15:00:00Z");
    log.write_all(line.as_bytes()).unwrap();
    std::fs::remove_file(place.dir.join("ballast")).unwrap();
    log.write_all(b"room\n").unwrap();
    let all: Vec<String> = place.names().iter().map(|n| place.read(n)).collect();
    let lines: Vec<&str> = all.iter().flat_map(|t| t.lines()).collect();
    let whole = lines.iter().filter(|l| l.len() == 999).count();
    assert_eq!(whole + place.aside.text().lines().count(), 41, "each line is in one place");
    assert_eq!(lines.len(), whole + 2, "no half line, and one that tells of it");
    let told = lines[whole];
    let told: serde_json::Value = serde_json::from_str(told).unwrap();
    assert_eq!(told["metadata"]["stdout_lines"], aside + 1);
    assert_eq!(told["metadata"]["lost_lines"], 0);
    assert_eq!(lines.last(), Some(&"room"));
}

#[test]
fn lines_that_no_place_takes_are_counted() {
    let place = Place::new("lost");
    let mut log = place.open_with(&plain(), Box::new(Closed));
    std::fs::remove_dir_all(&place.dir).unwrap();
    log.write_all(b"one\ntwo\n").unwrap();
    log.write_all(b"three\n").unwrap();
    assert_eq!(log.lost(), 3);
    std::fs::create_dir(&place.dir).unwrap();
    log.write_all(b"back\n").unwrap();
    assert!(place.read("yakin-db-1-2026-10-31.jsonl").contains(r#""lost_lines":3"#));
}
