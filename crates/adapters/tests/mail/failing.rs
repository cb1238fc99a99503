//! What goes wrong, at each step: what is known of the letter afterwards.

use std::time::{Duration, Instant};

use yakin_adapters::mail::{Attachment, Letter, Mailer, Relay, suppresses};
use yakin_adapters::{Answer, Secret};
use yakin_testkit::stand_in::smtp::{Act, At, SmtpStandIn, Tls};

use super::{Ground, impatient, letter, mail, plain, relay};

/// One letter on a new connection.
async fn send(mailer: &Mailer, letter: &Letter) -> Answer {
    match mailer.session().await {
        Ok(mut session) => session.send(letter).await,
        Err(answer) => answer,
    }
}

/// Larger than what waits between two sockets.
fn large(mailer: &Mailer) -> Letter {
    let mut mail = mail("d-large", "a@b.example");
    mail.attachments = vec![Attachment {
        name: "large.bin".to_owned(),
        content_type: "application/octet-stream".to_owned(),
        bytes: vec![7; 9 * 1024 * 1024],
    }];
    mailer.compose(&mail).unwrap()
}

#[tokio::test]
async fn replies_are_judged_by_code_and_step() {
    let expected = [
        (At::Connect, "421 4.3.2 too busy", "throttled", false),
        (At::Connect, "450 4.7.0 later", "throttled", false),
        (At::Connect, "451 4.3.0 trouble", "temporary", false),
        (At::Connect, "554 5.7.1 your network is blocked", "unreachable", false),
        (At::Ehlo, "550 5.7.1 no", "unreachable", false),
        (At::Mail, "421 4.7.0 slow down", "throttled", false),
        (At::Mail, "451 4.3.0 trouble", "temporary", false),
        (At::Mail, "530 5.7.0 authentication required", "auth", false),
        (At::Mail, "535 5.7.8 bad login", "auth", false),
        (At::Mail, "550 5.1.0 sender unknown", "permanent", false),
        (At::Mail, "552 5.3.4 too big", "permanent", false),
        (At::Mail, "553 5.1.8 sender refused", "permanent", false),
        (At::Rcpt, "421 4.7.0 slow down", "throttled", false),
        (At::Rcpt, "450 4.2.1 busy", "throttled", false),
        (At::Rcpt, "452 4.5.3 too many", "throttled", false),
        (At::Rcpt, "451 4.3.0 trouble", "temporary", false),
        (At::Rcpt, "550 5.1.1 no such user", "permanent", true),
        (At::Rcpt, "550 no such user", "permanent", true),
        (At::Rcpt, "550", "permanent", true),
        (At::Rcpt, "551 5.1.6 moved", "permanent", true),
        (At::Rcpt, "553 5.1.3 bad address", "permanent", true),
        (At::Rcpt, "550 5.7.1 your network is blocked", "permanent", false),
        (At::Rcpt, "552 5.2.2 mailbox full", "permanent", false),
        (At::Rcpt, "554 5.0.0 no", "permanent", false),
        (At::Rcpt, "501 5.1.3 syntax", "permanent", false),
        (At::Data, "451 4.3.0 trouble", "temporary", false),
        (At::Data, "550 5.1.1 no such user", "permanent", false),
        (At::Data, "250 2.0.0 what?", "temporary", false),
        (At::EndOfData, "421 4.3.2 closing", "throttled", false),
        (At::EndOfData, "450 4.2.0 greylisted", "throttled", false),
        (At::EndOfData, "451 4.3.0 trouble", "temporary", false),
        (At::EndOfData, "550 5.7.1 spam (at RCPT)", "permanent", false),
        (At::EndOfData, "552 5.3.4 too big", "permanent", false),
        (At::EndOfData, "554 5.6.0 refused", "permanent", false),
    ];
    for (at, line, word, is_suppressed) in expected {
        let (smtp, mailer) = plain().await;
        let letter = letter(&mailer, "d-1", "a@b.example");
        smtp.on(at, line);
        let answer = send(&mailer, &letter).await;
        assert_eq!(answer.word(), word, "{at:?} {line}: {answer:?}");
        assert_eq!(suppresses(&answer), is_suppressed, "{at:?} {line}: {answer:?}");
        assert!(answer.reason().contains(line), "{at:?} {line}: {answer:?}");
        assert_eq!(answer.reason().contains("too large"), line.starts_with("552 5.3.4"));
        assert_eq!(smtp.mails(), [], "{at:?} {line}");
        smtp.forget_script();
        assert_eq!(send(&mailer, &letter).await.word(), "sent", "{at:?} {line}: afterwards");
    }
}

#[tokio::test]
async fn a_lost_connection_is_uncertain_only_after_the_end_of_the_letter() {
    let expected = [
        (At::Connect, Act::Close, "unreachable", 0),
        (At::Ehlo, Act::Close, "unreachable", 0),
        (At::Mail, Act::Close, "unreachable", 0),
        (At::Rcpt, Act::Close, "temporary", 0),
        (At::Data, Act::Close, "temporary", 0),
        (At::Body, Act::Close, "temporary", 0),
        (At::EndOfData, Act::Close, "uncertain", 0),
        (At::EndOfData, Act::TakeAndClose, "uncertain", 1),
        (At::EndOfData, Act::Say("354 what?".to_owned()), "uncertain", 1),
        (At::EndOfData, Act::SayAndClose("nonsense".to_owned()), "uncertain", 0),
        (At::EndOfData, Act::Say("250".to_owned()), "sent", 1),
        (At::EndOfData, Act::Say("250-2.0.0\r\n250".to_owned()), "sent", 1),
    ];
    for (at, act, word, taken) in expected {
        let (smtp, mailer) = plain().await;
        smtp.on(at, act.clone());
        // the small letter is out before the relay has left: only the large one is caught in its
        // middle
        let letter =
            if at == At::Body { large(&mailer) } else { letter(&mailer, "d-1", "a@b.example") };
        let answer = send(&mailer, &letter).await;
        assert_eq!(answer.word(), word, "{at:?} {act:?}: {answer:?}");
        assert_eq!(smtp.mails().len(), taken, "{at:?} {act:?}");
        smtp.forget_script();
        assert_eq!(send(&mailer, &letter).await.word(), "sent", "{at:?} {act:?}: afterwards");
    }
}

#[tokio::test]
async fn a_hanging_relay_costs_its_limit_and_no_more() {
    let expected = [
        (At::Connect, Act::Hang, "unreachable", 0),
        (At::Ehlo, Act::Hang, "unreachable", 0),
        (At::Mail, Act::Hang, "unreachable", 0),
        (At::Rcpt, Act::Hang, "temporary", 0),
        (At::Data, Act::Hang, "temporary", 0),
        (At::Body, Act::Hang, "temporary", 0),
        (At::EndOfData, Act::Hang, "uncertain", 0),
        (At::EndOfData, Act::TakeAndHang, "uncertain", 1),
    ];
    for (at, act, word, taken) in expected {
        let smtp = SmtpStandIn::start(Tls::None).await;
        let mut relay = Relay::new(smtp.url(), "night@sender.example");
        relay.limits = impatient();
        let mailer = Mailer::new(relay).unwrap();
        smtp.on(at, act.clone());
        let letter =
            if at == At::Body { large(&mailer) } else { letter(&mailer, "d-1", "a@b.example") };
        let begun = Instant::now();
        let answer = send(&mailer, &letter).await;
        assert!(begun.elapsed() < Duration::from_secs(20), "{at:?}: {:?}", begun.elapsed());
        assert_eq!(answer.word(), word, "{at:?} {act:?}: {answer:?}");
        assert!(answer.reason().contains("waited 1s"), "{answer:?}");
        assert_eq!(smtp.mails().len(), taken, "{at:?} {act:?}");
    }
}

#[tokio::test]
async fn a_relay_that_reads_slowly_is_given_up_before_the_end() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let mut relay = Relay::new(smtp.url(), "night@sender.example");
    relay.limits = impatient();
    let mailer = Mailer::new(relay).unwrap();
    smtp.on(At::Body, Act::Slow(Duration::from_millis(20)));
    let answer = send(&mailer, &large(&mailer)).await;
    assert_eq!(answer.word(), "temporary", "{answer:?}");
    assert_eq!(smtp.mails(), []);
}

#[tokio::test]
async fn the_whole_set_up_has_a_limit_of_its_own() {
    let (smtp, ground) = (SmtpStandIn::start(Tls::Start).await, Ground::new());
    let mut relay = relay(&smtp, &ground);
    relay.limits.session = Duration::from_millis(300);
    smtp.on(At::StartTls, Act::Hang);
    let answer = Mailer::new(relay).unwrap().session().await.err().unwrap();
    assert_eq!(answer.word(), "unreachable");
    assert!(answer.reason().contains("waited 300ms"), "{answer:?}");
}

#[tokio::test]
async fn endless_and_senseless_answers_are_cut_off() {
    let endless = "x".repeat(200_000);
    let lines = "250-y\r\n".repeat(20_000);
    for line in [endless.as_str(), lines.as_str(), "hello?", "999 no", "\u{0}"] {
        let smtp = SmtpStandIn::start(Tls::None).await;
        let mut relay = Relay::new(smtp.url(), "night@sender.example");
        relay.limits = impatient();
        let mailer = Mailer::new(relay).unwrap();
        smtp.on(At::Ehlo, line);
        let answer = mailer.probe().await;
        assert_eq!(answer.word(), "unreachable", "{answer:?}");
        assert!(answer.reason().len() < 1_000, "{answer:?}");
        assert!(!answer.reason().contains(char::is_control), "{answer:?}");
    }
}

#[tokio::test]
async fn tls_is_required_where_it_is_asked_for() {
    let ground = Ground::new();
    let bare = SmtpStandIn::start(Tls::None).await;
    bare.require_login("yakin", "himitsu", "PLAIN");
    let trusted = SmtpStandIn::start(Tls::Start).await;
    let mut wanting = relay(&trusted, &ground);
    wanting.url = format!("smtp://127.0.0.1:{}", bare.port());
    wanting.user = Some("yakin".to_owned());
    wanting.password = Some(Secret::new("himitsu"));
    let answer = Mailer::new(wanting).unwrap().session().await.err().unwrap();
    assert_eq!(answer.word(), "unreachable");
    assert!(answer.reason().contains("does not offer STARTTLS"), "{answer:?}");
    assert!(bare.commands().iter().all(|c| c.starts_with("EHLO")), "{:?}", bare.commands());
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_refused() {
    let ground = Ground::new();
    for tls in [Tls::Start, Tls::Implicit] {
        let (smtp, other) = (SmtpStandIn::start(tls).await, SmtpStandIn::start(tls).await);
        let mut stranger = relay(&other, &ground);
        stranger.url = smtp.url();
        let answer = Mailer::new(stranger).unwrap().session().await.err().unwrap();
        assert_eq!(answer.word(), "unreachable", "{answer:?}");
        assert!(answer.reason().contains("certificate"), "{answer:?}");

        let misnamed = SmtpStandIn::start_named(tls, &["mail.example"]).await;
        let answer = Mailer::new(relay(&misnamed, &ground)).unwrap().session().await.err().unwrap();
        assert_eq!(answer.word(), "unreachable", "{answer:?}");
        assert!(answer.reason().contains("certificate"), "{answer:?}");
        assert!(answer.reason().contains("127.0.0.1"), "{answer:?}");
    }
}

#[tokio::test]
async fn an_answer_slipped_in_before_tls_is_not_heard_after_it() {
    let (smtp, ground) = (SmtpStandIn::start(Tls::Start).await, Ground::new());
    smtp.on(At::StartTls, "220 2.0.0 go ahead\r\n250 slipped in");
    let mut relay = relay(&smtp, &ground);
    relay.limits = impatient();
    let answer = Mailer::new(relay).unwrap().session().await.err().unwrap();
    assert_eq!(answer.word(), "unreachable", "{answer:?}");
    assert!(answer.reason().contains("no TLS with"), "{answer:?}");
}

#[tokio::test]
async fn a_refused_login_shows_no_secret() {
    let (smtp, ground) = (SmtpStandIn::start(Tls::Implicit).await, Ground::new());
    smtp.require_login("yakin", "himitsu", "PLAIN");
    let mut relay = relay(&smtp, &ground);
    assert_eq!(
        send(&Mailer::new(relay.clone()).unwrap(), &letter(&plain().await.1, "d-1", "a@b.example"))
            .await
            .word(),
        "auth",
        "no login is configured"
    );
    relay.user = Some("yakin".to_owned());
    relay.password = Some(Secret::new("machigai"));
    let mailer = Mailer::new(relay.clone()).unwrap();
    let answer = mailer.session().await.err().unwrap();
    assert_eq!(answer.word(), "auth");
    assert!(answer.reason().starts_with("535 5.7.8"), "{answer:?}");

    relay.password = Some(Secret::new("himitsu"));
    let mailer = Mailer::new(relay.clone()).unwrap();
    for code in ["535", "501", "454", "421"] {
        let echo = format!("{code} himitsu AHlha2luAGhpbWl0c3U= aGltaXRzdQ== is wrong");
        smtp.on(At::Auth, echo.as_str());
        let answer = mailer.session().await.err().unwrap();
        let word = match code {
            "421" => "throttled",
            "454" => "temporary",
            _ => "auth",
        };
        assert_eq!(answer.word(), word, "{answer:?}");
        assert!(answer.reason().contains("… … … is wrong"), "{answer:?}");
    }
    smtp.require_login("yakin", "himitsu", "CRAM-MD5");
    let answer = mailer.session().await.err().unwrap();
    assert_eq!(answer.word(), "auth");
    assert!(answer.reason().contains("no AUTH PLAIN or LOGIN"), "{answer:?}");
    assert!(!format!("{relay:?} {mailer:?}").contains("himitsu"));
}
