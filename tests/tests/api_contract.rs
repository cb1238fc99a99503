//! The API keeps to its document: schemathesis asks a node all that the document allows, and what it does not.

mod common;

use std::process::Command;

use common::{Node, Site, Told, tell_within};

/// Asks a node by its document; what the configuration beside this file leaves out says why.
fn schemathesis(site: &Site, node: &Node, token: &str, words: &[&str]) -> Told {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api_contract/schemathesis.toml");
    let document = format!("http://{}/openapi.json", node.address);
    let mut command: Command = site.asking("schemathesis", node);
    command.args(["--config-file", here, "run", &document]).args(words);
    command.env("YAKIN_TOKEN", token);
    tell_within(480, command)
}

/// How many operations were asked, of how many that were meant to be.
fn asked(told: &Told) -> (usize, usize) {
    let number = |word: &str| {
        let line = told.out.lines().find_map(|l| l.trim().strip_prefix(word)).unwrap_or("");
        line.trim().split('/').next().and_then(|n| n.parse().ok()).unwrap_or(0)
    };
    (number("Tested:"), number("Selected:"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_stands_in_the_document() {
    let site = Site::with_api().await;
    let node = site.serve().await;
    site.something_to_look_at().await;
    let token = site.token("admin");
    let told = schemathesis(&site, &node, &token, &[]);
    assert_eq!(told.code, 0, "{}\n{}", told.out, told.err);
    let (tested, selected) = asked(&told);
    assert!(tested > 35 && tested == selected, "{}", told.out);
}

/// Apart from the others: calls without a good token may come only so often from one address.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_takes_a_token_is_done_without_one() {
    let site = Site::with_api().await;
    let node = site.serve().await;
    let words = [
        "--checks",
        "ignored_auth",
        "--phases",
        "examples",
        "--rate-limit",
        "100/s",
        "--workers",
        "1",
    ];
    let told = schemathesis(&site, &node, &site.token("admin"), &words);
    assert_eq!(told.code, 0, "{}\n{}", told.out, told.err);
    let (tested, selected) = asked(&told);
    assert!(tested > 35 && tested == selected, "{}", told.out);
}
