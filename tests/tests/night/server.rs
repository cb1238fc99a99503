//! A PostgreSQL of the test's own, which it may restart and starve: reached by socket only, stopped with the test.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A running server.
pub struct Server {
    dir: PathBuf,
}

impl Server {
    /// Makes and starts one; these lines stand in its configuration.
    pub fn start(name: &str, settings: &str) -> Server {
        let dir = std::env::temp_dir().join(format!("yakin-pg-{}-{name}", std::process::id()));
        let data = dir.join("data");
        std::fs::create_dir_all(&data).expect("folder");
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("mode");
        };
        mode(&dir, 0o711);
        mode(&data, 0o700);
        if let Some((user, group)) = server_user() {
            chown(&data, Some(user), Some(group)).expect("the folder is the server's");
        }
        let server = Server { dir };
        server.tell("initdb", &["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]);
        // what is committed must outlive the server's death, not the machine's
        let conf = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nport = 5432\nfsync = off\n\
             log_min_error_statement = panic\n{settings}\n",
            data.display()
        );
        std::fs::write(data.join("yakin.conf"), conf).expect("settings");
        mode(&data.join("yakin.conf"), 0o644);
        let main = data.join("postgresql.conf");
        let text = std::fs::read_to_string(&main).expect("postgresql.conf");
        std::fs::write(&main, format!("{text}\ninclude = 'yakin.conf'\n")).expect("include");
        server.control(&["start"]);
        server
    }

    /// `pg_ctl restart -m MODE`, without waiting for anybody.
    pub fn restart(&self, mode: &str) {
        self.control(&["restart", "-m", mode]);
    }

    /// The superuser's URL.
    pub fn url(&self) -> String {
        let dir = self.data().display().to_string().replace('/', "%2F");
        format!("postgres://postgres@localhost:5432/postgres?host={dir}&sslmode=disable")
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.data().join(".s.PGSQL.5432")
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn control(&self, arguments: &[&str]) {
        let log = self.data().join("log");
        let log = log.to_str().expect("a path in UTF-8");
        self.tell("pg_ctl", &[arguments, &["-s", "-w", "-t", "60", "-l", log]].concat());
    }

    /// Runs a program of the server's on its data, as its user.
    fn tell(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(programs().join(program));
        command
            .args(arguments)
            .arg("-D")
            .arg(self.data())
            .current_dir("/")
            .env("LC_ALL", "C.UTF-8");
        if let Some((user, group)) = server_user() {
            command.uid(user).gid(group);
        }
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = quiet.status().unwrap_or_else(|e| panic!("{program}: {e}"));
        let log = std::fs::read_to_string(self.data().join("log")).unwrap_or_default();
        assert!(status.success(), "{program} {arguments:?}: {status}\n{log}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // what failed is told; a second panic would hide it
            let log = std::fs::read_to_string(self.data().join("log")).unwrap_or_default();
            eprintln!("the server said:\n{log}");
        }
        let stopped = std::panic::catch_unwind(|| self.control(&["stop", "-m", "immediate"]));
        if stopped.is_ok() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// The folder of the server's programs.
fn programs() -> PathBuf {
    let named = std::env::var_os("YAKIN_PG_BIN").map(PathBuf::from);
    let debian = (15..=18).rev().map(|m| format!("/usr/lib/postgresql/{m}/bin").into());
    let mut found = named.into_iter().chain(debian).filter(|dir: &PathBuf| dir.is_dir());
    found.next().expect("PostgreSQL's programs: scripts/test finds them, or set YAKIN_PG_BIN")
}

/// Who runs a server for root, as the scripts choose it; `None` when we are not root.
fn server_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("users");
    let number = |name: &str| {
        let line = users.lines().find(|l| l.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let user = ["postgres", "yakin", "nobody"].into_iter().find_map(number);
    Some(user.expect("a user who may run PostgreSQL"))
}
