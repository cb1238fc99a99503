//! Invoices' documents, which are the registered ones or none; decisions about held invoices.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use yakin_domain::delivery::Outside;
use yakin_engine::access::Role;

use crate::common::{Site, because};
use crate::town::{all, town, with_storage};

/// A log that a test can read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_the_registered_one_or_none() {
    let (site, folder) = with_storage().await;
    town(&site).await;
    let token = site.token(Role::Viewer, None).await;
    let path = "/admin/batch/invoices/INV-202610-aoba-0001/document";
    assert!(site.get(path, &token).await.problem(404).contains("no document"));

    let bytes = b"%PDF-1.7 \xff\xfe not text".to_vec();
    let outside = site.world.engine.provided::<Outside>().unwrap();
    let storage = outside.storage.clone().unwrap();
    let stored = storage.put("tenants/1/invoices/a.pdf", bytes.clone()).await.unwrap();
    let register = |sha256: &str| {
        format!(
            "UPDATE app.invoices SET document_ready_at = '2026-10-31T20:00:00Z', document_key = 'tenants/1/invoices/a.pdf',
                    document_sha256 = '{sha256}' WHERE number = 'INV-202610-aoba-0001'"
        )
    };
    site.world.sql(&register(&stored.sha256)).await;
    let (headers, got) = site.bytes(path, &token).await;
    assert_eq!(got, bytes);
    assert_eq!(headers["content-type"], "application/pdf");
    assert_eq!(headers["content-disposition"], "attachment; filename=\"INV-202610-aoba-0001.pdf\"");
    assert_eq!(headers["etag"], format!("\"{}\"", stored.sha256));
    assert_eq!(headers["cache-control"], "no-store");

    // another file under its key is never handed out, whether as long or not, and the log says so
    for wrong in [&b"%PDF-1.7 \xff\xfe not tex!"[..], b"short", b""] {
        storage.put("tenants/1/invoices/a.pdf", wrong.to_vec()).await.unwrap();
        told_as_damaged(&site, path, &token).await;
    }
    storage.delete("tenants/1/invoices/a.pdf").await.unwrap();
    told_as_damaged(&site, path, &token).await;
    std::fs::remove_dir_all(&folder).unwrap();

    let bare = Site::new().await;
    town(&bare).await;
    bare.world.sql(&register(&stored.sha256)).await;
    let token = bare.token(Role::Viewer, None).await;
    assert!(bare.get(path, &token).await.problem(503).contains("[storage]"));
}

async fn told_as_damaged(site: &Site, path: &str, token: &str) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let answer = site.get(path, token).await;
    drop(guard);
    let told = answer.problem(409);
    assert!(told.contains("not the one that was registered"), "{told}");
    assert!(!told.contains("tenants/1"), "the key is nobody's business: {told}");
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains("ERROR")
            && log.contains("a document is damaged")
            && log.contains("tenants/1/invoices/a.pdf"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_invoice_is_decided_once_and_on_the_record() {
    let site = Site::new().await;
    town(&site).await;
    site.world.sql("UPDATE app.invoices SET held_at = '2026-10-31T20:00:00Z', held_reason = 'large' WHERE number LIKE 'INV-202610-%-0001'").await;
    let (token, viewer) =
        (site.token(Role::Operator, None).await, site.token(Role::Viewer, None).await);
    let held = all(&site, "/admin/batch/invoices?held=true", &viewer, 50).await;
    assert_eq!(
        (held.len(), &held[0]["held"], &held[0]["held_reason"]),
        (2, &json!(true), &json!("large"))
    );
    // nobody has got them yet: they are not their tenants' to see
    let (aoba, sakura) = (own(&site, "aoba").await, own(&site, "sakura").await);
    for (number, theirs) in [("INV-202610-aoba-0001", &aoba), ("INV-202610-sakura-0001", &sakura)] {
        let at = format!("/admin/batch/invoices/{number}");
        site.get(&at, theirs).await.problem(404);
        site.get(&format!("{at}/document"), theirs).await.problem(404);
    }
    let seen = all(&site, "/admin/batch/invoices", &aoba, 50).await;
    assert_eq!(
        seen.iter().map(|i| i["number"].as_str().unwrap()).collect::<Vec<_>>(),
        ["INV-202611-aoba-0001", "INV-202610-aoba-0002"]
    );
    let detail = |token| site.get("/admin/batch/tenants/aoba", token);
    let (theirs, ours) = (detail(&aoba).await.good(), detail(&viewer).await.good());
    let shown = |detail: &Value| detail["invoices"].as_array().unwrap().len();
    assert_eq!((shown(&theirs), shown(&ours)), (2, 3));
    let approve = "/admin/batch/invoices/INV-202610-aoba-0001/approve";
    site.post(approve, &viewer, because("me")).await.problem(403);
    for wrong in [json!({}), because(" "), because("a\0b")] {
        site.post(approve, &token, wrong).await.problem(422);
    }
    site.post(approve, &token, because("agreed with finance")).await.good();
    assert!(
        site.post(approve, &token, because("again")).await.problem(404).contains("no held invoice")
    );
    site.post("/admin/batch/invoices/INV-202610-sakura-0001/reject", &token, because("wrong plan"))
        .await
        .good();
    for unknown in ["INV-1", "%00", "INV-202610-aoba-0002"] {
        for act in ["approve", "reject"] {
            site.post(&format!("/admin/batch/invoices/{unknown}/{act}"), &token, because("x"))
                .await
                .problem(404);
        }
    }
    let one = site.get("/admin/batch/invoices/INV-202610-sakura-0001", &viewer).await.good();
    assert_eq!(one["invoice"]["state"], "void");
    let event = &one["events"][0];
    assert_eq!(
        (&event["event"], &event["actor"], &event["reason"]),
        (&json!("rejected"), &json!("token:operator-0"), &json!("wrong plan"))
    );
    let one = site.get("/admin/batch/invoices/INV-202610-aoba-0001", &viewer).await.good();
    assert_eq!(
        (&one["invoice"]["held"], &one["invoice"]["released_by"]),
        (&json!(false), &json!("token:operator-0"))
    );
    // released, it is its tenant's, without what people thought of it; rejected, it stays unseen
    let one = site.get("/admin/batch/invoices/INV-202610-aoba-0001", &aoba).await.good();
    assert_eq!(
        (&one["invoice"]["held_reason"], &one["invoice"]["released_by"]),
        (&json!(null), &json!(null))
    );
    assert!(one["events"].as_array().unwrap().iter().all(|e| e["event"] != "released"), "{one}");
    site.get("/admin/batch/invoices/INV-202610-sakura-0001", &sakura).await.problem(404);
    // neither waits any more
    assert!(all(&site, "/admin/batch/invoices?held=true", &viewer, 50).await.is_empty());
    let audit: String = site.world.one("SELECT string_agg(action || ' ' || subject || ': ' || reason, ', ' ORDER BY id) FROM yakin.audit WHERE subject LIKE 'INV%'").await;
    assert_eq!(
        audit,
        "approve INV-202610-aoba-0001: agreed with finance, reject INV-202610-sakura-0001: wrong plan"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_shows_its_lines_taxes_and_events_in_their_order() {
    let site = Site::new().await;
    town(&site).await;
    site.world
        .sql(
            "INSERT INTO app.invoice_lines
             SELECT tenant_id, invoice_id, n, 'usage', n::text, 1, '件', n, n, 0.08
               FROM app.invoices, unnest(ARRAY[3, 2]) n WHERE number LIKE 'INV-202610-%-0001';
             INSERT INTO app.invoice_taxes
             SELECT tenant_id, invoice_id, rate, 1, 1 FROM app.invoices, unnest(ARRAY[0.00, 0.08]) rate
              WHERE number LIKE 'INV-202610-%-0001';
             INSERT INTO app.invoice_events (tenant_id, invoice_id, happened_at, event, actor)
             SELECT tenant_id, invoice_id, '2026-10-31T20:00:00Z', event, 'x'
               FROM app.invoices, unnest(ARRAY['issued', 'document', 'sent']) event
              WHERE number LIKE 'INV-202610-%-0001'",
        )
        .await;
    let token = site.token(Role::Viewer, None).await;
    let one = site.get("/admin/batch/invoices/INV-202610-aoba-0001", &token).await.good();
    let told = |part: &str, key: &str| {
        let all = one[part].as_array().unwrap();
        all.iter().map(|row| row[key].to_string().trim_matches('"').to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(told("lines", "line_no"), ["1", "2", "3"]);
    assert_eq!(told("taxes", "tax_rate"), ["0.10", "0.08", "0"]);
    assert_eq!(told("events", "event"), ["issued", "document", "sent"]);
}

/// A viewer's token of that tenant alone.
async fn own(site: &Site, code: &str) -> String {
    let id =
        site.world.one(&format!("SELECT tenant_id FROM app.tenants WHERE code = '{code}'")).await;
    site.token(Role::Viewer, Some(vec![id])).await
}
