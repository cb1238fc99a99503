//! `yakin evidence`: a month's package in a folder, whose manifest and whose chain's head hold.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::common::{Site, tell};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn sha256(path: &Path) -> String {
    hex::encode(Sha256::digest(fs::read(path).expect("file")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_is_written_with_a_manifest_that_holds_and_a_head_that_verifies() {
    let site = Site::with_sample(2).await;
    let run = |arguments: &[&str]| {
        let told = tell(site.command(arguments));
        assert_eq!((told.code, told.err.as_str()), (0, ""), "{arguments:?}: {}", told.out);
        told.out
    };
    run(&["run", "BATCH-204", "--date", "2026-10-20"]);
    let out = run(&["evidence", "--month", "2026-11", "--json"]);
    let told: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(told["over"], false);
    let folder = site.dir.join("yakin-evidence-2026-11");
    assert_eq!(fs::metadata(&folder).expect("folder").permissions().mode() & 0o777, 0o700);
    let manifest = fs::read_to_string(folder.join("MANIFEST.csv")).expect("manifest");
    let lines: Vec<&str> = manifest.trim_start_matches('\u{feff}').lines().collect();
    assert_eq!((lines.len(), lines[0]), (7, "file,rows,sha256"), "{manifest}");
    for (line, listed) in
        lines[1..6].iter().zip(told["package"]["files"].as_array().expect("files"))
    {
        let [file, rows, digest] = line.split(',').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let path = folder.join(file);
        assert_eq!(
            (digest, listed["sha256"].as_str()),
            (sha256(&path).as_str(), Some(digest)),
            "{file}"
        );
        assert_eq!(
            (rows, listed["file"].as_str()),
            (listed["rows"].to_string().as_str(), Some(file))
        );
        assert_eq!(fs::metadata(&path).expect("file").permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(told["package"]["manifest_sha256"], sha256(&folder.join("MANIFEST.csv")));
    let ledger = fs::read_to_string(folder.join("ledger.csv")).expect("ledger");
    assert_eq!(ledger.lines().filter(|l| l.contains(",BATCH-204,")).count(), 2, "{ledger}");

    // the head that was noted is part of the chain, also after later acts
    let head = told["package"]["audit_head"].as_str().expect("head");
    assert!(lines[6].ends_with(head), "{}", lines[6]);
    run(&["stop-all", "--reason", "test"]);
    run(&["audit", "verify", "--head", head]);

    // a package is never written over; another folder gets its own
    let again = tell(site.command(&["evidence", "--month", "2026-11"]));
    assert_eq!(again.code, 2, "{}", again.out);
    assert!(again.err.contains("MANIFEST.csv is there already"), "{}", again.err);
    fs::remove_file(folder.join("MANIFEST.csv")).expect("remove");
    let before = sha256(&folder.join("ledger.csv"));
    let again = tell(site.command(&["evidence", "--month", "2026-11"]));
    assert!(again.code == 2 && again.err.contains("ledger.csv is there already"), "{}", again.err);
    assert_eq!(sha256(&folder.join("ledger.csv")), before, "what stood there stays");
    let out = run(&["evidence", "--month", "2026-10", "--into", "audit/2026-10"]);
    assert!(
        out.contains("written into audit/2026-10") && out.contains("audit chain head 2:"),
        "{out}"
    );
    for wrong in ["2026-13", "october", "2026-10-01"] {
        let told = tell(site.command(&["evidence", "--month", wrong]));
        assert_eq!(told.code, 2, "{}", told.out);
        assert!(told.err.contains("no month, such as 2026-10"), "{}", told.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_fails_leaves_nothing() {
    let site = Site::new().await;
    let folder = site.dir.join("x");
    fs::create_dir_all(folder.join("backups.csv")).expect("in the way");
    let told = tell(site.command(&["evidence", "--month", "2026-11", "--into", "x"]));
    assert_eq!(told.code, 2, "{}", told.out);
    let left: Vec<_> =
        fs::read_dir(&folder).expect("folder").map(|e| e.expect("entry").file_name()).collect();
    assert_eq!(left, ["backups.csv"], "{}", told.err);
}
