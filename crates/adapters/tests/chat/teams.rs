//! Teams: the card, its size, and what the Workflow's answers mean.

use std::time::Duration;

use yakin_adapters::teams::{Teams, TeamsCredentials};
use yakin_adapters::{Answer, Secret};
use yakin_testkit::stand_in::{Next, TeamsStandIn};

use super::{impatient, message, now, outgoing};

fn teams(url: String) -> Teams {
    Teams::new(TeamsCredentials { webhooks: [("ops".to_owned(), Secret::new(url))].into() })
}

#[tokio::test]
async fn a_message_is_an_adaptive_card() {
    let stand_in = TeamsStandIn::start().await;
    let outgoing = outgoing(&[&stand_in.host()]);
    let teams = teams(stand_in.webhook_url());
    let text = "一行目\n二行目 <b>&</b> [銀行](https://evil.example)";
    let answer = teams.send(&outgoing, "ops", &message(text), now()).await;
    assert_eq!(answer, Answer::Sent { receipt: None });
    let post = stand_in.posts().pop().unwrap();
    let shown = "一行目\n\n二行目 <b>&</b> [銀行]\u{200b}(https://evil.example)";
    assert_eq!(post.texts, ["請求書", shown]);
    assert_eq!(post.link.as_deref(), Some("https://example.com/invoices?a=1&b=2"));
}

#[tokio::test]
async fn every_status_has_its_meaning() {
    let stand_in = TeamsStandIn::start().await;
    let outgoing = outgoing(&[&stand_in.host()]);
    let teams = teams(stand_in.webhook_url());
    let table = [
        (200, "sent"),
        (202, "sent"),
        (302, "permanent"),
        (400, "permanent"),
        (401, "auth"),
        (403, "auth"),
        (404, "permanent"),
        (408, "temporary"),
        (410, "permanent"),
        (413, "permanent"),
        (429, "throttled"),
        (500, "temporary"),
        (502, "temporary"),
        (503, "temporary"),
        (504, "temporary"),
    ];
    for (status, word) in table {
        stand_in.answer_next(Next::status(status));
        let answer = teams.send(&outgoing, "ops", &message("x"), now()).await;
        assert_eq!(answer.word(), word, "{status}: {answer:?}");
    }
    stand_in.answer_next(Next::throttled("Wed, 04 Nov 2026 00:00:30 GMT"));
    let answer = teams.send(&outgoing, "ops", &message("x"), now()).await;
    let Answer::Throttled { wait, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(wait, Some(Duration::from_secs(30)));
    stand_in.answer_next(Next::CloseAfterReading);
    assert_eq!(teams.send(&outgoing, "ops", &message("x"), now()).await.word(), "uncertain");
    stand_in.answer_next(Next::Hang);
    let impatient = impatient(&[&stand_in.host()]);
    assert_eq!(teams.send(&impatient, "ops", &message("x"), now()).await.word(), "uncertain");
}

#[tokio::test]
async fn a_card_never_exceeds_28_kib() {
    let stand_in = TeamsStandIn::start().await;
    let outgoing = outgoing(&[&stand_in.host()]);
    let teams = teams(stand_in.webhook_url());
    for text in ["あ".repeat(20_000), "\"\n".repeat(20_000), "x".repeat(500_000)] {
        let answer = teams.send(&outgoing, "ops", &message(&text), now()).await;
        assert_eq!(answer.word(), "sent", "{answer:?}");
        let post = stand_in.posts().pop().unwrap();
        assert!(post.bytes > 27 * 1024, "cut further than need be: {} bytes", post.bytes);
        assert!(post.texts[1].ends_with('…') && post.link.is_some());
    }
}

#[tokio::test]
async fn a_wrong_signature_or_name_is_told() {
    let stand_in = TeamsStandIn::start().await;
    let outgoing = outgoing(&[&stand_in.host()]);
    let wrong = teams(stand_in.webhook_url().replace("sig=", "sig=x"));
    assert_eq!(wrong.send(&outgoing, "ops", &message("x"), now()).await.word(), "auth");
    let right = teams(stand_in.webhook_url());
    let answer = right.send(&outgoing, "sales", &message("x"), now()).await;
    assert_eq!(answer.word(), "permanent");
    assert_eq!(answer.reason(), "teams: no webhook is named \"sales\"; there are: ops");
}

#[tokio::test]
async fn a_tenants_webhook_cannot_reach_inside() {
    let stand_in = TeamsStandIn::start().await;
    let teams = teams(stand_in.webhook_url());
    let answer = teams.send(&outgoing(&[]), "ops", &message("x"), now()).await;
    assert_eq!(answer.word(), "permanent");
    assert!(answer.reason().contains("outgoing.allow"), "{answer:?}");
    assert_eq!(stand_in.requests().len(), 0);
}
