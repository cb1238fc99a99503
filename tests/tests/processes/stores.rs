//! The storage and the keys as an operator sets them up: commands, the doctor's words, and what stops a node.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::common::{Node, Site, Told, tell};
use rustix::process::Signal;
use serde_json::Value;
use yakin_testkit::BEGIN;

const SERVE: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--virtual", BEGIN];

impl Site {
    /// With a storage in the folder `files` of this place.
    fn store(&self) -> String {
        format!("[storage]\nurl = \"file://{}/files\"\n", self.dir.display())
    }

    /// A command that must need no database.
    fn without_database(&self, arguments: &[&str]) -> Told {
        let mut command = self.command(arguments);
        command.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing");
        tell(command)
    }

    /// What the doctor says of one thing.
    fn doctor(&self, name: &str) -> (String, String) {
        let told = tell(self.command(&["doctor", "--json"]));
        let checks: Vec<Value> = serde_json::from_str(&told.out).expect("JSON");
        let check = checks.iter().find(|c| c["name"] == name).expect(name);
        let text = |key: &str| check[key].as_str().expect(key).to_owned();
        (text("standing"), text("found"))
    }

    fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.dir.join(name), Permissions::from_mode(mode)).expect("mode");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_and_rotated_without_a_database() {
    let site = Site::new().await;
    // on a new machine there is no configuration either
    fs::remove_file(site.dir.join("yakin.toml")).expect("no configuration");
    let told = site.without_database(&["keys", "init"]);
    assert_eq!(told.code, 2, "{}", told.out);
    assert!(told.err.contains("--file FILE") && told.err.contains("master_key_file"));
    let told = site.without_database(&["keys", "init", "--file", "secrets/master.keys"]);
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    for words in ["secrets/master.keys (mode 0600)", "Back it up", "[keys]"] {
        assert!(told.out.contains(words), "{}", told.out);
    }
    let text = fs::read_to_string(site.dir.join("secrets/master.keys")).expect("key file");
    let (id, key) = text.trim().split_once(' ').expect("a line");
    assert!(told.out.contains(id) && !told.out.contains(key), "{}", told.out);
    // from here on by configuration
    site.configure("[keys]\nmaster_key_file = \"secrets/master.keys\"\n");
    let told = site.without_database(&["keys", "init"]);
    assert_eq!(told.code, 2);
    assert!(told.err.contains("is there already"), "{}", told.err);
    let told = site.without_database(&["keys", "rotate", "--json"]);
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    let made: Value = serde_json::from_str(&told.out).expect("JSON");
    let text = fs::read_to_string(site.dir.join("secrets/master.keys")).expect("key file");
    let ids: Vec<&str> = text.lines().filter_map(|l| l.split(' ').next()).collect();
    assert_eq!(ids, [made["key"].as_str().expect("key"), id]);
    let (standing, found) = site.doctor("keys");
    assert_eq!((standing.as_str(), found.contains("2 in the file")), ("good", true), "{found}");
    // a file that others can read stops the node and is told by the doctor
    site.set_mode("secrets/master.keys", 0o644);
    let (standing, found) = site.doctor("keys");
    assert_eq!((standing.as_str(), found.contains("mode 0644")), ("bad", true), "{found}");
    let told = tell(site.command(&SERVE));
    assert_eq!(told.code, 2, "{}", told.err);
    assert!(told.err.contains("keys.master_key_file: ") && told.err.contains("chmod 600"));
    assert!(!told.err.contains(key));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_tries_the_storage() {
    let site = Site::new().await;
    for name in ["storage", "keys"] {
        let (standing, found) = site.doctor(name);
        assert!(standing == "warning" && found.contains("not configured"), "{name}: {found}");
    }
    site.configure(&site.store());
    let (standing, found) = site.doctor("storage");
    assert!(standing == "good" && found.contains("/files takes and gives"), "{found}");
    assert_eq!(fs::read_dir(site.dir.join("files")).expect("files").count(), 1, "but a folder");
    site.set_mode("files", 0o755);
    let (standing, found) = site.doctor("storage");
    assert!(standing == "warning" && found.contains("other users"), "{found}");
    site.configure("[storage]\nurl = \"s3://b\"\nregion = \"r\"\nsecret_access_key = \"hush\"\n");
    let (standing, found) = site.doctor("storage");
    assert!(standing == "bad" && found.contains("access_key_id is missing"), "{found}");
    assert!(!found.contains("hush"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_another_host_does_not_share_stops_the_start() {
    let site = Site::new().await;
    site.configure(&site.store());
    site.sql(
        "INSERT INTO yakin.nodes (name, roles, version) VALUES ('elsewhere 7', '{plan}', '0')",
    )
    .await;
    let told = tell(site.command(&SERVE));
    assert_eq!(told.code, 2, "{}", told.err);
    for words in ["node 'elsewhere 7'", "mount the same folder", "s3://", ".yakin-store"] {
        assert!(told.err.contains(words), "{}", told.err);
    }
    // the operator says that it is the shared one, as the message tells
    let (_, line) = told.err.trim().split_once("echo ").expect("a line to copy");
    let (id, path) = line.split_once(" > ").expect("id and path");
    fs::write(path, format!("{id}\n")).expect("marker");
    let mut node = site.serve().await;
    assert!(node.terminate(60).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_node_marks_a_folder_and_the_next_one_knows_it() {
    let site = Site::new().await;
    site.configure(&site.store());
    let mut node: Node = site.serve().await;
    let marker = fs::read_to_string(site.dir.join("files/.yakin-store")).expect("marker");
    assert_eq!(marker.trim().len(), 32, "{marker}");
    let mut second = site.serve().await;
    node.signal(Signal::TERM);
    assert!(node.end(60).await.success() && second.terminate(60).await.success());
    let after = fs::read_to_string(site.dir.join("files/.yakin-store")).expect("marker");
    assert_eq!(after, marker);
}
