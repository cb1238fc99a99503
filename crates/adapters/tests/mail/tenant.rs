//! A tenant's relay reaches what the operator lets it reach: no file, no folder, no private address.

use std::net::IpAddr;
use std::sync::Arc;

use yakin_adapters::Answer;
use yakin_adapters::mail::{Mailer, TenantRelay};
use yakin_adapters::outgoing::{Found, Lookup, Outgoing, OutgoingSettings};
use yakin_testkit::stand_in::smtp::{SmtpStandIn, Tls};

use super::{Ground, letter};

/// Every name is this address.
struct Always(&'static str);

impl Lookup for Always {
    fn addresses(&self, _: String) -> Found {
        let address: IpAddr = self.0.parse().unwrap();
        Box::pin(async move { Ok(vec![address]) })
    }
}

fn outgoing(allow: &[String], lookup: Always) -> Outgoing {
    let settings = OutgoingSettings { allow: allow.to_vec(), ..OutgoingSettings::default() };
    Outgoing::with_lookup(&settings, Arc::new(lookup)).unwrap()
}

fn relay(url: &str) -> TenantRelay {
    let text = serde_json::json!({"url": url, "from": "acme <info@acme.example>"}).to_string();
    serde_json::from_str(&text).unwrap()
}

fn refusal(url: &str, outgoing: &Outgoing) -> String {
    Mailer::of_tenant(relay(url), outgoing).expect_err(url).to_string()
}

#[test]
fn what_only_operators_may_say_is_refused() {
    for field in ["ca_file", "dkim", "limits", "no_such"] {
        let text = format!(
            "{{\"url\": \"smtp://mail.example.jp\", \"from\": \"a@b.example\", \"{field}\": {{}}}}"
        );
        assert!(serde_json::from_str::<TenantRelay>(&text).is_err(), "{field}");
    }
}

#[test]
fn folders_private_addresses_and_lines_without_tls_are_refused_before_anybody_is_asked() {
    let outgoing = outgoing(&["relay.intra.example:25".to_owned()], Always("8.8.8.8"));
    for (url, expected) in [
        ("file:///tmp/anywhere", "is a folder"),
        ("smtp+plain://mail.example.jp:25", "is without TLS"),
        ("smtp+plain://relay.intra.example:26", "add relay.intra.example:26 to outgoing.allow"),
        ("smtp://169.254.169.254:80", "its address is not public (link-local"),
        ("smtps://127.0.0.1", "127.0.0.1:465: its address is not public (loopback)"),
        ("smtps://[::1]:465", "[::1]:465: its address is not public (loopback)"),
        ("smtp://[::ffff:10.0.0.1]:587", "not public (private)"),
        ("smtp://0x7f.1:587", "not public (loopback)"),
        ("smtp://2130706433", "not public (loopback)"),
    ] {
        let said = refusal(url, &outgoing);
        assert!(said.contains(expected), "{url}: {said}");
    }
    Mailer::of_tenant(relay("smtp+plain://relay.intra.example:25"), &outgoing).unwrap();
    Mailer::of_tenant(relay("smtps://8.8.8.8"), &outgoing).unwrap();
}

#[tokio::test]
async fn a_name_is_judged_by_the_address_that_is_connected_to() {
    let smtp = SmtpStandIn::start(Tls::None).await;
    let host = format!("mail.example.jp:{}", smtp.port());
    let refused =
        Mailer::of_tenant(relay(&format!("smtp://{host}")), &outgoing(&[], Always("127.0.0.1")));
    let Answer::Unreachable { reason } = refused.unwrap().probe().await else {
        panic!("a private address was reached");
    };
    assert!(reason.contains(&format!("{host}: its address is not public (loopback)")), "{reason}");
    assert_eq!(smtp.connections(), 0);
    // named by the operators, it may be private and without TLS
    let allowed = outgoing(std::slice::from_ref(&host), Always("127.0.0.1"));
    let mailer = Mailer::of_tenant(relay(&format!("smtp+plain://{host}")), &allowed).unwrap();
    let letter = letter(&mailer, "one.1", "taro@example.jp");
    let answer = mailer.session().await.unwrap().send(&letter).await;
    assert!(matches!(answer, Answer::Sent { .. }), "{answer:?}");
    assert_eq!(smtp.mails().len(), 1);
}

#[tokio::test]
async fn where_calls_go_into_a_folder_a_tenants_letters_do() {
    let ground = Ground::new();
    let outgoing = Outgoing::folder(ground.0.join("calls"));
    let mailer = Mailer::of_tenant(relay("smtps://mail.example.jp"), &outgoing).unwrap();
    let letter = letter(&mailer, "one.1", "taro@example.jp");
    let answer = mailer.session().await.unwrap().send(&letter).await;
    assert!(matches!(answer, Answer::Sent { .. }), "{answer:?}");
    let files: Vec<String> = std::fs::read_dir(ground.0.join("calls"))
        .unwrap()
        .map(|f| f.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert!(files.len() == 1 && files[0].ends_with("-taro@example.jp.eml"), "{files:?}");
}
