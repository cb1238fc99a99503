//! Tenants, invoices, deliveries, backups: pages, combined search, walls between tenants.

use serde_json::json;
use yakin_engine::access::Role;

use crate::common::{Site, because};
use crate::town::{all, texts, town, with_storage};

#[tokio::test(flavor = "multi_thread")]
async fn tenants_come_by_pages_and_one_shows_its_nights() {
    let site = Site::new().await;
    town(&site).await;
    site.world.tenant("midori").await;
    let token = site.token(Role::Viewer, None).await;
    let tenants = all(&site, "/admin/batch/tenants", &token, 2).await;
    assert_eq!(texts(&tenants, "code"), ["aoba", "midori", "sakura"]);
    assert_eq!(
        (&tenants[0]["name"], &tenants[0]["status"]),
        (&json!("株式会社aoba"), &json!("active"))
    );

    let one = site.get("/admin/batch/tenants/aoba", &token).await.good();
    let batch = &one["batches"][0];
    assert_eq!((&batch["batch_id"], &batch["state"]), (&json!("T-NIGHTLY"), &json!("done")));
    assert_eq!(one["batches"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&one["usage"][0]["usage_date"], &one["usage"][0]["calls"]),
        (&json!("2026-10-30"), &json!(7))
    );
    assert_eq!(one["usage"].as_array().unwrap().len(), 1, "its own days alone");
    let numbers = texts(one["invoices"].as_array().unwrap(), "number");
    assert_eq!(numbers, ["INV-202611-aoba-0001", "INV-202610-aoba-0002", "INV-202610-aoba-0001"]);
    // a dry run is no outcome; a newer run is
    site.world.dry_run("T-NIGHTLY", Some("2026-10-29"), &[]).await;
    let newer = site.world.run("T-FAILING", None, &[]).await;
    let one = site.get("/admin/batch/tenants/aoba", &token).await.good();
    let told: Vec<_> = one["batches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| (b["run_id"].as_i64().unwrap(), b["state"].clone()))
        .collect();
    assert_eq!(
        told,
        [(newer.id, json!("failed")), (batch["run_id"].as_i64().unwrap(), json!("done"))]
    );
    for wrong in ["nobody", "a%00b", "AOBA", "'%20OR%201=1"] {
        site.get(&format!("/admin/batch/tenants/{wrong}"), &token).await.problem(404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invoices_are_found_by_date_amount_and_counterparty_together() {
    let site = Site::new().await;
    town(&site).await;
    site.world
        .sql("UPDATE app.tenants SET billing_name = 'ＡＯＢＡ Holdings 100%_' WHERE code = 'aoba'")
        .await;
    let token = site.token(Role::Viewer, None).await;
    for (query, wanted) in [
        ("", 6),
        ("issued_from=2026-10-01", 6),
        ("issued_from=2026-10-02", 4),
        ("issued_from=2026-10-31&issued_to=2026-10-31", 2),
        ("issued_to=2026-09-30", 0),
        ("amount_from=1000", 4),
        ("amount_from=1000.01", 2),
        ("amount_to=-120", 2),
        ("amount_from=1000&amount_to=1000", 2),
        ("counterparty=aoba", 3),
        ("counterparty=%E6%A0%AA%E5%BC%8F", 6),
        ("counterparty=%20holdings%20", 3),
        ("counterparty=aoba%20hold", 3),
        ("counterparty=100%25_", 3),
        ("counterparty=%25", 3),
        ("counterparty=nobody", 0),
        ("issued_from=2026-10-01&issued_to=2026-10-31&amount_from=2000&counterparty=aoba", 1),
        ("issued_from=2026-11-01&amount_from=0&counterparty=aoba", 0),
        ("state=void", 0),
        ("currency=USD", 0),
        ("held=true", 0),
    ] {
        let found = all(&site, &format!("/admin/batch/invoices?{query}"), &token, 2).await;
        assert_eq!(found.len(), wanted, "{query}: {found:?}");
        let ids: Vec<_> = found.iter().map(|i| i["invoice_id"].as_i64().unwrap()).collect();
        assert!(ids.is_sorted_by(|a, b| a > b), "{query}: {ids:?}");
    }
    for wrong in [
        "counterparty=%00",
        "counterparty=",
        "counterparty=a%00b",
        "issued_from=2026-13-01",
        "issued_from=-009999-01-01",
        "amount_from=much",
        "amount_from=2&amount_to=1",
        "issued_from=2026-10-02&issued_to=2026-10-01",
        "state=lost",
        "currency=%00",
        "held=perhaps",
        "cursor=xyz",
        "limit=0",
        "tenant=aoba",
    ] {
        site.get(&format!("/admin/batch/invoices?{wrong}"), &token).await.problem(400);
    }

    let one = site.get("/admin/batch/invoices/INV-202610-aoba-0001", &token).await.good();
    assert_eq!(
        (&one["invoice"]["total"], &one["invoice"]["tenant"]),
        (&json!("45980"), &json!("aoba"))
    );
    assert_eq!(one["lines"][0]["amount"], "45980");
    assert_eq!(
        (&one["taxes"][0]["tax_rate"], &one["taxes"][0]["tax"]),
        (&json!("0.10"), &json!("4598"))
    );
    for wrong in ["INV-1", "%00", "INV-202610-aoba-0001%00"] {
        for part in ["", "/document"] {
            site.get(&format!("/admin/batch/invoices/{wrong}{part}"), &token).await.problem(404);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_token_sees_nothing_of_another_tenant() {
    let (site, folder) = with_storage().await;
    let [aoba, sakura] = town(&site).await;
    site.world.tenant("midori").await;
    let midori: i64 =
        site.world.one("SELECT tenant_id FROM app.tenants WHERE code = 'midori'").await;
    // one tenant stands behind row security, two behind the statements themselves
    for scope in [vec![aoba], vec![aoba, midori]] {
        let token = site.token(Role::Operator, Some(scope.clone())).await;
        for list in ["tenants", "invoices", "deliveries"] {
            let seen = all(&site, &format!("/admin/batch/{list}"), &token, 2).await;
            let text = serde_json::to_string(&seen).unwrap();
            assert!(text.contains("aoba") && !text.contains("sakura"), "{list}: {text}");
        }
        assert_eq!(all(&site, "/admin/batch/tenants", &token, 50).await.len(), scope.len());
        for search in ["invoices?counterparty=sakura", "deliveries?tenant=sakura"] {
            assert!(all(&site, &format!("/admin/batch/{search}"), &token, 50).await.is_empty());
        }
        for path in [
            "tenants/sakura",
            "invoices/INV-202610-sakura-0001",
            "invoices/INV-202610-sakura-0001/document",
        ] {
            let hidden = site.get(&format!("/admin/batch/{path}"), &token).await;
            let none = site
                .get(&format!("/admin/batch/{}", path.replace("sakura", "nobody")), &token)
                .await;
            // as if it were not there, to the letter
            assert_eq!(hidden.problem(404), none.problem(404).replace("nobody", "sakura"));
        }
        let one = site.get("/admin/batch/tenants/aoba", &token).await.good().to_string();
        assert!(!one.contains("sakura"), "{one}");
        site.get("/admin/batch/invoices/INV-202610-aoba-0001", &token).await.good();
        for act in ["approve", "reject"] {
            let path = format!("/admin/batch/invoices/INV-202610-aoba-0001/{act}");
            site.post(&path, &token, because("mine")).await.problem(403);
        }
        for path in ["backups", "evidence/2026-10"] {
            site.get(&format!("/admin/batch/{path}"), &token).await.problem(403);
        }
    }
    // the other way round each is seen by whom it concerns
    let theirs = site.token(Role::Viewer, Some(vec![sakura])).await;
    site.get("/admin/batch/tenants/sakura", &theirs).await.good();
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_show_what_failed_first_and_name_nobody() {
    let site = Site::new().await;
    town(&site).await;
    let token = site.token(Role::Viewer, None).await;
    let messages = all(&site, "/admin/batch/deliveries?tenant=aoba", &token, 2).await;
    assert_eq!(texts(&messages, "state"), ["uncertain", "failed", "pending", "sent", "sent"]);
    assert_eq!(messages[0]["recipient"], "a***@aoba.example");
    assert_eq!(messages[0]["error"], "no <a***@aoba.example> here");
    assert_eq!(
        (&messages[0]["batch_id"], &messages[0]["ended_run"]),
        (&json!("T-NIGHTLY"), &json!(1))
    );
    let text = serde_json::to_string(&messages).unwrap();
    assert!(!text.contains("secret") && !text.contains("admin1@"), "{text}");
    for (query, wanted) in [
        ("state=failed", 2),
        ("state=sent&tenant=sakura", 2),
        ("channel=slack", 0),
        ("channel=email", 10),
        ("tenant=nobody", 0),
    ] {
        let found = all(&site, &format!("/admin/batch/deliveries?{query}"), &token, 3).await;
        assert_eq!(found.len(), wanted, "{query}");
        let mut ids: Vec<_> = found.iter().map(|m| m["delivery_id"].as_i64().unwrap()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), wanted, "{query}: a message stands on two pages");
    }
    for wrong in
        ["state=lost", "channel=fax", "tenant=%00", "cursor=WzAsIngiXQ", "recipient=a", "limit=501"]
    {
        site.get(&format!("/admin/batch/deliveries?{wrong}"), &token).await.problem(400);
    }
    // any pair of numbers is a place in the list
    site.get("/admin/batch/deliveries?cursor=WzAsLTkyMjMzNzIwMzY4NTQ3NzU4MDhd", &token)
        .await
        .good();
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_show_their_proofs() {
    let site = Site::new().await;
    for day in ["20261029", "20261030", "20261031"] {
        site.world
            .sql(&format!(
                "INSERT INTO app.backup_sets (backup_id, business_date, place, state, run_id, databases, begun_at, compressed,
                        recipients, manifest_sha256, expires_on, verified_at)
                 VALUES ('BKP_{day}_001', '{day}', '/b', 'verified', 1, '{{yakin}}', '2026-10-31T20:00:00Z', true, '{{}}', 'm', '2026-12-31', '2026-10-31T20:00:00Z')"
            ))
            .await;
    }
    let token = site.token(Role::Viewer, None).await;
    let sets = all(&site, "/admin/batch/backups", &token, 2).await;
    assert_eq!(
        texts(&sets, "backup_id"),
        ["BKP_20261031_001", "BKP_20261030_001", "BKP_20261029_001"]
    );
    assert!(sets[0]["verified_at"].is_string() && sets[0]["recovery_tested_at"].is_null());
    assert_eq!(sets[0]["databases"], json!(["yakin"]));
    // ["-009999-01-01","x"], ["2026-10-31","a\u0000"]
    for wrong in ["WyItMDA5OTk5LTAxLTAxIiwieCJd", "WyIyMDI2LTEwLTMxIiwiYVx1MDAwMCJd", "WzFd"] {
        site.get(&format!("/admin/batch/backups?cursor={wrong}"), &token).await.problem(400);
    }
}

/// A report of each tenant's October and September, and the service's own.
async fn reported(site: &Site) {
    site.world
        .sql(
            "INSERT INTO app.files (tenant_id, key, file_type, size_bytes, sha256, created_at)
             SELECT tenant_id, 'tenant/' || code || '/reports/' || month || '.' || format, format, 7, 'd', at
               FROM app.tenants, (VALUES ('2026-09', 'pdf', timestamptz '2026-10-02T07:00:00+09:00'),
                                         ('2026-10', 'pdf', '2026-11-02T07:00:00+09:00'),
                                         ('2026-10', 'xlsx', '2026-11-02T07:00:00+09:00')) AS made (month, format, at);
             INSERT INTO app.reports (tenant_id, report_key, period_start, format, file_id, run_id, created_at)
             SELECT tenant_id, 'company-monthly', (substr(split_part(key, '/', 4), 1, 7) || '-01')::date, file_type,
                    file_id, 1, created_at FROM app.files WHERE key LIKE '%/reports/%';
             INSERT INTO app.platform_reports (report_key, period_start, format, key, size_bytes, sha256, incomplete, run_id, created_at)
             VALUES ('system-monthly', '2026-10-01', 'pdf', 'platform/reports/s.pdf', 8, 'e', 'two days', 1, '2026-11-02T07:00:00+09:00')",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_come_newest_first_and_the_services_own_to_nobodys_tenant() {
    let site = Site::new().await;
    let [aoba, sakura] = town(&site).await;
    reported(&site).await;
    let token = site.token(Role::Viewer, None).await;
    let every = all(&site, "/admin/batch/reports", &token, 2).await;
    assert_eq!(
        texts(&every, "key"),
        [
            "tenant/sakura/reports/2026-10.xlsx",
            "tenant/sakura/reports/2026-10.pdf",
            "tenant/aoba/reports/2026-10.xlsx",
            "tenant/aoba/reports/2026-10.pdf",
            "platform/reports/s.pdf",
            "tenant/sakura/reports/2026-09.pdf",
            "tenant/aoba/reports/2026-09.pdf",
        ]
    );
    assert_eq!(
        every[4],
        json!({"tenant": null, "report_key": "system-monthly", "period_start": "2026-10-01", "format": "pdf",
               "key": "platform/reports/s.pdf", "size_bytes": 8, "sha256": "e", "incomplete": "two days",
               "created_at": "2026-11-01T22:00:00Z", "run_id": 1})
    );
    for (query, wanted) in [
        ("month=2026-10", 5),
        ("month=2026-08", 0),
        ("tenant=aoba", 3),
        ("tenant=aoba&month=2026-09", 1),
        ("tenant=nobody", 0),
    ] {
        let found = all(&site, &format!("/admin/batch/reports?{query}"), &token, 2).await;
        assert_eq!(found.len(), wanted, "{query}");
    }
    for wrong in [
        "month=2026-13",
        "month=October",
        "tenant=%00",
        "limit=501",
        "key=x",
        // [1], ["-009999-01-02T00:00:00Z",1,"x"]
        "cursor=WzFd",
        "cursor=WyItMDA5OTk5LTAxLTAyVDAwOjAwOjAwWiIsMSwieCJd",
    ] {
        site.get(&format!("/admin/batch/reports?{wrong}"), &token).await.problem(400);
    }
    for bound in [vec![aoba], vec![aoba, aoba], vec![aoba, sakura]] {
        let theirs = if bound.contains(&sakura) { 6 } else { 3 };
        let token = site.token(Role::Viewer, Some(bound)).await;
        let seen = all(&site, "/admin/batch/reports", &token, 2).await;
        assert_eq!(seen.len(), theirs);
        assert!(seen.iter().all(|r| r["tenant"].is_string()), "{seen:?}");
    }
}
