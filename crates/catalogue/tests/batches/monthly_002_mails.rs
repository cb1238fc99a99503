//! MONTHLY_002's mails: a company's to its contacts through the outbox, the service's own to those who run it; each once.

use crate::report_world::*;
use yakin_engine::operate::dead;
use yakin_testkit::act;
use yakin_testkit::stand_in::smtp::{Act, At, SmtpStandIn, Tls};

#[tokio::test(flavor = "multi_thread")]
async fn mails_go_to_contacts_alone_with_both_files_and_management_gets_its_own() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let relay = format!("smtp+plain://127.0.0.1:{}", smtp.port());
    let post = office(&[&relay], &["board@yakin.example"]).await;
    let (acme, globex) = (company(&post, "acme").await, company(&post, "globex").await);
    service(&post).await;
    post.sql(&format!(
        "INSERT INTO app.report_contacts (tenant_id, name, email, active) VALUES
                ({acme}, '報告 花子', 'hanako@acme.example', true), ({acme}, '宛先 なし', ' ', true),
                ({acme}, '以前の人', 'old@acme.example', false)"
    ))
    .await;
    let quiet = run(&post, &[("reports", "company,system"), ("send_mail", "false")]).await;
    assert_eq!((quiet.count("mails"), quiet.count("files")), (0, 4));
    assert_eq!(post.one::<i64>("SELECT count(*) FROM app.platform_report_mails").await, 0);
    let seen = run(&post, &[("reports", "company,system")]).await;
    assert_eq!(
        (seen.count("mails"), seen.count("files"), seen.count("without_address")),
        (2, 0, 1)
    );
    let line: String = post
        .one("SELECT metadata::text FROM yakin.run_logs WHERE message LIKE '%does not reach%'")
        .await;
    assert!(line.contains("宛先 なし") && line.contains("acme"), "{line}");

    post.set_clock("2026-11-02T07:10:00+09:00");
    post.run("BATCH-406", None, &[]).await;
    let mails = smtp.mails();
    let mut to: Vec<String> = mails.iter().map(|m| m.to[0].clone()).collect();
    to.sort();
    let expected = ["admin@globex.example", "board@yakin.example", "hanako@acme.example"];
    assert!(to.iter().zip(expected).all(|(to, e)| to.contains(e)) && to.len() == 3, "{to:?}");
    for mail in &mails {
        let raw = crate::common::text(&mail.raw);
        let (pdf, xlsx) = (raw.contains("_2026-10.pdf"), raw.contains("_2026-10.xlsx"));
        assert!(pdf && xlsx, "{raw}");
    }
    let states: String =
        post.one("SELECT string_agg(state, ' ') FROM app.platform_report_mails").await;
    assert_eq!((states.as_str(), globex > acme), ("sent", true));
    run(&post, &[("reports", "company,system")]).await;
    assert_eq!(smtp.mails().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_to_management_that_may_have_arrived_waits_for_a_person() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let relay = format!("smtp+plain://127.0.0.1:{}", smtp.port());
    let post = office(&[&relay], &["board@yakin.example"]).await;
    company(&post, "acme").await;
    service(&post).await;
    smtp.once(At::Rcpt, "550 5.1.1 nobody of that name");
    run(&post, &[("reports", "system")]).await;
    assert_eq!((mail_state(&post).await.as_str(), smtp.mails().len()), ("failed", 0));
    smtp.on_end_of_data_once(Act::TakeAndClose);
    again(&post).await;
    assert_eq!((mail_state(&post).await.as_str(), smtp.mails().len()), ("uncertain", 1));
    run(&post, &[("reports", "system")]).await;
    assert_eq!(smtp.mails().len(), 1);

    // as an attempt leaves it that died after it had handed the mail over
    let lost = "UPDATE app.platform_report_mails SET state = 'sending', job_id = 1, token = 1";
    post.sql(lost).await;
    again(&post).await;
    assert_eq!((mail_state(&post).await.as_str(), smtp.mails().len()), ("uncertain", 1));
    let why: String =
        post.one("SELECT error FROM yakin.dead_letters WHERE state = 'waiting'").await;
    assert!(why.contains("board@yakin.example: ask whether it arrived"), "{why}");
    again(&post).await;
    assert_eq!((mail_state(&post).await.as_str(), smtp.mails().len()), ("sent", 2));
}

async fn mail_state(post: &crate::common::Post) -> String {
    post.one("SELECT state FROM app.platform_report_mails").await
}

/// A person requeues the dead letter.
async fn again(post: &crate::common::Post) {
    let letters = dead::waiting(&post.pool, None).await.unwrap();
    assert_eq!(letters.len(), 1, "{letters:?}");
    let which = letters[0].id.to_string();
    dead::requeue(&post.pool, &post.engine.registry, &which, &act(), post.clock.now())
        .await
        .unwrap();
    post.settle().await;
}
