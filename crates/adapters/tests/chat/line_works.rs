//! LINE WORKS: tokens, their renewal, receivers, and what answers mean.

use jiff::SignedDuration;
use serde_json::json;
use yakin_adapters::line_works::{LineWorks, LineWorksCredentials};
use yakin_adapters::{Answer, Secret};
use yakin_testkit::stand_in::{LineWorksStandIn, Next, other_rsa_key_pem};

use super::{impatient, message, now, outgoing};

fn credentials(stand_in: &LineWorksStandIn) -> LineWorksCredentials {
    LineWorksCredentials {
        client_id: LineWorksStandIn::CLIENT_ID.to_owned(),
        client_secret: Secret::new(LineWorksStandIn::CLIENT_SECRET),
        service_account: LineWorksStandIn::SERVICE_ACCOUNT.to_owned(),
        private_key: Secret::new(stand_in.private_key_pem()),
        bot_id: LineWorksStandIn::BOT_ID.to_owned(),
        api_url: stand_in.base_url(),
        auth_url: stand_in.base_url(),
    }
}

async fn bot() -> (LineWorksStandIn, LineWorks) {
    let stand_in = LineWorksStandIn::start(now()).await;
    stand_in.channel("c-1");
    stand_in.user("taro+a/b@example.com");
    let bot = LineWorks::new(credentials(&stand_in));
    (stand_in, bot)
}

#[tokio::test]
async fn messages_reach_rooms_and_users_with_one_token() {
    let (stand_in, bot) = bot().await;
    let outgoing = outgoing(&[&stand_in.host()]);
    for target in ["c-1", "channel:c-1", "user:taro+a/b@example.com"] {
        let answer = bot.send(&outgoing, target, &message("<&> 本文"), now()).await;
        assert_eq!(answer, Answer::Sent { receipt: None }, "{target}");
    }
    let posts = stand_in.posts();
    let receivers: Vec<&str> = posts.iter().map(|post| post.receiver.as_str()).collect();
    assert_eq!(receivers, ["channels/c-1", "channels/c-1", "users/taro+a/b@example.com"]);
    assert_eq!(posts[0].text, "請求書\n<&> 本文\nhttps://example.com/invoices?a=1&b=2");
    assert_eq!(stand_in.tokens_issued(), 1);
}

#[tokio::test]
async fn a_token_is_renewed_five_minutes_before_its_end_and_not_earlier() {
    let (stand_in, bot) = bot().await;
    let outgoing = outgoing(&[&stand_in.host()]);
    let minutes = SignedDuration::from_mins;
    for (after, tokens) in [(0, 1), (24 * 60 - 6, 1), (24 * 60 - 5, 2), (24 * 60 + 30, 2)] {
        let at = now() + minutes(after);
        stand_in.set_now(at);
        assert_eq!(bot.send(&outgoing, "c-1", &message("x"), at).await.word(), "sent");
        assert_eq!(stand_in.tokens_issued(), tokens, "after {after} min");
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let (stand_in, bot) = bot().await;
    let outgoing = outgoing(&[&stand_in.host()]);
    assert_eq!(bot.send(&outgoing, "c-1", &message("1"), now()).await.word(), "sent");
    stand_in.revoke_tokens();
    assert_eq!(bot.send(&outgoing, "c-1", &message("2"), now()).await.word(), "sent");
    assert_eq!(stand_in.tokens_issued(), 2);

    let unauthorized = || Next::json(401, &json!({"code": "UNAUTHORIZED"}));
    stand_in.answer_next(unauthorized());
    stand_in.answer_next(unauthorized());
    let answer = bot.send(&outgoing, "c-1", &message("3"), now()).await;
    assert_eq!(answer.word(), "auth");
    assert_eq!(answer.reason(), "line_works answered 401 UNAUTHORIZED");
    assert_eq!(stand_in.tokens_issued(), 3, "once, not again and again");
    assert_eq!(stand_in.posts().len(), 2);
}

#[tokio::test]
async fn many_messages_at_once_ask_for_one_token() {
    let (stand_in, bot) = bot().await;
    let outgoing = outgoing(&[&stand_in.host()]);
    let message = message("x");
    let (a, b, c) = tokio::join!(
        bot.send(&outgoing, "c-1", &message, now()),
        bot.send(&outgoing, "c-1", &message, now()),
        bot.send(&outgoing, "c-1", &message, now()),
    );
    assert_eq!([a.word(), b.word(), c.word()], ["sent"; 3]);
    assert_eq!(stand_in.tokens_issued(), 1);
}

#[tokio::test]
async fn wrong_credentials_are_told_and_a_malformed_key_makes_no_call() {
    let (stand_in, _) = bot().await;
    let outgoing = outgoing(&[&stand_in.host()]);
    let wrong = |change: &dyn Fn(&mut LineWorksCredentials)| {
        let mut credentials = credentials(&stand_in);
        change(&mut credentials);
        LineWorks::new(credentials)
    };
    let malformed =
        ["", "no key", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----"];
    for key in malformed {
        let bot = wrong(&|c| c.private_key = Secret::new(key));
        let answer = bot.send(&outgoing, "c-1", &message("x"), now()).await;
        let reason = "line_works: private_key is not an RSA key in PEM form";
        assert_eq!((answer.word(), answer.reason()), ("auth", reason), "{key}");
    }
    assert_eq!(stand_in.requests().len(), 0);
    let other = other_rsa_key_pem();
    let changes: [&dyn Fn(&mut LineWorksCredentials); 4] = [
        &|c| c.private_key = Secret::new(other.clone()),
        &|c| c.client_id = "other".to_owned(),
        &|c| c.client_secret = Secret::new("other"),
        &|c| c.service_account = "other@example".to_owned(),
    ];
    for change in changes {
        let answer = wrong(change).send(&outgoing, "c-1", &message("x"), now()).await;
        assert_eq!(answer.word(), "auth", "{answer:?}");
        assert!(answer.reason().contains("invalid_grant"), "{answer:?}");
    }
    let late = now() + SignedDuration::from_hours(2);
    let answer = wrong(&|_| {}).send(&outgoing, "c-1", &message("x"), late).await;
    assert_eq!(answer.word(), "auth", "a JWT from another time: {answer:?}");
    assert_eq!(stand_in.posts().len(), 0);
}

#[tokio::test]
async fn every_answer_has_its_meaning() {
    let (stand_in, bot) = bot().await;
    let outgoing = outgoing(&[&stand_in.host()]);
    let table = [
        (400, "INVALID_PARAMETER", "permanent"),
        (403, "FORBIDDEN", "auth"),
        (404, "NOT_FOUND", "permanent"),
        (429, "TOO_MANY_REQUESTS", "throttled"),
        (500, "INTERNAL_SERVER_ERROR", "temporary"),
    ];
    for (status, code, word) in table {
        stand_in.answer_next(Next::json(status, &json!({"code": code, "description": "secret"})));
        let answer = bot.send(&outgoing, "c-1", &message("x"), now()).await;
        let reason = format!("line_works answered {status} {code}");
        assert_eq!((answer.word(), answer.reason()), (word, reason.as_str()));
    }
    let unknown = bot.send(&outgoing, "c-9", &message("x"), now()).await;
    assert_eq!(unknown.word(), "permanent");
    for target in ["", "channel:", "user: ", "user:..", "."] {
        let answer = bot.send(&outgoing, target, &message("x"), now()).await;
        assert!(answer.reason().contains("names no receiver"), "{target:?}: {answer:?}");
    }
}

#[tokio::test]
async fn a_lost_token_call_hands_nothing_over_and_a_lost_message_may() {
    let (stand_in, bot) = bot().await;
    let outgoing = outgoing(&[&stand_in.host()]);
    let troubles = [
        (Next::CloseAfterReading, "unreachable"),
        (Next::status(500), "temporary"),
        (Next::throttled("9"), "throttled"),
        (Next::json(200, &json!({"access_token": "x"})), "temporary"),
        (Next::status(302), "permanent"),
    ];
    for (next, word) in troubles {
        stand_in.answer_next_question(next.clone());
        let answer = bot.send(&outgoing, "c-1", &message("x"), now()).await;
        assert_eq!(answer.word(), word, "{next:?}: {answer:?}");
    }
    stand_in.answer_next_question(Next::Hang);
    let patience = impatient(&[&stand_in.host()]);
    assert_eq!(bot.send(&patience, "c-1", &message("x"), now()).await.word(), "unreachable");
    assert_eq!(stand_in.posts().len(), 0);

    stand_in.answer_next(Next::CloseAfterReading);
    assert_eq!(bot.send(&outgoing, "c-1", &message("x"), now()).await.word(), "uncertain");
    stand_in.answer_next(Next::Hang);
    assert_eq!(bot.send(&patience, "c-1", &message("x"), now()).await.word(), "uncertain");
    assert_eq!(stand_in.posts().len(), 2);
}

#[tokio::test]
async fn long_texts_are_cut_to_2000_and_keep_their_link() {
    let (stand_in, bot) = bot().await;
    let outgoing = outgoing(&[&stand_in.host()]);
    for text in ["あ".repeat(5_000), "𠮷".repeat(5_000), "x".repeat(1_999)] {
        assert_eq!(bot.send(&outgoing, "c-1", &message(&text), now()).await.word(), "sent");
        let text = stand_in.posts().pop().unwrap().text;
        assert!(text.ends_with("…\nhttps://example.com/invoices?a=1&b=2"), "{text}");
        assert!(text.encode_utf16().count() >= 1_998);
    }
}

#[tokio::test]
async fn a_probe_posts_nothing() {
    let (stand_in, bot) = bot().await;
    let outgoing = outgoing(&[&stand_in.host()]);
    assert_eq!(bot.probe(&outgoing, now()).await, Answer::Sent { receipt: None });
    stand_in.answer_next_question(Next::json(401, &json!({"error": "invalid_client"})));
    assert_eq!(bot.probe(&outgoing, now()).await.word(), "auth");
    assert!(stand_in.requests().iter().all(|request| request.path == "/oauth2/v2.0/token"));
    assert_eq!(stand_in.posts().len(), 0);
}

#[test]
fn credentials_know_the_vendors_addresses_and_no_unknown_keys() {
    let mut given = json!({"client_id": "a", "client_secret": "b", "service_account": "c",
                           "private_key": "d", "bot_id": "e"});
    let read: LineWorksCredentials = serde_json::from_value(given.clone()).unwrap();
    assert_eq!(read.api_url, "https://www.worksapis.com");
    assert_eq!(read.auth_url, "https://auth.worksmobile.com");
    given["privat_key"] = json!("d");
    assert!(serde_json::from_value::<LineWorksCredentials>(given).is_err());
}
