//! The month's evidence over HTTP: its files, their digests, what each holds, and what it refuses.

use std::collections::BTreeMap;
use std::io::Read;

use serde_json::json;
use sha2::{Digest, Sha256};
use yakin_domain::evidence::COLUMNS;
use yakin_engine::access::Role;
use yakin_engine::record::audit::digest_at;

use crate::common::Site;

/// The files of a package by name, after its manifest was held against them.
async fn package(site: &Site, month: &str, token: &str) -> BTreeMap<String, String> {
    let (headers, bytes) = site.bytes(&format!("/admin/batch/evidence/{month}"), token).await;
    assert_eq!(headers["content-type"], "application/x-tar");
    let named = format!("attachment; filename=\"yakin-evidence-{month}.tar\"");
    assert_eq!(headers["content-disposition"], named);
    assert_eq!(bytes.len() % 512, 0);
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let name = path.strip_prefix(&format!("yakin-evidence-{month}/")).unwrap().to_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        let table = text.starts_with('\u{feff}') && text.ends_with("\r\n");
        assert_eq!(table, name.ends_with(".csv"), "{name}: {text}");
        assert!(files.insert(name, text).is_none());
    }
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [COLUMNS, "MANIFEST.csv", "audit.csv", "backups.csv", "invoices.csv", "ledger.csv"]
    );
    let manifest = rows(&files["MANIFEST.csv"]);
    assert_eq!(manifest.len(), 6);
    for listed in &manifest[..5] {
        let text = &files[&listed["file"]];
        assert_eq!(listed["sha256"], hex::encode(Sha256::digest(text)), "{}", listed["file"]);
        if listed["file"] != COLUMNS {
            assert_eq!(listed["rows"], rows(text).len().to_string(), "{}", listed["file"]);
        }
    }
    explained(&files);
    files
}

/// Each column of each table stands in the explanation, in its order, with words of Japanese.
fn explained(files: &BTreeMap<String, String>) {
    let parts: BTreeMap<&str, &str> =
        files[COLUMNS].split("\n## ").skip(1).map(|part| part.split_once(" — ").unwrap()).collect();
    let tables: Vec<&str> =
        files.keys().map(String::as_str).filter(|name| *name != COLUMNS).collect();
    assert_eq!(parts.keys().copied().collect::<Vec<_>>(), tables);
    for name in tables {
        let head = files[name].trim_start_matches('\u{feff}').lines().next().unwrap();
        let lines = parts[name].lines().filter_map(|line| line.strip_prefix("| `"));
        let told: Vec<_> = lines.map(|line| line.split_once("` | ").unwrap()).collect();
        let columns: Vec<&str> = told.iter().map(|(column, _)| *column).collect();
        assert_eq!(columns, head.split(',').collect::<Vec<_>>(), "{name}");
        for (column, what) in told {
            assert!(!what.trim_end_matches(" |").is_ascii(), "{name} {column}: {what}");
        }
    }
}

/// A table's rows by the names of its columns.
fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_months_package_holds_what_happened_with_digests_that_add_up() {
    let site = Site::new().await;
    let aoba = site.world.tenant("aoba").await;
    let sakura = site.world.tenant("sakura").await;
    let done = site.world.run("T-NIGHTLY", Some("2026-10-30"), &[]).await;
    let failed = site.world.run("T-FAILING", None, &[]).await;
    let whole = site.world.run("T-WHOLE", Some("2026-10-30"), &[]).await;
    site.world
        .sql(&format!(
            "INSERT INTO app.invoices (tenant_id, contract_id, period_start, period_end, number, state, currency, subtotal,
                    tax, total, issued_on, due_on, usage_digest, snapshot, document_key, document_sha256, run_id)
             SELECT tenant_id, contract_id, d, d + 30, 'INV-' || d, 'issued', 'JPY', -100, -10, -110, d, '2026-12-31', 'd',
                    '{{\"payer\": {{\"name\": \"=cmd|calc\"}}}}', 'k', 'digest-of-the-document', {}
               FROM app.contracts, unnest(ARRAY['2026-10-31', '2026-11-01', '2026-11-30', '2026-12-01']::date[]) d
              WHERE tenant_id = {aoba};
             INSERT INTO app.backup_sets (backup_id, business_date, place, state, run_id, databases, begun_at, compressed,
                    recipients, manifest_sha256, expires_on, verified_at)
             SELECT 'BKP_' || to_char(d, 'YYYYMMDD') || '_001', d, '/b', 'verified', 1, '{{yakin,skills}}', d, true, '{{}}', 'm',
                    '2026-12-31', '2026-10-31T15:00:00Z'
               FROM unnest(ARRAY['2026-10-31', '2026-11-01', '2026-12-01']::date[]) d;
             INSERT INTO yakin.runs (batch_id, trigger, requested_by, state, run_at, ended_at, outcome)
             SELECT 'T-WHOLE', 'operator', 'edge ' || n, 'ended', at, at, 'succeeded'
               FROM unnest(ARRAY['2026-10-31T14:59:59.999999Z', '2026-10-31T15:00:00Z', '2026-11-30T14:59:59.999999Z',
                                 '2026-11-30T15:00:00Z']::timestamptz[]) WITH ORDINALITY AS e (at, n);
             INSERT INTO yakin.audit (real_time, actor, action, subject, reason) VALUES
                    ('2026-10-31T14:59:59.999999Z', 'before', 'x', 'x', 'x'),
                    ('2026-10-31T15:00:00Z', 'first', 'x', 'x', '@SUM(A1)'),
                    ('2026-11-30T14:59:59.999999Z', 'last', 'x', 'x', 'x'),
                    ('2026-11-30T15:00:00Z', 'after', 'x', 'x', 'x')",
            done.id
        ))
        .await;
    let token = site.token(Role::Viewer, None).await;
    let files = package(&site, "2026-11", &token).await;

    let ledger = rows(&files["ledger.csv"]);
    let of = |run: i64| ledger.iter().filter(|r| r["run"] == run.to_string()).collect::<Vec<_>>();
    let pieces: Vec<_> =
        of(done.id).iter().map(|r| (r["tenant"].as_str(), r["tenant_state"].as_str())).collect();
    assert_eq!(pieces, [("aoba", "done"), ("sakura", "done")]);
    assert!(
        of(failed.id)
            .iter()
            .all(|r| r["tenant_reason"].contains("price list") && r["outcome"] == "failed")
    );
    assert_eq!((of(whole.id).len(), of(whole.id)[0]["tenant"].as_str()), (1, ""));
    let edges = ledger.iter().map(|r| r["requested_by"].as_str()).filter(|r| r.starts_with("edge"));
    assert_eq!(edges.collect::<Vec<_>>(), ["edge 2", "edge 3"]);
    assert!(ledger.is_sorted_by_key(|r| r["run"].parse::<i64>().unwrap()));
    let first = of(done.id)[0];
    assert_eq!(
        (first["run_at"].as_str(), first["period_last"].as_str()),
        ("2026-11-01T01:00:00+09:00", "2026-10-30")
    );

    let invoices = rows(&files["invoices.csv"]);
    let numbers: Vec<_> = invoices.iter().map(|i| i["number"].as_str()).collect();
    assert_eq!(numbers, ["INV-2026-11-01", "INV-2026-11-30"]);
    assert_eq!(invoices[0]["total"], "-110", "a number stays a number");
    assert_eq!(invoices[0]["counterparty"], "'=cmd|calc", "no formula");
    assert_eq!(invoices[0]["document_sha256"], "digest-of-the-document");

    let backups = rows(&files["backups.csv"]);
    assert_eq!(backups.len(), 1);
    assert_eq!(
        (backups[0]["databases"].as_str(), backups[0]["verified_at"].as_str()),
        ("yakin skills", "2026-11-01T00:00:00+09:00")
    );

    let audit = rows(&files["audit.csv"]);
    let actors: Vec<_> = audit.iter().map(|a| a["actor"].as_str()).collect();
    assert!(actors.contains(&"first") && actors.contains(&"last"), "{actors:?}");
    assert!(!actors.contains(&"before") && !actors.contains(&"after"), "{actors:?}");
    assert_eq!(audit.iter().find(|a| a["actor"] == "first").unwrap()["reason"], "'@SUM(A1)");
    for act in &audit {
        let seq = act["chain_number"].parse().unwrap();
        let digest = digest_at(&site.world.pool, seq).await.unwrap().unwrap();
        assert_eq!(act["chain_digest"], digest);
    }
    // the head is the chain's as `yakin audit verify --head` takes it
    let verified = site.get("/admin/batch/audit/verify", &token).await.good();
    let head = format!("{}:{}", verified["acts"], verified["head"].as_str().unwrap());
    let noted = rows(&files["MANIFEST.csv"]).pop().unwrap();
    assert_eq!((noted["file"].as_str(), &noted["sha256"]), ("audit chain head", &head));
    assert_eq!(verified["faults"], json!([]));

    // made again it is the same, to the byte; and nothing stays behind
    assert_eq!(package(&site, "2026-11", &token).await, files);
    let left = std::fs::read_dir(std::env::temp_dir()).unwrap().filter(|e| {
        let name = e.as_ref().unwrap().file_name();
        name.to_str().unwrap().starts_with(&format!("yakin-evidence-{}-", std::process::id()))
    });
    assert_eq!(left.count(), 0);
    let _ = sakura;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_without_anything_is_a_package_and_no_month_is_none() {
    let site = Site::new().await;
    let token = site.token(Role::Viewer, None).await;
    let files = package(&site, "2001-02", &token).await;
    assert!(files.iter().all(|(name, text)| {
        ["MANIFEST.csv", COLUMNS].contains(&name.as_str()) || rows(text).is_empty()
    }));
    for wrong in ["2026-13", "2026", "2026-10-01", "2026-1%00", "..%2f..", "%EF%BC%92026-10"] {
        site.get(&format!("/admin/batch/evidence/{wrong}"), &token).await.problem(404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_month_is_sent_whole_and_one_node_makes_two_at_a_time() {
    let site = Site::new().await;
    site.world
        .sql(
            "INSERT INTO yakin.audit (real_time, actor, action, subject, reason)
             SELECT '2026-09-15T00:00:00Z', 'many', 'x', n::text, repeat('理由', 100) FROM generate_series(1, 3000) n",
        )
        .await;
    let token = site.token(Role::Viewer, None).await;
    let files = package(&site, "2026-09", &token).await;
    assert_eq!(rows(&files["audit.csv"]).len(), 3000);
    // two that nobody reads to their end hold both places, until they are let go
    let call = || crate::common::call("GET", "/admin/batch/evidence/2026-09", &token, None);
    let (one, two) = (site.open(call()).await, site.open(call()).await);
    assert_eq!((one.status(), two.status()), (200.try_into().unwrap(), 200.try_into().unwrap()));
    let third = site.send(call()).await;
    assert!(third.problem(429).contains("two packages"), "{third:?}");
    assert_eq!(third.header("retry-after"), "5");
    drop(one);
    package(&site, "2026-09", &token).await;
    drop(two);
}
