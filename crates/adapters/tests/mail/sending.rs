//! What goes well: TLS, login, many letters on one connection, connections found dead before a
//! letter.

use std::time::Duration;

use yakin_adapters::mail::Mailer;
use yakin_adapters::{Answer, Secret};
use yakin_testkit::stand_in::smtp::{Act, At, SmtpStandIn, Tls};

use super::{Ground, letter, mail, plain, relay};

#[tokio::test]
async fn a_letter_arrives_byte_for_byte_with_and_without_tls_and_login() {
    for tls in [Tls::None, Tls::Start, Tls::Implicit] {
        for mechanisms in ["PLAIN LOGIN", "LOGIN", ""] {
            let (smtp, ground) = (SmtpStandIn::start(tls).await, Ground::new());
            let mut relay = relay(&smtp, &ground);
            if !mechanisms.is_empty() {
                smtp.require_login("yakin", "himitsu", mechanisms);
                relay.user = Some("yakin".to_owned());
                relay.password = Some(Secret::new("himitsu"));
            }
            let mailer = Mailer::new(relay).unwrap();
            let letter = letter(&mailer, "d-1", "佐藤 <sato@tenant.example>");
            let answer = mailer.session().await.unwrap().send(&letter).await;
            let receipt = Some("250 2.0.0 taken as 1".to_owned());
            assert_eq!(answer, Answer::Sent { receipt }, "{tls:?} {mechanisms}");
            let [got] = &smtp.mails()[..] else { panic!("not one mail") };
            assert_eq!(got.from, "night@sender.example");
            assert_eq!(got.to, ["sato@tenant.example"]);
            assert_eq!(got.raw, letter.bytes());
            assert_eq!(got.encrypted, tls != Tls::None);
            assert_eq!(got.login.is_some(), !mechanisms.is_empty());
        }
    }
}

#[tokio::test]
async fn dots_and_blank_lines_arrive_as_written() {
    let (smtp, mailer) = plain().await;
    let mut session = mailer.session().await.unwrap();
    let texts = [".\n..\n...\n.hidden\n", "a\n.\n", ".", "end\n\n\n", "", "a\r\nb\rc\n.\r\n"];
    for (n, text) in texts.iter().enumerate() {
        let mut mail = mail(&format!("d-{n}"), "a@b.example");
        (*text).clone_into(&mut mail.text);
        let letter = mailer.compose(&mail).unwrap();
        let answer = session.send(&letter).await;
        assert_eq!(answer.word(), "sent", "{text:?}: {answer:?}");
        assert_eq!(smtp.mails()[n].raw, letter.bytes(), "{text:?}");
        let body = String::from_utf8(letter.bytes().to_vec()).unwrap();
        let body = body.split_once("\r\n\r\n").unwrap().1.replace("\r\n", "\n");
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let with_end = format!("{}\n", text.strip_suffix('\n').unwrap_or(&text));
        assert_eq!(body, with_end);
    }
}

#[tokio::test]
async fn two_hundred_and_fifty_letters_go_over_one_connection_in_order() {
    let (smtp, mailer) = plain().await;
    let mut session = mailer.session().await.unwrap();
    for n in 0..250 {
        let answer =
            session.send(&letter(&mailer, &format!("d-{n}"), &format!("r{n}@b.example"))).await;
        assert_eq!(answer.word(), "sent", "{n}: {answer:?}");
    }
    let mails = smtp.taken(250).await;
    let to: Vec<String> = mails.iter().map(|m| m.to.concat()).collect();
    assert_eq!(to, (0..250).map(|n| format!("r{n}@b.example")).collect::<Vec<_>>());
    assert_eq!(smtp.connections(), 1);
}

#[tokio::test]
async fn a_dropped_session_is_used_again_until_it_is_old() {
    let (smtp, mailer) = plain().await;
    for n in 0..3 {
        let mut session = mailer.session().await.unwrap();
        assert_eq!(
            session.send(&letter(&mailer, &format!("d-{n}"), "a@b.example")).await.word(),
            "sent"
        );
    }
    assert_eq!(smtp.connections(), 1);
    mailer.close().await;
    assert_eq!(smtp.commands().last().unwrap(), "QUIT");

    let mut relay = yakin_adapters::mail::Relay::new(smtp.url(), "night@sender.example");
    relay.limits.idle = Duration::from_nanos(1);
    let mailer = Mailer::new(relay).unwrap();
    drop(mailer.session().await.unwrap());
    drop(mailer.session().await.unwrap());
    assert_eq!(smtp.connections(), 3);
}

#[tokio::test]
async fn sessions_at_once_have_connections_of_their_own_and_few_are_kept() {
    let (smtp, mailer) = plain().await;
    let mut sessions = Vec::new();
    for _ in 0..7 {
        sessions.push(mailer.session().await.unwrap());
    }
    assert_eq!(smtp.connections(), 7);
    drop(sessions);
    let mut again = Vec::new();
    for _ in 0..7 {
        again.push(mailer.session().await.unwrap());
    }
    assert_eq!(smtp.connections(), 7 + 3, "four of seven are kept");
}

#[tokio::test]
async fn a_connection_found_dead_is_replaced_unseen() {
    for farewell in [None, Some("421 4.4.2 timeout exceeded")] {
        for in_between in [true, false] {
            let (smtp, mailer) = plain().await;
            let mut session = mailer.session().await.unwrap();
            assert_eq!(session.send(&letter(&mailer, "d-1", "a@b.example")).await.word(), "sent");
            if in_between {
                drop(session);
                smtp.close_idle(farewell).await;
                session = mailer.session().await.unwrap();
            } else {
                smtp.close_idle(farewell).await;
            }
            let answer = session.send(&letter(&mailer, "d-2", "a@b.example")).await;
            assert_eq!(answer.word(), "sent", "{answer:?}");
            assert_eq!(smtp.mails().len(), 2);
            assert_eq!(smtp.connections(), 2);
        }
    }
}

#[tokio::test]
async fn a_relay_that_is_down_is_unreachable_and_well_again_when_it_is_up() {
    let (smtp, mailer) = plain().await;
    let mut session = mailer.session().await.unwrap();
    smtp.set_down(true).await;
    let letter = letter(&mailer, "d-1", "a@b.example");
    assert_eq!(session.send(&letter).await.word(), "unreachable");
    assert_eq!(mailer.session().await.err().unwrap().word(), "unreachable");
    assert_eq!(mailer.probe().await.word(), "unreachable");
    smtp.set_down(false).await;
    assert_eq!(session.send(&letter).await.word(), "sent");
    assert_eq!(smtp.mails().len(), 1);
}

#[tokio::test]
async fn a_port_without_a_relay_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("smtp+plain://127.0.0.1:{port}");
    let mailer = Mailer::new(yakin_adapters::mail::Relay::new(url, "a@b.example")).unwrap();
    let answer = mailer.session().await.err().unwrap();
    assert_eq!(answer.word(), "unreachable");
    assert!(answer.reason().contains(&format!("127.0.0.1:{port}")), "{answer:?}");
}

#[tokio::test]
async fn a_refused_letter_leaves_the_connection_to_the_next() {
    let (smtp, mailer) = plain().await;
    smtp.on_rcpt("gone@b.example", "550 5.1.1 no such user");
    let mut session = mailer.session().await.unwrap();
    for (to, word) in
        [("a@b.example", "sent"), ("gone@b.example", "permanent"), ("c@b.example", "sent")]
    {
        assert_eq!(session.send(&letter(&mailer, "d-1", to)).await.word(), word);
    }
    drop(session);
    smtp.once(At::EndOfData, "554 5.6.0 not like this");
    let mut session = mailer.session().await.unwrap();
    for word in ["permanent", "sent"] {
        assert_eq!(session.send(&letter(&mailer, "d-1", "d@b.example")).await.word(), word);
    }
    assert_eq!(smtp.connections(), 1);
    let to: Vec<String> = smtp.mails().iter().map(|m| m.to.concat()).collect();
    assert_eq!(to, ["a@b.example", "c@b.example", "d@b.example"]);
}

#[tokio::test]
async fn a_relay_that_refuses_to_begin_anew_gets_a_new_connection() {
    for act in [Act::from("502 5.5.1 unknown"), Act::from("550 5.7.1 no"), Act::Close] {
        let (smtp, mailer) = plain().await;
        smtp.on_rcpt("gone@b.example", "550 5.1.1 no such user");
        smtp.once(At::Rset, act);
        let mut session = mailer.session().await.unwrap();
        let gone = letter(&mailer, "d-1", "gone@b.example");
        assert_eq!(session.send(&gone).await.word(), "permanent");
        let answer = session.send(&letter(&mailer, "d-2", "a@b.example")).await;
        assert_eq!(answer.word(), "sent", "{answer:?}");
        assert_eq!(smtp.connections(), 2);
    }
}

#[tokio::test]
async fn a_send_that_is_dropped_takes_its_connection_with_it() {
    let (smtp, mailer) = plain().await;
    smtp.once(At::Data, Act::Hang);
    let mut session = mailer.session().await.unwrap();
    let first = letter(&mailer, "d-1", "a@b.example");
    tokio::select! {
        answer = session.send(&first) => panic!("{answer:?}"),
        () = smtp.asked("DATA") => {}
    }
    drop(session);
    let mut session = mailer.session().await.unwrap();
    assert_eq!(session.send(&first).await.word(), "sent");
    assert_eq!(smtp.connections(), 2);
    assert_eq!(smtp.mails().len(), 1);
}

#[tokio::test]
async fn a_probe_logs_in_and_sends_nothing() {
    let (smtp, ground) = (SmtpStandIn::start(Tls::Start).await, Ground::new());
    smtp.require_login("yakin", "himitsu", "PLAIN");
    let mut relay = relay(&smtp, &ground);
    relay.user = Some("yakin".to_owned());
    relay.password = Some(Secret::new("himitsu"));
    let mailer = Mailer::new(relay.clone()).unwrap();
    assert_eq!(mailer.probe().await, Answer::Sent { receipt: None });
    let verbs: Vec<String> =
        smtp.commands().iter().map(|c| c.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(verbs, ["EHLO", "EHLO", "STARTTLS", "EHLO", "AUTH", "QUIT"].as_slice());
    relay.password = Some(Secret::new("wrong"));
    assert_eq!(Mailer::new(relay).unwrap().probe().await.word(), "auth");
    assert_eq!(smtp.mails(), []);
}

#[tokio::test]
async fn size_and_utf8_are_used_as_offered() {
    let (smtp, mailer) = plain().await;
    let first = letter(&mailer, "d-1", "a@b.example");
    assert_eq!(mailer.session().await.unwrap().send(&first).await.word(), "sent");
    assert_eq!(smtp.mails()[0].parameters, format!("SIZE={}", first.bytes().len()));
    mailer.close().await;

    smtp.offer_size(Some(100));
    let answer = mailer.session().await.unwrap().send(&first).await;
    assert_eq!(answer.word(), "permanent");
    assert!(answer.reason().starts_with("too large"), "{answer:?}");
    let mails = smtp.commands().iter().filter(|c| c.starts_with("MAIL")).count();
    assert_eq!(mails, 1, "refused without asking");
    mailer.close().await;

    for (size, parameters) in [(None, ""), (Some(0), "SIZE=")] {
        smtp.offer_size(size);
        if size == Some(0) {
            smtp.on(At::Ehlo, "250-stand-in.example\r\n250 size 0");
            smtp.offer_size(None);
        }
        let answer = mailer.session().await.unwrap().send(&first).await;
        assert_eq!(answer.word(), "sent", "{answer:?}");
        assert!(smtp.mails().last().unwrap().parameters.starts_with(parameters));
        assert_eq!(smtp.mails().last().unwrap().parameters.is_empty(), parameters.is_empty());
        mailer.close().await;
    }
    smtp.forget_script();

    let other = letter(&mailer, "d-2", "佐藤@例え.example");
    let answer = mailer.session().await.unwrap().send(&other).await;
    assert_eq!(answer.word(), "permanent");
    assert!(answer.reason().contains("SMTPUTF8"), "{answer:?}");
    mailer.close().await;
    smtp.offer_utf8();
    let answer = mailer.session().await.unwrap().send(&other).await;
    assert_eq!(answer.word(), "sent", "{answer:?}");
    let got = smtp.mails().pop().unwrap();
    assert_eq!(got.to, ["佐藤@例え.example"]);
    assert_eq!(got.parameters, "SMTPUTF8 BODY=8BITMIME");
    assert_eq!(got.raw, other.bytes());
}
