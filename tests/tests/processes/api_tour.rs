//! What docs/api.md shows and examples/node does, gone through against a node.

use std::path::PathBuf;

use crate::common::{Node, Site, Told, tell, tell_within};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned()
}

/// The shell blocks of a document that stand under `<!-- run -->`, as one script.
fn shown(document: &str) -> String {
    let text = std::fs::read_to_string(repository().join(document)).expect(document);
    let (mut script, mut all) = (String::new(), 0);
    for rest in text.split("<!-- run -->\n").skip(1) {
        let block = rest.strip_prefix("```sh\n").expect("a block of sh under the mark");
        script += block.split_once("\n```").expect("the block's end").0;
        script.push('\n');
        all += 1;
    }
    let shell = text.matches("```sh\n").count();
    assert!(all >= 10 && all == shell, "{all} of {shell} blocks of sh are marked to be run");
    script
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tour_can_be_gone_as_it_is_written() {
    let site = Site::with_api().await;
    let node = site.serve().await;
    site.something_to_look_at().await;
    let tenant: String = site.one("SELECT code FROM app.tenants ORDER BY code LIMIT 1").await;
    let mut bash = site.asking("bash", &node);
    bash.args(["-euxo", "pipefail", "-c", &shown("docs/api.md")]).env("TENANT", tenant);
    let told = tell_within(120, bash);
    assert_eq!(told.code, 0, "{}\n{}", told.out, told.err);
    for wanted in ["\nevent: run\n", "\nevent: firing\n", "\"repeated\":false", "is revoked"] {
        assert!(told.out.contains(wanted), "{wanted} is missing in\n{}", told.out);
    }
    let acts: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT action FROM yakin.audit WHERE actor = 'token:tour' ORDER BY 1",
    )
    .fetch_all(&site.database.owner)
    .await
    .expect("audit");
    assert!(acts.len() >= 6, "the tour left only these acts: {acts:?}");
}

/// Runs the example for a batch, by events or by asking.
fn follow(site: &Site, node: &Node, token: &str, follow: &str, words: &[&str]) -> Told {
    let program = repository().join("examples/node/trigger-and-follow.mjs");
    let mut command = site.asking("node", node);
    command.arg(program).args(words);
    command.env("YAKIN_URL", format!("http://{}", node.address));
    command.env("YAKIN_TOKEN", token).env("FOLLOW", follow);
    tell(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_starts_a_run_once_and_follows_it_to_its_end() {
    let site = Site::with_api().await;
    let node = site.serve().await;
    let token = site.token("operator");
    for (way, day) in [("events", "2026-10-30"), ("poll", "2026-10-29")] {
        let wanted = format!("{{\"targetDate\": \"{day}\"}}");
        let words = ["usage-aggregation", wanted.as_str()];
        let told = follow(&site, &node, &token, way, &words);
        assert_eq!(told.code, 0, "{way}: {}{}", told.out, told.err);
        let last = told.out.lines().last().expect("a line");
        assert!(last.contains("succeeded") && last.contains("3/3 tenants done"), "{way}: {last}");
        assert!(!told.out.contains("no live events"), "{way}: {}", told.out);
        let again = follow(&site, &node, &token, way, &words);
        assert!(again.code == 0 && again.out.contains("started before"), "{}", again.out);
    }
    assert_eq!(site.one::<i64>("SELECT count(*) FROM yakin.runs WHERE trigger = 'api'").await, 2);

    // its usage is missing: every tenant is blocked
    let told =
        follow(&site, &node, &token, "events", &["BATCH-301", "{\"targetDate\": \"2026-10-20\"}"]);
    assert_eq!(told.code, 1, "{}{}", told.out, told.err);
    assert!(told.out.contains("blocked"), "{}", told.out);
    let told = follow(&site, &node, &token, "events", &["BATCH-000"]);
    assert!(told.code == 1 && told.err.contains("404"), "{}", told.err);
    assert_eq!(follow(&site, &node, &token, "events", &["BATCH-204", "{"]).code, 2);
    assert_eq!(follow(&site, &node, &token, "events", &[]).code, 2);
    assert_eq!(follow(&site, &node, "yakin_9_0", "events", &["BATCH-204"]).code, 1);
}
