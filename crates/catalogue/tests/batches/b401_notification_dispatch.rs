//! BATCH-401: the day's notifications become deliveries, each recipient's once; chat goes at once.

use crate::common::{Post, slack};
use yakin_testkit::instant;
use yakin_testkit::stand_in::{LineWorksStandIn, Next, SlackStandIn, TeamsStandIn};

const NINE: &str = "2026-11-01T09:00:00+09:00";

async fn world(allow: &[String]) -> Post {
    Post::new(NINE, &["BATCH-401", "BATCH-402", "BATCH-406"], &[], allow).await
}

/// A report is ready: told to the tenant's administrators.
async fn notice(post: &Post, tenant: i64, at: &str, data: &str) -> i64 {
    post.one(&format!(
        "INSERT INTO app.notifications (tenant_id, key, priority, data, scheduled_at, created_at)
         VALUES ({tenant}, 'report-ready', 'medium', '{data}', '{at}', '2026-10-30') RETURNING notification_id"
    ))
    .await
}

const READY: &str = r#"{"report": "稼働状況", "link": "https://skills.example.jp/reports/1"}"#;

async fn notices(post: &Post) -> String {
    post.one(
        "SELECT string_agg(concat_ws(': ', state, error), E'\n' ORDER BY notification_id) FROM app.notifications",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_days_notices_are_expanded_each_for_its_own_hour() {
    let slack_server = SlackStandIn::start().await;
    slack_server.channel("C1");
    let post = world(&[slack_server.host()]).await;
    let tenant = post.client("acme").await;
    let token = slack(&slack_server.base_url(), SlackStandIn::TOKEN);
    let integration = post.integration(tenant, "slack", 60, &token).await;
    post.route(tenant, "slack", Some(integration), "C1").await;
    notice(&post, tenant, "2026-11-01T08:30:00+09:00", READY).await;
    notice(&post, tenant, "2026-11-01T15:00:00+09:00", READY).await;
    notice(&post, tenant, "2026-11-02T00:10:00+09:00", READY).await;
    notice(&post, tenant, "2026-10-31T08:59:00+09:00", READY).await;
    let seen = post.run("BATCH-401", None, &[]).await;
    assert_eq!((seen.outcome(), seen.count("sent")), ("succeeded", 1));
    assert_eq!(slack_server.posts().len(), 1);
    assert!(slack_server.posts()[0].text.contains("稼働状況"));
    assert_eq!(
        notices(&post).await,
        "expanded\nexpanded\npending\nexpired: more than 24 hours late"
    );
    let waits: String = post
        .one("SELECT to_char(due_at AT TIME ZONE 'Asia/Tokyo', 'HH24:MI') FROM app.deliveries WHERE state = 'pending'")
        .await;
    assert_eq!(waits, "15:00");
    // asked again, nothing happens; the deferred one is BATCH-402's
    let again = post.run("BATCH-401", None, &[]).await;
    assert_eq!((again.outcome(), again.count("attempted")), ("succeeded", 0));
    post.set_clock("2026-11-01T15:45:00+09:00");
    post.run("BATCH-402", None, &[]).await;
    assert_eq!((slack_server.posts().len(), post.states().await.as_str()), (2, "sent 2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_five_channels_the_broken_one_fails_alone() {
    let slack_server = SlackStandIn::start().await;
    let post = world(&[slack_server.host()]).await;
    let tenant = post.client("acme").await;
    let token = slack(&slack_server.base_url(), SlackStandIn::TOKEN);
    let integration = post.integration(tenant, "slack", 60, &token).await;
    for n in 1..=5 {
        if n != 3 {
            slack_server.channel(&format!("C{n}"));
        }
        post.route(tenant, "slack", Some(integration), &format!("C{n}")).await;
    }
    notice(&post, tenant, NINE, READY).await;
    let seen = post.run("BATCH-401", None, &[]).await;
    assert_eq!((seen.count("sent"), seen.count("failed")), (4, 1));
    let mut told: Vec<String> = slack_server.posts().into_iter().map(|p| p.channel).collect();
    told.sort();
    assert_eq!(told, ["C1", "C2", "C4", "C5"]);
    let error: String = post.one("SELECT error FROM app.deliveries WHERE state = 'failed'").await;
    assert!(error.contains("channel_not_found"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_value_writes_no_row_and_leaves_the_others_alone() {
    let post = world(&[]).await;
    let tenant = post.client("acme").await;
    notice(&post, tenant, NINE, "{}").await;
    notice(&post, tenant, NINE, READY).await;
    post.run("BATCH-401", None, &[]).await;
    let notices = notices(&post).await;
    let (wrong, right) = notices.split_once('\n').unwrap();
    assert!(wrong.starts_with("failed: template_error: report-ready email: "), "{wrong}");
    assert_eq!((right, post.states().await.as_str()), ("expanded", "pending 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenants_wrong_token_is_that_tenants() {
    let slack_server = SlackStandIn::start().await;
    slack_server.channel("C1");
    let teams = TeamsStandIn::start().await;
    let post = world(&[slack_server.host(), teams.host()]).await;
    let (bad, good) = (post.client("bad").await, post.client("good").await);
    let token = slack(&slack_server.base_url(), "xoxb-wrong-token");
    let integration = post.integration(bad, "slack", 60, &token).await;
    post.route(bad, "slack", Some(integration), "C1").await;
    let webhooks = serde_json::json!({"webhooks": {"general": teams.webhook_url()}});
    let integration = post.integration(good, "teams", 30, &webhooks).await;
    post.route(good, "teams", Some(integration), "general").await;
    for tenant in [bad, good] {
        notice(&post, tenant, NINE, READY).await;
    }
    let seen = post.run("BATCH-401", None, &[]).await;
    assert_eq!(
        (seen.outcome(), teams.posts().len(), slack_server.posts().len()),
        ("succeeded", 1, 0)
    );
    let row: String = post
        .one("SELECT concat_ws(' ', state, attempts, cause, error) FROM app.deliveries WHERE channel = 'slack'")
        .await;
    assert!(row.starts_with("retry_wait 1 auth") && !row.contains("wrong-token"), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_names_recipients_and_writes_nothing() {
    let teams = TeamsStandIn::start().await;
    let post = world(&[teams.host()]).await;
    let tenant = post.client("acme").await;
    notice(&post, tenant, NINE, READY).await;
    let seen = post.dry_run("BATCH-401", None, &[]).await;
    assert_eq!((seen.outcome(), seen.count("due")), ("succeeded", 1));
    assert!(seen.plan.unwrap().to_string().contains("admin@acme.example"));
    assert_eq!((notices(&post).await.as_str(), post.states().await.as_str()), ("pending", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_into_a_private_network_is_refused() {
    let post = world(&[]).await;
    let tenant = post.client("acme").await;
    let inside = serde_json::json!({"url": "https://169.254.169.254/latest", "key": "k"});
    let integration = post.integration(tenant, "webhook", 60, &inside).await;
    post.route(tenant, "webhook", Some(integration), "").await;
    notice(&post, tenant, NINE, READY).await;
    post.run("BATCH-401", None, &[]).await;
    let error: String = post
        .one("SELECT concat_ws(' ', state, error) FROM app.deliveries WHERE source <> 'digest'")
        .await;
    assert!(error.starts_with("failed") && error.contains("outgoing.allow"), "{error}");
    assert!(!error.contains("latest"), "an address of a webhook is a secret: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_another_tenant_do_not_open() {
    let slack_server = SlackStandIn::start().await;
    slack_server.channel("C1");
    let post = world(&[slack_server.host()]).await;
    let (owner, thief) = (post.client("owner").await, post.client("thief").await);
    let token = slack(&slack_server.base_url(), SlackStandIn::TOKEN);
    post.integration(owner, "slack", 60, &token).await;
    let stolen = post.integration(thief, "slack", 60, &token).await;
    post.sql(&format!(
        "UPDATE app.integrations SET credentials = (SELECT credentials FROM app.integrations WHERE tenant_id = {owner})
          WHERE tenant_id = {thief}"
    ))
    .await;
    post.route(thief, "slack", Some(stolen), "C1").await;
    notice(&post, thief, NINE, READY).await;
    let seen = post.run("BATCH-401", None, &[]).await;
    assert_eq!((seen.outcome(), slack_server.posts().len()), ("failed", 0));
    assert_eq!(post.states().await, "pending 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_is_not_wanted_stays() {
    let post = world(&[]).await;
    let tenant = post.client("acme").await;
    notice(&post, tenant, NINE, READY).await;
    post.run("BATCH-401", None, &[("notification_types", "contract-renewal, other")]).await;
    assert_eq!(notices(&post).await, "pending");
    post.run("BATCH-401", None, &[("notification_types", "other,report-ready")]).await;
    assert_eq!(notices(&post).await, "expanded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_channel_waits_and_the_others_go_on() {
    let slack_server = SlackStandIn::start().await;
    slack_server.channel("C1");
    slack_server.channel("C2");
    let post = world(&[slack_server.host()]).await;
    let tenant = post.client("acme").await;
    let token = slack(&slack_server.base_url(), SlackStandIn::TOKEN);
    let integration = post.integration(tenant, "slack", 60, &token).await;
    post.route(tenant, "slack", Some(integration), "C1").await;
    post.route(tenant, "slack", Some(integration), "C2").await;
    notice(&post, tenant, NINE, READY).await;
    slack_server.answer_next(Next::throttled("120"));
    post.run("BATCH-401", None, &[]).await;
    assert_eq!(slack_server.posts().len(), 1);
    let row: String = post
        .one(
            "SELECT concat_ws(' ', state, attempts, deferrals, to_char(due_at AT TIME ZONE 'Asia/Tokyo', 'HH24:MI'))
               FROM app.deliveries WHERE state <> 'sent'",
        )
        .await;
    assert_eq!(row, "retry_wait 0 1 09:02");
}

/// A tenant whose messages go to a talk room and a user of LINE WORKS, and into the application.
async fn line_works() -> (LineWorksStandIn, Post, i64) {
    let server = LineWorksStandIn::start(instant(NINE)).await;
    server.channel("room");
    server.user("taro@acme.example");
    let post = world(&[server.host()]).await;
    let tenant = post.client("acme").await;
    let bot = serde_json::json!({
        "client_id": LineWorksStandIn::CLIENT_ID, "client_secret": LineWorksStandIn::CLIENT_SECRET,
        "service_account": LineWorksStandIn::SERVICE_ACCOUNT, "private_key": server.private_key_pem(),
        "bot_id": LineWorksStandIn::BOT_ID, "api_url": server.base_url(), "auth_url": server.base_url(),
    });
    let integration = post.integration(tenant, "line_works", 60, &bot).await;
    post.route(tenant, "line_works", Some(integration), "channel:room").await;
    post.route(tenant, "line_works", Some(integration), "user:taro@acme.example").await;
    post.route(tenant, "in_app", None, "").await;
    (server, post, tenant)
}

/// The deliveries of a channel: where to, state, attempts, and when they are due again.
async fn rows(post: &Post, channel: &str) -> String {
    post.one(&format!(
        "SELECT string_agg(concat_ws(' ', recipient, state, attempts,
                           CASE state WHEN 'retry_wait' THEN to_char(due_at AT TIME ZONE 'Asia/Tokyo', 'HH24:MI') END),
                           ', ' ORDER BY delivery_id)
           FROM app.deliveries WHERE channel = '{channel}' AND source <> 'digest'"
    ))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn line_works_gets_its_messages_at_once_and_the_later_ones_at_their_hour() {
    let (server, post, tenant) = line_works().await;
    notice(&post, tenant, NINE, READY).await;
    notice(&post, tenant, "2026-11-01T10:30:00+09:00", READY).await;
    let seen = post.run("BATCH-401", None, &[]).await;
    assert_eq!((seen.outcome(), seen.count("sent")), ("succeeded", 2));
    let receivers = |from: usize| {
        let mut told: Vec<String> =
            server.posts().into_iter().skip(from).map(|post| post.receiver).collect();
        told.sort();
        told
    };
    assert_eq!(receivers(0), ["channels/room", "users/taro@acme.example"]);
    assert!(server.posts()[0].text.contains("稼働状況"));
    // in a new day of tokens, the later ones by BATCH-402; asked again, nothing
    server.revoke_tokens();
    for at in ["2026-11-01T10:45:00+09:00", "2026-11-01T11:45:00+09:00"] {
        post.set_clock(at);
        server.set_now(instant(at));
        post.run("BATCH-402", None, &[]).await;
        assert_eq!(receivers(2), ["channels/room", "users/taro@acme.example"]);
    }
    assert_eq!(post.states().await, "sent 6");
    let attempts: i64 = post
        .one("SELECT max(attempts)::bigint FROM app.deliveries WHERE channel = 'line_works'")
        .await;
    assert_eq!((attempts, server.tokens_issued()), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn line_works_is_tried_again_each_hour_three_times_and_throttling_costs_no_try() {
    let (server, post, tenant) = line_works().await;
    notice(&post, tenant, NINE, READY).await;
    server.answer_next(Next::throttled("120"));
    server.answer_next(Next::status(503));
    post.run("BATCH-401", None, &[]).await;
    post.live("2026-11-01T09:02:00+09:00").await;
    assert_eq!(
        rows(&post, "line_works").await,
        "channel:room retry_wait 0 09:02, user:taro@acme.example retry_wait 1 10:00"
    );
    server.fail_until_told(Next::status(503));
    for hour in [9, 10, 11, 12, 13] {
        let at = format!("2026-11-01T{hour:02}:45:00+09:00");
        post.set_clock(&at);
        server.set_now(instant(&at));
        let run = post.run("BATCH-402", None, &[]).await.id;
        while post.seen(run).await.outcome() == "open" {
            post.clock.set(post.clock.now() + jiff::SignedDuration::from_mins(5));
            post.settle().await;
        }
    }
    assert_eq!(
        rows(&post, "line_works").await,
        "channel:room failed 4, user:taro@acme.example failed 4"
    );
    assert_eq!(server.posts().len(), 0);
    let digest: String = post
        .one("SELECT body FROM app.deliveries WHERE source = 'digest' AND recipient = 'admin@acme.example'")
        .await;
    assert!(digest.contains("503"), "{digest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_in_the_application_have_arrived_with_their_row_whatever_the_others_do() {
    let (server, post, tenant) = line_works().await;
    post.sql(&format!(
        "INSERT INTO app.users (tenant_id, email, name, role, created_at)
         VALUES ({tenant}, 'second@acme.example', '管理者 二', 'admin', '2026-01-01')"
    ))
    .await;
    notice(&post, tenant, NINE, READY).await;
    server.fail_until_told(Next::status(503));
    for batch in ["BATCH-401", "BATCH-402", "BATCH-401"] {
        post.run(batch, None, &[]).await;
    }
    let sent: String = post
        .one(
            "SELECT concat_ws(' ', count(*), count(DISTINCT recipient), min(state), max(state), max(attempts),
                    bool_and(sent_at = '2026-11-01T09:00:00+09:00'), bool_and(body LIKE '%稼働状況%'))
               FROM app.deliveries WHERE channel = 'in_app'",
        )
        .await;
    assert_eq!(sent, "2 2 sent sent 0 t t");
    assert_eq!(rows(&post, "line_works").await.matches("retry_wait 1").count(), 2);
}
