//! REALTIME_002: what is written is sent at once, each once, and no tenant waits for another.

use crate::common::Post;
use yakin_testkit::Seen;
use yakin_testkit::stand_in::smtp::{Act, At, SmtpStandIn, Tls};
use yakin_testkit::stand_in::{Next, SmsStandIn};

const BEGIN: &str = "2026-11-01T09:03:20+09:00";
const ID: &str = "REALTIME_002";

async fn world(smtp: &SmtpStandIn, ids: &[&str]) -> Post {
    Post::new(BEGIN, ids, &[&plain(smtp)], &[]).await
}

fn plain(smtp: &SmtpStandIn) -> String {
    format!("smtp+plain://127.0.0.1:{}", smtp.port())
}

/// Rows as `state attempts cause`, with the tries of their attempts, by recipient.
async fn rows(post: &Post) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT concat_ws(' ', split_part(d.recipient, '@', 1), d.state, d.attempts, d.cause,
                          (SELECT string_agg(format('(%s x %s)', a.answer, a.tries), '' ORDER BY attempt_id)
                             FROM app.delivery_attempts a WHERE (a.tenant_id, a.delivery_id) = (d.tenant_id, d.delivery_id)))
           FROM app.deliveries d WHERE d.source <> 'digest' ORDER BY d.recipient",
    )
    .fetch_all(&post.database.owner)
    .await
    .unwrap()
}

/// All runs' outcomes, with what they sent.
async fn runs(post: &Post) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT concat_ws(' ', batch_id, outcome, counts ->> 'sent') FROM yakin.runs ORDER BY id",
    )
    .fetch_all(&post.database.owner)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_sent_at_once_and_again_there_is_nothing_to_do() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post = world(&smtp, &[ID]).await;
    let (a, b) = (post.client("aaa").await, post.client("bbb").await);
    post.client("ccc").await;
    post.mails(a, 20, 2).await;
    post.mails(b, 3, 1).await;
    post.settle().await;
    assert_eq!((smtp.mails().len(), post.states().await.as_str()), (23, "sent 23"));
    assert_eq!(runs(&post).await, ["REALTIME_002 succeeded 23"]);
    let at: bool = post.one("SELECT bool_and(sent_at = due_at) FROM app.deliveries").await;
    assert!(at, "not at the instant they came due");
    let again = post.run(ID, None, &[]).await;
    assert_eq!((again.outcome(), again.tenants_total, smtp.mails().len()), ("succeeded", 0, 23));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_goes_out_in_the_second_it_is_expanded() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post = world(&smtp, &[ID, "BATCH-401"]).await;
    let tenant = post.client("aaa").await;
    post.sql(&format!(
        "INSERT INTO app.notifications (tenant_id, key, priority, data, scheduled_at, created_at)
         VALUES ({tenant}, 'report-ready', 'high', '{{\"report\": \"R\", \"link\": \"https://x.example/1\"}}',
                 '2026-11-01T08:30:00+09:00', '2026-11-01T08:00:00+09:00')"
    ))
    .await;
    let seen = post.run("BATCH-401", Some("2026-11-01"), &[]).await;
    assert_eq!(seen.outcome(), "succeeded");
    post.settle().await;
    assert_eq!(smtp.mails().len(), 1);
    assert_eq!(runs(&post).await, ["BATCH-401 succeeded 0", "REALTIME_002 succeeded 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_answer_is_tried_thrice_in_one_attempt_and_the_others_go_on() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post = world(&smtp, &[ID, "BATCH-402"]).await;
    let tenant = post.client("aaa").await;
    smtp.once(At::Rcpt, "451 4.3.0 try later");
    smtp.on_rcpt(&format!("mail2@t{tenant}.example"), "451 4.3.0 try later");
    smtp.on_rcpt(&format!("mail3@t{tenant}.example"), "550 5.1.1 no such user");
    post.mails(tenant, 4, 2).await;
    let began = std::time::Instant::now();
    post.settle().await;
    let lasted = began.elapsed().as_secs_f64();
    assert_eq!(
        rows(&post).await,
        [
            "mail1 sent 1 (sent x 2)",
            "mail2 retry_wait 1 temporary (temporary x 3)",
            "mail3 failed 1 permanent (permanent x 1)",
            "mail4 sent 1 (sent x 1)",
        ]
    );
    assert!(
        (6.0..30.0).contains(&lasted),
        "2 and 4 seconds apart, not one after another: {lasted}"
    );
    let to: Vec<String> = smtp.mails().iter().map(|m| m.to[0].clone()).collect();
    assert!(to[0].starts_with("mail4@") && to[1].starts_with("mail1@"), "{to:?}");
    let due: bool = post
        .one("SELECT due_at = '2026-11-01T10:03:20+09:00' FROM app.deliveries WHERE state = 'retry_wait'")
        .await;
    assert!(due, "BATCH-402's table says an hour");
    let told = async || -> i64 {
        post.one("SELECT count(*) FROM app.deliveries WHERE source = 'digest'").await
    };
    assert_eq!(told().await, 0, "failures are told once an hour");
    for expected in [2, 2] {
        post.run("BATCH-402", None, &[]).await;
        assert_eq!(told().await, expected, "the administrator and operations");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_after_the_letter_is_uncertain_and_not_repeated() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post = world(&smtp, &[ID]).await;
    let tenant = post.client("aaa").await;
    smtp.on_end_of_data_once(Act::TakeAndClose);
    post.mails(tenant, 2, 2).await;
    post.settle().await;
    assert_eq!(
        rows(&post).await,
        ["mail1 uncertain 1 uncertain (uncertain x 1)", "mail2 sent 1 (sent x 1)"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_406_and_402_at_the_same_time_each_mail_goes_once() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post = Post::new(
        "2026-11-01T09:10:00+09:00",
        &[ID, "BATCH-406", "BATCH-402"],
        &[&plain(&smtp)],
        &[],
    )
    .await;
    let second = post.worker().await;
    for code in ["aaa", "bbb", "ccc", "ddd", "eee"] {
        let tenant = post.client(code).await;
        post.mails(tenant, 100, 2).await;
    }
    let begin = async |batch: &str| -> Seen { post.run(batch, None, &[]).await };
    let other = async {
        while smtp.mails().len() < 500 {
            yakin_engine::worker::pool::work_until_empty(&second).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(begin("BATCH-406"), begin("BATCH-402"), post.settle(), other);
    post.settle().await;
    assert_eq!(post.states().await, "sent 500");
    let ids: std::collections::BTreeSet<Vec<u8>> =
        smtp.mails().into_iter().map(|m| m.raw).collect();
    assert_eq!((smtp.mails().len(), ids.len()), (500, 500));
}

#[tokio::test(flavor = "multi_thread")]
async fn sms_goes_to_who_has_a_number_and_not_twice() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let sms = SmsStandIn::start().await;
    let post = Post::new(BEGIN, &[ID, "BATCH-401"], &[&plain(&smtp)], &[sms.host()]).await;
    let tenant = post.client("aaa").await;
    post.sql("UPDATE app.users SET phone = '+819012345678'").await;
    let credentials = serde_json::from_str(&sms.credentials()).unwrap();
    let integration = post.integration(tenant, "sms", 600, &credentials).await;
    post.route(tenant, "sms", Some(integration), "").await;
    post.sql(&format!(
        "INSERT INTO app.notifications (tenant_id, key, data, scheduled_at, created_at)
         SELECT {tenant}, 'report-ready', jsonb_build_object('report', 'R' || n, 'link', 'https://x.example/' || n),
                '2026-11-01T08:30:00+09:00', '2026-11-01T08:00:00+09:00' FROM generate_series(1, 3) AS n"
    ))
    .await;
    sms.answer_next(SmsStandIn::error(503, 20_503));
    sms.answer_next(Next::status(429));
    post.run("BATCH-401", Some("2026-11-01"), &[]).await;
    post.settle().await;
    let bodies: Vec<String> = sms.posts().into_iter().map(|p| p.body).collect();
    assert_eq!(bodies.len(), 2, "{bodies:?}");
    assert!(bodies.iter().all(|b| b.contains("https://x.example/")), "{bodies:?}");
    assert_eq!((post.states().await.as_str(), smtp.mails().len()), ("retry_wait 1, sent 2", 0));
    let receipts: Vec<String> = post
        .one("SELECT array_agg(DISTINCT receipt) FROM app.deliveries WHERE state = 'sent'")
        .await;
    assert_eq!(receipts, ["SM00000000000000000000000000000001"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_with_much_does_not_hold_up_anothers_one() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post =
        Post::with_rate(BEGIN, &[ID], &[], &[format!("127.0.0.1:{}", smtp.port())], 60).await;
    let (a, b) = (post.client("aaa").await, post.client("bbb").await);
    for tenant in [a, b] {
        let credentials = serde_json::json!({"url": plain(&smtp), "from": "info@x.example"});
        post.integration(tenant, "email", 60, &credentials).await;
    }
    // a's rate lets 60 go in a minute: its piece is under way for long
    post.mails(a, 1_000, 2).await;
    post.settle().await;
    assert_eq!(smtp.mails().len(), 60);
    post.mails(b, 1, 1).await;
    post.settle().await;
    let to = smtp.mails().last().unwrap().to[0].clone();
    assert_eq!((smtp.mails().len(), to), (61, format!("mail1@t{b}.example")));
    // and a's own urgent one goes first when the next minute comes, in the piece after the open one or in it
    post.mails(a, 1, 1).await;
    post.settle().await;
    assert_eq!(
        post.one::<i64>("SELECT count(*) FROM yakin.arrivals").await,
        1,
        "it waits for a's piece"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_names_what_would_go_and_sends_nothing() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post = world(&smtp, &[ID]).await;
    let tenant = post.client("aaa").await;
    let enable = async |value: &str| {
        let (act, now) = (yakin_testkit::act(), post.clock.now());
        yakin_engine::operate::settings::set(
            &post.pool,
            &post.engine.registry,
            ID,
            "enabled",
            value,
            &act,
            now,
        )
        .await
        .unwrap();
    };
    // while nobody waits for arrivals, none are written
    enable("false").await;
    post.mails(tenant, 3, 2).await;
    enable("true").await;
    post.settle().await;
    assert_eq!((post.states().await.as_str(), runs(&post).await.len()), ("pending 3", 0));
    let seen = post.dry_run(ID, None, &[]).await;
    assert_eq!((seen.outcome(), seen.count("due")), ("succeeded", 3));
    assert_eq!((post.states().await.as_str(), smtp.mails().len()), ("pending 3", 0));
    let one = post.run(ID, None, &[("notification_id", "200002")]).await;
    assert_eq!((one.count("sent"), post.states().await.as_str()), (1, "pending 2, sent 1"));
    // expired before its turn
    post.live("2026-11-02T09:03:21+09:00").await;
    let late = post.run(ID, None, &[("types", "email")]).await;
    assert_eq!((late.count("expired"), smtp.mails().len()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_without_a_relay_is_blocked_and_the_others_are_done() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post = world(&smtp, &[ID]).await;
    let (a, b) = (post.client("aaa").await, post.tenant("bbb").await);
    post.mails(a, 2, 2).await;
    post.mails(b, 2, 2).await;
    post.settle().await;
    let ended: Vec<String> = sqlx::query_scalar(
        "SELECT concat_ws(' ', tenant_id = $1, state, left(reason, 28)) FROM yakin.run_tenants ORDER BY tenant_id",
    )
    .bind(a)
    .fetch_all(&post.database.owner)
    .await
    .unwrap();
    assert_eq!(ended, ["t done", "f blocked the tenant has no mail relay"]);
    assert_eq!((runs(&post).await[0].as_str(), smtp.mails().len()), ("REALTIME_002 partial 2", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_down_holds_up_no_other_sender_and_its_rows_come_again() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let sms = SmsStandIn::start().await;
    let post = Post::new(BEGIN, &[ID], &[&plain(&smtp)], &[sms.host()]).await;
    let tenant = post.client("aaa").await;
    let credentials = serde_json::from_str(&sms.credentials()).unwrap();
    let integration = post.integration(tenant, "sms", 600, &credentials).await;
    smtp.set_down(true).await;
    post.mails(tenant, 3, 2).await;
    post.settle().await;
    assert_eq!((post.states().await.as_str(), runs(&post).await.len()), ("pending 3", 1));
    // an SMS of the same tenant does not wait for the relay
    post.sql(&format!(
        "INSERT INTO app.deliveries (tenant_id, source, source_id, channel, recipient, sender, integration_id, priority,
                                     body, due_at, expires_at, created_at)
         VALUES ({tenant}, 'notification', 7, 'sms', '+819012345678', 'tenant', {integration}, 1, '至急',
                 '{BEGIN}', '2026-11-02', '{BEGIN}')"
    ))
    .await;
    post.settle().await;
    assert_eq!((sms.posts().len(), post.states().await.as_str()), (1, "pending 3, sent 1"));
    smtp.set_down(false).await;
    post.live("2026-11-01T09:08:19+09:00").await;
    assert_eq!(smtp.mails().len(), 0, "the relay rests for five minutes");
    post.live("2026-11-01T09:08:20+09:00").await;
    assert_eq!((smtp.mails().len(), post.states().await.as_str()), (3, "sent 4"));
    assert_eq!(post.one::<i64>("SELECT count(*) FROM yakin.arrivals").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_counted_over_the_hour_and_told_until_it_is_over() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post = world(&smtp, &["REALTIME_002"]).await;
    let tenant = post.client("acme").await;
    let reported = async |post: &Post| -> String {
        post.engine.watch_step().await.unwrap();
        post.one(
            "SELECT coalesce(string_agg(message, '; '), '') FROM yakin.alerts
              WHERE rule = 'reported' AND resolved_at IS NULL",
        )
        .await
    };
    // 19 in two runs, 2 of them refused: over 5 %, and too few to say so
    post.mails(tenant, 17, 2).await;
    post.settle().await;
    smtp.on(At::Rcpt, "554 5.7.1 not from you");
    post.mails(tenant, 2, 2).await;
    post.settle().await;
    assert_eq!(reported(&post).await, "");
    // a run without a failure makes it 20 within the hour
    smtp.forget_script();
    post.mails(tenant, 1, 2).await;
    post.settle().await;
    assert!(reported(&post).await.contains("2 of 20 deliveries failed within an hour"));
    // an hour later they no longer count
    post.set_clock("2026-11-01T10:04:00+09:00");
    post.mails(tenant, 20, 2).await;
    post.settle().await;
    assert_eq!(reported(&post).await, "");
}
