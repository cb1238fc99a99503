//! Which user runs the server: ourselves, or for root somebody with fewer rights, as PostgreSQL
//! demands.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User, getegid, geteuid};

use super::error::{PrivatePostgresError, Result};

/// The user whose the cluster, the socket folder and the server process are.
#[derive(Debug, Clone)]
pub(super) struct ServerUser {
    pub uid: u32,
    pub gid: u32,
    pub name: String,
    /// True when we are root and this is somebody else.
    pub borrowed: bool,
}

impl ServerUser {
    /// Ourselves; for root the owner of the cluster that is already there, else `postgres`, `yakin`
    /// or `nobody`.
    pub fn of(cluster: &Path) -> Result<Self> {
        if !geteuid().is_root() {
            let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
            return Ok(Self { uid, gid, name: name_of(uid), borrowed: false });
        }
        let user = match fs::symlink_metadata(cluster) {
            Ok(found) => User::from_uid(Uid::from_raw(found.uid())).ok().flatten(),
            Err(_) => ["postgres", "yakin", "nobody"]
                .iter()
                .find_map(|name| User::from_name(name).ok().flatten()),
        };
        match user {
            Some(user) if !user.uid.is_root() => {
                let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
                Ok(Self { uid, gid, name: user.name, borrowed: true })
            }
            Some(_) => Err(PrivatePostgresError::WrongOwner {
                path: cluster.into(),
                owner: "root".into(),
                me: "root, and PostgreSQL refuses a cluster of root's".into(),
            }),
            None => Err(PrivatePostgresError::NoServerUser),
        }
    }

    /// A command run as this user, in `/`, without the caller's PG* settings and with messages in
    /// English.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        if self.borrowed {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Gives a folder that we have just made to this user.
    pub fn give(&self, path: &Path) -> Result<()> {
        if !self.borrowed {
            return Ok(());
        }
        chown(path, Some(self.uid), Some(self.gid)).map_err(|e| {
            PrivatePostgresError::io("give", format!("{} to {}", path.display(), self.name), e)
        })
    }

    /// Asks the kernel, as that user, whether the folder and its parents can be entered; names the
    /// first that cannot.
    pub fn must_enter(&self, dir: &Path) -> Result<()> {
        if !self.borrowed || self.can_enter(dir) {
            return Ok(());
        }
        let mut parents: Vec<&Path> = dir.ancestors().collect();
        parents.reverse();
        let blocked = parents.into_iter().find(|parent| !self.can_enter(parent)).unwrap_or(dir);
        Err(PrivatePostgresError::CannotEnter { path: blocked.into(), user: self.name.clone() })
    }

    fn can_enter(&self, dir: &Path) -> bool {
        let mut command = self.command(Path::new("/bin/sh"));
        command.args(["-c", "cd -- \"$1\"", "sh"]).arg(dir).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

/// The user's name, or its number when it has none.
pub(super) fn name_of(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => user.name,
        _ => format!("user {uid}"),
    }
}

/// Whether this process is root.
pub(super) fn is_root() -> bool {
    geteuid().is_root()
}
