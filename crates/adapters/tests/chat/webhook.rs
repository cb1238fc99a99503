//! The signed webhook: its signature, its headers, and what answers mean.

use serde_json::json;
use yakin_adapters::webhook::{Webhook, WebhookCredentials, signature};
use yakin_adapters::{Answer, Secret};
use yakin_testkit::stand_in::{Next, WebhookStandIn};

use super::{message, now, outgoing};

fn webhook(stand_in: &WebhookStandIn, key: &str) -> Webhook {
    Webhook::new(WebhookCredentials { url: Secret::new(stand_in.url()), key: Secret::new(key) })
}

#[test]
fn the_signature_is_hmac_sha256_of_timestamp_dot_body() {
    let signed = signature(&Secret::new(WebhookStandIn::KEY), 1_793_800_800, br#"{"a":1}"#);
    assert_eq!(signed, "v1=4af5d7455eec628586933102cfb2e70531064835807c6de36a19365d52614cec");
}

#[tokio::test]
async fn a_message_is_signed_and_carries_its_delivery_id() {
    let stand_in = WebhookStandIn::start(now()).await;
    let outgoing = outgoing(&[&stand_in.host()]);
    let webhook = webhook(&stand_in, WebhookStandIn::KEY);
    let answer = webhook.send(&outgoing, "audit", &message("本文 <&>"), now()).await;
    assert_eq!(answer, Answer::Sent { receipt: None });
    let post = stand_in.posts().pop().unwrap();
    assert_eq!(post.delivery, "delivery-1");
    let link = "https://example.com/invoices?a=1&b=2";
    let wanted = json!({"delivery": "delivery-1", "target": "audit", "title": "請求書",
                        "text": "本文 <&>", "link": link});
    assert_eq!(post.body, wanted);
    let request = stand_in.requests().pop().unwrap();
    assert_eq!(request.header("x-yakin-timestamp"), now().as_second().to_string());
}

#[tokio::test]
async fn a_repeat_has_the_same_delivery_id() {
    let stand_in = WebhookStandIn::start(now()).await;
    let outgoing = outgoing(&[&stand_in.host()]);
    let webhook = webhook(&stand_in, WebhookStandIn::KEY);
    stand_in.answer_next(Next::CloseAfterReading);
    assert_eq!(webhook.send(&outgoing, "audit", &message("x"), now()).await.word(), "uncertain");
    assert_eq!(webhook.send(&outgoing, "audit", &message("x"), now()).await.word(), "sent");
    let ids: Vec<String> = stand_in.posts().into_iter().map(|post| post.delivery).collect();
    assert_eq!(ids, ["delivery-1", "delivery-1"]);
}

#[tokio::test]
async fn a_wrong_key_or_clock_is_refused() {
    let stand_in = WebhookStandIn::start(now()).await;
    let outgoing = outgoing(&[&stand_in.host()]);
    let wrong = webhook(&stand_in, "another");
    assert_eq!(wrong.send(&outgoing, "audit", &message("x"), now()).await.word(), "auth");
    let empty = webhook(&stand_in, "");
    assert_eq!(empty.send(&outgoing, "audit", &message("x"), now()).await.word(), "auth");
    let right = webhook(&stand_in, WebhookStandIn::KEY);
    stand_in.set_now(now() + jiff::SignedDuration::from_mins(6));
    assert_eq!(right.send(&outgoing, "audit", &message("x"), now()).await.word(), "auth");
    assert_eq!(stand_in.posts().len(), 0);
}

#[tokio::test]
async fn statuses_and_odd_ids() {
    let stand_in = WebhookStandIn::start(now()).await;
    let outgoing = outgoing(&[&stand_in.host()]);
    let webhook = webhook(&stand_in, WebhookStandIn::KEY);
    for (status, word) in
        [(200, "sent"), (422, "permanent"), (429, "throttled"), (500, "temporary")]
    {
        stand_in.answer_next(Next::status(status));
        let answer = webhook.send(&outgoing, "audit", &message("x"), now()).await;
        assert_eq!(answer.word(), word, "{status}");
    }
    let mut split = message("x");
    split.id = "a\r\nx-evil: 1".to_owned();
    assert_eq!(webhook.send(&outgoing, "audit", &split, now()).await.word(), "permanent");
}
