//! Log lines in files: one file a node at a time, cut by size and at Tokyo midnight. A disk that is
//! full costs no line and stops nobody: lines go aside until there is room.

pub mod aging;
mod keeper;
mod name;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{TimeZone, offset};
use serde::Deserialize;

use keeper::Keeper;
use name::{FileName, host_in_names};

/// How many other writers of the same host and day a node steps aside for before it gives up.
const MOST_NUMBERS: u32 = 100_000;

/// Where log files lie and how long they stay.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogFileSettings {
    /// The folder; without one, lines go to stdout.
    pub dir: Option<PathBuf>,
    /// The size in bytes at which a file is followed by the next of its day.
    pub max_bytes: u64,
    /// Whole days after its own day for which a file is kept.
    pub keep_days: u16,
    /// Whole days after its own day from which a file is compressed; 0: as soon as it is full.
    pub compress_after_days: u16,
}

impl Default for LogFileSettings {
    fn default() -> LogFileSettings {
        LogFileSettings { dir: None, max_bytes: 104_857_600, keep_days: 90, compress_after_days: 1 }
    }
}

impl LogFileSettings {
    /// What is wrong with the numbers, naming the key and what was expected.
    pub fn mistake(&self) -> Option<String> {
        if !(65_536..=1 << 40).contains(&self.max_bytes) {
            return Some(format!("log.max_bytes is {}, expected 65536 to 1 TiB", self.max_bytes));
        }
        if !(1..=3650).contains(&self.keep_days) {
            return Some(format!("log.keep_days is {}, expected 1 to 3650", self.keep_days));
        }
        if self.compress_after_days > self.keep_days {
            let days = self.compress_after_days;
            return Some(format!("log.compress_after_days is {days}, expected at most keep_days"));
        }
        None
    }
}

/// A folder in which no log file can be written.
#[derive(Debug, thiserror::Error)]
#[error("log.dir: cannot write {path}: {source}; expected a folder that this user may write")]
pub struct LogFilesError {
    pub path: String,
    pub source: io::Error,
}

/// The instant of a line.
pub type Now = Box<dyn Fn() -> Timestamp + Send>;

/// The open log file of this process; clones write to the same one.
#[derive(Clone)]
pub struct LogFiles {
    state: Arc<Mutex<State>>,
    keeper: Keeper,
}

struct State {
    dir: PathBuf,
    host: String,
    max_bytes: u64,
    now: Now,
    aside: Box<dyn Write + Send>,
    warn: Box<dyn Write + Send>,
    open: Open,
    /// Whether going on to the next file failed, which is said once.
    stuck: bool,
    trouble: Option<Trouble>,
}

/// The file being written. Its lock tells every keeper that it is in use.
struct Open {
    file: File,
    name: FileName,
    size: u64,
}

/// What happened to lines since the file could last be written.
struct Trouble {
    reason: String,
    aside: u64,
    lost: u64,
}

impl LogFiles {
    /// Makes the folder where it is missing and opens today's file for `host`. Lines that the files
    /// cannot take go to `aside`, the warning about them to `warn`.
    pub fn open(
        settings: &LogFileSettings,
        dir: &Path,
        host: &str,
        now: Now,
        aside: Box<dyn Write + Send>,
        warn: Box<dyn Write + Send>,
    ) -> Result<LogFiles, LogFilesError> {
        let refused =
            |path: &Path, source| LogFilesError { path: path.display().to_string(), source };
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o750).create(dir);
        made.map_err(|e| refused(dir, e))?;
        let (host, at) = (host_in_names(host), now());
        let open = Open::of(dir, &host, tokyo_day(at), None).map_err(|e| refused(dir, e))?;
        let keeper = Keeper::start(dir.to_path_buf(), settings.clone());
        keeper.tidy(tokyo_day(at));
        let (dir, max_bytes) = (dir.to_path_buf(), settings.max_bytes);
        let state =
            State { dir, host, max_bytes, now, aside, warn, open, stuck: false, trouble: None };
        Ok(LogFiles { state: Arc::new(Mutex::new(state)), keeper })
    }

    /// The file that is written now.
    pub fn path(&self) -> PathBuf {
        let state = self.state();
        state.dir.join(state.open.name.text())
    }

    /// Lines since the last recovery that no place took.
    pub fn lost(&self) -> u64 {
        self.state().trouble.as_ref().map_or(0, |t| t.lost)
    }

    /// Waits until compressing and deleting asked for so far has been done.
    pub fn settle(&self) {
        self.keeper.settle();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for LogFiles {
    /// Takes one or more whole lines; never fails.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let turned = self.state().take(lines);
        if let Some(day) = turned {
            self.keeper.tidy(day);
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl State {
    /// Writes lines where they can be written; gives the day when a file was left behind.
    fn take(&mut self, lines: &[u8]) -> Option<Date> {
        let at = (self.now)();
        let turned = self.turn(tokyo_day(at), lines.len() as u64);
        let wrote = match &turned {
            Err(error) if self.open.is_gone() => {
                Err(io::Error::new(error.kind(), error.to_string()))
            }
            // better a file past its size or day than a line that is not in the files
            _ => self.append(at, lines),
        };
        if let (Err(error), Ok(())) = (&turned, &wrote) {
            self.say_stuck(error);
        }
        if let Err(error) = wrote {
            self.put_aside(lines, &error);
        }
        turned.unwrap_or(None)
    }

    fn say_stuck(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.stuck, true) {
            let (dir, file) = (self.dir.display(), self.open.name.text());
            // as in put_aside
            let _ =
                writeln!(self.warn, "yakin: no new log file in {dir}: {error}; {file} grows on");
        }
    }

    /// Goes on to the next file where the day or the size asks for it, or somebody removed it. A clock that steps back over
    /// midnight does not reopen a day.
    fn turn(&mut self, day: Date, more: u64) -> io::Result<Option<Date>> {
        let full = self.open.size > 0 && self.open.size.saturating_add(more) > self.max_bytes;
        if day <= self.open.name.day && !full && !self.open.is_gone() {
            return Ok(None);
        }
        let day = day.max(self.open.name.day);
        let past = full.then_some(self.open.name.number);
        let past = past.filter(|_| day == self.open.name.day);
        self.open = Open::of(&self.dir, &self.host, day, past)?;
        self.stuck = false;
        Ok(Some(day))
    }

    /// Appends whole lines or nothing; after trouble, first the line that tells of it.
    fn append(&mut self, at: Timestamp, lines: &[u8]) -> io::Result<()> {
        match &self.trouble {
            None => self.open.append(lines),
            Some(trouble) => {
                let mut both = trouble.line(at).into_bytes();
                both.extend_from_slice(lines);
                self.open.append(&both)?;
                self.trouble = None;
                Ok(())
            }
        }
    }

    fn put_aside(&mut self, lines: &[u8], error: &io::Error) {
        let path = self.dir.join(self.open.name.text());
        let trouble = self.trouble.get_or_insert_with(|| {
            let reason = format!("{}: {error}", path.display());
            let text = "yakin: cannot write the log file";
            // a closed stderr is no reason to stop: the file will tell of it
            let _ = writeln!(self.warn, "{text} {reason}; lines go to stdout until it can be");
            Trouble { reason, aside: 0, lost: 0 }
        });
        let count = lines.iter().filter(|b| **b == b'\n').count().max(1) as u64;
        match self.aside.write_all(lines).and_then(|()| self.aside.flush()) {
            Ok(()) => trouble.aside += count,
            Err(_) => trouble.lost += count,
        }
    }
}

impl Trouble {
    fn line(&self, at: Timestamp) -> String {
        let line = serde_json::json!({
            "timestamp": at.to_string(),
            "level": "warn",
            "message": "the log file could not be written for a while",
            "metadata": { "stdout_lines": self.aside, "lost_lines": self.lost },
            "error": self.reason,
        });
        format!("{line}\n")
    }
}

impl Open {
    /// Opens the newest file of this host and day when nobody writes it, else the next number;
    /// `past` is a number that is full.
    fn of(dir: &Path, host: &str, day: Date, past: Option<u32>) -> io::Result<Open> {
        let newest = name::newest_number(dir, host, day)?;
        let first = match (newest, past) {
            (None, None) => 0,
            (None, Some(past)) => past.saturating_add(1),
            (Some((number, plain)), past) => {
                let next = number.saturating_add(u32::from(!plain));
                next.max(past.map_or(0, |p| p.saturating_add(1)))
            }
        };
        let last = first.saturating_add(MOST_NUMBERS);
        for number in first..=last {
            let name = FileName { host: host.to_owned(), day, number };
            if let Some(file) = lock(&dir.join(name.text()))? {
                let mut open = Open { size: file.metadata()?.len(), file, name };
                open.end_half_line()?;
                return Ok(open);
            }
        }
        Err(io::Error::other(format!("{MOST_NUMBERS} files of this host and day are in use")))
    }

    fn is_gone(&self) -> bool {
        self.file.metadata().map_or(true, |m| m.nlink() == 0)
    }

    /// A machine that lost power may have left a line without its end.
    fn end_half_line(&mut self) -> io::Result<()> {
        let mut last = [b'\n'];
        if self.size > 0 {
            self.file.read_exact_at(&mut last, self.size - 1)?;
        }
        if last == [b'\n'] { Ok(()) } else { self.append(b"\n") }
    }

    /// Appends all of it, or takes back what went in: a full disk leaves no half line.
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        match self.file.write_all(lines) {
            Ok(()) => self.size += lines.len() as u64,
            Err(error) => {
                self.file.set_len(self.size)?;
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Opens a file to append and holds it; `None` when another holds it or has just put it away.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    let file = options.read(true).create(true).append(true).mode(0o640).open(path)?;
    match file.try_lock() {
        Ok(()) if path.with_extension("jsonl.zst").exists() => {
            // put away since the folder was read: what was just made is a new, empty file
            if file.metadata()?.len() == 0 {
                std::fs::remove_file(path)?;
            }
            Ok(None)
        }
        Ok(()) => Ok((file.metadata()?.nlink() > 0).then_some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The day in Tokyo, which has no daylight saving.
fn tokyo_day(at: Timestamp) -> Date {
    TimeZone::fixed(offset(9)).to_datetime(at).date()
}
