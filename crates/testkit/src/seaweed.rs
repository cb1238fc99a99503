//! A server that speaks S3 and checks signatures, on ports of its own, killed with the test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const ACCESS_KEY: &str = "yakin-test";
pub const SECRET_KEY: &str = "correct-horse-battery";
pub const BUCKET: &str = "files";

pub struct Seaweed {
    child: Child,
    dir: PathBuf,
    pub s3: SocketAddr,
}

impl Seaweed {
    /// Starts it with one bucket; returns once that can be asked for.
    pub async fn start(name: &str) -> Seaweed {
        let dir = std::env::temp_dir().join(format!("yakin-weed-{}-{name}", std::process::id()));
        std::fs::create_dir_all(dir.join("data")).unwrap();
        let identities = serde_json::json!({"identities": [{
            "name": "test",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Read", "Write", "List", "Tagging"],
        }]});
        std::fs::write(dir.join("identities.json"), identities.to_string()).unwrap();
        let ports = free_ports::<8>();
        let mut command = Command::new(program());
        command
            .args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-iam=false"])
            .args(["-dir=data", "-s3.config=identities.json", "-volume.max=20"])
            .args(["-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
        let names = ["master.port", "volume.port", "filer.port", "s3.port"];
        for (name, pair) in names.iter().zip(ports.chunks(2)) {
            command.arg(format!("-{name}={}", pair[0])).arg(format!("-{name}.grpc={}", pair[1]));
        }
        let log = std::fs::File::create(dir.join("log")).unwrap();
        command.current_dir(&dir).env("HOME", &dir).stdin(Stdio::null());
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let (filer, s3) = (local(ports[4]), local(ports[6]));
        let mut server = Seaweed { child, dir, s3 };
        server.until("its bucket", || asked(filer, "POST", "/buckets/files/").starts_with("201"));
        // an unsigned request is refused only by a gateway that knows its identities
        server.until("its gateway", || asked(s3, "GET", "/files").starts_with("403"));
        server
    }

    /// As a machine that goes away.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn until(&mut self, what: &str, mut done: impl FnMut() -> bool) {
        let limit = Instant::now() + Duration::from_secs(90);
        while !done() {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < limit,
                "{what} did not come ({ended:?}): {}",
                std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
            );
            let pause = std::sync::mpsc::channel::<()>();
            let _ = pause.1.recv_timeout(Duration::from_millis(100));
        }
    }
}

impl Drop for Seaweed {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn program() -> PathBuf {
    let named = std::env::var_os("YAKIN_WEED").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|dir| dir.join("weed"));
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cached = ["/var/cache/yakin/bin/weed".into(), home.join(".cache/yakin/bin/weed")];
    let mut found = named.into_iter().chain(installed).chain(cached).filter(|p| p.is_file());
    found.next().expect("`weed` (SeaweedFS): scripts/test fetches it, or set YAKIN_WEED to it")
}

/// Ports that are free together.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let taken = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    taken.map(|listener| listener.local_addr().unwrap().port())
}

/// Status and what follows; empty when nobody answers.
fn asked(address: SocketAddr, method: &str, path: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(address) else { return String::new() };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let mut answer = Vec::new();
    if stream.write_all(request.as_bytes()).is_err() || stream.read_to_end(&mut answer).is_err() {
        return String::new();
    }
    String::from_utf8_lossy(&answer).strip_prefix("HTTP/1.1 ").unwrap_or("").to_owned()
}
