//! BATCH-402: temporary failures heal by themselves, permanent ones end visibly; nothing is sent twice.

use std::sync::Arc;

use crate::common::{Post, slack};
use tokio::task::JoinSet;
use yakin_engine::operate::runs::{Wanted, start};
use yakin_engine::spec::Queue;
use yakin_engine::worker::execute::execute;
use yakin_engine::worker::pool::work_until_empty;
use yakin_testkit::act;
use yakin_testkit::stand_in::smtp::{At, SmtpStandIn, Tls};
use yakin_testkit::stand_in::{Next, SlackStandIn};

/// Lives the hours of a day through 406 (:10) and 402 (:45), as their firings would.
async fn hours(post: &Post, from: i32, until: i32) {
    for hour in from..=until {
        for (minute, batch) in [(10, "BATCH-406"), (45, "BATCH-402")] {
            post.set_clock(&format!("2026-11-01T{hour:02}:{minute}:00.3+09:00"));
            post.run(batch, None, &[]).await;
        }
    }
}

const ATTEMPTS: &str =
    "SELECT string_agg(to_char(attempted_at AT TIME ZONE 'Asia/Tokyo', 'HH24:MI'), ' ' ORDER BY attempt_id)
       FROM app.delivery_attempts JOIN app.deliveries USING (tenant_id, delivery_id) WHERE source <> 'digest'";

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_is_tried_four_times_at_the_hours_of_the_table() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let relay = format!("smtp+plain://127.0.0.1:{}", smtp.port());
    let ids = ["BATCH-402", "BATCH-406"];
    let post = Post::new("2026-11-01T09:00:00+09:00", &ids, &[&relay], &[]).await;
    let tenant = post.client("acme").await;
    post.mails(tenant, 1, 2).await;
    smtp.on_rcpt(&format!("mail1@t{tenant}.example"), "451 4.3.0 mailbox busy");
    hours(&post, 9, 17).await;
    assert_eq!(post.one::<String>(ATTEMPTS).await, "09:10 10:45 12:45 16:45");
    let row: String = post
        .one("SELECT concat_ws(' ', state, attempts) FROM app.deliveries WHERE source <> 'digest'")
        .await;
    assert_eq!(row, "failed 4");
    // the digest went to the administrator and to operations by the next mail run
    let told: Vec<String> = smtp.mails().into_iter().flat_map(|m| m.to).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().any(|t| t.contains("operations@yakin.example")), "{told:?}");
}

async fn chat() -> (SlackStandIn, Post, i64) {
    let server = SlackStandIn::start().await;
    server.channel("C1");
    let begin = "2026-11-01T09:45:00+09:00";
    let post = Post::new(begin, &["BATCH-402", "BATCH-406"], &[], &[server.host()]).await;
    let tenant = post.client("acme").await;
    let token = slack(&server.base_url(), SlackStandIn::TOKEN);
    let integration = post.integration(tenant, "slack", 600, &token).await;
    (server, post, integration)
}

/// Chat rows that wait.
async fn rows(post: &Post, integration: i64, count: i32, state: &str, priority: i32) {
    post.sql(&format!(
        "INSERT INTO app.deliveries (tenant_id, source, source_id, channel, recipient, sender, integration_id, priority,
                                     state, subject, body, due_at, expires_at, created_at)
         SELECT tenant_id, 'notification', {priority}000 + n, 'slack', 'C1', 'tenant', {integration}, {priority},
                '{state}', '件名', '本文 ' || n, '2026-11-01T09:00:00+09:00', '2026-11-02T09:00:00+09:00',
                '2026-11-01T09:00:00+09:00'
           FROM app.integrations CROSS JOIN generate_series(1, {count}) AS n WHERE integration_id = {integration}"
    ))
    .await;
}

/// A run of that instant, and the half hour in which it waits for senders that rest.
async fn retry(post: &Post, at: &str) {
    post.set_clock(&format!("2026-11-01T{at}:00+09:00"));
    let run = post.run("BATCH-402", None, &[]).await.id;
    while post.seen(run).await.outcome() == "open" {
        post.clock.set(post.clock.now() + jiff::SignedDuration::from_mins(15));
        post.settle().await;
    }
}

/// A run as an operator starts it; `None` where one is open already.
async fn begin(post: &Post, batch: &str) -> Option<i64> {
    let (registry, now, wanted) = (&post.engine.registry, post.clock.now(), Wanted::default());
    start(&post.pool, registry, batch, wanted, "operator", &act(), now).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_started_together_send_each_row_once() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let relay = format!("smtp+plain://127.0.0.1:{}", smtp.port());
    let begun = "2026-11-01T09:45:00+09:00";
    let post = Post::new(begun, &["BATCH-402", "BATCH-406"], &[&relay], &[]).await;
    for n in 1..=4 {
        let tenant = post.client(&format!("t{n}")).await;
        post.mails(tenant, 24, 2).await;
        post.mails(tenant, 24, 3).await;
    }
    post.sql("UPDATE app.deliveries SET state = 'retry_wait' WHERE priority = 3").await;
    let mut runs = Vec::new();
    for batch in ["BATCH-402", "BATCH-406"] {
        let both = tokio::join!(begin(&post, batch), begin(&post, batch));
        assert!(both.0.is_some() != both.1.is_some(), "one of two is refused: {both:?}");
        runs.extend(both.0.or(both.1));
    }
    let second = Arc::new(post.worker().await);
    post.engine.advance_step().await.unwrap();
    for roster in second.claim(Queue::Notify, 2).await.jobs {
        execute(&second, roster).await;
    }
    // each has half of the tenants' jobs
    let mut working = JoinSet::new();
    for engine in [&post.engine, &second] {
        for job in engine.claim(Queue::Notify, 4).await.jobs {
            let engine = engine.clone();
            working.spawn(async move { execute(&engine, job).await });
        }
    }
    assert_eq!(working.len(), 8);
    working.join_all().await;
    post.settle().await;
    for run in runs {
        assert_eq!(post.seen(run).await.outcome(), "succeeded");
    }
    assert_eq!(post.states().await, "sent 192");
    let mut letters: Vec<String> = smtp.mails().into_iter().flat_map(|m| m.to).collect();
    assert_eq!(letters.len(), 192);
    letters.sort();
    letters.dedup();
    assert_eq!(letters.len(), 96, "each address has a letter of each batch");
    let twice: i64 = post
        .one("SELECT count(*) FROM app.deliveries WHERE source <> 'digest' AND attempts <> 1")
        .await;
    assert_eq!(twice, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_taken_for_lost_and_its_successor_send_no_row_twice() {
    let (server, post, integration) = chat().await;
    rows(&post, integration, 20, "retry_wait", 2).await;
    let second = post.worker().await;
    begin(&post, "BATCH-402").await.unwrap();
    post.engine.advance_step().await.unwrap();
    for roster in second.claim(Queue::Notify, 1).await.jobs {
        execute(&second, roster).await;
    }
    // one worker has sent a message and cannot write that down; its lease is taken from it meanwhile
    post.sql(
        "CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM pg_advisory_xact_lock(402); RETURN NEW; END $$;
         CREATE TRIGGER wait BEFORE INSERT ON app.delivery_attempts FOR EACH ROW WHEN (NEW.answer = 'sent')
         EXECUTE FUNCTION public.wait()",
    )
    .await;
    let mut lock = post.database.owner.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(402)").execute(&mut *lock).await.unwrap();
    let taken_over = async {
        server.wait_for_posts(1).await;
        post.sql(
            "UPDATE yakin.jobs SET lease_until = clock_timestamp() - interval '1 second'
              WHERE state = 'running'",
        )
        .await;
        second.watch_step().await.unwrap();
        lock.rollback().await.unwrap();
        work_until_empty(&second).await
    };
    let both = async { tokio::join!(work_until_empty(&post.engine), taken_over) };
    let limit = std::time::Duration::from_secs(60);
    let (one, two) = tokio::time::timeout(limit, both).await.expect("a worker that goes on");
    one.and(two).unwrap();
    let outcomes: String = post
        .one("SELECT string_agg(outcome, ' ' ORDER BY token) FROM yakin.job_history WHERE kind = 'tenant'")
        .await;
    assert_eq!(outcomes, "lost done");
    let mut texts: Vec<String> = server.posts().into_iter().map(|p| p.text).collect();
    texts.sort();
    texts.dedup();
    assert_eq!((server.posts().len(), texts.len()), (20, 20));
    assert_eq!(post.states().await, "sent 19, uncertain 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_down_for_three_hours_gets_each_message_once_afterwards() {
    let (server, post, integration) = chat().await;
    rows(&post, integration, 8, "retry_wait", 2).await;
    server.fail_until_told(Next::status(503));
    for at in ["09:45", "10:45", "11:45"] {
        retry(&post, at).await;
    }
    assert_eq!(server.posts().len(), 0);
    server.work_again();
    for at in ["12:45", "13:45"] {
        retry(&post, at).await;
    }
    assert_eq!((server.posts().len(), post.states().await.as_str()), (8, "sent 8"));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_five_failures_in_a_row_the_vendor_is_left_alone() {
    let (server, post, integration) = chat().await;
    rows(&post, integration, 20, "retry_wait", 2).await;
    server.fail_until_told(Next::status(503));
    post.run("BATCH-402", None, &[]).await;
    assert_eq!(server.requests().len(), 5);
    let untouched = "SELECT count(*) FROM app.deliveries WHERE attempts = 0";
    assert_eq!(post.one::<i64>(untouched).await, 15);
    // it is tried again after its rest, within the same run
    server.work_again();
    post.live("2026-11-01T10:00:00+09:00").await;
    assert_eq!(server.posts().len(), 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_gets_one_more_attempt_and_then_people_are_told() {
    let (server, post, integration) = chat().await;
    rows(&post, integration, 1, "retry_wait", 2).await;
    server.fail_until_told(SlackStandIn::error("token_revoked"));
    for at in ["09:45", "10:45", "11:45"] {
        retry(&post, at).await;
    }
    assert_eq!(server.requests().len(), 2);
    assert_eq!(post.states().await, "failed 1");
    let digest: String = post
        .one("SELECT body FROM app.deliveries WHERE source = 'digest' AND recipient = 'admin@acme.example'")
        .await;
    assert!(digest.contains("token_revoked"), "{digest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unanswered_message_is_final_unless_it_is_urgent() {
    let (server, post, integration) = chat().await;
    rows(&post, integration, 1, "retry_wait", 2).await;
    rows(&post, integration, 1, "retry_wait", 1).await;
    server.answer_next(Next::CloseAfterReading);
    server.answer_next(Next::CloseAfterReading);
    retry(&post, "09:45").await;
    assert_eq!(post.states().await, "retry_wait 1, uncertain 1");
    retry(&post, "10:45").await;
    assert_eq!(post.states().await, "sent 1, uncertain 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stale_or_not_wanted_any_more_is_not_sent() {
    let (server, post, integration) = chat().await;
    rows(&post, integration, 2, "retry_wait", 2).await;
    post.sql(
        "UPDATE app.deliveries SET expires_at = '2026-11-01T09:30:00+09:00' WHERE source_id = 2001",
    )
    .await;
    post.sql("UPDATE app.tenants SET status = 'suspended'").await;
    retry(&post, "09:45").await;
    assert_eq!(
        (post.states().await.as_str(), server.requests().len()),
        ("cancelled 1, expired 1", 0)
    );
    post.sql(
        "UPDATE app.tenants SET status = 'active'; UPDATE app.integrations SET enabled = false",
    )
    .await;
    rows(&post, integration, 1, "retry_wait", 3).await;
    retry(&post, "10:45").await;
    assert_eq!(post.states().await, "cancelled 2, expired 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_wanted_priority_is_tried() {
    let (server, post, integration) = chat().await;
    rows(&post, integration, 1, "retry_wait", 2).await;
    rows(&post, integration, 1, "retry_wait", 3).await;
    post.run("BATCH-402", None, &[("priority_filter", "low")]).await;
    assert_eq!((server.posts().len(), post.states().await.as_str()), (1, "retry_wait 1, sent 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_lists_due_rows_and_calls_nobody() {
    let (server, post, integration) = chat().await;
    rows(&post, integration, 3, "retry_wait", 2).await;
    let seen = post.dry_run("BATCH-402", None, &[]).await;
    assert_eq!((seen.outcome(), seen.count("due"), server.requests().len()), ("succeeded", 3, 0));
    assert_eq!(post.states().await, "retry_wait 3");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_failures_are_reported_to_operators() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let relay = format!("smtp+plain://127.0.0.1:{}", smtp.port());
    let post = Post::new("2026-11-01T09:10:00+09:00", &["BATCH-406"], &[&relay], &[]).await;
    let tenant = post.client("acme").await;
    post.mails(tenant, 30, 2).await;
    smtp.on(At::Rcpt, "554 5.7.1 not from you");
    post.run("BATCH-406", None, &[]).await;
    post.engine.watch_step().await.unwrap();
    let alert: String = post.one("SELECT message FROM yakin.alerts WHERE rule = 'reported'").await;
    assert!(alert.contains("30 of 30 deliveries failed"), "{alert}");
    // the next run has nothing to say: the alert is over
    smtp.forget_script();
    post.run("BATCH-406", None, &[]).await;
    post.engine.watch_step().await.unwrap();
    let open: i64 = post
        .one("SELECT count(*) FROM yakin.alerts WHERE rule = 'reported' AND resolved_at IS NULL")
        .await;
    assert_eq!(open, 0);
}
