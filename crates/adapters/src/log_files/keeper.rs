//! The thread that compresses and deletes old log files, so that no line waits for it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use jiff::civil::Date;

use super::LogFileSettings;
use super::name::{FileName, Form};

const LEVEL: i32 = 3;

enum Ask {
    /// Look through the folder; the day is today.
    Tidy(Date),
    /// Say when everything asked before is done.
    Answer(SyncSender<()>),
}

/// Asks the thread; the thread ends with the last of these.
#[derive(Clone)]
pub struct Keeper(Option<Sender<Ask>>);

impl Keeper {
    /// Starts the thread. Where it cannot be started, files stay plain and the log says so.
    pub fn start(dir: PathBuf, settings: LogFileSettings) -> Keeper {
        let (ask, asked) = channel();
        let thread = std::thread::Builder::new().name("log-keeper".to_owned());
        match thread.spawn(move || keep(&dir, &settings, &asked)) {
            Ok(_) => Keeper(Some(ask)),
            Err(error) => {
                tracing::warn!(%error, "old log files are neither compressed nor deleted");
                Keeper(None)
            }
        }
    }

    /// Asks for a look through the folder; returns at once.
    pub fn tidy(&self, today: Date) {
        self.send(Ask::Tidy(today));
    }

    /// Waits until what was asked for is done.
    pub fn settle(&self) {
        let (done, wait) = sync_channel(1);
        self.send(Ask::Answer(done));
        // an error means that the thread is gone: then nothing is left to wait for
        let _ = wait.recv();
    }

    fn send(&self, ask: Ask) {
        if let Some(keeper) = &self.0 {
            // fails only when the thread is gone, which it said when it ended
            let _ = keeper.send(ask);
        }
    }
}

fn keep(dir: &Path, settings: &LogFileSettings, asked: &Receiver<Ask>) {
    while let Ok(ask) = asked.recv() {
        match ask {
            Ask::Tidy(today) => {
                if let Err(error) = tidy(dir, settings, today) {
                    tracing::warn!(dir = %dir.display(), %error, "reading the log folder failed");
                }
            }
            Ask::Answer(done) => {
                // whoever asked may have stopped waiting
                let _ = done.send(());
            }
        }
    }
}

/// Deletes first, so that compressing finds room. One file that resists does not save the others.
fn tidy(dir: &Path, settings: &LogFileSettings, today: Date) -> io::Result<()> {
    let mut old = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let text = entry.file_name();
        let Some((name, form)) = text.to_str().and_then(FileName::read) else { continue };
        let age = name.day.until(today).map_or(0, |span| span.get_days());
        let path = entry.path();
        if form == Form::Partial || age > i32::from(settings.keep_days) {
            said(&path, "deleting", delete(&path));
        } else if form == Form::Plain && age >= i32::from(settings.compress_after_days) {
            old.push((name.day, name.number, path));
        }
    }
    old.sort();
    for (_, _, path) in old {
        said(&path, "compressing", compress(&path));
    }
    Ok(())
}

fn said(path: &Path, doing: &str, done: io::Result<()>) {
    if let Err(error) = done {
        let path = path.display();
        tracing::warn!(%path, %error, "{doing} an old log file failed");
    }
}

/// Takes hold of a file that nobody writes or puts away; `None` while somebody does.
pub(super) fn hold(path: &Path) -> io::Result<Option<File>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let free = file.try_lock().is_ok() && file.metadata()?.nlink() > 0;
    Ok(free.then_some(file))
}

fn delete(path: &Path) -> io::Result<()> {
    match hold(path)? {
        Some(_held) => std::fs::remove_file(path),
        None => Ok(()),
    }
}

/// Writes `….zst` under a temporary name, brings it to the disk, then takes the plain file away.
fn compress(path: &Path) -> io::Result<()> {
    // An empty one may have been made this moment, by a process that has not taken hold of it yet.
    if path.metadata()?.len() == 0 {
        return Ok(());
    }
    let Some(plain) = hold(path)? else { return Ok(()) };
    let with = |ending: &str| {
        let mut text = path.as_os_str().to_owned();
        text.push(ending);
        PathBuf::from(text)
    };
    let (partial, whole) = (with(".zst.tmp"), with(".zst"));
    let new = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&partial)?;
    let written = pack(&plain, &new).and_then(|()| std::fs::rename(&partial, &whole));
    if let Err(error) = written {
        std::fs::remove_file(&partial)?;
        return Err(error);
    }
    if let Some(dir) = path.parent() {
        File::open(dir)?.sync_all()?;
    }
    std::fs::remove_file(path)
}

fn pack(plain: &File, new: &File) -> io::Result<()> {
    // held while written: another's keeper takes a free one for a leftover
    new.try_lock()?;
    let mut encoder = zstd::Encoder::new(new, LEVEL)?;
    encoder.include_checksum(true)?;
    io::copy(&mut &*plain, &mut encoder)?;
    encoder.finish()?.sync_all()
}
