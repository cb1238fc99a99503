//! Slack: what is posted, and what its answers mean.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use yakin_adapters::slack::{Slack, SlackCredentials};
use yakin_adapters::{Answer, ChatMessage, Secret};
use yakin_testkit::stand_in::{Next, SlackStandIn};

use super::{impatient, message, now, outgoing};

fn slack_with(stand_in: &SlackStandIn, token: &str) -> Slack {
    Slack::new(SlackCredentials { token: Secret::new(token), base_url: stand_in.base_url() })
}

async fn workspace() -> (SlackStandIn, Slack) {
    let stand_in = SlackStandIn::start().await;
    stand_in.channel("C1");
    let slack = slack_with(&stand_in, SlackStandIn::TOKEN);
    (stand_in, slack)
}

#[tokio::test]
async fn a_message_whose_name_no_text_may_hold_was_sent_all_the_same() {
    let (stand_in, slack) = workspace().await;
    for ts in [json!("1\0"), json!("x".repeat(65)), json!(7)] {
        stand_in.answer_next(Next::json(200, &json!({"ok": true, "channel": "C1", "ts": ts})));
        let answer = slack.send(&outgoing(&[&stand_in.host()]), "C1", &message("x"), now()).await;
        assert_eq!(answer, Answer::Sent { receipt: None }, "{ts}");
    }
}

#[tokio::test]
async fn a_message_has_fallback_text_and_blocks_and_is_escaped() {
    let (stand_in, slack) = workspace().await;
    let text = "<!channel> a & b > c\n<https://evil.example|bank>";
    let answer = slack.send(&outgoing(&[&stand_in.host()]), "C1", &message(text), now()).await;
    assert_eq!(answer, Answer::Sent { receipt: Some("C1/1793800800.000100".to_owned()) });
    let escaped = "&lt;!channel&gt; a &amp; b &gt; c\n&lt;https://evil.example|bank&gt;".to_owned();
    let link = "<https://example.com/invoices?a=1&amp;b=2>".to_owned();
    let posts = stand_in.posts();
    assert_eq!(posts.len(), 1);
    assert_eq!(posts[0].sections, ["*請求書*".to_owned(), escaped.clone(), link.clone()]);
    assert_eq!(posts[0].text, format!("請求書\n{escaped}\n{link}"));
    let body = stand_in.requests()[0].json().unwrap();
    assert_eq!((&body["parse"], &body["unfurl_links"]), (&json!("none"), &json!(false)));
}

#[tokio::test]
async fn every_error_code_has_its_meaning() {
    let (stand_in, slack) = workspace().await;
    let outgoing = outgoing(&[&stand_in.host()]);
    let table = [
        ("permanent", "channel_not_found is_archived not_in_channel msg_too_long"),
        ("permanent", "no_text invalid_blocks never_heard_of"),
        ("auth", "invalid_auth token_revoked token_expired account_inactive missing_scope"),
        ("auth", "not_authed"),
        ("throttled", "ratelimited"),
        ("temporary", "internal_error service_unavailable fatal_error"),
    ];
    for (word, codes) in table {
        for code in codes.split(' ') {
            stand_in.answer_next(SlackStandIn::error(code));
            let answer = slack.send(&outgoing, "C1", &message("x"), now()).await;
            assert_eq!((answer.word(), answer.reason()), (word, format!("slack: {code}").as_str()));
        }
    }
    for (status, word) in
        [(500, "temporary"), (503, "temporary"), (403, "auth"), (404, "permanent")]
    {
        stand_in.answer_next(Next::status(status));
        let answer = slack.send(&outgoing, "C1", &message("x"), now()).await;
        assert_eq!(answer.word(), word, "{status}");
    }
    assert_eq!(stand_in.posts().len(), 0);
}

#[tokio::test]
async fn the_vendor_itself_says_what_is_wrong() {
    let (stand_in, slack) = workspace().await;
    stand_in.broken_channel("C2", "is_archived");
    let outgoing = outgoing(&[&stand_in.host()]);
    let to = async |slack: &Slack, channel: &str| {
        slack.send(&outgoing, channel, &message("x"), now()).await.reason().to_owned()
    };
    assert_eq!(to(&slack, "C2").await, "slack: is_archived");
    assert_eq!(to(&slack, "C9").await, "slack: channel_not_found");
    let wrong = slack_with(&stand_in, "xoxb-wrong");
    assert_eq!(to(&wrong, "C1").await, "slack: invalid_auth");
    assert_eq!(to(&slack, "C1").await, "");
}

#[tokio::test]
async fn throttling_tells_how_long_to_wait_and_is_over_when_it_is_over() {
    let (stand_in, slack) = workspace().await;
    let outgoing = outgoing(&[&stand_in.host()]);
    stand_in.fail_until_told(Next::throttled("120"));
    for _ in 0..2 {
        let answer = slack.send(&outgoing, "C1", &message("x"), now()).await;
        let Answer::Throttled { wait, .. } = answer else { panic!("{answer:?}") };
        assert_eq!(wait, Some(Duration::from_secs(120)));
    }
    assert_eq!(slack.probe(&outgoing, now()).await.word(), "throttled");
    stand_in.work_again();
    assert_eq!(slack.send(&outgoing, "C1", &message("x"), now()).await.word(), "sent");
    assert_eq!(stand_in.posts().len(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_uncertain_and_a_missing_server_is_not() {
    let (stand_in, slack) = workspace().await;
    let outgoing = outgoing(&[&stand_in.host()]);
    let garbled = [
        Next::CloseAfterReading,
        Next::CloseBeforeReading,
        Next::json(200, &json!({"fine": true})),
        Next::Answer { status: 200, headers: vec![], body: "<html>".to_owned() },
    ];
    for next in garbled {
        stand_in.answer_next(next.clone());
        let answer = slack.send(&outgoing, "C1", &message("x"), now()).await;
        assert_eq!(answer.word(), "uncertain", "{next:?}: {answer:?}");
    }
    assert_eq!(stand_in.posts().len(), 1, "only the one that was closed after reading");

    stand_in.answer_next(Next::Hang);
    let answer = slack.send(&impatient(&[&stand_in.host()]), "C1", &message("x"), now()).await;
    assert_eq!(answer.word(), "uncertain", "{answer:?}");
    assert_eq!(stand_in.posts().len(), 2);

    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let base_url = format!("http://{gone}");
    let slack = Slack::new(SlackCredentials { token: Secret::new("x"), base_url });
    let answer = slack.send(&super::outgoing(&["127.0.0.1"]), "C1", &message("x"), now()).await;
    assert_eq!(answer.word(), "unreachable", "{answer:?}");
}

#[tokio::test]
async fn a_probe_posts_nothing() {
    let (stand_in, slack) = workspace().await;
    let outgoing = outgoing(&[&stand_in.host()]);
    assert_eq!(slack.probe(&outgoing, now()).await, Answer::Sent { receipt: None });
    let wrong = slack_with(&stand_in, "xoxb-wrong");
    assert_eq!(wrong.probe(&outgoing, now()).await.word(), "auth");
    stand_in.answer_next_question(Next::CloseAfterReading);
    assert_eq!(slack.probe(&outgoing, now()).await.word(), "unreachable");
    let paths: Vec<String> = stand_in.requests().iter().map(|r| r.path.clone()).collect();
    assert_eq!(paths, ["/api/auth.test"; 3]);
    assert_eq!(stand_in.posts().len(), 0);
}

#[tokio::test]
async fn long_texts_are_cut_and_keep_their_link() {
    let (stand_in, slack) = workspace().await;
    let outgoing = outgoing(&[&stand_in.host()]);
    for text in ["あ".repeat(60_000), "&".repeat(60_000), "𠮷<".repeat(30_000), "x".repeat(3_001)]
    {
        let answer = slack.send(&outgoing, "C1", &message(&text), now()).await;
        assert_eq!(answer.word(), "sent", "{answer:?}");
        let post = stand_in.posts().pop().unwrap();
        assert!(post.text.ends_with("\n<https://example.com/invoices?a=1&amp;b=2>"));
        assert_eq!(post.text.contains('…'), text.len() > 3_001);
        assert!(!post.text.contains("&am\n") && !post.text.contains("&l\n"));
        let joined: String = post.sections[1..post.sections.len() - 1].concat();
        assert!(post.text.contains(&joined), "blocks and fallback say the same");
    }
}

#[tokio::test]
async fn a_message_without_words_is_not_sent_and_a_strange_link_is_text() {
    let (stand_in, slack) = workspace().await;
    let outgoing = outgoing(&[&stand_in.host()]);
    let bare = ChatMessage { title: Some(" \n".to_owned()), text: " ".to_owned(), ..message("") };
    assert_eq!(slack.send(&outgoing, "C1", &bare, now()).await.word(), "permanent");
    assert_eq!(stand_in.requests().len(), 0);
    let link = Some("javascript:alert(1)|<x>".to_owned());
    let strange = ChatMessage { title: None, link, ..message("見よ") };
    assert_eq!(slack.send(&outgoing, "C1", &strange, now()).await.word(), "sent");
    assert_eq!(stand_in.posts()[0].text, "見よ\njavascript:alert(1)|&lt;x&gt;");
}

#[test]
fn credentials_take_no_unknown_keys_and_know_slacks_address() {
    let good: SlackCredentials = serde_json::from_value(json!({"token": "xoxb-1"})).unwrap();
    assert_eq!(good.base_url, "https://slack.com");
    let unknown = json!({"token": "xoxb-1", "tokn": "x"});
    assert!(serde_json::from_value::<SlackCredentials>(unknown).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_text_becomes_markup(text in "[a-z<>&|!@#\\n ]{0,200}", title in "[<>&*\\n a]{0,20}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (stand_in, slack) = workspace().await;
            let sent = ChatMessage { title: Some(title), link: None, ..message(&text) };
            let answer = slack.send(&outgoing(&[&stand_in.host()]), "C1", &sent, now()).await;
            if answer.word() == "sent" {
                let post = stand_in.posts().pop().unwrap();
                for shown in post.sections.iter().chain([&post.text]) {
                    assert!(!shown.contains(['<', '>']), "{shown}");
                    let rest = shown.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
                    assert!(!rest.contains('&'), "{shown}");
                }
            } else {
                assert_eq!(answer.word(), "permanent", "{answer:?}");
            }
        });
    }
}
