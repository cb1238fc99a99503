//! Who may over HTTP, and what the audit says of it, as an operator sees it: tokens, the chain, nodes.

use crate::common::{Site, Told, tell, until};

fn yakin(site: &Site, arguments: &[&str]) -> Told {
    tell(site.command(arguments))
}

fn good(site: &Site, arguments: &[&str]) -> String {
    let told = yakin(site, arguments);
    assert_eq!(told.code, 0, "{arguments:?}: {}", told.err);
    told.out
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_printed_alone_and_once_and_is_good_until_it_is_revoked() {
    let site = Site::with_sample(2).await;
    let create = ["token", "create", "portal", "--role", "viewer", "--reason", "a test"];
    let printed = good(&site, &create);
    let token = printed.trim();
    assert!(token.starts_with("yakin_1_") && token.len() == 72, "{token}");
    assert_eq!(printed, format!("{token}\n"));
    let twice = yakin(&site, &create);
    assert!(
        twice.code == 2 && twice.err.contains("there is a token 'portal' already"),
        "{}",
        twice.err
    );
    let code: String = site.one("SELECT code FROM app.tenants ORDER BY tenant_id LIMIT 1").await;
    let bound = [
        "token", "create", "theirs", "--role", "operator", "--tenant", &code, "--reason", "a test",
    ];
    good(&site, &bound);
    let list = good(&site, &["token", "list"]);
    for word in ["portal", "viewer", "theirs", "operator", code.as_str(), "never"] {
        assert!(list.contains(word), "{word}: {list}");
    }
    assert!(!list.contains(token.rsplit('_').next().expect("secret")), "{list}");
    for (wrong, says) in [
        (
            &["token", "create", "Portal!", "--role", "viewer", "--reason", "a test"][..],
            "no token's name",
        ),
        (
            &["token", "create", "x", "--role", "root", "--reason", "a test"],
            "viewer, operator, admin",
        ),
        (
            &["token", "create", "x", "--role", "admin", "--tenant", &code, "--reason", "a test"],
            "for all tenants",
        ),
        (
            &["token", "create", "x", "--role", "viewer", "--days", "400", "--reason", "a test"],
            "1 to 366",
        ),
        (
            &[
                "token", "create", "x", "--role", "viewer", "--tenant", "nobody", "--reason",
                "a test",
            ],
            "unknown tenant",
        ),
        (&["token", "revoke", "nobody", "--reason", "a test"], "no token 'nobody'"),
    ] {
        let told = yakin(&site, wrong);
        assert!(told.code == 2 && told.err.contains(says), "{wrong:?}: {} {}", told.code, told.err);
    }

    let node = site.serve().await;
    let (head, page) = node.get_as("/admin/batch/catalogue", token).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(page.contains("BATCH-204"), "{page}");
    good(&site, &["token", "revoke", "portal", "--reason", "they left"]);
    until("the token is refused", 10, async || {
        node.get_as("/admin/batch/catalogue", token).await.0.starts_with("HTTP/1.1 401")
    })
    .await;
    let audit = good(&site, &["audit"]);
    for word in ["token create", "token revoke", "they left"] {
        assert!(audit.contains(word), "{word}: {audit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_is_verified_and_a_change_is_named() {
    let site = Site::new().await;
    assert!(good(&site, &["audit", "verify"]).contains("0 acts stand as they were written"));
    for n in ["one", "two", "three"] {
        good(&site, &["pause", "heavy", "--reason", n]);
    }
    let verified = good(&site, &["audit", "verify"]);
    assert!(verified.contains("3 acts stand as they were written"), "{verified}");
    let head = verified.lines().last().expect("a head").strip_prefix("head ").expect("a head");
    good(&site, &["resume", "heavy", "--reason", "four"]);
    good(&site, &["audit", "verify", "--head", head]);
    let other = format!("3:{}", "0".repeat(64));
    let told = yakin(&site, &["audit", "verify", "--head", &other]);
    assert!(told.code == 1 && told.out.contains("another digest"), "{} {}", told.code, told.out);
    assert_eq!(yakin(&site, &["audit", "verify", "--head", "three"]).code, 2);
    site.sql("ALTER TABLE yakin.audit DISABLE TRIGGER USER; UPDATE yakin.audit SET actor = 'nobody' WHERE id = 2")
        .await;
    let told = yakin(&site, &["audit", "verify"]);
    assert_eq!(told.code, 1);
    assert!(
        told.out
            .contains("act 2 (pause by nobody, number 2 of the chain) is not as it was written"),
        "{}",
        told.out
    );
    let told = yakin(&site, &["audit", "verify", "--json"]);
    let chain: serde_json::Value = serde_json::from_str(&told.out).expect("JSON");
    assert_eq!(chain["faults"].as_array().expect("faults").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_listed_and_drained() {
    let site = Site::new().await;
    assert!(good(&site, &["nodes"]).contains("yakin serve"));
    let mut node = site.serve().await;
    let nodes: serde_json::Value =
        serde_json::from_str(&good(&site, &["nodes", "--json"])).expect("JSON");
    assert_eq!(nodes[0]["state"], "lives");
    let id = nodes[0]["id"].to_string();
    good(&site, &["drain", &id, "--reason", "a new kernel"]);
    assert!(node.end(30).await.success(), "the node did not end with 0");
    assert!(site.one::<bool>("SELECT bool_and(real_ended IS NOT NULL) FROM yakin.nodes").await);
    assert_eq!(yakin(&site, &["drain", &id, "--reason", "again"]).code, 2);
}
