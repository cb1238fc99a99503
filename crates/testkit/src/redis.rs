//! A Redis of the test's own: on a free port, with a password, its data in memory, ended with the test.

use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::seaweed::free_ports;

pub const PASSWORD: &str = "open-sesame-4711";

pub struct Redis {
    child: Child,
    pub port: u16,
}

impl Redis {
    /// Starts it; returns once it takes connections. `DEBUG` is open to tests that keep it from tidying by itself.
    pub fn start() -> Redis {
        let [port] = free_ports::<1>();
        let mut command = Command::new(program());
        // one program under several names; it goes by the one it is called by
        command.arg0("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", "no", "--requirepass", PASSWORD, "--databases", "4"]);
        command.args(["--enable-debug-command", "yes", "--loglevel", "warning"]);
        command.current_dir(std::env::temp_dir()).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut redis = Redis { child, port };
        let limit = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = redis.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < limit, "Redis did not come ({ended:?})");
            let pause = std::sync::mpsc::channel::<()>();
            let _ = pause.1.recv_timeout(Duration::from_millis(20));
        }
        redis
    }

    /// Tells it something by its own client, and gives the answer.
    pub fn tell(&self, words: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args([
            "-p",
            &self.port.to_string(),
            "-n",
            "1",
            "--no-auth-warning",
            "-a",
            PASSWORD,
        ]);
        let told = command.args(words).output().expect("redis-cli: scripts/test installs it");
        String::from_utf8_lossy(&told.stdout).trim().to_owned()
    }

    /// With the password, or another.
    pub fn url(&self, password: &str) -> String {
        format!("redis://:{password}@127.0.0.1:{}/1", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["redis-server", "redis-check-rdb"];
    let mut found = std::env::split_paths(&path).flat_map(|dir| names.map(|name| dir.join(name)));
    found.find(|p| p.is_file()).expect("Redis: scripts/test installs it (Debian's redis-tools)")
}
