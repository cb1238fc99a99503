//! No secret stands in an answer, an error or debug output, whatever goes wrong.

use serde_json::json;
use yakin_adapters::line_works::{LineWorks, LineWorksCredentials};
use yakin_adapters::outgoing::OutgoingSettings;
use yakin_adapters::slack::{Slack, SlackCredentials};
use yakin_adapters::teams::{Teams, TeamsCredentials};
use yakin_adapters::webhook::{Webhook, WebhookCredentials};
use yakin_adapters::{Answer, Secret};
use yakin_testkit::stand_in::{LineWorksStandIn, Next, SlackStandIn, TeamsStandIn, WebhookStandIn};

use super::{impatient, message, now, outgoing};

/// What is told of everything that can go wrong, in one text.
struct Told(String);

impl Told {
    fn hear(&mut self, what: &impl std::fmt::Debug) {
        self.0.push_str(&format!("{what:?}\n{what:#?}\n"));
    }

    fn assert_free_of(&self, secrets: &[&str]) {
        assert!(self.0.len() > 1_000, "too little was told: {}", self.0);
        for secret in secrets {
            assert!(secret.len() >= 4 && !self.0.contains(secret), "{secret} in {}", self.0);
        }
    }
}

/// Answers that repeat whatever a hostile or careless receiver knows.
fn troubles(echo: &str) -> Vec<Next> {
    let mut troubles = vec![Next::CloseAfterReading, Next::CloseBeforeReading];
    for status in [200, 302, 400, 401, 401, 403, 404, 429, 500] {
        let told = json!({"ok": false, "error": echo, "code": echo, "description": echo});
        troubles.push(Next::json(status, &told));
        let headers = vec![("location", format!("https://x/{echo}")), ("retry-after", echo.into())];
        troubles.push(Next::Answer { status, headers, body: echo.to_owned() });
    }
    troubles
}

const ODD: &[&str] = &[
    "not a url SECRET-path",
    "http://example.com/SECRET-path?SECRET-query",
    "https://SECRET-user:SECRET-password@example.com/SECRET-path",
    "https://127.0.0.1/SECRET-path?SECRET-query#SECRET-part",
    "https://no-such-host.invalid/SECRET-path?SECRET-query",
    "https://exa mple/SECRET-path",
];

#[tokio::test]
async fn chat_channels_tell_no_secret() {
    let mut told = Told(String::new());
    let slack = SlackStandIn::start().await;
    slack.channel("C1");
    let out = outgoing(&[&slack.host()]);
    let credentials =
        SlackCredentials { token: Secret::new(SlackStandIn::TOKEN), base_url: slack.base_url() };
    let client = Slack::new(credentials.clone());
    told.hear(&credentials);
    told.hear(&client);
    for next in troubles(&format!("Bearer {}", SlackStandIn::TOKEN)) {
        slack.answer_next(next);
        told.hear(&client.send(&out, "C1", &message("x"), now()).await);
    }
    let bad = Secret::new(format!("{}\n", SlackStandIn::TOKEN));
    let bad = Slack::new(SlackCredentials { token: bad, base_url: slack.base_url() });
    let answer = bad.send(&out, "C1", &message("x"), now()).await;
    assert!(answer.reason().contains("authorization"), "{answer:?}");
    told.hear(&answer);

    let teams = TeamsStandIn::start().await;
    let hook = WebhookStandIn::start(now()).await;
    let out = outgoing(&[&teams.host(), &hook.host()]);
    for (n, next) in
        troubles("teams-stand-in-signature webhook-stand-in-key").into_iter().enumerate()
    {
        let urls = [teams.webhook_url(), hook.url()];
        teams.answer_next(next.clone());
        hook.answer_next(next);
        told_by_webhooks(&mut told, &out, urls).await;
        if let Some(url) = ODD.get(n) {
            told_by_webhooks(&mut told, &out, [(*url).to_owned(), (*url).to_owned()]).await;
        }
    }
    teams.answer_next(Next::Hang);
    let urls = [teams.webhook_url(), hook.url()];
    told_by_webhooks(&mut told, &impatient(&[&teams.host(), &hook.host()]), urls).await;
    told.assert_free_of(&[
        SlackStandIn::TOKEN,
        "SECRET",
        "stand-in-signature",
        "/workflows/",
        "/hooks/",
        "webhook-stand-in-path",
        WebhookStandIn::KEY,
    ]);
}

async fn told_by_webhooks(
    told: &mut Told,
    out: &yakin_adapters::outgoing::Outgoing,
    [teams, hook]: [String; 2],
) {
    let credentials =
        TeamsCredentials { webhooks: [("ops".to_owned(), Secret::new(teams))].into() };
    told.hear(&credentials);
    told.hear(&Teams::new(credentials.clone()));
    told.hear(&Teams::new(credentials).send(out, "ops", &message("x"), now()).await);
    let key = Secret::new(WebhookStandIn::KEY);
    let credentials = WebhookCredentials { url: Secret::new(hook), key };
    told.hear(&credentials);
    told.hear(&Webhook::new(credentials).send(out, "ops", &message("x"), now()).await);
}

#[tokio::test]
async fn line_works_tells_no_secret() {
    let mut told = Told(String::new());
    let stand_in = LineWorksStandIn::start(now()).await;
    stand_in.channel("c-1");
    let out = outgoing(&[&stand_in.host()]);
    let pem = stand_in.private_key_pem();
    let credentials = LineWorksCredentials {
        client_id: LineWorksStandIn::CLIENT_ID.to_owned(),
        client_secret: Secret::new(LineWorksStandIn::CLIENT_SECRET),
        service_account: LineWorksStandIn::SERVICE_ACCOUNT.to_owned(),
        private_key: Secret::new(pem.clone()),
        bot_id: LineWorksStandIn::BOT_ID.to_owned(),
        api_url: stand_in.base_url(),
        auth_url: stand_in.base_url(),
    };
    told.hear(&credentials);
    let bot = LineWorks::new(credentials.clone());
    let echo = format!("{} line-works-token-1", LineWorksStandIn::CLIENT_SECRET);
    for next in troubles(&echo) {
        if !matches!(next, Next::CloseBeforeReading) {
            stand_in.answer_next_question(next.clone());
            told.hear(&bot.probe(&out, now()).await);
        }
        stand_in.answer_next(next);
        told.hear(&bot.send(&out, "c-1", &message("x"), now()).await);
        told.hear(&bot);
    }
    for broken in [pem[..pem.len() / 2].to_owned(), pem.replace(" PRIVATE", " RSA PRIVATE")] {
        let private_key = Secret::new(broken);
        let bot = LineWorks::new(LineWorksCredentials { private_key, ..credentials.clone() });
        let answer = bot.send(&out, "c-1", &message("x"), now()).await;
        assert!(matches!(answer, Answer::Auth { .. }), "{answer:?}");
        told.hear(&answer);
    }
    let line = pem.lines().nth(2).unwrap();
    told.assert_free_of(&[LineWorksStandIn::CLIENT_SECRET, "line-works-token", line, "assertion"]);
}

#[test]
fn settings_are_shown_without_their_private_parts() {
    let settings = OutgoingSettings::default();
    assert!(format!("{settings:?}").contains("connect_timeout"));
    assert_eq!(format!("{:?}", Secret::new("hidden")), "Secret(…)");
}
