//! Deliveries among each other and against what goes wrong half-way: each goes out once, and what is known of it stays
//! known.

use crate::common::Post;
use serde_json::json;
use yakin_testkit::stand_in::smtp::{At, SmtpStandIn, Tls};

/// A world with a relay of the operator's, and a tenant who may use it.
async fn world(smtp: &SmtpStandIn, begin: &str) -> (Post, i64) {
    let relay = format!("smtp+plain://127.0.0.1:{}", smtp.port());
    let post = Post::new(begin, &["BATCH-402", "BATCH-406"], &[&relay], &[]).await;
    let tenant = post.client("acme").await;
    (post, tenant)
}

const NINE: &str = "2026-11-01T09:10:00+09:00";
const LATER: &str = "2026-11-01T09:45:00.3+09:00";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_living_attempt_is_sending_is_left_to_it() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let (post, tenant) = world(&smtp, LATER).await;
    post.mails(tenant, 2, 1).await;
    post.sql(&format!(
        "WITH job AS (
             INSERT INTO yakin.jobs (queue, tenant_id, state, priority, batch_id, kind, run_at, token, lease_until)
             VALUES ('notify', {tenant}, 'running', 0, 'BATCH-406', 'tenant', '{NINE}', 7,
                     clock_timestamp() + interval '1 hour') RETURNING id)
         UPDATE app.deliveries SET state = 'sending', job_id = job.id, token = 7,
                on_wire_at = CASE WHEN recipient LIKE 'mail1@%' THEN due_at END FROM job"
    ))
    .await;
    post.run("BATCH-402", None, &[]).await;
    assert_eq!((post.states().await.as_str(), smtp.mails().len()), ("sending 2", 0));
    // another token of the same job is another attempt: this one is dead
    post.sql("UPDATE yakin.jobs SET token = 8").await;
    post.run("BATCH-402", None, &[]).await;
    assert_eq!(post.states().await, "pending 1, retry_wait 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_is_recorded_although_the_next_cannot_be_made_ready() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let (post, tenant) = world(&smtp, NINE).await;
    post.mails(tenant, 3, 1).await;
    post.sql(
        "UPDATE app.deliveries SET attachments = '{1}' WHERE recipient LIKE 'mail2@%';
         REVOKE SELECT ON app.files FROM yakin_tenant",
    )
    .await;
    post.run("BATCH-406", None, &[]).await;
    assert_eq!((post.states().await.as_str(), smtp.mails().len()), ("pending 2, sent 1", 1));
    let held: i64 = post
        .one("SELECT count(*) FROM app.deliveries WHERE coalesce(job_id, token) IS NOT NULL OR on_wire_at IS NOT NULL")
        .await;
    assert_eq!(held, 0);
    // and once it can, each goes once
    post.sql(
        "GRANT SELECT ON app.files TO yakin_tenant; UPDATE app.deliveries SET attachments = '{}'",
    )
    .await;
    post.set_clock(LATER);
    post.run("BATCH-402", None, &[]).await;
    post.set_clock("2026-11-01T10:10:00+09:00");
    post.run("BATCH-406", None, &[]).await;
    assert_eq!((post.states().await.as_str(), smtp.mails().len()), ("sent 3", 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_enters_as_its_relay_reaches_nothing_of_the_operators() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let post = Post::new(NINE, &["BATCH-406"], &[], &[]).await;
    let folder = post.folder.join("mailbox");
    let from = "acme <info@acme.example>";
    let inside = format!("127.0.0.1:{}", smtp.port());
    for (code, credentials, expected) in [
        (
            "aaa",
            json!({"url": format!("file://{}", folder.display()), "from": from}),
            "is a folder",
        ),
        ("bbb", json!({"url": format!("smtp+plain://{inside}"), "from": from}), "is without TLS"),
        (
            "ccc",
            json!({"url": format!("smtp://{inside}"), "from": from}),
            "is not public (loopback)",
        ),
        (
            "ddd",
            json!({"url": "smtp://mail.example.jp", "from": from, "ca_file": post.folder.join("master.keys")}),
            "its credentials cannot be read",
        ),
    ] {
        let tenant = post.tenant(code).await;
        post.integration(tenant, "email", 600, &credentials).await;
        post.mails(tenant, 1, 2).await;
        let seen = post.run("BATCH-406", None, &[]).await;
        let why = post.tenant_seen(seen.id, tenant).await.1.unwrap();
        assert!(why.contains(expected), "{code}: {why}");
    }
    assert_eq!((post.states().await.as_str(), smtp.connections()), ("pending 4", 0));
    assert!(!folder.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attachment_that_can_never_be_read_fails_its_own_mail_alone() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let (post, tenant) = world(&smtp, NINE).await;
    post.mails(tenant, 7, 2).await;
    let storage = post.folder.join("files/tenant");
    std::fs::create_dir_all(storage.join("folder")).unwrap();
    std::fs::write(storage.join("good.pdf"), b"%PDF").unwrap();
    std::fs::write(storage.join("grown.pdf"), vec![0; 11 * 1024 * 1024]).unwrap();
    post.sql(&format!(
        "INSERT INTO app.files (tenant_id, file_id, key, file_type, size_bytes, created_at)
         SELECT {tenant}, n, key, 'pdf', size, '{NINE}'
           FROM (VALUES (1, 'tenant/report[1].pdf', 4), (2, 'tenant/grown.pdf', 4), (3, 'tenant/folder', 4),
                        (4, 'tenant/gone.pdf', 4), (5, 'tenant/large.pdf', 6000000), (6, 'tenant/too.pdf', 6000000),
                        (7, 'tenant/good.pdf', 4)) AS f (n, key, size);
         UPDATE app.deliveries SET attachments = CASE substring(recipient FROM 5 FOR 1)
                    WHEN '5' THEN '{{5,6}}' WHEN '6' THEN array_fill(7::bigint, ARRAY[51])
                    ELSE ARRAY[substring(recipient FROM 5 FOR 1)::bigint] END"
    ))
    .await;
    post.run("BATCH-406", None, &[]).await;
    assert_eq!((post.states().await.as_str(), smtp.mails().len()), ("failed 6, sent 1", 1));
    let why: String = post
        .one("SELECT string_agg(error, E'\n' ORDER BY delivery_id) FROM app.deliveries WHERE state = 'failed'")
        .await;
    for expected in [
        "attachment tenant/report[1].pdf: file key",
        "attachment tenant/grown.pdf: ",
        "attachment tenant/folder: ",
        "attachment tenant/gone.pdf: ",
        "attachments of 12000000 bytes; at most 10485760",
        "51 attachments; at most 50",
    ] {
        assert!(why.contains(expected), "{expected}\n{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_whose_settings_are_all_disabled_is_sent_to_nobody() {
    let post = Post::new(NINE, &["BATCH-401"], &[], &[]).await;
    let (off, broken, unset) =
        (post.client("off").await, post.client("broken").await, post.client("unset").await);
    for tenant in [off, broken] {
        let integration = post.integration(tenant, "slack", 60, &json!({"token": "x"})).await;
        post.route(tenant, "slack", Some(integration), "C1").await;
        post.route(tenant, "email", None, "").await;
    }
    post.sql(&format!(
        "UPDATE app.integrations SET enabled = false WHERE tenant_id IN ({off}, {broken});
         UPDATE app.notification_settings SET enabled = false WHERE tenant_id = {off} AND channel = 'email';
         UPDATE app.notification_settings SET state = 'invalid' WHERE tenant_id = {broken} AND channel = 'email';
         INSERT INTO app.notifications (tenant_id, key, data, scheduled_at, created_at)
         SELECT t, 'report-ready', '{{\"report\": \"r\", \"link\": \"https://x.example/1\"}}', '{NINE}', '{NINE}'
           FROM unnest(ARRAY[{off}, {broken}, {unset}]) AS t"
    ))
    .await;
    post.run("BATCH-401", None, &[]).await;
    let (states, told): (String, String) = sqlx::query_as(
        "SELECT (SELECT string_agg(state || coalesce(': ' || error, ''), E'\n' ORDER BY tenant_id)
                   FROM app.notifications),
                (SELECT string_agg(recipient, ' ') FROM app.deliveries)",
    )
    .fetch_one(&post.database.owner)
    .await
    .unwrap();
    assert_eq!(told, "admin@unset.example");
    let lines: Vec<&str> = states.lines().collect();
    assert_eq!(lines[0], "cancelled: all settings for it are disabled");
    assert!(lines[1].starts_with("failed: route: setting "), "{states}");
    assert_eq!(lines[2], "expanded");
}

/// Rows as an attempt left them that is dead: of high priority, on the wire where said so.
async fn left_behind(post: &Post, tenant: i64, count: i32, on_wire: bool) {
    post.mails(tenant, count, 1).await;
    post.sql(&format!(
        "UPDATE app.deliveries SET state = 'sending', job_id = 999, token = 1,
                on_wire_at = CASE WHEN {on_wire} THEN due_at END"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_attempt_left_is_judged_before_it_is_free() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let (post, tenant) = world(&smtp, NINE).await;
    left_behind(&post, tenant, 4, false).await;
    post.sql(&format!(
        "UPDATE app.deliveries SET expires_at = '{NINE}' WHERE recipient LIKE 'mail1@%';
         INSERT INTO app.suppressions SELECT tenant_id, recipient, 'no mailbox', due_at FROM app.deliveries
          WHERE recipient LIKE 'mail2@%';
         UPDATE app.deliveries SET expires_at = '{NINE}', on_wire_at = due_at WHERE recipient LIKE 'mail3@%'"
    ))
    .await;
    let planned = post.dry_run("BATCH-406", None, &[]).await;
    assert_eq!(planned.count("due"), 1);
    post.run("BATCH-406", None, &[]).await;
    // the third may have arrived: that is not known, and it is too late to send it again
    assert_eq!(post.states().await, "expired 1, failed 1, sent 1, uncertain 1");
    assert_eq!(smtp.mails().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_urgent_letter_that_ends_its_sender_each_time_is_given_up() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let (post, tenant) = world(&smtp, NINE).await;
    left_behind(&post, tenant, 1, true).await;
    for expected in ["retry_wait 1", "retry_wait 2", "retry_wait 3", "failed 4"] {
        // BATCH-406 clears, and leaves later attempts to BATCH-402
        post.run("BATCH-406", None, &[]).await;
        let row: String = post
            .one("SELECT state || ' ' || attempts FROM app.deliveries WHERE source <> 'digest'")
            .await;
        assert_eq!(row, expected);
        post.sql(
            "UPDATE app.deliveries SET state = 'sending', job_id = 999, token = 1, on_wire_at = due_at
              WHERE state = 'retry_wait'",
        )
        .await;
    }
    assert_eq!(smtp.mails().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_told_although_another_sender_cannot_be_used() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let (post, tenant) = world(&smtp, NINE).await;
    post.mails(tenant, 1, 2).await;
    smtp.on_rcpt(&format!("mail1@t{tenant}.example"), "550 5.1.1 no such user");
    // an invoice goes by the operator's relay, the tenant's own mail by a relay that cannot be used
    post.sql("UPDATE app.deliveries SET source = 'invoice', sender = 'platform'").await;
    post.integration(tenant, "email", 600, &json!({"url": "nonsense"})).await;
    post.mails(tenant, 1, 3).await;
    let seen = post.run("BATCH-406", None, &[]).await;
    let (state, why) = post.tenant_seen(seen.id, tenant).await;
    assert_eq!(state, "blocked", "{why:?}");
    assert_eq!(post.states().await, "failed 1, pending 1");
    let told: String = post
        .one("SELECT string_agg(recipient, ' ' ORDER BY recipient) FROM app.deliveries WHERE source = 'digest'")
        .await;
    assert_eq!(told, "admin@acme.example operations@yakin.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_time_it_may_wait_a_run_begins_no_letter() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let (post, tenant) = world(&smtp, NINE).await;
    post.mails(tenant, 3, 2).await;
    smtp.set_down(true).await;
    let run = post.run("BATCH-406", None, &[]).await.id;
    smtp.set_down(false).await;
    // its attempt of 09:15 comes late: the run ends at 10:00, and a letter may take minutes
    post.live("2026-11-01T09:56:00+09:00").await;
    let seen = post.seen(run).await;
    assert_eq!((seen.outcome(), seen.count("left_due")), ("succeeded", 3));
    assert_eq!((post.states().await.as_str(), smtp.mails().len()), ("pending 3", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_queue_goes_out_in_turns() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let (post, tenant) = world(&smtp, NINE).await;
    post.mails(tenant, 120, 2).await;
    let seen = post.run("BATCH-406", None, &[("batch_size", "1")]).await;
    assert_eq!((seen.outcome(), seen.count("sent"), smtp.mails().len()), ("succeeded", 120, 120));
    let turns: String = post
        .one("SELECT string_agg(outcome, ' ' ORDER BY real_ended) FROM yakin.job_history WHERE kind = 'tenant'")
        .await;
    assert_eq!(turns, "later later done");
}

/// Has this done as soon as a delivery's outcome is recorded, as another node or a person would.
async fn meanwhile(post: &Post, act: &str) {
    post.sql(&format!(
        "CREATE FUNCTION app.meanwhile() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN {act}; RETURN NULL; END $$;
         CREATE TRIGGER meanwhile AFTER INSERT ON app.delivery_attempts
            FOR EACH ROW EXECUTE FUNCTION app.meanwhile()"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_others_make_is_kept_from_the_next_row_taken() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let (post, tenant) = world(&smtp, NINE).await;
    post.mails(tenant, 3, 2).await;
    meanwhile(&post, "UPDATE app.relays SET paused_until = '2026-11-01T09:30:00+09:00'").await;
    let seen = post.run("BATCH-406", None, &[("batch_size", "1")]).await;
    assert_eq!((seen.outcome(), post.states().await.as_str()), ("open", "pending 2, sent 1"));
    post.live("2026-11-01T09:30:00+09:00").await;
    assert_eq!((post.states().await.as_str(), smtp.mails().len()), ("sent 3", 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_suspended_while_a_run_sends_gets_invoices_and_nothing_else() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let (post, tenant) = world(&smtp, NINE).await;
    post.mails(tenant, 4, 2).await;
    post.sql(
        "UPDATE app.deliveries SET source = 'invoice', sender = 'platform' WHERE recipient LIKE 'mail4@%'",
    )
    .await;
    meanwhile(&post, "UPDATE app.tenants SET status = 'suspended'").await;
    post.sql("UPDATE app.deliveries SET priority = 1 WHERE recipient LIKE 'mail1@%'").await;
    post.run("BATCH-406", None, &[("batch_size", "1")]).await;
    assert_eq!((post.states().await.as_str(), smtp.mails().len()), ("pending 2, sent 2", 2));
    post.run("BATCH-406", None, &[]).await;
    assert_eq!((post.states().await.as_str(), smtp.mails().len()), ("cancelled 2, sent 2", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_in_a_row_are_counted_over_all_who_send() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let (post, tenant) = world(&smtp, NINE).await;
    post.mails(tenant, 9, 2).await;
    smtp.on(At::Rcpt, "451 4.3.0 try later");
    meanwhile(&post, "UPDATE app.relays SET failures_in_row = 4").await;
    post.run("BATCH-406", None, &[]).await;
    assert_eq!(post.states().await, "pending 7, retry_wait 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_relay_is_down_the_next_one_carries_the_mail_at_once() {
    let (first, second) =
        (SmtpStandIn::start(Tls::None).await, SmtpStandIn::start(Tls::None).await);
    let urls = [&first, &second].map(|s| format!("smtp+plain://127.0.0.1:{}", s.port()));
    let relays = [urls[0].as_str(), urls[1].as_str()];
    let post = Post::new(NINE, &["BATCH-406"], &relays, &[]).await;
    let tenant = post.client("acme").await;
    post.mails(tenant, 3, 2).await;
    first.set_down(true).await;
    let seen = post.run("BATCH-406", None, &[]).await;
    assert_eq!((seen.outcome(), second.mails().len()), ("succeeded", 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_tenants_own_relay_rests_the_operators_carries_what_it_agreed_to() {
    let (own, operators) =
        (SmtpStandIn::start(Tls::None).await, SmtpStandIn::start(Tls::None).await);
    let url = |s: &SmtpStandIn| format!("smtp+plain://127.0.0.1:{}", s.port());
    let allow = [format!("127.0.0.1:{}", own.port())];
    let post = Post::new(NINE, &["BATCH-406"], &[&url(&operators)], &allow).await;
    let (agreed, shy) = (post.client("agreed").await, post.tenant("shy").await);
    for tenant in [agreed, shy] {
        let credentials = json!({"url": url(&own), "from": "acme <info@acme.example>"});
        post.integration(tenant, "email", 600, &credentials).await;
        post.mails(tenant, 2, 2).await;
    }
    own.set_down(true).await;
    let seen = post.run("BATCH-406", None, &[]).await;
    assert_eq!((seen.outcome(), operators.mails().len()), ("open", 2));
    assert_eq!(post.states().await, "pending 2, sent 2");
    own.set_down(false).await;
    post.live("2026-11-01T09:15:00+09:00").await;
    assert_eq!((post.states().await.as_str(), own.mails().len()), ("sent 4", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_firing_stands_for_its_own_minute() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let (post, tenant) = world(&smtp, "2026-11-01T09:44:00+09:00").await;
    post.settle().await;
    post.mails(tenant, 2, 2).await;
    smtp.on(At::Rcpt, "451 4.3.0 try later");
    post.sql(
        "UPDATE app.deliveries SET state = 'retry_wait',
                due_at = CASE WHEN recipient LIKE 'mail1@%' THEN '2026-11-01T09:45:00+09:00'
                              ELSE '2026-11-01T09:46:00+09:00' END::timestamptz",
    )
    .await;
    // a minute and more late: the next attempt is due at 10:45 and not at 10:46, for which 10:45 would be too early
    post.live("2026-11-01T09:46:10+09:00").await;
    let due: Vec<String> = post
        .one(
            "SELECT array_agg(state || to_char(due_at AT TIME ZONE 'Asia/Tokyo', ' HH24:MI ') || attempts
                              ORDER BY delivery_id) FROM app.deliveries",
        )
        .await;
    assert_eq!(due, ["retry_wait 10:45 1", "retry_wait 09:46 0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_of_who_is_suspended_are_not_sent_either() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let (post, tenant) = world(&smtp, NINE).await;
    post.mails(tenant, 4, 2).await;
    post.sql("UPDATE app.deliveries SET source = 'approach'").await;
    meanwhile(&post, "UPDATE app.tenants SET status = 'suspended'").await;
    post.run("BATCH-406", None, &[("batch_size", "1")]).await;
    assert_eq!((post.states().await.as_str(), smtp.mails().len()), ("pending 3, sent 1", 1));
    post.run("BATCH-406", None, &[]).await;
    assert_eq!((post.states().await.as_str(), smtp.mails().len()), ("cancelled 3, sent 1", 1));
}
