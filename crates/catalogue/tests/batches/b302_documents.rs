//! BATCH-302's documents, mails and accounting files: made once from the frozen rows, held back where a person must
//! decide first.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::billing_world::issuer;
use crate::common::Post;
use yakin_domain::billing;
use yakin_domain::billing::export::{Encoding, Form, LineEnd};
use yakin_engine::operate::runs::{Again, rerun};
use yakin_engine::record::audit::Act;
use yakin_render::{Renderer, Settings};
use yakin_testkit::stand_in::smtp::{SmtpStandIn, Tls};

/// The 1st of July 2026: June is billed.
async fn world(relays: &[&str], documents: Option<&Path>) -> Post {
    let ids = ["BATCH-204", "BATCH-301", "BATCH-302", "BATCH-406"];
    let mut post = Post::new("2026-07-01T02:00:00+09:00", &ids, relays, &[]).await;
    let engine = Arc::get_mut(&mut post.world.engine).unwrap();
    engine.provide(issuer());
    engine.provide(Form { encoding: Encoding::Utf8, line_end: LineEnd::Crlf });
    // the program that renders is a binary of this package's own
    let settings = Settings {
        templates: documents.map(Path::to_path_buf),
        ..Settings::new(env!("CARGO_BIN_EXE_catalogue-probe"))
    };
    engine.provide(Renderer::new(settings).unwrap());
    post
}

/// A client with a quiet, complete June; `calls` API calls on its fifth.
async fn client(post: &Post, code: &str, calls: i64) -> i64 {
    let tenant = post.client(code).await;
    post.sql(&format!(
        "INSERT INTO app.tenant_usage_daily (tenant_id, usage_date, api_calls, api_users, api_successes, api_errors,
                api_bytes_in, api_bytes_out, active_users, reports_generated, sessions, logins, storage_bytes,
                storage_files, storage_owners, storage_document_bytes, storage_image_bytes, storage_other_bytes,
                cpu_seconds, memory_mb_seconds, processes, network_bytes_in, network_bytes_out, connections,
                feature_uses, feature_users, feature_seconds, run_id)
         SELECT {tenant}, d::date, CASE extract(day FROM d) WHEN 5 THEN {calls} ELSE 0 END, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
           FROM generate_series(date '2026-06-01', date '2026-06-30', '1 day') AS d;
         INSERT INTO yakin.completions (batch_id, period_start, tenant_id, run_id, completed_at)
         SELECT 'BATCH-301', usage_date, tenant_id, 0, usage_date + 1 FROM app.tenant_usage_daily
          WHERE tenant_id = {tenant}"
    ))
    .await;
    tenant
}

fn stored(post: &Post, key: &str) -> Vec<u8> {
    std::fs::read(post.folder.join("files").join(key)).expect(key)
}

fn pdftotext(post: &Post, key: &str) -> String {
    let out = Command::new("pdftotext")
        .args(["-layout", post.folder.join("files").join(key).to_str().unwrap(), "-"])
        .output()
        .unwrap();
    String::from_utf8(out.stdout).unwrap()
}

const ACME: &str = "tenant/acme/invoices/2026-06/INV-202606-acme-0001";

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_is_rendered_stored_mailed_and_exported_once() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let relay = format!("smtp+plain://127.0.0.1:{}", smtp.port());
    let post = world(&[&relay], None).await;
    client(&post, "acme", 103_500).await;
    let seen = post.run("BATCH-302", Some("2026-06-15"), &[]).await;
    assert_eq!((seen.outcome(), seen.count("invoices")), ("succeeded", 1));

    let text = pdftotext(&post, &format!("{ACME}.pdf"));
    for expected in
        ["INV-202606-acme-0001", "T9700110012005", "株式会社acme", "55,528", "2026年7月31日"]
    {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    let json: serde_json::Value =
        serde_json::from_slice(&stored(&post, &format!("{ACME}.json"))).unwrap();
    assert_eq!(
        (json["total"].as_str(), json["taxes"][0]["tax"].as_str()),
        (Some("55528"), Some("5048"))
    );
    let digest: bool = post
        .one(
            "SELECT i.document_sha256 = f.sha256 AND i.document_ready_at IS NOT NULL AND i.exported_at IS NOT NULL
               FROM app.invoices i JOIN app.files f ON f.key = i.document_key",
        )
        .await;
    assert!(digest);
    let key: String = post.one("SELECT key FROM app.accounting_exports").await;
    let csv = String::from_utf8(stored(&post, &key)).unwrap();
    let total: i64 = post.one("SELECT control_total::bigint FROM app.accounting_exports").await;
    assert_eq!(total, 55_528);
    assert!(csv.ends_with("\r\n合計,1件,,,,,,,,JPY,,50480,5048,55528,,\r\n"), "{csv}");

    post.set_clock("2026-07-01T02:10:00+09:00");
    post.run("BATCH-406", None, &[]).await;
    let mails = smtp.mails();
    assert_eq!((mails.len(), mails[0].to[0].contains("acme@example.com")), (1, true));
    assert!(crate::common::text(&mails[0].raw).contains("INV-202606-acme-0001.pdf"));
    assert!(post.one::<bool>("SELECT sent_at IS NOT NULL FROM app.invoices").await);

    // again: nothing new anywhere
    let before = stored(&post, &format!("{ACME}.pdf"));
    let again = post.run("BATCH-302", Some("2026-06-15"), &[]).await;
    post.run("BATCH-406", None, &[]).await;
    assert_eq!((again.count("reused"), smtp.mails().len()), (1, 1));
    assert_eq!(stored(&post, &format!("{ACME}.pdf")), before);
    assert_eq!(post.one::<i64>("SELECT count(*) FROM app.accounting_exports").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_invoice_has_its_document_but_is_mailed_and_exported_only_after_approval() {
    let post = world(&[], None).await;
    let acme = client(&post, "acme", 900_000).await;
    post.sql(&format!(
        "INSERT INTO app.invoices (tenant_id, contract_id, period_start, period_end, number, state, currency, subtotal,
                tax, total, issued_on, due_on, usage_digest, snapshot, run_id)
         SELECT {acme}, contract_id, '2026-05-01', '2026-06-01', 'INV-202605-acme-0001', 'issued', 'JPY', 50000, 5000,
                55000, '2026-06-01', '2026-07-01', '', '{{}}', 0 FROM app.contracts WHERE tenant_id = {acme}"
    ))
    .await;
    client(&post, "other", 0).await;
    let seen = post.run("BATCH-302", Some("2026-06-15"), &[]).await;
    assert_eq!(seen.count("held"), 1);
    let number = "INV-202606-acme-0001";
    let standing = format!(
        "SELECT concat_ws(' ', document_ready_at IS NOT NULL, exported_at IS NOT NULL,
                (SELECT count(*) FROM app.deliveries WHERE source = 'invoice' AND source_id = invoice_id))
           FROM app.invoices WHERE number = '{number}'"
    );
    assert_eq!(post.one::<String>(&standing).await, "t f 0");
    let act = Act { actor: "tester".to_owned(), reason: "campaign".to_owned() };
    billing::decide(&post.pool, &post.engine.registry, number, true, &act, post.clock.now())
        .await
        .unwrap();
    post.settle().await;
    assert_eq!(post.one::<String>(&standing).await, "t t 1");
    let exports: String = post
        .one("SELECT string_agg(invoices || ':' || control_total, ' ' ORDER BY export_id) FROM app.accounting_exports")
        .await;
    assert_eq!(exports, "1:55000 1:160600");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cancelled_run_had_issued_is_exported_by_the_next_run_of_its_month() {
    let post = world(&[], None).await;
    client(&post, "acme", 0).await;
    let other = client(&post, "other", 0).await;
    let (may, heads) = (client(&post, "may", 0).await, client(&post, "heads", 0).await);
    // another month's and the other engine's are not this batch's to export now
    post.sql(&format!(
        "UPDATE app.contracts SET ends_on = '2026-05-31' WHERE tenant_id = {may};
         UPDATE app.contracts SET billing_engine = 'skillsheet' WHERE tenant_id = {heads};
         INSERT INTO app.invoices (tenant_id, contract_id, period_start, period_end, number, state, currency, subtotal,
                tax, total, issued_on, due_on, usage_digest, snapshot, run_id)
         SELECT tenant_id, contract_id, first, first + interval '1 month', 'INV-' || tenant_id, 'issued', 'JPY', 7, 0, 7,
                '2026-06-01', '2026-07-01', '', '{{}}', 0
           FROM app.contracts, (VALUES ({may}, date '2026-05-01'), ({heads}, date '2026-06-01')) AS of (payer, first)
          WHERE tenant_id = payer;
         INSERT INTO app.invoice_taxes (tenant_id, invoice_id, tax_rate, taxable, tax)
         SELECT tenant_id, invoice_id, 0.1, 7, 0 FROM app.invoices"
    ))
    .await;
    // usage that is not settled: the second tenant waits for its next attempt, and the run is cancelled meanwhile
    post.sql(&format!(
        "INSERT INTO app.usage_statistics (tenant_id, usage_date, calls, call_users, successful, client_errors,
                server_errors, response_ms_sum, request_bytes, response_bytes, storage_bytes, files,
                reports_generated, reports_completed, report_users, sessions, session_seconds, active_users, run_id)
         VALUES ({other}, '2026-06-29', 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)"
    ))
    .await;
    let first = post.run("BATCH-302", Some("2026-06-15"), &[]).await;
    let act = yakin_testkit::act();
    yakin_engine::operate::runs::cancel(&post.pool, first.id, &act, post.clock.now())
        .await
        .unwrap();
    post.settle().await;
    assert_eq!(post.seen(first.id).await.outcome(), "cancelled");
    let exported = "SELECT concat_ws(' ', count(*), count(exported_at)) FROM app.invoices";
    assert_eq!(post.one::<String>(exported).await, "3 0", "acme's is issued");

    post.sql("DELETE FROM app.usage_statistics").await;
    let rest = yakin_engine::operate::runs::Wanted {
        date: Some(yakin_testkit::day("2026-06-15")),
        tenants: vec![other],
        ..Default::default()
    };
    let rest = post.run_as("BATCH-302", rest).await;
    assert_eq!((rest.outcome(), rest.count("invoices")), ("succeeded", 1));
    let files = "SELECT string_agg(concat_ws(' ', run_id, invoices, control_total), ', ' ORDER BY export_id)
                   FROM app.accounting_exports";
    let expected = format!("{} 2 110000", rest.id);
    assert_eq!(post.one::<String>(files).await, expected);
    let key: String = post.one("SELECT key FROM app.accounting_exports").await;
    let csv = String::from_utf8(stored(&post, &key)).unwrap();
    for (number, run) in [("INV-202606-acme-0001", first.id), ("INV-202606-other-0001", rest.id)] {
        let row = csv.lines().find(|line| line.starts_with(number)).expect(number);
        assert!(row.ends_with(&format!(",{run}")), "{row}");
    }
    let whole = post.run("BATCH-302", Some("2026-06-15"), &[]).await;
    assert_eq!((whole.outcome(), whole.count("reused")), ("succeeded", 2));
    assert_eq!(post.one::<String>(files).await, expected, "each is exported once");
    assert_eq!(post.one::<String>(exported).await, "4 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_without_an_address_stands_and_its_mail_waits_for_a_person() {
    let post = world(&[], None).await;
    let acme = client(&post, "acme", 0).await;
    post.sql("UPDATE app.tenants SET billing_email = NULL").await;
    let seen = post.run("BATCH-302", Some("2026-06-15"), &[]).await;
    assert_eq!(seen.outcome(), "succeeded");
    let letter: String = post.one("SELECT error FROM yakin.dead_letters").await;
    assert_eq!(letter, "tenant acme has no billing_email: INV-202606-acme-0001 cannot be mailed");
    post.sql(&format!(
        "UPDATE app.tenants SET billing_email = 'a@acme.example' WHERE tenant_id = {acme}"
    ))
    .await;
    let fingerprint: String = post.one("SELECT fingerprint FROM yakin.dead_letters").await;
    requeue(&post, &fingerprint).await;
    assert_eq!(post.states().await, "pending 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_template_of_the_operators_is_a_dead_letter_and_the_invoice_stands() {
    let folder = std::env::temp_dir().join(format!("yakin-broken-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("invoice")).unwrap();
    std::fs::write(folder.join("invoice/main.typ"), "#let x = \n= Broken #(1 / 0)").unwrap();
    let post = world(&[], Some(&folder)).await;
    client(&post, "acme", 0).await;
    let seen = post.run("BATCH-302", Some("2026-06-15"), &[]).await;
    assert_eq!((seen.outcome(), seen.count("invoices")), ("succeeded", 1));
    let letter: String =
        post.one("SELECT concat_ws(' ', cause, error) FROM yakin.dead_letters").await;
    assert!(
        letter.starts_with("data rendering invoice: ") && letter.contains("main.typ:"),
        "{letter}"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_refuses_leaves_dead_letters_and_once_mended_nothing_is_lost() {
    let post = world(&[], None).await;
    client(&post, "acme", 0).await;
    // the store's folder is gone: a file stands in its place
    let files = post.folder.join("files");
    std::fs::remove_dir_all(&files).unwrap();
    std::fs::write(&files, "in the way").unwrap();
    let seen = post.run("BATCH-302", Some("2026-06-15"), &[]).await;
    assert_eq!((seen.outcome(), seen.count("invoices")), ("succeeded", 1));
    let ready = "SELECT count(*) FROM app.invoices WHERE document_ready_at IS NOT NULL";
    assert_eq!(post.one::<i64>(ready).await, 0);
    std::fs::remove_file(&files).unwrap();
    std::fs::create_dir(&files).unwrap();
    let letters: Vec<String> =
        post.one("SELECT array_agg(id::text ORDER BY id) FROM yakin.dead_letters").await;
    assert_eq!(letters.len(), 2, "the document and the accounting file");
    for letter in letters {
        requeue(&post, &letter).await;
    }
    assert_eq!(post.one::<i64>(ready).await, 1);
    assert_eq!(post.states().await, "pending 1");
    assert_eq!(post.one::<i64>("SELECT count(*) FROM app.accounting_exports").await, 1);
}

/// A storage that takes nothing more: for root a file system that is full, else a folder nobody may write to.
struct Full(std::path::PathBuf);

impl Full {
    fn at(folder: &Path) -> Full {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(folder);
        if mount.output().is_ok_and(|o| o.status.success()) {
            let filled = std::fs::write(folder.join("filling"), vec![0; 1 << 20]);
            assert_eq!(filled.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
        } else {
            rights(folder, 0o555);
        }
        Full(folder.to_owned())
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
        rights(&self.0, 0o755);
    }
}

fn rights(folder: &Path, mode: u32) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(folder, mode).unwrap();
}

/// What a night leaves of documents: made, rows of files, files, accounting files, letters; and dead letters.
async fn left(post: &Post) -> String {
    let rows: String = post
        .one(
            "SELECT concat_ws(' ', (SELECT count(document_ready_at) FROM app.invoices), (SELECT count(*) FROM app.files),
                    (SELECT count(*) FROM app.accounting_exports), (SELECT count(*) FROM app.deliveries),
                    (SELECT count(*) FROM yakin.dead_letters WHERE state = 'waiting'))",
        )
        .await;
    let (mut files, mut folders) = (0, vec![post.folder.join("files")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files += 1,
            }
        }
    }
    format!("{rows}, {files} files")
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_wait_for_a_storage_that_is_full_and_are_made_once() {
    let post = world(&[], None).await;
    for code in ["acme", "other"] {
        client(&post, code, 0).await;
    }
    let full = Full::at(&post.folder.join("files"));
    let seen = post.run("BATCH-302", Some("2026-06-15"), &[]).await;
    assert_eq!((seen.outcome(), seen.count("invoices")), ("succeeded", 2));
    let causes: String = post
        .one("SELECT string_agg(DISTINCT concat_ws(' ', outcome, cause), ', ') FROM yakin.job_history WHERE outcome <> 'done'")
        .await;
    assert_eq!(causes, "retry storage");
    assert!(left(&post).await.starts_with("0 0 0 0 0"));
    drop(full);
    post.live("2026-07-01T02:06:00+09:00").await;
    // two documents and their data, the accounting file, two letters
    assert_eq!(left(&post).await, "2 4 1 2 0, 5 files");
    let again = post.run("BATCH-302", Some("2026-06-15"), &[]).await;
    assert_eq!(again.count("reused"), 2);
    assert_eq!(left(&post).await, "2 4 1 2 0, 5 files");
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_gave_up_on_a_full_storage_are_completed_by_requeueing_them_once() {
    let post = world(&[], None).await;
    client(&post, "acme", 0).await;
    let full = Full::at(&post.folder.join("files"));
    let seen = post.run("BATCH-302", Some("2026-06-15"), &[]).await;
    for at in ["02:06", "02:18", "02:41", "03:30"] {
        post.live(&format!("2026-07-01T{at}:00+09:00")).await;
    }
    let letters: Vec<String> =
        post.one("SELECT array_agg(concat_ws(' ', cause, attempts)) FROM yakin.dead_letters").await;
    assert_eq!(letters, ["storage 4", "storage 4"], "the document and the accounting file");
    // the tenant's piece is done: there is nothing of it to be done again
    let (registry, now) = (&post.engine.registry, post.clock.now());
    let act = yakin_testkit::act();
    let refused = rerun(&post.pool, registry, seen.id, Again::Failed, &act, now).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("no tenant of run"), "{refused}");
    drop(full);
    let waiting: Vec<String> =
        post.one("SELECT array_agg(id::text ORDER BY id) FROM yakin.dead_letters").await;
    for letter in waiting {
        requeue(&post, &letter).await;
    }
    assert_eq!(left(&post).await, "1 2 1 1 0, 3 files");
}

async fn requeue(post: &Post, which: &str) {
    let (registry, now) = (&post.engine.registry, post.clock.now());
    yakin_engine::operate::dead::requeue(&post.pool, registry, which, &yakin_testkit::act(), now)
        .await
        .unwrap();
    post.settle().await;
}
