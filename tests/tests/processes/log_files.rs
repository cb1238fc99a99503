//! A node that logs into files, as an operator configures it.

use std::process::Stdio;

use crate::common::{Site, tell, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use yakin_testkit::BEGIN;

const SERVE: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--virtual", BEGIN];

impl Site {
    /// All lines of the files in `logs`, as JSON.
    fn file_lines(&self) -> Vec<Value> {
        let Ok(entries) = std::fs::read_dir(self.dir.join("logs")) else { return Vec::new() };
        let mut lines = Vec::new();
        for entry in entries {
            let text = std::fs::read_to_string(entry.expect("entry").path()).expect("a log file");
            // the last line may be on its way
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            lines.extend(whole.lines().map(|l| serde_json::from_str(l).expect(l)));
        }
        lines
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_writes_its_lines_into_the_configured_folder() {
    let site = Site::new().await;
    site.configure("[log]\ndir = \"logs\"\n");
    let mut command = site.command(&SERVE);
    let node = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("serve");
    let said = |words: &str| site.file_lines().iter().any(|l| l["message"] == words);
    until("the node serves", 30, async || said("serving")).await;
    kill_process(Pid::from_child(&node), Signal::TERM).expect("signal");
    let told = crate::common::Told::from(node.wait_with_output().expect("its end"));
    assert_eq!((told.code, told.out.as_str()), (0, ""), "{}", told.err);
    assert!(told.err.contains("log lines go to logs/yakin-"), "{}", told.err);
    assert!(said("drained"));
    assert!(site.file_lines().iter().all(|l| l["timestamp"].is_string() && l["level"].is_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_or_number_that_cannot_be_stops_the_start_and_is_named() {
    let site = Site::new().await;
    std::fs::write(site.dir.join("file"), "").expect("file");
    for (toml, says) in [
        ("dir = \"file/logs\"", "log.dir: cannot write file/logs"),
        ("max_bytes = 1", "log.max_bytes is 1, expected 65536"),
        ("keep_weeks = 1", "keep_weeks"),
    ] {
        site.configure(&format!("[log]\n{toml}\n"));
        let told = tell(site.command(&SERVE));
        assert_eq!(told.code, 2, "{toml}: {}", told.err);
        assert!(told.err.contains(says), "{toml}: {}", told.err);
        assert_eq!(told.err.lines().count(), 1, "{}", told.err);
    }
}
