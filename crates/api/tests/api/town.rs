//! Two tenants with invoices, use and messages; a storage; lists page by page.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use yakin_adapters::outgoing::{Outgoing, OutgoingSettings};
use yakin_adapters::{Storage, StorageSettings};
use yakin_api::Settings;
use yakin_domain::delivery::{Outside, Templates};

use crate::common::Site;

/// An invoice in the database, of its own revision.
async fn invoice(site: &Site, tenant: i64, n: i64, number: &str, issued: &str, total: &str) {
    site.world
        .sql(&format!(
            "INSERT INTO app.invoices (tenant_id, contract_id, period_start, period_end, revision, number, state,
                    currency, subtotal, tax, total, issued_on, due_on, usage_digest, snapshot, run_id)
             SELECT tenant_id, contract_id, '2026-10-01', '2026-11-01', {n}, '{number}', 'issued', 'JPY',
                    {total}::numeric, 0, {total}::numeric, '{issued}', '2026-12-01', 'd', '{{}}',
                    (SELECT max(id) FROM yakin.runs)
               FROM app.contracts WHERE tenant_id = {tenant}"
        ))
        .await;
}

/// Two tenants that a night has passed over, each with invoices, a day of use and messages.
pub async fn town(site: &Site) -> [i64; 2] {
    let mut ids = Vec::new();
    for code in ["aoba", "sakura"] {
        ids.push(site.world.tenant(code).await);
    }
    site.world.run("T-NIGHTLY", Some("2026-10-30"), &[]).await;
    for (n, tenant) in ids.iter().enumerate() {
        let code = ["aoba", "sakura"][n];
        invoice(site, *tenant, 1, &format!("INV-202610-{code}-0001"), "2026-10-01", "45980").await;
        invoice(site, *tenant, 2, &format!("INV-202610-{code}-0002"), "2026-10-31", "1000").await;
        invoice(site, *tenant, 3, &format!("INV-202611-{code}-0001"), "2026-11-01", "-120").await;
        site.world
            .sql(&format!(
                "INSERT INTO app.usage_statistics SELECT {tenant}, '2026-10-30', 7, 1, 7, 0, 0, 70, 10, 10, 10, 1, 1, 9, 2,
                        1, 1, 1, 3, 30, 2, 'final', 1;
                 INSERT INTO app.invoice_lines
                 SELECT tenant_id, invoice_id, 1, 'base', '基本料金', 1, '月', 45980, 45980, 0.10 FROM app.invoices
                  WHERE number = 'INV-202610-{code}-0001';
                 INSERT INTO app.invoice_taxes SELECT tenant_id, invoice_id, 0.10, 45980, 4598 FROM app.invoices
                  WHERE number = 'INV-202610-{code}-0001';
                 INSERT INTO app.deliveries (tenant_id, source, source_id, channel, recipient, sender, priority, state,
                        subject, body, due_at, expires_at, created_at, error, ended_run)
                 SELECT {tenant}, 'invoice', 1, 'email', 'admin' || n || '@{code}.example', 'platform', 1, state, 'secret-subject',
                        'secret-body', '2026-10-31T20:00:00Z', '2026-10-31T20:00:00Z', '2026-10-31T20:00:00Z', 'no <admin' || n || '@{code}.example> here', 1
                   FROM unnest(ARRAY['sent', 'failed', 'pending', 'uncertain', 'sent']) WITH ORDINALITY AS s (state, n)"
            ))
            .await;
    }
    [ids[0], ids[1]]
}

/// All items of a list, page by page.
pub async fn all(site: &Site, path: &str, token: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let sign = if path.contains('?') { '&' } else { '?' };
        let page = site.get(&format!("{path}{sign}limit={limit}{cursor}"), token).await.good();
        let part = page["items"].as_array().unwrap();
        assert!(part.len() <= limit);
        items.extend(part.iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
        assert!(items.len() < 1000, "{path} has no end");
    }
}

pub fn texts(items: &[Value], key: &str) -> Vec<String> {
    items.iter().map(|i| i[key].as_str().unwrap().to_owned()).collect()
}

/// A node with a storage in a folder.
pub async fn with_storage() -> (Site, PathBuf) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = std::env::temp_dir().join(format!("yakin-papers-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let url = format!("file://{}", folder.display());
    let storage = Storage::open(&StorageSettings { url, ..StorageSettings::default() }).unwrap();
    let outgoing = Outgoing::new(&OutgoingSettings::default()).unwrap();
    let mut outside = Outside::new(outgoing, Templates::read(None).unwrap());
    outside.storage = Some(Arc::new(storage));
    (Site::equipped(Settings::default(), |engine| engine.provide(outside)).await, folder)
}
