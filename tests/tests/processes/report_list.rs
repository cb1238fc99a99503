//! `yakin reports list`: newest first, of whom and of what, where the files lie.

use crate::common::{Site, Told, tell};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_listed_newest_first_with_file_and_digest() {
    let site = Site::with_sample(2).await;
    let list =
        |more: &[&str]| -> Told { tell(site.command(&[&["reports", "list"], more].concat())) };
    let good = |more: &[&str]| {
        let told = list(more);
        assert_eq!((told.code, told.err.as_str()), (0, ""), "{more:?}: {}", told.out);
        told.out
    };
    assert!(good(&[]).starts_with("no report; `yakin run MONTHLY_002`"));
    site.sql(
        "INSERT INTO app.files (tenant_id, key, file_type, size_bytes, sha256, created_at)
         SELECT tenant_id, 'tenant/' || code || '/r.pdf', 'pdf', 1234567, repeat('d', 64), '2026-11-02T07:00:00+09:00'
           FROM app.tenants;
         INSERT INTO app.reports (tenant_id, report_key, period_start, format, file_id, run_id, created_at)
         SELECT tenant_id, 'company-monthly', '2026-10-01', 'pdf', file_id, 118, created_at
           FROM app.files WHERE key LIKE '%/r.pdf';
         INSERT INTO app.platform_reports (report_key, period_start, format, key, size_bytes, sha256, incomplete, run_id,
                                           created_at)
         VALUES ('system-monthly', '2026-09-01', 'xlsx', 'platform/s.xlsx', 8, repeat('e', 64), '2 days', 3,
                 '2026-11-03T07:00:00+09:00')",
    )
    .await;
    let codes: Vec<String> =
        site.one("SELECT array_agg(code ORDER BY tenant_id DESC) FROM app.tenants").await;
    let out = good(&[]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines[..6],
        [
            "the service · system-monthly 2026-09-01 xlsx · 8 bytes · 2026-11-03 07:00 · run 3",
            "    platform/s.xlsx",
            &format!("    SHA-256 {}", "e".repeat(64)),
            "    missing: 2 days",
            &format!(
                "{} · company-monthly 2026-10-01 pdf · 1,234,567 bytes · 2026-11-02 07:00 · run 118",
                codes[0]
            ),
            &format!("    tenant/{}/r.pdf", codes[0]),
        ]
    );
    assert_eq!(lines.len(), 10, "{out}");

    let json = |more: &[&str]| -> Vec<Value> {
        serde_json::from_str(&good(&[more, &["--json"]].concat())).unwrap()
    };
    assert_eq!(json(&[]).len(), 3);
    assert_eq!(json(&["--month", "2026-09"])[0]["key"], "platform/s.xlsx");
    let own = json(&["--tenant", &codes[1]]);
    assert_eq!((own.len(), own[0]["tenant"].as_str()), (1, Some(codes[1].as_str())));
    assert!(
        good(&["--limit", "1"])
            .ends_with("the newest 1; --limit shows more, --month and --tenant fewer\n")
    );
    for (wrong, says) in [
        (["--month", "October"], "'October' is no month"),
        (["--tenant", "nobody"], "unknown tenant 'nobody'"),
        (["--limit", "0"], "1..=1000"),
    ] {
        let told = list(&wrong);
        assert!(told.code == 2 && told.err.contains(says), "{wrong:?}: {} {}", told.code, told.err);
    }
}
