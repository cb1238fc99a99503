//! SMS: what is posted, and what the API's answers mean.

use std::time::Duration;

use yakin_adapters::sms::{Sms, SmsCredentials};
use yakin_adapters::{Answer, Secret};
use yakin_testkit::stand_in::{Next, SmsPost, SmsStandIn};

use super::{impatient, message, now, outgoing};

const TO: &str = "+819012345678";

async fn account() -> (SmsStandIn, Sms) {
    let stand_in = SmsStandIn::start().await;
    let sms = Sms::new(serde_json::from_str(&stand_in.credentials()).unwrap());
    (stand_in, sms)
}

#[tokio::test]
async fn a_message_is_a_form_with_text_and_link() {
    let (stand_in, sms) = account().await;
    let (outgoing, message) = (outgoing(&[&stand_in.host()]), message("明日の面談 & 資料"));
    let answer = sms.send(&outgoing, TO, &message, now()).await;
    let receipt = Some("SM00000000000000000000000000000001".to_owned());
    assert_eq!(answer, Answer::Sent { receipt });
    let (to, from) = (TO.to_owned(), SmsStandIn::FROM.to_owned());
    let body = "明日の面談 & 資料\nhttps://example.com/invoices?a=1&b=2".to_owned();
    assert_eq!(stand_in.posts(), [SmsPost { to, from, body }]);
}

#[tokio::test]
async fn every_answer_has_its_meaning() {
    let (stand_in, sms) = account().await;
    let outgoing = outgoing(&[&stand_in.host()]);
    for (status, code, word) in [
        (400, 21_211, "permanent"),
        (400, 21_610, "permanent"),
        (400, 14_107, "throttled"),
        (400, 21_611, "throttled"),
        (401, 20_003, "auth"),
        (403, 20_003, "auth"),
        (429, 20_429, "throttled"),
        (500, 20_500, "temporary"),
        (503, 20_503, "temporary"),
    ] {
        stand_in.answer_next(SmsStandIn::error(status, code));
        let answer = sms.send(&outgoing, TO, &message("x"), now()).await;
        assert_eq!(answer.word(), word, "{status} {code}");
        assert_eq!(answer.reason(), format!("sms answered {status} {code}"));
    }
    for status in [408, 502, 504] {
        stand_in.answer_next(Next::status(status));
        let answer = sms.send(&outgoing, TO, &message("x"), now()).await;
        assert_eq!(answer.word(), "uncertain", "{status}: it may have gone");
    }
    stand_in.answer_next(Next::throttled("7"));
    let answer = sms.send(&outgoing, TO, &message("x"), now()).await;
    assert!(
        matches!(answer, Answer::Throttled { wait: Some(wait), .. } if wait == Duration::from_secs(7))
    );
    stand_in.answer_next(Next::Answer { status: 201, headers: Vec::new(), body: "{".to_owned() });
    assert_eq!(sms.send(&outgoing, TO, &message("x"), now()).await.word(), "uncertain");
    assert_eq!(stand_in.posts().len(), 0);
}

#[tokio::test]
async fn what_is_wrong_before_the_call_costs_no_call() {
    let (stand_in, sms) = account().await;
    let outgoing = outgoing(&[&stand_in.host()]);
    let answer = sms.send(&outgoing, "090-1234-5678", &message("x"), now()).await;
    assert_eq!(answer.word(), "permanent");
    assert!(answer.reason().contains("E.164"), "{}", answer.reason());
    let hostile = SmsCredentials {
        account: "../../evil?".to_owned(),
        token: Secret::new("t"),
        key: None,
        from: SmsStandIn::FROM.to_owned(),
        base_url: stand_in.base_url(),
    };
    assert_eq!(Sms::new(hostile).send(&outgoing, TO, &message("x"), now()).await.word(), "auth");
    assert_eq!(stand_in.requests().len(), 0);
}

#[tokio::test]
async fn the_api_itself_refuses_a_wrong_token_and_a_number_it_does_not_own() {
    let (stand_in, _) = account().await;
    let outgoing = outgoing(&[&stand_in.host()]);
    let with = |token: &str, from: &str| {
        Sms::new(SmsCredentials {
            account: SmsStandIn::ACCOUNT.to_owned(),
            token: Secret::new(token),
            key: None,
            from: from.to_owned(),
            base_url: stand_in.base_url(),
        })
    };
    let answer = with("wrong", SmsStandIn::FROM).send(&outgoing, TO, &message("x"), now()).await;
    assert_eq!((answer.word(), answer.reason()), ("auth", "sms answered 401 20003"));
    let answer =
        with(SmsStandIn::TOKEN, "+815099999999").send(&outgoing, TO, &message("x"), now()).await;
    assert_eq!((answer.word(), answer.reason()), ("permanent", "sms answered 400 21606"));
}

#[tokio::test]
async fn silence_after_the_request_is_uncertain() {
    let (stand_in, sms) = account().await;
    stand_in.answer_next(Next::Hang);
    let answer = sms.send(&impatient(&[&stand_in.host()]), TO, &message("x"), now()).await;
    assert_eq!(answer.word(), "uncertain");
    assert_eq!(stand_in.posts().len(), 1);
}
