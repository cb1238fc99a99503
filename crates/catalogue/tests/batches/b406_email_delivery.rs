//! BATCH-406: each waiting mail once, high first; what the relay answers is what the row says.

use crate::common::{Post, text};
use yakin_testkit::Seen;
use yakin_testkit::stand_in::smtp::{Act, At, SmtpStandIn, Tls};

const NINE: &str = "2026-11-01T09:10:00+09:00";

async fn world(smtp: &SmtpStandIn) -> Post {
    Post::new(NINE, &["BATCH-406"], &[&plain(smtp)], &[]).await
}

fn plain(smtp: &SmtpStandIn) -> String {
    format!("smtp+plain://127.0.0.1:{}", smtp.port())
}

async fn run(post: &Post) -> Seen {
    post.run("BATCH-406", None, &[]).await
}

async fn row(post: &Post, n: i32) -> String {
    post.one(&format!(
        "SELECT concat_ws(' ', state, attempts, deferrals, cause) FROM app.deliveries
          WHERE recipient LIKE 'mail{n}@%'"
    ))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_waiting_mail_is_sent_once_each_high_first_and_a_second_run_sends_none() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post = world(&smtp).await;
    let tenant = post.client("acme").await;
    post.mails(tenant, 240, 3).await;
    post.mails(tenant, 10, 1).await;
    let seen = run(&post).await;
    assert_eq!(
        (seen.outcome(), seen.count("sent"), seen.count("attempted")),
        ("succeeded", 250, 250)
    );
    let mails = smtp.mails();
    assert_eq!(mails.len(), 250);
    let ids: std::collections::BTreeSet<String> =
        mails.iter().map(|m| header(&m.raw, "Message-ID")).collect();
    assert_eq!(ids.len(), 250);
    assert!(mails.iter().all(|m| m.to.len() == 1));
    let urgent: Vec<String> = post
        .one("SELECT array_agg(delivery_id::text) FROM app.deliveries WHERE priority = 1")
        .await;
    for mail in &mails[..10] {
        assert!(urgent.contains(&header(&mail.raw, "X-Yakin-Delivery")), "high goes first");
    }
    let again = run(&post).await;
    assert_eq!((again.outcome(), again.tenants_total, smtp.mails().len()), ("succeeded", 0, 250));
}

fn header(raw: &[u8], name: &str) -> String {
    let text = text(raw);
    let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_of_the_relay_becomes_the_rows_outcome() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post = world(&smtp).await;
    let tenant = post.client("acme").await;
    post.mails(tenant, 3, 2).await;
    let to = |n: i32| format!("mail{n}@t{tenant}.example");
    smtp.on_rcpt(&to(1), "550 5.1.1 no such user");
    smtp.on_rcpt(&to(2), "451 4.3.0 try later");
    run(&post).await;
    assert_eq!(row(&post, 1).await, "failed 1 0 permanent");
    assert_eq!(row(&post, 2).await, "retry_wait 1 0 temporary");
    assert_eq!(row(&post, 3).await, "sent 1 0");
    let suppressed: String = post.one("SELECT address FROM app.suppressions").await;
    assert_eq!(suppressed, to(1));
    // the first retry is due an hour after the slot
    let due: bool = post
        .one("SELECT due_at = '2026-11-01T10:10:00+09:00' FROM app.deliveries WHERE state = 'retry_wait'")
        .await;
    assert!(due);
    // mail to a suppressed address fails without a call
    let taken = smtp.commands().len();
    post.sql(&format!(
        "INSERT INTO app.deliveries (tenant_id, source, source_id, channel, recipient, sender, priority, subject,
                                     body, due_at, expires_at, created_at)
         SELECT tenant_id, 'notification', 99, channel, upper(recipient), sender, priority, subject, body, due_at,
                expires_at, created_at FROM app.deliveries WHERE recipient = '{}'",
        to(1)
    ))
    .await;
    let seen = run(&post).await;
    assert_eq!(seen.count("failed"), 1);
    let asked = smtp.commands().into_iter().skip(taken);
    assert_eq!(asked.filter(|c| c.to_lowercase().contains(&to(1))).count(), 0);
    // the digest of what failed waits for the next run: to the administrator and to operations
    let told: String = post
        .one("SELECT string_agg(DISTINCT recipient, ' ' ORDER BY recipient) FROM app.deliveries WHERE source = 'digest'")
        .await;
    assert_eq!(told, "admin@acme.example operations@yakin.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_throttles_rests_and_no_attempt_is_used() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post = world(&smtp).await;
    let tenant = post.client("acme").await;
    post.mails(tenant, 3, 2).await;
    smtp.once(At::Rcpt, "450 4.7.1 slow down");
    run(&post).await;
    assert_eq!(row(&post, 1).await, "retry_wait 0 1 throttled");
    assert_eq!(post.states().await, "pending 2, retry_wait 1");
    let rests: String = post
        .one("SELECT to_char(paused_until AT TIME ZONE 'Asia/Tokyo', 'HH24:MI') FROM app.relays")
        .await;
    assert_eq!(rests, "09:40");
    // the run waits for the relay and then sends the rest
    post.live("2026-11-01T09:40:00+09:00").await;
    assert_eq!(post.states().await, "retry_wait 1, sent 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_after_the_letter_is_uncertain_and_final() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post = world(&smtp).await;
    let tenant = post.client("acme").await;
    post.mails(tenant, 2, 2).await;
    smtp.on_end_of_data_once(Act::TakeAndClose);
    run(&post).await;
    assert_eq!(row(&post, 1).await, "uncertain 1 0 uncertain");
    assert_eq!(row(&post, 2).await, "sent 1 0");
    assert_eq!(smtp.mails().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_down_for_a_while_costs_no_attempt() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post = world(&smtp).await;
    let tenant = post.client("acme").await;
    post.mails(tenant, 3, 2).await;
    smtp.set_down(true).await;
    let seen = run(&post).await;
    assert_eq!((seen.outcome(), post.states().await.as_str()), ("open", "pending 3"));
    smtp.set_down(false).await;
    post.live("2026-11-01T09:16:00+09:00").await;
    assert_eq!(post.states().await, "sent 3");
    let attempts: i64 = post.one("SELECT max(attempts)::bigint FROM app.deliveries").await;
    assert_eq!((post.seen(seen.id).await.outcome(), attempts), ("succeeded", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_stops_the_relay_and_is_reported() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    smtp.require_login("yakin", "right", "PLAIN LOGIN");
    let allow = [format!("127.0.0.1:{}", smtp.port())];
    let post = Post::new(NINE, &["BATCH-406"], &[], &allow).await;
    let tenant = post.client("acme").await;
    let credentials = serde_json::json!({"url": plain(&smtp), "user": "yakin", "password": "wrong-word",
                                         "from": "acme <info@acme.example>"});
    post.integration(tenant, "email", 600, &credentials).await;
    post.mails(tenant, 2, 2).await;
    run(&post).await;
    assert_eq!(post.states().await, "pending 2");
    post.live("2026-11-01T09:54:59+09:00").await;
    post.live("2026-11-01T10:11:00+09:00").await;
    let reports: String =
        post.one("SELECT reports::text FROM yakin.runs ORDER BY id LIMIT 1").await;
    assert!(reports.contains("535") && !reports.contains("wrong-word"), "{reports}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_of_a_relay_is_kept_for_all_tenants_together_and_they_take_turns() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post = Post::with_rate(NINE, &["BATCH-406"], &[&plain(&smtp)], &[], 30).await;
    let (a, b) = (post.client("aaa").await, post.client("bbb").await);
    post.mails(a, 100, 2).await;
    post.mails(b, 5, 2).await;
    run(&post).await;
    assert_eq!(smtp.mails().len(), 30);
    let of_b =
        format!("SELECT count(*) FROM app.deliveries WHERE tenant_id = {b} AND state = 'sent'");
    assert_eq!(post.one::<i64>(&of_b).await, 5);
    for minute in 11..=13 {
        post.live(&format!("2026-11-01T09:{minute}:00+09:00")).await;
    }
    assert_eq!((smtp.mails().len(), post.states().await.as_str()), (105, "sent 105"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_mail_fails_alone_and_before_anybody_is_called() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post = world(&smtp).await;
    let tenant = post.client("acme").await;
    post.mails(tenant, 3, 2).await;
    post.sql(
        "UPDATE app.deliveries SET subject = E'Hi\r\nBcc: victim@example.jp' WHERE recipient LIKE 'mail1@%';
         UPDATE app.deliveries SET recipient = 'no address' WHERE recipient LIKE 'mail2@%';
         UPDATE app.deliveries SET attachments = '{4711}' WHERE recipient LIKE 'mail3@%'",
    )
    .await;
    run(&post).await;
    assert_eq!((post.states().await.as_str(), smtp.mails().len()), ("failed 3", 0));
    let why: String = post
        .one("SELECT string_agg(error, E'\n' ORDER BY delivery_id) FROM app.deliveries WHERE source <> 'digest'")
        .await;
    assert!(why.contains("subject"), "{why}");
    assert!(why.contains("attachment 4711 is no file of this tenant"), "{why}");
    assert!(!smtp.commands().iter().any(|c| c.starts_with("MAIL")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_without_a_relay_is_blocked_and_its_mail_waits() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post = world(&smtp).await;
    let shy = post.tenant("shy").await;
    let open = post.client("open").await;
    post.mails(shy, 1, 2).await;
    post.mails(open, 1, 2).await;
    let seen = run(&post).await;
    assert_eq!((seen.outcome(), post.states().await.as_str()), ("partial", "pending 1, sent 1"));
    let why = post.tenant_seen(seen.id, shy).await.1.unwrap();
    let expected =
        "the tenant has no mail relay and has not agreed to the operator's (1 deliveries wait)";
    assert_eq!(why, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_attempt_had_begun_is_uncertain_the_rest_is_free() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post = world(&smtp).await;
    let tenant = post.client("acme").await;
    post.mails(tenant, 3, 2).await;
    post.mails(tenant, 1, 1).await;
    post.sql(
        "UPDATE app.deliveries SET state = 'sending', job_id = 999, token = 1,
                on_wire_at = CASE WHEN recipient LIKE 'mail1@%' THEN due_at END",
    )
    .await;
    run(&post).await;
    // not urgent: uncertain; urgent and on the wire: sent again, at least once; the others had not begun
    assert_eq!(post.states().await, "retry_wait 1, sent 2, uncertain 1");
    let urgent: String = post
        .one("SELECT concat_ws(' ', state, attempts, cause) FROM app.deliveries WHERE priority = 1")
        .await;
    assert_eq!(urgent, "retry_wait 1 uncertain");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_names_what_is_due_and_calls_nobody() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post = world(&smtp).await;
    let tenant = post.client("acme").await;
    post.mails(tenant, 2, 2).await;
    let seen = post.dry_run("BATCH-406", None, &[]).await;
    assert_eq!((seen.outcome(), seen.count("due")), ("succeeded", 2));
    let plan = seen.plan.unwrap().to_string();
    assert!(plan.contains("mail1@t") && plan.contains("件名 2"), "{plan}");
    assert_eq!((post.states().await.as_str(), smtp.connections()), ("pending 2", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_urgent_mail_goes_when_only_that_is_wanted() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post = world(&smtp).await;
    let tenant = post.client("acme").await;
    post.mails(tenant, 2, 2).await;
    post.mails(tenant, 1, 1).await;
    post.run("BATCH-406", None, &[("priority_only", "true")]).await;
    assert_eq!(post.states().await, "pending 2, sent 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_three_hours_without_the_relay_each_letter_arrives_once_or_has_expired() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post = Post::new(NINE, &["BATCH-402", "BATCH-406"], &[&plain(&smtp)], &[]).await;
    let (acme, other) = (post.client("acme").await, post.client("other").await);
    for tenant in [acme, other] {
        post.mails(tenant, 5, 2).await;
        post.mails(tenant, 1, 1).await;
    }
    // one had failed before and is BATCH-402's; one is of no use after half past ten
    post.sql(
        "UPDATE app.deliveries SET state = 'retry_wait', attempts = 1 WHERE recipient LIKE 'mail4@%';
         UPDATE app.deliveries SET expires_at = '2026-11-01T10:30:00+09:00' WHERE recipient LIKE 'mail5@%'",
    )
    .await;
    smtp.set_down(true).await;
    let mut runs = Vec::new();
    for hour in 9..=13 {
        for (minute, batch) in [(10, "BATCH-406"), (45, "BATCH-402")] {
            if (hour, minute) == (12, 45) {
                smtp.set_down(false).await;
            }
            post.set_clock(&format!("2026-11-01T{hour:02}:{minute}:00+09:00"));
            runs.push(post.run(batch, None, &[]).await.id);
            // it waits for the relay as long as it may
            for later in 1..=7 {
                let at = format!("2026-11-01T{hour:02}:{:02}:00+09:00", minute + later * 2);
                post.live(&at).await;
            }
        }
    }
    assert_eq!(post.states().await, "expired 2, sent 10");
    let tries: String = post
        .one(
            "SELECT string_agg(DISTINCT concat_ws(' ', CASE WHEN recipient LIKE 'mail4@%' THEN 'second' ELSE 'first' END,
                               state, attempts), ', ') FROM app.deliveries WHERE source <> 'digest'",
        )
        .await;
    assert_eq!(tries, "first expired 0, first sent 1, second sent 2");
    let mut ids: Vec<String> =
        smtp.mails().iter().map(|letter| header(&letter.raw, "Message-ID")).collect();
    ids.sort();
    ids.dedup();
    let letters = smtp.mails();
    let told = letters.iter().filter(|l| !l.to[0].starts_with("mail")).count();
    assert_eq!((letters.len() - told, ids.len()), (10, letters.len()), "each once");
    for run in runs {
        assert_eq!(post.seen(run).await.outcome(), "succeeded", "run {run}");
    }
}

/// A file of a tenant in the storage, and a row that says it has so many bytes.
async fn file(post: &Post, tenant: i64, name: &str, bytes: usize, said: usize) -> i64 {
    let key = format!("tenant/{tenant}/{name}");
    let path = post.folder.join("files").join(&key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, vec![b'x'; bytes]).unwrap();
    post.one(&format!(
        "INSERT INTO app.files (tenant_id, key, file_type, size_bytes, sha256, created_at)
         VALUES ({tenant}, '{key}', 'pdf', {said}, '\\x00', '{NINE}') RETURNING file_id"
    ))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attachment_of_twenty_megabytes_fails_alone_and_says_why() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post = world(&smtp).await;
    let tenant = post.client("acme").await;
    post.mails(tenant, 6, 2).await;
    let (mega, large) = (1 << 20, 20 << 20);
    let files = [
        file(&post, tenant, "large.pdf", large, large).await,
        // its row says less than lies there
        file(&post, tenant, "grown.pdf", large, 1000).await,
        file(&post, tenant, "six.pdf", 6 * mega, 6 * mega).await,
        file(&post, tenant, "five.pdf", 5 * mega, 5 * mega).await,
        file(&post, tenant, "small.pdf", 1000, 1000).await,
    ];
    let attached = [
        (1, vec![files[0]]),
        (2, vec![files[1]]),
        // each may go, both together may not
        (3, vec![files[2], files[3]]),
        (4, vec![files[4]]),
        (5, vec![files[2]]),
    ];
    for (n, ids) in attached {
        post.sql(&format!(
            "UPDATE app.deliveries SET attachments = ARRAY{ids:?} WHERE recipient = 'mail{n}@t{tenant}.example'"
        ))
        .await;
    }
    let seen = run(&post).await;
    assert_eq!((seen.outcome(), seen.count("sent"), seen.count("failed")), ("succeeded", 3, 3));
    for (n, said) in [(1, "20971520"), (2, "grown.pdf"), (3, "11534336")] {
        let row = row(&post, n).await;
        assert!(row.starts_with("failed 1 0 permanent"), "{row}");
        let error: String = post
            .one(&format!(
                "SELECT error FROM app.deliveries WHERE recipient = 'mail{n}@t{tenant}.example'"
            ))
            .await;
        assert!(error.contains(said) && error.contains("10485760"), "{error}");
    }
    for n in 4..=6 {
        assert_eq!(row(&post, n).await, "sent 1 0");
    }
    assert_eq!(smtp.mails().len(), 3);
    // it is told, and nobody's address is held against them
    let digests: i64 = post
        .one("SELECT count(*) FROM app.deliveries WHERE source = 'digest' AND body LIKE '%large.pdf%'")
        .await;
    assert!(digests > 0);
    let suppressed: i64 = post.one("SELECT count(*) FROM app.suppressions").await;
    assert_eq!(suppressed, 0);
}
