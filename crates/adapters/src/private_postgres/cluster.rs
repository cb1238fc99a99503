//! Makes the cluster, whole or not at all.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::binaries::{self, Binaries};
use super::error::{PrivatePostgresError, Result};
use super::home::Home;

/// A new cluster takes about 40 MB, its first WAL files as much again, and a demo must fit too.
const ROOM_NEEDED: u64 = 128 << 20;

/// The programs that fit the cluster, or that would make it.
pub(super) fn binaries(home: &Home) -> Result<Binaries> {
    let cluster = home.cluster();
    binaries::find(major(&cluster)?.map(|major| (major, cluster.as_path())))
}

/// Makes the cluster when there is none. The caller holds the supervisor's lock.
pub(super) fn ensure(home: &Home) -> Result<()> {
    let programs = binaries(home)?;
    home.server.must_enter(&programs.dir)?;
    if major(&home.cluster())?.is_some() {
        return Ok(());
    }
    check_room(&home.dir)?;
    // Made beside its place and moved there whole: an initdb that was killed leaves nothing that
    // looks like a cluster.
    let unfinished = home.dir.join("postgres.new");
    match fs::remove_dir_all(&unfinished) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", &unfinished, e)),
        _ => Ok(()),
    }?;
    let made = DirBuilder::new().mode(0o700).create(&unfinished);
    made.map_err(|e| failed("create", &unfinished, e))?;
    home.server.give(&unfinished)?;
    run_initdb(home, &programs, &unfinished)?;
    let place = home.cluster();
    fs::rename(&unfinished, &place).map_err(|e| failed("put the new cluster in", &place, e))?;
    let synced = File::open(&home.dir).and_then(|dir| dir.sync_all());
    synced.map_err(|e| failed("sync", &home.dir, e))
}

/// Authentication is `trust`: the socket lies in a 0700 folder, so only the server's own user and
/// root come near it, and both could read the data files anyway. A password would be one more
/// secret that protects nothing.
fn run_initdb(home: &Home, programs: &Binaries, dir: &Path) -> Result<()> {
    let mut initdb = home.server.command(&programs.dir.join("initdb"));
    initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]);
    initdb.args(["--data-checksums", "--pgdata"]).arg(dir);
    let output = initdb.output().map_err(|e| failed("run", &programs.dir.join("initdb"), e))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    if said.contains("No space left on device") {
        return Err(no_room(&home.dir, format!("initdb said:\n{said}")));
    }
    Err(PrivatePostgresError::Init { path: dir.into(), output: said })
}

/// The major in the cluster's PG_VERSION; none when there is no cluster.
fn major(cluster: &Path) -> Result<Option<u32>> {
    let file = cluster.join("PG_VERSION");
    match fs::read_to_string(&file) {
        Ok(text) => {
            let number =
                text.trim().parse().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e));
            number.map(Some).map_err(|e| failed("read the version in", &file, e))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed("read", &file, e)),
    }
}

fn check_room(dir: &Path) -> Result<()> {
    let found = nix::sys::statvfs::statvfs(dir)
        .map_err(|e| failed("look at the disk of", dir, e.into()))?;
    let free = found.blocks_available() * found.fragment_size();
    if free < ROOM_NEEDED {
        let (free, needed) = (free >> 20, ROOM_NEEDED >> 20);
        return Err(no_room(dir, format!("{free} MiB are free, {needed} needed")));
    }
    Ok(())
}

fn no_room(dir: &Path, detail: String) -> PrivatePostgresError {
    PrivatePostgresError::NoRoom { path: dir.into(), detail }
}

fn failed(act: &'static str, path: &Path, source: io::Error) -> PrivatePostgresError {
    PrivatePostgresError::io(act, path.display(), source)
}
