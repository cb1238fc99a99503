//! WEEKLY_002: hours counted once and merged, what became worse, one report a week as PDF, page and JSON, one mail.

use std::process::Command;
use std::sync::Arc;

use crate::common::Post;
use serde_json::Value;
use yakin_domain::sample::{SampleSpec, generate};
use yakin_render::{Renderer, Settings};
use yakin_testkit::Seen;
use yakin_testkit::stand_in::smtp::{SmtpStandIn, Tls};

const ID: &str = "WEEKLY_002";
/// The Monday after the week of the 19th of October 2026.
const MONDAY: &str = "2026-10-26T05:00:00+09:00";
const WEEK: &str = "2026-W43";

/// A world in which only tests start runs.
async fn world_at(begin: &str, relays: &[&str]) -> Post {
    let mut post = Post::new(begin, &[ID], relays, &[]).await;
    let engine = Arc::get_mut(&mut post.world.engine).unwrap();
    let settings = Settings::new(env!("CARGO_BIN_EXE_catalogue-probe"));
    engine.provide(Renderer::new(settings).unwrap());
    post.sql("UPDATE yakin.batches SET enabled = false").await;
    post.months(&["2024-12-01", "2025-01-01", "2026-09-01", "2026-10-01"]).await;
    post
}

async fn world() -> Post {
    world_at(MONDAY, &[]).await
}

async fn analyse(post: &Post) -> Seen {
    post.run(ID, Some("2026-10-21"), &[]).await
}

/// Calls of one endpoint at a moment.
async fn calls(
    post: &Post,
    tenant: i64,
    number: i64,
    (at, status, ms): (&str, i32, i32),
    endpoint: &str,
) {
    sqlx::query(
        "INSERT INTO app.api_call_logs
         SELECT $1, 7, $2::text::timestamptz, $3, $4, 10, 20, 'GET', $5 FROM generate_series(1, $6)",
    )
    .bind(tenant)
    .bind(at)
    .bind(status as i16)
    .bind(ms)
    .bind(endpoint)
    .bind(number)
    .execute(&post.database.owner)
    .await
    .unwrap();
}

/// A call in each hour of a week but the first `without`.
async fn every_hour(post: &Post, tenant: i64, monday: &str, without: i64) {
    post.sql(&format!(
        "INSERT INTO app.api_call_logs
         SELECT {tenant}, 7, '{monday} 00:30+09'::timestamptz + n * interval '1 hour', 200, 50, 10, 20, 'GET', '/quiet'
           FROM generate_series({without}, 167) AS n"
    ))
    .await;
}

async fn report(post: &Post) -> Value {
    post.one(&format!("SELECT report FROM app.performance_weeks WHERE iso_week = '{WEEK}'")).await
}

/// What people were told, by subject.
async fn reports(post: &Post, seen: &Seen) -> Vec<String> {
    post.one(&format!(
        "SELECT coalesce(array_agg(r ->> 'subject'), '{{}}')
           FROM yakin.runs CROSS JOIN jsonb_array_elements(reports) AS r WHERE id = {}",
        seen.id
    ))
    .await
}

/// All that the batch may write, as one text.
async fn everything(post: &Post) -> String {
    post.one(
        "SELECT concat((SELECT string_agg(h::text, E'\\n' ORDER BY h) FROM app.request_hours h),
                       (SELECT string_agg(e::text, E'\\n' ORDER BY e) FROM app.endpoint_hours e),
                       (SELECT string_agg(d::text, E'\\n' ORDER BY d) FROM app.endpoint_days d),
                       (SELECT string_agg(d::text, E'\\n' ORDER BY d) FROM app.database_weeks d),
                       (SELECT string_agg(w::text, E'\\n' ORDER BY w) FROM app.performance_weeks w),
                       (SELECT string_agg(f::text, E'\\n' ORDER BY f) FROM app.platform_reports f),
                       (SELECT string_agg(m::text, E'\\n' ORDER BY m) FROM app.platform_report_mails m))",
    )
    .await
}

fn stored(post: &Post, format: &str) -> std::path::PathBuf {
    let folder = post.folder.join("files/platform/performance").join(WEEK);
    folder.join(format!("performance-{WEEK}.{format}"))
}

fn pdf_text(post: &Post) -> String {
    let pdf = stored(post, "pdf");
    let checked = Command::new("qpdf").arg("--check").arg(&pdf).output().unwrap();
    assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
    let out =
        Command::new("pdftotext").args(["-raw", pdf.to_str().unwrap(), "-"]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().split_whitespace().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hours_are_merged_and_never_averaged() {
    let post = world().await;
    let a = post.tenant("a").await;
    calls(&post, a, 100, ("2026-10-20 10:10+09", 200, 100), "/x").await;
    calls(&post, a, 300, ("2026-10-20 11:10+09", 200, 200), "/x").await;
    let seen = analyse(&post).await;
    assert_eq!((seen.outcome(), seen.count("requests")), ("succeeded", 400));
    let report = report(&post).await;
    let total = &report["total"];
    assert_eq!(
        (&total["requests"], &total["mean_ms"], &total["p50_ms"]),
        (&400.into(), &175.0.into(), &200.into())
    );
    let x = &report["responses"]["endpoints"][0];
    assert_eq!((&x["endpoint"], &x["total_ms"]), (&"GET /x".into(), &70_000.into()));
    assert_eq!(report["responses"]["by_hour"][10]["p95_ms"], 100);
    assert_eq!(report["responses"]["by_hour"][11]["requests"], 300);
    assert_eq!(report["api"]["peak_minute"], "2026-10-20 11:10");
    assert_eq!(report["api"]["companies"][0]["days"], serde_json::json!([0, 400, 0, 0, 0, 0, 0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_and_rust_put_a_duration_under_the_same_bound() {
    let post = world().await;
    let a = post.tenant("a").await;
    post.sql(&format!(
        "INSERT INTO app.api_call_logs
         SELECT {a}, 7, '2026-10-20 10:10+09', 200, n, 10, 20, 'GET', '/x'
           FROM generate_series(0, 120000, 7) AS n"
    ))
    .await;
    analyse(&post).await;
    let found: Value = post.one("SELECT durations FROM app.endpoint_hours").await;
    let mut wanted = yakin_domain::performance::durations::Durations::default();
    (0..=120_000).step_by(7).for_each(|ms| wanted.add(ms, 1));
    assert_eq!(found, serde_json::to_value(&wanted).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_worse_is_told_where_there_were_enough_requests() {
    let post = world().await;
    let a = post.tenant("a").await;
    for (at, ms) in [("2026-10-14 10:00+09", 500), ("2026-10-21 10:00+09", 600)] {
        calls(&post, a, 1_000, (at, 200, ms), "/many").await;
        calls(&post, a, 50, (at, 200, ms), "/few").await;
    }
    calls(&post, a, 20, ("2026-10-14 10:00+09", 404, 5), "/gone").await;
    calls(&post, a, 30, ("2026-10-21 10:00+09", 503, 5), "/new").await;
    calls(&post, a, 5, ("2026-10-21 10:00+09", 429, 5), "/new").await;
    let seen = analyse(&post).await;
    let report = report(&post).await;
    let told: Vec<(&str, &str)> = report["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["endpoint"].as_str().unwrap(), c["measure"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("", "p95"), ("", "server_errors"), ("GET /many", "p95")]);
    assert_eq!(report["changes"][2]["worse_percent"], 20.0);
    // the errors of the whole service grew from none: people are told at once
    assert_eq!(
        reports(&post, &seen).await,
        ["performance became worse", "the week's record is incomplete"]
    );
    let errors = &report["errors"];
    assert_eq!(
        (&errors["new"][0]["endpoint"], &errors["new"][0]["status"]),
        (&"GET /new".into(), &503.into())
    );
    assert_eq!(
        (&errors["vanished"][0]["before"], &errors["vanished_in_all"]),
        (&20.into(), &1.into())
    );
    assert_eq!((&report["api"]["rejected"], &report["api"]["calls"]), (&5.into(), &1_085.into()));
    assert_eq!(report["weeks"][2]["p95_ms"], 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_without_data_lower_the_coverage_until_the_report_is_incomplete() {
    for (without, percent, complete) in [(30, "82.1", true), (40, "76.2", false)] {
        let post = world().await;
        let a = post.tenant("a").await;
        every_hour(&post, a, "2026-10-19", without).await;
        let seen = analyse(&post).await;
        assert_eq!(reports(&post, &seen).await.is_empty(), complete);
        let row: (String, bool) =
            sqlx::query_as("SELECT coverage_percent::text, complete FROM app.performance_weeks")
                .fetch_one(&post.database.owner)
                .await
                .unwrap();
        assert_eq!(row, (percent.to_owned(), complete));
        assert_eq!(pdf_text(&post).contains("不完全です"), !complete);
        let hours = report(&post).await["responses"]["hours"].as_array().unwrap().clone();
        assert_eq!(hours.iter().filter(|h| h.is_null()).count() as i64, without);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_week_over_new_year_is_the_first_of_the_new() {
    let post = world_at("2025-01-06T05:00:00+09:00", &[]).await;
    let a = post.tenant("a").await;
    for at in ["2024-12-30 00:00+09", "2025-01-05 23:59:59+09"] {
        calls(&post, a, 1, (at, 200, 10), "/x").await;
    }
    for at in ["2024-12-29 23:59:59+09", "2025-01-06 00:00+09"] {
        calls(&post, a, 1, (at, 200, 10), "/x").await;
    }
    post.run(ID, None, &[]).await;
    let found: String =
        post.one("SELECT iso_week || ' ' || week_start || ' ' || (report #>> '{total,requests}') FROM app.performance_weeks").await;
    assert_eq!(found, "2025-W01 2024-12-30 2");
    // a week that is not over has no report
    assert_eq!(post.run(ID, Some("2025-01-06"), &[]).await.outcome(), "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_has_one_row_one_set_of_files_and_one_mail() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let relay = format!("smtp+plain://127.0.0.1:{}", smtp.port());
    let post = world_at(MONDAY, &[&relay]).await;
    let (a, b) = (post.tenant("a").await, post.tenant("b").await);
    every_hour(&post, a, "2026-10-19", 0).await;
    calls(&post, b, 9, ("2026-10-21 10:00+09", 200, 5), "/x").await;
    analyse(&post).await;
    let first = everything(&post).await;
    assert_eq!(smtp.mails().len(), 1);
    let mail = crate::common::text(&smtp.mails()[0].raw);
    assert!(
        mail.contains("performance-2026-W43.pdf")
            && smtp.mails()[0].to[0].contains("operations@yakin.example")
    );

    calls(&post, a, 100, ("2026-10-21 10:00+09", 200, 9_000), "/late").await;
    let again = analyse(&post).await;
    assert_eq!((again.outcome(), again.count("reused") > 0), ("succeeded", true));
    assert_eq!(everything(&post).await, first);
    assert_eq!(smtp.mails().len(), 1);
    let kept: (i64, i64, String) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM app.performance_weeks), (SELECT count(*) FROM app.platform_reports),
                (SELECT string_agg(state, ',') FROM app.platform_report_mails)",
    )
    .fetch_one(&post.database.owner)
    .await
    .unwrap();
    assert_eq!(kept, (1, 3, "sent".to_owned()));
    // each company has its own calls
    let each: Vec<(String, i64)> = sqlx::query_as(
        "SELECT code, sum(requests)::bigint FROM app.endpoint_days JOIN app.tenants USING (tenant_id) GROUP BY 1 ORDER BY 1",
    )
    .fetch_all(&post.database.owner)
    .await
    .unwrap();
    assert_eq!(each, [("a".to_owned(), 168), ("b".to_owned(), 9)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_writes_nothing_and_says_what_it_would() {
    let post = world().await;
    let a = post.tenant("a").await;
    every_hour(&post, a, "2026-10-19", 0).await;
    let before = everything(&post).await;
    let seen = post.dry_run(ID, Some("2026-10-21"), &[]).await;
    assert_eq!(seen.outcome(), "succeeded");
    assert_eq!(everything(&post).await, before);
    let plan = seen.plan.unwrap().to_string();
    for wanted in ["app.performance_weeks", "app.request_hours", "document"] {
        assert!(plan.contains(wanted), "{wanted} in {plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_read_is_a_missing_chapter() {
    let post = world().await;
    let a = post.tenant("a").await;
    every_hour(&post, a, "2026-10-19", 0).await;
    post.sql(
        "CREATE OR REPLACE FUNCTION app.statement_figures() RETURNS jsonb LANGUAGE plpgsql AS
         $$ BEGIN RAISE EXCEPTION 'no statistics today'; END $$",
    )
    .await;
    assert_eq!(analyse(&post).await.outcome(), "partial");
    let why = report(&post).await["database"]["missing"].to_string();
    assert!(why.contains("no statistics today"), "{why}");
    assert!(pdf_text(&post).contains("この章は作成できませんでした"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_extension_statements_are_not_configured_and_it_says_how_to_mend() {
    let post = world().await;
    let a = post.tenant("a").await;
    every_hour(&post, a, "2026-10-19", 0).await;
    assert_eq!(analyse(&post).await.outcome(), "succeeded");
    let database = report(&post).await["database"]["here"].clone();
    assert_eq!(database["statements"], "not_configured");
    assert!(database["largest"].as_array().unwrap().len() == 10, "{database}");
    assert!(pdf_text(&post).contains("CREATEEXTENSIONpg_stat_statements"));
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_what_the_extension_counted_between_two_mondays() {
    let post = world_at("2026-10-19T05:00:00+09:00", &[]).await;
    let a = post.tenant("a").await;
    every_hour(&post, a, "2026-10-12", 0).await;
    every_hour(&post, a, "2026-10-19", 0).await;
    post.sql("CREATE EXTENSION pg_stat_statements").await;
    let unread: bool = post.one("SELECT app.statement_figures() IS NULL").await;
    assert!(unread, "an owner who may not read statements has found none");
    let reader = format!("{}_reader", post.database.name());
    post.sql(&format!(
        "CREATE ROLE {reader}; GRANT pg_read_all_stats TO {reader}; GRANT USAGE ON SCHEMA public TO {reader};
         ALTER FUNCTION app.statement_figures() OWNER TO {reader}"
    ))
    .await;
    // (the server loads the extension's library and counts where it is told to)
    let spin = async |times: i64| {
        for n in 0..times {
            post.sql(&format!(
                "SET pg_stat_statements.track = 'top';
                 SELECT count(*) FROM generate_series(1, 200000) AS spun (n) WHERE n > {n};
                 COMMENT ON TABLE app.tenants IS 'password {n}';
                 RESET pg_stat_statements.track"
            ))
            .await;
        }
    };
    spin(3).await;
    assert_eq!(post.run(ID, Some("2026-10-14"), &[]).await.outcome(), "succeeded");
    spin(7).await;
    post.set_clock(MONDAY);
    assert_eq!(analyse(&post).await.outcome(), "succeeded");
    let known = report(&post).await["database"]["here"]["statements"]["known"].clone();
    let spun = |list: &str| -> Value {
        let all = known[list].as_array().unwrap();
        all.iter().find(|s| s["query"].as_str().unwrap().contains("AS spun")).unwrap().clone()
    };
    for list in ["by_total", "by_mean"] {
        let found = spun(list);
        assert_eq!(
            (&found["calls"], &found["rows"]),
            (&Value::from(7), &Value::from(7)),
            "{known}"
        );
        let query = found["query"].as_str().unwrap();
        assert!(query.contains("WHERE n > $"), "{query}");
    }
    assert!(!known.to_string().contains("password"), "{known}");
    assert!(pdf_text(&post).contains("spun"), "the statements are not in the document");
    post.sql(&format!("DROP OWNED BY {reader}; DROP ROLE {reader}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_are_text_in_the_pdf_and_in_the_page() {
    let post = world().await;
    let a = post.tenant("a").await;
    post.sql("UPDATE app.tenants SET name = '<img src=x onerror=alert(1)>'").await;
    let hostile = "/x</text><script>alert('1')</script>#panic(\"p\")\u{202e}$x^2$*b*";
    every_hour(&post, a, "2026-10-19", 0).await;
    calls(&post, a, 500, ("2026-10-21 10:00+09", 500, 70), hostile).await;
    calls(&post, a, 5, ("2026-10-21 11:00+09", 500, 70), &"長".repeat(500)).await;
    let seen = analyse(&post).await;
    let said = seen.outcome().to_owned();
    assert_eq!(said, "succeeded");
    let text = pdf_text(&post);
    assert!(text.contains("/x</text><script>alert('1')</script>#panic(\"p\")$x^2$*b*"), "{text}");
    let page = std::fs::read_to_string(stored(&post, "html")).unwrap();
    for never in ["<script", "<img", "\u{202e}"] {
        assert!(!page.contains(never), "{never} in the page");
    }
    for wanted in
        ["&lt;script&gt;alert(", "&lt;img src=x", "default-src 'none'", "<svg", "lang=\"ja\""]
    {
        assert!(page.contains(wanted), "{wanted} is missing in the page");
    }
    let longest: i32 = post.one("SELECT max(length(endpoint)) FROM app.endpoint_hours").await;
    assert_eq!(longest, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_english_report() {
    let post = world().await;
    let a = post.tenant("a").await;
    every_hour(&post, a, "2026-10-19", 0).await;
    post.run(ID, Some("2026-10-21"), &[("language", "en")]).await;
    let text = pdf_text(&post);
    for wanted in ["Weeklyperformance2026-W43", "Responsetimes", "Notconfigured", "Mon–Sun"] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_samples_week_fills_every_chapter() {
    let post = world_at("2026-10-31T21:00:00+09:00", &[]).await;
    let as_of = post.clock.now();
    let spec = SampleSpec { log_rows: 150_000, ..SampleSpec::new(22, 300, 7, as_of) };
    let mut connection = post.database.engine_pool(1).await.acquire().await.unwrap().detach();
    generate(&mut connection, &spec, |_| {}).await.unwrap();
    let seen = analyse(&post).await;
    assert_eq!(seen.outcome(), "succeeded");
    let report = report(&post).await;
    assert!(report["coverage"]["percent"].as_f64().unwrap() > 95.0, "{}", report["coverage"]);
    assert!(report["responses"]["endpoints_in_all"].as_u64().unwrap() >= 15, "{report}");
    let told = report["changes"].to_string();
    assert!(told.contains("GET /api/v1/engineers/search"), "{told}");
    assert!(report["api"]["companies"].as_array().unwrap().len() > 10);
    assert!(pdf_text(&post).contains("企業別"));
    // for whoever wants to look
    let seen = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("performance");
    std::fs::create_dir_all(&seen).unwrap();
    for format in ["pdf", "html"] {
        std::fs::copy(stored(&post, format), seen.join(format!("week.{format}"))).unwrap();
    }
}
