//! A Prometheus and an Alertmanager of the test's own, on free ports, with the files of deploy/prometheus: their times
//! shortened, their addresses the test's.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use yakin_testkit::stand_in::smtp::{SmtpStandIn, Tls};
use yakin_testkit::stand_in::{Alert, AlertsStandIn};

use crate::common::until;
use crate::files::{self, shipped};

/// What stands in for minutes: an alert is told within seconds.
const SHORTER_RULES: &[(&str, &str)] =
    &[("for: 1m", "for: 2s"), ("keep_firing_for: 2m", "keep_firing_for: 2s")];
const SHORTER_SCRAPES: &[(&str, &str)] =
    &[("interval: 15s", "interval: 1s"), ("scrape_timeout: 10s", "scrape_timeout: 1s")];
const SHORTER_ROUTES: &[(&str, &str)] = &[
    ("group_wait: 30s", "group_wait: 0s"),
    ("group_interval: 5m", "group_interval: 1s"),
    ("group_interval: 1m", "group_interval: 1s"),
    ("repeat_interval: 50s", "repeat_interval: 900ms"),
];

/// Both, told of these nodes.
pub struct Monitoring {
    prometheus: Server,
    alertmanager: Server,
    /// What its webhooks told, by receiver.
    pub told: AlertsStandIn,
    /// What it mailed.
    pub mailed: SmtpStandIn,
}

impl Monitoring {
    /// Starts them in a folder of their own below `dir`, and returns once every node was scraped.
    pub async fn start(dir: &Path, nodes: &[&str]) -> Monitoring {
        let dir = dir.join("monitoring");
        std::fs::create_dir_all(&dir).expect("folder");
        let told = AlertsStandIn::start().await;
        let mailed = SmtpStandIn::start(Tls::None).await;
        let alertmanager = start_alertmanager(&dir, &told, &mailed).await;
        let prometheus = start_prometheus(&dir, nodes, &alertmanager.address).await;
        let monitoring = Monitoring { prometheus, alertmanager, told, mailed };
        let all = nodes.len().to_string();
        until("all nodes are scraped", 20, async || {
            let answer = monitoring.ask("/api/v1/query?query=sum(up)").await;
            answer["data"]["result"][0]["value"][1] == all
        })
        .await;
        monitoring
    }

    /// Asks Prometheus' API.
    pub async fn ask(&self, path: &str) -> Value {
        get(&self.prometheus.address, path).await
    }

    /// Alertmanager's alerts of this name.
    pub async fn active(&self, name: &str) -> Vec<Value> {
        let path = format!("/api/v2/alerts?filter=alertname%3D{name}");
        get(&self.alertmanager.address, &path).await.as_array().cloned().unwrap_or_default()
    }

    /// Waits until a receiver was told of an alert of this name and status with this label.
    pub async fn tells(
        &self,
        receiver: &str,
        (status, name): (&str, &str),
        (label, value): (&str, &str),
    ) -> Alert {
        let mut found = None;
        until(&format!("{receiver} is told: {name} {status} {label}={value}"), 40, async || {
            found = self.told_to(receiver).into_iter().find(|alert| {
                alert.status == status
                    && alert.label("alertname") == name
                    && alert.label(label) == value
            });
            found.is_some()
        })
        .await;
        found.expect("an alert")
    }

    /// Every alert that a receiver was told of, in order.
    pub fn told_to(&self, receiver: &str) -> Vec<Alert> {
        let posts = self.told.posts().into_iter().filter(|post| post.receiver == receiver);
        posts.flat_map(|post| post.alerts).collect()
    }
}

async fn start_alertmanager(dir: &Path, told: &AlertsStandIn, mailed: &SmtpStandIn) -> Server {
    let mut config = changed(&shipped("alertmanager.yml"), SHORTER_ROUTES);
    config = changed(
        &config,
        &[
            ("127.0.0.1:25\n", &format!("127.0.0.1:{}\n", mailed.port())),
            ("http://127.0.0.1:9095/heartbeat", &told.url("heartbeat")),
        ],
    );
    for receiver in ["critical", "warning"] {
        // beside the mail, so that the test reads what was told without taking letters apart
        let name = format!("  - name: {receiver}\n");
        let url = told.url(receiver);
        let hook = format!("{name}    webhook_configs:\n      - url: {url}\n");
        config = changed(&config, &[(&name, &hook)]);
    }
    let file = written(dir, "alertmanager.yml", &config);
    let mut command = Command::new(files::program(&["prometheus-alertmanager", "alertmanager"]));
    command
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.path={}", dir.join("alertmanager").display()))
        .args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address="]);
    Server::start(command, dir).await
}

async fn start_prometheus(dir: &Path, nodes: &[&str], alertmanager: &str) -> Server {
    let rules = changed(&shipped("yakin.rules.yml"), SHORTER_RULES);
    written(dir, "yakin.rules.yml", &rules);
    let mut config = changed(&shipped("prometheus.yml"), SHORTER_SCRAPES);
    config = changed(
        &config,
        &[
            ("127.0.0.1:9093", alertmanager),
            ("targets: [\"127.0.0.1:8640\"]", &format!("targets: {nodes:?}")),
        ],
    );
    let file = written(dir, "prometheus.yml", &config);
    let mut command = Command::new(files::program(&["prometheus"]));
    command
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", dir.join("prometheus").display()))
        // what fires before it has found Alertmanager is told of no sooner than this
        .args(["--web.listen-address=127.0.0.1:0", "--rules.alert.resend-delay=2s"]);
    Server::start(command, dir).await
}

/// The text with these words replaced, each of which must be there.
fn changed(text: &str, words: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (word, instead) in words {
        assert!(text.contains(word), "{word:?} is not in\n{text}");
        text = text.replace(word, instead);
    }
    text
}

fn written(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("configuration");
    path
}

/// A process that is killed with the test.
struct Server {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    address: String,
}

impl Server {
    /// Starts it and waits until it says where it listens.
    async fn start(mut command: Command, dir: &Path) -> Server {
        command.current_dir(dir).env("HOME", dir).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().expect("starting a server");
        let said = Arc::<Mutex<Vec<String>>>::default();
        let (kept, stderr) = (said.clone(), child.stderr.take().expect("stderr"));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        let mut server = Server { child, said, address: String::new() };
        until(&format!("{command:?} listens"), 30, async || {
            let ended = server.child.try_wait().expect("child");
            assert!(ended.is_none(), "{command:?} ended");
            server.address = listens_on(&server.said.lock().unwrap()).unwrap_or_default();
            !server.address.is_empty()
        })
        .await;
        server
    }
}

/// The address in `msg="Listening on" address=127.0.0.1:40000`.
fn listens_on(said: &[String]) -> Option<String> {
    let line = said.iter().find(|line| line.contains("msg=\"Listening on\""))?;
    let (_, address) = line.split_once("address=")?;
    address.split_whitespace().next().map(str::to_owned)
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.said.lock().unwrap().join("\n"));
        }
    }
}

/// What an API answers, once it does.
async fn get(address: &str, path: &str) -> Value {
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connect");
    // HTTP/1.0: in one piece
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answer");
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body).unwrap_or(Value::Null)
}
