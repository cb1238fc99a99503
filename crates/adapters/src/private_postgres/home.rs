//! The data folder: who owns it, what lies in it, its two locks, its log, and the folder of the
//! socket.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::error::{PrivatePostgresError, Result};
use super::identity::{ServerUser, is_root, name_of};

/// The number in the socket's name; nothing listens on a network port.
pub(super) const PORT: u16 = 5432;
/// The kernel's limit for the path of a socket is 108 bytes with the closing zero.
const SOCKET_PATH_LIMIT: usize = 107;
const LOG_TAIL: u64 = 2000;

/// The folder of `YAKIN_DATA`, else `~/.local/share/yakin`, for root `/var/lib/yakin`.
pub fn default_data_dir() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("YAKIN_DATA").filter(|dir| !dir.is_empty()) {
        return Ok(dir.into());
    }
    if is_root() {
        return Ok("/var/lib/yakin".into());
    }
    let home = std::env::var_os("HOME").filter(|dir| !dir.is_empty());
    home.map(|dir| Path::new(&dir).join(".local/share/yakin")).ok_or(PrivatePostgresError::NoHome)
}

/// A data folder that has been looked at and found safe.
#[derive(Debug, Clone)]
pub(super) struct Home {
    pub dir: PathBuf,
    pub socket_dir: PathBuf,
    pub server: ServerUser,
}

impl Home {
    /// Makes the folder if need be; refuses one that is not ours alone to write.
    pub fn open(dir: &Path) -> Result<Self> {
        // For root the server's user must be able to pass through, but not to list.
        let mode = if is_root() { 0o711 } else { 0o700 };
        let made = DirBuilder::new().recursive(true).mode(mode).create(dir);
        made.map_err(|e| PrivatePostgresError::io("create", dir.display(), e))?;
        let dir =
            dir.canonicalize().map_err(|e| PrivatePostgresError::io("open", dir.display(), e))?;
        let found = metadata(&dir)?;
        check_owner(&dir, found.uid(), geteuid().as_raw())?;
        if found.mode() & 0o022 != 0 {
            return Err(PrivatePostgresError::OthersCanWrite { path: dir });
        }
        if is_root() && found.mode() & 0o001 == 0 {
            set_mode(&dir, found.mode() | 0o011)?;
        }
        let server = ServerUser::of(&dir.join("postgres"))?;
        server.must_enter(&dir)?;
        let socket_dir = socket_dir(&dir, &server)?;
        Ok(Self { dir, socket_dir, server })
    }

    /// The cluster's data directory.
    pub fn cluster(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    pub fn log(&self) -> PathBuf {
        self.dir.join("postgres.log")
    }

    pub fn clients_lock(&self) -> Result<File> {
        open_lock(&self.dir.join("clients.lock"))
    }

    pub fn supervisor_lock_path(&self) -> PathBuf {
        self.dir.join("supervisor.lock")
    }

    /// The supervisor's lock, when no supervisor holds it.
    pub fn supervisor_lock(&self) -> Result<Option<File>> {
        let file = open_lock(&self.supervisor_lock_path())?;
        Ok(file.try_lock().is_ok().then_some(file))
    }

    /// Whether the server on the cluster is the living supervisor's, not one that outlived its own.
    pub fn is_supervised(&self) -> bool {
        let number = |path: PathBuf| {
            let text = fs::read_to_string(path).ok()?;
            text.lines().next()?.trim().parse::<u32>().ok()
        };
        let server = number(self.cluster().join("postmaster.pid"));
        server.is_some() && server == number(self.supervisor_lock_path())
    }

    pub fn log_length(&self) -> u64 {
        fs::metadata(self.log()).map_or(0, |found| found.len())
    }

    /// What was logged from byte `start` on, its last 2000 bytes at most.
    pub fn log_tail(&self, start: u64) -> String {
        let read = || {
            let mut file = File::open(self.log())?;
            let end = file.metadata()?.len();
            // A log that is shorter than it was has been cut in between.
            let start = if start > end { 0 } else { start };
            file.seek(SeekFrom::Start(start.max(end.saturating_sub(LOG_TAIL))))?;
            let mut bytes = Vec::new();
            file.take(LOG_TAIL).read_to_end(&mut bytes)?;
            std::io::Result::Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
        };
        match read() {
            Ok(tail) if !tail.is_empty() => tail,
            Ok(_) => "(nothing was logged)".into(),
            Err(error) => format!("(not readable: {error})"),
        }
    }

    /// Why a start failed, from what was logged since byte `start`.
    pub fn start_failure(&self, start: u64) -> PrivatePostgresError {
        let (log, tail) = (self.log(), self.log_tail(start));
        if tail.contains("No space left on device") {
            let detail = format!("the end of {}:\n{tail}", log.display());
            return PrivatePostgresError::NoRoom { path: self.dir.clone(), detail };
        }
        PrivatePostgresError::Start { log, tail }
    }
}

/// `run` inside the data folder, else a short folder outside when the socket's path would be too
/// long.
fn socket_dir(dir: &Path, server: &ServerUser) -> Result<PathBuf> {
    let inside = dir.join("run");
    if socket_length(&inside) <= SOCKET_PATH_LIMIT {
        make_private(&inside)?;
        // Given again each time: before the cluster was made, another user may have been the first
        // choice.
        server.give(&inside)?;
        check_private(&inside, server)?;
        return Ok(inside);
    }
    // No folder named by the caller's environment: every client of the data folder must come to the
    // same one.
    let name = format!("yakin-{:016x}", short_hash(dir));
    let mut tried = Vec::new();
    for parent in if is_root() { ["/run", "/tmp"].as_slice() } else { &["/tmp"] } {
        let outside = Path::new(parent).join(&name);
        match outside_dir(&outside, server) {
            Ok(()) => return Ok(outside),
            Err(error) => tried.push(error.to_string()),
        }
    }
    Err(PrivatePostgresError::NoSocketFolder { tried: tried.join("; ") })
}

/// In /tmp anybody could have put a folder of this name: one that we have not just made is taken
/// only if it is already what it should be.
fn outside_dir(dir: &Path, server: &ServerUser) -> Result<()> {
    if make_private(dir)? {
        server.give(dir)?;
    }
    check_private(dir, server)
}

fn socket_length(dir: &Path) -> usize {
    dir.join(format!(".s.PGSQL.{PORT}")).as_os_str().len()
}

/// Makes a folder with mode 0700; false when something of that name is there.
fn make_private(dir: &Path) -> Result<bool> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(PrivatePostgresError::io("create", dir.display(), e)),
    }
}

/// Refuses anything but a folder that only the server's user (and root) can enter.
fn check_private(dir: &Path, server: &ServerUser) -> Result<()> {
    let found = metadata(dir)?;
    check_owner(dir, found.uid(), server.uid)?;
    if !found.is_dir() || found.mode() & 0o077 != 0 {
        let wrong = std::io::Error::other("is not a folder with mode 0700");
        return Err(PrivatePostgresError::io("use", dir.display(), wrong));
    }
    Ok(())
}

fn check_owner(path: &Path, owner: u32, wanted: u32) -> Result<()> {
    if owner == wanted {
        return Ok(());
    }
    let (owner, me) = (name_of(owner), name_of(wanted));
    Err(PrivatePostgresError::WrongOwner { path: path.into(), owner, me })
}

fn open_lock(path: &Path) -> Result<File> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    opened.map_err(|e| PrivatePostgresError::io("open", path.display(), e))
}

fn metadata(path: &Path) -> Result<fs::Metadata> {
    fs::symlink_metadata(path).map_err(|e| PrivatePostgresError::io("look at", path.display(), e))
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(|e| PrivatePostgresError::io("change the mode of", path.display(), e))
}

/// FNV-1a: a name that is the same in every build, which the standard library's hasher does not
/// promise.
fn short_hash(path: &Path) -> u64 {
    path.as_os_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, |hash, &b| {
        (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A path as the value of a URL's parameter.
pub(super) fn percent_encode(path: &Path) -> String {
    path.as_os_str()
        .as_bytes()
        .iter()
        .map(|&b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(b).to_string()
            }
            _ => format!("%{b:02X}"),
        })
        .collect()
}
